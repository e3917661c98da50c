"""Speckle of radar images: how much there is, and an image without it."""

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["SIZE", "lee_filtered", "looks"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SIZE: Final = 7
"""Pixels along one side of the window."""

_HALF: Final = SIZE // 2


def looks(power: Floats) -> float | None:
    """Return the equivalent number of looks.

    Every window of :data:`SIZE` by :data:`SIZE` pixels that is wholly inside and observed gives
    the square of its mean over its variance; the median of them is taken, since in most windows of
    most places only speckle varies.

    Args:
        power: Backscatter, linear, above 0; shape ``(time, y, x)``; NaN where not observed.

    Returns:
        None if no window is whole or varies.

    References:
        Oliver and Quegan (2004), Understanding Synthetic Aperture Radar Images, section 4.3.
    """
    if min(power.shape[1:]) < SIZE:
        return None
    mean, variance, count = _windows(power)
    whole = (count == SIZE * SIZE) & (variance > 0)
    seen = mean[whole] ** 2 / variance[whole]
    return float(np.median(seen)) if seen.size else None


def lee_filtered(power: Floats, *, looks: float) -> Floats:
    """Return backscatter after the Lee filter: smooth where only speckle varies, else as it was.

    Args:
        power: Backscatter, linear, above 0; shape ``(time, y, x)``; NaN where not observed.
        looks: Equivalent number of looks of the product; 4.4 for Sentinel-1 IW GRD.

    Returns:
        Of the same shape; NaN where it was. Windows are cut off at the edges.

    References:
        Lee (1980), IEEE TPAMI 2, 165-168, https://doi.org/10.1109/TPAMI.1980.4766994; weight as in
        Lopes, Touzi and Nezry (1990), IEEE TGRS 28, 992-1000, https://doi.org/10.1109/36.62623.
    """
    mean, variance, _ = _windows(power)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = 1 - mean * mean / (looks * variance)  # what varies beyond speckle, over all
    weight = np.clip(np.where(variance > 0, weight, 0.0), 0.0, 1.0)
    return np.asarray(mean + weight * (power - mean), dtype=np.float32)


def _windows(power: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Return mean, variance and number of what was observed in the window about each pixel."""
    there = np.isfinite(power)
    values = np.where(there, power, 0).astype(np.float64)
    count = _sums(there.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = _sums(values) / count
        square = _sums(values * values) / count
    # below this, the difference of two sums is rounding
    variance = np.where(square - mean * mean > square * 1e-12, square - mean * mean, 0.0)
    return mean, variance, count


def _sums(values: Doubles) -> Doubles:
    """Return sums over windows, one direction after the other, without what lies outside."""
    for axis in (1, 2):
        total = values.copy()
        for step in range(1, _HALF + 1):
            ahead = [slice(None)] * 3
            behind = [slice(None)] * 3
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            total[tuple(behind)] += values[tuple(ahead)]
            total[tuple(ahead)] += values[tuple(behind)]
        values = total
    return values
