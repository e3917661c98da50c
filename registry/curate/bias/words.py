"""Figures in plain words; names from data made safe to print."""

import re
from typing import TYPE_CHECKING, Any, Final

from registry.curate.bias.population import AT_SEA

if TYPE_CHECKING:
    from registry.curate.bias.report import BiasReport

__all__ = ["amount", "kind", "percent", "plain", "report_text", "times"]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONGEST: Final = 80
_SHOWN: Final = 12
_CHAPTERS: Final = (
    ("outside the reference", ("outside",)),
    ("who is missing or over-represented", ("representation",)),
    ("shortcuts a model could take", ("shortcut", "label-source", "split-shift")),
    ("scores differ between groups", ("score",)),
    ("target differs between groups", ("target",)),
    ("two strata together", ("intersection",)),
    ("in time", ("gap", "month", "season-balance")),
    ("in space", ("clustering", "join-count")),
)
_EACH: Final = 4


def plain(name: str) -> str:
    r"""Return a name that came with data as one short line without control characters.

    Examples:
        >>> plain("for\nest")
        'for est'
    """
    line = _CONTROL.sub(" ", name).strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def amount(number: float) -> str:
    """Return a quantity for people: four digits, and never a power of ten for a large one.

    Examples:
        >>> amount(1980.4), amount(0.123456), amount(-7)
        ('1,980', '0.1235', '-7')
    """
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.4g}"  # noqa: PLR2004 — as said


def kind(dimension: str) -> str:
    """Return what samples are sorted by, for people.

    Examples:
        >>> kind("climate_group"), kind("split by_place")
        ('climate group', 'split by_place')
    """
    return (
        plain(dimension) if dimension.startswith("split ") else plain(dimension).replace("_", " ")
    )


def percent(share: float) -> str:
    """Return a share for people.

    Examples:
        >>> percent(0.9234), percent(0.0012), percent(0.0)
        ('92 %', '0.12 %', '0 %')
    """
    number = 100 * share
    if number >= 10 or number == 0:  # noqa: PLR2004 — two digits
        return f"{number:.0f} %"
    return f"{number:.2g} %"


def times(ratio: float) -> str:
    """Return a ratio for people.

    Examples:
        >>> times(0.25), times(1230.4), times(0)
        ('0.25 times', '1,230 times', 'none of')
    """
    if ratio == 0:
        return "none of"
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"  # noqa: PLR2004 — two digits


def report_text(report: "BiasReport") -> str:
    """Return a report for people: what was measured, then what matters, worst first."""
    head = f"{report.ref}: {report.samples:,} samples against {report.against}, "
    beyond = _beyond(report)
    most = 2 * report.outside > report.samples
    lines = [f"more than half of the samples are compared with nothing: {beyond}"] if most else []
    lines.append(f"{head}{report.flagged:,} of {report.measures.num_rows:,} figures flagged")
    if report.withdrawn:
        lines.append(f"  this version was withdrawn: {plain(report.withdrawn)}")
    missing = (
        (report.unplaced, "without a place"),
        (report.undated, "without a time"),
        (report.unlabelled, "without a class"),
    )
    said = [f"{count:,} {what}" for count, what in missing if count]
    if said:
        lines.append(f"  {', '.join(said)}")
    if beyond and not most:
        lines.append(f"  {beyond}")
    lines += _predicted(report)
    rows = report.measures.select(["measure", "flagged", "note"]).to_pylist()
    for title, names in _CHAPTERS:
        found = [row["note"] for row in rows if row["flagged"] and row["measure"] in names]
        if found:
            lines.append(f"{title}:")
            lines += [f"  {note}" for note in found[:_EACH]]
            if len(found) > _EACH:
                lines.append(f"  and {len(found) - _EACH:,} more")
    lines += [f"  {row['note']}" for row in rows if row["measure"] in {"effective-size", "range"}][
        :2
    ]
    lines += [f"note: {remark}" for remark in report.remarks[:_SHOWN]]
    lines.append(f"counted by {report.engine}; every figure: --json")
    return "\n".join(lines)


def _predicted(report: "BiasReport") -> list[str]:
    """Return how well a model's predictions do, and where worst, whether that is flagged or not."""
    if report.predictions is None:
        return []
    rows = report.of("score")
    whole = [row for row in rows if row["dimension"] == "all" and row["class"] is None]
    if not whole:
        none = f"predictions: none of {report.predictions:,} is of a sample with a class"
        return [f"{none}; the column sample has to hold what the samples have as id"]
    [overall] = whole
    right, low, high = (percent(overall[name]) for name in ("value", "low", "high"))
    matched = f"{overall['count']:,} of {report.predictions:,} are of a sample with a class"
    there = f"of which there are {report.samples - report.unlabelled:,}"
    lines = [f"predictions: {right} right ({low} to {high}); {matched}, {there}"]
    groups = [row for row in rows if row["dimension"] != "all"]
    if groups:
        # The one that is most surely bad: a group of two that are wrong says little.
        worst = min(groups, key=lambda row: (not row["flagged"], row["high"], row["id"]))
        far = "" if worst["flagged"] else "; not beyond chance, or too little to matter"
        lines.append(f"  worst group: {worst['note']}{far}")
    return lines


def _beyond(report: "BiasReport") -> str:
    """Return which samples lie outside the reference; empty if none does."""
    strata: dict[str, list[dict[str, Any]]] = {}
    for row in report.of("outside"):
        strata.setdefault(row["dimension"], []).append(row)
    if not strata or not report.outside:
        return ""
    # Of dimensions that say it of equally many: one whose strata people know as the sea.
    sea = {name: AT_SEA.issuperset(row["stratum"] for row in rows) for name, rows in strata.items()}
    total = {name: sum(row["count"] for row in rows) for name, rows in strata.items()}
    dimension = max(strata, key=lambda name: (total[name], sea[name], name))
    rows = strata[dimension]
    rows.sort(key=lambda row: (-row["count"], row["stratum"]))
    names = [plain(row["stratum"]) for row in rows[:_EACH]]
    more = len(rows) - len(names)
    where = f"in {kind(dimension)} {', '.join(names)}" + (f" and {more:,} more" if more else "")
    if sea[dimension]:
        where = "at sea"
    count = f"{report.outside:,} of {report.samples:,} samples lie outside the reference"
    return f"{count}: {where}, where {report.against} has nothing"
