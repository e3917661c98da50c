"""Spans of time, as people write them and as STAC means them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from registry.errors import InvalidInputError

__all__ = ["Interval", "parse_interval"]

_INSTANT = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?P<month>\d{2})"
    r"(?:-(?P<day>\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?)?)?)?",
    re.ASCII,
)
_LAST = timedelta(microseconds=1)
_HINT = "write 2017, 2017-06, 2017-06-01, 2017-06-01T10:30:00Z, or START/END with .. for open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A span of time in UTC, both ends included, either of them open.

    Raises:
        InvalidInputError: Both ends are open, one has no time zone, or they are reversed.
    """

    start: datetime | None
    """First microsecond, in UTC; None where the span has no beginning."""

    end: datetime | None
    """Last microsecond, in UTC; None where the span has no end."""

    def __post_init__(self) -> None:
        if self.start is None and self.end is None:
            raise InvalidInputError("an interval open at both ends says nothing", hint=_HINT)
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and value.utcoffset() != timedelta():
                raise InvalidInputError(
                    f"{name}={value.isoformat()} is not in UTC",
                    hint="convert it: value.astimezone(datetime.UTC)",
                )
        if self.start is not None and self.end is not None and self.start > self.end:
            raise InvalidInputError(
                f"the interval ends at {self.end.isoformat()}, before it starts"
                f" at {self.start.isoformat()}",
                hint="swap start and end",
            )

    @property
    def middle(self) -> datetime:
        """The instant halfway, or the end there is."""
        if self.start is None or self.end is None:
            return self.start or self.end or datetime.max.replace(tzinfo=UTC)
        return self.start + (self.end - self.start) / 2

    def covers(self, moment: datetime) -> bool:
        """Return whether a moment lies inside, ends included."""
        after = self.start is None or moment >= self.start
        return after and (self.end is None or moment <= self.end)

    def __str__(self) -> str:
        ends = (".." if end is None else _iso(end) for end in (self.start, self.end))
        return "/".join(ends)


def parse_interval(text: str) -> Interval:
    """Read a span of time as a person or a STAC search writes it.

    What is said coarsely is meant whole: ``2017`` lasts until the last microsecond of the year.

    Args:
        text: One instant or ``START/END``, each a year, month, day or time; ``..`` or nothing for
            an open end. Times without a zone are UTC.

    Returns:
        The span, both ends included.

    Raises:
        InvalidInputError: The text is no such thing, or ends before it starts.

    References:
        RFC 3339 §5.6; OGC API Features 17-069r4 §7.15.3, for ``..``.

    Examples:
        >>> str(parse_interval("2015/2017"))
        '2015-01-01T00:00:00Z/2017-12-31T23:59:59.999999Z'
        >>> str(parse_interval("2015-06-01T10:30Z/.."))
        '2015-06-01T10:30:00Z/..'
    """
    first, slash, last = text.strip().partition("/")
    start = _span(first, text)[0]
    end = _span(last if slash else first, text)[1]
    return Interval(start=start, end=end)


def _span(text: str, whole: str) -> tuple[datetime | None, datetime | None]:
    said = text.strip()
    if said in ("", "..") and whole.strip() not in ("", ".."):
        return None, None
    match = _INSTANT.fullmatch(said)
    if match is None:
        raise InvalidInputError(f"{whole!r} is no time or interval", hint=_HINT)
    try:
        return _first_and_last(match)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{whole!r} is no time: {error}", hint=_HINT) from error


def _first_and_last(match: re.Match[str]) -> tuple[datetime, datetime]:
    said = match.groupdict()
    year, month, day = int(said["year"]), int(said["month"] or 1), int(said["day"] or 1)
    first = datetime(year, month, day, tzinfo=UTC)
    if said["month"] is None:
        return first, datetime(year, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    if said["day"] is None:
        following = (first + timedelta(days=31)).replace(day=1)
        return first, following - _LAST
    if said["hour"] is None:
        return first, first + (timedelta(days=1) - _LAST)
    first = first.replace(hour=int(said["hour"]), minute=int(said["minute"])) - _offset(said)
    if said["second"] is None:
        return first, first + (timedelta(minutes=1) - _LAST)
    first = first.replace(second=int(said["second"]))
    if said["fraction"] is None:
        return first, first + (timedelta(seconds=1) - _LAST)
    first = first.replace(microsecond=int(said["fraction"].ljust(6, "0")[:6]))
    return first, first


def _offset(said: dict[str, str | None]) -> timedelta:
    zone = said["zone"]
    if zone is None or zone in "Zz":
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat() + "Z"
