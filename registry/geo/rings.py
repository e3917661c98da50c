"""Rings on the globe, flattened: unwrapped, closed over a pole, cut at the antimeridian."""

import numpy as np
import numpy.typing as npt
import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

__all__ = ["cut_at_antimeridian", "flatten_ring", "steps_of", "to_home_turn"]

_POLE = 90 - 1e-9
_HALF_TURN = 180.0
_FULL_TURN = 360.0


def steps_of(lon: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how far each point of a closed ring lies east of the one before, the short way.

    Args:
        lon: Longitudes in degrees, the last axis running along the ring, first point not repeated.

    Returns:
        Degrees in (-180, 180], of the same shape; the first entry leads from the last point.
    """
    step = np.diff(lon, axis=-1, prepend=lon[..., -1:])
    return _HALF_TURN - np.mod(_HALF_TURN - step, _FULL_TURN)


def flatten_ring(lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> BaseGeometry:
    """Return the area inside a ring on the globe as geometry of the lon/lat plane.

    Args:
        lon: Longitudes in degrees, shape ``(n,)``; neighbours less than half a turn apart, the
            first point not repeated.
        lat: Latitudes in degrees, of the same shape.

    Returns:
        A polygon, or several where the ring crosses the antimeridian; a ring around a pole
        reaches up to it.

    References:
        RFC 7946 §3.1.9.
    """
    lon, lat = _split_pole_points(lon, lat)
    step = steps_of(lon)
    _steer_along_the_pole(step, lat)
    unwrapped = lon[0] + np.concatenate([[0.0], np.cumsum(step[1:])])
    turn = round(float(step.sum()) / _FULL_TURN)
    points = np.column_stack([unwrapped, lat])
    if turn:
        pole = 90.0 if lat.mean() > 0 else -90.0
        points = _three_turns(points, turn, pole)
    return _wrap(_sound(shapely.Polygon(points)))


def _three_turns(
    points: npt.NDArray[np.float64], turn: int, pole: float
) -> npt.NDArray[np.float64]:
    """Return the ring run thrice and closed over the pole, so that one turn lies whole inside."""
    shifts = [(turn * lap * _FULL_TURN, 0.0) for lap in (-1, 0, 1)]
    laps = np.vstack([points + shift for shift in shifts])
    return np.vstack([laps, [laps[-1, 0], pole], [laps[0, 0], pole]])


def _split_pole_points(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ring with points on a pole doubled: they take both neighbours' longitudes."""
    polar = np.abs(lat) >= _POLE
    if not polar.any() or polar.all() or (polar & np.roll(polar, 1)).any():
        return lon, lat
    repeats = np.where(polar, 2, 1)
    before, after = np.roll(lon, 1), np.roll(lon, -1)
    wide_lon, wide_lat = np.repeat(lon, repeats), np.repeat(lat, repeats)
    first = np.cumsum(repeats)[polar] - 2
    wide_lon[first], wide_lon[first + 1] = before[polar], after[polar]
    return wide_lon, wide_lat


def _steer_along_the_pole(step: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> None:
    """A ring through a pole does not go around it: the step there undoes all others."""
    polar = np.flatnonzero((np.abs(lat) >= _POLE) & (np.abs(np.roll(lat, 1)) >= _POLE))
    if polar.size == 1 and round(float(step.sum())) != 0:
        step[polar] -= step.sum()


def cut_at_antimeridian(geometry: BaseGeometry) -> BaseGeometry:
    """Return a geometry whose longitudes lie in [-180, 180], cut where it crosses 180°.

    Args:
        geometry: Longitude and latitude in degrees, neighbours of a ring or line less than half
            a turn apart.

    Returns:
        The same places; polygons counter-clockwise with their holes kept.

    References:
        RFC 7946 §3.1.6 and §3.1.9.
    """
    west, _, east, _ = geometry.bounds
    inside = west >= -_HALF_TURN and east <= _HALF_TURN
    if inside and east - west < _HALF_TURN:
        return _wound(geometry)
    parts = [_cut_part(part) for part in shapely.get_parts(geometry)]
    whole = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    return _wound(whole)


def _cut_part(part: BaseGeometry) -> BaseGeometry:
    if isinstance(part, shapely.Polygon):
        rings = [shapely.get_coordinates(ring)[:-1] for ring in (part.exterior, *part.interiors)]
        outer, *holes = (flatten_ring(ring[:, 0], ring[:, 1]) for ring in rings)
        return outer.difference(shapely.union_all(holes)) if holes else outer
    if isinstance(part, shapely.LineString):
        points = shapely.get_coordinates(part)
        lon = np.unwrap(points[:, 0], period=_FULL_TURN)
        return _wrap(shapely.LineString(np.column_stack([lon, points[:, 1]])))
    return _wrap(part)


def to_home_turn(geometry: BaseGeometry) -> BaseGeometry:
    """Return a geometry of any turn brought back to [-180, 180], polygons counter-clockwise."""
    return _wound(_wrap(geometry))


def _wrap(geometry: BaseGeometry) -> BaseGeometry:
    west, _, east, _ = geometry.bounds
    first = int(np.floor((west + _HALF_TURN + 1e-9) / _FULL_TURN))
    last = int(np.ceil((east - _HALF_TURN - 1e-9) / _FULL_TURN))
    pieces = []
    for turn in range(first, max(first, last) + 1):
        home = affinity.translate(geometry, -turn * _FULL_TURN)
        kept = home.intersection(shapely.box(-_HALF_TURN, -90, _HALF_TURN, 90))
        if not kept.is_empty:
            pieces.append(kept)
    return pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)


def _sound(polygon: BaseGeometry) -> BaseGeometry:
    return polygon if polygon.is_valid else shapely.make_valid(polygon)


def _wound(geometry: BaseGeometry) -> BaseGeometry:
    wound: BaseGeometry = shapely.orient_polygons(geometry)
    return wound
