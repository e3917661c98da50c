"""Whose value it is: two sides' changes since a common base, row by row, group by group."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.tables.diff import DELETED, INSERTED, Differences
from registry.tables.engine import connection
from registry.tables.equality import differing_cells
from registry.tables.rows import cells_of, one_chunk, quoted
from registry.tables.schemas import TableSchema

__all__ = ["Resolution", "no_conflicts", "resolve"]

_SIDES = ("base", "ours", "theirs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What of theirs' changes comes to ours; masks run over theirs' changed rows."""

    insert: np.ndarray
    """Rows to insert."""

    delete: np.ndarray
    """Rows to delete."""

    take: Mapping[str, np.ndarray]
    """For each cell, the rows of ours that take theirs' value."""

    conflicts: pa.Table
    """What nobody decided."""

    resolved: pa.Table
    """What a decision settled."""

    @property
    def patched(self) -> np.ndarray:
        """Rows of ours that take a value."""
        found = np.zeros(len(self.insert), dtype=bool)
        for mask in self.take.values():
            found |= mask
        return found


@dataclass(frozen=True, slots=True)
class _Conflict:
    ours: int
    """Row of ours' changes."""

    theirs: int
    """Row of theirs' changes."""

    cells: tuple[str, ...]
    """Cells that both changed; all that were changed where one side deleted."""

    winner: str | None
    """``ours``, ``theirs``, or None where nobody decided."""


def resolve(
    mine: Differences,
    their: Differences,
    *,
    prefer: str | None,
    decisions: Mapping[tuple[object, ...], str],
) -> Resolution:
    """Decide, for every row that theirs changed, what of it comes to ours.

    Args:
        mine: What ours did since base; of the same columns as ``their``.
        their: What theirs did since base.
        prefer: Side that wins what ``decisions`` leave open; None leaves it a conflict.
        decisions: Side by key.

    Returns:
        What to insert, delete and take, and the conflicts.
    """
    ours, theirs = _pairs(mine, their)
    inserted, deleted = their.is_change(INSERTED), their.is_change(DELETED)
    alone = np.ones(their.rows.num_rows, dtype=bool)
    alone[theirs] = False
    fixed = {*their.schema.key, *their.schema.derived}  # derived values follow from the others
    cells = [cell for cell in cells_of(their.schema.arrow) if cell not in fixed]
    changed = _changed(their, cells)
    take = {cell: changed[cell] & alone for cell in cells}
    insert, delete = inserted & alone, deleted & alone
    clashes = _Clashes(mine, their, prefer=prefer, decisions=decisions)

    kinds = (mine.is_change(DELETED)[ours], deleted[theirs])
    one_gone = kinds[0] ^ kinds[1]
    found = clashes.of_deletions(ours[one_gone], theirs[one_gone], changed, delete)
    for clash in found:
        if clash.winner == "theirs":
            (delete if deleted[clash.theirs] else insert)[clash.theirs] = True
    both = ~kinds[0] & ~kinds[1]
    found += clashes.of_values(ours[both], theirs[both], changed, take)
    return Resolution(
        insert=insert,
        delete=delete,
        take=take,
        conflicts=clashes.table([one for one in found if one.winner is None]),
        resolved=clashes.table([one for one in found if one.winner is not None]),
    )


def no_conflicts(schema: TableSchema | None) -> pa.Table:
    """Return an empty table of conflicts."""
    keys = [pa.field(k, schema.arrow.field(k).type) for k in schema.key] if schema else []
    return _conflict_schema(keys).empty_table()


def _conflict_schema(keys: Sequence[pa.Field]) -> pa.Schema:
    sides = [pa.field(side, pa.string()) for side in _SIDES]
    return pa.schema([*keys, pa.field("columns", pa.list_(pa.string())), *sides])


