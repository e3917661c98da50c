"""Three-way merge of one table by key.

Files that base, ours and theirs share are not read. Where theirs touched only files that ours
left alone, its log actions are said again; else its changed cells are put into ours' rows.
Columns that are coupled (``TableSchema.groups``) are never mixed from two sides.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import ConflictError, InvalidInputError
from registry.lake import lazy
from registry.tables.chips import ChipIndex, entries_of, write_index
from registry.tables.commit import Change, append_entry, check_writable, create_log, cut_log
from registry.tables.conform import conform, union
from registry.tables.derive import derive, is_derived
from registry.tables.diff import DELETED, INSERTED, UPDATED, Differences, compare, snapshot_or_none
from registry.tables.edit import EditSummary, finish, group_edits
from registry.tables.errors import DuplicateKeyError
from registry.tables.keys import check_new_keys
from registry.tables.log import (
    DataFile,
    Root,
    Snapshot,
    folder_of,
    snapshot,
    table_folder,
)
from registry.tables.mergeable import check_side, merged_schema
from registry.tables.resolve import Resolution, no_conflicts, resolve
from registry.tables.rewrite import FileEdit, rewrite
from registry.tables.rows import fetch, locate, overlay
from registry.tables.schemas import TableSchema
from registry.tables.store import LOG_ENTRIES, append, exists, schema_at, stream_files

__all__ = ["TableMerge", "merge_pixels", "merge_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMerge:
    """What merging one table did to ours, or why it did nothing."""

    conflicts: pa.Table
    """Undecided ones: key columns, ``columns``, and ``base``, ``ours``, ``theirs`` as JSON text.
    Where there is any, nothing was written."""

    resolved: pa.Table
    """Those that a decision settled, in the same form."""

    inserted: int = 0
    """Rows that ours got."""

    updated: int = 0
    """Rows of ours of which a value changed."""

    deleted: int = 0
    """Rows that ours lost."""

    kept: int | None = None
    """Rows that ours changed since base; None where files of ours were not read."""

    same: int | None = None
    """Rows that both changed to the same; None where a conflict was decided."""


def merge_table(
    base: Root | None,
    ours: Root,
    theirs: Root,
    *,
    into: Root,
    name: str,
    prefer: str | None = None,
    decisions: Mapping[tuple[object, ...], str] | None = None,
) -> TableMerge:
    """Merge what theirs did to a table since base into ours.

    Args:
        base: Dataset's folder where the two sides parted; None if they never met.
        ours: Folder of the side that is merged into.
        theirs: Folder of the side that is merged.
        into: A writable folder with ours' table; may be ``ours``. Only written without conflict.
        name: The table; a side without it counts as empty.
        prefer: ``ours`` or ``theirs`` wins every conflict that ``decisions`` leave open.
        decisions: ``ours`` or ``theirs`` by key.

    Returns:
        The conflicts left, or what changed.

    Raises:
        SchemaMismatchError: Both have a column of one name and different types.
        DuplicateKeyError: A side has two rows of one key, or a row without one.
        UnsafeTableError: A side's log asks for a feature that the lab does not know.
        ConflictError: ``into`` is not what ours is.
        InvalidInputError: ``prefer`` is no side.
    """
    if prefer not in {None, "ours", "theirs"}:
        raise InvalidInputError(f"{prefer!r} is no side", hint="prefer ours or theirs")
    parted, other = snapshot_or_none(base, name), snapshot_or_none(theirs, name)
    if other is None and parted is None:
        return _nothing(None)
    target = _target(ours, into, name, other or parted)
    schema = merged_schema(parted, target, other, name)
    for side, whose in ((target, "ours"), (other, "theirs")):
        if side is not None:
            check_side(parted, side, whose)
    if schema.append_only:
        return merge_pixels(theirs, into=into, base=base) if other else _nothing(schema)
    replayed = _replay(parted, target, other, into, schema)
    if replayed is not None:
        return replayed
    mine, their = _aligned(compare(parted, target, name), compare(parted, other, name))
    found = resolve(mine, their, prefer=prefer, decisions=decisions or {})
    if found.conflicts.num_rows:
        return TableMerge(conflicts=found.conflicts, resolved=found.resolved)
    done = _apply(target, schema, mine, their, found, into)
    brought = done.inserted + done.updated + done.deleted
    same = None if found.resolved.num_rows else their.rows.num_rows - brought
    return replace(done, kept=mine.rows.num_rows, same=same)


def merge_pixels(theirs: Root, *, into: Root, base: Root | None = None) -> TableMerge:
    """Add the rows that theirs' pixels got and ours do not have; only hashes are read.

    Whole files are linked where all their rows are new, and skipped where none is. What was there
    when the sides parted and is not in ours was dropped there by a compaction: it stays dropped,
    unless a pointer of the merged tree needs it, which the merge proves at its end.

    Args:
        theirs: Folder of the side that is merged.
        into: Folder of the side that is merged into; writable.
        base: Folder where the two sides parted; None if they never met.

    Returns:
        How many rows ours got.
    """
    other = snapshot(theirs, "pixels")
    check_writable(other)
    if not exists(into, "pixels"):
        create_log(table_folder(into, "pixels"), schema_at(other))
    target = snapshot(into, "pixels")
    schema = schema_at(target)
    mine = {one.path for one in target.files}
    parted = snapshot_or_none(base, "pixels")
    indexes = [ChipIndex.of(one) for one in (target, parted) if one is not None]
    whole: list[DataFile] = []
    partly: list[DataFile] = []
    seen: set[bytes] = set()
    for one in other.files:
        if one.path in mine:
            continue
        digests = [bytes(d).ljust(32, b"\0") for d in entries_of(other.folder, one)["sha256"]]
        known = np.zeros(len(digests), dtype=bool)
        for index in indexes:
            known |= index.has(digests)
        fresh = set(digests) - seen - {d for d, k in zip(digests, known, strict=True) if k}
        doubles = len(digests) - len(fresh)
        seen |= fresh
        if doubles == 0:
            whole.append(one)
        elif doubles < len(digests):
            partly.append(one)
    inserted = sum(len(entries_of(other.folder, one)) for one in whole)
    if whole:
        for one in whole:
            _bring(other, one, target.folder)
            write_index(target.folder, one)
        append_entry(target, Change(added=whole))
        cut_log(folder_of(into), "pixels", after=LOG_ENTRIES)
    for one in partly:
        inserted += append(into, schema, _only(seen, stream_files(other, [one])))
    return replace(_nothing(schema), inserted=inserted)


def _only(digests: set[bytes], rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    wanted = pa.array(sorted(digests), pa.binary())
    for batch in rows:
        yield batch.filter(pc.is_in(batch.column("sha256"), value_set=wanted))


def _nothing(schema: TableSchema | None) -> TableMerge:
    return TableMerge(conflicts=no_conflicts(schema), resolved=no_conflicts(schema))


def _target(ours: Root, into: Root, name: str, like: Snapshot | None) -> Snapshot:
    mine = snapshot_or_none(ours, name)
    if mine is None and like is not None and not exists(into, name):
        create_log(table_folder(into, name), schema_at(like))
    target = snapshot(into, name)
    if {f.path for f in target.files} != {f.path for f in (mine.files if mine else ())}:
        raise ConflictError(
            f"table {name!r} of the folder that is merged into is not ours",
            hint="open a fresh workspace of the branch, then merge again",
        )
    return target


def _aligned(mine: Differences, their: Differences) -> tuple[Differences, Differences]:
    """Return both sides' changes with the columns of either: what a side lacks is null there."""
    arrow = union(mine.schema.arrow, their.schema.arrow, table=mine.schema.name)
    schema = replace(mine.schema, arrow=arrow)
    return replace(mine, schema=schema), replace(their, schema=schema)


