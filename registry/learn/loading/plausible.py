"""Whether values can mean what a model learned from: judged by their size, never guessed from it.

Where nobody says a unit, equal numbers are taken to mean the same. Digital numbers in place of
reflectance, or the reverse, then go through without a word, and what the model answers is nonsense.
So values of another order than any scene has are refused. Bands are judged together, since a real
scene can be nearly black in one of them: water in the infrared, snow in the short-wave infrared.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Band, Input
from registry.learn.loading.matching import Step
from registry.learn.loading.units import unit_of

if TYPE_CHECKING:
    from registry.learn.loading.conversion import Conversion

__all__ = ["ImplausibleValuesError", "Typical", "check", "check_arrays", "check_known", "typical"]

# Clouds and snow are at most some 15 times as bright as what models learn from on land, and digital
# numbers are 1,000 to 10,000 times reflectance.
_LARGER: Final = 20.0
# Dark scenes are common, so level and spread both have to be smaller, in all bands: deep water is
# 10 to 50 times darker, 8 bits in place of 16 are 12 to 40 times smaller, and a division by 255,
# 1,000 or 10,000 is beyond that. Where one band is all there is, nothing else tells water at night
# or a plain at sea level from a division, so only a larger step counts.
_SMALLER: Final = 100.0
_SMALLER_ALONE: Final = 1000.0
_ENOUGH: Final = 1 << 16  # values a band; a median needs no more
_BAND_AT: Final = -3


class ImplausibleValuesError(InvalidInputError):
    """Values cannot mean what those of the training data meant."""

    code = "implausible-values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """What the observed values of a band are like, as stored."""

    level: float
    """Their middle."""

    spread: float
    """Their standard deviation, above 0."""

    whole: bool = False
    """Whether all are whole numbers."""


def typical(values: npt.NDArray[Any]) -> Typical | None:
    """Return what observed values of a band are like; None where they tell nothing.

    Args:
        values: Stored values, of any shape.

    Returns:
        None of no value, or of one and the same everywhere.

    Examples:
        >>> typical(np.array([1, 2, 6]))
        Typical(level=2.0, spread=2.160246899469287, whole=True)
        >>> typical(np.zeros(9)) is None
        True
    """
    flat = values.ravel()
    flat = flat[:: max(1, flat.size // _ENOUGH)].astype(np.float64)
    flat = flat[np.isfinite(flat)]
    spread = float(flat.std()) if flat.size else 0.0
    if not spread > 0:
        return None
    whole = bool((flat == np.rint(flat)).all())
    return Typical(level=float(np.median(flat)), spread=spread, whole=whole)


def check(
    wanted: Input,
    given: Input,
    steps: Sequence[Step],
    seen: Sequence[Typical | None],
    *,
    name: str,
    remedy: str,
) -> bool:
    """Refuse values of another order than those that a model learned from.

    Args:
        wanted: What the model reads.
        given: What the data give.
        steps: How each of the model's bands is made.
        seen: What the stored values of each are like, in the model's order.
        name: What the data are called.
        remedy: What helps; ``{scale}`` in it becomes the power of ten that lies nearest.

    Returns:
        Whether any band told anything.

    Raises:
        ImplausibleValuesError: All bands that tell are far larger; or far smaller, where nobody
            said a unit.
    """
    told = [
        (band, given.bands[step.source], step, one)
        for band, step, one in zip(wanted.bands, steps, seen, strict=True)
        if one is not None and band.mean is not None and band.std
    ]
    if not told:
        return False
    larger = all(_is_larger(band, step, one) for band, _, step, one in told)
    times = _SMALLER if len(told) > 1 else _SMALLER_ALONE
    smaller = all(_is_smaller(*each, times=times) for each in told)
    if larger or smaller:
        band, source, step, one = told[0]
        level, spread = _physical(band, step, one)
        also = f" (all {len(told)} bands are as far off)" if len(told) > 1 else ""
        raise ImplausibleValuesError(
            f"band {source.name} of {name} is about {level:.6g} ± {spread:.3g}, and the model "
            f"learned from {band.mean:.6g} ± {band.std:.6g}{also}",
            hint=remedy.replace("{scale}", f"{_nearest(band, source, level):g}"),
        )
    return True


def check_known(conversion: "Conversion", *, dataset: str | None) -> None:
    """Refuse data whose statistics are known and of another order; as :func:`check` otherwise."""
    for asset, steps in conversion.steps.items():
        wanted, given = conversion.wanted.of(asset), conversion.given.of(conversion.sources[asset])
        seen = [_known(given.bands[step.source]) for step in steps]
        check(
            wanted, given, steps, seen,
            name=f"'{given.asset}'" + (f" of {dataset}" if dataset else ""),
            remedy=_in_cards(given.asset, dataset),
        )  # fmt: skip


def check_arrays(
    conversion: "Conversion",
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    assets: Collection[str],
    dataset: str | None = None,
) -> set[str]:
    """Refuse a batch whose values are of another order; as :func:`check` otherwise.

    Args:
        conversion: How the arrays become what the model reads.
        arrays: By asset of the data, stored values ``(…, band, y, x)``.
        assets: Of the model, which to judge.
        dataset: Name of the one that they are of, for what helps.

    Returns:
        The assets of which a band told something.
    """
    judged = set()
    for asset in assets:
        source = conversion.sources[asset]
        if source not in arrays:
            continue
        array, steps = arrays[source], conversion.steps[asset]
        side = max(1, math.isqrt(array.size // array.shape[_BAND_AT] // _ENOUGH))
        array = array[..., ::side, ::side]
        wanted, given = conversion.wanted.of(asset), conversion.given.of(source)
        there = conversion.observed(asset, array)
        seen = [
            typical(np.take(array, step.source, _BAND_AT)[np.take(there, number, _BAND_AT)])
            for number, step in enumerate(steps)
        ]
        named = f"'{source}'" + (f" of {dataset}" if dataset else "")
        if check(wanted, given, steps, seen, name=named, remedy=_in_cards(source, dataset)):
            judged.add(asset)
    return judged


def _in_cards(asset: str, dataset: str | None) -> str:
    return (
        "say unit and scale in the cards of these data and of those that it learned from: "
        f"eolab card {dataset or 'NAME'} --set 'assets.{asset}={{unit: reflectance, scale: …}}', "
        "publish, and train again; or bring the data in as the numbers that the model learned from"
    )


def _known(band: Band) -> Typical | None:
    """Return what statistics say of a band's stored values."""
    if band.mean is None or not band.std or not band.scale:
        return None
    return Typical(level=(band.mean - band.offset) / band.scale, spread=abs(band.std / band.scale))


