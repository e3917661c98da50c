"""Keys name rows: never null, never twice."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from registry.tables.bounds import overlapping
from registry.tables.chips import ChipIndex, entries_of
from registry.tables.engine import connection
from registry.tables.errors import DuplicateKeyError
from registry.tables.log import DataFile, Snapshot
from registry.tables.rows import keys_reader, quoted
from registry.tables.schemas import TableSchema

__all__ = ["check_new_keys", "only_new_pixels"]


def check_new_keys(
    before: Snapshot,
    schema: TableSchema,
    kept: Sequence[DataFile],
    written: Sequence[DataFile],
    *,
    has: str = "would have",
) -> None:
    """Refuse files with a row without a key, or with a key that is there twice.

    Only key columns are read, and of kept files only those whose bounds leave room for a double.

    Args:
        before: The table.
        schema: Its schema.
        kept: Files that were there.
        written: Files that came, on disk already.
        has: For the error: whether the table has two rows of a key, or would have.

    Raises:
        DuplicateKeyError: With one such key.
    """  # noqa: DOC501 — a function makes the error
    if schema.append_only or not schema.key or not written:
        return
    key = ", ".join(map(quoted, schema.key))
    with connection(locked=False) as engine:
        fresh = keys_reader(before, schema, written, schema.key)
        engine.register("incoming", fresh)
        engine.execute(f"create temp table fresh as select {key} from incoming")  # noqa: S608 — quoted, declared names
        missing = " or ".join(f"{quoted(column)} is null" for column in schema.key)
        if engine.sql(f"select 1 from fresh where {missing} limit 1").fetchone():  # noqa: S608 — quoted, declared names
            raise _keyless(schema, has)
        double = f"select {key} from fresh group by all having count(*) > 1 limit 1"  # noqa: S608 — quoted, declared names
        _refuse(engine.sql(double).fetchone(), schema, has)
        near = [one for one in kept if overlapping(one, written, schema.key[0])]
        if near:
            engine.register("kept", keys_reader(before, schema, near, schema.key))
            both = f"select {key} from kept semi join fresh using ({key}) limit 1"  # noqa: S608 — quoted, declared names
            _refuse(engine.sql(both).fetchone(), schema, has)


def _keyless(schema: TableSchema, has: str) -> DuplicateKeyError:
    return DuplicateKeyError(
        f"table {schema.name!r} {has} a row with no {' or '.join(schema.key)}, which is its key",
        hint="give every row its key",
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


def _refuse(row: tuple[object, ...] | None, schema: TableSchema, has: str) -> None:
    if row is not None:
        said = ", ".join(f"{c} {v!r}" for c, v in zip(schema.key, row, strict=True))
        raise DuplicateKeyError(
            f"table {schema.name!r} {has} two rows of {said}",
            hint="give every row its own key, or upsert instead of appending",
        )
