"""Which columns are geometries, and what they are in."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely

__all__ = ["geometries", "geometry_columns", "is_degrees", "plain", "projjson"]

_NAME: Final = b"ARROW:extension:name"
_METADATA: Final = b"ARROW:extension:metadata"
_WKB: Final = b"geoarrow.wkb"

DEGREES: Final = frozenset({"OGC:CRS84", "EPSG:4326"})
"""Systems whose coordinates are written as longitude, latitude."""


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose geometry columns are plain WKB that say in metadata what they are."""
    if not any(isinstance(field.type, pa.BaseExtensionType) for field in batch.schema):
        return batch
    columns = [
        column.storage if isinstance(column.type, pa.BaseExtensionType) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=plain_schema(batch.schema))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema that :func:`plain` gives a batch of this one."""
    return pa.schema([_plain_field(field) for field in schema], metadata=schema.metadata)


def _plain_field(field: pa.Field) -> pa.Field:
    kind = field.type
    if not isinstance(kind, pa.BaseExtensionType):
        return field
    said = dict(field.metadata or {})
    if kind.extension_name.encode() == _WKB:
        said |= {_NAME: _WKB, _METADATA: kind.__arrow_ext_serialize__()}
    return pa.field(field.name, kind.storage_type, field.nullable, said)


def geometry_columns(schema: pa.Schema) -> dict[str, str]:
    """Return the names of geometry columns with their CRS, as ``authority:code``.

    Args:
        schema: Columns that say in metadata what they are.

    Returns:
        The CRS by column, in order; an empty text where none is said.
    """
    return {
        field.name: _crs(field.metadata)
        for field in schema
        if (field.metadata or {}).get(_NAME) == _WKB
    }


def projjson(schema: pa.Schema, column: str) -> dict[str, Any] | None:
    """Return what a geometry column says of its CRS in PROJJSON, if it does."""
    crs = _said(schema.field(column).metadata).get("crs")
    return crs if isinstance(crs, dict) else None


def _said(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    text = (metadata or {}).get(_METADATA) or b"{}"
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _crs(metadata: Mapping[bytes, bytes] | None) -> str:
    crs = _said(metadata).get("crs")
    if isinstance(crs, dict):
        named = crs.get("id", {})
        return f"{named['authority']}:{named['code']}" if named else str(crs.get("name", "?"))
    return str(crs or "")


def geometries(column: pa.Array) -> np.ndarray:
    """Return a column of WKB as shapely's objects, one a row; None where there is none."""
    return np.asarray(shapely.from_wkb(np.array(column.to_pylist(), dtype=object)))


def is_degrees(crs: str, bounds: tuple[float, float, float, float]) -> bool:
    """Say whether coordinates can be longitudes and latitudes.

    Args:
        crs: What the column says; an empty text if nothing.
        bounds: West, south, east, north of the coordinates; NaN if there are none.

    Returns:
        False if another CRS is said, or a coordinate is out of range.
    """
    west, south, east, north = bounds
    inside = not (west < -180 or east > 180 or south < -90 or north > 90)  # noqa: PLR2004 — degrees
    return inside and (not crs or crs in DEGREES)
