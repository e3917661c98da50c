"""Tables written and read: rows in, rows out, a log that was checked before.

Rows come back in the order they were written, file by file.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.errors import ConflictError
from registry.lake import lazy
from registry.tables.chips import write_index
from registry.tables.commit import Change, append_entry, create_log, cut_log
from registry.tables.conform import close_names, conform, union
from registry.tables.errors import SchemaMismatchError, UnsafeTableError
from registry.tables.keys import check_new_keys, only_new_pixels
from registry.tables.log import LOG, DataFile, Root, Snapshot, folder_of, snapshot, table_folder
from registry.tables.rewrite import drop_files
from registry.tables.schemas import TableSchema, declared
from registry.tables.writing import layout_of, write_files

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = [
    "LOG_ENTRIES",
    "Rows",
    "append",
    "checkpoint",
    "count",
    "create",
    "exists",
    "files",
    "names",
    "overwrite",
    "read",
    "read_files",
    "scan",
    "schema_at",
    "schema_of",
    "stream_files",
]

Rows: TypeAlias = pa.Table | pa.RecordBatch | pa.RecordBatchReader | Iterable[pa.RecordBatch]
"""Rows in any of Arrow's forms."""

LOG_ENTRIES = 32
"""Entries a log has at most before it is cut to a checkpoint."""


def create(root: Root, schema: TableSchema) -> None:
    """Make an empty table.

    Args:
        root: The dataset's folder; must be writable.
        schema: What the table promises; its name says where it lies.

    Raises:
        ConflictError: There is one of that name.
    """
    if exists(root, schema.name):
        raise ConflictError(
            f"there is a table {schema.name!r} already", hint="append to it, or overwrite it"
        )
    create_log(table_folder(root, schema.name), schema)


def append(root: Root, schema: TableSchema, rows: Rows) -> int:
    """Add rows to a table, which is made if it is not there; all of them or none.

    Memory is bounded by one row group, whatever comes. Rows of ``pixels`` that are there already
    are left out: equal arrays are stored once.

    Args:
        root: The dataset's folder; must be writable.
        schema: The table's schema; columns that the table does not have yet are added to it.
        rows: Any of the schema's columns; the rest becomes null. Derived columns are computed,
            whatever the rows say of them.

    Returns:
        How many rows were added.

    Raises:
        SchemaMismatchError: The rows do not fit.
        DuplicateKeyError: A key comes twice, or is there already.

    Examples:
        >>> import tempfile
        >>> from registry.tables.schemas import SPLITS
        >>> with tempfile.TemporaryDirectory() as root:
        ...     append(root, SPLITS, pa.table({"sample": ["a", "b"], "subset": ["train", "test"]}))
        ...     read(root, "splits/default", columns=["subset"]).to_pylist()
        2
        [{'subset': 'train'}, {'subset': 'test'}]
    """
    if not exists(root, schema.name):
        create_log(table_folder(root, schema.name), schema)
    before = snapshot(root, schema.name)
    return _write(before, schema, rows, removed=())


def overwrite(root: Root, schema: TableSchema, rows: Rows) -> int:
    """Replace every row of a table, which is made if it is not there.

    Returns:
        How many rows it has now.

    Raises:
        SchemaMismatchError: The rows do not fit.
        DuplicateKeyError: A key comes twice.
    """
    if not exists(root, schema.name):
        create_log(table_folder(root, schema.name), schema)
    before = snapshot(root, schema.name)
    return _write(before, schema, rows, removed=before.files)


def read(
    root: Root,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    filter: pc.Expression | None = None,  # noqa: A002 — the domain's own word
) -> pa.Table:
    """Return a table, or some of its columns and rows.

    Args:
        root: The dataset's folder.
        name: The table.
        columns: Names, in the order wanted; all if None.
        filter: Which rows, such as ``pc.field("id") == "a"``; files that cannot have one are
            not read.

    Raises:
        TableNotFoundError: There is no such table.
        SchemaMismatchError: It has no such column.
        UnsafeTableError: Its log must not be followed.
    """
    found = snapshot(root, name)
    return read_files(found, found.files, columns=columns, filter=filter)


