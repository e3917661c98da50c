"""Coordinate reference systems: their names, and ways between them.

Longitude comes before latitude and x before y, whatever the authority says. Transformers are
made once and shared; pyproj keeps one context a thread inside each.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError
from registry.geo.rings import cut_at_antimeridian

__all__ = [
    "CRS84",
    "from_crs84",
    "metres_per_unit",
    "normalise_crs",
    "system",
    "to_crs84",
    "transform_points",
    "utm_crs",
]

CRS84 = "OGC:CRS84"
"""Longitude and latitude in degrees on WGS 84, in this order."""

_LONGEST_CRS = 20_000
_METRES_A_DEGREE = 111_320.0
_LONGEST_EDGE_M = 5_000.0
_HINT = "give an EPSG code such as EPSG:32633, or WKT"

# PROJ opens whatever file a grid or init parameter names; @null is Web Mercator's and opens none.
_FILES = re.compile(
    r"\+?init\s*=|grids\s*=\s*(?!@null\b)|file\s*[=\[]|proj\s*=\s*pipeline", re.IGNORECASE
)
_CODE = re.compile(
    r"[A-Z]\w*:[\w.+-]+|urn:ogc:def:crs:[\w.:-]+|https?://www\.opengis\.net/def/crs/[\w./-]+",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\s*(?:[A-Z_]+\s*\[|\{|\+?proj\s*=)", re.IGNORECASE)


def normalise_crs(text: str) -> str:
    """Return the one name under which the registry stores a coordinate reference system.

    Args:
        text: An authority's code, a URN, WKT of any dialect, PROJJSON or a PROJ string.

    Returns:
        ``EPSG:n`` where EPSG has the same system, ``OGC:CRS84`` for it and its twins, else WKT2.

    Raises:
        InvalidInputError: PROJ does not know it, or it names files to open.

    References:
        ISO 19162:2019, for WKT2.

    Examples:
        >>> normalise_crs("urn:ogc:def:crs:EPSG::32633")
        'EPSG:32633'
    """
    return _normalised(text.strip())


@lru_cache(maxsize=1024)
def _normalised(text: str) -> str:
    known = system(text)
    code = known.to_epsg()
    if code is not None and known.equals(CRS.from_epsg(code), ignore_axis_order=True):
        return CRS84 if _says_crs84(text) else f"EPSG:{code}"
    if known.to_authority() == ("OGC", "CRS84"):
        return CRS84
    return str(known.to_wkt("WKT2_2019"))


def _says_crs84(text: str) -> bool:
    return "CRS84" in text and _CODE.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def system(text: str) -> CRS:
    """Return what PROJ knows of a coordinate reference system.

    Args:
        text: As for :func:`normalise_crs`.

    Raises:
        InvalidInputError: PROJ does not know it, or it names files to open.
    """
    shown = text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 — a line of a terminal
    shaped = _CODE.fullmatch(text) or _TEXT.match(text)
    if len(text) > _LONGEST_CRS or _FILES.search(text) or shaped is None:
        raise InvalidInputError(f"{shown!r} is no coordinate reference system", hint=_HINT)
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise InvalidInputError(
            f"PROJ does not know the coordinate reference system {shown!r}", hint=_HINT
        ) from error


def metres_per_unit(crs: str) -> float:
    """Return how many metres one unit of a system's first axis is, about 111 km for degrees."""
    known = system(crs)
    if known.is_geographic or not known.axis_info:
        return _METRES_A_DEGREE
    return float(known.axis_info[0].unit_conversion_factor) or 1.0


@lru_cache(maxsize=1024)
def _transformer(source: str, target: str) -> Transformer:
    try:
        return Transformer.from_crs(system(source), system(target), always_xy=True)
    except ProjError as error:
        raise InvalidInputError(
            f"PROJ knows no way from {source[:80]!r} to {target[:80]!r}", hint=_HINT
        ) from error


