"""Rows by where they stand: file by file, row by row, only the columns that are wanted."""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.lake import lazy
from registry.tables.bounds import may_hold
from registry.tables.conform import conform
from registry.tables.engine import connection
from registry.tables.errors import UnsafeTableError
from registry.tables.log import DataFile, Snapshot
from registry.tables.schemas import TableSchema
from registry.tables.writing import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "FILE",
    "ROW",
    "cells_of",
    "fetch",
    "keys_reader",
    "locate",
    "one_chunk",
    "opened",
    "overlay",
    "quoted",
    "splice",
]

FILE = "__file"
"""Position of a data file among those that were asked for."""

ROW = "__row"
"""Position of a row in its file."""


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def cells_of(schema: pa.Schema) -> list[str]:
    """Return what can change by itself: columns, and each field of ``properties``."""
    cells = []
    for field in schema:
        if field.name == "properties" and pa.types.is_struct(field.type):
            cells += [f"properties.{inner.name}" for inner in field.type]
        else:
            cells.append(field.name)
    return cells


def keys_reader(
    found: Snapshot, schema: TableSchema, files: Sequence[DataFile], columns: Sequence[str]
) -> pa.RecordBatchReader:
    """Return a stream of columns of some data files, with where each row stands."""
    fields = [schema.arrow.field(name) for name in columns]
    plain = pa.schema([pa.field(f.name, f.type) for f in fields])
    out = pa.schema([*plain, (FILE, pa.int32()), (ROW, pa.int64())])
    target = TableSchema(name=schema.name, arrow=plain, key=())

    def stream() -> "Iterator[pa.RecordBatch]":
        lazy.ensure(*found.paths(files))
        for number, path in enumerate(found.paths(files)):
            start = 0
            with opened(path) as file:
                there = [name for name in plain.names if name in file.schema_arrow.names]
                size = layout_of(schema).batch_rows
                for batch in file.iter_batches(batch_size=size, columns=there):
                    part = conform(batch, target).combine_chunks()
                    rows = part.num_rows
                    numbers = pa.array(np.full(rows, number, np.int32))
                    places = pa.array(np.arange(start, start + rows))
                    arrays = [*part.columns, numbers, places]
                    yield from pa.Table.from_arrays(arrays, schema=out).to_batches()
                    start += rows

    return pa.RecordBatchReader.from_batches(out, stream())


