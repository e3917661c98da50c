"""Ships: where they sail, what they look like, and the water that they leave behind."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from registry.curate.ingest.simulator.covers import WATER
from registry.curate.ingest.simulator.fields import Field
from registry.curate.ingest.simulator.landscape import Landscape
from registry.curate.ingest.simulator.materials import spectrum

__all__ = ["Ship", "draw_ships", "launch"]

_SHORTEST_PX = 3.5
_LONGEST_PX = 40.0
_LONGEST_M = 400.0  # the longest that sail
_OFFSHORE = 0.5  # clearness of water that is deep enough
_SUBPIXELS = 3
_PAINTS = ("paint", "metal", "red tile", "shingle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship:
    """One ship on a scene; lengths in metres, places in pixels of the scene."""

    column: float
    """Its middle, in pixels from the left edge."""

    row: float
    """Its middle, in pixels from the upper edge."""

    length_m: float
    """From bow to stern."""

    width_m: float
    """Across."""

    heading: float
    """Where it sails, in degrees from the top of the picture over its right."""

    knots: float
    """How fast it sails; 0 at anchor."""

    paint: str
    """A material: what its deck is covered with."""

    def outline(self, gsd_m: float) -> shapely.Polygon:
        """Return its hull, in pixels of the scene: bow, shoulders, stern."""
        half, beam = self.length_m / gsd_m / 2, self.width_m / gsd_m / 2
        hull = np.array(
            [[half, 0], [0.72 * half, beam], [-half, 0.85 * beam], [-half, -0.85 * beam],
             [0.72 * half, -beam]]
        )  # fmt: skip
        ahead, aside = _axes(self.heading)
        points = hull[:, :1] * ahead + hull[:, 1:] * aside + (self.column, self.row)
        return shapely.Polygon(points)


def _axes(heading: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the directions of bow and starboard, as (column, row)."""
    turn = np.radians(heading)
    ahead = np.array([np.sin(turn), -np.cos(turn)])
    return ahead, np.array([np.cos(turn), np.sin(turn)])


def launch(land: Landscape, rng: np.random.Generator, *, count: int) -> list[Ship]:
    """Put ships on open water, apart from each other and clear of the shore.

    Args:
        land: Where they sail.
        rng: Where their chance comes from.
        count: How many to try; fewer where there is no room.

    Returns:
        The ships.
    """
    gsd = land.sensor.gsd_m
    ships: list[Ship] = []
    water = np.flatnonzero((land.cover == WATER) & (land.depth > _OFFSHORE))
    for _ in range(count if water.size else 0):
        length = max(float(rng.lognormal(4.7, 0.55)), _SHORTEST_PX * gsd)
        length = min(length, _LONGEST_PX * gsd, _LONGEST_M)
        row, column = divmod(int(rng.choice(water)), land.size)
        ship = Ship(
            column=column + rng.random(), row=row + rng.random(), length_m=round(length, 1),
            width_m=round(max(length / rng.uniform(5.5, 7.5), 1.2 * gsd), 1),
            heading=round(float(rng.uniform(0, 360)), 1),
            knots=round(float(rng.choice([0.0, rng.uniform(6, 21)], p=[0.25, 0.75])), 1),
            paint=str(rng.choice(_PAINTS, p=[0.5, 0.3, 0.1, 0.1])),
        )  # fmt: skip
        if _has_room(ship, ships, land):
            ships.append(ship)
    return ships


def _has_room(ship: Ship, others: list[Ship], land: Landscape) -> bool:
    reach = ship.length_m / land.sensor.gsd_m / 2 + 2
    top, left = int(ship.row - reach), int(ship.column - reach)
    bottom, right = int(ship.row + reach) + 1, int(ship.column + reach) + 1
    if top < 0 or left < 0 or bottom > land.size or right > land.size:
        return False
    if (land.cover[top:bottom, left:right] != WATER).any():
        return False
    gaps = [
        np.hypot(ship.row - other.row, ship.column - other.column)
        - (ship.length_m + other.length_m) / land.sensor.gsd_m
        for other in others
    ]
    return all(gap > 0 for gap in gaps)


