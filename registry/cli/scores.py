"""Scores as text for people: aligned, with intervals, and what to read them with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from registry.cli.output import table_text

if TYPE_CHECKING:
    from registry.learn.scoring.comparing import Comparison
    from registry.learn.scoring.evaluating import Evaluation
    from registry.learn.scoring.leading import Board, Entry
    from registry.learn.scoring.replaying import Replay

__all__ = ["board_text", "comparison_text", "evaluation_text", "replay_text"]

_MOST_CLASSES: Final = 12


def evaluation_text(found: "Evaluation") -> str:
    """Return an evaluation: overall figures, classes, strata, notes."""
    from registry.learn.scoring.metrics import METRICS

    if found.smoke:
        return (
            f"{found.model} ran on {found.samples:,} samples of {found.ref}; it only shows that "
            "everything runs and holds no score\n"
        )
    rows = [row for row in found.rows.to_pylist() if row["value"] is not None]
    several = len(found.kept) > 1
    overall = [
        [
            f"{row['head']} " * several + METRICS[row["metric"]].title, _number(row["value"]),
            _interval(row), f"{row['count']:,}",
        ]
        for row in rows
        if row["class"] is None and row["stratum"] is None
    ]  # fmt: skip
    text = f"{found.model} on {found.subset or 'all samples'} of {found.ref}\n"
    text += table_text(["metric", "value", "95 %", "samples"], overall)
    text += _classes_text(found, rows) + _strata_text(found, rows)
    text += _lines([*found.said, *map(str, found.notes)])
    kept = f", kept beside {found.ref}" if found.held else ", not kept"
    return text + f"run {found.run}{kept}\n"


def _classes_text(found: "Evaluation", rows: Sequence[Mapping[str, Any]]) -> str:
    text = ""
    for head, kept in found.kept.items():
        mine = [row for row in rows if row["head"] == head and row["class"] is not None]
        metrics = list(dict.fromkeys(row["metric"] for row in mine))
        if not metrics:
            continue
        table = [
            [
                one,
                *(_cell(mine, metric, one) for metric in metrics),
                max((row["count"] for row in mine if row["class"] == one), default=0),
            ]
            for one in kept.classes[:_MOST_CLASSES]
        ]
        text += "\n" + table_text([f"{head}: class", *metrics, "samples"], table)
        if len(kept.classes) > _MOST_CLASSES:
            text += f"and {len(kept.classes) - _MOST_CLASSES} classes more: --json\n"
    return text


def _strata_text(found: "Evaluation", rows: Sequence[Mapping[str, Any]]) -> str:
    from registry.learn.models.architecture import HeadTask
    from registry.learn.scoring.metrics import METRICS, headline

    table = [
        [row["stratum"], METRICS[row["metric"]].title, _number(row["value"]), _interval(row),
         f"{row['count']:,}"]
        for row in rows
        if row["stratum"] is not None and row["metric"] == headline(HeadTask(row["task"]))
    ]  # fmt: skip
    return (
        "\n" + table_text(["stratum", "metric", "value", "95 %", "samples"], table) if table else ""
    )


def _cell(rows: Sequence[Mapping[str, Any]], metric: str, of_class: str) -> str:
    for row in rows:
        if row["metric"] == metric and row["class"] == of_class:
            return f"{_number(row['value'])} {_interval(row)}".strip()
    return ""


def board_text(board: "Board", *, runs: bool) -> str:
    """Return a leaderboard; with the names of its evaluations where runs are wanted."""
    metrics = list(
        dict.fromkeys(score.metric for entry in board.entries for score in entry.scores)
    )[:4]
    table = [
        [
            entry.rank or "-", entry.name, entry.seeds or "-",
            *(_score_text(entry, metric) for metric in metrics), entry.reads,
        ]
        for entry in board.entries
    ]  # fmt: skip
    from registry.learn.scoring.metrics import METRICS

    where = f"{board.subset or 'all samples'}" + (f" of split {board.split}" if board.split else "")
    text = f"{board.ref}, {where}, {board.samples:,} samples: {board.task}\n"
    text += _lines(map(str, board.notes))
    titles = [METRICS[one].title for one in metrics]
    text += table_text(["", "model", "seeds", *titles, "reads"], table)
    for entry in board.entries:
        text += _lines(f"{entry.name}: {one}" for one in [*_few(entry), *map(str, entry.notes)])
        if runs:
            pairs = zip(entry.models, entry.runs, strict=False)
            text += _lines(f"{model}: eolab replay {run}" for model, run in pairs)
    return text + f"protocol {board.protocol}: {board.said}\n"


def _few(entry: "Entry") -> list[str]:
    """Return that an entry has too few seeds, and what its intervals are of then."""
    if entry.enough:
        return []
    if entry.seeds == 1:
        return ["1 seed: train three, to be ranked; its intervals are of the samples alone"]
    wide = "its intervals are of seeds too, and wide for so few"
    return [f"{entry.seeds} seeds: train three, to be ranked; {wide}"]


def _score_text(entry: "Entry", metric: str) -> str:
    for score in entry.scores:
        if score.metric == metric:
            return f"{_number(score.value)} {_interval({'low': score.low, 'high': score.high})}"
    return ""


def comparison_text(found: "Comparison") -> str:
    """Return the differences between two models."""
    from registry.learn.scoring.metrics import METRICS

    table = [
        [
            METRICS[row["metric"]].title, row["class"], _number(row["ours"]),
            _number(row["theirs"]), f"{row['difference']:+.4g}", _interval(row),
            "" if row["p"] is None else f"{row['p']:.3f}",
        ]
        for row in found.rows.to_pylist()
        if row["difference"] is not None
    ]  # fmt: skip
    names = [
        side[0].partition("@")[0] if len(side) > 1 else side[0]
        for side in (found.ours, found.theirs)
    ]
    seeds = f"{len(found.ours)} and {len(found.theirs)} seeds"
    text = (
        f"{names[0]} - {names[1]} on {found.subset or 'all samples'} of {found.ref}: "
        f"{found.samples:,} samples in {found.groups:,} groups, {seeds}\n"
    )
    text += table_text(["metric", "class", *names, "difference", "95 %", "p"], table)
    return text + _lines(found.said)


def replay_text(found: "Replay") -> str:
    """Return what a score came to when it was measured again."""
    if found.same:
        return (
            f"{found.model} on {found.ref}: all {found.figures} figures of run {found.run} are the "
            "same to the last bit\n"
        )
    rows = [
        [row["metric"], row["class"], row["stratum"], row["number"], row["kept"], row["again"]]
        for row in found.differing.to_pylist()
    ]
    headings = ["metric", "class", "stratum", "number", "kept", "again"]
    return table_text(headings, rows) + _lines(found.said)


def _lines(said: Iterable[str]) -> str:
    return "".join(f"  {one}\n" for one in said)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    return f"[{row['low']:.3g}, {row['high']:.3g}]"
