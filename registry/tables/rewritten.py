"""Files that were rewritten in place, compared by the bytes of their columns first.

One writer writes equal values as equal bytes, so a column whose bytes are the same in two files
need not be decoded to know that it did not change.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from registry.lake import lazy
from registry.tables.conform import conform
from registry.tables.equality import differing_cells
from registry.tables.errors import UnsafeTableError
from registry.tables.log import DataFile, Snapshot
from registry.tables.rows import cells_of
from registry.tables.schemas import TableSchema

__all__ = ["compare_rewritten", "match_files"]


def match_files(
    before: Snapshot, after: Snapshot, gone: list[int], come: list[int], schema: TableSchema
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Return files that have the same keys in the same order, by the bytes of their key columns.

    Args:
        before: The one side.
        after: The other.
        gone: Positions of files that only the one has.
        come: Positions of files that only the other has.
        schema: The table's schema.

    Returns:
        Positions that belong together, and those left on each side.
    """
    if schema.append_only:
        return [], gone, come
    known = {_fingerprint(before, before.files[i], schema): i for i in gone}
    pairs = []
    for j in come:
        print_ = _fingerprint(after, after.files[j], schema)
        if print_ is not None and print_ in known:
            pairs.append((known.pop(print_), j))
    used_before, used_after = {i for i, _ in pairs}, {j for _, j in pairs}
    return (
        pairs,
        [i for i in gone if i not in used_before],
        [j for j in come if j not in used_after],
    )


def _fingerprint(found: Snapshot, file: DataFile, schema: TableSchema) -> object:
    with _Chunks(found.folder / file.path) as chunks:
        if not set(schema.key) <= set(chunks.leaves):
            return None  # its rows have no key: whoever compares them refuses them
        keys = [chunks.leaves.index(key) for key in schema.key]
        groups = range(chunks.metadata.num_row_groups)
        return tuple(bytes(chunks.bytes_of(g, k)) for g in groups for k in keys)


class _Chunks:
    """A Parquet file's column chunks as bytes."""

    def __init__(self, path: Path) -> None:
        lazy.ensure(path)
        try:
            self.parquet = pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowException, OSError) as error:
            raise UnsafeTableError(
                f"data file {path.name} cannot be read: {str(error).splitlines()[0]}",
                hint="eolab fsck finds out more",
            ) from error
        self.metadata = self.parquet.metadata
        schema = self.parquet.schema
        self.leaves = [schema.column(i).path for i in range(len(schema.names))]
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.parquet.close()
        self._data.close()

    def bytes_of(self, group: int, leaf: int) -> bytes:
        chunk = self.metadata.row_group(group).column(leaf)
        start = chunk.data_page_offset
        if chunk.has_dictionary_page:
            start = min(start, chunk.dictionary_page_offset)
        return self._data[start : start + chunk.total_compressed_size]


def compare_rewritten(old: Path, new: Path, schema: TableSchema) -> Iterator[pa.Table]:
    """Compare two files that :func:`match_files` put together, row by row.

    Args:
        old: The one file.
        new: The other.
        schema: The table's schema.

    Yields:
        Rows that differ: key columns, ``columns`` and ``place``, the row in either file.
    """
    with _Chunks(old) as was, _Chunks(new) as is_:
        if was.leaves != is_.leaves or was.metadata.num_row_groups != is_.metadata.num_row_groups:
            yield _all_rows(was, is_, schema)
            return
        start = 0
        for group in range(was.metadata.num_row_groups):
            suspects = [name for name in _suspects(was, is_, group) if name in schema.arrow.names]
            if suspects:
                sides = [_group(side, group, suspects, schema) for side in (was, is_)]
                found = _Found.of(sides[0], sides[1], schema)
                if len(found.places):  # keys are decoded only where they have to be told
                    keys = _group(was, group, list(schema.key), schema)
                    yield found.told(keys, start=start)
            start += was.metadata.row_group(group).num_rows


def _suspects(was: _Chunks, is_: _Chunks, group: int) -> list[str]:
    """Return the columns of which the bytes differ in one row group."""
    names = [
        path.split(".")[0] if path not in was.parquet.schema_arrow.names else path
        for i, path in enumerate(was.leaves)
        if was.bytes_of(group, i) != is_.bytes_of(group, i)
    ]
    return list(dict.fromkeys(names))


def _group(side: _Chunks, group: int, names: list[str], schema: TableSchema) -> pa.Table:
    target = TableSchema(
        name=schema.name, arrow=pa.schema([schema.arrow.field(n) for n in names]), key=()
    )
    return conform(side.parquet.read_row_group(group, columns=names, use_threads=False), target)


def _all_rows(was: _Chunks, is_: _Chunks, schema: TableSchema) -> pa.Table:
    sides = []
    for side in (was, is_):
        there = [n for n in schema.arrow.names if n in side.parquet.schema_arrow.names]
        sides.append(conform(side.parquet.read(columns=there), schema))
    return _Found.of(sides[0], sides[1], schema).told(sides[0].select(list(schema.key)), start=0)


@dataclass(frozen=True, slots=True)
class _Found:
    """Which of the rows that stand side by side differ, and in which cells."""

    places: np.ndarray
    columns: list[list[str]]

    @classmethod
    def of(cls, was: pa.Table, is_: pa.Table, schema: TableSchema) -> Self:
        cells = [cell for cell in cells_of(was.schema) if cell not in schema.key]
        masks = differing_cells(was, is_, cells)
        changed = np.flatnonzero(np.logical_or.reduce([*masks.values(), np.zeros(len(was), bool)]))
        said = np.array(cells, dtype=object)
        inside = np.stack([masks[cell][changed] for cell in cells], axis=1) if cells else None
        return cls(changed, [] if inside is None else [said[row].tolist() for row in inside])

    def told(self, keys: pa.Table, *, start: int) -> pa.Table:
        """Return the rows' keys, ``columns``, and the row in either file."""
        rows = keys.take(pa.array(self.places))
        fields = [pa.field(field.name, field.type) for field in keys.schema]
        rows = rows.cast(pa.schema(fields))
        rows = rows.append_column("columns", pa.array(self.columns, pa.list_(pa.string())))
        return rows.append_column("place", pa.array(self.places + start, pa.int64()))
