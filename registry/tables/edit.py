"""Edits of rows by condition or key: typed before they run, proved by the row diff after.

Only files that hold an edited row are rewritten, each by itself; rows keep their place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import CorruptError, InvalidInputError
from registry.tables.commit import cut_log, retract_entry
from registry.tables.conform import close_names, conform, union
from registry.tables.derive import derive
from registry.tables.diff import DELETED, INSERTED, UPDATED, compare
from registry.tables.equality import changed_places
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError
from registry.tables.expressions import Statement
from registry.tables.log import DataFile, Root, Snapshot, folder_of, snapshot
from registry.tables.rewrite import FileEdit, Rewritten, drop_files, rewrite
from registry.tables.rows import ROW, cells_of, fetch, locate, one_chunk, opened, overlay
from registry.tables.schemas import TableSchema
from registry.tables.store import LOG_ENTRIES, append, exists, schema_at

__all__ = ["EditSummary", "delete", "finish", "group_edits", "update", "upsert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSummary:
    """What an edit did."""

    inserted: int = 0
    """Rows that are new."""

    updated: int = 0
    """Rows of which a value changed."""

    deleted: int = 0
    """Rows that are gone."""

    unchanged: int = 0
    """Rows that were meant but had these values already."""

    files_rewritten: int = 0
    """Data files that were replaced."""


def update(root: Root, name: str, *, set: Mapping[str, str], where: str) -> EditSummary:  # noqa: A002 — the domain's own word
    """Change values of the rows that fit a condition.

    Args:
        root: The dataset's folder; must be writable.
        name: The table.
        set: SQL expression for each column, or ``properties.<field>``, such as
            ``{"label": "['Forest']"}``.
        where: SQL condition, such as ``id = 'Forest_12'``.

    Returns:
        How many rows changed, and how many fitted but had those values already.

    Raises:
        ExpressionError: A fragment that is no expression, has the wrong type, or names a column
            that is not there.
        TableNotFoundError: There is no such table.
        InvalidInputError: Nothing is set, or rows of this table never change.

    Examples:
        >>> import tempfile
        >>> from registry.tables.schemas import SPLITS
        >>> with tempfile.TemporaryDirectory() as root:
        ...     append(root, SPLITS, pa.table({"sample": ["a", "b"], "subset": ["train", "test"]}))
        ...     update(root, "splits/default", set={"subset": "'train'"}, where="true").updated
        2
        1
    """
    before = snapshot(root, name)
    schema = _editable(before)
    if not set:
        raise InvalidInputError("nothing is set", hint="say what, as in --set \"label=['Forest']\"")
    statement = Statement.of(schema, where=where, set=set)
    targets = list(dict.fromkeys(one.cell.split(".")[0] for one in statement.assignments))
    edits: dict[int, FileEdit] = {}
    fitting = 0
    with statement.open() as engine:
        for number, file in enumerate(before.files):
            rows = _columns(before, file, schema, statement.columns)
            hits = statement.run(engine, rows)
            fitting += hits.num_rows
            if hits.num_rows:
                places = hits.column(ROW).to_numpy()
                there = np.full(len(places), number)
                old = fetch(before, schema, targets, file=there, row=places)
                new = derive(_assigned(old, hits, statement), schema)
                _keep_changes(edits, number, places, old, new)
    changed = sum(len(one.rows) for one in edits.values())
    done = _run(before, schema, edits)
    return finish(root, before, done, EditSummary(updated=changed, unchanged=fitting - changed))


def upsert(root: Root, schema: TableSchema, rows: pa.Table) -> EditSummary:
    """Insert rows whose key is new and change those whose key is there.

    Args:
        root: The dataset's folder; must be writable.
        schema: The table's schema; the table is made if it is not there.
        rows: Its key columns and any others. Columns, and fields of ``properties``, that are left
            out keep their value in rows that are there, and are null in new ones. Derived columns
            are computed.

    Returns:
        How many rows were inserted, changed, or had those values already.

    Raises:
        SchemaMismatchError: The rows do not fit.
        DuplicateKeyError: A key comes twice.
    """
    stated = [cell for cell in cells_of(rows.schema) if cell.startswith("properties.")]
    rows = _checked_rows(rows, schema)
    rows = rows.drop_columns([name for name in schema.derived if name in rows.column_names])
    if not exists(root, schema.name) or schema.append_only:
        return EditSummary(inserted=append(root, schema, rows))
    before = snapshot(root, schema.name)
    current = schema_at(before)
    target = replace(current, arrow=union(current.arrow, schema.arrow, table=schema.name))
    rows = derive(rows, target)
    at, file, place = locate(before, target, rows.select(list(target.key)))
    values = [name for name in rows.column_names if name not in target.key]
    edits: dict[int, FileEdit] = {}
    if values and len(at):
        old = fetch(before, target, values, file=file, row=place)
        wanted = TableSchema(name=schema.name, arrow=old.schema, key=())
        new = conform(rows.select(values).take(pa.array(at)), wanted)
        if stated:
            new = _keep_unstated(old, new, stated)
        differing = changed_places(old, new)
        for number, (picked, inside) in group_edits(file[differing], place[differing]).items():
            patch = new.take(pa.array(differing[picked]))
            edits[number] = FileEdit(rows=inside, patch=patch)
    changed = sum(len(one.rows) for one in edits.values())
    fresh = np.ones(rows.num_rows, dtype=bool)
    fresh[at] = False
    inserted = derive(conform(rows.filter(pa.array(fresh)), target), target, strict=False)
    done = _run(before, target, edits, inserted)
    summary = EditSummary(inserted=inserted.num_rows, updated=changed, unchanged=len(at) - changed)
    return finish(root, before, done, summary)


def delete(
    root: Root, name: str, *, where: str | None = None, keys: pa.Table | None = None
) -> EditSummary:
    """Delete the rows that fit a condition, or that have one of these keys.

    Args:
        root: The dataset's folder; must be writable.
        name: The table.
        where: SQL condition.
        keys: The table's key columns; keys that are not there are passed over.

    Returns:
        How many rows are gone.

    Raises:
        InvalidInputError: Neither or both are given.
        ExpressionError: The condition cannot be used.
        TableNotFoundError: There is no such table.
    """
    before = snapshot(root, name)
    schema = _editable(before)
    if (where is None) == (keys is None):
        raise InvalidInputError(
            "a deletion needs a condition or keys, one of them",
            hint="say which rows, as in --where",
        )
    edits: dict[int, FileEdit] = {}
    if keys is not None:
        asked = _checked_rows(keys, schema).select(list(schema.key))
        _, file, place = locate(before, schema, asked)
        for number, (_, inside) in group_edits(file, place).items():
            edits[number] = FileEdit(dropped=inside)
    else:
        statement = Statement.of(schema, where=str(where))
        with statement.open() as engine:
            for number, one in enumerate(before.files):
                hits = statement.run(engine, _columns(before, one, schema, statement.columns))
                if hits.num_rows:
                    edits[number] = FileEdit(dropped=hits.column(ROW).to_numpy())
    gone = sum(len(one.dropped) for one in edits.values())
    done = _run(before, schema, edits)
    return finish(root, before, done, EditSummary(deleted=gone))


def group_edits(file: np.ndarray, row: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Sort rows by the file that holds them.

    Args:
        file: Number of each row's file, unitless; shape ``(row,)``.
        row: Each row's position in its file, unitless; shape ``(row,)``.

    Returns:
        For each file, which of the rows lie in it and where, ascending.
    """
    grouped = {}
    for number in np.unique(file):
        picked = np.flatnonzero(file == number)
        picked = picked[np.argsort(row[picked], kind="stable")]
        grouped[int(number)] = (picked, row[picked])
    return grouped