def _replay(
    base: Snapshot | None,
    target: Snapshot,
    other: Snapshot | None,
    into: Root,
    schema: TableSchema,
) -> TableMerge | None:
    """Return what saying theirs' log actions again did, if ours left their files alone."""
    was = {f.path: f for f in (base.files if base else ())}
    mine = {f.path: f for f in target.files}
    their = {f.path: f for f in (other.files if other else ())}
    gone = [f for path, f in was.items() if path not in their]
    come = [f for path, f in their.items() if path not in was]
    if any(f.path not in mine for f in gone) or any(f.path in mine for f in come):
        return None
    if other and not all(is_derived(other, f, schema) for f in come):
        return None
    if not gone and not come and schema.arrow.equals(target.arrow):
        return _nothing(schema)
    found = compare(base, other, schema.name) if gone else None
    leaving = {f.path for f in gone}
    kept = [f for f in target.files if f.path not in leaving]
    try:
        for one in come:
            _bring(other, one, target.folder)
        check_new_keys(target, schema, kept, come)
    except DuplicateKeyError:
        for one in come:
            (target.folder / one.path).unlink()
        return None
    if found is None:
        summary = EditSummary(inserted=sum(f.rows or 0 for f in come))
    else:
        counts = (int(found.is_change(kind).sum()) for kind in (INSERTED, UPDATED, DELETED))
        summary = EditSummary(**dict(zip(("inserted", "updated", "deleted"), counts, strict=True)))
    done = rewrite(target, schema, {}, replayed=come, dropped=gone)
    # The rows that differ now are those of the same files that were compared just before.
    return _told(finish(into, target, done, summary, prove=False), schema)


