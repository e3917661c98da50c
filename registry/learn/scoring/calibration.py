"""Whether a model is as sure as it is right: bins of confidence, from which all else follows.

References:
    Guo, Pleiss, Sun, Weinberger (2017), On Calibration of Modern Neural Networks, ICML, eq. 2-3.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.scoring.statistics import Figures, Floats, Statistics, Weights
from registry.learn.scoring.sums import over, quotient

__all__ = ["BINS", "binned", "expected_error", "figures_of", "reliability"]

BINS: Final = 15
"""Bins of equal width between 0 and 1, as Guo et al. have them."""

_STEP: Final = 2.0**-20  # confidences are summed in steps, exactly, in any order


def binned(
    confidence: npt.NDArray[np.floating[Any]],
    right: npt.NDArray[np.bool_],
    owner: npt.NDArray[np.int64],
    samples: int,
) -> dict[str, npt.NDArray[np.int64]]:
    """Return how many answers of each sample lie in each bin, how sure and how right they are.

    Args:
        confidence: Probability of each answer, in [0, 1], ``(answer,)``.
        right: Whether it is true, ``(answer,)``.
        owner: Place of the sample of each answer, ``(answer,)``.
        samples: How many samples there are.

    Returns:
        ``bin_count``, ``bin_right`` and ``bin_sure`` (confidence in steps of 2⁻²⁰), each
        ``(sample, bin)``.
    """
    # A bin holds its upper edge, as in Guo et al.; what is 0 lies in the first.
    place = np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(np.int64) - 1, 0, BINS - 1)
    cell = owner * BINS + place
    size = samples * BINS
    steps = np.rint(confidence.astype(np.float64) / _STEP)

    def counted(weights: npt.NDArray[Any] | None) -> npt.NDArray[np.int64]:
        sums = np.bincount(cell, weights=weights, minlength=size)
        return np.rint(sums).astype(np.int64).reshape(samples, BINS)

    return {
        "bin_count": counted(None),
        "bin_right": counted(right.astype(np.float64)),
        "bin_sure": counted(steps),
    }


def expected_error(statistics: Statistics, weights: Weights) -> Floats:
    """Return the expected calibration error: the mean gap between how sure and how right.

    References:
        Guo et al. (2017), eq. 3.
    """
    count, right, sure = (
        over(weights, statistics.columns[name]) for name in ("bin_count", "bin_right", "bin_sure")
    )
    return quotient(np.abs(right - sure * _STEP).sum(1), count.sum(1))


def figures_of(statistics: Statistics, weights: Weights, answers: Floats) -> Figures:
    """Return ECE and Brier score.

    Args:
        statistics: With the columns of :func:`binned`, and ``brier``: the sum of squared gaps
            between probabilities and truth over the answers of each sample.
        weights: How often each sample counts.
        answers: How many answers there are, ``(draw,)``.

    References:
        Brier (1950), Monthly Weather Review 78, 1-3.
    """
    return {
        ("ece", None): expected_error(statistics, weights),
        ("brier", None): quotient(over(weights, statistics.columns["brier"]), answers),
    }


def reliability(statistics: Statistics) -> list[dict[str, float]]:
    """Return the reliability curve: a row each bin that holds an answer.

    Returns:
        ``low`` and ``high`` edge, ``count`` of answers, mean ``confidence``, share ``right``.
    """
    count = statistics.columns["bin_count"].sum(0)
    right = statistics.columns["bin_right"].sum(0)
    sure = statistics.columns["bin_sure"].sum(0) * _STEP
    return [
        {
            "low": place / BINS,
            "high": (place + 1) / BINS,
            "count": float(count[place]),
            "confidence": float(sure[place] / count[place]),
            "right": float(right[place] / count[place]),
        }
        for place in range(BINS)
        if count[place]
    ]
