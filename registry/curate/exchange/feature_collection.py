"""GeoJSON: one feature a row, always in longitude and latitude, or in pixels where it says so.

References:
    RFC 7946 (2016), The GeoJSON Format; §6.1 allows further members, which tell the origin.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.curate.exchange.cells import GEOMETRY, json_text, nested_kind, time_text
from registry.curate.exchange.origin import MARK, Origin
from registry.curate.exchange.sheet import PIXELS, Found, Sheet, Wanted
from registry.curate.formats.geojson import crs_of
from registry.errors import RejectedError

__all__ = ["plain_columns", "read", "write"]

_AGAIN: Final = "save it again as GeoJSON"


def write(sheet: Sheet, path: Path) -> None:
    """Write rows as one feature collection, a line a feature, coordinates to the last digit.

    Args:
        sheet: The rows; geometries in ``OGC:CRS84`` or pixels.
        path: A new file.
    """
    columns = plain_columns(sheet.rows)
    shapes = _geometries(sheet)
    frame = {"frame": "pixel"} if sheet.crs == PIXELS else {}
    head = {
        "type": "FeatureCollection",
        "name": sheet.origin.table,
        "description": sheet.origin.description,
        MARK: orjson.loads(sheet.origin.to_json())[MARK],
        **frame,
    }
    with path.open("wb") as file:
        file.write(orjson.dumps(head)[:-1] + b',"features":[')
        for number in range(sheet.rows.num_rows):
            properties = {name: values[number] for name, values in columns.items()}
            feature = {"type": "Feature", "properties": properties, "geometry": shapes[number]}
            file.write((b",\n" if number else b"\n") + orjson.dumps(feature))
        file.write(b"\n]}\n")


def _geometries(sheet: Sheet) -> Sequence[orjson.Fragment | None]:
    if sheet.crs is None:
        return [None] * sheet.rows.num_rows
    shapes = shapely.from_wkb(sheet.rows.column(GEOMETRY).to_numpy(zero_copy_only=False))
    texts = shapely.to_geojson(shapes).tolist()
    return [None if text is None else orjson.Fragment(text) for text in texts]


def plain_columns(rows: pa.Table) -> dict[str, list[object]]:
    """Return columns as values that JSON has; what is no number is null."""
    columns: dict[str, list[object]] = {}
    for field in rows.schema:
        if field.name != GEOMETRY:
            columns[field.name] = _plain(rows.column(field.name).combine_chunks(), field.type)
    return columns


def _plain(column: pa.Array, kind: pa.DataType) -> list[object]:
    if nested_kind(kind):
        return list(json_text(column).to_pylist())
    if pa.types.is_timestamp(kind):
        return [None if v is None else time_text(v) for v in column.cast(pa.int64()).to_pylist()]
    values = column.to_pylist()
    if pa.types.is_binary(kind):
        return [None if v is None else v.hex() for v in values]
    if pa.types.is_date(kind):
        return [None if v is None else v.isoformat() for v in values]
    if pa.types.is_floating(kind):
        return [v if v is None or math.isfinite(v) else None for v in values]
    return list(values)


def read(said: Mapping[str, object], wanted: Wanted) -> Found:
    """Return the rows of a feature collection.

    Args:
        said: The file as JSON.
        wanted: What to look for.

    Raises:
        RejectedError: It is no feature collection, names a CRS that is not understood, or a
            geometry is none.
    """
    features = said.get("features")
    if said.get("type") != "FeatureCollection" or not isinstance(features, list):
        raise RejectedError("it is no GeoJSON feature collection", hint=_AGAIN)
    if len(features) > wanted.most_rows:
        raise RejectedError(
            f"it has more than {wanted.most_rows:,} rows", hint="export fewer: --where, --samples"
        )
    places = [f"feature {number}" for number in range(1, len(features) + 1)]
    properties = [_properties(one, where) for one, where in zip(features, places, strict=True)]
    names = list(dict.fromkeys(name for one in properties for name in one))
    columns = {name: [one.get(name) for one in properties] for name in names}
    geometries: list[bytes | None] = [
        _wkb(one.get("geometry"), where) for one, where in zip(features, places, strict=True)
    ]
    key = wanted.key[0] if wanted.key else "id"
    if key not in columns and len(wanted.key) == 1:
        ids = [one.get("id") for one in features]
        if any(isinstance(one, str) for one in ids):
            columns[key] = ids
    return Found(
        columns=columns,
        places=places,
        geometries=geometries,
        crs=PIXELS if said.get("frame") == "pixel" else crs_of(said),
        origin=Origin.of(said.get(MARK)) or Origin.in_text(said.get("description")),
    )


def _properties(feature: object, place: str) -> Mapping[str, object]:
    properties = feature.get("properties") if isinstance(feature, dict) else 0
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise RejectedError(f"{place}: it is no feature", hint=_AGAIN)
    return properties


def _wkb(geometry: object, place: str) -> bytes | None:
    if geometry is None:
        return None
    try:
        shape = shapely.from_geojson(orjson.dumps(geometry))
        wkb: bytes = shapely.to_wkb(shape, output_dimension=3)
    except (shapely.errors.ShapelyError, TypeError, RecursionError) as error:
        raise RejectedError(
            f"{place}: its geometry is none: {str(error).splitlines()[0][:120]}",
            hint="draw it again, or delete the feature",
        ) from error
    return wkb if np.isfinite(shapely.get_coordinates(shape)).all() else _refuse(place)


def _refuse(place: str) -> bytes:
    raise RejectedError(
        f"{place}: its geometry has a coordinate that is no number",
        hint="draw it again, or delete the feature",
    )