def finish(
    root: Root,
    before: Snapshot,
    done: Rewritten | None,
    summary: EditSummary,
    *,
    prove: bool = True,
) -> EditSummary:
    """Return an edit's summary after the row diff has proved it; let go of what it replaced.

    Args:
        root: The dataset's folder.
        before: The table as it was.
        done: What was written; None if nothing was.
        summary: What was meant.
        prove: Compare the rows; files that only came need not be read for it.

    Raises:
        CorruptError: The table does not differ by what was meant; it is as before again.
    """
    if done is None:
        return summary
    after = snapshot(root, before.name)
    meant = [summary.inserted, summary.updated, summary.deleted]
    seen = meant
    if prove:
        found = compare(before, after, before.name)
        seen = [int(found.is_change(kind).sum()) for kind in (INSERTED, UPDATED, DELETED)]
    if seen != meant:
        retract_entry(after)
        drop_files(before, done.added)
        raise CorruptError(
            f"an edit of table {before.name!r} was to insert, update and delete {meant} rows "
            f"but did {seen}; it was taken back",
            hint="check the disk, then run it again",
        )
    drop_files(before, done.removed)
    cut_log(folder_of(root), before.name, after=LOG_ENTRIES)
    return EditSummary(
        inserted=summary.inserted,
        updated=summary.updated,
        deleted=summary.deleted,
        unchanged=summary.unchanged,
        files_rewritten=len(done.removed),
    )


