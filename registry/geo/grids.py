"""Grids of pixels on the globe, and the ground that they cover.

The origin of a grid is the outer corner of its first pixel; row 0 is the first row stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError
from registry.geo.rings import flatten_ring, steps_of, to_home_turn
from registry.geo.systems import CRS84, metres_per_unit, system, transform_points

__all__ = ["Affine", "Grid", "footprint", "footprints"]

Affine = tuple[float, float, float, float, float, float]
"""Pixel to system, rasterio's order: x = a·column + b·row + c, y = d·column + e·row + f."""

_EDGE_M = 5_000.0  # a straight edge of 5 km strays 1 m from its chord at 60° of latitude
_MOST_SEGMENTS = 256
_NEAR_POLE_SEGMENTS = 4096
_STRAYS_DEGREES = 10.0  # scenes reach out of their zone, never by this much
_COARSEST = 5.0  # degrees; grids of points reach half a cell over the poles
_RETURNS_M = 100.0
_TINY_M = 1e-3  # nobody sees so little; degrees declared as metres do


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the pixels of an array lie.

    Raises:
        InvalidInputError: There are no pixels, or the transform is not finite or not invertible.

    Examples:
        >>> grid = Grid(crs="EPSG:32633", transform=(10, 0, 5e5, 0, -10, 5e6), height=64, width=64)
        >>> [round(degrees, 3) for degrees in grid.footprint().bounds]
        [15.0, 45.148, 15.008, 45.153]
    """

    crs: str
    """As ``registry.geo.normalise_crs`` returns it."""

    transform: Affine
    """Pixel corners to the system's coordinates, rasterio's order a, b, c, d, e, f."""

    height: int
    """Rows, at least 1."""

    width: int
    """Columns, at least 1."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InvalidInputError(
                f"a grid of {self.height} x {self.width} pixels covers nothing",
                hint="give at least one row and one column",
            )
        a, b, _, d, e, _ = self.transform
        if not np.isfinite(self.transform).all() or a * e == b * d:
            raise InvalidInputError(
                f"the transform {self.transform} cannot be inverted",
                hint="give a, b, c, d, e, f in rasterio's order, pixel sizes not zero",
            )

    def footprint(self) -> BaseGeometry:
        """Return the ground that the grid covers; see :func:`footprint`."""
        return footprint(self)

    def window(self, *, row: int, column: int, height: int, width: int) -> "Grid":
        """Return the grid of a part of the array.

        Args:
            row: First row of the part, in pixels.
            column: First column of the part, in pixels.
            height: Its rows.
            width: Its columns.
        """
        a, b, c, d, e, f = self.transform
        origin_x, origin_y = a * column + b * row + c, d * column + e * row + f
        return Grid(
            crs=self.crs, transform=(a, b, origin_x, d, e, origin_y), height=height, width=width
        )


def footprint(grid: Grid) -> BaseGeometry:
    """Return the ground that a grid covers.

    Edges get as many points as keep them where they are; what crosses the antimeridian is cut
    there, and a grid over a pole reaches it.

    Args:
        grid: Where the pixels are.

    Returns:
        A polygon or, over the antimeridian, several; OGC:CRS84, counter-clockwise.

    Raises:
        InvalidInputError: The system is unknown, or the coordinates cannot be in it, such as
            pixels declared as degrees.

    References:
        RFC 7946 §3.1.6 and §3.1.9.
    """
    (result,) = _covers([grid])
    if isinstance(result, InvalidInputError):
        raise result
    return result


def footprints(grids: Sequence[Grid | None]) -> list[bytes | None]:
    """Return the ground that each of many grids covers, a thousand times faster than one by one.

    Args:
        grids: Where the pixels are; None where nothing says so.

    Returns:
        WKB in OGC:CRS84, one a grid; None where there is no grid, its coordinates cannot be
        right or its system is nowhere on Earth (:func:`footprint` says why).
    """
    present = [grid for grid in grids if grid is not None]
    shapes = [None if isinstance(one, InvalidInputError) else one for one in _covers(present)]
    encoded = iter(shapely.to_wkb(np.asarray(shapes, dtype=object)))
    return [None if grid is None else next(encoded) for grid in grids]


def _covers(grids: Sequence[Grid]) -> list[BaseGeometry | InvalidInputError]:
    result: list[BaseGeometry | InvalidInputError | None] = [None] * len(grids)
    kinds = [(grid.crs, _segments(grid)) for grid in grids]
    order = sorted(range(len(grids)), key=kinds.__getitem__)
    for (crs, segments), members in groupby(order, key=kinds.__getitem__):
        places = list(members)
        alike: list[BaseGeometry | InvalidInputError]
        try:
            alike = _cover_alike([grids[i] for i in places], crs, segments)
        except InvalidInputError as error:  # nowhere on Earth: an engineering or local system
            alike = [error] * len(places)
        for place, shape in zip(places, alike, strict=True):
            result[place] = shape
    return [one for one in result if one is not None]


def _segments(grid: Grid) -> int:
    a, b, _, d, e, _ = grid.transform
    longest = max(np.hypot(a, d) * grid.width, np.hypot(b, e) * grid.height)
    edge_m = longest * metres_per_unit(grid.crs)
    if system(grid.crs).is_geographic:  # its edges are straight in degrees, however long
        edge_m /= 1_000
    return int(np.clip(np.ceil(edge_m / _EDGE_M), 1, _MOST_SEGMENTS))


