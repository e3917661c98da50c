"""What can be learnt from simulated scenes: which places, what happens there, what is true."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.covers import (
    CROPS,
    FOREST,
    GRASS,
    RIVER,
    TOWN,
    WATER,
)
from registry.curate.ingest.simulator.fields import Field, fractal, smoothstep
from registry.curate.ingest.simulator.landscape import Landscape
from registry.curate.ingest.simulator.materials import spectrum
from registry.curate.ingest.simulator.places import PLACES, Place
from registry.curate.ingest.simulator.scenes import Events
from registry.curate.ingest.simulator.seasons import CROPS as CROP_NAMES
from registry.curate.ingest.simulator.ships import Ship, draw_ships, launch
from registry.errors import NotFoundError

__all__ = ["TASKS", "UNKNOWN", "Happening", "Task", "task_named"]

UNKNOWN: Final = 255
"""What a mask says where clouds hide the ground."""

_HALF: Final = 0.5  # what covers this much of a pixel is what the pixel is


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What happened on a scene, and what is true of it."""

    events: Events = field(default_factory=Events)
    """What the ground shows of it."""

    truth: npt.NDArray[Any] | None = None
    """A layer of truth, shape ``(y, x)``; classes as uint8, quantities as float32."""

    ships: tuple[Ship, ...] = ()
    """Ships on the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One kind of benchmark that can be simulated."""

    name: str
    """As in ``simulate(task)``."""

    kind: str
    """The Spec's word for it, such as ``segmentation``."""

    classes: tuple[str, ...]
    """Class names; of a segmentation, in the order of the mask's values."""

    places: tuple[Place, ...]
    """Where it is set."""

    sensor: str
    """Which instrument it is seen with, unless another is wanted."""

    happen: Callable[[Landscape, np.random.Generator], Happening]
    """Makes what happens on a landscape."""

    truth_asset: str = "mask"
    """Name of the asset that holds ``Happening.truth``."""

    season: tuple[int, int] = (1, 366)
    """Days of the year, of the northern hemisphere, on which it is seen."""

    steps: int = 1
    """Time steps of a sample."""

    varied: bool = False
    """Whether each landscape has much of another kind of cover, so that no class is rare."""

    cloudy: float = 1.0
    """How much of the place's usual cloud there is."""

    @property
    def yes_or_no(self) -> bool:
        """Whether the mask only says where something is."""
        return self.kind == "segmentation" and len(self.classes) == 2  # noqa: PLR2004 — yes and no


def _named(*names: str) -> tuple[Place, ...]:
    return tuple(PLACES[name] for name in names)


def _places(*kinds: str, dry: bool = False) -> tuple[Place, ...]:
    chosen = [place for place in PLACES.values() if any(kind in place.cover for kind in kinds)]
    return tuple(place for place in chosen if not (dry and place.climate in ("arid", "polar")))


def _nothing(land: Landscape, rng: np.random.Generator) -> Happening:  # noqa: ARG001 — a seam
    return Happening()


_MASK_OF_COVER: Final = np.array([0, 1, 2, 3, 4, 5, 6, 0], np.uint8)


def _land_cover(land: Landscape, rng: np.random.Generator) -> Happening:  # noqa: ARG001 — a seam
    return Happening(truth=_MASK_OF_COVER[land.cover])


def _burn(land: Landscape, rng: np.random.Generator) -> Happening:
    """Return fires that spread from a few points, fray at their edges and leave islands."""
    score = _blobs(land.size, rng, least=0.16, most=0.34)
    score += np.float32(0.5) * fractal(land.size, rng, roughness=1.35, coarsest=0.3)
    fuel = np.isin(land.cover, (FOREST, GRASS))
    severity = smoothstep(score, low=-0.05, high=0.55) * fuel
    patchy = np.float32(0.74) + np.float32(0.16) * fractal(
        land.size, rng, roughness=0.7, coarsest=0.1
    )
    share = np.clip(severity * patchy, 0, 0.97).astype(np.float32)
    return Happening(events=Events(burn=share), truth=(severity > _HALF).astype(np.uint8))


