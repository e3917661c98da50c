"""When samples were taken: year, month, season, and the hour by the sun."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers.places import Floats

__all__ = [
    "HOURS",
    "MONTHS",
    "NEVER",
    "SEASONS",
    "Times",
    "instants_of",
    "seasons_of",
    "solar_hours",
    "spans_of",
    "times_of",
]

MONTHS: Final = (*(f"{month:02d}" for month in range(1, 13)), "several")
"""Of the calendar; several where a sample's interval has more than one."""

SEASONS: Final = ("winter", "spring", "summer", "autumn", "several")
"""December to February and so on in the north, half a year later in the south."""

HOURS: Final = tuple(f"{hour:02d}" for hour in range(24))
"""Of mean local solar time."""

SEVERAL: Final = 13
"""Month of what spans more than one."""

_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000
NEVER: Final = np.iinfo(np.int64).min
"""Instant of what has no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When samples were taken, as far as they say."""

    year: npt.NDArray[np.int64]
    """In UTC; 0 for several, -1 for unknown."""

    month: npt.NDArray[np.int64]
    """From 1, in UTC; 13 for several, 0 for unknown."""

    season_month: npt.NDArray[np.int64]
    """A month of the season that all of it has, from 1; 13 for several seasons, 0 for unknown."""

    hour: npt.NDArray[np.int64]
    """Of mean local solar time; -1 for unknown."""


def instants_of(samples: pa.Table, name: str = "datetime") -> npt.NDArray[np.int64]:
    """Return a column of times as microseconds of UTC since 1970; the smallest number where null.

    Args:
        samples: With or without the column; times without a zone are UTC.
        name: The column's.
    """
    if name not in samples.column_names or not pa.types.is_timestamp(samples[name].type):
        return np.full(samples.num_rows, NEVER)
    kind = samples[name].type
    times = pc.cast(samples[name], pa.timestamp("us", kind.tz), safe=False)
    return np.asarray(pc.fill_null(pc.cast(times, pa.int64()), NEVER).to_numpy())


def spans_of(
    samples: pa.Table,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the first and last instant of samples, and whether they say any.

    Args:
        samples: With ``datetime``, which comes first, or ``start_datetime`` and ``end_datetime``.

    Returns:
        Microseconds of UTC since 1970, 0 where unknown; and whether both are known and in order.
    """
    said = instants_of(samples)
    first, last = (
        np.where(said != NEVER, said, instants_of(samples, name))
        for name in ("start_datetime", "end_datetime")
    )
    known = (first != NEVER) & (first <= last)
    return np.where(known, first, 0), np.where(known, last, 0), known


def times_of(samples: pa.Table, lon: Floats) -> Times:
    """Return when samples were taken.

    Args:
        samples: With ``datetime``, or ``start_datetime`` and ``end_datetime``.
        lon: Of each, in degrees; NaN where unknown.

    Returns:
        An interval has the year, month, season and hour that all of it has; one that ends before
        it starts has none. A time of exactly midnight UTC
        is taken for a date, without an hour.
    """
    first, last, known = spans_of(samples)
    from_month, to_month = _months(first), _months(last)
    year, month = from_month // 12 + 1970, from_month % 12 + 1
    year = np.where(year == to_month // 12 + 1970, year, 0)
    same_season = (from_month + 1) // 3 == (to_month + 1) // 3  # each begins in December, March, …
    season_month = np.where(same_season, month, SEVERAL)
    month = np.where(from_month == to_month, month, SEVERAL)
    hour = solar_hours(first // 2 + last // 2, lon)
    timed = known & (last - first <= _HOUR_US) & (first % _DAY_US != 0) & ~np.isnan(hour)
    return Times(
        year=np.where(known, year, -1),
        month=np.where(known, month, 0),
        season_month=np.where(known, season_month, 0),
        hour=np.where(timed, np.where(timed, hour, 0).astype(np.int64), -1),
    )


def solar_hours(instant_us: npt.NDArray[np.int64], lon: Floats) -> Floats:
    """Return mean local solar time, in which a degree of longitude is four minutes.

    Args:
        instant_us: Microseconds of UTC since 1970.
        lon: Degrees; NaN where unknown.

    Returns:
        Hours in [0, 24); NaN where the longitude is.

    Examples:
        >>> float(solar_hours(np.array([0]), np.array([-30.0]))[0])
        22.0
    """
    hours = np.mod(instant_us % _DAY_US / _HOUR_US + lon / 15, 24)
    return np.asarray(np.where(hours >= 24, 0.0, hours))  # noqa: PLR2004 — a rounded remainder


def seasons_of(month: npt.NDArray[Any], lat: Floats) -> npt.NDArray[np.int64]:
    """Return the meteorological season of months; the equator has the northern one.

    Args:
        month: From 1; 13 for several, 0 for unknown.
        lat: Degrees; NaN where unknown.

    Returns:
        Places in :data:`SEASONS`; -1 where unknown.
    """
    season = np.mod(month % 12 // 3 + np.where(lat < 0, 2, 0), 4)
    season = np.where(month == SEVERAL, SEASONS.index("several"), season)
    return np.where((month == 0) | np.isnan(lat), -1, season)


def _months(instant_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return instant_us.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)
