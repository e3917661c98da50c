"""Numbers for places: the key that rows are sorted by, equal-area blocks and areas."""

from functools import cache

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError

__all__ = ["area_m2", "equal_area_cell", "hilbert_key"]

_LEVEL = 31
_CHUNK = 5  # bits of x and of y that one look-up handles; 31 = 1 + 6 * 5
_STATES = 4  # whether x and y are swapped, whether both are complemented
_AUTHALIC_KM = 6371.0072


def hilbert_key(
    lon: npt.ArrayLike, lat: npt.ArrayLike, *, missing: int = -1
) -> npt.NDArray[np.int64]:
    """Return where points lie on a Hilbert curve over the globe; near keys are near places.

    Args:
        lon: Longitudes in degrees, clipped to [-180, 180]; NaN where unknown.
        lat: Latitudes in degrees, clipped to [-90, 90], of the same shape.
        missing: The key of points with a NaN; -1 sorts before every place.

    Returns:
        Keys in [0, 4**31), of the same shape; the plane of longitude and latitude at level 31.

    References:
        Hilbert (1891), Mathematische Annalen 38, 459-460; the orientation is that of
        Warren (2012), Hacker's Delight, 2nd ed., §16: from the lower left to the lower right.

    Examples:
        >>> hilbert_key([-180.0, 180.0, np.nan], [-90.0, -90.0, 0.0]).tolist()
        [0, 4611686018427387903, -1]
    """
    known = ~(np.isnan(lon) | np.isnan(lat))
    x = _level(np.where(known, lon, 0.0), 360)
    y = _level(np.where(known, lat, 0.0), 180)
    digits, following = _table(1)
    entry = (x >> 30 << 1) | (y >> 30)
    key, state = digits[entry], following[entry]
    digits, following = _table(_CHUNK)
    mask = (1 << _CHUNK) - 1
    for shift in range(_LEVEL - 1 - _CHUNK, -1, -_CHUNK):
        column, row = (x >> shift) & mask, (y >> shift) & mask
        entry = (state << (2 * _CHUNK)) | (column << _CHUNK) | row
        key = (key << (2 * _CHUNK)) | digits[entry]
        state = following[entry]
    keys: npt.NDArray[np.int64] = np.where(known, key, np.int64(missing))
    return keys


def _level(degrees: npt.NDArray[np.float64], span: int) -> npt.NDArray[np.int64]:
    scaled = (degrees + span / 2) * (2**_LEVEL / span)
    level: npt.NDArray[np.int64] = np.clip(scaled, 0, 2**_LEVEL - 1).astype(np.int64)
    return level


@cache
def _table(bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the curve's digits and next state for each (state, x bits, y bits)."""
    entry = np.arange(_STATES << (2 * bits), dtype=np.int64)
    y, x = entry & ((1 << bits) - 1), (entry >> bits) & ((1 << bits) - 1)
    swapped, complemented = (entry >> (2 * bits)) & 1, entry >> (2 * bits + 1)
    digits = np.zeros_like(entry)
    for bit in range(bits - 1, -1, -1):
        xb, yb = (x >> bit & 1) ^ complemented, (y >> bit & 1) ^ complemented
        right, upper = np.where(swapped, yb, xb), np.where(swapped, xb, yb)
        digits = (digits << 2) | ((3 * right) ^ upper)
        complemented = complemented ^ (right & (1 - upper))
        swapped = swapped ^ (1 - upper)
    return digits, swapped | (complemented << 1)


def equal_area_cell(
    lon: npt.ArrayLike, lat: npt.ArrayLike, *, block_km: float
) -> npt.NDArray[np.int64]:
    """Return which block of about equal area, near a square, each point lies in.

    Rows have the same height in latitude; each holds the whole number of blocks that comes
    nearest to the wanted area.

    Args:
        lon: Longitudes in degrees; any turn of the globe.
        lat: Latitudes in degrees, in [-90, 90], of the same shape.
        block_km: Edge of a block in kilometres, in [0.1, 10000].

    Returns:
        Block numbers of the same shape: the row from the south in the upper 32 bits, the column
        from 180° W in the lower.

    Raises:
        InvalidInputError: The edge is out of range, or a coordinate is not finite.

    References:
        Rossow and Garder (1984), J. Clim. Appl. Meteorol. 23, 341-345 (equal-area rows).
    """
    if not 0.1 <= block_km <= 10_000:  # noqa: PLR2004 — the range is in the docstring
        raise InvalidInputError(
            f"block_km={block_km} is outside [0.1, 10000]", hint="give the edge in kilometres"
        )
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and (np.abs(lat) <= 90).all()):  # noqa: PLR2004 — degrees
        raise InvalidInputError(
            "a coordinate is not finite, or a latitude is off the globe",
            hint="leave out samples without a place before making blocks",
        )
    rows = max(1, round(np.pi * _AUTHALIC_KM / block_km))
    row = np.minimum(((lat + 90) / 180 * rows).astype(np.int64), rows - 1)
    south, north = (np.radians(edge / rows * 180 - 90) for edge in (row, row + 1))
    band_km2 = 2 * np.pi * _AUTHALIC_KM**2 * (np.sin(north) - np.sin(south))
    columns = np.maximum(1, np.rint(band_km2 / block_km**2)).astype(np.int64)
    turn = np.mod(lon + 180, 360) / 360
    column = np.minimum((turn * columns).astype(np.int64), columns - 1)
    return np.asarray((row << 32) | column)


def area_m2(geometry: BaseGeometry) -> float:
    """Return the area of a geometry in OGC:CRS84 on the ellipsoid.

    Args:
        geometry: Longitude and latitude in degrees.

    Returns:
        Square metres on WGS 84, never negative; 0 for points and lines.

    References:
        Karney (2013), J. Geodesy 87, 43-55.

    Examples:
        >>> from shapely import box
        >>> round(area_m2(box(0, 0, 1, 1)) / 1e6)
        12309
    """
    wound = shapely.orient_polygons(geometry)  # else parts wound differently cancel out
    return abs(float(_ellipsoid().geometry_area_perimeter(wound)[0]))


@cache
def _ellipsoid() -> Geod:
    return Geod(ellps="WGS84")
