"""Annual harmonics by least squares, for many pixels at once, with gaps."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["DAYS_A_YEAR", "Harmonics", "design", "fit"]

DAYS_A_YEAR: Final = 365.25
"""How phases become days of the year."""

_WEAKEST: Final = 1e-4
_PIXELS_AT_ONCE: Final = 16_384

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Harmonics:
    """A fitted mean, trend and annual waves, one set a pixel; NaN where there was no fit."""

    mean: Doubles = field(repr=False)
    """Level in the middle of the series, in the unit of the values; shape ``(pixel,)``."""

    slope: Doubles = field(repr=False)
    """Change per year, 0 if none was fitted; shape ``(pixel,)``."""

    cosine: Doubles = field(repr=False)
    """Factors of cos 2 pi k t, t in years; shape ``(harmonic, pixel)``."""

    sine: Doubles = field(repr=False)
    """Factors of sin 2 pi k t; shape ``(harmonic, pixel)``."""

    r2: Doubles = field(repr=False)
    """Share of the variance that is explained; NaN for a flat series; shape ``(pixel,)``."""

    rmse: Doubles = field(repr=False)
    """Root of the mean squared residual, in the unit of the values; shape ``(pixel,)``."""

    @property
    def amplitude(self) -> Doubles:
        """Half of each wave's height, shape ``(harmonic, pixel)``."""
        return np.hypot(self.cosine, self.sine)

    def phase(self, harmonic: int) -> float:
        """Return when the mean wave of all pixels peaks (first in the year), as day of the year.

        Args:
            harmonic: 1 for the wave of a year, 2 for that of half a year.

        Returns:
            1 is the first of January, 0 h; up to 366.25; NaN if no pixel was fitted.
        """
        there = np.isfinite(self.cosine[harmonic - 1])
        if not there.any():
            return float("nan")
        cosine = float(self.cosine[harmonic - 1][there].mean())
        sine = float(self.sine[harmonic - 1][there].mean())
        turn = float(np.arctan2(sine, cosine)) / (2 * np.pi)
        return 1 + DAYS_A_YEAR * (turn % 1.0) / harmonic


def design(years: Doubles, harmonics: int, *, trend: bool) -> Doubles:
    """Return the columns that a series is explained by.

    Args:
        years: When, in years; shape ``(time,)``; unitless beside.
        harmonics: How many annual waves.
        trend: Whether a straight line is among them.

    Returns:
        1; years from the middle, if ``trend``; then cosine and sine of each wave; shape
        ``(time, column)``.
    """
    columns = [np.ones_like(years)]
    if trend:
        columns.append(years - _middle(years))
    for number in range(1, harmonics + 1):
        angle = 2 * np.pi * number * years
        columns += [np.cos(angle), np.sin(angle)]
    return np.stack(columns, axis=1)


def _middle(years: Doubles) -> float:
    return float(years[0] + years[-1]) / 2 if len(years) else 0.0


def fit(
    values: npt.NDArray[np.floating], years: Doubles, *, harmonics: int, trend: bool = False
) -> Harmonics:
    """Return the annual harmonics of each pixel's series by ordinary least squares.

    Args:
        values: In any unit (unitless index, reflectance, dB), shape ``(time, pixel)``; NaN where
            there is none.
        years: When, in years of the calendar, ascending; shape ``(time,)``.
        harmonics: How many, 1 or 2: of a year, and of half a year.
        trend: Whether a straight line is fitted with them.

    Returns:
        NaN for pixels with fewer values than coefficients and one more, and for those whose
        times cannot tell the waves apart.

    References:
        Menenti et al. (1993), Adv. Space Res. 13(5), 233-237; Zhu, Woodcock (2014), Remote
        Sens. Environ. 144, 152-171, equation 2.

    Examples:
        >>> years = 2020 + np.arange(36) / 36
        >>> wave = 0.5 + 0.2 * np.cos(2 * np.pi * (years - 0.25))
        >>> found = fit(wave[:, None], years, harmonics=1)
        >>> round(found.amplitude.item(), 6), round(found.phase(1), 2)
        (0.2, 92.31)
    """
    columns = design(years, harmonics, trend=trend)
    starts = range(0, max(1, values.shape[1]), _PIXELS_AT_ONCE)
    parts = [_part(values[:, at : at + _PIXELS_AT_ONCE], columns) for at in starts]
    beta = np.concatenate([part[0] for part in parts])
    first = 2 if trend else 1
    return Harmonics(
        mean=beta[:, 0],
        slope=beta[:, 1] if trend else np.zeros(len(beta)),
        cosine=beta[:, first::2].T,
        sine=beta[:, first + 1 :: 2].T,
        r2=np.concatenate([part[1] for part in parts]),
        rmse=np.concatenate([part[2] for part in parts]),
    )


def _part(values: npt.NDArray[np.floating], columns: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return coefficients (pixel, column), R² and RMSE of some pixels.

    Sums run in one thread and one order (einsum, not BLAS), so that bits do not depend on cores.
    """
    y = values.astype(np.float64)
    seen = np.isfinite(y)
    filled = np.where(seen, y, 0.0)
    count = seen.sum(axis=0)
    beta = np.full((y.shape[1], columns.shape[1]), np.nan)
    which, group = np.unique(seen, axis=1, return_inverse=True)
    gram = np.einsum("tg,tp,tq->gpq", which.astype(np.float64), columns, columns)
    moments = np.einsum("tn,tp->np", filled, columns)
    members = which.sum(axis=0)
    solvable = members > columns.shape[1]
    solvable &= np.linalg.eigvalsh(gram / np.maximum(members, 1)[:, None, None])[:, 0] > _WEAKEST
    inverse = np.full_like(gram, np.nan)
    inverse[solvable] = np.linalg.inv(gram[solvable])
    group = group.reshape(-1)
    there = solvable[group]
    beta[there] = np.einsum("npq,nq->np", inverse[group[there]], moments[there])
    off = np.where(seen, y - np.einsum("tp,np->tn", columns, beta), 0.0)
    about = np.where(seen, y - filled.sum(axis=0) / np.maximum(count, 1), 0.0)
    left, all_of_it = (off**2).sum(axis=0), (about**2).sum(axis=0)
    flat = all_of_it <= 1e-12 * np.maximum((filled**2).sum(axis=0), 1e-30)  # but for rounding
    r2 = np.where(flat, np.nan, 1 - left / np.where(flat, 1.0, all_of_it))
    rmse = np.sqrt(left / np.maximum(count, 1))
    return beta, np.where(there, r2, np.nan), np.where(there, rmse, np.nan)
