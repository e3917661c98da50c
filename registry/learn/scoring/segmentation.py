"""Scores of one class a pixel, pooled over the pixels of all samples."""

from typing import Any

import numpy as np
import numpy.typing as npt

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring import calibration
from registry.learn.scoring.classification import of_classes
from registry.learn.scoring.statistics import Figures, Statistics, Weights
from registry.learn.scoring.sums import mean_of, over, quotient

__all__ = ["confusion", "figures", "statistics", "support"]


def statistics(
    ids: tuple[str, ...],
    classes: tuple[str, ...],
    truth: npt.NDArray[np.integer[Any]],
    probability: npt.NDArray[np.floating[Any]],
    *,
    task: HeadTask = HeadTask.SEGMENTATION,
) -> Statistics:
    """Return what is kept of each sample.

    Args:
        ids: The samples.
        classes: Class names in the order of the probabilities.
        truth: True class of each pixel from 0, ``(sample, y, x)``; -1 where nobody knows it, and
            such pixels count nowhere.
        probability: ``(sample, class, y, x)``, in [0, 1].
        task: Segmentation or change.

    Returns:
        Columns ``confusion`` (true class, said class), ``brier``, and those of
        :func:`registry.learn.scoring.calibration.binned` over pixels.
    """
    pairs = zip(truth, probability, strict=True)
    parts = [_of_one(true, sure, len(classes)) for true, sure in pairs]
    names = ("confusion", "brier", "bin_count", "bin_right", "bin_sure")
    columns: dict[str, npt.NDArray[Any]] = {
        name: np.concatenate([part[name] for part in parts]) for name in names
    }
    return Statistics(task=task, classes=classes, ids=ids, columns=columns)


def _of_one(
    truth: npt.NDArray[np.integer[Any]], probability: npt.NDArray[np.floating[Any]], size: int
) -> dict[str, npt.NDArray[Any]]:
    """Return what is kept of one sample, with a first axis of one."""
    known = (truth >= 0) & (truth < size)
    true = truth[known].astype(np.int64)
    sure = probability[:, known].astype(np.float64)  # (class, pixel)
    said = sure.argmax(0)
    at = np.arange(len(true))
    squares = (sure**2).sum(0) - 2 * sure[true, at] + 1.0
    return {
        "confusion": np.bincount(true * size + said, minlength=size**2).reshape(1, size, size),
        "brier": np.array([squares.sum()]),
        **calibration.binned(sure[said, at], said == true, np.zeros_like(true), 1),
    }


def figures(kept: Statistics, weights: Weights) -> Figures:
    """Return IoU, F1, accuracy and calibration for each draw of weights.

    References:
        Everingham et al. (2015), The Pascal VOC Challenge: A Retrospective, §4.2: intersection
        and union are counted over all pixels of all images, then divided.
    """
    table = kept.columns["confusion"]
    right = over(weights, np.einsum("nkk->nk", table))
    true, said = over(weights, table.sum(2)), over(weights, table.sum(1))
    total = true.sum(1)
    iou = quotient(right, true + said - right)
    found: Figures = {("iou", one): iou[:, place] for place, one in enumerate(kept.classes)}
    found["miou", None] = mean_of(iou, (true + said) > 0)
    found["accuracy", None] = quotient(right.sum(1), total)
    found["balanced_accuracy", None] = mean_of(quotient(right, true), true > 0)
    found |= of_classes(kept.classes, right, true, said)
    return found | calibration.figures_of(kept, weights, total)


def support(kept: Statistics) -> npt.NDArray[np.bool_]:
    """Return which samples have a pixel of which class, ``(sample, class)``."""
    return np.asarray(kept.columns["confusion"].sum(2) > 0)


def confusion(kept: Statistics) -> npt.NDArray[np.int64]:
    """Return how many pixels of each class (rows) were taken for which (columns)."""
    return np.asarray(kept.columns["confusion"].sum(0), np.int64)
