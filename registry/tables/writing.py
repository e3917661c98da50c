"""Data files: rows in, Parquet out, the same bytes for the same rows, whatever the batches were.

A file is named by the SHA-256 of its bytes, so equal files of two branches are one object.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.errors import UnavailableError
from registry.tables.log import DataFile
from registry.tables.schemas import TableSchema

__all__ = ["Layout", "layout_of", "write_files"]

_MEBI = 2**20
_CELL = 4096  # rows whose size is weighed at once, where rows are small
_STAT_TEXT = 128  # bytes of the longest text kept as a bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the rows of a table are cut into row groups and files."""

    group_rows: int
    """Rows a row group has at most."""

    group_bytes: int
    """Unpacked bytes after which a row group is closed."""

    file_bytes: int
    """Written bytes after which a file is closed."""

    batch_rows: int
    """Rows that a reader takes at once."""

    payload: str | None = None
    """Column of opaque packed bytes, stored plain and uncompressed."""


_MUTABLE = Layout(
    group_rows=122_880, group_bytes=16 * _MEBI, file_bytes=8 * _MEBI, batch_rows=65_536
)
_PIXELS = Layout(
    group_rows=8192,
    group_bytes=24 * _MEBI,
    file_bytes=256 * _MEBI,
    batch_rows=64,
    payload="data",
)


def layout_of(schema: TableSchema) -> Layout:
    """Return how a table's rows are cut: large files for pixels, small ones for what changes."""
    return _PIXELS if schema.name == "pixels" else _MUTABLE


def write_files(
    folder: Path, schema: TableSchema, batches: Iterable[pa.RecordBatch]
) -> Iterator[DataFile]:
    """Write rows into new data files of a table, one after the other, in the order they come.

    Holds one row group at a time. The files belong to nobody until a log entry names them.

    Args:
        folder: The table's folder.
        schema: Its schema; every batch has exactly its columns.
        batches: Rows.

    Yields:
        Each file when it is complete.

    Raises:
        UnavailableError: The disk is full or cannot be written.
    """
    layout = layout_of(schema)
    writer: _FileWriter | None = None
    try:
        for group in _groups(batches, layout):
            writer = writer or _FileWriter(folder, schema, layout)
            writer.write(group)
            if writer.size >= layout.file_bytes:
                done, writer = writer.close(), None
                yield done
        if writer is not None:
            done, writer = writer.close(), None
            yield done
    except OSError as error:
        raise UnavailableError(
            f"a data file cannot be written below {folder.name!r}: {error.strerror or error}",
            hint="free some space or make the folder writable, then run it again",
        ) from error
    finally:
        if writer is not None:
            writer.discard()


def _groups(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.Table]:
    """Yield rows as row groups; where they are cut depends on the rows alone."""
    held: list[pa.Table] = []
    rows = size = 0
    for part, weight in _weighed(batches, layout):
        held.append(part)
        rows += part.num_rows
        size += weight
        if size >= layout.group_bytes or rows >= layout.group_rows:
            yield _joined(held)
            held, rows, size = [], 0, 0
    if held:
        yield _joined(held)