def _physical(band: Band, step: Step, seen: Typical) -> tuple[float, float]:
    """Return level and spread in the model's unit."""
    mean, std = band.mean or 0.0, band.std or 1.0
    level = (seen.level - step.centre) * step.gain * std + mean
    return level, abs(seen.spread * step.gain * std)


def _is_larger(band: Band, step: Step, seen: Typical) -> bool:
    level, _ = _physical(band, step, seen)
    return abs(level) > _LARGER * math.hypot(band.mean or 0.0, band.std or 0.0)


def _is_smaller(band: Band, given: Band, step: Step, seen: Typical, *, times: float) -> bool:
    said = unit_of(band.unit).kind or unit_of(given.unit).kind
    divided = not seen.whole or given.scale != band.scale  # in the data, or on reading them
    if said or not divided:
        return False
    level, spread = _physical(band, step, seen)
    size = math.hypot(band.mean or 0.0, band.std or 0.0)
    return abs(level) * times < size and spread * times < (band.std or 0.0)


def _nearest(band: Band, given: Band, level: float) -> float:
    """Return the power of ten that would bring a band's stored values to the model's size."""
    size = math.hypot(band.mean or 0.0, band.std or 0.0)
    ratio = abs(given.scale) * size / max(abs(level), 1e-30 * size)
    return float(10.0 ** round(math.log10(ratio)))
