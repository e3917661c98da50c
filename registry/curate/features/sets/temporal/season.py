"""Phenology: when the main season starts, peaks and ends."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.sets.temporal.harmonic import DAYS_A_YEAR, Harmonics

__all__ = ["Season", "main_season"]

Doubles = npt.NDArray[np.float64]

_STEPS: Final = 3652
_SHARE: Final = 0.2
_A_PEAK: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """The main season of a year that repeats; days of the year from 1 (1 January, 0 h)."""

    start: float
    """Where the curve has risen a fifth of the way from the minimum before."""

    peak: float
    """Where it is highest."""

    end: float
    """Where it has a fifth left to fall to the minimum after."""

    length: float
    """From start to end, in days; also where New Year is between."""

    base: float
    """Mean of the two minima, in the unit of the values."""

    amplitude: float
    """From base to peak, in the unit of the values."""

    seasons: int
    """How many peaks rise at least a quarter of the curve's height above the lower ones beside."""


def main_season(waves: Harmonics, *, share: float = _SHARE) -> Season | None:
    """Return the main season of a fitted series of one pixel.

    The curve is the sum of the mean and the annual waves, so it closes upon itself: a season that
    spans New Year, as in the south, is one season, and its start's day is after its end's.

    Args:
        waves: Of one series, as :func:`registry.curate.features.sets.temporal.harmonic.fit` gives
            them.
        share: Of the rise and of the fall at which the season starts and ends, in (0, 1).

    Returns:
        None if there is no fit, or the curve is flat.

    References:
        Jönsson, Eklundh (2004), Computers & Geosciences 30, 833-845, section 2.4 (thresholds
        relative to the amplitude on either side); the curve as in Roerink et al. (2000), Int. J.
        Remote Sens. 21(9), 1911-1917.
    """
    turn = np.arange(_STEPS) / _STEPS
    curve = np.full(_STEPS, waves.mean[0])
    for number, (cosine, sine) in enumerate(zip(waves.cosine, waves.sine, strict=True), start=1):
        angle = 2 * np.pi * number * turn
        curve += cosine[0] * np.cos(angle) + sine[0] * np.sin(angle)
    height = float(curve.max() - curve.min())
    if not np.isfinite(height) or height <= 1e-9 * max(1.0, abs(float(waves.mean[0]))):
        return None
    peak = int(curve.argmax())
    after = np.roll(curve, -peak)
    after = np.append(after, after[0])  # once around, from peak to peak
    fall, rise = (_down(arm, _A_PEAK * height) for arm in (after, after[::-1]))
    start, end = _crossing(rise, share), _crossing(fall, share)
    base = float(rise[-1] + fall[-1]) / 2
    return Season(
        start=_day(peak - start),
        peak=_day(peak),
        end=_day(peak + end),
        length=(start + end) * DAYS_A_YEAR / _STEPS,
        base=base,
        amplitude=float(curve[peak]) - base,
        seasons=_peaks(curve, _A_PEAK * height),
    )


def _down(arm: Doubles, rise: float) -> Doubles:
    """Return the part from a peak down to its valley, which ends where the next peak begins."""
    lowest = np.minimum.accumulate(arm)
    risen = np.flatnonzero(arm - lowest > rise)
    before = arm[: risen[0]] if risen.size else arm
    return before[: int(before.argmin()) + 1]


def _crossing(arm: Doubles, share: float) -> float:
    """Return after how many steps a falling curve has only this share of its height left."""
    level = arm[-1] + share * (arm[0] - arm[-1])
    below = int(np.flatnonzero(arm <= level)[0])
    high, low = arm[below - 1], arm[below]
    return below - 1 + float((high - level) / (high - low))


def _day(step: float) -> float:
    return 1 + DAYS_A_YEAR * ((step / _STEPS) % 1.0)


def _peaks(curve: Doubles, rise: float) -> int:
    """Return how often a closed curve rises by so much and falls by so much."""
    around = np.roll(curve, -int(curve.argmin()))
    steps = np.diff(np.append(around, around[0]))
    turns = np.flatnonzero(np.sign(steps[1:]) != np.sign(steps[:-1])) + 1
    count, rising, extreme = 0, True, float(around[0])
    for value in [*around[turns].tolist(), float(around[0])]:
        extreme = max(extreme, value) if rising else min(extreme, value)
        if abs(value - extreme) >= rise:
            count += rising
            rising, extreme = not rising, value
    return count
