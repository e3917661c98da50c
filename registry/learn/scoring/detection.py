"""Scores of boxes, matched as COCO matches them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.loading.batch import Boxes
from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.statistics import Figures, Floats, Statistics, Weights
from registry.learn.scoring.sums import mean_of, over, quotient

__all__ = ["Found", "figures", "overlaps", "statistics", "support"]

_THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
_RECALLS: Final = np.linspace(0.0, 1.0, 101)
_MOST: Final = 100  # boxes of a class in an image, as COCO's maxDets
_FIFTY: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The objects that a model sees in one sample."""

    corners: npt.NDArray[np.floating[Any]]
    """``(objects, 4)``: x and y of the upper left, then of the lower right corner, in pixels."""

    classes: npt.NDArray[np.integer[Any]]
    """``(objects,)``, from 0."""

    scores: npt.NDArray[np.floating[Any]]
    """``(objects,)``: how sure it is, in [0, 1]."""


def statistics(
    ids: tuple[str, ...],
    classes: tuple[str, ...],
    truth: Sequence[Boxes],
    found: Sequence[Found],
) -> Statistics:
    """Return what is kept of each sample.

    Args:
        ids: The samples.
        classes: Class names.
        truth: The labelled objects of each.
        found: What the model sees in each.

    Returns:
        Column ``truths``: labelled objects by class; of each box that was found, surest first
        within sample and class: ``score``, ``class``, and ``hit``: whether it is matched at IoU
        0.50, 0.55, … 0.95.
    """
    truths = np.zeros((len(ids), len(classes)), np.int64)
    objects = np.zeros(len(ids), np.int64)
    parts: list[tuple[Floats, int, npt.NDArray[np.bool_]]] = []
    for place, (true, said) in enumerate(zip(truth, found, strict=True)):
        for one in range(len(classes)):
            boxes = true.corners[true.classes == one].astype(np.float64)
            truths[place, one] = len(boxes)
            mine = np.flatnonzero(said.classes == one)
            mine = mine[np.argsort(-said.scores[mine], kind="stable")][:_MOST]
            if len(mine):
                hit = _matched(overlaps(said.corners[mine].astype(np.float64), boxes))
                parts.append((said.scores[mine].astype(np.float64), one, hit))
                objects[place] += len(mine)
    none: Floats = np.zeros(0)
    return Statistics(
        task=HeadTask.DETECTION,
        classes=classes,
        ids=ids,
        columns={"truths": truths, "objects": objects},
        lists={
            "score": np.concatenate([none, *(score for score, _, _ in parts)]),
            "class": np.concatenate([
                np.zeros(0, np.int64),
                *(np.full(len(score), one) for score, one, _ in parts),
            ]),
            "hit": np.concatenate([
                np.zeros((0, len(_THRESHOLDS)), np.int8),
                *(hit.astype(np.int8) for _, _, hit in parts),
            ]),
        },
    )


def overlaps(one: Floats, other: Floats) -> Floats:
    """Return the intersection over union of each pair of boxes.

    Args:
        one: Corners, ``(m, 4)``, in pixels.
        other: Likewise, ``(n, 4)``.

    Returns:
        ``(m, n)``, in [0, 1].
    """
    upper = np.maximum(one[:, None, :2], other[None, :, :2])
    lower = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(lower - upper, 0, None).prod(2)
    areas = [np.clip(box[:, 2:] - box[:, :2], 0, None).prod(1) for box in (one, other)]
    return quotient(shared, areas[0][:, None] + areas[1][None, :] - shared, otherwise=0.0)


def _matched(overlap: Floats) -> npt.NDArray[np.bool_]:
    """Return which boxes, surest first, find an object that no surer one took, by threshold.

    References:
        Lin et al. (2014), Microsoft COCO, and the matching of its ``COCOeval.evaluateImg``: each
        box takes the free object that it overlaps most, if by the threshold at least.
    """
    boxes, objects = overlap.shape
    hit = np.zeros((boxes, len(_THRESHOLDS)), np.bool_)
    free = np.ones((len(_THRESHOLDS), objects), np.bool_)
    if not objects:
        return hit
    steps = np.arange(len(_THRESHOLDS))
    for box in range(boxes):
        left = np.where(free, overlap[box][None, :], -1.0)
        # The last of equals is taken, as COCO's loop does.
        best = objects - 1 - left[:, ::-1].argmax(1)
        hit[box] = left[steps, best] >= np.minimum(_THRESHOLDS, 1 - 1e-10)
        free[steps[hit[box]], best[hit[box]]] = False
    return hit


def figures(kept: Statistics, weights: Weights) -> Figures:
    """Return average precision at IoU 0.5 and over 0.50 to 0.95 for each draw of weights."""
    labelled = over(weights, kept.columns["truths"])
    owner = kept.owners()
    found: Figures = {}
    both: list[Floats] = []
    for place, one in enumerate(kept.classes):
        mine = np.flatnonzero(kept.lists["class"] == place)
        mine = mine[np.argsort(-kept.lists["score"][mine], kind="stable")]
        areas = _areas(kept.lists["hit"][mine], weights[:, owner[mine]], labelled[:, place])
        found["ap50", one] = areas[:, _FIFTY]
        found["ap50_95", one] = areas.mean(1)
        both.append(np.stack([areas[:, _FIFTY], areas.mean(1)], axis=1))
    stacked = np.stack(both, axis=2)  # (draw, which, class)
    means = mean_of(stacked, ~np.isnan(stacked))
    return found | {("ap50", None): means[:, 0], ("ap50_95", None): means[:, 1]}


def _areas(hit: npt.NDArray[Any], drawn: Weights, labelled: Floats) -> Floats:
    """Return the average precision of a class by threshold, ``(draw, threshold)``.

    References:
        ``COCOeval.accumulate``: precision made to fall with recall, read at 101 recalls.
    """
    areas = np.zeros((len(drawn), len(_THRESHOLDS)))
    areas[labelled <= 0] = np.nan
    if not len(hit):
        return areas
    said = np.cumsum(drawn, axis=1)
    for step in range(len(_THRESHOLDS)):
        true = np.cumsum(drawn * hit[:, step], axis=1)
        precision = quotient(true, said, otherwise=0.0)
        falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for draw in np.flatnonzero(labelled > 0):
            recall = true[draw] / labelled[draw]
            at = np.searchsorted(recall, _RECALLS, side="left")
            read = np.where(at < len(recall), falling[draw][np.minimum(at, len(recall) - 1)], 0.0)
            areas[draw, step] = read.mean()
    return areas


def support(kept: Statistics) -> npt.NDArray[np.bool_]:
    """Return which samples have an object of which class, ``(sample, class)``."""
    return np.asarray(kept.columns["truths"] > 0)
