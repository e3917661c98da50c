"""Scores as pages: leaderboards, and one evaluation with its confusion and calibration."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring import calibration, metrics
from registry.learn.scoring.statistics import Statistics
from registry.web.paper import filled, written
from registry.web.pictures import data_uri

if TYPE_CHECKING:
    from registry.learn.scoring.evaluating import Evaluation
    from registry.learn.scoring.leading import Board, Entry

__all__ = ["render_boards", "render_evaluation"]

_MOST_CLASSES: Final = 20
_FURTHER: Final = ("macro_f1", "accuracy", "ap50_95", "micro_f1", "mae", "r2")
_MOST_FURTHER: Final = 2
_EDGE: Final = 200.0  # pixels of a curve's axis
_LEFT, _BOTTOM = 40.0, 210.0
_BY_CLASS: Final = ("iou", "f1", "average_precision", "ap50")
_PIXELS: Final = frozenset({HeadTask.SEGMENTATION, HeadTask.CHANGE})
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """A figure with its interval, and where both lie on a scale of 0 to 100."""

    name: str = ""
    value: str = ""
    interval: str = ""
    at: float = 0.0
    low: float = 0.0
    high: float = 0.0
    count: int = 0
    drawn: bool = True


def render_boards(dataset: str, boards: Sequence["Board"], out: Path) -> None:
    """Draw the leaderboards of a dataset as one HTML file that needs nothing else.

    Args:
        dataset: What they are of.
        boards: One a protocol.
        out: The file to write, replaced if it is there; its folder is made.

    Raises:
        OSError: The file cannot be written.
    """
    facts = {
        "kind": "leaderboard",
        "title": dataset,
        "ref": dataset,
        "lead": "Who does best, each board by one protocol. What rests on fewer than three seeds, "
        "or on something wrong, has no rank.",
        "numbers": [],
        "notes": [],
        "boards": [_board(one) for one in boards],
        "heads": [],
        "pictures": [],
        "ids": [],
    }
    written(out, filled("scores.html.j2", facts))


def render_evaluation(
    found: "Evaluation", out: Path, *, pictures: Mapping[str, bytes] | None = None
) -> None:
    """Draw an evaluation as one HTML file that needs nothing else.

    Args:
        found: What it came to.
        out: The file to write, replaced if it is there; its folder is made.
        pictures: Of how the model learned, as PNG, by what they show.

    Raises:
        OSError: The file cannot be written.
    """
    rows = found.rows.to_pylist()
    first = rows[0]
    lead = (
        "It only shows that everything runs: no score is held."
        if found.smoke
        else "Every figure with what the samples leave open, and what it rests on."
    )
    facts = {
        "kind": "evaluation",
        "title": found.model,
        "ref": f"{found.ref}, {found.subset or 'all samples'}",
        "lead": lead,
        "numbers": _numbers(found, rows),
        "notes": found.notes,
        "boards": [],
        "heads": [] if found.smoke else [_head(found, name, rows) for name in found.kept],
        "pictures": [(said, data_uri(png)) for said, png in (pictures or {}).items()],
        "ids": [
            ("run", found.run),
            ("protocol", first["protocol"]),
            ("content id", first["content_id"]),
            ("split", f"{first['split']} {first['split_id']}"),
            ("weights", first["weights"] or "none"),
            *(("converted", one) for one in found.said),
        ],
    }
    written(out, filled("scores.html.j2", facts))


def _board(board: "Board") -> dict[str, Any]:
    names = dict.fromkeys(score.metric for entry in board.entries for score in entry.scores)
    further = [name for name in _FURTHER if name in names and name != board.metric]
    further = further[:_MOST_FURTHER]
    top = _top([
        score.high if score.high is not None else score.value
        for entry in board.entries
        for score in entry.scores
        if score.metric == board.metric
    ])
    where = f"{board.subset or 'all samples'}" + (f" of split {board.split}" if board.split else "")
    unit = f" ({board.unit})" if board.unit and metrics.METRICS[board.metric].unit != "1" else ""
    return {
        "title": f"{board.ref}: {board.task}, {where}",
        "about": f"{board.samples:,} samples; {board.said}; protocol {board.protocol}",
        "metric": metrics.METRICS[board.metric].title + unit,
        "further": [metrics.METRICS[name].title for name in further],
        "notes": board.notes,
        "lines": [
            {
                "rank": one.rank,
                "name": one.name,
                "seeds": one.seeds or "\N{EN DASH}",
                "bands": one.reads,
                "notes": one.notes,
                "bar": _of_entry(one, board.metric, top),
                "further": [_of_entry(one, name, 1.0).value for name in further],
            }
            for one in board.entries
        ],
    }


def _of_entry(entry: "Entry", metric: str, top: float) -> _Bar:
    for score in entry.scores:
        if score.metric == metric:
            return _bar(entry.name, score.value, score.low, score.high, 0, top)
    return _Bar(name=entry.name, drawn=False)


def _numbers(found: "Evaluation", rows: Sequence[Row]) -> list[tuple[str, str]]:
    said = [("samples", f"{found.samples:,}")]
    for name, kept in found.kept.items():
        metric = metrics.headline(kept.task)
        said += [
            (metrics.METRICS[metric].title, _short(row["value"]))
            for row in rows
            if row["head"] == name and row["metric"] == metric and _overall(row)
        ]
    return said


def _head(found: "Evaluation", name: str, rows: Sequence[Row]) -> dict[str, Any]:
    kept = found.kept[name]
    mine = [row for row in rows if row["head"] == name]
    metric = metrics.headline(kept.task)
    by_class = next(
        (one for one in _BY_CLASS if any(row["metric"] == one and row["class"] for row in mine)), ""
    )
    return {
        "name": name,
        "metric": metrics.METRICS[metric].title,
        "overall": [_of_row(row, mine, _title(row)) for row in mine if _overall(row)],
        "of_classes": metrics.METRICS[by_class].title if by_class else "",
        "classes": [
            _of_row(row, mine, row["class"])
            for row in mine
            if by_class and row["metric"] == by_class and row["class"] is not None
        ][: 2 * _MOST_CLASSES],
        "strata": list(_strata(mine, metric)),
        "confusion": _confusion(kept),
        "reliability": _reliability(kept),
    }


def _overall(row: Row) -> bool:
    return row["class"] is None and row["stratum"] is None


def _title(row: Row) -> str:
    return metrics.METRICS[row["metric"]].title


def _strata(rows: Sequence[Row], metric: str) -> Iterator[tuple[str, list[_Bar]]]:
    mine = [row for row in rows if row["stratum"] is not None and row["metric"] == metric]
    for name in dict.fromkeys(row["stratum"].partition("=")[0] for row in mine):
        chosen = [row for row in mine if row["stratum"].partition("=")[0] == name]
        yield name, [_of_row(row, mine, row["stratum"].partition("=")[2]) for row in chosen]


def _of_row(row: Row, beside: Sequence[Row], name: str) -> _Bar:
    if row["value"] is None:
        return _Bar(name=name, value="none", drawn=False, count=row["count"])
    metric = metrics.METRICS[row["metric"]]
    same = [one for one in beside if one["metric"] == row["metric"]]
    ends = [one["high"] if one["high"] is not None else one["value"] for one in same]
    top = 1.0 if metric.unit == "1" else _top([one for one in ends if one is not None])
    return _bar(name, row["value"], row["low"], row["high"], row["count"], top)


def _bar(
    name: str, value: float, low: float | None, high: float | None, count: int, top: float
) -> _Bar:
    known = low is not None and high is not None
    return _Bar(
        name=name,
        value=_short(value),
        interval=f"{_short(low)}\N{EN DASH}{_short(high)}" if known else "",
        at=_place(value, top),
        low=_place(low or 0.0, top),
        high=_place(high or 0.0, top),
        count=count,
        drawn=0 <= value <= top,
    )


def _top(values: Sequence[float]) -> float:
    """Return the upper end of a scale that holds all values; 1 for shares."""
    most = max([one for one in values if math.isfinite(one)], default=1.0)
    return 1.0 if most <= 1 else most


def _place(value: float, top: float) -> float:
    return 100 * min(1.0, max(0.0, value / top))


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"  # noqa: PLR2004 — two digits


def _confusion(kept: Statistics) -> dict[str, Any] | None:
    counts = metrics.confusion(kept)
    if counts is None or len(kept.classes) > _MOST_CLASSES:
        return None
    rows = []
    for name, line in zip(kept.classes, counts, strict=True):
        total = max(1, int(line.sum()))
        cells = [
            (f"{100 * one / total:.0f}" if one else "", math.ceil(4 * one / total), int(one))
            for one in line
        ]
        rows.append((name, cells))
    return {
        "names": kept.classes,
        "rows": rows,
        "total": int(counts.sum()),
        "unit": "labelled pixels" if kept.task in _PIXELS else "samples",
    }


def _reliability(kept: Statistics) -> dict[str, Any] | None:
    if "bin_count" not in kept.columns:
        return None
    curve = calibration.reliability(kept)
    most = max((row["count"] for row in curve), default=1.0)
    dots = [
        (
            _LEFT + _EDGE * row["confidence"],
            _BOTTOM - _EDGE * row["right"],
            f"{row['right']:.0%} of {row['count']:,.0f} are right, {row['confidence']:.0%} sure",
        )
        for row in curve
    ]
    return {
        "dots": dots,
        "points": " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots),
        "bars": [
            (_LEFT + _EDGE * row["low"] + 1, 0.25 * _EDGE * row["count"] / most) for row in curve
        ],
    }