def locate(
    found: Snapshot, schema: TableSchema, keys: pa.Table
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find where rows of given keys stand.

    Args:
        found: The table.
        schema: Its schema.
        keys: Its key columns; no key twice.

    Returns:
        Row of ``keys``, file and row in the file, one each a key that is there; sorted by where
        they stand.
    """
    empty = np.empty(0, np.int64)
    if not keys.num_rows or not found.files:
        return empty, empty, empty
    numbers = _near(found.files, schema.key[0], keys)
    if not numbers:
        return empty, empty, empty
    asked = keys.select(list(schema.key)).append_column("__i", pa.array(np.arange(keys.num_rows)))
    names = ", ".join(quoted(name) for name in schema.key)
    with connection(locked=False) as engine:
        engine.register("asked", asked)
        near = [found.files[i] for i in numbers]
        engine.register("there", keys_reader(found, schema, near, schema.key))
        sql = f"select __i, {FILE}, {ROW} from there join asked using ({names}) order by 2, 3"  # noqa: S608 — quoted, declared names
        hits = engine.sql(sql).to_arrow_table()
    files = np.asarray(numbers, np.int64)[hits.column(1).to_numpy()]
    return hits.column(0).to_numpy(), files, hits.column(2).to_numpy()


def fetch(
    found: Snapshot,
    schema: TableSchema,
    columns: Sequence[str],
    *,
    file: np.ndarray,
    row: np.ndarray,
) -> pa.Table:
    """Read rows by where they stand; only row groups that hold one are read.

    Args:
        found: The table.
        schema: What its columns are.
        columns: Names.
        file: Position in ``found.files`` of each row's file, unitless; shape ``(row,)``.
        row: Each row's position in its file, unitless; shape ``(row,)``.

    Returns:
        The rows, in the order asked for.
    """
    wanted = pa.schema([schema.arrow.field(name) for name in columns])
    target = TableSchema(name=schema.name, arrow=wanted, key=())
    order = np.lexsort((row, file))
    parts = []
    for number in np.unique(file):
        rows = np.sort(row[file == number])
        with opened(found.folder / found.files[int(number)].path) as parquet:
            for group, inside in _by_group(parquet.metadata, rows):
                there = [name for name in wanted.names if name in parquet.schema_arrow.names]
                table = conform(parquet.read_row_group(group, columns=there), target)
                parts.append(table.take(pa.array(inside)))
    if not parts:
        return wanted.empty_table()
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pa.concat_tables(parts).combine_chunks().take(pa.array(back))


def splice(table: pa.Table, patch: pa.Table, rows: np.ndarray) -> pa.Table:
    """Return a table with ``patch``'s columns put in at some rows.

    Args:
        table: Any table.
        patch: Some of its columns; one row each of ``rows``.
        rows: Numbers of the rows to replace, unitless; shape ``(row,)``.
    """
    source = np.arange(table.num_rows)
    source[rows] = table.num_rows + np.arange(len(rows))
    places = pa.array(source)
    for name in patch.column_names:
        kind = table.schema.field(name).type
        chunks = [*table.column(name).chunks, *patch.column(name).cast(kind).chunks]
        both = pa.chunked_array([pa.concat_arrays(chunks)] if chunks else [], kind)
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), both.take(places))
    return table


def overlay(ours: pa.Table, theirs: pa.Table, cells: Sequence[tuple[str, np.ndarray]]) -> pa.Table:
    """Return ``ours`` with single cells taken from ``theirs``.

    Args:
        ours: Rows.
        theirs: As many rows, of the same columns.
        cells: Each a column, or ``properties.<field>``, with the rows to take; boolean, unitless,
            shape ``(row,)``.
    """
    for cell, mask in cells:
        name, _, inner = cell.partition(".") if cell.startswith("properties.") else (cell, "", "")
        at = ours.schema.get_field_index(name)
        mine, other = (one_chunk(t.column(name)) for t in (ours, theirs))
        mixed = _pick_field(mine, other, inner, mask) if inner else _pick(mine, other, mask)
        ours = ours.set_column(at, ours.schema.field(at), mixed)
    return ours


def one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array; copied only where it is in pieces."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.chunks else pa.array([], column.type)


def _pick(mine: pa.Array, other: pa.Array, mask: np.ndarray) -> pa.Array:
    places = np.where(mask, len(mine) + np.arange(len(mine)), np.arange(len(mine)))
    return pa.concat_arrays([mine, other.cast(mine.type)]).take(pa.array(places))


def _pick_field(
    mine: pa.StructArray, other: pa.StructArray, inner: str, mask: np.ndarray
) -> pa.Array:
    parts = [
        # flatten() honours the struct's own nulls, field() would not
        _pick(a, b, mask) if field.name == inner else a
        for field, a, b in zip(mine.type, mine.flatten(), other.flatten(), strict=True)
    ]
    gone = np.asarray(mine.is_null()) & (~mask | np.asarray(other.is_null()))
    return pa.StructArray.from_arrays(parts, fields=list(mine.type), mask=pa.array(gone))


def _by_group(metadata: pq.FileMetaData, rows: np.ndarray) -> "Iterator[tuple[int, np.ndarray]]":
    start = 0
    for group in range(metadata.num_row_groups):
        end = start + metadata.row_group(group).num_rows
        inside = rows[(rows >= start) & (rows < end)]
        if len(inside):
            yield group, inside - start
        start = end


@contextmanager
def opened(path: str | Path) -> "Iterator[pq.ParquetFile]":
    """Open a data file; what is wrong with it is said in the registry's words.

    Yields:
        The file.

    Raises:
        UnsafeTableError: It cannot be read.
    """
    lazy.ensure(path)
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise UnsafeTableError(
            f"data file {Path(path).name} cannot be read: {str(error).splitlines()[0]}",
            hint="eolab fsck finds out more",
        ) from error


def _near(files: Sequence[DataFile], column: str, keys: pa.Table) -> list[int]:
    """Return the positions of the files that may hold one of some keys."""
    values = keys.column(column)
    if not pa.types.is_string(values.type):
        return list(range(len(files)))
    bounds = pc.min_max(values)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    return [i for i, one in enumerate(files) if may_hold(one, column, low=low, high=high)]
