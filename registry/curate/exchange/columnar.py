"""Parquet, with GeoParquet's metadata where there is a geometry: the types of the table itself.

References:
    GeoParquet specification 1.1.0.
"""

import json
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from registry.curate.exchange.cells import GEOMETRY, json_text, time_text
from registry.curate.exchange.origin import MARK, Origin
from registry.curate.exchange.sheet import PIXELS, Found, Sheet, Wanted
from registry.errors import RejectedError
from registry.geo.systems import CRS84, system

__all__ = ["MAGIC", "origin_of", "read", "write"]

MAGIC: Final = b"PAR1"
"""How every file of this format begins."""

_GEO: Final = "geo"


def write(sheet: Sheet, path: Path) -> None:
    """Write rows as Parquet, compressed by Zstandard.

    Args:
        sheet: The rows.
        path: A new file.
    """
    said = {MARK: sheet.origin.to_json()}
    if sheet.crs is not None:
        said[_GEO] = json.dumps(_geo(sheet))
    bare = pa.schema([pa.field(f.name, f.type) for f in sheet.rows.schema], metadata=said)
    pq.write_table(sheet.rows.cast(bare), path, compression="zstd")


def _geo(sheet: Sheet) -> dict[str, Any]:
    shapes = shapely.from_wkb(sheet.rows.column(GEOMETRY).to_numpy(zero_copy_only=False))
    there = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    kinds = {shape.geom_type + (" Z" if shape.has_z else "") for shape in there}
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": sorted(kinds)}
    if sheet.crs == PIXELS:
        column["crs"] = None
    elif sheet.crs not in {None, CRS84}:
        column["crs"] = json.loads(system(str(sheet.crs)).to_json())
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


def origin_of(path: Path) -> Origin | None:
    """Return what a Parquet file says it was made from.

    Raises:
        RejectedError: It is no Parquet file.
    """
    try:
        said = pq.read_schema(path).metadata or {}
        return Origin.in_text(said.get(MARK.encode(), b"").decode())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RejectedError(
            f"it is no readable Parquet file: {str(error).splitlines()[0][:160]}",
            hint="write it again",
        ) from error


def read(path: Path, wanted: Wanted) -> Found:
    """Return the rows of a Parquet file.

    Args:
        path: The file.
        wanted: What to look for.

    Raises:
        RejectedError: It is no Parquet file, or a value has no meaning here.
    """
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > wanted.most_rows:
                raise RejectedError(
                    f"it has more than {wanted.most_rows:,} rows",
                    hint="export fewer: --where, --samples",
                )
            rows = file.read()
        rows.validate(full=True)
        said = {k.decode(): v.decode() for k, v in (rows.schema.metadata or {}).items()}
        geo = json.loads(said.get(_GEO, "{}"))
        columns = {
            name: rows.column(name)
            if rows.schema.field(name).type == wanted.cells.get(name) and name != GEOMETRY
            else _values(rows.column(name))
            for name in rows.column_names
        }
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        raise RejectedError(
            f"it is no readable Parquet file: {str(error).splitlines()[0][:160]}",
            hint="write it again",
        ) from error
    origin = Origin.in_text(said.get(MARK))
    shapes = columns.pop(GEOMETRY, None) if GEOMETRY in wanted.cells else None
    return Found(
        columns=columns,
        places=[f"row {number}" for number in range(1, rows.num_rows + 1)],
        geometries=None if shapes is None else [_wkb(n, one) for n, one in enumerate(shapes, 1)],
        crs=_crs(geo),
        origin=origin,
    )


def _values(column: pa.ChunkedArray) -> list[object]:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column, kind = pa.chunked_array([c.storage for c in column.chunks]), kind.storage_type
    if pa.types.is_timestamp(kind):
        whole = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return [None if v is None else time_text(v) for v in whole.to_pylist()]
    if pa.types.is_date(kind):
        return [None if v is None else v.isoformat() for v in column.to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_struct(kind):
        return list(json_text(column.combine_chunks()).to_pylist())
    return list(column.to_pylist())


def _wkb(number: int, value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    raise RejectedError(f"row {number}: its geometry is no WKB", hint="write it as GeoParquet")


def _crs(geo: object) -> str | None:
    try:
        column = geo["columns"][geo["primary_column"]]  # type: ignore[index]  # what is not is caught
        if "crs" not in column:
            return CRS84
        return PIXELS if column["crs"] is None else json.dumps(column["crs"])
    except (KeyError, TypeError):
        return None
