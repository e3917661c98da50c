"""Merge of one table by key, with decisions that may differ for each group of a row's columns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.catalog.merging.conflicts import OURS, SET, THEIRS, Clash, ClashKind, Decisions
from registry.catalog.merging.merged import RowCounts
from registry.catalog.merging.sides import Sides

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.lake import Location
    from registry.tables.merge import TableMerge
    from registry.tables.schemas import TableSchema

__all__ = ["Merging", "merge_rows", "rows_of"]

_SAID = ("columns", "base", "ours", "theirs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """What became of one table."""

    counts: RowCounts
    """What was brought."""

    clashes: list[Clash] = field(default_factory=list)
    """Conflicts with their decisions; what is open stands as ours has it."""


def merge_rows(
    root: Path, sides: Sides, name: str, *, prefer: str | None, decisions: Decisions
) -> Merging:
    """Merge what theirs did to a table into a folder that has it as ours.

    Args:
        root: The folder.
        sides: The trees.
        name: The table.
        prefer: ``ours`` or ``theirs`` wherever ``decisions`` say nothing.
        decisions: What was decided.

    Returns:
        What was done. Where a conflict is open the folder holds what it would be with ours, so
        that what follows from it can be looked at; nobody may commit it.
    """
    found = _merged(root, sides, name, prefer=None if decisions else prefer or OURS)
    clashes = [
        clash.decided(decisions, prefer) for clash in _clashes(name, _schema(root, name), found)
    ]
    if found.conflicts.num_rows:
        found = _merged(root, sides, name, prefer=OURS, decisions=_whole_rows(clashes))
        _take_groups(root, sides, name, clashes)
    _set_values(root, name, clashes)
    counts = RowCounts(
        inserted=found.inserted,
        updated=found.updated,
        deleted=found.deleted,
        kept=found.kept,
        same=found.same,
    )
    return Merging(counts=counts, clashes=clashes)


def _merged(
    root: Path,
    sides: Sides,
    name: str,
    *,
    prefer: str | None,
    decisions: Mapping[tuple[object, ...], str] | None = None,
) -> "TableMerge":
    from registry.tables import merge

    repository, trees = sides.repository, sides.trees
    ours, theirs = repository.locate(trees.ours), repository.locate(trees.theirs)
    if name == "pixels":
        return merge.merge_pixels(theirs, into=root, base=sides.view("base"))
    return merge.merge_table(
        sides.view("base"), ours, theirs, into=root, name=name, prefer=prefer, decisions=decisions
    )


def _schema(root: Path, name: str) -> "TableSchema":
    from registry.tables import store

    return store.schema_of(root, name)


def _clashes(name: str, schema: "TableSchema", found: "TableMerge") -> list[Clash]:
    """Return conflicts, one for each group of coupled columns."""
    rows = [*found.conflicts.to_pylist(), *found.resolved.to_pylist()]
    return [clash for row in rows for clash in _split(name, schema, row)]


def _split(name: str, schema: "TableSchema", row: Mapping[str, Any]) -> Iterable[Clash]:
    key = tuple(value for column, value in row.items() if column not in _SAID)

    def clash(kind: ClashKind, columns: Sequence[str], sides: Mapping[str, str | None]) -> Clash:
        return Clash(
            kind=kind,
            table=name,
            key="/".join(map(str, key)),
            row=key,
            columns=tuple(columns),
            base=sides["base"],
            ours=sides["ours"],
            theirs=sides["theirs"],
        )

    if row["ours"] is None or row["theirs"] is None:
        yield clash(ClashKind.DELETED, row["columns"], row)
        return
    groups: dict[tuple[str, ...], list[str]] = {}
    for column in row["columns"]:
        groups.setdefault(schema.group_of(column), []).append(column)
    for columns in groups.values():
        sides = {side: _only(row[side], columns) for side in ("base", "ours", "theirs")}
        yield clash(ClashKind.ROW, columns, sides)


def _only(text: str | None, columns: Sequence[str]) -> str | None:
    if text is None:
        return None
    values = json.loads(text)
    kept = {name: values[name] for name in columns if name in values}
    return json.dumps(kept, ensure_ascii=False)


def _whole_rows(clashes: Iterable[Clash]) -> dict[tuple[object, ...], str]:
    """Return the side that each row is taken from, before single groups of it are put in."""
    said: dict[tuple[object, ...], set[str]] = {}
    for clash in clashes:
        side = clash.decision.side if clash.decision else OURS
        if side == SET:
            side = clash.keeper if clash.kind is ClashKind.DELETED else OURS
        said.setdefault(clash.row, set()).add(side)
    return {row: THEIRS if sides == {THEIRS} else OURS for row, sides in said.items()}


def _take_groups(root: Path, sides: Sides, name: str, clashes: Sequence[Clash]) -> None:
    """Put theirs' groups into rows of which other groups are ours'."""
    whole = _whole_rows(clashes)
    groups: dict[tuple[str, ...], list[Clash]] = {}
    for clash in clashes:
        theirs = clash.decision is not None and clash.decision.side == THEIRS
        if theirs and clash.kind is ClashKind.ROW and whole[clash.row] == OURS:
            groups.setdefault(clash.columns, []).append(clash)
    for columns, found in groups.items():
        _copy_cells(root, sides, name, columns, [clash.row for clash in found])


def _copy_cells(
    root: Path,
    sides: Sides,
    name: str,
    cells: Sequence[str],
    keys: Sequence[tuple[object, ...]],
) -> None:
    from registry.tables import edit, store

    view = sides.repository.locate(sides.trees.theirs)
    schema = store.schema_of(view, name)
    wanted = rows_of(view, schema, keys)
    edit.upsert(root, store.schema_of(root, name), _cells_of(wanted, schema, cells))


def rows_of(
    view: "Location", schema: "TableSchema", keys: Sequence[tuple[object, ...]]
) -> "pa.Table":
    """Return the rows of some keys, in any order; keys that are not there are passed over.

    Args:
        view: Where the table lies.
        schema: The table's.
        keys: Values of its key columns.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from registry.tables import store

    first = schema.key[0]
    values = pa.array([key[0] for key in keys], schema.arrow.field(first).type)
    rows = store.read(view, schema.name, filter=pc.is_in(pc.field(first), values))
    there = zip(*(rows.column(column).to_pylist() for column in schema.key), strict=True)
    asked = set(keys)
    return rows.filter(pa.array([key in asked for key in there], pa.bool_()))


def _cells_of(rows: "pa.Table", schema: "TableSchema", cells: Sequence[str]) -> "pa.Table":
    """Return the key and some cells; of coupled columns all, and of properties only the fields."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {column for cell in cells for column in schema.group_of(cell)}
    names = [n for n in rows.column_names if n in schema.key or n in columns]
    kept = rows.select([n for n in names if n not in schema.derived])
    fields = [c.removeprefix("properties.") for c in cells if c.startswith("properties.")]
    if fields:
        column = rows.column("properties").combine_chunks()
        parts = [pc.struct_field(column, field) for field in fields]
        kept = kept.append_column("properties", pa.StructArray.from_arrays(parts, fields))
    return kept


def _set_values(root: Path, name: str, clashes: Iterable[Clash]) -> None:
    from registry.tables import edit

    schema = _schema(root, name)
    for clash in clashes:
        if clash.decision is not None and clash.decision.side == SET:
            where = " and ".join(
                f"{_quoted(column)} = {_literal(value)}"
                for column, value in zip(schema.key, clash.row, strict=True)
            )
            edit.update(root, name, set=clash.decision.values, where=where)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