def _cover_alike(
    grids: Sequence[Grid], crs: str, segments: int
) -> list[BaseGeometry | InvalidInputError]:
    """Return covers of grids of one system, all edges cut into equally many segments."""
    x, y = _ring(grids, segments)
    wrong = [bool(flag) for flag in _absurd(grids, crs, x, y)]
    lon, lat = _to_degrees(x, y, crs)
    reached = [bool(flag) for flag in np.isfinite(lon + lat).min(axis=1)]
    lon, lat = np.where(np.isfinite(lon), lon, 0.0), np.where(np.isfinite(lat), lat, 0.0)
    plain = _is_plain(lon, lat)
    rings = np.asarray(shapely.polygons(np.stack([lon, lat], axis=-1)), dtype=object)
    shapes = np.asarray(shapely.orient_polygons(rings), dtype=object)
    result: list[BaseGeometry | InvalidInputError] = []
    for i, grid in enumerate(grids):
        if wrong[i] or not reached[i]:
            result.append(_absurdity(grid, wrong=wrong[i]))
        elif plain[i]:
            result.append(shapes[i])
        else:
            result.append(_cover_oddly(grid, lon[i], lat[i]))
    return result


def _ring(
    grids: Sequence[Grid], segments: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return points along each grid's outer edge, shape ``(grid, point)``."""
    along, still = np.arange(segments) / segments, np.zeros(segments)
    right = np.concatenate([along, still + 1, 1 - along, still])
    down = np.concatenate([still, along, still + 1, 1 - along])
    columns = right * np.array([[grid.width] for grid in grids])
    rows = down * np.array([[grid.height] for grid in grids])
    a, b, c, d, e, f = np.array([grid.transform for grid in grids], np.float64).T[:, :, None]
    return a * columns + b * rows + c, d * columns + e * rows + f


def _to_degrees(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], crs: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if system(crs).is_geographic:
        y = np.clip(y, -90, 90)  # grids of points reach half a cell over the poles
    return transform_points(x, y, source=crs, target=CRS84)


def _is_plain(lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return whether rings are the same on the plane as on the globe."""
    inside = (np.abs(lon) <= 180).all(axis=1)  # noqa: PLR2004 — degrees
    narrow = np.ptp(lon, axis=1) < 90  # noqa: PLR2004 — degrees; a wider one may cross 180°
    polar = (np.abs(lat) > 90 - 1e-9).any(axis=1)
    return np.asarray(inside & narrow & ~polar)


def _cover_oddly(
    grid: Grid, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> BaseGeometry:
    """Return the cover of a grid that is wide, crosses the antimeridian or lies at a pole."""
    if system(grid.crs).is_geographic:
        x, _ = _ring([grid], lon.size // 4)
        turned = lon + 360 * np.rint((x[0] - lon) / 360)  # the turn that the grid itself says
        plane = shapely.Polygon(np.column_stack([turned, lat]))
        return to_home_turn(plane)
    if np.abs(steps_of(lon)).max() > 30:  # noqa: PLR2004 — degrees; near a pole edges sweep fast
        x, y = _ring([grid], _NEAR_POLE_SEGMENTS)
        dense_lon, dense_lat = _to_degrees(x, y, grid.crs)
        lon, lat = dense_lon[0], dense_lat[0]
    wound: BaseGeometry = shapely.orient_polygons(flatten_ring(lon, lat))
    return wound


def _absurd(
    grids: Sequence[Grid], crs: str, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return whether coordinates cannot be meant in the system: pixels, or another's."""
    affine = np.array([grid.transform for grid in grids], np.float64)
    heights = np.array([grid.height for grid in grids])
    pixels = (np.abs(affine[:, :5]) == (1, 0, 0, 0, 1)).all(axis=1)
    pixels &= (affine[:, 5] == 0) | (affine[:, 5] == heights)
    if system(crs).is_geographic:
        cell_x, cell_y = np.abs(affine[:, [0, 1]]).sum(axis=1), np.abs(affine[:, 3:5]).sum(axis=1)
        wide = np.abs(x).max(axis=1) > 360 + np.minimum(cell_x, _COARSEST)
        high = np.abs(y).max(axis=1) > 90 + np.minimum(cell_y, _COARSEST)
        return np.asarray(pixels | wide | high)
    tiny = np.abs(affine[:, :2]).sum(axis=1) * metres_per_unit(crs) < _TINY_M
    far = _far_from_use(crs, x.mean(axis=1), y.mean(axis=1))
    return np.asarray(pixels | tiny | far)


def _far_from_use(
    crs: str, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return whether points lie far from where the system is used, or do not come back."""
    lon, lat = transform_points(x, y, source=crs, target=CRS84)
    reached = np.isfinite(lon) & np.isfinite(lat)
    lon, lat = np.where(reached, lon, 0.0), np.where(reached, lat, 0.0)
    back_x, back_y = transform_points(lon, lat, source=CRS84, target=crs)
    returns = np.hypot(back_x - x, back_y - y) * metres_per_unit(crs) < _RETURNS_M
    far = ~(reached & returns)
    area = system(crs).area_of_use
    if area is None:
        return far
    far |= (lat < area.south - _STRAYS_DEGREES) | (lat > area.north + _STRAYS_DEGREES)
    width = np.mod(area.east - area.west, 360) or 360.0
    if width + 2 * _STRAYS_DEGREES < 360 and area.north < 85:  # noqa: PLR2004 — degrees; at a pole all meridians meet
        far |= np.mod(lon - area.west + _STRAYS_DEGREES, 360) > width + 2 * _STRAYS_DEGREES
    return far


def _absurdity(grid: Grid, *, wrong: bool) -> InvalidInputError:
    _, _, x, _, _, y = grid.transform
    why = "cannot be meant in" if wrong else "are out of reach of"
    return InvalidInputError(
        f"the grid from ({x:.6g}, {y:.6g}) with transform {grid.transform} and"
        f" {grid.height} x {grid.width} pixels has coordinates that {why} {grid.crs[:80]}",
        hint="are they pixels, degrees, or in another system? declare the right one with --crs",
    )
