"""A sample's series: which index or band is followed, when, and where it was clear."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.scene import Floats, Layer, MissingInputError, Scene
from registry.curate.features.sets.grey import is_mask

__all__ = ["Series", "decimal_years", "series_of"]

Doubles = npt.NDArray[np.float64]

_SECONDS_A_DAY: Final = 86_400.0
_ENOUGH: Final = 0.5


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly is computed once, when asked
class Series:
    """One quantity over time, pixel by pixel, in order of time."""

    name: str
    """What is followed, such as ``NDVI``."""

    values: Floats = field(repr=False)
    """Shape ``(time, pixel)``; NaN where nothing was observed or it was not clear."""

    instants: tuple[datetime, ...]
    """When, in UTC; ascending."""

    @cached_property
    def years(self) -> Doubles:
        """When, in years of the calendar, such as 2020.5; shape ``(time,)``."""
        return decimal_years(self.instants)

    @cached_property
    def days(self) -> Doubles:
        """When, in days since 1970; shape ``(time,)``."""
        return np.array([one.timestamp() for one in self.instants]) / _SECONDS_A_DAY

    @cached_property
    def clear_share(self) -> Doubles:
        """How much was clear each time, of the pixels that ever were; shape ``(time,)``."""
        seen = np.isfinite(self.values)
        ever = int(seen.any(axis=0).sum())
        return np.asarray(seen.sum(axis=1) / max(1, ever), dtype=np.float64)

    @cached_property
    def clear(self) -> npt.NDArray[np.bool_]:
        """At which times at least half of those pixels were clear; shape ``(time,)``."""
        return np.asarray(self.clear_share >= _ENOUGH)

    @cached_property
    def median(self) -> Doubles:
        """Median over the pixels at the clear times; shape ``(clear time,)``."""
        found = np.nanmedian(self.values[self.clear].astype(np.float64), axis=1)
        return np.asarray(found, dtype=np.float64)


def series_of(scene: Scene) -> Series:
    """Return what is followed over time.

    NDVI (Rouse et al. 1974, NASA SP-351, 309-317) of the first array that has near infrared and
    red, where it is in [-1, 1]; else the ratio of ``VH`` to ``VV``
    (their difference, if they are in dB); else the first band of the first array with times.

    Raises:
        MissingInputError: No array of role ``data`` has a time for each of its steps.
    """
    dated = [
        layer
        for layer in scene.layers
        if layer.role == "data" and layer.raw.shape[1] and len(layer.times) == layer.raw.shape[0]
    ]
    if not dated or not dated[0].times:
        raise MissingInputError(
            "no array of it has times",
            hint="series are followed over time steps; give their times when ingesting",
        )
    name, layer, values = _followed(dated)
    seen = values if layer.clear is None else np.where(layer.clear, values, np.float32(np.nan))
    flat = seen.reshape(len(layer.times), -1)
    instants = [_utc(one) for one in layer.times]
    order = sorted(range(len(instants)), key=instants.__getitem__)
    return Series(name=name, values=flat[order], instants=tuple(instants[i] for i in order))


def _followed(dated: Sequence[Layer]) -> tuple[str, Layer, Floats]:
    for layer in dated:
        for near in ("N", "N2"):
            if layer.has(near) and layer.has("R"):
                return "NDVI", layer, _ndvi(layer.band(near), layer.band("R"))
    for layer in dated:
        if layer.has("VH") and layer.has("VV"):
            cross, co = layer.band("VH"), layer.band("VV")
            if (layer.unit or "").casefold() == "db":
                return "VH-VV", layer, np.asarray(cross - co)
            return "VH/VV", layer, _ratio(cross, co)
    first = next((layer for layer in dated if not is_mask(layer)), dated[0])
    name = first.common[0] if first.common else None
    return name or (first.bands or (f"{first.asset}:0",))[0], first, first.physical(0)


def _ndvi(near: Floats, red: Floats) -> Floats:
    with np.errstate(over="ignore"):
        index = _ratio(near - red, near + red)
    index[~(np.abs(index) <= 1)] = np.nan  # one band was negative: no reflectance
    return index


def _ratio(above: Floats, below: Floats) -> Floats:
    out = np.full(above.shape, np.nan, np.float32)
    return np.asarray(np.divide(above, below, out=out, where=below != 0))


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def decimal_years(instants: Sequence[datetime]) -> Doubles:
    """Return instants in years of the calendar: the year and how much of it had passed.

    Args:
        instants: In UTC.

    Returns:
        Years, shape ``(time,)``.

    Examples:
        >>> decimal_years([datetime(2023, 7, 2, 12, tzinfo=UTC)]).tolist()
        [2023.5]
    """
    found = []
    for one in instants:
        start = datetime(one.year, 1, 1, tzinfo=UTC)
        length = 366 if one.year % 4 == 0 and (one.year % 100 or one.year % 400 == 0) else 365
        found.append(one.year + (one - start).total_seconds() / (length * _SECONDS_A_DAY))
    return np.array(found, dtype=np.float64)