def read_files(
    found: Snapshot,
    files: Sequence[DataFile],
    *,
    columns: Sequence[str] | None = None,
    filter: pc.Expression | None = None,  # noqa: A002 — the domain's own word
) -> pa.Table:
    """Return rows of some data files of a table, in their order; as :func:`read` does."""  # noqa: DOC501 — a function makes the error
    schema = schema_at(found).arrow
    wanted = _chosen(schema, columns, found.name)
    dataset = _dataset(found, files)
    try:
        return dataset.to_table(columns=wanted.names, filter=filter).cast(wanted)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _translated(error, found, filter, schema) from error


def scan(
    root: Root, name: str, columns: Sequence[str] | None = None, *, rows: int | None = None
) -> pa.RecordBatchReader:
    """Return a table as a stream that holds about one row group.

    Args:
        root: The dataset's folder.
        name: The table.
        columns: Names, in the order wanted; all if None.
        rows: Rows a batch has at most; by default 65,536, or 64 of ``pixels``.

    Raises:
        TableNotFoundError: There is no such table.
        SchemaMismatchError: It has no such column.
        UnsafeTableError: Its log must not be followed.
    """
    found = snapshot(root, name)
    schema = schema_at(found)
    wanted = _chosen(schema.arrow, columns, name)
    batch = rows or layout_of(schema).batch_rows
    stream = _stream(found, found.files, wanted, batch)
    return pa.RecordBatchReader.from_batches(wanted, stream)


