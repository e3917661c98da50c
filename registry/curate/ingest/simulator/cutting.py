"""Cutting scenes into chips, and saying what is on each."""

from typing import Any

import numpy as np
import numpy.typing as npt
from shapely import affinity, box
from shapely.geometry.base import BaseGeometry

from registry.curate.ingest.simulator.chips import SimulatedAnnotation
from registry.curate.ingest.simulator.covers import COVERS, RIVER, TOWN, WATER
from registry.curate.ingest.simulator.materials import Sensor
from registry.curate.ingest.simulator.ships import Ship
from registry.curate.ingest.simulator.tasks import Task
from registry.geo import Grid

__all__ = ["annotate", "cut", "scene_labels"]

_A_RIVER = 0.07  # of a chip makes it a picture of a river
_A_TOWN = 0.3  # of a chip makes it a picture of a town
_VISIBLE = 0.2  # of a ship must be on the chip, or it is not labelled


def cut(scene: npt.NDArray[Any], edge: int) -> npt.NDArray[Any]:
    """Return a scene as chips.

    Args:
        scene: Shape ``(band, y, x)``; y and x are multiples of ``edge``.
        edge: Pixels along each edge of a chip.

    Returns:
        The same pixels, each chip in one piece; shape ``(row, column, band, y, x)``.
    """
    bands, height, width = scene.shape
    split = scene.reshape(bands, height // edge, edge, width // edge, edge)
    return np.ascontiguousarray(split.transpose(1, 3, 0, 2, 4))


def scene_labels(
    cover: npt.NDArray[np.uint8], edge: int, task: Task
) -> list[list[tuple[str, ...]]]:
    """Return the class of each chip by what covers most of it; a river needs less."""
    across = cover.shape[0] // edge
    if task.kind != "classification":
        return [[()] * across for _ in range(across)]
    chips = cut(cover[None], edge).reshape(across * across, -1)
    shares = np.stack([(chips == code).mean(axis=1) for code in range(len(COVERS))], axis=1)
    best = shares.argmax(axis=1)
    best[shares[:, TOWN] > _A_TOWN] = TOWN
    best[(shares[:, RIVER] > _A_RIVER) & (best != WATER)] = RIVER
    names: list[tuple[str, ...]] = [(task.classes[code],) for code in best]
    return [names[row * across : (row + 1) * across] for row in range(across)]


def annotate(
    ships: tuple[Ship, ...], sensor: Sensor, grid: Grid, chip_id: str, top: int, left: int
) -> tuple[SimulatedAnnotation, ...]:
    """Return the ships on a chip as outlines in its system, cut off at its edge."""
    frame = box(left, top, left + grid.width, top + grid.height)
    found: list[SimulatedAnnotation] = []
    for ship in ships:
        if (
            abs(ship.row - top - grid.height / 2) > grid.height
            or abs(ship.column - left - grid.width / 2) > grid.width
        ):
            continue
        hull = ship.outline(sensor.gsd_m)
        shown = hull.intersection(frame)
        if shown.area < _VISIBLE * hull.area:
            continue
        found.append(
            SimulatedAnnotation(
                id=f"{chip_id}.{len(found):03d}", category="Boat",
                geometry=_on_the_ground(shown, grid, top, left),
                attributes={
                    "length_m": ship.length_m, "width_m": ship.width_m,
                    "heading_deg": ship.heading, "speed_kn": ship.knots,
                },
            )
        )  # fmt: skip
    return tuple(found)


def _on_the_ground(shape: BaseGeometry, grid: Grid, top: int, left: int) -> BaseGeometry:
    a, b, c, d, e, f = grid.transform
    on_chip = affinity.translate(shape, -left, -top)
    placed: BaseGeometry = affinity.affine_transform(on_chip, [a, b, d, e, c, f])
    return placed
