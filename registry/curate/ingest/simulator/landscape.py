"""The ground of a scene, which stays while seasons, clouds and floods pass over it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.fields import (
    Field,
    fractal,
    parcels,
    ranks,
    rotated,
    smoothstep,
)
from registry.curate.ingest.simulator.materials import Sensor
from registry.curate.ingest.simulator.places import Place
from registry.curate.ingest.simulator.seasons import crops_of

__all__ = ["COVERS", "Landscape", "lay_out"]

COVERS: Final = ("water", "forest", "cropland", "grassland", "built-up", "bare", "snow", "river")
"""Kinds of cover; their order is what ``Landscape.cover`` holds."""

WATER, FOREST, CROPS, GRASS, TOWN, BARE, SNOW, RIVER = range(len(COVERS))
_OF_KIND: Final = {
    "water": WATER, "broadleaf": FOREST, "conifer": FOREST, "crops": CROPS, "grass": GRASS,
    "town": TOWN, "bare": BARE, "rock": BARE, "sand": BARE, "tundra": GRASS, "snow": SNOW,
}  # fmt: skip
_TREES: Final = {
    "temperate": "summer-forest", "mediterranean": "evergreen", "monsoon": "dry-forest",
    "tropical": "evergreen", "arid": "evergreen", "polar": "tundra",
}  # fmt: skip
_GRASSES: Final = {
    "temperate": "meadow", "mediterranean": "winter-grass", "monsoon": "savanna",
    "tropical": "meadow", "arid": "savanna", "polar": "tundra",
}  # fmt: skip
_LOTS: Final = ("roof-tile", "roof-dark", "roof-bright", "paved", "garden", "garden", "street", "garden", "roof-dark")  # fmt: skip
_SHADES: Final = 12  # brightness levels of each kind of ground that has no fields
_BUILT_BLOCK_M: Final = 130
_LOT_M: Final = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Pieces of ground that look alike throughout: fields, stands, roofs."""

    ground: npt.NDArray[np.str_]
    """Kind of ground, a key of ``GROUNDS``; shape ``(unit,)``."""

    shift: Field
    """How many days later than usual its year runs; shape ``(unit,)``."""

    vigour: Field
    """How much of the usual green it has; shape ``(unit,)``."""

    bright: Field
    """How bright it is against its material; shape ``(unit,)``."""


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
    """
    relief = fractal(size, rng, roughness=2.1, coarsest=0.9)
    rough = fractal(size, rng, roughness=0.8, coarsest=0.2)
    river, distance = _river(place, sensor, size, rng)
    height = ranks(relief)
    degrees = float(rng.uniform(-40, 40))
    edge = max(place.field_m / sensor.gsd_m, 6.0, size / 110)
    field, border, boxes = parcels(size, rng, edge=edge, degrees=degrees)
    if place.climate == "arid":
        field = _wells(size, degrees, edge)
    kinds, kind = _allot(place, relief + np.float32(0.12) * rough, field, rng)
    cover = np.array([_OF_KIND[name] for name in kinds], np.uint8)[kind]
    cover[river & (cover != WATER)] = RIVER
    painter = _Painter(place=place, sensor=sensor, size=size, rng=rng, degrees=degrees)
    unit = painter.paint(kinds, kind, cover, field, border, boxes)
    valley = np.float32(place.relief_m) * (height * smoothstep(distance, low=0, high=size * 0.3))
    metres = np.float32(sensor.gsd_m)
    fine = fractal(size, rng, roughness=1.2, coarsest=0.3) * np.float32(place.relief_m * 0.03)
    slopes = (relief * np.float32(place.relief_m / 4) + fine).astype(np.float32)
    wet = (cover == WATER) | (cover == RIVER)
    slopes[wet] = slopes[wet].mean() if wet.any() else 0
    trees = cover == FOREST
    return Landscape(
        place=place, sensor=sensor, units=painter.units(), unit=unit, cover=cover,
        tone=painter.tone(cover, field, rough),
        east=np.where(wet, 0, np.gradient(slopes, axis=1) / metres).astype(np.float32),
        north=np.where(wet, 0, -np.gradient(slopes, axis=0) / metres).astype(np.float32),
        above_river=(valley + np.abs(rough) * np.float32(place.relief_m * 0.02)).astype(np.float32),
        depth=_depth(height, cover, place),
        stand=(ranks(rough + relief) * trees).astype(np.float32),
    )  # fmt: skip


def _wells(size: int, degrees: float, edge: float) -> npt.NDArray[np.int32]:
    """Return which square around a well each pixel lies in."""
    u, v = rotated(size, degrees)
    column, row = np.floor(u / edge).astype(np.int32), np.floor(v / edge).astype(np.int32)
    square = (row - row.min()) * (int(column.max() - column.min()) + 1) + column - column.min()
    return square.astype(np.int32)


def _depth(height: Field, cover: npt.NDArray[np.uint8], place: Place) -> Field:
    share = place.cover.get("water", 0.0) / 100 or 0.01
    below = np.clip((np.float32(share) - height) / np.float32(share), 0, 1)
    clear = smoothstep(below.astype(np.float32), low=-0.02, high=0.55)
    return np.where(cover == WATER, clear, np.where(cover == RIVER, 0.1, 1)).astype(np.float32)


def _river(
    place: Place, sensor: Sensor, size: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Field]:
    """Return where a meandering river runs, and each pixel's distance to it in pixels."""
    u, v = rotated(size, float(rng.uniform(0, 180)))
    flows = place.climate not in ("arid", "polar") and rng.random() < 0.7  # noqa: PLR2004 — share
    bends = rng.uniform(0.05, 0.13, 3) * size / np.arange(1, 4)
    waves = rng.uniform(0.7, 1.5, 3) * np.arange(1, 4) * 2 * np.pi / size
    phases = rng.uniform(0, 2 * np.pi, 3)
    middle = np.float32(rng.uniform(-0.2, 0.2) * size)
    along = np.arange(-size, size + 1, dtype=np.float32)
    course = sum(b * np.sin(w * along + p) for b, w, p in zip(bends, waves, phases, strict=True))
    slant = np.sqrt(1 + np.gradient(course) ** 2)
    at = (u + size).astype(np.intp)
    distance = np.abs(v - middle - course.astype(np.float32)[at]) / slant.astype(np.float32)[at]
    wide_m = (
        rng.uniform(90, 260) if place.climate in ("monsoon", "tropical") else rng.uniform(40, 120)
    )
    half = max(wide_m / sensor.gsd_m, 1.6) / 2 * (1.2 + 0.4 * np.sin(waves[1] * along + phases[0]))
    on = (distance < half.astype(np.float32)[at]) if flows else np.zeros((size, size), np.bool_)
    return on, distance


