"""Rows that went by one key and came back under another, with the same content."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from registry.tables.diff import DELETED, INSERTED

if TYPE_CHECKING:
    from registry.tables.changes import TableDiff

__all__ = ["MOST", "Rename", "renames"]

MOST: Final = 200_000
"""Rows that went or came in one table, beyond which nobody looks for renames."""

_LEAST: Final = 2  # values that rows must share: a class and a sample alone say nothing

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """A row that has another key than it had."""

    table: str
    """Where it is."""

    before: Key
    """The key it had."""

    after: Key
    """The key it has."""


def renames(tables: "Mapping[str, TableDiff]") -> tuple[Rename, ...]:
    """Return rows that vanished under one key and came under another with equal content.

    A sample's content is its pixels, by their hash; where it has none, and in every other table,
    it is what the row says besides its key. What belongs to a renamed sample counts as renamed with
    it and is not told again. Content that several rows share is nobody's mark, so it tells nothing.

    Args:
        tables: Differences by table.
    """
    found: list[Rename] = []
    samples: dict[object, object] = {}
    if "samples" in tables and _worthwhile(tables["samples"]):
        pairs = _of_samples(tables) or _of_rows(tables["samples"], {})
        found += [Rename(table="samples", before=b, after=a) for b, a in pairs]
        samples = {b[0]: a[0] for b, a in pairs}
    for name, table in tables.items():
        if name not in {"samples", "pixels"} and "sample" not in table.key and _worthwhile(table):
            pairs = _of_rows(table, samples)
            found += [Rename(table=name, before=b, after=a) for b, a in pairs]
    return tuple(found)


def _worthwhile(table: "TableDiff") -> bool:
    return bool(table.inserted and table.deleted) and max(table.inserted, table.deleted) <= MOST


def _of_samples(tables: "Mapping[str, TableDiff]") -> list[tuple[Key, Key]]:
    assets = tables.get("assets")
    if assets is None or not _worthwhile(assets):
        return []
    sides = []
    for side, kind in (("before", DELETED), ("after", INSERTED)):
        moved = {key[0] for key in _keys(tables["samples"], kind)}
        content: dict[object, set[object]] = {}
        for _, row in _rows(assets, side, kind):
            stored = row["pixels"] or row["checksum"]
            if stored and row["sample"] in moved:
                content.setdefault(row["sample"], set()).add((row["asset"], stored))
        sides.append({(sample,): frozenset(held) for sample, held in content.items()})
    return _matched(sides[0].items(), sides[1].items())


def _of_rows(table: "TableDiff", samples: Mapping[object, object]) -> list[tuple[Key, Key]]:
    sides = []
    for side, kind in (("before", DELETED), ("after", INSERTED)):
        marks = []
        for key, row in _rows(table, side, kind):
            if side == "before" and row.get("sample") in samples:
                row["sample"] = samples[row["sample"]]
            mark = _mark(row, table.key)
            if mark is not None:
                marks.append((key, mark))
        sides.append(marks)
    return _matched(*sides)


def _mark(row: Mapping[str, object], key: tuple[str, ...]) -> bytes | None:
    said = [(name, value) for name, value in sorted(row.items()) if name not in key]
    known = [value for _, value in said if value not in (None, [], "")]
    if len(known) < _LEAST:
        return None
    return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).digest()


def _matched(
    gone: Iterable[tuple[Key, object]], come: Iterable[tuple[Key, object]]
) -> list[tuple[Key, Key]]:
    before, after = _single(gone), _single(come)
    return [(key, after[mark]) for mark, key in before.items() if mark in after]


def _single(marked: Iterable[tuple[Key, object]]) -> dict[object, Key]:
    found: dict[object, Key] = {}
    twice = set()
    for key, mark in marked:
        if mark in found:
            twice.add(mark)
        found[mark] = key
    return {mark: key for mark, key in found.items() if mark not in twice}


def _keys(table: "TableDiff", kind: str) -> Iterator[Key]:
    yield from zip(*(column.to_pylist() for column in table.keys(kind).columns), strict=True)


def _rows(table: "TableDiff", side: str, kind: str) -> Iterator[tuple[Key, dict[str, Any]]]:
    derived = set(table.differences.schema.derived)
    names = [n for n in table.differences.schema.arrow.names if n not in derived]
    for part in table.parts():
        mask = part.is_change(kind)
        if np.any(mask):
            values = part.values(names, side=side, mask=mask)
            for row in values.to_pylist():
                yield tuple(row[name] for name in table.key), row
