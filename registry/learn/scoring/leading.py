"""Leaderboards: who does best on a dataset, from kept rows alone, never across protocols."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.compute as pc

from registry.errors import NotFoundError
from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.comparing import FEWEST_SEEDS
from registry.learn.scoring.intervals import pooled
from registry.learn.scoring.keeping import scores_of
from registry.learn.scoring.metrics import METRICS, clipped, headline, metrics_of
from registry.learn.scoring.notes import FEW, Note, of_model, of_split
from registry.learn.scoring.protocol import way_of
from registry.learn.scoring.replaying import CURVE, FLOOR

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["Board", "Entry", "Score", "leaderboard"]

_SEVERE: Final = ("error", "warning", "info")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of an entry, over its seeds."""

    metric: str
    """Its name."""

    value: float
    """Mean over seeds."""

    low: float | None
    """Lower end of the 95 % interval, of samples and seeds together; None where there is none."""

    high: float | None
    """Upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model, or a floor, with all seeds that were scored."""

    name: str
    """The model's name, or the floor's."""

    models: tuple[str, ...]
    """Refs of the versions, a seed each."""

    runs: tuple[str, ...]
    """Their evaluations."""

    seeds: int
    """How many seeds; 0 for what has none."""

    enough: bool
    """Whether there are three seeds at least, or none is needed."""

    scores: tuple[Score, ...]
    """What it is ranked by first."""

    bands: str
    """What it reads, in words."""

    way: str = ""
    """Device and precision that it answered on, in words, where they are not the usual."""

    notes: tuple[Note, ...] = ()
    """What it is to be read with, worst first."""

    rank: int | None = None
    """From 1; None where there are too few seeds or an error is noted."""

    @property
    def reads(self) -> str:
        """What it reads, and on what it answered where that is not the usual."""
        return f"{self.bands}; on {self.way}" if self.way else self.bands


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Entries of one protocol: they may be compared."""

    protocol: str
    """Its hash."""

    ref: str
    """The version that all were scored on."""

    content_id: str
    """Its content id."""

    split: str | None
    """Name of the split."""

    subset: str | None
    """Which samples."""

    samples: int
    """How many."""

    task: str
    """What is answered."""

    metric: str
    """What entries are ranked by."""

    unit: str | None
    """Of a quantity."""

    said: str
    """How it is measured, in words."""

    entries: tuple[Entry, ...]
    """Best first; those without a rank last."""

    notes: tuple[Note, ...] = ()
    """What all of them are to be read with."""


def leaderboard(registry: "Registry", dataset: str) -> tuple[Board, ...]:
    """Return the leaderboards of a dataset, one a protocol; smoke models are on none.

    Args:
        registry: Where it is.
        dataset: Its name for all versions, or a ref for one.

    Returns:
        Newest version first.

    Raises:
        NotFoundError: There is no such dataset, or nothing was scored on it.
    """
    one = "@" in dataset
    versions = [registry.resolve(dataset)] if one else registry.versions(dataset)[::-1]
    boards = [board for version in versions for board in _boards(registry, version)]
    if not boards:
        raise NotFoundError(
            f"nothing was scored on {dataset} yet",
            hint=f"compute its floor: eolab floor {dataset}; or score a model: eolab evaluate",
        )
    return tuple(boards)


def _boards(registry: "Registry", version: "Version") -> Iterator[Board]:
    rows = scores_of(version)
    rows = rows.filter(pc.and_(pc.is_null(rows["stratum"]), pc.invert(rows["smoke"])))
    rows = rows.filter(pc.invert(pc.starts_with(rows["model"], CURVE)))
    by_protocol: dict[str, list[Row]] = {}
    for row in rows.to_pylist():
        by_protocol.setdefault(row["protocol"], []).append(row)
    models: dict[str, tuple[Note, ...]] = {}
    for protocol, found in sorted(by_protocol.items(), key=lambda pair: _order(pair[1])):
        yield _board(registry, version, protocol, found, models)


def _order(rows: Sequence[Row]) -> tuple[str, ...]:
    first = rows[0]
    return (first["subset"] or "", first["split"] or "", first["task"], first["protocol"])


def _board(
    registry: "Registry",
    version: "Version",
    protocol: str,
    rows: Sequence[Row],
    models: dict[str, tuple[Note, ...]],
) -> Board:
    first = rows[0]
    said = json.loads(first["details"])
    notes = list(of_split(version, first["split"], first["subset"]))
    if first["content_id"] != version.content_id:
        text = "scored before rows were purged: the figures are of samples that are gone"
        notes.append(Note(severity="error", kind="purged", message=text))
    task = HeadTask(first["task"])
    by_method: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        way = way_of(json.loads(row["details"])["settings"])
        key = (row["model"].partition("@")[0], row["method"], row["inputs"], *way)
        by_method.setdefault(key, []).append(row)
    entries = [_entry(registry, task, found, models) for found in by_method.values()]
    few = [note for one in entries for note in one.notes if note.kind == FEW]
    notes += few  # all were scored on the same samples
    entries = [
        replace(one, notes=tuple(note for note in one.notes if note.kind != FEW)) for one in entries
    ]
    overall = [row for row in rows if row["class"] is None]
    return Board(
        protocol=protocol,
        ref=str(version.ref),
        content_id=first["content_id"],
        split=first["split"],
        subset=first["subset"],
        samples=max(row["count"] for row in overall),
        task=str(task),
        metric=headline(task),
        unit=said["unit"],
        said=_protocol_words(said["protocol"]),
        entries=_ranked(entries, headline(task)),
        notes=_worst_first(notes),
    )


def _entry(
    registry: "Registry",
    task: HeadTask,
    rows: Sequence[Row],
    models: dict[str, tuple[Note, ...]],
) -> Entry:
    newest: dict[object, str] = {}  # of a seed that was scored twice the newest run counts
    for row in sorted(rows, key=lambda one: (one["created"], one["run"])):
        newest[row["model"] if row["seed"] is None else row["seed"]] = row["run"]
    runs = tuple(dict.fromkeys(newest.values()))
    mine = [row for row in rows if row["run"] in runs]
    refs = tuple(dict.fromkeys(row["model"] for row in mine))
    notes: list[Note] = []
    for ref in refs:
        if ref not in models:
            models[ref] = _notes_of_model(registry, ref)
        notes += models[ref]
    for row in mine:
        seen = json.loads(row["details"]).get("notes", ())
        notes += [Note(**one) for one in seen]
    seeds = len({row["seed"] for row in mine if row["seed"] is not None})
    scores = tuple(
        score
        for metric in metrics_of(task)
        if metric.overall and (score := _score(metric.name, mine)) is not None
    )
    details = json.loads(mine[0]["details"])
    return Entry(
        name=refs[0].partition("@")[0],
        models=refs,
        runs=runs,
        seeds=seeds,
        enough=seeds >= FEWEST_SEEDS or seeds == 0,
        scores=scores,
        bands=_bands_words(details["inputs"]),
        way=_way_words(details["settings"]),
        notes=_worst_first(notes),
    )


def _score(metric: str, rows: Sequence[Row]) -> Score | None:
    mine = [row for row in rows if row["metric"] == metric and row["class"] is None]
    values = [row["value"] for row in mine if row["value"] is not None]
    if not values or len(values) < len(mine):
        return None
    widths = [
        (row["high"] - row["low"]) / 2
        for row in mine
        if row["low"] is not None and row["high"] is not None
    ]
    if len(widths) < len(values):
        return Score(metric=metric, value=float(np.mean(values)), low=None, high=None)
    if len(values) == 1:  # an interval of one run need not be even
        return Score(metric=metric, value=values[0], low=mine[0]["low"], high=mine[0]["high"])
    mean, low, high = pooled(values, widths)
    low, high = clipped(metric, low, high)
    return Score(metric=metric, value=mean, low=low, high=high)


def _ranked(entries: Sequence[Entry], metric: str) -> tuple[Entry, ...]:
    best = METRICS[metric].best

    def key(entry: Entry) -> float:
        value = entry.scores[0].value if entry.scores else np.inf
        return -value if best == "high" else abs(value)

    sound = [one for one in entries if one.enough and not _wrong(one) and one.scores]
    rest = [one for one in entries if one not in sound]
    placed = [replace(one, rank=place) for place, one in enumerate(sorted(sound, key=key), start=1)]
    return (*placed, *sorted(rest, key=key))


def _wrong(entry: Entry) -> bool:
    return any(note.severity == "error" for note in entry.notes)


def _notes_of_model(registry: "Registry", ref: str) -> tuple[Note, ...]:
    from registry.learn.models import shelf

    if ref.startswith(FLOOR):
        return ()
    try:
        return of_model(registry, shelf.resolve(registry, ref))
    except NotFoundError:
        text = f"{ref} is not in this lake, so the score cannot be measured again here"
        return (Note(severity="warning", kind="unknown", message=text),)


def _worst_first(notes: Sequence[Note]) -> tuple[Note, ...]:
    once = dict.fromkeys(notes)
    return tuple(sorted(once, key=lambda note: _SEVERE.index(note.severity)))


def _bands_words(inputs: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{asset} {' '.join(band['name'] for band in one.get('bands', ()))}".strip()
        for asset, one in inputs.items()
    )


def _way_words(settings: Mapping[str, Any]) -> str:
    pairs = zip(way_of(settings), way_of({}), strict=True)
    return ", ".join(mine for mine, usual in pairs if mine != usual)


def _protocol_words(protocol: Mapping[str, Any]) -> str:
    crop = protocol["crop"]
    cut = "whole samples" if crop is None else f"centre crops of {crop[0]} by {crop[1]} pixels"
    interval = protocol["interval"]
    return (
        f"{cut}, not resized; {100 * interval['level']:.0f} % intervals by {interval['resamples']} "
        f"draws of groups, seed {interval['seed']}; over several seeds also by Student's t of "
        "their mean, wide where they are few"
    )
