"""A table of counts, asked for what measures need."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.bias.counting import (
    CELLS,
    DAYS,
    FACTS,
    JOINT,
    OBJECTS,
    PAIRS,
    SCORES,
    STRATA,
    TARGETS,
)
from registry.curate.bias.sorting import UNKNOWN

__all__ = ["ALL", "OTHERS", "Contingency", "Evidence"]

Floats = npt.NDArray[np.float64]

ALL: Final = "all"
"""Dimension of one stratum, which holds every sample."""

_MOST_CLASSES: Final = 50
_MOST_STRATA: Final = 500

OTHERS: Final = "(others)"
"""Stratum of the samples of all but the 500 most frequent strata of a dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contingency:
    """How often strata and classes, or two kinds of strata, come together."""

    rows: tuple[str, ...]
    """Strata."""

    columns: tuple[str, ...]
    """Classes, or strata of the other dimension."""

    counts: Floats
    """Shape ``(rows, columns)``."""

    totals: Floats
    """How many samples each stratum has, with or without a class; shape ``(rows,)``."""


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once
class Evidence:
    """What was counted."""

    counts: pa.Table = field(repr=False)
    """The columns of :data:`registry.curate.bias.counting.COUNTS`."""

    @cached_property
    def facts(self) -> dict[str, int]:
        """``samples``, ``unplaced``, ``undated``, ``unlabelled``."""
        rows = self._of(FACTS).select(["stratum", "count"]).to_pylist()
        found = {row["stratum"]: row["count"] for row in rows}
        names = ("samples", "unplaced", "undated", "unlabelled")
        return {name: found.get(name, 0) for name in names}

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.facts["samples"]

    @cached_property
    def _strata(self) -> dict[str, dict[str | None, dict[str, int]]]:
        found: dict[str, dict[str | None, dict[str, int]]] = {}
        rows = self._of(STRATA).select(["dimension", "stratum", "class", "count"])
        for dimension, stratum, one, count in zip(*_lists(rows), strict=True):
            found.setdefault(dimension, {}).setdefault(one, {})[stratum] = count
        return found

    @property
    def dimensions(self) -> list[str]:
        """What samples are sorted by, in order."""
        return sorted(name for name in self._strata if name != ALL)

    def strata(self, dimension: str, of_class: str | None = None) -> dict[str, int]:
        """Return how many samples each known stratum has; those of a class if one is named."""
        found: dict[str, int] = {}
        for name, count in sorted(self._strata.get(dimension, {}).get(of_class, {}).items()):
            if name != UNKNOWN:
                told = self._told(dimension, name)
                found[told] = found.get(told, 0) + count
        return found

    def _told(self, dimension: str, stratum: str) -> str:
        few = self._frequent.get(dimension)
        return stratum if few is None or stratum in few else OTHERS

    @cached_property
    def _frequent(self) -> dict[str, frozenset[str]]:
        """Return the most frequent strata of dimensions that have very many."""
        found = {}
        for dimension, by_class in self._strata.items():
            counts = by_class.get(None, {})
            if len(counts) > _MOST_STRATA:
                order = sorted(counts, key=lambda name: (-counts[name], name))
                found[dimension] = frozenset(order[:_MOST_STRATA])
        return found

    def unknown(self, dimension: str) -> int:
        """Return how many samples have no known stratum."""
        return self._strata.get(dimension, {}).get(None, {}).get(UNKNOWN, 0)

    @cached_property
    def classes(self) -> dict[str, int]:
        """How many samples each class has, most frequent first; the 50 most frequent."""
        found = {
            one: strata[ALL]
            for one, strata in self._strata.get(ALL, {}).items()
            if one is not None and ALL in strata
        }
        order = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
        return dict(order[:_MOST_CLASSES])

    @cached_property
    def every_class(self) -> int:
        """How many classes there are."""
        return len(self._strata.get(ALL, {}).keys() - {None})

    def by_class(self, dimension: str) -> Contingency:
        """Return strata by class."""
        totals = self.strata(dimension)
        counts = np.zeros((len(totals), len(self.classes)))
        for column, name in enumerate(self.classes):
            having = self.strata(dimension, name)
            counts[:, column] = [having.get(stratum, 0) for stratum in totals]
        return Contingency(
            rows=tuple(totals),
            columns=tuple(self.classes),
            counts=counts,
            totals=np.array(list(totals.values()), np.float64),
        )

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], list[tuple[str, str, int]]]:
        found: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
        names = ["dimension", "dimension2", "stratum", "stratum2", "count"]
        for one, other, first, second, count in zip(
            *_lists(self._of(PAIRS).select(names)), strict=True
        ):
            if UNKNOWN not in {first, second}:
                told = (self._told(one, first), self._told(other, second), count)
                found.setdefault((one, other), []).append(told)
        return found

    def pairs(self) -> Iterator[tuple[str, str, Contingency]]:
        """Yield two dimensions and how their known strata come together."""
        for one, other in sorted(self._pairs):
            found = self.pair(one, other)
            if found is not None:
                yield one, other, found

    def pair(self, one: str, other: str) -> Contingency | None:
        """Return how the known strata of two dimensions come together; None if they never do."""
        if (one, other) not in self._pairs:
            return None
        cells = self._pairs[one, other]
        rows = sorted({first for first, _, _ in cells})
        columns = sorted({second for _, second, _ in cells})
        row_of = {name: place for place, name in enumerate(rows)}
        column_of = {name: place for place, name in enumerate(columns)}
        counts = np.zeros((len(rows), len(columns)))
        for first, second, count in cells:
            counts[row_of[first], column_of[second]] += count
        return Contingency(
            rows=tuple(rows), columns=tuple(columns), counts=counts, totals=counts.sum(1)
        )

    def cells(self, of_class: str | None = None) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return occupied cells in order, and how many samples each has; of a class if named."""
        rows = self._cells
        wanted = (
            pc.is_null(rows["class"]) if of_class is None else pc.equal(rows["class"], of_class)
        )
        chosen = rows.filter(wanted).sort_by("number")
        return chosen["number"].to_numpy(), chosen["count"].to_numpy().astype(np.float64)

    @cached_property
    def _cells(self) -> pa.Table:
        return self._of(CELLS).select(["number", "class", "count"])

    def days(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return days since 1970-01-01 that have samples, in order, and how many."""
        rows = self._of(DAYS).sort_by("number")
        return rows["number"].to_numpy(), rows["count"].to_numpy()

    def joint(self) -> tuple[tuple[str, ...], dict[tuple[str, ...], int]]:
        """Return the dimensions that were counted together, and their combinations."""
        rows = self._of(JOINT)
        if not rows.num_rows:
            return (), {}
        names = tuple(rows["dimension"][0].as_py().split("\x1f"))
        texts, counts = rows["stratum"].to_pylist(), rows["count"].to_pylist()
        return names, {tuple(t.split("\x1f")): n for t, n in zip(texts, counts, strict=True)}

    def targets(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Return count, sum and sum of squares of the target's steps, by dimension and stratum."""
        found: dict[str, dict[str, tuple[int, int, int]]] = {}
        names = ["dimension", "stratum", "count", "total", "squares"]
        for dimension, stratum, *sums in zip(*_lists(self._of(TARGETS).select(names)), strict=True):
            found.setdefault(dimension, {})[stratum] = (sums[0], sums[1], sums[2])
        return found

    def scores(self) -> dict[tuple[str, str | None], dict[str, tuple[int, int]]]:
        """Return predictions and right ones by stratum, for each dimension and class."""
        found: dict[tuple[str, str | None], dict[str, tuple[int, int]]] = {}
        names = ["dimension", "class", "stratum", "count", "total"]
        for dimension, one, stratum, count, total in zip(
            *_lists(self._of(SCORES).select(names)), strict=True
        ):
            found.setdefault((dimension, one), {})[stratum] = (count, total)
        return found

    def objects(self) -> dict[str, Contingency]:
        """Return annotations by source and class, for each kind of source."""
        rows = self._of(OBJECTS).select(["dimension", "stratum", "class", "count"])
        found: dict[str, list[tuple[str, str, int]]] = {}
        for dimension, stratum, one, count in zip(*_lists(rows), strict=True):
            if stratum is not None and one is not None:
                found.setdefault(dimension, []).append((stratum, one, count))
        return {name: _table(cells) for name, cells in sorted(found.items())}

    def _of(self, kind: str) -> pa.Table:
        return self.counts.filter(pc.equal(self.counts["kind"], kind))


def _table(cells: list[tuple[str, str, int]]) -> Contingency:
    rows = sorted({stratum for stratum, _, _ in cells})
    columns = sorted({one for _, one, _ in cells})
    counts = np.zeros((len(rows), len(columns)))
    for stratum, one, count in cells:
        counts[rows.index(stratum), columns.index(one)] += count
    return Contingency(
        rows=tuple(rows), columns=tuple(columns), counts=counts, totals=counts.sum(1)
    )


def _lists(rows: pa.Table) -> list[list[Any]]:
    return [column.to_pylist() for column in rows.columns]
