"""Weighted sums over samples, the same on every machine; quotients that may be undefined."""

from typing import Any

import numpy as np
import numpy.typing as npt

from registry.learn.scoring.statistics import Floats, Weights

__all__ = ["by_index", "mean_of", "over", "quotient"]


def over(weights: Weights, values: npt.NDArray[Any]) -> Floats:
    """Return the weighted sums of values over samples.

    Args:
        weights: ``(draw, sample)``.
        values: ``(sample, …)``. Whole numbers are summed exactly, in whatever order; others in
            one fixed order, so that the number of threads changes no bit.

    Returns:
        ``(draw, …)``.
    """
    flat = values.reshape(len(values), -1)
    if np.issubdtype(values.dtype, np.integer) or values.dtype == np.bool_:
        summed = weights @ flat.astype(np.float64)
    else:
        summed = np.einsum("bn,nk->bk", weights, flat.astype(np.float64))
    return np.asarray(summed.reshape(len(weights), *values.shape[1:]))


def by_index(weights: Weights, index: npt.NDArray[np.integer[Any]], size: int) -> Floats:
    """Return the weight of the samples of each index.

    Args:
        weights: ``(draw, sample)``.
        index: ``(sample,)``, from 0; what lies outside is left out.
        size: How many indices there are.

    Returns:
        ``(draw, index)``.
    """
    return np.stack([weights[:, index == one].sum(1) for one in range(size)], axis=1)


def quotient(above: Floats, below: Floats, *, otherwise: float | Floats = np.nan) -> Floats:
    """Return ``above / below``, and something else where ``below`` is 0.

    Examples:
        >>> quotient(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
        [0.5, nan]
    """
    there = below > 0
    return np.where(there, above / np.where(there, below, 1.0), otherwise)


def mean_of(values: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean over the last axis of the values that were chosen; NaN where none is."""
    return quotient(np.where(chosen, values, 0.0).sum(-1), chosen.sum(-1).astype(np.float64))
