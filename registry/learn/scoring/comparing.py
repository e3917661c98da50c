"""Two models on the same samples: the difference of every figure, with what is left open."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.scoring import intervals, metrics
from registry.learn.scoring.evaluating import evaluate, exam_of, groups_of, pinned
from registry.learn.scoring.keeping import scores_of, statistics_of
from registry.learn.scoring.notes import seen_before
from registry.learn.scoring.protocol import Exam, ignored_of, method_of, way_of
from registry.learn.scoring.replaying import FLOOR
from registry.learn.scoring.statistics import Statistics
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["FEWEST_SEEDS", "Comparison", "compare"]

FEWEST_SEEDS: Final = 3
"""Seeds of a model below which a table says that there are too few."""

_ROWS: Final = pa.schema([
    *((name, pa.string()) for name in ("head", "metric", "class")),
    *((name, pa.float64()) for name in ("ours", "theirs", "difference", "low", "high", "p")),
])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How much better one model is than another."""

    ref: str
    """The version that both were scored on."""

    subset: str | None
    """Which of its samples."""

    ours: tuple[str, ...]
    """The one model, a ref a seed."""

    theirs: tuple[str, ...]
    """The other."""

    samples: int
    """How many samples."""

    groups: int
    """How many groups they form, which the bootstrap draws."""

    rows: pa.Table = field(repr=False)
    """``head``, ``metric``, ``class``, means ``ours`` and ``theirs`` over seeds, ``difference``
    (ours - theirs), ``low``, ``high``, ``p``."""

    said: tuple[str, ...] = ()
    """What to read it with, in words."""


def compare(  # noqa: PLR0913 — each is a choice of whoever compares
    registry: "Registry",
    ours: str,
    theirs: str,
    *,
    on: str,
    split: str | None = "test",
    splits: str | None = None,
    crop: tuple[int, int] | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
    keep: bool = True,
    progress: Progress = SILENT,
) -> Comparison:
    """Compare two models on the same samples by a paired bootstrap over groups, and over seeds.

    What was evaluated before is not run again; what was not, is.

    Args:
        registry: Where all is.
        ours: A model's version, as ``burnscar-unet@v1``; or its name alone for all versions that
            differ from the newest in seed alone; or a floor, as ``floor:majority``.
        theirs: Another one.
        on: Ref of the version.
        split: The subset; all samples if None.
        splits: Name of the split's table.
        crop: Height and width that samples are cut to around their centre, as in
            :func:`registry.learn.scoring.evaluating.evaluate`; None compares on whole samples, of
            whatever size each is.
        resamples: Draws of the bootstrap.
        seed: Of those draws.
        keep: Keep what had to be evaluated.
        progress: Told how many samples are done.

    Returns:
        Differences with intervals, of every metric and class that both have.

    Raises:
        InvalidInputError: They are the same, have no answer of one name and task in common, or
            were not scored on the same classes.
        NotFoundError: There is no such model, version or split, or a floor was not computed on
            these samples.
    """
    version = pinned(registry, on)
    exam = exam_of(
        registry, version, split=split, splits=splits, crop=crop, resamples=resamples, seed=seed
    )
    named = [_versions_of(registry, one) for one in (ours, theirs)]
    _refuse_itself(*named)
    for ref in (ref for refs in named for ref in refs if ref.startswith(FLOOR)):
        _check_floor(exam, ref)  # before a model is run to be compared with it
    sides = [
        {ref: _kept(registry, exam, ref, keep=keep, progress=progress) for ref in refs}
        for refs in named
    ]
    heads = _heads(sides[0], sides[1], (ours, theirs))
    _check_ignored(registry, exam, sides, heads)
    groups = groups_of(version)
    rows: list[dict[str, Any]] = []
    counted = (0, 0)
    lines: list[str] = []
    for head in heads:
        one, other = ([kept[head] for kept in side.values()] for side in sides)
        most = max(map(len, (*one, *other)))
        one, other = _aligned(one, other)
        if len(one[0]) < most:
            lines = [f"{len(one[0]):,} samples are compared, that both were scored on, of {most:,}"]
        clusters = intervals.clusters_of([groups.get(sample) for sample in one[0].ids])
        counted = max(counted, (len(clusters), int(clusters.max()) + 1))
        rows += _gaps(head, one, other, clusters, exam)
    return Comparison(
        ref=str(version.ref),
        subset=exam.subset,
        ours=tuple(sides[0]),
        theirs=tuple(sides[1]),
        samples=counted[0],
        groups=counted[1],
        rows=pa.Table.from_pylist([_without_nan(row) for row in rows], _ROWS),
        said=(
            *_cut(exam),
            *lines,
            *_remarks((ours, theirs), sides, counted[1]),
            *_met(registry, exam, sides),
        ),
    )


