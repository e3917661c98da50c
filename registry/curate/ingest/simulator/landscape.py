"""The ground of a scene, which stays while seasons, clouds and floods pass over it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.covers import (
    FOREST,
    RIVER,
    WATER,
    allot,
    covers_of,
    river_course,
    water_depth,
    wells,
)
from registry.curate.ingest.simulator.fields import (
    Field,
    fractal,
    moved,
    parcels,
    ranks,
    smoothstep,
)
from registry.curate.ingest.simulator.materials import Sensor
from registry.curate.ingest.simulator.painting import Painter, Units, field_px
from registry.curate.ingest.simulator.places import Place

__all__ = ["Landscape", "lay_out"]

_WHOLE_RELIEF_M: Final = 20_000.0  # a scene this wide shows all of a place's relief


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """The ground of a scene; all arrays have shape ``(y, x)``."""

    place: Place
    """Where it lies."""

    sensor: Sensor
    """What it is sampled for."""

    units: Units
    """The pieces of ground that it is made of."""

    unit: npt.NDArray[np.int32]
    """Which unit each pixel is."""

    cover: npt.NDArray[np.uint8]
    """What truly lies there: an index into ``COVERS``."""

    tone: Field
    """Brightness of each pixel against its unit: rows, stands, crowns."""

    east: Field
    """Slope of the ground towards the east, in metres a metre."""

    north: Field
    """Slope of the ground towards the north, in metres a metre."""

    above_river: Field
    """How far each pixel lies above the river or the sea, in metres, roughly."""

    depth: Field
    """How clear the water is, from 0 at muddy shores to 1; 1 on land."""

    stand: Field
    """How old and dense trees are, in [0, 1]; 0 where there are none."""

    @property
    def size(self) -> int:
        """Pixels along each edge."""
        return int(self.unit.shape[0])


def lay_out(place: Place, sensor: Sensor, *, size: int, rng: np.random.Generator) -> Landscape:
    """Make the ground of a scene.

    Args:
        place: Where it lies; says what covers it.
        sensor: What it is sampled for; says how large a pixel is.
        size: Pixels along each edge.
        rng: Where its chance comes from.

    Returns:
        The ground, without a season.
    """
    relief = fractal(size, rng, roughness=2.1, coarsest=0.9)
    rough = fractal(size, rng, roughness=0.8, coarsest=0.2)
    river, distance = river_course(place, sensor, size, rng)
    height = ranks(relief)
    degrees = float(rng.uniform(-40, 40))
    edge = field_px(place, sensor, size)
    field, border = parcels(size, rng, edge=edge, degrees=degrees)
    if place.climate == "arid":
        field = wells(size, degrees, edge)
    kinds, kind = allot(place, relief + np.float32(0.12) * rough, field, rng)
    cover = covers_of(kinds, kind)
    cover[river & (cover != WATER)] = RIVER
    painter = Painter(place=place, sensor=sensor, rough=rough, rng=rng, degrees=degrees)
    unit = painter.paint(kinds, kind, cover, field, border)
    relief_m = place.relief_m * min(1.0, size * sensor.gsd_m / _WHOLE_RELIEF_M) ** 0.7
    bank = smoothstep(distance, low=0, high=size * 0.3)
    above = (height * bank + np.abs(rough) * np.float32(0.02)) * relief_m
    east, north = _slopes(relief, moved(rough, rng), relief_m, sensor.gsd_m)
    land = ~((cover == WATER) | (cover == RIVER))
    return Landscape(
        place=place, sensor=sensor, units=painter.units(), unit=unit, cover=cover,
        tone=painter.tone(cover, field, rough), east=east * land, north=north * land,
        above_river=np.asarray(above, np.float32), depth=water_depth(height, cover, place),
        stand=ranks(rough + relief) * (cover == FOREST),
    )  # fmt: skip


def _slopes(relief: Field, rough: Field, relief_m: float, gsd_m: int) -> tuple[Field, Field]:
    """Return how steep the ground is towards east and north, in metres a metre."""
    height = relief * np.float32(relief_m / 4) + rough * np.float32(relief_m / 70)
    east, north = np.zeros_like(height), np.zeros_like(height)
    step = np.float32(1 / (2 * gsd_m))
    east[:, 1:-1] = (height[:, 2:] - height[:, :-2]) * step
    north[1:-1] = (height[:-2] - height[2:]) * step
    return east, north
