"""Keys name rows: never null, never twice."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from registry.tables.chips import ChipIndex, entries_of
from registry.tables.engine import connection
from registry.tables.errors import DuplicateKeyError
from registry.tables.log import DataFile, Snapshot
from registry.tables.schemas import TableSchema

if TYPE_CHECKING:
    import duckdb

__all__ = ["check_new_keys", "only_new_pixels", "overlapping"]


def check_new_keys(
    before: Snapshot, schema: TableSchema, kept: Sequence[DataFile], written: Sequence[DataFile]
) -> None:
    """Refuse files with a row without a key, or with a key that is there twice.

    Only key columns are read, and of kept files only those whose bounds leave room for a double.

    Raises:
        DuplicateKeyError: With one such key.
    """  # noqa: DOC501 — a function makes the error
    if schema.append_only or not schema.key or not written:
        return
    key = ", ".join(f'"{column}"' for column in schema.key)
    with connection(locked=False) as engine:
        _register(engine, "fresh", before.folder, schema, written)
        missing = " or ".join(f'"{column}" is null' for column in schema.key)
        if engine.sql(f"select 1 from fresh where {missing} limit 1").fetchone():  # noqa: S608 — quoted, declared names
            raise _keyless(schema)
        double = f"select {key} from fresh group by all having count(*) > 1 limit 1"  # noqa: S608 — quoted, declared names
        _refuse(engine.sql(double).fetchone(), schema)
        near = [one for one in kept if overlapping(one, written, schema.key[0])]
        if near:
            _register(engine, "kept", before.folder, schema, near)
            both = f"select {key} from fresh semi join kept using ({key}) limit 1"  # noqa: S608 — quoted, declared names
            _refuse(engine.sql(both).fetchone(), schema)


def _keyless(schema: TableSchema) -> DuplicateKeyError:
    return DuplicateKeyError(
        f"a row of table {schema.name!r} has no {' or '.join(schema.key)}, which is its key",
        hint="give every row its key on the side that wrote it",
    )


def only_new_pixels(
    folder: Path, kept: Sequence[DataFile], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of ``pixels`` whose digest is neither in the table nor came before."""
    index = ChipIndex(files=tuple((folder / one.path, entries_of(folder, one)) for one in kept))
    seen: set[bytes] = set()
    for batch in batches:
        digests = batch.column("sha256").to_pylist()
        there = index.has(digests) if kept else np.zeros(len(digests), dtype=bool)
        fresh = []
        for digest, known in zip(digests, there, strict=True):
            fresh.append(not known and digest not in seen)
            seen.add(digest)
        yield batch if all(fresh) else batch.filter(pa.array(fresh))


def overlapping(one: DataFile, others: Sequence[DataFile], column: str) -> bool:
    """Return whether a file may hold a value of ``column`` that one of the others holds."""
    mine = _range(one, column)
    ranges = [_range(other, column) for other in others]
    if mine is None or any(other is None for other in ranges):
        return True
    return any(r is not None and r[0] <= mine[1] and mine[0] <= r[1] for r in ranges)


def _range(file: DataFile, column: str) -> tuple[str, str] | None:
    low = file.stats.get("minValues", {}).get(column)
    high = file.stats.get("maxValues", {}).get(column)
    return (low, high) if isinstance(low, str) and isinstance(high, str) else None


def _register(
    engine: "duckdb.DuckDBPyConnection",
    name: str,
    folder: Path,
    schema: TableSchema,
    files: Sequence[DataFile],
) -> None:
    fields = [pa.field(column, schema.arrow.field(column).type) for column in schema.key]
    paths = [str(folder / one.path) for one in files]
    import pyarrow.dataset as ds  # late: it brings pandas along

    engine.register(name, ds.dataset(paths, schema=pa.schema(fields), format="parquet"))


def _refuse(row: tuple[object, ...] | None, schema: TableSchema) -> None:
    if row is not None:
        said = ", ".join(f"{c} {v!r}" for c, v in zip(schema.key, row, strict=True))
        raise DuplicateKeyError(
            f"table {schema.name!r} would have two rows of {said}",
            hint="give every row its own key, or upsert instead of appending",
        )