def stream_files(
    found: Snapshot, files: Sequence[DataFile], columns: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """Return a stream of some data files of a table, as :func:`scan` does."""
    schema = schema_at(found)
    wanted = _chosen(schema.arrow, columns, found.name)
    stream = _stream(found, files, wanted, layout_of(schema).batch_rows)
    return pa.RecordBatchReader.from_batches(wanted, stream)


def schema_of(root: Root, name: str) -> TableSchema:
    """Return a table's schema as it is now: the declared one and what the dataset added.

    Raises:
        TableNotFoundError: There is no such table.
    """
    return schema_at(snapshot(root, name))


def exists(root: Root, name: str) -> bool:
    """Return whether a dataset has a table of this name."""
    return (table_folder(root, name) / LOG).is_dir()


def names(root: Root) -> list[str]:
    """Return the names of a dataset's tables, sorted."""
    base = folder_of(root)
    logs = itertools.chain(base.glob(f"*/{LOG}"), base.glob(f"*/*/{LOG}"))
    return sorted(str(log.parent.relative_to(base)) for log in logs)


def files(root: Root, name: str) -> list[Path]:
    """Return where a table's data files lie, in the order of their rows."""
    found = snapshot(root, name)
    return [Path(path) for path in found.paths()]


def count(root: Root, name: str) -> int:
    """Return how many rows a table has, from its log where that says so."""
    found = snapshot(root, name)
    return sum(
        _counted(path) if one.rows is None else one.rows
        for one, path in zip(found.files, found.paths(), strict=True)
    )


def _counted(path: str) -> int:
    lazy.ensure(path)
    return int(pq.read_metadata(path).num_rows)


def checkpoint(root: Root, name: str) -> None:
    """Cut a table's log to one checkpoint of where it stands, as publishing does."""
    cut_log(folder_of(root), name)


def _write(before: Snapshot, schema: TableSchema, rows: Rows, removed: Sequence[DataFile]) -> int:
    from registry.tables.derive import derive  # geometry is loaded by writers alone

    current = schema_at(before)
    arrow = union(current.arrow, schema.arrow, table=schema.name)
    target = replace(current, arrow=arrow)
    batches: Iterator[pa.RecordBatch] = (
        batch
        for part in _batches(rows)
        for batch in derive(conform(part, target), target, strict=False).to_batches()
        if batch.num_rows
    )
    kept = [] if removed else list(before.files)
    if schema.name == "pixels":
        batches = only_new_pixels(before.folder, kept, batches)
    written: list[DataFile] = []
    try:
        for file in write_files(before.folder, target, batches):
            written.append(file)
            if schema.name == "pixels":
                write_index(before.folder, file)
        check_new_keys(before, target, kept, written)
        same = {one.path for one in removed} & {one.path for one in written}
        change = Change(
            added=[one for one in written if one.path not in same],
            removed=[one for one in removed if one.path not in same],
            arrow=arrow,
        )
        append_entry(before, change)
    except BaseException:
        active = {one.path for one in before.files}
        drop_files(before, [one for one in written if one.path not in active])
        raise
    drop_files(before, change.removed)
    cut_log(_root_of(before), before.name, after=LOG_ENTRIES)
    return sum(one.rows or 0 for one in written)


def _root_of(before: Snapshot) -> Path:
    return before.folder.parents[before.name.count("/")]


def _batches(rows: Rows) -> Iterator[pa.RecordBatch]:
    if isinstance(rows, pa.RecordBatch):
        return iter([rows])
    if isinstance(rows, pa.Table):
        return iter(rows.to_batches())
    return iter(rows)


def schema_at(found: Snapshot) -> TableSchema:
    """Return the schema that a snapshot of a table has."""
    known = declared(found.name)
    said = {k: v for k, v in found.configuration.items() if not k.startswith("delta.")}
    key = tuple(column for column in said.pop("eolab.key", "").split(",") if column)
    properties = tuple(sorted(said.items()))
    if known is None:
        return TableSchema(name=found.name, arrow=found.arrow, key=key, properties=properties)
    fields = [_described(field, known.arrow) for field in found.arrow]
    return replace(known, arrow=pa.schema(fields), properties=properties)


def _described(field: pa.Field, known: pa.Schema) -> pa.Field:
    """Return a field with what Delta does not keep of its declaration."""
    if field.name in known.names and known.field(field.name).type == field.type:
        return known.field(field.name).with_nullable(field.nullable)
    return field


def _chosen(schema: pa.Schema, columns: Sequence[str] | None, table: str) -> pa.Schema:
    for name in columns or ():
        if name not in schema.names:
            raise SchemaMismatchError(
                f"table {table!r} has no column {name!r}", hint=close_names(name, schema.names)
            )
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def _dataset(found: Snapshot, files: Sequence[DataFile]) -> "ds.Dataset":
    import pyarrow.dataset as ds  # late: it brings pandas along, which most commands never need

    plain = pa.schema([pa.field(f.name, f.type) for f in found.arrow])
    lazy.ensure(*found.paths(files))
    return ds.dataset(found.paths(files), schema=plain, format="parquet")


def _stream(
    found: Snapshot, files: Sequence[DataFile], wanted: pa.Schema, rows: int
) -> Iterator[pa.RecordBatch]:
    whole = TableSchema(name="rows", arrow=wanted, key=())
    lazy.ensure(*found.paths(files))
    for path in found.paths(files):
        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                there = [name for name in wanted.names if name in file.schema_arrow.names]
                for batch in file.iter_batches(batch_size=rows, columns=there):
                    yield from conform(batch, whole).to_batches()
        except (pa.ArrowException, OSError) as error:
            raise _translated(error, found, None, wanted) from error


def _translated(
    error: Exception, found: Snapshot, wanted: pc.Expression | None, schema: pa.Schema
) -> SchemaMismatchError | UnsafeTableError:
    problem = str(error).splitlines()[0]
    if wanted is not None and ("No match for FieldRef" in problem or "no kernel" in problem):
        return SchemaMismatchError(
            f"table {found.name!r} cannot be filtered by {wanted}: {problem}",
            hint=f"its columns are {', '.join(schema.names)}",
        )
    return UnsafeTableError(
        f"a data file of table {found.name!r} cannot be read: {problem}",
        hint="eolab fsck finds out more",
    )