def _allot(
    place: Place, relief: Field, field: npt.NDArray[np.int32], rng: np.random.Generator
) -> tuple[tuple[str, ...], npt.NDArray[np.intp]]:
    """Return the place's kinds of cover, and which of them each pixel gets."""
    total = sum(place.cover.values())
    shares = sorted(place.cover.items(), key=lambda item: -item[1])
    kinds = tuple(name for name, _ in shares)
    kind = np.zeros(relief.shape, np.intp)  # the commonest, unless another claims the ground
    free = np.ones(relief.shape, np.bool_)
    farmed = place.cover.get("crops", 0) / total > 0.3  # noqa: PLR2004 — share
    per_field = np.bincount(field.ravel())
    for number, (name, share) in enumerate(shares):
        if number == 0 and name not in ("water", "snow"):
            continue
        score = _claim(name, relief, rng)
        if farmed and name not in ("water", "snow"):
            score = (np.bincount(field.ravel(), score.ravel()) / np.maximum(per_field, 1))[field]
        reach = min(share / total * relief.size / max(int(free.sum()), 1), 1.0)
        bar = np.quantile(score[free][:: max(1, free.sum() // 20_000)], 1 - reach)
        taken = free & (score > bar)
        kind[taken] = number
        free &= ~taken
    if kinds[0] in ("water", "snow"):
        kind[free & (kind == 0)] = 1 if len(kinds) > 1 else 0
    return kinds, kind


def _claim(name: str, relief: Field, rng: np.random.Generator) -> Field:
    """Return how much each pixel is a kind's natural ground."""
    own = fractal(relief.shape[0], rng, roughness=1.5, coarsest=0.45)
    if name == "water":
        return -relief
    if name == "snow":
        return relief + np.float32(0.15) * own
    if name == "conifer":
        return relief * np.float32(0.8) + own
    if name == "town":
        return fractal(relief.shape[0], rng, roughness=1.9, coarsest=0.3) - np.float32(0.3) * relief
    return own


class _Painter:
    """Gives every pixel its unit, and every unit its kind of ground."""

    def __init__(
        self, *, place: Place, sensor: Sensor, size: int, rng: np.random.Generator, degrees: float
    ) -> None:
        self._place, self._sensor, self._size, self._rng = place, sensor, size, rng
        self._u, self._v = rotated(size, degrees)
        self._grounds: list[npt.NDArray[np.str_]] = []
        self._count = 0
        self._mottle = ranks(fractal(size, rng, roughness=0.9, coarsest=0.25))

    def units(self) -> Units:
        ground = np.concatenate(self._grounds)
        draw = self._rng.standard_normal
        return Units(
            ground=ground,
            shift=(9 * draw(ground.size, np.float32)).astype(np.float32),
            vigour=np.clip(0.93 + 0.12 * draw(ground.size, np.float32), 0.4, 1.1).astype(
                np.float32
            ),
            bright=np.clip(1 + 0.1 * draw(ground.size, np.float32), 0.7, 1.35).astype(np.float32),
        )

    def _add(self, grounds: npt.NDArray[np.str_]) -> int:
        first = self._count
        self._grounds.append(grounds.astype("<U16"))
        self._count += grounds.size
        return first

    def _mottled(self, ground: str, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        first = self._add(np.repeat([ground], _SHADES))
        level = np.minimum(self._mottle[where] * _SHADES, _SHADES - 1).astype(np.int32)
        return first + level

    def paint(  # noqa: PLR0913 — the layers of one picture
        self,
        kinds: tuple[str, ...],
        kind: npt.NDArray[np.intp],
        cover: npt.NDArray[np.uint8],
        field: npt.NDArray[np.int32],
        border: npt.NDArray[np.bool_],
        boxes: Field,
    ) -> npt.NDArray[np.int32]:
        unit = np.zeros(kind.shape, np.int32)
        for number, name in enumerate(kinds):
            where = kind == number
            if not where.any():
                continue
            if name == "crops":
                unit[where] = self._crops(where, cover, field, border, boxes)
            elif name == "town":
                unit[where] = self._town(where)
            else:
                unit[where] = self._mottled(_ground_of(name, self._place.climate), where)
        for code, ground in ((RIVER, "river"),):
            where = cover == code
            unit[where] = self._mottled(ground, where)
        return unit

    def _crops(
        self,
        where: npt.NDArray[np.bool_],
        cover: npt.NDArray[np.uint8],
        field: npt.NDArray[np.int32],
        border: npt.NDArray[np.bool_],
        boxes: Field,
    ) -> npt.NDArray[np.int32]:
        names, shares = crops_of(self._place.climate)
        if self._place.climate == "arid":
            return self._pivots(where, cover, names, shares)
        first = self._add(self._rng.choice(np.array(names), len(boxes), p=shares))
        unit = first + field[where]
        edges = border[where]
        unit[edges] = self._mottled("track", where)[edges]
        return unit.astype(np.int32)

    def _pivots(
        self,
        where: npt.NDArray[np.bool_],
        cover: npt.NDArray[np.uint8],
        names: tuple[str, ...],
        shares: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.int32]:
        """Round fields, watered by an arm that turns about a well, in sand."""
        across = max(self._place.field_m / self._sensor.gsd_m, 6.0, self._size / 110)
        column, row = self._u[where] / across, self._v[where] / across
        disc = np.hypot(column % 1 - 0.5, row % 1 - 0.5) < 0.47  # noqa: PLR2004 — of the square
        names_of = self._rng.choice(np.array([*names, "sand"]), 256, p=[*(0.8 * shares), 0.2])
        first = self._add(names_of)
        which = (np.floor(column) * 37 + np.floor(row) * 101).astype(np.int32) % 256
        unit = np.where(disc, first + which, self._mottled("sand", where))
        sand = ~disc | (names_of[which] == "sand")
        flat = np.flatnonzero(where.ravel())
        cover.reshape(-1)[flat[sand]] = BARE
        return unit.astype(np.int32)

    def _town(self, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        wobble = self._mottle[where] * np.float32(3)
        u, v = self._u[where] + wobble, self._v[where] + wobble
        block, lot = _BUILT_BLOCK_M / self._sensor.gsd_m, max(_LOT_M / self._sensor.gsd_m, 1.0)
        street_px = max(14 / self._sensor.gsd_m, 0.45)
        street = (np.mod(u, block * 1.4) < street_px) | (np.mod(v, block) < street_px)
        first = self._add(self._rng.choice(np.array(_LOTS), 512))
        which = (np.floor(u / lot) * 127 + np.floor(v / lot) * 311).astype(np.int64) % 512
        streets = self._mottled("street", where)
        return np.where(street, streets, first + which).astype(np.int32)

    def tone(
        self, cover: npt.NDArray[np.uint8], field: npt.NDArray[np.int32], rough: Field
    ) -> Field:
        """Rows on fields, crowns in forests, waves on water."""
        grain = self._rng.standard_normal(cover.shape, np.float32)
        crowns = grain + 0
        crowns[:, 1:] += grain[:, :-1]
        amount = np.array([0.015, 0.13, 0.022, 0.05, 0.07, 0.06, 0.02, 0.03], np.float32)
        patches = np.array([0.01, 0.06, 0.035, 0.09, 0.03, 0.14, 0.03, 0.04], np.float32)
        tone = 1 + amount[cover] * crowns + patches[cover] * rough
        turned = self._rng.random(int(field.max()) + 1) < 0.5  # noqa: PLR2004 — as often as not
        across = np.where(turned[field], self._u, self._v)
        period = np.float32(max(30 / self._sensor.gsd_m, 2.7))
        rows = np.sin(across * np.float32(2 * np.pi / period)) * np.float32(0.03)
        tone += np.where(cover == CROPS, rows, 0)
        return np.clip(tone, 0.3, 1.9).astype(np.float32)


def _ground_of(kind: str, climate: str) -> str:
    if kind == "broadleaf":
        return _TREES[climate]
    if kind == "grass":
        return _GRASSES[climate]
    return kind
