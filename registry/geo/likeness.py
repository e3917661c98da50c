"""How alike two outlines of one thing are: what they share, and how far one lies from the other."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError
from registry.geo.systems import system

__all__ = ["PIXEL", "Likeness", "likeness"]

PIXEL: Final = "pixel"
"""Frame of outlines in columns and rows of an array."""

_HALF_TURN: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What two outlines have in common."""

    iou: float | None
    """Area of both over area of either, in [0, 1]; None where neither has an area."""

    distance: float | None
    """Between their centroids, in ``unit``; None where one of them is nowhere."""

    unit: str
    """``metre`` on the ellipsoid, the unit of a projected system by its name, or ``pixel``."""

    note: str
    """What keeps a number from being there, or qualifies it; empty if nothing does."""


def likeness(before: bytes | None, after: bytes | None, *, frame: str | None) -> Likeness:
    """Return how alike two outlines are.

    Args:
        before: WKB; None where there is none.
        after: WKB; None where there is none.
        frame: Coordinate system of both, as for :func:`registry.geo.normalise_crs`, or
            ``pixel``; None if nobody knows.

    Returns:
        Both measures, in metres on the ellipsoid where coordinates are degrees. Outlines that
        cross themselves are made valid first, which the note says.

    References:
        Jaccard (1912), New Phytologist 11, 37-50, for the ratio; Karney (2013), Journal of Geodesy
        87, 43-55, for distances and areas on the ellipsoid.

    Examples:
        >>> was, now = shapely.box(0, 0, 2, 2).wkb, shapely.box(1, 0, 3, 2).wkb
        >>> likeness(was, now, frame="pixel")
        Likeness(iou=0.3333333333333333, distance=1.0, unit='pixel', note='')
    """
    geod, unit, said = _measured_in(frame)
    shapes: list[BaseGeometry] = []
    for side, wkb in (("before", before), ("after", after)):
        shape, problem = _shape(wkb)
        if shape is None:
            return Likeness(iou=None, distance=None, unit=unit, note=f"{problem} {side}")
        if problem:
            said = [*said, f"{problem} {side}"]
        shapes.append(_unwrapped(shape) if geod is not None else shape)
    was, now = shapes
    if geod is not None:
        now = _near(now, was)
    return Likeness(
        iou=_iou(was, now, geod), distance=_distance(was, now, geod), unit=unit,
        note="; ".join(said),
    )  # fmt: skip


def _measured_in(frame: str | None) -> tuple[Geod | None, str, list[str]]:
    if frame == PIXEL:
        return None, PIXEL, []
    if frame is None:
        return None, "unit", ["the coordinate system is unknown"]
    try:
        known = system(frame)
    except InvalidInputError:
        return None, "unit", ["the coordinate system is unknown"]
    if known.is_geographic:
        return known.get_geod() or Geod(ellps="WGS84"), "metre", []
    return None, (known.axis_info[0].unit_name if known.axis_info else "unit"), []


def _shape(wkb: bytes | None) -> tuple[BaseGeometry | None, str]:
    if wkb is None:
        return None, "none"
    with np.errstate(invalid="ignore"):  # what is not finite is said below
        shape = shapely.from_wkb(wkb, on_invalid="ignore")
    if shapely.is_missing(shape):
        return None, "unreadable"
    if shape.is_empty:
        return None, "empty"
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        return None, "not finite"
    if not shape.is_valid:
        return shapely.make_valid(shape), "invalid"
    return shape, ""


def _unwrapped(shape: BaseGeometry) -> BaseGeometry:
    """Return degrees without the jump at the antimeridian, where outlines are cut there."""
    west, _, east, _ = shape.bounds
    return shapely.transform(shape, _turned) if east - west > _HALF_TURN else shape


def _turned(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return points + np.stack([360.0 * (points[:, 0] < 0), np.zeros(len(points))], axis=1)


def _near(shape: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    away = shape.centroid.x - other.centroid.x
    turns = 360.0 * round(away / 360.0)
    return shapely.transform(shape, lambda points: points - [turns, 0]) if turns else shape


def _iou(was: BaseGeometry, now: BaseGeometry, geod: Geod | None) -> float | None:
    one, other = _surface(was), _surface(now)
    areas = _area(one, geod) + _area(other, geod)
    shared = _area(shapely.intersection(one, other), geod)
    either = areas - shared
    return min(1.0, shared / either) if np.isfinite(either) and either > 0 else None


def _surface(shape: BaseGeometry) -> BaseGeometry:
    """Return what of a shape has an area; overlays take no mixture of dimensions."""
    return shapely.union_all(_polygons(shape))


def _polygons(shape: BaseGeometry) -> list[BaseGeometry]:
    parts = getattr(shape, "geoms", None)
    if parts is None:
        return [shape] if shape.geom_type == "Polygon" else []
    return [polygon for part in parts for polygon in _polygons(part)]


def _area(shape: BaseGeometry, geod: Geod | None) -> float:
    if geod is None:
        return float(shape.area)
    outlines = [shapely.normalize(polygon) for polygon in _polygons(shape)]
    return sum(abs(float(geod.geometry_area_perimeter(one)[0])) for one in outlines)


def _distance(was: BaseGeometry, now: BaseGeometry, geod: Geod | None) -> float | None:
    one, other = was.centroid, now.centroid
    if geod is None:
        return float(one.distance(other))
    metres = float(geod.inv(one.x, one.y, other.x, other.y)[2])
    return metres if np.isfinite(metres) else None