def transform_points(
    x: npt.ArrayLike, y: npt.ArrayLike, *, source: str, target: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Bring points from one system to another.

    Args:
        x: First coordinates (easting or longitude), in the source's unit.
        y: Second coordinates (northing or latitude), of the same shape.
        source: The system they are in, as for :func:`normalise_crs`.
        target: The system wanted.

    Returns:
        The coordinates in the target, x before y; infinite where the target does not reach.

    Raises:
        InvalidInputError: A system is unknown, or there is no way between the two.

    Examples:
        >>> x, y = transform_points([15.0], [0.0], source="OGC:CRS84", target="EPSG:32633")
        >>> round(x.item()), round(y.item())
        (500000, 0)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if source == target:
        return x.copy(), y.copy()
    try:
        across, up = _transformer(source, target).transform(x, y)
    except ProjError as error:
        raise InvalidInputError(
            f"PROJ cannot bring these points from {source[:80]!r} to {target[:80]!r}", hint=_HINT
        ) from error
    return np.asarray(across, np.float64), np.asarray(up, np.float64)


def to_crs84(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """Bring a geometry to longitude and latitude.

    Edges of projected geometries get points every 5 km, so that they stay where they were; what
    crosses the antimeridian is cut there, and a ring around a pole reaches it.

    Args:
        geometry: In the system's own unit, x before y.
        crs: The system it is in, as for :func:`normalise_crs`.

    Returns:
        The geometry in OGC:CRS84, polygons counter-clockwise.

    Raises:
        InvalidInputError: The system is unknown, or the coordinates cannot be in it: beyond
            360° or 90° in degrees, or where the projection does not reach.

    References:
        RFC 7946 §3.1.6 and §3.1.9.

    Examples:
        >>> from shapely import Point, to_wkt
        >>> to_wkt(to_crs84(Point(500_000, 0), "EPSG:32633"), rounding_precision=6)
        'POINT (15 0)'
    """
    if geometry.is_empty:
        return geometry
    if system(crs).is_geographic:
        _check_degrees(geometry, crs)
        dense = geometry
    else:
        dense = shapely.segmentize(geometry, _LONGEST_EDGE_M / metres_per_unit(crs))
    moved = shapely.transform(dense, _mover(crs, CRS84), interleaved=False)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise InvalidInputError(
            f"coordinates such as {_first(geometry)} are outside of {crs[:80]}",
            hint="are they pixels, or in another system? declare the right one with --crs",
        )
    return cut_at_antimeridian(moved)


def from_crs84(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """Bring a geometry from longitude and latitude to another system.

    Args:
        geometry: Longitude and latitude in degrees.
        crs: The system wanted, as for :func:`normalise_crs`.

    Returns:
        The geometry in that system, x before y.

    Raises:
        InvalidInputError: The system is unknown or does not reach the place, or the coordinates
            are not degrees.
    """
    _check_degrees(geometry, CRS84)
    moved = shapely.transform(geometry, _mover(CRS84, crs), interleaved=False)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise InvalidInputError(
            f"{crs[:80]} does not reach {_first(geometry)}",
            hint="choose a system made for the place; registry.geo.utm_crs names one",
        )
    return moved


def _mover(source: str, target: str) -> Callable[..., Any]:
    return partial(transform_points, source=source, target=target)


def _check_degrees(geometry: BaseGeometry, crs: str) -> None:
    west, south, east, north = geometry.bounds
    if west < -360 or east > 360 or south < -90 or north > 90:  # noqa: PLR2004 — degrees
        raise InvalidInputError(
            f"coordinates such as {_first(geometry)} cannot be degrees of {crs[:80]}",
            hint="are they pixels or metres? declare the right system with --crs",
        )


def _first(geometry: BaseGeometry) -> str:
    x, y = shapely.get_coordinates(geometry)[0]
    return f"({x:.6g}, {y:.6g})"


def utm_crs(lon: float, lat: float) -> str:
    """Return the UTM zone of a place.

    Args:
        lon: Longitude in degrees, in [-180, 180].
        lat: Latitude in degrees, in [-90, 90].

    Returns:
        ``EPSG:326zz`` north of the equator, ``EPSG:327zz`` south of it, with the wide zones of
        Norway and Svalbard; beyond 84° N and 80° S the polar ``EPSG:32661`` and ``EPSG:32761``.

    References:
        NGA.SIG.0012 (2014), §7 and its figure of zones.

    Examples:
        >>> utm_crs(13.4, 52.5), utm_crs(178.4, -18.1), utm_crs(5.3, 60.4)
        ('EPSG:32633', 'EPSG:32760', 'EPSG:32632')
    """
    if lat >= 84 or lat < -80:  # noqa: PLR2004 — degrees where UTM ends
        return "EPSG:32661" if lat > 0 else "EPSG:32761"
    zone = min(int((lon + 180) // 6) + 1, 60)
    if 56 <= lat < 64 and 3 <= lon < 12:  # noqa: PLR2004 — degrees of zone 32V
        zone = 32
    elif lat >= 72 and 0 <= lon < 42:  # noqa: PLR2004 — degrees of Svalbard's zones
        zone = 31 + 2 * int((lon + 3) // 12)
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
