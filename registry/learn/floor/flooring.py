"""The floor of a dataset: computed, kept as scores, and drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from registry.errors import InvalidInputError
from registry.learn.floor.constant import constant
from registry.learn.floor.curve import SHARES, Point, draw_curve
from registry.learn.floor.lesson import Lesson, lesson_of
from registry.learn.floor.probing import Probe, probe_of
from registry.learn.scoring import intervals
from registry.learn.scoring.answering import Answer
from registry.learn.scoring.evaluating import Evaluation, pinned, scored
from registry.learn.scoring.keeping import keep as keep_scores
from registry.learn.scoring.metrics import METRICS, clipped, headline
from registry.learn.scoring.notes import Note, of_split
from registry.learn.scoring.protocol import Subject, digest
from registry.learn.scoring.replaying import CURVE, FLOOR
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.learn.scoring.statistics import Statistics

__all__ = ["PARTS", "Floor", "Part", "evaluations", "floor"]

PARTS: Final = ("majority", "probe", "small", "curve")
"""What a floor is made of."""

_SEEDS: Final = 3
_EPOCHS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the floors, over its seeds."""

    name: str
    """As the scores name it: ``floor:majority``."""

    value: float | None
    """Of what the task is ranked by, mean over seeds."""

    low: float | None
    """Lower end of the 95 % interval, of samples and seeds together."""

    high: float | None
    """Upper end."""

    seeds: int
    """How many seeds; 0 where nothing is left to chance."""

    reads: str = ""
    """What it learns from, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What a dataset takes no skill to score."""

    ref: str
    """The version."""

    task: str
    """What is answered."""

    metric: str
    """What it is ranked by."""

    subset: str | None
    """Which samples were scored."""

    samples: int
    """How many."""

    parts: tuple[Part, ...]
    """The floors."""

    points: tuple[Point, ...]
    """The learning curve of the linear probe; empty where it was not asked for."""

    rows: pa.Table = field(repr=False)
    """Rows of ``scores``."""

    said: tuple[str, ...] = ()
    """What was left out, in words."""

    notes: tuple[Note, ...] = ()
    """What the figures are to be read with."""

    def facts(self) -> dict[str, Any]:
        """Return everything but how it is drawn, for ``--json``."""
        return {
            "ref": self.ref, "task": self.task, "metric": self.metric, "subset": self.subset,
            "samples": self.samples, "parts": self.parts, "curve": self.points,
            "said": self.said, "notes": self.notes, "scores": self.rows,
        }  # fmt: skip

    def to_text(self) -> str:
        """Return it for people."""
        title = METRICS[self.metric].title
        where = f"{self.samples:,} samples of {self.subset or 'all'}"
        lines = [f"floor of {self.ref}: {self.task}, {title} on {where}"]
        width = max((len(one.name) for one in self.parts), default=0)
        for one in self.parts:
            seeds = f", {one.seeds} seed{'s' if one.seeds > 1 else ''}" if one.seeds else ""
            reads = f" ({one.reads}{seeds})" if one.reads else ""
            lines.append(f"  {one.name:{width}}  {_figure(one.value, one.low, one.high)}{reads}")
        if self.points:
            lines.append("  learning curve of the linear probe:")
        lines += [
            f"    {one.share:4.0%} {one.rows:>8,}  {_figure(one.value, one.low, one.high)}"
            for one in self.points
        ]
        lines += [f"  {one}" for one in (*self.said, *self.notes)]
        return "\n".join(lines) + "\n"

    def picture(self) -> bytes:
        """Return the learning curve with the other floors across it, as a PNG."""
        levels = [
            (one.name, one.value)
            for one in self.parts
            if one.value is not None and one.name != "floor:probe"
        ]
        title = f"{self.ref}: {self.subset}"
        return draw_curve(self.points, self.metric, title=title, levels=levels)


