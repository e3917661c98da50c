"""When data were acquired, as exactly as a source says it and no more."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Acquired"]


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
