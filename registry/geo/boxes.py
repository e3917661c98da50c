"""Boxes on the globe, named so that no tuple order has to be remembered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError

__all__ = ["BBox", "bbox_of", "bounds_of", "box_around", "centres_of"]

_ROUNDING = 1e-9  # degrees; a tenth of a millimetre


@dataclass(frozen=True, slots=True, kw_only=True)
class BBox:
    """A box on the globe, in degrees of OGC:CRS84.

    A box whose ``west`` exceeds its ``east`` crosses the antimeridian.

    Raises:
        InvalidInputError: A coordinate is off the globe, or ``south`` exceeds ``north``.

    References:
        RFC 7946 §5.2, for the antimeridian rule.

    Examples:
        >>> BBox(west=179, south=-20, east=-178, north=-15).crosses_antimeridian
        True
    """

    west: float
    """Longitude of the western edge, in degrees, in [-180, 180]."""

    south: float
    """Latitude of the southern edge, in degrees, in [-90, 90]."""

    east: float
    """Longitude of the eastern edge, in degrees, in [-180, 180]."""

    north: float
    """Latitude of the northern edge, in degrees, in [-90, 90]."""

    def __post_init__(self) -> None:
        for edge, limit in (("west", 180), ("east", 180), ("south", 90), ("north", 90)):
            value = getattr(self, edge)
            if not -limit <= value <= limit:
                raise InvalidInputError(
                    f"{edge}={value} is outside [-{limit}, {limit}] degrees",
                    hint="give longitude and latitude in degrees, not projected metres",
                )
        if self.south > self.north:
            raise InvalidInputError(
                f"south={self.south} is above north={self.north}",
                hint="swap them; only west and east may be reversed",
            )

    @property
    def crosses_antimeridian(self) -> bool:
        """Whether the box runs through 180 degrees of longitude."""
        return self.west > self.east

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the middle, in degrees."""
        lon, lat = centres_of(np.array([[self.west, self.south, self.east, self.north]]))
        return float(lon[0]), float(lat[0])

    def to_struct(self) -> dict[str, float]:
        """Return the box as the ``bbox`` column stores it.

        References:
            GeoParquet 1.1.0, "bbox covering": xmin exceeds xmax across the antimeridian.
        """
        return {"xmin": self.west, "ymin": self.south, "xmax": self.east, "ymax": self.north}


def bbox_of(geometry: BaseGeometry) -> BBox:
    """Return the smallest box around a geometry in OGC:CRS84.

    Args:
        geometry: Longitude and latitude in degrees; cut at the antimeridian where it crosses it.

    Returns:
        Its box; ``west`` exceeds ``east`` if parts of it touch the antimeridian from both sides.

    Raises:
        InvalidInputError: The geometry is empty or not in degrees.

    Examples:
        >>> halves = shapely.MultiPolygon(
        ...     [shapely.box(179, -18, 180, -16), shapely.box(-180, -18, -179, -16)]
        ... )
        >>> bbox_of(halves)
        BBox(west=179.0, south=-18.0, east=-179.0, north=-16.0)
    """
    west, south, east, north = (float(edge) for edge in bounds_of([geometry])[0])
    if np.isnan(west):
        raise InvalidInputError(
            f"an empty {geometry.geom_type} has no box",
            hint="leave the geometry null where the place is unknown",
        )
    return BBox(west=west, south=south, east=east, north=north)


def bounds_of(
    geometries: Sequence[BaseGeometry | None] | npt.NDArray[np.object_],
) -> npt.NDArray[np.float64]:
    """Return the boxes of many geometries at once.

    Args:
        geometries: Shapely geometries in OGC:CRS84; None where there is none.

    Returns:
        West, south, east, north in degrees, shape ``(n, 4)``; NaN where empty or None; west
        exceeds east across the antimeridian.

    References:
        RFC 7946 §5.2.
    """
    column = np.asarray(geometries, dtype=object)
    bounds: npt.NDArray[np.float64] = shapely.bounds(column).reshape(-1, 4)
    for row in np.flatnonzero((bounds[:, 0] <= -180) & (bounds[:, 2] >= 180)):  # noqa: PLR2004 — degrees
        parts = shapely.bounds(shapely.get_parts(column[row]))
        bounds[row, 0], bounds[row, 2] = _around_the_largest_gap(parts[:, [0, 2]])
    return bounds


def box_around(bounds: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the smallest box around many boxes, across the antimeridian if any of them is.

    Args:
        bounds: West, south, east, north in degrees, shape ``(n, 4)``, at least one row.

    Returns:
        West, south, east, north in degrees; west exceeds east across the antimeridian.

    References:
        RFC 7946 §5.2.

    Examples:
        >>> box_around(np.array([[170.0, -1.0, -170.0, 1.0], [-180.0, 0.0, -175.0, 2.0]]))
        (170.0, -1.0, -170.0, 2.0)
    """
    west, south, east, north = np.moveaxis(np.asarray(bounds, np.float64), -1, 0)
    across = west > east
    left, right = float(west.min()), float(east.max())
    if across.any():
        halves = [
            np.stack([west[~across], east[~across]], axis=1),
            np.stack([west[across], np.full(across.sum(), 180.0)], axis=1),
            np.stack([np.full(across.sum(), -180.0), east[across]], axis=1),
        ]
        left, right = _around_the_largest_gap(np.concatenate(halves))
    return left, float(south.min()), right, float(north.max())


def _around_the_largest_gap(parts: npt.NDArray[np.float64]) -> tuple[float, float]:
    # West and east of arcs of which none crosses the antimeridian but some touch it.
    parts = parts[np.argsort(parts[:, 0])]
    reach = np.maximum.accumulate(parts[:, 1])
    gaps = parts[1:, 0] - reach[:-1]
    if not gaps.size or gaps.max() <= _ROUNDING:
        return -180.0, 180.0
    widest = int(gaps.argmax())
    return float(parts[widest + 1, 0]), float(reach[widest])


def centres_of(
    bounds: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the middles of many boxes.

    Args:
        bounds: West, south, east, north in degrees, shape ``(n, 4)``.

    Returns:
        Longitudes in [-180, 180) and latitudes, in degrees; NaN where the box is.
    """
    west, south, east, north = np.moveaxis(np.asarray(bounds, np.float64), -1, 0)
    width = np.where(west > east, east - west + 360, east - west)
    lon = west + width / 2
    return np.where(lon >= 180, lon - 360, lon), (south + north) / 2  # noqa: PLR2004 — degrees
