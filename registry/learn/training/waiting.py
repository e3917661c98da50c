"""How much of a run's time goes by waiting for data."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

__all__ = ["Waiting", "advice"]

_MUCH: Final = 0.1  # of the time
_LONG: Final = 30.0  # seconds that somebody would notice

Item = TypeVar("Item")


@dataclass(slots=True, kw_only=True)  # it runs, so not frozen
class Waiting:
    """What an epoch's time went by in.

    An accelerator may still compute the last step while the next batch is waited for, so this is
    the most that it can have gone hungry.
    """

    waited: float = 0.0
    """Seconds until batches came."""

    worked: float = 0.0
    """Seconds between a batch's coming and asking for the next."""

    clock: Callable[[], float] = time.perf_counter
    """What time it is, in seconds."""

    @property
    def share(self) -> float:
        """How much of the time was spent waiting, in [0, 1]; 0 where no time went by."""
        return self.waited / max(self.waited + self.worked, 1e-9)

    def watched(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield what comes, and note how long it took.

        Args:
            items: Such as batches.

        Examples:
            >>> ticks = iter([0, 1, 4, 6, 6, 6])
            >>> waiting = Waiting(clock=lambda: next(ticks))
            >>> [*waiting.watched("ab")]
            ['a', 'b']
            >>> waiting.waited, waiting.worked
            (3.0, 3.0)
        """
        asked = self.clock()
        for item in items:
            came = self.clock()
            self.waited += came - asked
            try:
                yield item
            finally:  # whoever has enough leaves from here
                asked = self.clock()
                self.worked += asked - came


def advice(epochs: Sequence[Waiting], *, threads: int) -> str | None:
    """Return what to do about waiting; None where there was little.

    Args:
        epochs: Of one run.
        threads: How many decode.

    Examples:
        >>> advice([Waiting(waited=60, worked=60)], threads=2)
        'it waited for data 50 % of the time: set data.threads above 2, or bring the lake nearer'
    """
    waited = sum(one.waited for one in epochs)
    share = waited / max(waited + sum(one.worked for one in epochs), 1e-9)
    if waited < _LONG or share < _MUCH:
        return None
    return (
        f"it waited for data {100 * share:.0f} % of the time: set data.threads above {threads}, "
        "or bring the lake nearer"
    )
