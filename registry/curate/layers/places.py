"""Points as arrays of degrees, brought to one form before anything is looked up."""

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError

__all__ = ["Floats", "cell_of", "degrees", "earth_centred", "row_areas_km2"]

Floats = npt.NDArray[np.float64]

_EQUATORIAL_KM = 6378.137
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_2 = _FLATTENING * (2 - _FLATTENING)


def degrees(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return longitudes in [-180, 180) and latitudes; NaN where a point is nowhere.

    Args:
        lon: Longitudes in degrees, any turn of the globe; NaN where unknown.
        lat: Latitudes in degrees, of the same shape.

    Returns:
        Both, one dimension; both NaN where either is not finite or the latitude is off the globe.

    Raises:
        InvalidInputError: There are not as many of the one as of the other.
    """
    x, y = np.atleast_1d(np.asarray(lon, np.float64)), np.atleast_1d(np.asarray(lat, np.float64))
    if x.shape != y.shape or x.ndim != 1:
        raise InvalidInputError(
            f"longitudes of shape {x.shape} and latitudes of shape {y.shape} make no points",
            hint="give two lists of one length",
        )
    with np.errstate(invalid="ignore"):
        there = np.isfinite(x) & (np.abs(y) <= 90)  # noqa: PLR2004 — degrees
        turned = np.where((x >= -180) & (x < 180), x, np.mod(x + 180, 360) - 180)  # noqa: PLR2004
    return np.where(there, turned, np.nan), np.where(there, y, np.nan)


def cell_of(
    lon: Floats, lat: Floats, *, rows: int, columns: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return which cell of a grid over the globe points lie in.

    Args:
        lon: From :func:`degrees`.
        lat: Likewise.
        rows: From 90° N down.
        columns: From 180° W on.

    Returns:
        ``row * columns + column``, 0 where a point is nowhere; and whether it is somewhere.
        A point on an edge belongs to the cell south or east of it.
    """
    there = ~np.isnan(lon)
    x, y = np.where(there, lon, 0.0), np.where(there, lat, 0.0)
    row = np.minimum(((90 - y) * (rows / 180)).astype(np.int64), rows - 1)
    column = np.minimum(((x + 180) * (columns / 360)).astype(np.int64), columns - 1)
    return row * columns + column, there


def row_areas_km2(rows: int, columns: int) -> Floats:
    """Return the area of one cell in each row of a grid over the globe, on WGS 84.

    Args:
        rows: Of equal height in latitude, from 90° N down.
        columns: Cells a row.

    Returns:
        Square kilometres, shape ``(rows,)``.

    References:
        Snyder (1987), USGS Professional Paper 1395, eq. 3-12 (authalic latitude).

    Examples:
        >>> round(float(row_areas_km2(180, 360).sum() * 360 / 1e6), 3)
        510.066
    """
    sine = np.sin(np.radians(90 - np.arange(rows + 1) * (180 / rows)))
    e = np.sqrt(_ECCENTRICITY_2)
    q = (1 - _ECCENTRICITY_2) * (sine / (1 - _ECCENTRICITY_2 * sine**2) + np.arctanh(e * sine) / e)
    return np.asarray(_EQUATORIAL_KM**2 * np.pi / columns * -np.diff(q))


def earth_centred(lon: Floats, lat: Floats) -> Floats:
    """Return points on WGS 84 as x, y, z from the Earth's centre.

    Straight lines between them are within 1e-5 of the geodesic's length up to 100 km, and order
    neighbours as it does.

    Args:
        lon: Degrees.
        lat: Degrees, geodetic.

    Returns:
        Kilometres, shape ``(n, 3)``.

    References:
        Snyder (1987), USGS Professional Paper 1395, eq. 4-20 (radius of the prime vertical).
    """
    x, y = np.radians(lon), np.radians(lat)
    radius = _EQUATORIAL_KM / np.sqrt(1 - _ECCENTRICITY_2 * np.sin(y) ** 2)
    return np.stack(
        [
            radius * np.cos(y) * np.cos(x),
            radius * np.cos(y) * np.sin(x),
            radius * (1 - _ECCENTRICITY_2) * np.sin(y),
        ],
        axis=-1,
    )