def draw_ships(land: Landscape, ships: list[Ship]) -> tuple[tuple[Field, Field], ...]:
    """Return what ships add to a scene: foam first, hulls on top.

    Args:
        land: Where they sail.
        ships: The ships.

    Returns:
        Pairs of share of each pixel, shape ``(y, x)``, and reflectance, shape ``(band,)``.
    """
    foam = np.zeros(land.unit.shape, np.float32)
    hulls = {ship.paint: np.zeros(land.unit.shape, np.float32) for ship in ships}
    for ship in ships:
        _wake(foam, ship, land)
        _hull(hulls[ship.paint], ship, land)
    wet = (land.cover == WATER).astype(np.float32)
    layers = [(foam * wet, spectrum("foam", land.sensor))]
    layers += [(share, spectrum(paint, land.sensor)) for paint, share in hulls.items()]
    return tuple(layers)


def _window(
    ship: Ship, land: Landscape, reach: float
) -> tuple[tuple[slice, slice], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the part of the scene near a ship, and its pixels in the ship's own axes."""
    top, bottom = max(int(ship.row - reach), 0), min(int(ship.row + reach) + 2, land.size)
    left, right = max(int(ship.column - reach), 0), min(int(ship.column + reach) + 2, land.size)
    offset = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS
    rows = (np.arange(top, bottom)[:, None] + offset).ravel() - ship.row
    columns = (np.arange(left, right)[:, None] + offset).ravel() - ship.column
    ahead, aside = _axes(ship.heading)
    u = columns[None, :] * ahead[0] + rows[:, None] * ahead[1]
    v = columns[None, :] * aside[0] + rows[:, None] * aside[1]
    return (slice(top, bottom), slice(left, right)), u, v


def _pixels(share: npt.NDArray[np.float64]) -> Field:
    height, width = share.shape[0] // _SUBPIXELS, share.shape[1] // _SUBPIXELS
    parts = share.reshape(height, _SUBPIXELS, width, _SUBPIXELS)
    return np.asarray(parts.mean(axis=(1, 3)), np.float32)


def _hull(canvas: Field, ship: Ship, land: Landscape) -> None:
    half, beam = ship.length_m / land.sensor.gsd_m / 2, ship.width_m / land.sensor.gsd_m / 2
    part, u, v = _window(ship, land, half + 1)
    bow = np.clip((half - u) / (0.28 * half), 0, 1)
    inside = (np.abs(u) <= half) & (np.abs(v) <= beam * np.minimum(bow, 1))
    canvas[part] = np.maximum(canvas[part], _pixels(inside.astype(np.float64)))


def _wake(canvas: Field, ship: Ship, land: Landscape) -> None:
    """Foam behind the stern, and the two arms that Kelvin found to spread by 19.5°."""
    if ship.knots <= 0:
        return
    half, beam = ship.length_m / land.sensor.gsd_m / 2, ship.width_m / land.sensor.gsd_m / 2
    tail = ship.knots * 22 / land.sensor.gsd_m
    part, u, v = _window(ship, land, half + 2 * tail)
    behind = -(u + half)
    trail = np.exp(-behind / tail) * np.exp(-((v / (0.7 * beam + 0.012 * behind)) ** 2)) * 0.6
    arms = np.abs(np.abs(v) - np.tan(np.radians(19.5)) * (half * 1.6 + behind))
    spread = np.exp(-((arms / 0.8) ** 2)) * np.exp(-np.abs(behind) / (0.6 * tail)) * 0.12
    share = np.where(behind > 0, trail + spread, np.where(behind > -2 * half, spread, 0))
    canvas[part] = np.minimum(canvas[part] + _pixels(share), 0.9)
