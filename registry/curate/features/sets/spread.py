"""How values are spread: mean, standard deviation and percentiles of one array, fast and exact.

Everything is read off the sorted values. Sorting once is faster than any number of partial sorts,
because NumPy sorts with vector instructions; what is not finite comes to lie at the ends; and the
figures depend on neither the order of the pixels nor the machine. The mean is summed up in double
precision, so that a long series loses no digits.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST_SHARE", "moments", "ordered", "quantiles", "spread"]

Floats = npt.NDArray[np.float32]

LEAST_SHARE: Final = 0.01
"""Share of a sample's pixels that have to be observed; fewer do not stand for the sample."""


def spread(
    values: Floats, probabilities: Sequence[float], scratch: Floats | None = None
) -> tuple[float, ...] | None:
    """Return mean, standard deviation and quantiles of what is finite; None if nothing is.

    Args:
        values: Shape ``(n,)``; left as they are.
        probabilities: In [0, 1].
        scratch: Room for twice as many values, overwritten; saves time in a row of calls.

    Returns:
        Mean, standard deviation (of these values, not estimated for others) and the quantiles.

    Examples:
        >>> spread(np.array([1, np.inf, 3, 2, np.nan], np.float32), [0.5])
        (2.0, 0.816..., 2.0)
    """
    room = np.empty(2 * values.size, np.float32) if scratch is None else scratch
    kept = ordered(values, room[: values.size])
    if not kept.size:
        return None
    return (*moments(kept, room[values.size :]), *quantiles(kept, probabilities))


def ordered(values: Floats, scratch: Floats | None = None) -> Floats:
    """Return those values that are finite, ascending.

    Args:
        values: Shape ``(n,)``; left as they are.
        scratch: Room for as many values, to be used for the result.
    """
    room = np.empty_like(values) if scratch is None else scratch
    np.copyto(room, values)
    room.sort()
    if not room.size or (math.isfinite(room[0]) and math.isfinite(room[-1])):
        return room
    first = int(np.searchsorted(room, -np.inf, side="right"))
    return room[first : int(np.searchsorted(room, np.inf, side="left"))]  # NaN comes last


def moments(values: Floats, scratch: Floats | None = None) -> tuple[float, float]:
    """Return mean and standard deviation of finite values.

    Args:
        values: Shape ``(n,)``, at least one.
        scratch: Room for as many values at least, overwritten.
    """
    mean = float(np.add.reduce(values, dtype=np.float64)) / values.size
    rounded = np.float32(mean)
    off = mean - float(rounded)
    room = np.empty_like(values) if scratch is None else scratch[: values.size]
    with np.errstate(over="ignore"):
        away = np.subtract(values, rounded, out=room)
        np.multiply(away, away, out=away)
        square = float(np.add.reduce(away)) / values.size  # pairwise, of what is not negative
    if not math.isfinite(square):  # too large for single precision
        exact = values.astype(np.float64) - float(rounded)
        square = float(np.add.reduce(exact * exact)) / values.size
    return mean, math.sqrt(max(square - off * off, 0.0))


def quantiles(ascending: npt.NDArray[Any], probabilities: Sequence[float]) -> list[float]:
    """Return quantiles, linear between two neighbours, of sorted values.

    Args:
        ascending: Shape ``(n,)``, at least one.
        probabilities: In [0, 1].

    References:
        Hyndman and Fan (1996), The American Statistician 50, 361-365, definition 7.
    """
    last = ascending.size - 1
    found = []
    for probability in probabilities:
        place = probability * last
        below = int(place)
        low = float(ascending[below])
        high = float(ascending[min(below + 1, last)])
        found.append(low + (high - low) * (place - below) + 0.0)  # no negative zero
    return found
