"""Where the sun stands."""

import numpy as np
import numpy.typing as npt

from registry.curate.layers.places import Floats

__all__ = ["sun_position"]

_J2000_US = 946_728_000_000_000  # noon of 2000-01-01, UTC, since 1970
_CENTURY_US = 36_525 * 86_400_000_000
_DAY_US = 86_400_000_000


def sun_position(
    instant_us: npt.NDArray[np.int64], lon: Floats, lat: Floats
) -> tuple[Floats, Floats]:
    """Return how high the sun stands and in which direction, by NOAA's formulas.

    Good to 0.02 degrees from 1950 to 2050. The centre of the disc, seen from the Earth's centre:
    without refraction (0.5 degrees at the horizon, 0.02 at 45 degrees) and parallax (0.0024).

    Args:
        instant_us: Microseconds of UTC since 1970.
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        Elevation above the horizon in [-90, 90] and azimuth from north over east in [0, 360),
        degrees; NaN where the point is nowhere.

    References:
        NOAA Global Monitoring Laboratory, Solar Calculation Details, after Meeus (1998),
        Astronomical Algorithms, 2nd ed., ch. 25 and 28.

    Examples:
        >>> noon = np.array([953_553_600_000_000])  # 2000-03-20 12:00 UTC, the equinox's day
        >>> elevation, _ = sun_position(noon, np.array([0.0]), np.array([0.0]))
        >>> round(float(elevation[0]))
        88
    """
    century = (instant_us - _J2000_US) / _CENTURY_US
    declination, equation_of_time = _declination_and_equation(century)
    minutes = instant_us % _DAY_US / 60e6
    hour_angle = np.radians(np.mod(minutes + equation_of_time + 4 * lon, 1440) / 4 - 180)
    latitude = np.radians(lat)
    up = np.sin(latitude) * np.sin(declination) + (
        np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    )
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(latitude) * np.sin(declination) - (
        np.sin(latitude) * np.cos(declination) * np.cos(hour_angle)
    )
    azimuth = np.mod(np.degrees(np.arctan2(east, north)), 360)
    elevation = np.degrees(np.arcsin(np.clip(up, -1, 1)))
    return np.asarray(elevation), np.asarray(np.where(azimuth >= 360, 0.0, azimuth))  # noqa: PLR2004 — degrees


def _declination_and_equation(t: Floats) -> tuple[Floats, Floats]:
    """Return declination in radians and the equation of time in minutes, t centuries after 2000."""
    mean_longitude = np.mod(280.46646 + t * (36_000.76983 + t * 0.0003032), 360)
    anomaly = np.radians(357.52911 + t * (35_999.05029 - 0.0001537 * t))
    eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t)
    centre = (
        np.sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t))
        + np.sin(2 * anomaly) * (0.019993 - 0.000101 * t)
        + np.sin(3 * anomaly) * 0.000289
    )
    node = np.radians(125.04 - 1934.136 * t)
    apparent = np.radians(mean_longitude + centre - 0.00569 - 0.00478 * np.sin(node))
    mean_obliquity = 23 + (26 + (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) / 60) / 60
    obliquity = np.radians(mean_obliquity + 0.00256 * np.cos(node))
    declination = np.arcsin(np.sin(obliquity) * np.sin(apparent))
    y = np.tan(obliquity / 2) ** 2
    longitude = np.radians(mean_longitude)
    equation = 4 * np.degrees(
        y * np.sin(2 * longitude)
        - 2 * eccentricity * np.sin(anomaly)
        + 4 * eccentricity * y * np.sin(anomaly) * np.cos(2 * longitude)
        - 0.5 * y**2 * np.sin(4 * longitude)
        - 1.25 * eccentricity**2 * np.sin(2 * anomaly)
    )
    return declination, equation
