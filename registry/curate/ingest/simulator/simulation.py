"""From a task and a seed to chips: scenes are made one by one and cut up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from math import isqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.chips import SimulatedAsset, SimulatedChip
from registry.curate.ingest.simulator.cutting import annotate, cut, scene_labels
from registry.curate.ingest.simulator.landscape import Landscape, lay_out
from registry.curate.ingest.simulator.materials import SENSORS, Sensor
from registry.curate.ingest.simulator.places import PLACES, Place
from registry.curate.ingest.simulator.scenes import Scene, overpass, render, sun_at
from registry.curate.ingest.simulator.tasks import UNKNOWN, Happening, Task, task_named
from registry.errors import InvalidInputError, NotFoundError
from registry.geo import Grid, transform_points

__all__ = ["simulate"]

_SMALLEST_CHIP = 16
_LARGEST_SCENE = 1024
_LARGEST_STACK = 512
_VISITS = 6
_LOWEST_SUN = 15.0
_HALF_YEAR = 182
_BARREN = 50  # scenes without a chip in a row, after which there will be none


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """Everything that does not change from scene to scene."""

    task: Task
    sensor: Sensor
    places: tuple[Place, ...]
    seed: int
    chip: int
    across: int
    visits: int

    @property
    def scene(self) -> int:
        return self.chip * self.across

    def rng(self, *path: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, *path])))


def simulate(
    task: str,
    *,
    samples: int,
    seed: int,
    sensor: str | None = None,
    size: int = 64,
    places: Sequence[str] = (),
) -> Iterator[SimulatedChip]:
    """Make chips whose truth is known.

    The same arguments give the same bytes, on any number of threads.

    Args:
        task: A key of ``TASKS``: ``classification``, ``segmentation``, ``burn-scars``, ``floods``,
            ``detection``, ``regression`` or ``time-series``.
        samples: How many chips.
        seed: What chance starts from, at least 0.
        sensor: ``hls`` or ``sentinel-2``; None for the task's usual one.
        size: Pixels along the edge of a chip, in [16, 1024].
        places: Names of ``PLACES`` to stay at; empty for all that suit the task.

    Returns:
        Chips, scene by scene; memory holds one scene.

    Raises:
        NotFoundError: There is no such task, sensor or place.
        InvalidInputError: A number is out of range, or the places do not suit the task.

    Examples:
        >>> chip = next(simulate("burn-scars", samples=1, seed=7))
        >>> chip.image.shape, chip.assets["mask"].array.shape
        ((6, 64, 64), (1, 64, 64))
    """
    course = _course(task, samples, seed, sensor, size, tuple(places))
    return _run(course, samples)


def _course(
    task: str, samples: int, seed: int, sensor: str | None, size: int, places: tuple[str, ...]
) -> _Course:
    what = task_named(task)
    chosen = sensor or what.sensor
    if chosen not in SENSORS:
        raise NotFoundError(
            f"there is no sensor {chosen!r}", hint=f"choose one of {', '.join(SENSORS)}"
        )
    if not _SMALLEST_CHIP <= size <= _LARGEST_SCENE or samples < 0 or seed < 0:
        raise InvalidInputError(
            f"size={size}, samples={samples}, seed={seed} cannot be simulated",
            hint="size is in [16, 1024]; samples and seed are at least 0",
        )
    where = _where(what, places)
    largest = _LARGEST_STACK if what.steps > 1 else _LARGEST_SCENE
    across = max(1, min(isqrt(max(samples - 1, 0) // (2 * len(where))) + 1, largest // size))
    scenes = -(-samples // across**2)
    visits = 1 if what.steps > 1 else int(np.clip(scenes // len(where), 1, _VISITS))
    return _Course(
        task=what, sensor=SENSORS[chosen], places=where, seed=seed, chip=size, across=across,
        visits=visits,
    )  # fmt: skip


def _where(task: Task, names: tuple[str, ...]) -> tuple[Place, ...]:
    suited = {place.name: place for place in task.places}
    for name in names:
        if name not in PLACES:
            raise NotFoundError(
                f"there is no place {name!r}", hint=f"choose of {', '.join(PLACES)}"
            )
        if name not in suited:
            raise InvalidInputError(
                f"{name!r} does not suit the task {task.name!r}",
                hint=f"choose of {', '.join(suited)}",
            )
    return tuple(suited[name] for name in names) or task.places


def _run(course: _Course, samples: int) -> Iterator[SimulatedChip]:
    made, barren, ground = 0, 0, 0
    while made < samples:
        land = _ground(course, ground)
        for visit in range(course.visits):
            before = made
            for chip in _chips(course, land, ground, visit):
                yield chip
                made += 1
                if made == samples:
                    return
            barren = barren + 1 if made == before else 0
        if barren > _BARREN:
            raise InvalidInputError(
                f"no chip of {course.chip} pixels shows what {course.task.name!r} is about",
                hint="make chips larger, or choose other places",
            )
        ground += 1


def _ground(course: _Course, ground: int) -> Landscape:
    place = course.places[ground % len(course.places)]
    if course.task.varied:
        place = _with_more(place, ground)
    return lay_out(place, course.sensor, size=course.scene, rng=course.rng(1, ground))


def _with_more(place: Place, ground: int) -> Place:
    """Return a place with a good deal more of one of its kinds of cover."""
    kinds = sorted(place.cover)
    kind = kinds[(ground + ground // 7) % len(kinds)]
    cover = {name: share * (8.0 if name == kind else 1.0) for name, share in place.cover.items()}
    total = sum(cover.values()) / 100
    return replace(place, cover=MappingProxyType({k: v / total for k, v in cover.items()}))


def _chips(course: _Course, land: Landscape, ground: int, visit: int) -> Iterator[SimulatedChip]:
    rng = course.rng(2, ground, visit)
    happening = course.task.happen(land, rng)
    moments = _moments(course, land.place, visit, rng)
    scenes = [
        render(
            land, moment, rng, events=happening.events,
            cloud_share=_cloud_share(land.place, course.task, rng),
        )
        for moment in moments
    ]  # fmt: skip
    grid = _grid(land, ground // len(course.places))
    yield from _cut_up(course, land, happening, scenes, grid, ground)


def _moments(course: _Course, place: Place, visit: int, rng: np.random.Generator) -> list[datetime]:
    year = int(rng.integers(2018, 2025))
    days = _sunny_days(place.lon, place.lat, *course.task.season)
    count = course.task.steps
    if count > 1:
        share = (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    else:
        share = np.array([(visit + rng.uniform(0.05, 0.95)) / course.visits])
    picked = [days[int(part * len(days))] for part in share]
    return sorted(overpass(place.lon, year=year, day=day) for day in picked)


@lru_cache(maxsize=256)
def _sunny_days(lon: float, lat: float, first: int, last: int) -> tuple[int, ...]:
    """Return the days of a northern season, moved south if need be, with the sun high enough."""
    moved = _HALF_YEAR if lat < 0 else 0
    days = tuple((day + moved - 1) % 365 + 1 for day in range(first, last + 1))
    heights = (sun_at(overpass(lon, year=2021, day=day), lon=lon, lat=lat)[0] for day in days)
    sunny = tuple(day for day, height in zip(days, heights, strict=True) if height > _LOWEST_SUN)
    return sunny or ((355,) if lat < 0 else (172,))


def _cloud_share(place: Place, task: Task, rng: np.random.Generator) -> float:
    clouded = rng.random() < place.cloudiness * task.cloudy
    share = float(rng.beta(1.2, 4.0))
    return round(share, 3) if clouded else 0.0


def _grid(land: Landscape, number: int) -> Grid:
    """Return where a scene lies: near its place, and not on any other scene there."""
    crs, gsd, size = land.place.crs, land.sensor.gsd_m, land.size
    x, y = _middle(land.place.lon, land.place.lat, crs)
    reach, turn = 1.7 * np.sqrt(number) * size * gsd, number * 2.39996  # the golden angle
    left = round((x + reach * np.cos(turn) - size * gsd / 2) / gsd) * gsd
    top = round((y + reach * np.sin(turn) + size * gsd / 2) / gsd) * gsd
    return Grid(
        crs=crs, transform=(gsd, 0.0, float(left), 0.0, -gsd, float(top)), height=size, width=size
    )


@lru_cache(maxsize=256)
def _middle(lon: float, lat: float, crs: str) -> tuple[float, float]:
    x, y = transform_points([lon], [lat], source="OGC:CRS84", target=crs)
    return float(x[0]), float(y[0])


def _cut_up(
    course: _Course,
    land: Landscape,
    happening: Happening,
    scenes: list[Scene],
    grid: Grid,
    ground: int,
) -> Iterator[SimulatedChip]:
    task, edge, across = course.task, course.chip, course.across
    images = [cut(scene.pixels, edge) for scene in scenes]
    clouds = np.mean(
        [cut(scene.cloudy[None], edge).mean(axis=(2, 3, 4)) for scene in scenes], axis=0
    )
    truths = None if happening.truth is None else cut(_seen(happening.truth, scenes)[None], edge)
    labels = scene_labels(land.cover, edge, task)
    first, group = scenes[0], f"{land.place.name}-{ground:04d}"
    for row, column in np.ndindex(across, across):
        chip_id = f"{land.place.name}_{ground:04d}_{first.moment:%Y%m%d}_{row:02d}{column:02d}"
        window = grid.window(row=row * edge, column=column * edge, height=edge, width=edge)
        things = annotate(happening.ships, land.sensor, window, chip_id, row * edge, column * edge)
        if task.kind == "detection" and not things:
            continue
        pixels = (
            np.stack([image[row, column] for image in images])
            if task.steps > 1
            else images[0][row, column]
        )
        assets = {
            course.sensor.name: SimulatedAsset(
                array=pixels, bands=course.sensor.bands, nodata=0.0,
                times=tuple(scene.moment for scene in scenes) if task.steps > 1 else (),
            )
        }  # fmt: skip
        target = None
        if truths is not None:
            truth = truths[row, column]
            known = float(UNKNOWN) if truth.dtype == np.uint8 else -1.0
            assets[task.truth_asset] = SimulatedAsset(
                array=truth, bands=(task.truth_asset,), nodata=known
            )
            target = _mean(truth) if task.kind == "regression" else None
        yield SimulatedChip(
            id=chip_id, group=group, grid=window, moment=first.moment, assets=assets,
            labels=labels[row][column], target=target, annotations=things,
            properties={
                "eo:cloud_cover": round(float(clouds[row, column]) * 100, 2),
                "gsd": float(course.sensor.gsd_m), **first.sun,
            },
        )  # fmt: skip


def _seen(truth: npt.NDArray[np.generic], scenes: list[Scene]) -> npt.NDArray[np.generic]:
    """Return the truth, hidden where a single picture shows nothing but cloud."""
    if len(scenes) > 1:
        return truth
    hidden = UNKNOWN if truth.dtype == np.uint8 else -1
    return np.where(scenes[0].cloudy, np.array(hidden, truth.dtype), truth)


def _mean(quantity: npt.NDArray[np.generic]) -> float | None:
    known = quantity[quantity >= 0]  # type: ignore[operator]  # numbers, whatever their width
    return round(float(known.mean()), 3) if known.size else None
