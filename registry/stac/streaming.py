"""The items of a dataset, one stretch of the Hilbert curve after the other."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from registry.stac.schema import BBOX, TIME
from registry.stac.selection import IS_ITEM, select_items
from registry.stac.survey import Dataset, quoted, survey

if TYPE_CHECKING:
    import duckdb

__all__ = ["item_tables"]

_ROWS: Final = 122_880
_ASSETS: Final = 491_520


def item_tables(
    connection: "duckdb.DuckDBPyConnection", dataset: Dataset, *, only: str | None = None
) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Return the items of a dataset as stac-geoparquet lays them out, as a stream.

    Each table is a query of its own over one stretch of the Hilbert curve, because DuckDB cannot
    spill what it gathers of each sample's assets.

    Args:
        connection: From :func:`registry.stac.survey.opened`.
        dataset: The same.
        only: The id of the one item wanted; all if None.

    Returns:
        The schema, and tables of at most 122,880 rows and about half a million assets.
    """
    found = survey(connection, dataset)
    nothing = connection.execute(select_items(dataset, found, where="false")).to_arrow_table()
    schema = pa.schema([_field(field) for field in nothing.schema])
    rows = max(1, min(_ROWS, _ASSETS // max(1, len(found.assets))))
    wheres = _stretches(connection, rows) if only is None else [f"id = {quoted(only)}"]

    def tables() -> Iterator[pa.Table]:
        for where in wheres:
            query = select_items(dataset, found, where=where)
            yield connection.execute(query).to_arrow_table().cast(schema)

    return schema, tables()


def _stretches(connection: "duckdb.DuckDBPyConnection", rows: int) -> list[str]:
    """Return conditions that part the samples into stretches of so many rows."""
    starts = connection.execute(
        "select hilbert, id from ("  # noqa: S608 — a constant
        " select hilbert, id, row_number() over (order by hilbert, id) - 1 as place"
        f" from samples where {IS_ITEM}) where place % ? = 0 order by place",
        [rows],
    ).fetchall()
    return [
        f"{_from(*start)} and not {_from(*end)}" if end else _from(*start)
        for start, end in pairwise([*starts, None])
        if start is not None
    ]


def _from(hilbert: int, name: str) -> str:
    return f"(hilbert > {hilbert} or (hilbert = {hilbert} and id >= {quoted(name)}))"


def _field(field: pa.Field) -> pa.Field:
    if field.name == "geometry":
        return pa.field("geometry", pa.binary(), nullable=False)
    if field.name == "bbox":
        return pa.field("bbox", BBOX, nullable=False)
    return pa.field(field.name, TIME if pa.types.is_timestamp(field.type) else field.type)
