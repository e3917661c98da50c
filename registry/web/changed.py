"""Which samples a difference touches, and what it did to each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.comparing.differing import field_of, rows_of, shape_text, value_text
from registry.tables.diff import DELETED, Differences

if TYPE_CHECKING:
    from registry.catalog.comparing.difference import DatasetDiff
    from registry.tables.changes import TableDiff

__all__ = ["Cell", "RowChange", "Touched", "touched"]

_SEEN_FIRST: Final = ("annotations", "assets", "samples")
_VALUE: Final = 160  # characters of a value on a page
_MOST_ROWS: Final = 40  # of one sample
_OUTLINE_COLUMNS: Final = frozenset({"geometry", "rle", "bbox", "hilbert", "area"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value that is not what it was."""

    column: str
    """Its column."""

    before: str
    """What it was, in words."""

    after: str
    """What it is, in words."""

    note: str
    """What is said instead where the values themselves tell nobody anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What became of one row."""

    table: str
    """Where it is."""

    key: str
    """Its key, without the sample that it is shown with."""

    kind: str
    """``inserted``, ``updated`` or ``deleted``."""

    cells: tuple[Cell, ...]
    """What changed of an updated row; what stands out of another."""

    row: Mapping[str, Any]
    """The row as :meth:`registry.tables.changes.TableDiff.batches` has it."""

    def side(self, name: str) -> dict[str, Any] | None:
        """Return the row ``before`` or ``after``; None where it is not there."""
        return self.row[name]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """The samples that a difference touches."""

    total: int
    """How many."""

    rows: Mapping[str, tuple[RowChange, ...]]
    """The first of them, each with what became of its rows."""

    more: Mapping[str, int]
    """How many further rows changed of those of which some are left out."""


def touched(found: "DatasetDiff", most: int) -> Touched:
    """Return the samples that a difference touches, those with something to see first.

    Args:
        found: The difference.
        most: How many at most.
    """
    tables = _ordered(found.tables)
    owners = {name: _owners(table) for name, table in tables.items()}
    everyone = pa.chunked_array(
        [chunk for owner in owners.values() for chunk in owner.chunks], pa.string()
    )
    every = pc.unique(everyone).drop_null()
    chosen = every.slice(0, most)
    rows: dict[str, list[RowChange]] = {name: [] for name in chosen.to_pylist()}
    more: dict[str, int] = {}
    for name, table in tables.items():
        mask = pc.is_in(owners[name], value_set=chosen)
        part = _only(table, mask)
        samples = owners[name].filter(mask).to_pylist()
        for sample, row in zip(samples, rows_of(part, found.systems), strict=True):
            if len(rows[sample]) < _MOST_ROWS:
                rows[sample].append(_row(table, row))
            else:
                more[sample] = more.get(sample, 0) + 1
    held = {name: tuple(changes) for name, changes in rows.items()}
    return Touched(total=len(every), rows=held, more=more)


def _ordered(tables: "Mapping[str, TableDiff]") -> "dict[str, TableDiff]":
    spoken = [
        name
        for name, table in tables.items()
        if table.total
        and not name.startswith("reports/")
        and (name == "samples" or "sample" in table.differences.schema.arrow.names)
    ]
    first = [name for name in _SEEN_FIRST if name in spoken]
    return {name: tables[name] for name in dict.fromkeys([*first, *spoken])}


def _owners(table: "TableDiff") -> pa.ChunkedArray:
    """Return the sample that each changed row belongs to."""
    rows = table.differences.rows
    if table.name == "samples":
        return rows.column("id")
    if "sample" in table.key:
        return rows.column("sample")
    return pa.chunked_array([_stated(part) for part in table.parts()], pa.string())


def _stated(part: Differences) -> pa.Array:
    gone = part.is_change(DELETED)
    names: np.ndarray = np.empty(len(gone), dtype=object)
    for side, mask in (("before", gone), ("after", ~gone)):
        if mask.any():
            names[mask] = part.values(["sample"], side=side, mask=mask)["sample"].to_pylist()
    return pa.array(names, pa.string())


def _only(table: "TableDiff", mask: pa.ChunkedArray) -> "TableDiff":
    found = table.differences
    return replace(table, differences=replace(found, rows=found.rows.filter(mask).combine_chunks()))


def _row(table: "TableDiff", row: dict[str, Any]) -> RowChange:
    names = [] if table.name == "samples" else [k for k in table.key if k != "sample"]
    return RowChange(
        table=table.name,
        key=" ".join(value_text(row[name]) for name in names),
        kind=row["change"],
        cells=tuple(_cells(table.name, row)),
        row=row,
    )


def _cells(table: str, row: Mapping[str, Any]) -> Iterator[Cell]:
    before, after = row["before"], row["after"]
    if row["change"] != "updated":
        yield from _standing_out(table, after or before)
        return
    columns: Sequence[str] = row["columns"] or ()
    moved = "geometry" in columns
    for column in columns:
        if column in _OUTLINE_COLUMNS and not (column == "geometry" or not moved):
            continue  # follows from the outline
        was, now = (field_of(side, column) for side in (before, after))
        note = ""
        if column == "geometry":
            note = shape_text(row.get("shape"))
        elif column == "pixels":
            note = "other pixels"
        yield Cell(column=column, before=_said(was), after=_said(now), note=note)


def _standing_out(table: str, row: Mapping[str, Any] | None) -> Iterator[Cell]:
    """Yield what a reader wants to know of a row that came or went."""
    wanted = {"annotations": ("category", "status"), "samples": ("label", "target")}
    for column in wanted.get(table, ("subset", "fold", "dtype", "shape")):
        value = (row or {}).get(column)
        if value not in (None, [], ""):
            yield Cell(column=column, before="", after="", note=_said(value))


def _said(value: object) -> str:
    words = isinstance(value, list) and value and all(isinstance(each, str) for each in value)
    return value_text(", ".join(value) if words else value, _VALUE)  # type: ignore[arg-type]
