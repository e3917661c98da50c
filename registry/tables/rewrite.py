"""Changes to rows, put into the files that hold them: each such file is rewritten by itself."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from registry.tables.chips import index_path
from registry.tables.commit import Change, append_entry
from registry.tables.conform import conform
from registry.tables.log import DataFile, Snapshot
from registry.tables.rows import opened, splice
from registry.tables.schemas import TableSchema
from registry.tables.writing import write_files

_WORKERS = min(4, os.cpu_count() or 1)  # each holds a row group

__all__ = ["FileEdit", "Rewritten", "drop_files", "rewrite"]


@dataclass(slots=True, kw_only=True)
class FileEdit:
    """What happens to the rows of one data file."""

    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows that change, ascending."""

    patch: pa.Table | None = None
    """Columns that change, one row each of ``rows``."""

    dropped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows that go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What a rewrite wrote."""

    added: tuple[DataFile, ...]
    """New files."""

    removed: tuple[DataFile, ...]
    """Files that they stand for, still on disk."""


def rewrite(
    before: Snapshot,
    schema: TableSchema,
    edits: dict[int, FileEdit],
    *,
    inserted: pa.Table | None = None,
    replayed: Sequence[DataFile] = (),
    dropped: Sequence[DataFile] = (),
    data: bool = True,
) -> Rewritten:
    """Apply changes to a table as one log entry.

    Rows keep their place; new rows come last. Files without a change are not touched.

    Args:
        before: The table as it is.
        schema: What its columns are from now on.
        edits: By position in ``before.files``.
        inserted: Rows that come new.
        replayed: Files to add as they are; on disk already.
        dropped: Files that go whole.
        data: Whether rows change for a reader.

    Returns:
        What was written.
    """
    added: list[DataFile] = [*replayed]
    removed: list[DataFile] = [*dropped]
    try:
        with ThreadPoolExecutor(min(_WORKERS, max(1, len(edits)))) as pool:
            jobs = [
                (before.files[i], pool.submit(_rewrite_file, before, before.files[i], schema, edit))
                for i, edit in sorted(edits.items())
            ]
            for old, job in jobs:
                added += _in_place_of(old, job.result())
                removed.append(old)
        if inserted is not None and inserted.num_rows:
            rows = iter(conform(inserted, schema).to_batches())
            added += write_files(before.folder, schema, rows)
        same = {one.path for one in added} & {one.path for one in removed}
        change = Change(
            added=[one for one in added if one.path not in same],
            removed=[one for one in removed if one.path not in same],
            arrow=schema.arrow,
            data=data,
        )
        append_entry(before, change)
    except BaseException:
        active = {one.path for one in before.files}
        drop_files(before, [one for one in added if one.path not in active])
        raise
    return Rewritten(added=tuple(change.added), removed=tuple(change.removed))


def drop_files(found: Snapshot, files: Sequence[DataFile]) -> None:
    """Remove data files that no log entry names any more; older commits have their own."""
    for one in files:
        (found.folder / one.path).unlink(missing_ok=True)
        index_path(found.folder, one).unlink(missing_ok=True)


def _rewrite_file(
    before: Snapshot, old: DataFile, schema: TableSchema, edit: FileEdit
) -> list[DataFile]:
    return list(write_files(before.folder, schema, _edited(before, old, schema, edit)))


def _in_place_of(old: DataFile, made: Sequence[DataFile]) -> list[DataFile]:
    if len(made) == 1:
        return [replace(made[0], order=old.order)]
    return [replace(one, order=f"{old.order}.{i:04d}") for i, one in enumerate(made)]


def _edited(
    before: Snapshot, old: DataFile, schema: TableSchema, edit: FileEdit
) -> Iterator[pa.RecordBatch]:
    start = 0
    with opened(before.folder / old.path) as file:
        there = [name for name in schema.arrow.names if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            table = conform(file.read_row_group(group, columns=there), schema)
            end = start + table.num_rows
            if edit.patch is not None:
                inside = (edit.rows >= start) & (edit.rows < end)
                patch = edit.patch.filter(pa.array(inside))
                table = splice(table, patch, edit.rows[inside] - start)
            gone = edit.dropped[(edit.dropped >= start) & (edit.dropped < end)] - start
            if len(gone):
                kept = np.ones(table.num_rows, dtype=bool)
                kept[gone] = False
                table = table.filter(pa.array(kept))
            start = end
            yield from (batch for batch in table.to_batches() if batch.num_rows)