def _blobs(size: int, rng: np.random.Generator, *, least: float, most: float) -> Field:
    """Return how deep each pixel lies inside of some ovals: 0 at their edge, 1 in the middle."""
    along = np.arange(size, dtype=np.float32) / size
    best = np.full((size, size), -9, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        row, column = rng.uniform(0.1, 0.9, 2)
        tall, wide = rng.uniform(least, most, 2)
        reach = np.hypot((along[:, None] - row) / tall, (along[None, :] - column) / wide)
        best = np.maximum(best, np.float32(1) - reach.astype(np.float32))
    return best


def _flood(land: Landscape, rng: np.random.Generator) -> Happening:
    """Return water that left its bed and stands as high everywhere."""
    wet = (land.cover == WATER) | (land.cover == RIVER)
    dry = land.above_river[~wet]
    level = float(np.quantile(dry, rng.uniform(0.12, 0.4))) if dry.size else 0.0
    shallow = smoothstep(level - land.above_river, low=0.0, high=max(0.12 * level, 0.05))
    share = np.where(wet, 0, shallow * np.float32(0.94)).astype(np.float32)
    share *= np.where(land.cover == TOWN, np.float32(0.6), np.float32(1))
    flooded = share > _HALF
    return Happening(events=Events(flood=share), truth=(flooded | wet).astype(np.uint8))


def _sail(land: Landscape, rng: np.random.Generator) -> Happening:
    water = float((land.cover == WATER).mean())
    metres = land.size * land.sensor.gsd_m
    count = max(2, round(water * (metres / 620) ** 2 * 0.5))
    ships = tuple(launch(land, rng, count=count))
    return Happening(events=Events(paint=draw_ships(land, list(ships))), ships=ships)


_HEAVIEST: Final = MappingProxyType({
    "temperate": 320.0, "mediterranean": 220.0, "monsoon": 160.0, "tropical": 420.0,
    "arid": 40.0, "polar": 10.0,
})  # fmt: skip


def _grow(land: Landscape, rng: np.random.Generator) -> Happening:
    """Return biomass: old stands are heavy, dark and closed; young ones let grass shine through."""
    trees = land.cover == FOREST
    age = np.clip(land.stand + 0.06 * fractal(land.size, rng, roughness=1.0, coarsest=0.1), 0, 1)
    heavy = np.float32(_HEAVIEST[land.place.climate]) * age**1.4
    light = np.where(land.cover == GRASS, 4.0, np.where(land.cover == CROPS, 6.0, 0.0))
    biomass = np.where(trees, heavy, light).astype(np.float32)
    open_canopy = np.where(trees, (1 - age) * 0.6, 0).astype(np.float32)
    paint = ((open_canopy, spectrum("grass", land.sensor)),)
    return Happening(events=Events(paint=paint), truth=biomass)


def _farm(land: Landscape, rng: np.random.Generator) -> Happening:  # noqa: ARG001 — a seam
    number = {name: i for i, name in enumerate(CROP_NAMES, start=1)}
    crop_of = np.array([number.get(str(ground), 0) for ground in land.units.ground], np.uint8)
    return Happening(truth=np.where(land.cover == CROPS, crop_of[land.unit], 0).astype(np.uint8))


_SCENE_CLASSES: Final = (  # in the order of COVERS
    "SeaLake", "Forest", "Cropland", "Grassland", "Residential", "BareGround", "SnowIce", "River",
)  # fmt: skip
_LAND_CLASSES: Final = ("water", "forest", "cropland", "grassland", "built-up", "bare", "snow")
_ALL: Final = tuple(PLACES.values())

_TASKS: Final = (
    Task(
        name="classification", kind="classification", classes=_SCENE_CLASSES, places=_ALL,
        sensor="hls", happen=_nothing, varied=True, cloudy=0.25,
    ),
    Task(
        name="segmentation", kind="segmentation", classes=_LAND_CLASSES, places=_ALL,
        sensor="hls", happen=_land_cover,
    ),
    Task(
        name="burn-scars", kind="segmentation", classes=("not burnt", "burnt"),
        places=_named("sierra-nevada", "gippsland", "kruger", "mato-grosso", "black-forest"),
        sensor="hls", happen=_burn, season=(205, 300), cloudy=0.5,
    ),
    Task(
        name="floods", kind="segmentation", classes=("dry", "water"),
        places=_named(
            "jamuna", "po-valley", "ebro-delta", "inner-niger-delta", "gippsland", "manaus"
        ),
        sensor="sentinel-2", happen=_flood, cloudy=0.6,
    ),
    Task(
        name="detection", kind="detection", classes=("Boat",),
        places=_named("kattegat", "gibraltar", "singapore-strait", "taveuni"),
        sensor="sentinel-2", happen=_sail, cloudy=0.4,
    ),
    Task(
        name="regression", kind="regression", classes=(), sensor="hls", happen=_grow,
        places=_places("broadleaf", "conifer", dry=True), truth_asset="biomass",
        season=(130, 270), cloudy=0.3,
    ),
    Task(
        name="time-series", kind="segmentation", classes=("no field", *CROP_NAMES),
        places=_places("crops"), sensor="sentinel-2", happen=_farm, steps=12,
    ),
)  # fmt: skip

TASKS: Final = MappingProxyType({task.name: task for task in _TASKS})
"""The tasks that can be simulated, by name."""


def task_named(name: str) -> Task:
    """Return a task by its name.

    Raises:
        NotFoundError: There is none.
    """
    if name not in TASKS:
        raise NotFoundError(
            f"there is no task {name!r} to simulate", hint=f"choose one of {', '.join(TASKS)}"
        )
    return TASKS[name]
