"""What a source says now replaces what it said before, and only where the two differ."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.ingest.rows import Rows
from registry.tables import edit, store
from registry.tables.schemas import (
    ANNOTATIONS,
    ASSETS,
    PIXELS,
    TableSchema,
    reports_schema,
    splits_schema,
)

__all__ = ["Written", "write_source"]

REPORT: Final = reports_schema("ingest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How many samples a source has, by what became of them."""

    added: int
    """Not there before."""

    changed: int
    """There before, but themselves, an asset or an annotation were different."""

    unchanged: int
    """There before, all equal."""

    removed: int
    """There before, no longer in the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    upserts: pa.Table
    deletes: pa.Table
    touched: pa.ChunkedArray


def write_source(
    root: Path,
    rows: Rows,
    findings: pa.Table,
    pixels: Callable[[pa.Table], Iterable[pa.RecordBatch]],
) -> Written:
    """Write a source's rows into the tables of its branch.

    Args:
        root: A workspace of the branch.
        rows: What the source says.
        findings: Rows of ``reports/ingest``.
        pixels: Returns rows of ``pixels`` for those of ``rows.pixels`` that it is given.

    Returns:
        What became of the samples; where nothing differs, no file was touched.
    """
    known = _known_pixels(root)
    new = rows.pixels.filter(pc.invert(pc.is_in(rows.pixels["sha256"], value_set=known)))
    if len(new):
        store.append(root, PIXELS, pixels(new))
    before = store.read(root, "samples", columns=["id"])["id"] if _has(root, "samples") else None
    touched = [
        _apply(root, schema, table, owner)
        for schema, table, owner in (
            (rows.samples_schema, rows.samples, "id"),
            (ASSETS, rows.assets, "sample"),
            (ANNOTATIONS, rows.annotations, "sample"),
            *((schema, table, "sample") for schema, table in _splits(root, rows)),
        )
    ]
    _write_report(root, findings)
    return _counted(rows.samples["id"], before, touched)


def _has(root: Path, name: str) -> bool:
    return store.exists(root, name)


def _splits(root: Path, rows: Rows) -> Iterator[tuple[TableSchema, pa.Table]]:
    """Yield the source's splits, and those without rows that it had before and has no longer."""
    before = {name.partition("/")[2] for name in store.names(root) if name.startswith("splits/")}
    for name in sorted(before | rows.splits.keys()):
        schema = splits_schema(name, [("method", "as the source says")])
        yield (
            schema,
            rows.splits[name].cast(schema.arrow) if name in rows.splits else schema.empty(),
        )


def _known_pixels(root: Path) -> pa.Array:
    if not _has(root, "pixels"):
        return pa.array([], pa.binary())
    return store.read(root, "pixels", columns=["sha256"])["sha256"].combine_chunks()


def _apply(root: Path, schema: TableSchema, rows: pa.Table, owner: str) -> pa.ChunkedArray:
    """Bring a table to these rows.

    Returns:
        The ids of the samples that it touches.
    """
    if not _has(root, schema.name):
        if len(rows):
            store.append(root, schema, rows)
        return rows[owner]
    before = store.read(root, schema.name)
    difference = _difference(schema, before, rows, owner)
    if len(difference.deletes):
        edit.delete(root, schema.name, keys=difference.deletes)
    if len(difference.upserts):
        edit.upsert(root, schema, difference.upserts)
    return difference.touched


def _difference(schema: TableSchema, before: pa.Table, after: pa.Table, owner: str) -> _Difference:
    """Compare two states of a table by key and whole row.

    Returns:
        What makes the one the other.
    """
    columns = list(dict.fromkeys([*after.column_names, *before.column_names]))
    key = ", ".join(f'"{name}"' for name in schema.key)
    same_row = ", ".join(f'"{name}"' for name in columns)
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        connection.register("after", _plain(after, columns, before))
        connection.register("before", _plain(before, columns, after))
        changed = connection.sql(
            f"select place from (select {same_row} from after except select {same_row} from before)"  # noqa: S608 — names of columns, quoted
            f" join (select {key}, row_number() over () - 1 as place from after) using ({key})"
            " order by place"
        ).to_arrow_table()
        gone = connection.sql(
            f'select {key}, "{owner}" as _owner from before anti join after using ({key})'  # noqa: S608 — as above
        ).to_arrow_table()
    upserts = after.take(changed["place"])
    return _Difference(
        upserts=upserts,
        deletes=gone.select(list(schema.key)),
        touched=pa.chunked_array([*upserts[owner].chunks, *gone["_owner"].chunks], pa.string()),
    )


def _plain(table: pa.Table, columns: list[str], other: pa.Table) -> pa.Table:
    """Return a table with all columns, without the metadata that would make them other types."""
    arrays = {
        name: table[name]
        if name in table.column_names
        else pa.nulls(len(table), other.schema.field(name).type)
        for name in columns
    }
    return pa.table(arrays)


def _write_report(root: Path, findings: pa.Table) -> None:
    before = store.read(root, REPORT.name) if _has(root, REPORT.name) else REPORT.empty()
    if not before.select(findings.column_names).sort_by("id").equals(findings.sort_by("id")):
        store.overwrite(root, REPORT, findings)


def _counted(
    now: pa.ChunkedArray, before: pa.ChunkedArray | None, touched: list[pa.ChunkedArray]
) -> Written:
    if before is None:
        return Written(added=len(now), changed=0, unchanged=0, removed=0)
    known = before.combine_chunks()
    kept = now.filter(pc.is_in(now, value_set=known))
    ids = pa.chunked_array([chunk for one in touched for chunk in one.chunks], pa.string())
    changed = pc.sum(pc.is_in(kept, value_set=ids.unique())).as_py() or 0
    return Written(
        added=len(now) - len(kept),
        changed=changed,
        unchanged=len(kept) - changed,
        removed=len(known) - len(kept),
    )
