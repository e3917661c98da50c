"""Who gets which ground: water the low, snow the high, farms whole fields, and so on."""

from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.fields import Field, fractal, moved, rotated, smoothstep
from registry.curate.ingest.simulator.materials import Sensor
from registry.curate.ingest.simulator.places import Place

__all__ = [
    "BARE",
    "COVERS",
    "CROPS",
    "FOREST",
    "GRASS",
    "RIVER",
    "SNOW",
    "TOWN",
    "WATER",
    "allot",
    "covers_of",
    "river_course",
    "water_depth",
    "wells",
]

COVERS: Final = ("water", "forest", "cropland", "grassland", "built-up", "bare", "snow", "river")
"""Kinds of cover; their order is what ``Landscape.cover`` holds."""

WATER, FOREST, CROPS, GRASS, TOWN, BARE, SNOW, RIVER = range(len(COVERS))
_OF_KIND: Final = {
    "water": WATER, "broadleaf": FOREST, "conifer": FOREST, "crops": CROPS, "grass": GRASS,
    "town": TOWN, "bare": BARE, "rock": BARE, "sand": BARE, "tundra": GRASS, "snow": SNOW,
}  # fmt: skip

_FARMLAND: Final = 0.3  # share of crops from which all covers keep to the borders of fields
_FLOWS: Final = 0.7  # share of scenes that a river crosses
_SAMPLED: Final = 20_000  # pixels that quantiles are taken over


def river_course(
    place: Place, sensor: Sensor, size: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Field]:
    """Return where a meandering river runs, and each pixel's distance to it in pixels."""
    u, v = rotated(size, float(rng.uniform(0, 180)))
    flows = place.climate not in ("arid", "polar") and rng.random() < _FLOWS
    bends = rng.uniform(0.05, 0.13, 3) * size / np.arange(1, 4)
    waves = rng.uniform(0.7, 1.5, 3) * np.arange(1, 4) * 2 * np.pi / size
    phases = rng.uniform(0, 2 * np.pi, 3)
    middle = np.float32(rng.uniform(-0.2, 0.2) * size)
    along = np.arange(-size, size + 1, dtype=np.float32)
    course = sum(b * np.sin(w * along + p) for b, w, p in zip(bends, waves, phases, strict=True))
    slant = np.sqrt(1 + np.gradient(course) ** 2)
    at = (u + size).astype(np.intp)
    distance = np.abs(v - middle - course.astype(np.float32)[at]) / slant.astype(np.float32)[at]
    wide_m = rng.uniform(*((90, 260) if place.climate in ("monsoon", "tropical") else (40, 120)))
    half = max(wide_m / sensor.gsd_m, 1.6) / 2 * (1.2 + 0.4 * np.sin(waves[1] * along + phases[0]))
    on = (distance < half.astype(np.float32)[at]) if flows else np.zeros((size, size), np.bool_)
    return on, distance


def allot(
    place: Place, relief: Field, field: npt.NDArray[np.int32], rng: np.random.Generator
) -> tuple[tuple[str, ...], npt.NDArray[np.intp]]:
    """Share the ground out among the place's kinds of cover.

    Args:
        place: Says how much of each kind there is.
        relief: Height of the ground, of any unit.
        field: Number of the field that each pixel lies in; farmed land changes only between them.
        rng: Where the chance comes from.

    Returns:
        The kinds of cover, and the number among them of each pixel's; shape ``(y, x)``.
    """
    total = sum(place.cover.values())
    shares = sorted(place.cover.items(), key=lambda item: -item[1])
    kinds = tuple(name for name, _ in shares)
    kind = np.zeros(relief.shape, np.intp)  # the commonest, unless another claims the ground
    free = np.ones(relief.shape, np.bool_)
    farmed = place.cover.get("crops", 0) / total > _FARMLAND
    per_field = np.maximum(np.bincount(field.ravel()), 1)
    patches = fractal(relief.shape[0], rng, roughness=1.5, coarsest=0.45)
    for number, (name, share) in enumerate(shares):
        if number == 0 and name not in ("water", "snow"):
            continue
        if not free.any():
            break
        score = _claim(name, relief, moved(patches, rng))
        if farmed and name not in ("water", "snow"):
            mean = np.bincount(field.ravel(), score.ravel()) / per_field
            score = mean.astype(np.float32)[field]
        left = score[free]
        reach = min(share / total * relief.size / left.size, 1.0)
        taken = free & (score > np.quantile(left[:: max(1, left.size // _SAMPLED)], 1 - reach))
        kind[taken] = number
        free &= ~taken
    if kinds[0] in ("water", "snow"):
        kind[free & (kind == 0)] = 1 if len(kinds) > 1 else 0
    return kinds, kind


def covers_of(kinds: tuple[str, ...], kind: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """Return the index into ``COVERS`` of each pixel's kind."""
    return np.array([_OF_KIND[name] for name in kinds], np.uint8)[kind]


def _claim(name: str, relief: Field, own: Field) -> Field:
    """Return how much each pixel is a kind's natural ground."""
    if name == "water":
        return -relief
    if name == "snow":
        return relief + np.float32(0.15) * own
    if name == "conifer":
        return relief * np.float32(0.8) + own
    if name == "town":
        return own - np.float32(0.3) * relief
    return own


def wells(size: int, degrees: float, edge: float) -> npt.NDArray[np.int32]:
    """Return which square around a well each pixel lies in."""
    u, v = rotated(size, degrees)
    column, row = np.floor(u / edge).astype(np.int32), np.floor(v / edge).astype(np.int32)
    across = int(column.max() - column.min()) + 1
    return np.asarray((row - row.min()) * across + column - column.min(), np.int32)


def water_depth(height: Field, cover: npt.NDArray[np.uint8], place: Place) -> Field:
    """Return how clear water is: muddy at shores and in rivers, clear far out; 1 on land."""
    share = place.cover.get("water", 0.0) / 100 or 0.01
    below = np.clip((np.float32(share) - height) / np.float32(share), 0, 1)
    clear = smoothstep(below.astype(np.float32), low=-0.02, high=0.55)
    return np.where(cover == WATER, clear, np.where(cover == RIVER, 0.1, 1)).astype(np.float32)