def _gaps(
    head: str,
    ours: Sequence[Statistics],
    theirs: Sequence[Statistics],
    clusters: npt.NDArray[np.int64],
    exam: Exam,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric and class of one answer."""
    gaps = intervals.paired(ours, theirs, clusters, resamples=exam.resamples, seed=exam.seed)
    means = [_means(side) for side in (ours, theirs)]
    for key, gap in gaps.items():
        yield {
            "head": head, "metric": key[0], "class": key[1], "ours": means[0][key],
            "theirs": means[1][key], "difference": gap.value, "low": gap.low, "high": gap.high,
            "p": gap.p,
        }  # fmt: skip


def _versions_of(registry: "Registry", named: str) -> tuple[str, ...]:
    """Return the refs that a name stands for: one, or all that differ in seed alone."""
    from registry.learn.models import shelf

    if named.startswith(FLOOR):
        return (named,)
    newest = shelf.resolve(registry, named)
    if "@" in named:
        return (newest.ref,)
    method = method_of(newest.card)
    alike = [
        one
        for one in shelf.versions(registry, newest.name)
        if one.tombstone is None and method_of(one.card) == method
    ]
    by_seed = {one.card.seed: one.ref for one in alike}  # the newest of each seed
    return tuple(by_seed.values())


def _refuse_itself(ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse to compare a model with itself, of which nothing can be learnt.

    Raises:
        InvalidInputError: It is what is asked.
    """
    if set(ours) == set(theirs):
        raise InvalidInputError(
            f"both models are {', '.join(ours)}: a model does not differ from itself",
            hint="name another model, another version of it, or a floor: floor:majority",
        )


def _kept(
    registry: "Registry", exam: Exam, ref: str, *, keep: bool, progress: Progress
) -> Mapping[str, Statistics]:
    """Return what was kept of a model's answers by head; evaluates what was not.

    Raises:
        InvalidInputError: It is a smoke model.
    """
    version = pinned(registry, str(exam.version.ref))
    rows = scores_of(version)
    rows = rows.filter(pc.equal(rows["model"], ref))
    for row in reversed(rows.to_pylist()):
        if not row["smoke"] and _same_exam(row, exam):
            mine = rows.filter(pc.equal(rows["run"], row["run"]))
            heads = sorted(set(mine["head"].to_pylist()))
            return {head: statistics_of(version, row["run"], head) for head in heads}
    found = evaluate(
        registry, ref, on=str(exam.version.ref), split=exam.subset, splits=exam.split,
        crop=exam.crop, keep=keep, resamples=exam.resamples, seed=exam.seed, progress=progress,
    )  # fmt: skip
    if found.smoke:
        raise InvalidInputError(
            f"{ref} only shows that everything runs, so there is nothing to compare",
            hint="train it on real samples: without --smoke",
        )
    return found.kept


def _check_floor(exam: Exam, ref: str) -> None:
    """Refuse a floor that was not computed on these samples.

    Raises:
        NotFoundError: It was not; the hint says at which crops it was, if at any.
    """
    rows = scores_of(exam.version)
    rows = rows.filter(pc.equal(rows["model"], ref)).to_pylist()
    if any(_same_exam(row, exam) for row in rows):
        return
    crops = {tuple(json.loads(row["details"])["protocol"]["crop"] or ()) for row in rows}
    kept = [
        one for one in sorted(crops)
        if any(_same_exam(row, replace(exam, crop=one or None)) for row in rows)
    ]  # fmt: skip
    make = f"eolab floor {exam.version.ref}{_option(exam.crop)}"
    others = [f"with {_option(one).strip()}" if one else "without --crop" for one in kept]
    raise NotFoundError(
        f"{exam.version.ref} has no '{ref}' on {exam.subset or 'all samples'}, {_sizes(exam.crop)}",
        hint=f"compare {' or '.join(others)}, as it is kept; or compute it: {make}"
        if others
        else f"compute it: {make}",
    )


def _same_exam(row: Mapping[str, Any], exam: Exam) -> bool:
    """Return whether a row was scored on these samples, whatever its interval was drawn by."""
    details = json.loads(row["details"])
    said = details["protocol"]
    return bool(
        row["content_id"] == exam.version.content_id
        and row["split"] == exam.split
        and row["split_id"] == exam.split_id()
        and row["subset"] == exam.subset
        and said["crop"] == (None if exam.crop is None else list(exam.crop))
        and way_of(details["settings"]) == way_of({})  # as evaluate does by default
    )


def _heads(
    one: Mapping[str, Mapping[str, Statistics]],
    other: Mapping[str, Mapping[str, Statistics]],
    names: tuple[str, str],
) -> list[str]:
    every = [*one.values(), *other.values()]
    shared = [
        head
        for head, statistics in every[0].items()
        if all(head in kept and kept[head].task == statistics.task for kept in every)
    ]
    if not shared:
        raise InvalidInputError(
            f"{names[0]} and {names[1]} answer nothing of one name and task",
            hint="compare models for the same task, whose heads have one name",
        )
    return shared


def _check_ignored(
    registry: "Registry",
    exam: Exam,
    sides: Sequence[Mapping[str, Mapping[str, Statistics]]],
    heads: Sequence[str],
) -> None:
    """Refuse models of which one is not judged on a class that another is.

    Raises:
        InvalidInputError: They are.
    """
    from registry.learn.models import shelf

    for head in heads:
        left_out = {}
        for ref, kept in ((ref, kept) for side in sides for ref, kept in side.items()):
            recipe = {} if ref.startswith(FLOOR) else shelf.resolve(registry, ref).card.recipe
            mine = replace(exam, ignored=ignored_of(recipe))
            left_out[ref] = mine.ignores(head, kept[head].classes)
        if len(set(left_out.values())) > 1:
            raise InvalidInputError(
                f"not all of {', '.join(left_out)} are scored on the same pixels: their recipes "
                f"leave out different classes of '{head}'",
                hint="train them with the same heads.N.ignore",
            )


def _aligned(
    one: Sequence[Statistics], other: Sequence[Statistics]
) -> tuple[list[Statistics], list[Statistics]]:
    """Return both on the samples that all were scored on, in one order.

    Models that read different assets are scored on different samples, where some lack one.

    Raises:
        InvalidInputError: No sample is left.
    """
    common = set(one[0].ids).intersection(*(kept.ids for kept in (*one, *other)))
    if not common:
        raise InvalidInputError(
            "the two were scored on no sample in common",
            hint="compare models that read what the same samples have",
        )
    order = [sample for sample in one[0].ids if sample in common]

    def sorted_as_first(kept: Statistics) -> Statistics:
        place = {sample: at for at, sample in enumerate(kept.ids)}
        return kept.take(np.array([place[sample] for sample in order], np.int64))

    return [sorted_as_first(kept) for kept in one], [sorted_as_first(kept) for kept in other]


def _means(side: Sequence[Statistics]) -> dict[tuple[str, str | None], float]:
    found = [metrics.figures(kept) for kept in side]
    return {key: float(np.mean([one[key][0] for one in found if key in one])) for key in found[0]}


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(one, float) and np.isnan(one) else one for key, one in row.items()
    }


