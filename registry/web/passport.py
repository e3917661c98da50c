"""The bias passport: one HTML file that says what a version shows too much and too little of."""

import math
from calendar import month_name
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.compute as pc

from registry.curate.bias.words import amount, kind
from registry.web.coverage import coverage_map
from registry.web.maps import graticule
from registry.web.paper import filled, written

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.curate.bias.report import BiasReport

__all__ = ["render"]

_MOST_BARS: Final = 14
_MOST_CLASSES: Final = 12
_MOST_SAID: Final = 16
_MOST_GRIDS: Final = 3
_FEW: Final = 6
_MOST_FIGURES: Final = 500
_MONTHS: Final = ("J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D")
_CHAPTERS: Final = (
    ("shortcut", "Shortcuts", ("shortcut", "label-source", "split-shift")),
    ("score", "Scores", ("score",)),
    ("target", "Quantities", ("target",)),
    ("two", "Two strata at once", ("intersection",)),
    ("space", "Clusters in space", ("coverage", "range", "clustering", "join-count")),
    ("gap", "Gaps in time", ("gap", "empty-months", "season-balance", "month")),
    ("weights", "Weights", ("effective-size",)),
)
_DRAWN: Final = frozenset({"divergence", "empty"})  # beside the bars of their dimension
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """One stratum beside the reference."""

    name: str
    count: int
    share: float
    reference: float
    scale: float
    ratio: str
    interval: str
    flagged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One dimension."""

    name: str
    bars: tuple[_Bar, ...]
    further: int
    divergence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Classes over strata: which share of a class lies in each."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[tuple[str, int], ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chapter:
    """Figures of one kind, in words."""

    anchor: str
    title: str
    rows: tuple[Row, ...]
    further: int
    by_chance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Year:
    """Samples by month of one year."""

    name: str
    months: tuple[tuple[str, int, int], ...]


def render(report: "BiasReport", version: "Version", out: Path) -> None:
    """Draw a bias report as one HTML file that needs nothing else.

    Args:
        report: What was measured.
        version: The version that it is about.
        out: The file to write, replaced if it is there; its folder is made.

    Raises:
        OSError: The file cannot be written.
    """
    written(out, filled("passport.html.j2", _facts(report, version)))


def _facts(report: "BiasReport", version: "Version") -> dict[str, Any]:
    coverage = coverage_map(report.cells())
    flagged = [
        row
        for row in report.measures.to_pylist()
        if row["flagged"] and row["measure"] not in _DRAWN
    ]
    return {
        "report": report,
        "title": version.spec.title or version.dataset,
        "coverage": coverage,
        "graticule": graticule(coverage.frame),
        "scale_bar": coverage.frame.scale_bar(),
        "numbers": _numbers(report, coverage.occupied),
        "said": flagged[:_MOST_SAID],
        "unsaid": max(0, len(flagged) - _MOST_SAID),
        "panels": list(_panels(report)),
        "grids": list(_grids(report)),
        "years": _years(report),
        "month_names": _MONTHS,
        "chapters": [found for one in _CHAPTERS if (found := _chapter(report, *one))],
        "figures": report.measures.slice(0, _MOST_FIGURES).to_pylist(),
        "amount": amount,
        "kind": kind,
    }


def _numbers(report: "BiasReport", occupied: int) -> list[tuple[str, int]]:
    missing = [
        ("without a place", report.unplaced),
        ("without a time", report.undated),
        ("without a class", report.unlabelled),
        ("outside the reference", report.outside),
    ]
    return [
        ("samples", report.samples),
        ("figures flagged", report.flagged),
        ("cells with a sample", occupied),
        *((name, count) for name, count in missing if count),
    ]


def _panels(report: "BiasReport") -> Iterator[_Panel]:
    divergences = {row["dimension"]: row for row in report.of("divergence")}
    found: dict[str, list[Row]] = {}
    for row in report.of("representation"):
        found.setdefault(row["dimension"], []).append(row)
    by_weight = sorted(found, key=lambda name: -((divergences.get(name) or {}).get("value") or 0))
    for name in by_weight:
        rows = sorted(
            found[name], key=lambda row: -max(row["share"] or 0, row["reference_share"] or 0)
        )
        most = max(max(row["share"] or 0, row["reference_share"] or 0) for row in rows) or 1
        one = divergences.get(name)
        yield _Panel(
            name=kind(name),
            bars=tuple(_bar(row, most) for row in rows[:_MOST_BARS]),
            further=max(0, len(rows) - _MOST_BARS),
            divergence=f"{one['value']:.2f} bit" if one and one["value"] is not None else "",
        )


def _bar(row: Row, most: float) -> _Bar:
    low, high = row["low"], row["high"]
    known = low is not None and high is not None
    return _Bar(
        name=row["stratum"] or "",
        count=row["count"] or 0,
        share=row["share"] or 0.0,
        reference=row["reference_share"] or 0.0,
        scale=1 / most,
        ratio=_short(row["value"]),
        interval=f"{_short(low)}\N{EN DASH}{_short(high)}" if known else "",
        flagged=bool(row["flagged"]),
    )


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004 — two digits


def _grids(report: "BiasReport") -> Iterator[_Grid]:
    told = [*report.of("shortcut"), *report.of("association")]
    names = list(dict.fromkeys(row["dimension"] for row in told if row["dimension"]))
    for name in names[:_MOST_GRIDS]:
        rows = [row for row in report.strata(name).to_pylist() if row["class"] is not None]
        if grid := _grid(name, rows):
            yield grid


def _grid(name: str, rows: list[Row]) -> _Grid | None:
    totals: dict[str, int] = {}
    strata: dict[str, int] = {}
    for row in rows:
        totals[row["class"]] = totals.get(row["class"], 0) + row["count"]
        strata[row["stratum"]] = strata.get(row["stratum"], 0) + row["count"]
    classes = sorted(totals, key=lambda one: -totals[one])[:_MOST_CLASSES]
    columns = sorted(strata, key=lambda one: -strata[one])[:_MOST_CLASSES]
    if len(classes) < 2 or len(columns) < 2:  # noqa: PLR2004 — nothing to compare
        return None
    counts = {(row["class"], row["stratum"]): row["count"] for row in rows}
    return _Grid(
        name=kind(name),
        columns=tuple(columns),
        rows=tuple(
            (
                one,
                totals[one],
                tuple(
                    (f"{100 * share:.0f}" if share else "", _level(share))
                    for share in (counts.get((one, column), 0) / totals[one] for column in columns)
                ),
            )
            for one in classes
        ),
    )


def _level(share: float) -> int:
    """Return how strong a colour stands for a share in [0, 1]: 0 for none, up to 4."""
    return math.ceil(4 * share)


def _years(report: "BiasReport") -> list[_Year]:
    days = report.days()
    if not days.num_rows:
        return []
    years, months = pc.year(days["day"]).to_numpy(), pc.month(days["day"]).to_numpy()
    first, last = int(years.min()), int(years.max())
    counts = np.zeros((last - first + 1, 12), np.int64)
    np.add.at(counts, (years - first, months - 1), days["count"].to_numpy())
    most = max(1, int(counts.max()))
    held = [place for place in range(len(counts)) if counts[place].any()]
    return [
        _Year(
            name=str(first + place),
            months=tuple(
                (
                    f"{month_name[month + 1]} {first + place}",
                    int(count),
                    _level(count / most),
                )
                for month, count in enumerate(counts[place])
            ),
        )
        for place in held
    ]


def _chapter(
    report: "BiasReport", anchor: str, title: str, measures: tuple[str, ...]
) -> _Chapter | None:
    rows: list[Row] = [row for name in measures for row in report.of(name)]
    rows.sort(key=lambda row: not row["flagged"])
    most = max(_FEW, min(_MOST_SAID, sum(row["flagged"] for row in rows)))
    if not rows:
        return None
    tested = any(row["q"] is not None for row in rows)
    return _Chapter(
        anchor=anchor,
        title=title,
        rows=tuple(rows[:most]),
        further=max(0, len(rows) - most),
        by_chance=tested and not any(row["flagged"] for row in rows),
    )
