"""A table as flat columns, as other tools know them: one a cell, named as in the table.

Fields of ``properties`` stand for themselves; lists, structs and bytes are text. What is derived
stays at home.
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.exchange.values import plain_type
from registry.errors import InvalidInputError
from registry.tables.rows import cells_of, one_chunk
from registry.tables.schemas import TableSchema

__all__ = ["GEOMETRY", "cell_types", "flat", "json_text", "nested_kind", "time_text"]

GEOMETRY: Final = "geometry"
"""The column that is a geometry to other tools."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST: Final = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // (dt.timedelta(microseconds=1))
_LAST: Final = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // (dt.timedelta(microseconds=1))


def cell_types(schema: TableSchema) -> dict[str, pa.DataType]:
    """Return what a table's file has as columns, in order, with their types in the table.

    Args:
        schema: The table's; its derived columns are left out.

    Examples:
        >>> from registry.tables.schemas import SPLITS
        >>> list(cell_types(SPLITS))
        ['sample', 'subset', 'fold']
    """
    kinds: dict[str, pa.DataType] = {}
    for cell in cells_of(schema.arrow):
        name, _, inner = cell.partition(".") if cell.startswith("properties.") else (cell, "", "")
        if name in schema.derived:
            continue
        kind = schema.arrow.field(name).type
        kinds[cell] = kind.field(inner).type if inner else kind
    return kinds


def flat(rows: pa.Table, cells: Sequence[str]) -> pa.Table:
    """Return rows with one column a cell.

    Args:
        rows: Rows of a table.
        cells: Names, from :func:`cell_types`.
    """
    columns = []
    for cell in cells:
        if cell in rows.column_names:
            columns.append(one_chunk(rows.column(cell)))
            continue
        whole = one_chunk(rows.column("properties"))
        at = whole.type.get_field_index(cell.removeprefix("properties."))
        columns.append(whole.flatten()[at])  # a struct's own nulls count, unlike in field()
    return pa.table(columns, names=list(cells))


def nested_kind(kind: pa.DataType) -> bool:
    """Return whether values of a type are written as JSON text."""
    return bool(pa.types.is_list(kind) or pa.types.is_struct(kind))


def json_text(column: pa.Array) -> pa.Array:
    """Return lists or structs as JSON text, losing nothing.

    Args:
        column: Any lists or structs that a table can hold.

    Returns:
        Texts; times as ISO 8601, bytes in hex, what is no number as ``"NaN"``, ``"Infinity"``.
    """
    write = _writer(column.type)
    texts = [
        None if v is None else json.dumps(write(v), ensure_ascii=False, separators=(",", ":"))
        for v in column.cast(plain_type(column.type)).to_pylist()
    ]
    return pa.array(texts, pa.string())


def _writer(kind: pa.DataType) -> Callable[[Any], Any]:  # noqa: PLR0911 — one line a type
    if pa.types.is_list(kind):
        element = _writer(kind.value_type)
        return lambda value: [None if v is None else element(v) for v in value]
    if pa.types.is_struct(kind):
        inner = {f.name: _writer(f.type) for f in kind}
        return lambda value: {
            name: None if value[name] is None else write(value[name])
            for name, write in inner.items()
        }
    if pa.types.is_floating(kind):
        return _number
    if pa.types.is_timestamp(kind):
        return time_text
    if pa.types.is_binary(kind):
        return bytes.hex
    if pa.types.is_date(kind):
        return dt.date.isoformat
    return lambda value: value


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"


def time_text(microseconds: int) -> str:
    """Return an instant as ISO 8601 in UTC, to the microsecond where it needs it.

    Args:
        microseconds: Since 1970 in UTC.

    Raises:
        InvalidInputError: The calendar of other tools, years 1 to 9999, does not have it.

    Examples:
        >>> time_text(1_661_421_600_000_001)
        '2022-08-25T10:00:00.000001Z'
    """
    if not _FIRST <= microseconds <= _LAST:
        raise InvalidInputError(
            f"an instant {microseconds} microseconds from 1970 is in no year from 1 to 9999",
            hint="export the table as Parquet, or mend the time",
        )
    moment = _EPOCH + dt.timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")


def microseconds(column: pa.Array) -> pa.Array:
    """Return instants as whole microseconds since 1970."""
    return pc.cast(column, pa.int64())
