"""Scores of one class a sample."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring import calibration
from registry.learn.scoring.statistics import Figures, Floats, Statistics, Weights
from registry.learn.scoring.sums import by_index, mean_of, over, quotient

__all__ = ["confusion", "figures", "of_classes", "statistics", "support"]

_TOP: Final = (3, 5)


def statistics(
    ids: tuple[str, ...],
    classes: tuple[str, ...],
    truth: npt.NDArray[np.integer[Any]],
    probability: npt.NDArray[np.floating[Any]],
) -> Statistics:
    """Return what is kept of each sample that has a class.

    Args:
        ids: The samples.
        classes: Class names in the order of the probabilities.
        truth: True class from 0, ``(sample,)``; -1 where there is none.
        probability: ``(sample, class)``, in [0, 1].

    Returns:
        Columns ``truth``, ``predicted``, ``rank`` (of the true class, from 0), ``brier``, and
        those of :func:`registry.learn.scoring.calibration.binned`.
    """
    known = np.flatnonzero((truth >= 0) & (truth < len(classes)))
    true = truth[known].astype(np.int64)
    sure = probability[known].astype(np.float64)
    rows = np.arange(len(known))
    predicted = sure.argmax(1) if len(known) else np.zeros(0, np.int64)
    own = sure[rows, true][:, None]
    earlier = np.arange(len(classes))[None, :] < true[:, None]
    rank = (sure > own).sum(1) + ((sure == own) & earlier).sum(1)
    gap = sure.copy()
    gap[rows, true] -= 1.0
    columns: dict[str, npt.NDArray[Any]] = {
        "truth": true,
        "predicted": predicted.astype(np.int64),
        "rank": rank.astype(np.int64),
        "brier": (gap**2).sum(1),
    }
    confidence = sure[rows, predicted]
    columns |= calibration.binned(confidence, predicted == true, rows, len(rows))
    return Statistics(
        task=HeadTask.CLASSIFICATION,
        classes=classes,
        ids=tuple(ids[one] for one in known),
        columns=columns,
    )


def figures(kept: Statistics, weights: Weights) -> Figures:
    """Return accuracy, precision, recall, F1, top k and calibration for each draw of weights."""
    size = len(kept.classes)
    truth, predicted = kept.columns["truth"], kept.columns["predicted"]
    hit = np.where(truth == predicted, truth, -1)
    right, true, said = (by_index(weights, one, size) for one in (hit, truth, predicted))
    total = weights.sum(1)
    found: Figures = {("accuracy", None): quotient(right.sum(1), total)}
    found |= of_classes(kept.classes, right, true, said)
    found["balanced_accuracy", None] = mean_of(quotient(right, true), true > 0)
    for top in _TOP:
        if size > top:
            within = over(weights, kept.columns["rank"] < top)
            found[f"top{top}_accuracy", None] = quotient(within, total)
    return found | calibration.figures_of(kept, weights, total)


def of_classes(classes: tuple[str, ...], right: Floats, true: Floats, said: Floats) -> Figures:
    """Return precision, recall and F1 of each class and their means.

    A class that is neither true nor said anywhere has no figure and is in no mean; one that is
    true and never said has precision 0, one that is said and never true recall 0.

    Args:
        classes: Their names.
        right: How often each is said where it is true, ``(draw, class)``.
        true: How often it is true, likewise.
        said: How often it is said, likewise.

    References:
        van Rijsbergen (1979), Information Retrieval, ch. 7. Means of classes as scikit-learn's
        ``average="macro", zero_division=0`` has them.
    """
    there = (true + said) > 0
    zero = np.where(there, 0.0, np.nan)
    parts = {
        "precision": quotient(right, said, otherwise=zero),
        "recall": quotient(right, true, otherwise=zero),
        "f1": quotient(2 * right, true + said),
    }
    found: Figures = {}
    for name, values in parts.items():
        found |= {(name, one): values[:, place] for place, one in enumerate(classes)}
        found[f"macro_{name}", None] = mean_of(values, there)
    return found


def support(kept: Statistics) -> npt.NDArray[np.bool_]:
    """Return which samples have which class, ``(sample, class)``."""
    return np.asarray(kept.columns["truth"][:, None] == np.arange(len(kept.classes))[None, :])


def confusion(kept: Statistics) -> npt.NDArray[np.int64]:
    """Return how many samples of each class (rows) were taken for which (columns)."""
    size = len(kept.classes)
    cell = kept.columns["truth"] * size + kept.columns["predicted"]
    return np.bincount(cell, minlength=size * size).reshape(size, size).astype(np.int64)