class _Clashes:
    """Finds what both sides touched, and says who wins."""

    def __init__(
        self,
        mine: Differences,
        their: Differences,
        *,
        prefer: str | None,
        decisions: Mapping[tuple[object, ...], str],
    ) -> None:
        self._mine, self._their = mine, their
        self._prefer, self._decisions = prefer, decisions
        self._keys = list(their.schema.key)

    def of_deletions(
        self,
        ours: np.ndarray,
        theirs: np.ndarray,
        changed: Mapping[str, np.ndarray],
        delete: np.ndarray,
    ) -> list[_Conflict]:
        """Return clashes of rows that one side deleted and the other changed; fills ``delete``.

        Args:
            ours: Row numbers of our changes, unitless; shape ``(row,)``.
            theirs: The same keys' row numbers among theirs, unitless; shape ``(row,)``.
            changed: For each cell, which rows theirs changed.
            delete: Rows that theirs deleted and ours left alone, but for what is derived.
        """
        found = []
        mine = _changed(self._mine, list(changed))
        gone = self._their.is_change(DELETED)
        for i, j in zip(ours.tolist(), theirs.tolist(), strict=True):
            touched = [c for c in changed if (mine[c][i] if gone[j] else changed[c][j])]
            if touched:
                found.append(_Conflict(i, j, tuple(touched), self._winner(j)))
            else:
                delete[j] |= gone[j]
        return found

    def of_values(
        self,
        ours: np.ndarray,
        theirs: np.ndarray,
        changed: Mapping[str, np.ndarray],
        take: Mapping[str, np.ndarray],
    ) -> list[_Conflict]:
        """Return clashes of rows that both sides changed or inserted; fills ``take``.

        Args:
            ours: Row numbers of our changes, unitless; shape ``(row,)``.
            theirs: The same keys' row numbers among theirs, unitless; shape ``(row,)``.
            changed: For each cell, which rows theirs changed.
            take: For each cell, which rows are taken from theirs; filled here.
        """
        if not len(ours):
            return []
        cells = list(changed)
        differing = self._differing(ours, theirs, cells)
        my_changes = self._touched(self._mine, ours, cells)
        their_changes = self._touched(self._their, theirs, cells)
        clashing: dict[int, list[str]] = {}
        for group in _groups(self._their.schema, cells):
            i_did = np.logical_or.reduce([my_changes[cell] for cell in group])
            they_did = np.logical_or.reduce([their_changes[cell] for cell in group])
            apart = np.logical_or.reduce([differing[cell] for cell in group])
            for cell in group:
                take[cell][theirs] |= they_did & ~i_did & differing[cell]
            for at in np.flatnonzero(i_did & they_did & apart).tolist():
                if self._winner(int(theirs[at])) == "theirs":
                    for cell in group:
                        take[cell][theirs[at]] = differing[cell][at]
                clashing.setdefault(at, []).extend(c for c in group if differing[c][at])
        return [
            _Conflict(int(ours[at]), int(theirs[at]), tuple(cells), self._winner(int(theirs[at])))
            for at, cells in sorted(clashing.items())
        ]

    def table(self, found: Sequence[_Conflict]) -> pa.Table:
        """Return conflicts with the three sides' values as JSON text."""
        schema = no_conflicts(self._their.schema).schema
        if not found:
            return schema.empty_table()
        theirs = np.array([one.theirs for one in found])
        keys = self._their.rows.select(self._keys).take(pa.array(theirs))
        sides = [self._side(found, side) for side in _SIDES]
        columns = pa.array([list(one.cells) for one in found], pa.list_(pa.string()))
        arrays = [*keys.columns, columns, *(pa.array(side, pa.string()) for side in sides)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _winner(self, theirs: int) -> str | None:
        if not self._decisions:
            return self._prefer
        key = tuple(self._their.rows.column(k)[theirs].as_py() for k in self._keys)
        return self._decisions.get(key, self._prefer)

    def _differing(
        self, ours: np.ndarray, theirs: np.ndarray, cells: Sequence[str]
    ) -> dict[str, np.ndarray]:
        names = list(dict.fromkeys(_column(cell) for cell in cells))
        left = _values(self._mine, names, ours)
        right = _values(self._their, names, theirs)
        return differing_cells(left, right, list(cells))

    def _touched(
        self, side: Differences, rows: np.ndarray, cells: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return the cells that a side changed; of an inserted row, those that it gave a value."""
        touched = {cell: mask[rows] for cell, mask in _changed(side, cells).items()}
        fresh = side.is_change(INSERTED)[rows]
        if fresh.any():
            names = list(dict.fromkeys(_column(cell) for cell in cells))
            values = _values(side, names, rows)
            empty = values.schema.empty_table().slice(0, 0)
            nothing = pa.table(
                [pa.nulls(len(rows), field.type) for field in empty.schema], schema=_nullable(empty)
            )
            given = differing_cells(values, nothing, list(cells))
            touched = {cell: np.where(fresh, given[cell], mask) for cell, mask in touched.items()}
        return touched

    def _side(self, found: Sequence[_Conflict], side: str) -> list[str | None]:
        source, end = {
            "base": (self._their, "before"),
            "ours": (self._mine, "after"),
            "theirs": (self._their, "after"),
        }[side]
        rows = np.array([one.ours if side == "ours" else one.theirs for one in found])
        absent = source.is_change(INSERTED if end == "before" else DELETED)[rows]
        names = list(dict.fromkeys(_column(c) for one in found for c in one.cells))
        names = [name for name in names if name in source.schema.arrow.names]
        values = _values(source, names, rows[~absent], end=end).to_pylist()
        texts = iter([
            _json(row, one.cells)
            for row, one in zip(
                values, (f for f, gone in zip(found, absent, strict=True) if not gone), strict=True
            )
        ])
        return [None if gone else next(texts) for gone in absent]


def _pairs(mine: Differences, their: Differences) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that both sides touched: places among ours' and theirs' changes."""
    keys = list(their.schema.key)
    names = ", ".join(quoted(key) for key in keys)
    with connection(locked=False) as engine:
        for view, side in (("o", mine), ("t", their)):
            numbers = pa.array(np.arange(side.rows.num_rows))
            engine.register(view, side.rows.select(keys).append_column(f"__{view}", numbers))
        sql = f"select __o, __t from o join t using ({names}) order by __t"  # noqa: S608 — quoted, declared names
        hits = engine.sql(sql).to_arrow_table()
    return hits.column(0).to_numpy(), hits.column(1).to_numpy()


def _changed(side: Differences, cells: Sequence[str]) -> dict[str, np.ndarray]:
    """Return which rows of a side's changes have each cell among their columns."""
    lists = one_chunk(side.rows.column("columns"))
    masks = {cell: np.zeros(side.rows.num_rows, dtype=bool) for cell in cells}
    if side.rows.num_rows:
        parents = np.asarray(pc.list_parent_indices(lists))
        names = np.asarray(pc.list_flatten(lists).to_pylist(), dtype=object)
        for cell in cells:
            masks[cell][parents[names == cell]] = True
    return masks


def _groups(schema: TableSchema, cells: Sequence[str]) -> list[list[str]]:
    """Return cells in the groups that never mix."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        groups.setdefault(schema.group_of(cell), []).append(cell)
    return list(groups.values())


def _values(
    side: Differences, names: Sequence[str], rows: np.ndarray, *, end: str = "after"
) -> pa.Table:
    mask = np.zeros(side.rows.num_rows, dtype=bool)
    mask[rows] = True
    order = np.argsort(np.argsort(rows, kind="stable"), kind="stable")
    return side.values(names, side=end, mask=mask).take(pa.array(order))


def _column(cell: str) -> str:
    return "properties" if cell.startswith("properties.") else cell


def _nullable(table: pa.Table) -> pa.Schema:
    return pa.schema([field.with_nullable(nullable=True) for field in table.schema])


def _json(row: Mapping[str, Any], cells: Sequence[str]) -> str:
    said = {}
    for cell in cells:
        name = _column(cell)
        value = row.get(name)
        if name != cell and isinstance(value, dict):
            value = value.get(cell.removeprefix("properties."))
        said[cell] = _plain(value, name)
    return json.dumps(said, ensure_ascii=False, sort_keys=True)


def _plain(value: Any, name: str) -> Any:  # noqa: ANN401 — any value, checked by its kind
    if isinstance(value, bytes):
        return shapely.from_wkb(value).wkt if name == "geometry" else value.hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if isinstance(value, dict):
        return {key: _plain(inner, "") for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, "") for inner in value]
    return value