def _told(
    summary: EditSummary, schema: TableSchema, resolved: pa.Table | None = None
) -> TableMerge:
    return replace(
        _nothing(schema),
        resolved=no_conflicts(schema) if resolved is None else resolved,
        inserted=summary.inserted,
        updated=summary.updated,
        deleted=summary.deleted,
    )


def _apply(
    target: Snapshot,
    schema: TableSchema,
    mine: Differences,
    their: Differences,
    found: Resolution,
    into: Root,
) -> TableMerge:
    edits: dict[int, FileEdit] = {}
    _patch(edits, target, schema, mine, their, found)
    places = _where(target, schema, mine, their, found.delete)
    for number, (_, rows) in group_edits(*places).items():
        edits.setdefault(number, FileEdit()).dropped = rows
    whole, rest = _whole_files(their, found.insert, schema)
    for one in whole:
        _bring(their.after, one, target.folder)
    names = [name for name in schema.arrow.names if name in their.schema.arrow.names]
    inserted = derive(their.values(names, side="after", mask=rest), schema, strict=False)
    changes = bool(edits or whole or inserted.num_rows)
    summary = EditSummary(
        inserted=int(found.insert.sum()),
        updated=int(found.patched.sum()),
        deleted=int(found.delete.sum()),
    )
    if not changes and schema.arrow.equals(target.arrow):
        return _told(summary, schema, found.resolved)
    done = rewrite(target, schema, edits, inserted=inserted, replayed=whole)
    return _told(finish(into, target, done, summary), schema, found.resolved)


def _patch(
    edits: dict[int, FileEdit],
    target: Snapshot,
    schema: TableSchema,
    mine: Differences,
    their: Differences,
    found: Resolution,
) -> None:
    rows = np.flatnonzero(found.patched)
    cells = {cell: mask[rows] for cell, mask in found.take.items() if mask[rows].any()}
    names = list(dict.fromkeys(_column_of(cell) for cell in cells))
    if not len(rows) or not names:
        return
    file, place = _where(target, schema, mine, their, found.patched)
    old = fetch(target, schema, names, file=file, row=place)
    wanted = TableSchema(name=schema.name, arrow=old.schema, key=())
    new = conform(their.values(names, side="after", mask=found.patched), wanted)
    patch = derive(overlay(old, new, list(cells.items())), schema, strict=False)
    for number, (picked, inside) in group_edits(file, place).items():
        edits[number] = FileEdit(rows=inside, patch=patch.take(pa.array(picked)))


def _column_of(cell: str) -> str:
    return "properties" if cell.startswith("properties.") else cell


def _where(
    target: Snapshot, schema: TableSchema, mine: Differences, their: Differences, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where in ours the rows are that theirs changed: mostly as they stood in base."""
    old_file = np.asarray(their.rows.column("before_file").fill_null(-1))[mask].astype(np.int64)
    row = np.asarray(their.rows.column("before_row").fill_null(-1))[mask].astype(np.int64)
    moved = np.full(max(mine.moved, default=0) + 2, -1, np.int64)
    for before, after in mine.moved.items():
        moved[before] = after
    inside = (old_file >= 0) & (old_file < len(moved))
    file = np.where(inside, moved[np.where(inside, old_file, -1)], -1)
    lost = np.flatnonzero(file < 0)
    if len(lost):
        keys = their.rows.select(list(schema.key)).filter(pa.array(mask)).take(pa.array(lost))
        at, in_file, in_row = locate(target, schema, keys)
        file[lost[at]], row[lost[at]] = in_file, in_row
    return file, row


def _whole_files(
    their: Differences, insert: np.ndarray, schema: TableSchema
) -> tuple[list[DataFile], np.ndarray]:
    """Return files of theirs of which every row is inserted, and the rows that stand elsewhere."""
    file = np.asarray(their.rows.column("after_file").fill_null(-1))
    whole: list[DataFile] = []
    rest = insert.copy()
    for number in np.unique(file[insert]):
        if their.after is None:
            break
        one = their.after.files[int(number)]
        inside = int((insert & (file == number)).sum())
        if one.rows == inside and is_derived(their.after, one, schema):
            whole.append(one)
            rest &= file != number
    return whole, rest


def _bring(found: Snapshot | None, one: DataFile, folder: Path) -> None:
    """Put a data file of one table beside another's; the same inode where that can be."""
    if found is None:
        return
    source, target = found.folder / one.path, folder / one.path
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    lazy.ensure(source)
    try:
        os.link(source, target)
    except OSError:  # another device, or a file with all the links it may have
        shutil.copyfile(source, target)
