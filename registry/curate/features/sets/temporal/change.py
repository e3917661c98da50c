"""Trend and break of one series."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["CRITICAL", "Break", "largest_break", "mann_kendall", "theil_sen"]

CRITICAL: Final = 8.68
"""Largest F of one break in one coefficient that chance exceeds in 5 of 100 series.

Trimmed by 15 % on either side. References: Andrews (2003), Econometrica 71(1), 395-397, which
corrects table I of Andrews (1993), Econometrica 61(4), 821-856.
"""

_TRIMMED: Final = 0.15
_FEWEST: Final = 3

Doubles = npt.NDArray[np.float64]


def theil_sen(values: Doubles, years: Doubles) -> float:
    """Return the median slope between any two values, which a few odd ones do not move.

    Args:
        values: In any unit (unitless index, reflectance, dB), shape ``(time,)``, finite.
        years: When; shape ``(time,)``.

    Returns:
        Change per year; NaN with fewer than two times.

    References:
        Sen (1968), J. Am. Stat. Assoc. 63, 1379-1389.

    Examples:
        >>> theil_sen(np.array([0.0, 1.0, 2.0, 3.0, 99.0]), np.arange(2000.0, 2005.0))
        1.0
    """
    first, second = np.triu_indices(len(years), 1)
    apart = years[second] - years[first]
    there = apart > 0
    if not there.any():
        return math.nan
    return float(np.median((values[second] - values[first])[there] / apart[there]))


def mann_kendall(values: Doubles) -> float:
    """Return how likely a trend at least as monotonic is by chance.

    Args:
        values: In order of time and any unit (unitless index, reflectance, dB), shape
            ``(time,)``, finite.

    Returns:
        Two-sided p by the normal approximation with its corrections for ties and continuity; 1
        for a flat series.

    References:
        Mann (1945), Econometrica 13, 245-259; Kendall (1975), Rank Correlation Methods.
    """
    n = len(values)
    first, second = np.triu_indices(n, 1)
    score = int(np.sign(values[second] - values[first]).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - int((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0:
        return 1.0
    return math.erfc(max(0, abs(score) - 1) / math.sqrt(2 * variance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where a series most likely changes its level once and for good."""

    first: int
    """Number of the first value after the break."""

    statistic: float
    """F of the step at this place: the largest of all places."""

    shift: float
    """How much higher the level is afterwards, in the unit of the values."""


def largest_break(values: Doubles, columns: Doubles) -> Break | None:
    """Return the most likely break of the level, beside what explains the series anyway.

    Args:
        values: In any unit (unitless index, reflectance, dB), shape ``(time,)``, finite, in order
            of time.
        columns: What explains them: at least a column of ones, best the annual waves and a
            straight line too; shape ``(time, column)``.

    Returns:
        None if there are too few values, or no step can be told from the columns.

    References:
        Quandt (1960), J. Am. Stat. Assoc. 55, 324-330; Andrews (1993), Econometrica 61(4),
        821-856: the largest F over the places that leave 15 % of the values on either side.
    """
    n, known = columns.shape
    edge = max(_FEWEST, math.ceil(_TRIMMED * n))
    places = np.arange(edge, n - edge + 1)
    free = n - known - 1
    if not places.size or free < 1:
        return None
    basis, _ = np.linalg.qr(columns)
    steps = (np.arange(n)[:, None] >= places).astype(np.float64)
    steps -= np.einsum("tk,kp->tp", basis, np.einsum("tk,tp->kp", basis, steps))
    left = values - np.einsum("tk,k->t", basis, np.einsum("tk,t->k", basis, values))
    length = (steps**2).sum(axis=0)
    told = length > 1e-9 * n  # more than rounding leaves of a step
    if not told.any():
        return None
    along = np.einsum("tp,t->p", steps, left)
    gain = np.where(told, along**2 / np.where(told, length, 1.0), 0.0)
    whole = float((left**2).sum())
    rounding = np.finfo(np.float64)
    least = max(float(rounding.eps * (values**2).sum()), float(rounding.tiny))
    if not np.isfinite(whole):  # values near the end of what numbers can be
        return None
    statistic = gain / (np.maximum(whole - gain, least) / free)
    best = int(statistic.argmax())
    return Break(
        first=int(places[best]),
        statistic=float(statistic[best]),
        shift=float(along[best] / length[best]),
    )
