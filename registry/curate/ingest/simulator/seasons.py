"""How the ground changes colour over a year: when each cover is green, ripe, bare or white."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.materials import Sensor, spectrum

__all__ = ["CROPS", "GROUNDS", "Ground", "crops_of", "greenness", "ground_reflectance"]

_YEAR = 365.25
_STUBBLE_DAYS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One kind of ground, and its year."""

    full: str
    """The material it is when fully green, or all year."""

    bare: str = "brown soil"
    """The material below: what it is before it turns green."""

    after: str = "litter"
    """The material it is for two months after it ripened."""

    start: float = 0.0
    """Day of the year on which half of the green is up, in the northern hemisphere."""

    end: float = 0.0
    """Day of the year on which half of the green is gone; before ``start`` if across New Year."""

    least: float = 0.0
    """Share of the ground that is green even out of season, in [0, 1]."""

    most: float = 1.0
    """Share of the ground that the green covers at best, in [0, 1]."""

    seasonal: bool = False
    """Whether it changes at all."""


def _green(
    full: str,
    start: float,
    end: float,
    most: float = 0.95,
    *,
    least: float = 0.0,
    bare: str = "brown soil",
    after: str = "litter",
) -> Ground:
    return Ground(
        full=full, start=start, end=end, most=most, least=least, bare=bare, after=after,
        seasonal=True,
    )  # fmt: skip


GROUNDS: Final = MappingProxyType({
    "winter-cereal": _green("crop", 75, 178),
    "rapeseed": _green("crop", 70, 172),
    "maize": _green("crop", 158, 262),
    "soybean": _green("crop", 168, 258, 0.9),
    "sugar-beet": _green("crop", 150, 305),
    "alfalfa": _green("crop", 62, 318, 0.85),
    "rice": _green("crop", 178, 268, 0.95, bare="turbid water"),
    "cotton": _green("crop", 165, 285, 0.7, after="sand"),
    "orchard": _green("broadleaf", 95, 315, 0.55, least=0.2),
    "fallow": _green("grass", 100, 160, 0.15, after="soil"),
    "meadow": _green("grass", 82, 318, 0.92, least=0.4),
    "winter-grass": _green("grass", 318, 130, 0.85, least=0.1),
    "savanna": _green("grass", 172, 300, 0.75, least=0.15),
    "tundra": _green("grass", 172, 245, 0.35, bare="rock", after="rock"),
    "summer-forest": _green(
        "broadleaf", 118, 300, 0.95, least=0.12, bare="dark soil", after="dark soil"
    ),
    "dry-forest": _green("broadleaf", 160, 335, 0.85, least=0.5),
    "evergreen": Ground(full="broadleaf"),
    "conifer": Ground(full="conifer"),
    "water": Ground(full="water"),
    "river": Ground(full="river water"),
    "bare": Ground(full="soil"),
    "rock": Ground(full="rock"),
    "sand": Ground(full="sand"),
    "snow": Ground(full="snow"),
    "street": Ground(full="asphalt"),
    "track": _green("grass", 90, 310, 0.5),
    "roof-tile": Ground(full="red tile"),
    "roof-dark": Ground(full="shingle"),
    "roof-bright": Ground(full="metal"),
    "paved": Ground(full="pavement"),
    "garden": _green("broadleaf", 100, 310, 0.85, least=0.3),
})
"""Kinds of ground by name; days are those of the northern hemisphere, half a year off south."""

CROPS: Final = (
    "winter-cereal", "rapeseed", "maize", "soybean", "sugar-beet", "alfalfa", "rice", "cotton",
    "orchard", "fallow",
)  # fmt: skip
"""What grows on fields; their order numbers the classes of ``time-series``."""

_GROWN: Final = MappingProxyType({
    "temperate": "winter-cereal:34 maize:24 soybean:12 rapeseed:10 sugar-beet:10 alfalfa:10",
    "mediterranean": "winter-cereal:28 orchard:22 alfalfa:16 cotton:12 maize:10 fallow:12",
    "monsoon": "rice:38 soybean:22 maize:16 cotton:12 fallow:12",
    "tropical": "rice:40 maize:30 orchard:30",
    "arid": "alfalfa:45 winter-cereal:35 fallow:20",
    "polar": "fallow:100",
})


def crops_of(climate: str) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Return what grows in a climate, and the share of fields that each crop has."""
    parts = [part.split(":") for part in _GROWN[climate].split()]
    shares = np.array([float(share) for _, share in parts])
    return tuple(name for name, _ in parts), shares / shares.sum()


def greenness(
    ground: Ground, day: float, *, southern: bool, shift: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the share of some grounds of one kind that is green on a day.

    Args:
        ground: The kind.
        day: Day of the year, in [1, 366].
        southern: Whether it lies south of the equator, where the year is half a year off.
        shift: How many days later each one's year runs; shape ``(n,)``.

    Returns:
        Shares in [0, 1], shape ``(n,)``.

    References:
        Zhang et al. (2003), Remote Sens. Environ. 84, 471-475 (logistic rise and fall).
    """
    if not ground.seasonal:
        return np.ones_like(shift)
    local = day + (_YEAR / 2 if southern else 0) - shift
    length = np.mod(ground.end - ground.start, _YEAR)
    since = np.mod(local - ground.start + (_YEAR - length) / 2, _YEAR) - (_YEAR - length) / 2
    rise, fall = 1 / (1 + np.exp(-since / 8)), 1 / (1 + np.exp(-(since - length) / 9))
    return np.asarray(np.maximum(ground.most * (rise - fall), ground.least), np.float32)


def ground_reflectance(
    name: str,
    sensor: Sensor,
    day: float,
    *,
    southern: bool,
    shift: npt.NDArray[np.float32],
    vigour: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Return what some grounds of one kind reflect on a day.

    Args:
        name: A key of ``GROUNDS``.
        sensor: The instrument.
        day: Day of the year, in [1, 366].
        southern: Whether it lies south of the equator.
        shift: How many days later each one's year runs; shape ``(n,)``.
        vigour: How much of the usual green each one has; shape ``(n,)``.

    Returns:
        Reflectance, unitless; shape ``(n, band)``.
    """
    ground = GROUNDS[name]
    if not ground.seasonal:
        return np.repeat(spectrum(ground.full, sensor)[None], shift.size, axis=0)
    green = np.minimum(greenness(ground, day, southern=southern, shift=shift) * vigour, 1)
    local = day + (_YEAR / 2 if southern else 0) - shift
    stubble = (np.mod(local - ground.end, _YEAR) < _STUBBLE_DAYS)[:, None]
    below = np.where(stubble, spectrum(ground.after, sensor), spectrum(ground.bare, sensor))
    full = spectrum(ground.full, sensor)
    return np.asarray(below + green[:, None] * (full - below), np.float32)