def _weighed(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[tuple[pa.Table, int]]:
    """Yield rows in the smallest pieces that are never cut, with the bytes each counts for."""
    if layout.payload:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            lengths = pc.binary_length(batch.column(layout.payload)).to_pylist()
            yield from ((table.slice(i, 1), length) for i, length in enumerate(lengths))
        return
    for cell in _cells(batches):
        yield cell, sum(_weight(chunk) for column in cell.columns for chunk in column.chunks)


def _cells(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    rows = 0
    for batch in batches:
        table = pa.Table.from_batches([batch])
        start = 0
        while table.num_rows - start >= _CELL - rows:
            taken = _CELL - rows
            part = table.slice(start, taken)
            yield pa.concat_tables([*waiting, part]) if waiting else part
            waiting, rows, start = [], 0, start + taken
        if start < table.num_rows:
            waiting.append(table.slice(start))
            rows += table.num_rows - start
    if waiting:
        yield pa.concat_tables(waiting)


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).combine_chunks()


def _weight(array: pa.Array) -> int:
    """Return the bytes of an array's values, the same however it came to be."""
    kind = array.type
    if pa.types.is_struct(kind):
        return sum(_weight(array.field(i)) for i in range(kind.num_fields))
    if pa.types.is_list(kind):
        return 4 * len(array) + _weight(array.flatten())
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return 4 * len(array) + (pc.sum(pc.binary_length(array)).as_py() or 0)
    return int(len(array) * kind.bit_width // 8 + 1)


class _FileWriter:
    """One data file while it grows under a name that nobody knows."""

    def __init__(self, folder: Path, schema: TableSchema, layout: Layout) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".part-", suffix=".tmp")
        self._file = os.fdopen(handle, "wb")
        self._path = Path(name)
        self._folder = folder
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._bounds = _Bounds(schema)
        plain = _bare(schema.arrow)
        self._parquet = pq.ParquetWriter(self._file, plain, **_options(schema, layout))
        self._schema = plain
        self.size = 0

    def write(self, group: pa.Table) -> None:
        rows = group.cast(self._schema)
        self._parquet.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._bounds.see(rows)
        self._catch_up()

    def close(self) -> DataFile:
        self._parquet.close()
        self._catch_up()
        self._file.close()
        path = f"part-{self._digest.hexdigest()[:40]}.parquet"
        self._path.chmod(0o644)
        self._path.replace(self._folder / path)
        stats = self._bounds.stats()
        return DataFile(path=path, size=self.size, rows=self._bounds.rows, stats=stats)

    def discard(self) -> None:
        with suppress(OSError):  # the disk is as full for what is still to be flushed
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _catch_up(self) -> None:
        """Hash what was written since, from the page cache."""
        self._file.flush()
        with self._path.open("rb") as written:
            written.seek(self._hashed)
            while chunk := written.read(4 * _MEBI):
                self._digest.update(chunk)
                self._hashed += len(chunk)
        self.size = self._hashed


def _options(schema: TableSchema, layout: Layout) -> dict[str, Any]:
    leaves = list(_leaves(schema.arrow))
    words = [path for path, kind in leaves if pa.types.is_string(kind) and path not in schema.key]
    small = [path for path, kind in leaves if _has_order(kind) and path != layout.payload]
    options: dict[str, Any] = {
        "version": "2.6",
        "store_schema": False,  # the log states the schema; the file needs no second one
        "use_dictionary": words,
        "write_statistics": small,
        "compression": "zstd",
        "compression_level": 1,
    }
    if layout.payload:
        plain = {path: "PLAIN" for path, _ in leaves}
        options |= {"compression": "none", "use_dictionary": False, "column_encoding": plain}
        options |= {"write_statistics": False}
        del options["compression_level"]
    return options


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    def below(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
        if pa.types.is_struct(kind):
            for inner in kind:
                yield from below(f"{path}.{inner.name}", inner.type)
        elif pa.types.is_list(kind):
            yield from below(f"{path}.list.element", kind.value_type)
        else:
            yield path, kind

    for field in schema:
        yield from below(field.name, field.type)


def _bare(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(f.name, f.type, nullable=f.nullable) for f in schema])


def _has_order(kind: pa.DataType) -> bool:
    return not (pa.types.is_binary(kind) or pa.types.is_nested(kind))


class _Bounds:
    """Delta's statistics of one file: counts, and bounds of the small columns."""

    def __init__(self, schema: TableSchema) -> None:
        self.rows = 0
        self._nulls: dict[str, int] = {}
        self._low: dict[str, Any] = {}
        self._high: dict[str, Any] = {}
        payload = layout_of(schema).payload is not None
        self._names = [] if payload else [f.name for f in schema.arrow if _bounded(f.type)]

    def see(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        for name in list(self._names):
            column = rows.column(name)
            self._nulls[name] = self._nulls.get(name, 0) + column.null_count
            bounds = pc.min_max(column)
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
            if low is None:
                continue
            if not (_exact(low) and _exact(high)) or _has_nan(column):
                self._names.remove(name)
                self._low.pop(name, None)
                self._high.pop(name, None)
                self._nulls.pop(name, None)
                continue
            self._low[name] = min(low, self._low.get(name, low))
            self._high[name] = max(high, self._high.get(name, high))

    def stats(self) -> dict[str, Any]:
        return {
            "numRecords": self.rows,
            "minValues": self._low,
            "maxValues": self._high,
            "nullCount": self._nulls,
        }


def _bounded(kind: pa.DataType) -> bool:
    # Times are left out: readers disagree about a bound's last three digits.
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _exact(value: Any) -> bool:  # noqa: ANN401 — any value, checked by its kind
    if isinstance(value, str):
        return len(value.encode()) <= _STAT_TEXT
    return not isinstance(value, float) or bool(np.isfinite(value))


def _has_nan(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(column.type):
        return False
    return bool(pc.any(pc.is_nan(column)).as_py())
