"""Rows of one Arrow table found by the keys of another, without a loop."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["completed", "first_places", "take_by_key"]


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
