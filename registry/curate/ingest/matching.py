"""Rows of one Arrow table found by the keys of another, without a loop."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["bands_of", "completed", "first_places", "take_by_key"]

_SERIES: Final = 4  # sides of an array with a time axis


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with all of a schema's columns, null where it had none."""
    for field in schema:
        if field.name in table.column_names:
            index = table.column_names.index(field.name)
            table = table.set_column(index, field.name, table[field.name].cast(field.type))
        else:
            table = table.append_column(field.name, pa.nulls(len(table), field.type))
    return table


def take_by_key(table: pa.Table, key: str, wanted: pa.ChunkedArray) -> pa.Table:
    """Return the table's rows in the order of ``wanted``; nulls where it has no such key.

    Where a key comes twice, its first row counts.
    """
    first = first_places(table[key])
    places = pc.index_in(wanted, value_set=table[key].take(first).combine_chunks())
    return table.take(pc.take(first, places))


def first_places(keys: pa.ChunkedArray) -> pa.Array:
    """Return where each distinct key comes first."""
    indexed = pa.table({"key": keys, "place": pa.array(np.arange(len(keys)))})
    firsts = indexed.group_by("key", use_threads=False).aggregate([("place", "min")])
    return firsts["place_min"].combine_chunks()


def bands_of(shapes: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return how many bands each array has.

    Args:
        shapes: As in ``RASTERS``: ``(band, y, x)`` or ``(time, band, y, x)``, or null.

    Examples:
        >>> shapes = pa.chunked_array([[[4, 8, 8], [12, 10, 8, 8], None]], pa.list_(pa.int32()))
        >>> bands_of(shapes).to_pylist()
        [4, 10, None]
    """
    is_series = pc.equal(pc.list_value_length(shapes), _SERIES)
    return pc.if_else(is_series, pc.list_element(shapes, 1), pc.list_element(shapes, 0))
