"""Cells as JSON and as text."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.errors import InvalidInputError
from registry.query.outputs.geometry import geometries

__all__ = ["cell", "columns_of", "json_bytes"]

_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def json_bytes(value: object) -> bytes:
    """Return a value as JSON: bytes become hex, times ISO 8601, what is not a number null."""
    return orjson.dumps(value, default=_other, option=_OPTIONS)


def _other(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, int):  # beyond 64 bits
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    whole = int(value)
    if value != whole:
        return float(value)
    return whole if abs(whole) < 2**63 else str(whole)


def cell(value: object) -> str:
    """Return a value as text for people and CSV; what is null is empty, what is nested is JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list | tuple | bool):
        return json_bytes(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    return "" if value is None else str(value)


def columns_of(batch: pa.RecordBatch, wkb: dict[str, str], *, text: bool) -> list[list[Any]]:
    """Return a batch's columns as Python's own values.

    Args:
        batch: Some rows.
        wkb: Which columns are geometries.
        text: Geometries become WKT; otherwise GeoJSON.

    Returns:
        One list a column.

    Raises:
        InvalidInputError: A time that the calendar does not hold, such as infinity.
    """
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in wkb and text:
            columns.append(shapely.to_wkt(geometries(column), rounding_precision=-1).tolist())
        elif name in wkb:
            columns.append(_geojson(geometries(column)))
        else:
            columns.append(_values(name, column))
    return columns


def _duration(value: pa.MonthDayNano) -> str:
    # as ISO 8601 writes it
    return f"P{value.months}M{value.days}DT{value.nanoseconds / 1e9:g}S"


def _geojson(shapes: np.ndarray) -> list[orjson.Fragment | None]:
    texts = shapely.to_geojson(shapes).tolist()
    return [None if text is None else orjson.Fragment(text) for text in texts]


def _values(name: str, column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
        if pa.types.is_interval(column.type):
            values = [None if value is None else _duration(value) for value in values]
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"column {name!r} holds a time beyond the calendar: {error}",
            hint="cast the column to VARCHAR, or write Parquet or Arrow",
        ) from error
    return values
