"""A foreign file opened by what it holds, and its rows made the table's own types.

Runs in the limited process.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.curate.exchange import (
    columnar,
    feature_collection,
    geopackage,
    labelling,
    spreadsheet,
)
from registry.curate.exchange.cells import GEOMETRY
from registry.curate.exchange.origin import MARK, Origin
from registry.curate.exchange.sheet import Found, Wanted
from registry.curate.exchange.values import Column, decoded
from registry.errors import InvalidInputError, RejectedError

__all__ = ["PLACE", "read_file"]

PLACE: Final = "__place"
"""Where each row stands in its file."""

_SHAPES: Final = frozenset({
    "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A file of a format that is known."""

    format: str
    origin: Origin | None
    read: Callable[[Wanted], Found]
    table: str | None = None


def read_file(path: Path, job: Mapping[str, Any], out: Path) -> None:
    """Read a file and write its rows, typed, as an Arrow file.

    Args:
        path: The file.
        job: ``tables`` with each table's cells and key, ``table`` if the user named one,
            ``most_rows``.
        out: Where to write.

    Raises:
        RejectedError: It is of no format that is known, or not what it says.
        InvalidInputError: Nobody says which table it is.
    """
    source = _source(path, job)
    table = _table(source, job)
    said = job["tables"][table]
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(said["cells"])))
    wanted = Wanted(
        cells=dict(zip(schema.names, schema.types, strict=True)),
        key=tuple(said["key"]),
        table=table,
        most_rows=job["most_rows"],
    )
    found = source.read(wanted)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {PLACE: pa.array(found.places, pa.string())}
    for name, kind in wanted.cells.items():
        if name == GEOMETRY:
            if found.geometries is not None:
                columns[name] = _geometries(found)
        elif name in found.columns:
            columns[name] = _typed(found, name, kind)
    about = {
        "format": source.format,
        "table": table,
        "crs": found.crs,
        "origin": found.origin and json.loads(found.origin.to_json())[MARK],
        "extra": [name for name in found.columns if name not in wanted.cells],
        "blank_is_null": found.blank_is_null,
    }
    rows = pa.table(columns).replace_schema_metadata({"about": json.dumps(about)})
    with pa.ipc.new_file(str(out), rows.schema) as writer:
        writer.write_table(rows)


def _source(path: Path, job: Mapping[str, Any]) -> _Source:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(geopackage.MAGIC):
        layers = geopackage.layers(path)
        return _geopackage(path, layers, job)
    if head.startswith(columnar.MAGIC):
        return _Source(
            format="Parquet",
            origin=columnar.origin_of(path),
            read=lambda wanted: columnar.read(path, wanted),
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _document(path)
    if job["suffix"] in {".csv", ".tsv", ".txt"}:
        note = path.with_name(job["note"]).read_bytes() if job["note"] else None
        return _Source(
            format="CSV",
            origin=spreadsheet.origin_in(note),
            read=lambda wanted: spreadsheet.read(path.read_bytes(), note, wanted),
        )
    raise RejectedError(
        "it is no GeoPackage, GeoJSON, COCO, Parquet or CSV file",
        hint="export the table, and save what you edited in the same format",
    )


def _geopackage(path: Path, layers: Mapping[str, Origin | None], job: Mapping[str, Any]) -> _Source:
    made = [origin for origin in layers.values() if origin]
    origin = next((one for one in made if one.table == job["table"]), None)
    if origin is None and len(made) == 1:
        origin = made[0]
    names = {table.replace("/", "_"): table for table in job["tables"]}
    named = [names[layer] for layer in layers if layer in names]
    return _Source(
        format="GeoPackage",
        origin=origin,
        read=lambda wanted: geopackage.read(path, wanted),
        table=named[0] if len(named) == 1 else None,
    )


def _document(path: Path) -> _Source:
    try:
        said = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise RejectedError(
            f"it is no JSON: {str(error)[:160]}", hint="save it again in the tool it is from"
        ) from error
    if labelling.is_coco(said):
        info = said.get("info")
        return _Source(
            format="COCO",
            origin=Origin.of(info.get(MARK)) if isinstance(info, dict) else None,
            read=lambda wanted: labelling.read(said, wanted),
            table="annotations",
        )
    return _Source(
        format="GeoJSON",
        origin=Origin.of(said.get(MARK)) or Origin.in_text(said.get("description")),
        read=lambda wanted: feature_collection.read(said, wanted),
    )


def _table(source: _Source, job: Mapping[str, Any]) -> str:
    stated = source.origin.table if source.origin else None
    table: str | None = job["table"] or stated or source.table
    if table is None:
        raise InvalidInputError(
            "the file does not say which table its rows are of",
            hint=f"say it: --table {' or '.join(sorted(job['tables'])[:4]) or 'annotations'}",
        )
    if stated and stated != table:
        raise InvalidInputError(
            f"the file was made from table {stated!r}, not {table!r}",
            hint=f"leave --table out, or give --table {stated}",
        )
    if table not in job["tables"]:
        raise InvalidInputError(
            f"the branch has no table {table!r} whose rows can be edited",
            hint=f"it has {', '.join(sorted(job['tables'])) or 'none'}",
        )
    return table


def _typed(found: Found, name: str, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    values = found.columns[name]
    if isinstance(values, pa.ChunkedArray):
        return values
    return decoded(
        Column(name=name, values=values, places=found.places, decimal_comma=found.decimal_comma),
        kind,
    )


def _geometries(found: Found) -> pa.Array:
    """Return geometries as WKB after each was looked at.

    Raises:
        RejectedError: One is none, is of a kind that no table holds, or has no place.
    """  # noqa: DOC501 — a function makes the error
    given = np.array(list(found.geometries or ()), dtype=object)
    try:
        shapes = shapely.from_wkb(given)
    except (shapely.errors.ShapelyError, TypeError):
        for place, one in zip(found.places, given, strict=True):
            try:
                shapely.from_wkb(one)
            except (shapely.errors.ShapelyError, TypeError) as error:
                raise _bad(place, f"is none: {str(error).splitlines()[0][:100]}") from None
        raise
    for place, shape in zip(found.places, shapes, strict=True):
        if shape is not None and shape.geom_type not in _SHAPES:
            raise _bad(place, f"is a {shape.geom_type}, which no table holds")
    points, owners = shapely.get_coordinates(shapes, include_z=False, return_index=True)
    odd = owners[~np.isfinite(points).all(axis=1)]
    if len(odd):
        raise _bad(found.places[int(odd[0])], "has a coordinate that is no number")
    return pa.array(shapely.to_wkb(shapes).tolist(), pa.binary())


def _bad(place: str, what: str) -> RejectedError:
    return RejectedError(
        f"{place}: its geometry {what}", hint="draw it again as a polygon, line or point"
    )