def _met(registry: "Registry", exam: Exam, sides: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is known of scored samples that either model met before; seeds are alike."""
    from registry.learn.models import shelf

    for side in sides:
        first = next(iter(side))
        if not first.startswith(FLOOR):
            for note in seen_before(registry, exam, shelf.resolve(registry, first).card.lineage):
                yield f"{first}: {note}"


def _cut(exam: Exam) -> Iterator[str]:
    if exam.crop is not None:
        yield f"samples are {_sizes(exam.crop)}"


def _sizes(crop: tuple[int, int] | None) -> str:
    return "whole" if crop is None else f"cut to {crop[0]} by {crop[1]} pixels"


def _option(crop: tuple[int, ...] | None) -> str:
    """Return a crop as the command line takes it, which knows squares alone."""
    if not crop:
        return ""
    return f" --crop {crop[0]}" if crop[0] == crop[1] else f" crop={crop}"


def _remarks(names: Sequence[str], sides: Sequence[Mapping[str, Any]], groups: int) -> list[str]:
    said = []
    for name, side in zip(names, sides, strict=True):
        first = next(iter(side))
        if "@" not in name and not name.startswith(FLOOR):
            tags = ", ".join(ref.partition("@")[2] for ref in side)
            said.append(f"{name} stands for {tags}, the newest of each seed")
        if len(side) < FEWEST_SEEDS and not first.startswith(FLOOR):
            said.append(
                f"{name} has {len(side)} seed{'s' if len(side) > 1 else ''}: "
                f"train {FEWEST_SEEDS} before a difference is believed"
            )
    if both := [ref for ref in sides[0] if ref in sides[1]]:
        said.append(f"{', '.join(both)} on both sides: they differ less than two models would")
    if (few := intervals.few_groups(groups)) is not None:
        said.append(f"{few}, and p is too small")
    if groups < 2:  # noqa: PLR2004 — nothing to draw
        said.append("all samples are of one group, so there is no interval")
    return said
