"""How values are spread: mean, standard deviation and percentiles of one array, fast and exact.

Sorting once is faster than any number of partial sorts, because NumPy sorts with vector
instructions. Sums are pairwise and in double precision, so that they neither depend on the machine
nor lose digits over a long series.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["finite", "moments", "quantiles", "spread"]

Floats = npt.NDArray[np.float32]


def spread(values: Floats, probabilities: Sequence[float]) -> tuple[float, ...] | None:
    """Return mean, standard deviation and quantiles of what is finite; None if nothing is.

    Args:
        values: Shape ``(n,)``; left as they are.
        probabilities: In [0, 1].

    Returns:
        Mean, standard deviation (of these values, not estimated for others) and the quantiles.

    Examples:
        >>> spread(np.array([1, 2, 3, np.inf, np.nan], np.float32), [0.5])
        (2.0, 0.816..., 2.0)
    """
    values, total = finite(values)
    if not values.size:
        return None
    mean, deviation = moments(values, total)
    return (mean, deviation, *quantiles(np.sort(values), probabilities))


def finite(values: Floats) -> tuple[Floats, float]:
    """Return the finite ones of some values, and their sum.

    Args:
        values: Shape ``(n,)``.
    """
    with np.errstate(invalid="ignore"):
        total = float(np.add.reduce(values, dtype=np.float64))
    if math.isfinite(total):  # no float32 is large enough to overflow it, so all are finite
        return values, total
    kept = values[np.isfinite(values)]
    return kept, float(np.add.reduce(kept, dtype=np.float64))


def moments(values: Floats, total: float) -> tuple[float, float]:
    """Return mean and standard deviation of finite values whose sum is known.

    Args:
        values: Shape ``(n,)``, at least one.
        total: Their sum.
    """
    mean = total / values.size
    rounded = np.float32(mean)
    off = mean - float(rounded)
    away = values - rounded
    with np.errstate(over="ignore"):
        squares = np.multiply(away, away)
    square = float(np.add.reduce(squares, dtype=np.float64)) / values.size
    if not math.isfinite(square):  # too large for single precision
        square = float(np.add.reduce(np.square(away, dtype=np.float64))) / values.size
    return mean, math.sqrt(max(square - off * off, 0.0))


def quantiles(ordered: npt.NDArray[Any], probabilities: Sequence[float]) -> list[float]:
    """Return quantiles, linear between two neighbours, of sorted values.

    Args:
        ordered: Ascending, shape ``(n,)``, at least one.
        probabilities: In [0, 1].

    References:
        Hyndman and Fan (1996), The American Statistician 50, 361-365, definition 7.
    """
    found = []
    for probability in probabilities:
        place = probability * (ordered.size - 1)
        below = int(place)
        low = float(ordered[below])
        high = float(ordered[min(below + 1, ordered.size - 1)])
        found.append(low + (high - low) * (place - below) + 0.0)  # no negative zero
    return found
