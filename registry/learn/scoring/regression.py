"""Scores of quantities, of samples or of pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.statistics import Figures, Statistics, Weights
from registry.learn.scoring.sums import over, quotient

__all__ = ["figures", "statistics"]


def statistics(
    ids: tuple[str, ...],
    truth: npt.NDArray[np.floating[Any]],
    predicted: npt.NDArray[np.floating[Any]],
    *,
    task: HeadTask = HeadTask.REGRESSION,
) -> Statistics:
    """Return what is kept of each sample that has a true quantity.

    Args:
        ids: The samples.
        truth: In the quantity's unit, ``(sample,)`` or ``(sample, y, x)``; what is not finite is
            not known and counts nowhere.
        predicted: Likewise.
        task: Regression or pixel regression.

    Returns:
        Columns ``count`` of values, ``error``, ``absolute`` and ``squared`` sums of errors
        (predicted - true), ``mean`` of the true values, and ``spread``: the sum of their squared
        distances from that mean.
    """
    true = truth.reshape(len(ids), -1).astype(np.float64)
    said = predicted.reshape(len(ids), -1).astype(np.float64)
    known = np.isfinite(true)
    kept = np.flatnonzero(known.any(1))
    true, said, known = true[kept], said[kept], known[kept]
    count = known.sum(1)
    error = np.where(known, said - true, 0.0)
    values = np.where(known, true, 0.0)
    mean = values.sum(1) / count
    away = np.where(known, values - mean[:, None], 0.0)
    return Statistics(
        task=task,
        classes=(),
        ids=tuple(ids[one] for one in kept),
        columns={
            "count": count.astype(np.int64),
            "error": error.sum(1),
            "absolute": np.abs(error).sum(1),
            "squared": (error**2).sum(1),
            "mean": mean,
            "spread": (away**2).sum(1),
        },
    )


def figures(kept: Statistics, weights: Weights) -> Figures:
    """Return RMSE, MAE, bias and R² for each draw of weights, pooled over all values.

    References:
        R² = 1 - Σ(ŷ-y)² / Σ(y-ȳ)²; Draper and Smith (1998), Applied Regression Analysis, §1.3.
    """
    columns = kept.columns
    count = over(weights, columns["count"])
    squared = over(weights, columns["squared"])
    # Around a centre near the data: the difference of two large sums would be noise.
    centre = float(columns["mean"].mean()) if len(kept) else 0.0
    away = columns["mean"] - centre
    first = over(weights, columns["count"] * away)
    second = over(weights, columns["spread"] + columns["count"] * away**2)
    total = second - quotient(first**2, count, otherwise=0.0)
    return {
        ("rmse", None): np.sqrt(quotient(squared, count)),
        ("mae", None): quotient(over(weights, columns["absolute"]), count),
        ("bias", None): quotient(over(weights, columns["error"]), count),
        ("r2", None): 1 - quotient(squared, np.maximum(total, 0.0)),
    }
