"""Scores of any number of classes a sample."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring import calibration
from registry.learn.scoring.classification import of_classes
from registry.learn.scoring.statistics import Figures, Floats, Statistics, Weights
from registry.learn.scoring.sums import mean_of, over, quotient

__all__ = ["average_precision", "figures", "statistics", "support"]

_THRESHOLD: Final = 0.5


def statistics(
    ids: tuple[str, ...],
    classes: tuple[str, ...],
    truth: npt.NDArray[Any],
    probability: npt.NDArray[np.floating[Any]],
) -> Statistics:
    """Return what is kept of each sample.

    Args:
        ids: The samples.
        classes: Class names in the order of the arrays.
        truth: Whether each sample has each class, 0 or 1, ``(sample, class)``.
        probability: Of each class, in [0, 1], ``(sample, class)``.

    Returns:
        Columns ``truth``, ``probability``, ``brier``, and those of
        :func:`registry.learn.scoring.calibration.binned` over all answers.
    """
    true = truth > 0
    sure = probability.astype(np.float64)
    says = sure >= _THRESHOLD
    owner = np.repeat(np.arange(len(ids)), len(classes))
    confidence = np.where(says, sure, 1 - sure).reshape(-1)
    columns: dict[str, npt.NDArray[Any]] = {
        "truth": true.astype(np.int64),
        "probability": probability.astype(np.float32),
        "brier": ((sure - true) ** 2).sum(1),
    }
    columns |= calibration.binned(confidence, (says == true).reshape(-1), owner, len(ids))
    return Statistics(task=HeadTask.MULTILABEL, classes=classes, ids=ids, columns=columns)


def figures(kept: Statistics, weights: Weights) -> Figures:
    """Return average precision, F1 and the like for each draw of weights."""
    truth = kept.columns["truth"].astype(np.bool_)
    says = kept.columns["probability"].astype(np.float64) >= _THRESHOLD
    right, true, said = (over(weights, one) for one in (truth & says, truth, says))
    found = of_classes(kept.classes, right, true, said)
    found["micro_f1", None] = quotient(2 * right.sum(1), (true + said).sum(1))
    exact = over(weights, (truth == says).all(1))
    found["exact_match", None] = quotient(exact, weights.sum(1))
    precisions = np.stack(
        [
            average_precision(truth[:, place], kept.columns["probability"][:, place], weights)
            for place in range(len(kept.classes))
        ],
        axis=1,
    )
    for place, one in enumerate(kept.classes):
        found["average_precision", one] = precisions[:, place]
    found["map", None] = mean_of(precisions, ~np.isnan(precisions))
    answers = weights.sum(1) * len(kept.classes)
    return found | calibration.figures_of(kept, weights, answers)


def average_precision(
    truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating[Any]], weights: Weights
) -> Floats:
    """Return the area under the steps of precision over recall.

    Args:
        truth: Whether each sample has the class, ``(sample,)``.
        score: How sure the model is, ``(sample,)``; equal scores count as one threshold.
        weights: How often each sample counts, ``(draw, sample)``.

    Returns:
        ``(draw,)``; NaN where no sample has the class.

    References:
        Σ (Rₙ - Rₙ₋₁) Pₙ, as scikit-learn's ``average_precision_score``; Manning, Raghavan,
        Schütze (2008), Introduction to Information Retrieval, §8.4, without interpolation.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    drawn = weights[:, order]
    hits = np.cumsum(drawn * truth[order], axis=1)[:, last]
    all_said = np.cumsum(drawn, axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0.0)
    area = (gained * quotient(hits, all_said, otherwise=0.0)).sum(1)
    return quotient(area, hits[:, -1])


def support(kept: Statistics) -> npt.NDArray[np.bool_]:
    """Return which samples have which class, ``(sample, class)``."""
    return kept.columns["truth"].astype(np.bool_)