def _run(
    before: Snapshot,
    schema: TableSchema,
    edits: dict[int, FileEdit],
    inserted: pa.Table | None = None,
) -> Rewritten | None:
    if not edits and (inserted is None or not inserted.num_rows):
        return None
    return rewrite(before, schema, edits, inserted=inserted)


def _editable(before: Snapshot) -> TableSchema:
    schema = schema_at(before)
    if schema.append_only:
        raise InvalidInputError(
            f"rows of {schema.name!r} never change", hint="add a row and move what points to it"
        )
    return schema


def _columns(
    before: Snapshot, file: DataFile, schema: TableSchema, names: tuple[str, ...]
) -> pa.Table:
    fields = pa.schema([schema.arrow.field(name) for name in names])
    target = TableSchema(name=schema.name, arrow=fields, key=())
    with opened(before.folder / file.path) as parquet:
        there = [name for name in names if name in parquet.schema_arrow.names]
        rows = parquet.metadata.num_rows
        table = conform(parquet.read(columns=there), target) if there else None
    places = pa.table({ROW: np.arange(rows)})
    for name in names:
        column = table.column(name) if table else pa.nulls(rows, fields.field(name).type)
        places = places.append_column(name, column)
    return places


def _assigned(old: pa.Table, hits: pa.Table, statement: Statement) -> pa.Table:
    new = old
    for i, one in enumerate(statement.assignments):
        values = hits.column(f"v{i}").cast(statement.type_of(one.cell))
        name, _, inner = one.cell.partition(".")
        at = new.schema.get_field_index(name)
        if not inner:
            new = new.set_column(at, new.schema.field(at), values)
            continue
        kind = new.schema.field(at).type
        rows = new.num_rows
        parts = [values if f.name == inner else pa.nulls(rows, f.type) for f in kind]
        plain = [one_chunk(part) for part in parts]
        column = pa.StructArray.from_arrays(plain, fields=list(kind))
        other = new.set_column(at, new.schema.field(at), column)
        new = overlay(new, other, [(one.cell, np.ones(rows, dtype=bool))])
    return new


def _keep_changes(
    edits: dict[int, FileEdit], number: int, places: np.ndarray, old: pa.Table, new: pa.Table
) -> None:
    differing = changed_places(old, new.select(old.column_names))
    if len(differing):
        patch = new.take(pa.array(differing))
        edits[number] = FileEdit(rows=places[differing], patch=patch)


def _keep_unstated(old: pa.Table, new: pa.Table, stated: list[str]) -> pa.Table:
    """Return ``new`` with the fields of ``properties`` that it does not state from ``old``."""
    everywhere = np.ones(new.num_rows, dtype=bool)
    mixed = overlay(
        old.select(["properties"]), new.select(["properties"]), [(c, everywhere) for c in stated]
    )
    at = new.schema.get_field_index("properties")
    return new.set_column(at, new.schema.field(at), mixed.column(0))


def _checked_rows(rows: pa.Table, schema: TableSchema) -> pa.Table:
    missing = [name for name in schema.key if name not in rows.column_names]
    if missing:
        raise SchemaMismatchError(
            f"rows for table {schema.name!r} have no {missing[0]!r}, which is its key",
            hint="give every row its key",
        )
    given = [name for name in rows.column_names if name in schema.arrow.names]
    stray = [name for name in rows.column_names if name not in schema.arrow.names]
    if stray:
        raise SchemaMismatchError(
            f"table {schema.name!r} has no column {stray[0]!r}",
            hint=close_names(stray[0], schema.arrow.names),
        )
    fields = pa.schema([schema.arrow.field(name) for name in given])
    checked = conform(rows, TableSchema(name=schema.name, arrow=fields, key=()))
    keys = checked.select(list(schema.key))
    counts = keys.group_by(list(schema.key)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts.column("count_all"), 1))
    if twice.num_rows:
        said = ", ".join(f"{c} {twice.column(c)[0].as_py()!r}" for c in schema.key)
        raise DuplicateKeyError(
            f"rows for table {schema.name!r} have {said} twice", hint="keep one of them"
        )
    return checked
