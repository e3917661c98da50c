"""When data were acquired, as exactly as a source says it and no more."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["Acquired", "acquired_in"]

_TICK: Final = timedelta(microseconds=1)
_YEARS: Final = range(1850, 2200)  # from the first photographs; other numbers are no years


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """An instant, or the span that a coarser statement leaves open."""

    start: datetime
    """First microsecond, UTC."""

    end: datetime
    """Last microsecond, UTC; equal to the start for an instant."""

    def columns(self) -> dict[str, object]:
        """Return it as columns of a sample: an instant, or a start and an end as in STAC."""
        if self.start == self.end:
            return {"datetime": self.start}
        return {"start_datetime": self.start, "end_datetime": self.end}


def acquired_in(fields: Mapping[str, int]) -> Acquired | None:
    """Return the span that known calendar fields leave open; None if there is no such date.

    Args:
        fields: ``year``, and as far as known ``month`` and ``day`` or ``doy``, ``hour``,
            ``minute``, ``second``, UTC.

    Examples:
        >>> acquired_in({"year": 2024, "month": 2}).end.isoformat()
        '2024-02-29T23:59:59.999999+00:00'
    """
    year, month = fields.get("year", 0), fields.get("month")
    if year not in _YEARS:
        return None
    try:
        if "doy" in fields:
            start = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=fields["doy"] - 1)
            if start.year != year:
                return None
        else:
            start = datetime(year, month or 1, fields.get("day") or 1, tzinfo=UTC)
        if "hour" in fields:
            start = start.replace(
                hour=fields["hour"],
                minute=fields.get("minute", 0),
                second=fields.get("second", 0),
            )
    except ValueError:  # month 13, 31 April: not a date at all
        return None
    return Acquired(start=start, end=start + _open(fields, start))


def _open(fields: Mapping[str, int], start: datetime) -> timedelta:
    if "second" in fields:
        return timedelta(0)
    if "minute" in fields:
        return timedelta(minutes=1) - _TICK
    if "hour" in fields:
        return timedelta(hours=1) - _TICK
    if "day" in fields or "doy" in fields:
        return timedelta(days=1) - _TICK
    if "month" in fields:
        return timedelta(days=monthrange(start.year, start.month)[1]) - _TICK
    return start.replace(year=start.year + 1) - start - _TICK