def floor(  # noqa: PLR0913 — each is a choice of whoever computes it
    registry: "Registry",
    ref: str,
    *,
    split: str = "test",
    splits: str | None = None,
    only: Sequence[str] | None = None,
    features: str | None = None,
    seeds: int = _SEEDS,
    epochs: int = _EPOCHS,
    crop: tuple[int, int] | None = None,
    keep: bool = True,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Floor:
    """Compute what a dataset takes no skill to score, and keep it as scores.

    The floors are ``floor:majority`` (the most frequent class, or the mean), ``floor:probe`` (a
    linear model of features, or of the bands of a pixel), ``floor:small`` (a small network from
    scratch) and, as ``floor:curve:10%``, the probe on shares of the training samples. The same
    version gives the same figures, to the bit on one machine's processor.

    Args:
        registry: Where the version is.
        ref: The version.
        split: The subset that is scored on.
        splits: Name of the split's table.
        only: Some of :data:`PARTS`; all if None.
        features: Set of features of the probe; computed if it is not there.
        seeds: Of the small network, and of each share of the curve.
        epochs: Passes of the small network over the training samples.
        crop: Height and width that samples are cut to, as in
            :func:`registry.learn.scoring.evaluating.evaluate`; needed where they differ in size.
        keep: Keep the scores beside a published version, in one commit.
        resamples: Draws of the bootstrap.
        seed: Of those draws.
        progress: Told what is done.

    Returns:
        The floors with their intervals.

    Raises:
        InvalidInputError: The version has no labels, or there is no such floor.
        NotFoundError: There is no such version or split.
    """
    wanted = tuple(PARTS if only is None else dict.fromkeys(only))
    if unknown := sorted(set(wanted) - set(PARTS)):
        raise InvalidInputError(
            f"there is no floor '{unknown[0]}'", hint=f"there are {', '.join(PARTS)}"
        )
    version = pinned(registry, ref)
    lesson = lesson_of(
        registry, version, split=split, splits=splits, crop=crop, resamples=resamples, seed=seed
    )
    settings = {"features": features, "epochs": epochs}
    found: list[tuple[Subject, int, Evaluation]] = list(
        evaluations(lesson, wanted, seeds=range(seeds), settings=settings, progress=progress)
    )
    rows = pa.concat_tables([one.rows for _, _, one in found])
    if keep:
        # What a curve's points follow from is not compared with anything, so only rows stay.
        kept = {
            f"{one.run}/{head}": statistics
            for subject, _, one in found
            if not subject.ref.startswith(CURVE)
            for head, statistics in one.kept.items()
        }
        keep_scores(registry, pinned(registry, ref), rows, kept)
    probed = any(subject.ref == "floor:probe" for subject, _, _ in found)
    left_out = () if probed or "probe" not in wanted else (
        "boxes are found by no linear model, so there is no probe and no curve",
    )  # fmt: skip
    return Floor(
        ref=str(version.ref),
        task=str(lesson.head.task),
        metric=headline(lesson.head.task),
        subset=lesson.test.subset,
        samples=found[0][2].samples,
        parts=tuple(_parts(lesson, found)),
        points=tuple(_points(lesson, found)),
        rows=rows,
        said=(*left_out, *lesson.train.left_out, *lesson.test.left_out),
        notes=of_split(version, lesson.test.split, lesson.test.subset),
    )


def evaluations(
    lesson: Lesson,
    wanted: Sequence[str],
    *,
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    progress: Progress,
) -> Iterator[tuple[Subject, int, Evaluation]]:
    """Yield each floor that was asked for: what it is, rows that it learned from, its figures.

    Args:
        lesson: What there is to learn.
        wanted: Some of :data:`PARTS`.
        seeds: Of the small network, and of each share of the curve.
        settings: ``features`` of the probe and ``epochs`` of the network.
        progress: Told what is done.
    """
    if "majority" in wanted:
        subject = _subject(lesson, "majority", {}, reads={})
        yield (
            subject,
            len(lesson.train.ids),
            _evaluated(lesson, subject, constant(lesson), progress),
        )
    probe: Probe | None = None
    if {"probe", "curve"} & set(wanted):
        probe = probe_of(lesson, features=settings["features"], progress=progress)
    if probe is not None:
        yield from _probed(lesson, probe, wanted, seeds, settings, progress)
    if "small" in wanted:
        yield from _small(lesson, seeds, settings, progress)


def _probed(
    lesson: Lesson,
    probe: Probe,
    wanted: Sequence[str],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    progress: Progress,
) -> Iterator[tuple[Subject, int, Evaluation]]:
    reads = {probe.reads: {"features": len(probe.names), "names": digest({"of": probe.names})}}
    if "probe" in wanted:
        subject = _subject(lesson, "probe", settings, reads=reads)
        found = _evaluated(lesson, subject, probe.learned(), progress, assets=probe.assets())
        yield subject, len(probe.train), found
    for share in SHARES if "curve" in wanted else ():
        count = max(1, round(share * len(probe.train)))
        for seed in seeds if share < 1 else seeds[:1]:
            name = f"curve:{share:.0%}"
            subject = _subject(lesson, name, {**settings, "share": share}, reads=reads, seed=seed)
            answer = probe.learned(share=share, seed=seed)
            found = _evaluated(lesson, subject, answer, progress, assets=probe.assets())
            yield subject, count, found


def _small(
    lesson: Lesson, seeds: Sequence[int], settings: Mapping[str, Any], progress: Progress
) -> Iterator[tuple[Subject, int, Evaluation]]:
    from registry.learn.floor.small import learned, recipe_of

    recipe = recipe_of(lesson, epochs=settings["epochs"])
    for seed in seeds:
        network = learned(lesson, recipe, seed=seed, progress=progress)
        said = {**settings, "recipe": recipe.id}
        subject = _subject(lesson, "small", said, reads=network.inputs, seed=seed)
        found = _evaluated(lesson, subject, network.answer, progress, assets=network.assets)
        yield subject, len(lesson.train.ids), found


def _subject(
    lesson: Lesson,
    name: str,
    settings: Mapping[str, Any],
    *,
    reads: Mapping[str, Any],
    seed: int | None = None,
) -> Subject:
    method: dict[str, Any] = {
        "floor": name,
        "settings": dict(settings),
        "learned": [lesson.version.content_id, lesson.train.split_id()],
    }
    if lesson.train.crop is not None:
        method["crop"] = list(lesson.train.crop)
    return Subject(
        ref=FLOOR + name, method=digest(method), seed=seed, inputs=reads, settings=dict(settings)
    )


def _evaluated(
    lesson: Lesson,
    subject: Subject,
    answer: Answer,
    progress: Progress,
    *,
    assets: tuple[str, ...] = (),
) -> Evaluation:
    progress.stage(f"scoring {subject.ref}", total=len(lesson.test.ids), unit="samples")
    kept: dict[str, Statistics] = {
        lesson.head.name: lesson.scored(answer, assets=assets, progress=progress)
    }
    return scored(lesson.registry, lesson.test, subject, [lesson.head], kept, keep=False)


Found = Sequence[tuple[Subject, int, Evaluation]]


def _parts(lesson: Lesson, found: Found) -> Iterator[Part]:
    names = dict.fromkeys(subject.ref for subject, _, _ in found)
    for name in names:
        if name.startswith(CURVE):
            continue
        mine = [(subject, one) for subject, _, one in found if subject.ref == name]
        value, low, high = _over_seeds(lesson, [one for _, one in mine])
        first = mine[0][0]
        seeds = len({subject.seed for subject, _ in mine if subject.seed is not None})
        reads = "a small network from scratch" if seeds else "; ".join(first.inputs)
        yield Part(name=name, value=value, low=low, high=high, seeds=seeds, reads=reads)


def _points(lesson: Lesson, found: Found) -> Iterator[Point]:
    shares = dict.fromkeys(
        (subject.settings["share"], rows)
        for subject, rows, _ in found
        if subject.ref.startswith(CURVE)
    )
    for share, rows in shares:
        mine = [
            one
            for subject, _, one in found
            if subject.ref.startswith(CURVE) and subject.settings["share"] == share
        ]
        value, low, high = _over_seeds(lesson, mine)
        if value is not None:
            yield Point(share=share, rows=rows, seeds=len(mine), value=value, low=low, high=high)


def _over_seeds(
    lesson: Lesson, found: Sequence[Evaluation]
) -> tuple[float | None, float | None, float | None]:
    metric = headline(lesson.head.task)
    figures = [
        next(
            row
            for row in one.rows.to_pylist()
            if row["metric"] == metric and row["class"] is None and row["stratum"] is None
        )
        for one in found
    ]
    if any(row["value"] is None for row in figures):
        return None, None, None
    if len(figures) == 1:
        return figures[0]["value"], figures[0]["low"], figures[0]["high"]
    values = [row["value"] for row in figures]
    if any(row["low"] is None or row["high"] is None for row in figures):
        return sum(values) / len(values), None, None
    widths = [(row["high"] - row["low"]) / 2 for row in figures]
    mean, low, high = intervals.pooled(values, widths)
    return (mean, *clipped(metric, low, high))


def _figure(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" + ("" if low is None or high is None else f" [{low:.3g}, {high:.3g}]")
