"""What a simulation hands over: chips with everything that is true of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from registry.geo import Grid

__all__ = ["SimulatedAnnotation", "SimulatedAsset", "SimulatedChip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAsset:
    """One array of a chip."""

    array: npt.NDArray[Any]
    """Shape ``(band, y, x)`` or ``(time, band, y, x)``; C order, little endian."""

    bands: tuple[str, ...]
    """Names of the bands."""

    nodata: float | None = None
    """What means "unknown" in it."""

    times: tuple[datetime, ...] = ()
    """When each time step was seen, in UTC; empty without a time axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAnnotation:
    """One thing on a chip, as a person would have drawn it."""

    id: str
    """Unique in the simulation."""

    geometry: BaseGeometry
    """Its outline, in the chip's system, x before y."""

    category: str
    """What it is."""

    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else is true of it; JSON values, units in the names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedChip:
    """One sample: pixels, place, time and truth."""

    id: str
    """Unique in the simulation, and the same whenever it is run."""

    group: str
    """Which landscape it was cut from; what must not straddle a split."""

    grid: Grid
    """Where its pixels lie; all assets share it."""

    moment: datetime
    """When it was seen, in UTC; of a time series, its first time step."""

    assets: Mapping[str, SimulatedAsset]
    """Arrays by name: the sensor's, then ``mask`` or ``biomass`` where the task has one."""

    labels: tuple[str, ...] = ()
    """Classes of the whole chip."""

    target: float | None = None
    """A quantity of the whole chip, in the task's unit."""

    annotations: tuple[SimulatedAnnotation, ...] = ()
    """Things on it."""

    properties: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """STAC properties: ``eo:cloud_cover`` in percent, the sun's angles in degrees, ``gsd``."""

    defects: tuple[str, ...] = ()
    """What was broken on purpose."""

    @property
    def image(self) -> npt.NDArray[np.uint16]:
        """The sensor's array."""
        return next(iter(self.assets.values())).array
