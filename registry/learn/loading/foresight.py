"""Bytes brought near before they are needed: the pieces of the next window, in long reads."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from registry.errors import RegistryError
from registry.learn.loading.ending import ended_at_exit
from registry.learn.loading.places import Places
from registry.learn.loading.plan import Plan
from registry.learn.loading.reading import Reader

__all__ = ["Foresight", "Span", "spans_of"]

_WORTH: Final = 0.25  # share of a stretch that must be wanted, for it to be read as a whole

_FETCHERS: Final = 8  # most of the time they wait for the lake

Numbers = npt.NDArray[np.int64]

Task: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes that are read at once."""

    file: int
    """Which data file, by its place."""

    offset: int
    """The first byte."""

    length: int
    """How many."""


def spans_of(
    place: Places, samples: Numbers, pieces: Numbers, apart: Collection[int] = ()
) -> Iterator[Span]:
    """Yield what to read for some samples: whole pieces, or chip by chip where few are wanted.

    Args:
        place: Where the asset lies.
        samples: Numbers of the samples.
        pieces: Piece of every sample of the stream.
        apart: Files that are read chip by chip whatever is wanted.
    """
    stored = place.stored
    wanted = np.unique(samples[place.there[samples] & (stored.offset[samples] > 0)])
    if not len(wanted):
        return
    file, offset, length = (
        values[wanted].astype(np.int64) for values in (stored.file, stored.offset, stored.length)
    )
    order = np.lexsort((offset, file, pieces[wanted]))
    file, offset, length = file[order], offset[order], length[order]
    piece = pieces[wanted][order]
    first = np.flatnonzero((np.diff(piece, prepend=-1) != 0) | (np.diff(file, prepend=-1) != 0))
    ends = np.maximum.reduceat(offset + length, first)
    begins = offset[first]
    whole = np.add.reduceat(length, first) >= _WORTH * (ends - begins)
    lasts = np.append(first[1:], len(file))
    for at in range(len(first)):
        if whole[at] and file[first[at]] not in apart:
            yield Span(
                file=int(file[first[at]]),
                offset=int(begins[at]),
                length=int(ends[at] - begins[at]),
            )
            continue
        for one in range(first[at], lasts[at]):
            yield Span(file=int(file[one]), offset=int(offset[one]), length=int(length[one]))


class Foresight:
    """A thread that brings the window near that comes after the one that is read."""

    def __init__(
        self,
        reader: Reader,
        places: Mapping[str, Places],
        *,
        plan: Plan,
        order: Numbers,
        first: int,
    ) -> None:
        self._reader = reader
        self._places = places
        self._plan = plan
        self._order = order
        self._next = plan.window_at(first)
        self._wanted = self._next + 1
        self._closed = False
        self._lock = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="eolab-foresight", daemon=True)
        self._thread.start()
        ended_at_exit(self)

    def reach(self, step: int) -> None:
        """Say which batch is read now."""
        wanted = self._plan.window_at(step) + 1
        if wanted != self._wanted:
            with self._lock:
                self._wanted = wanted
                self._lock.notify_all()

    def stop(self) -> None:
        """Begin nothing more."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def close(self) -> None:
        """End the thread; waits for what it is reading."""
        self.stop()
        self._thread.join()

    def _work(self) -> None:
        while (window := self._claim()) is not None:
            samples = self._plan.of_window(self._order, window)
            for place in self._places.values():
                self._expect(spans_of(place, samples, self._plan.pieces, self._reader.apart))

    def _expect(self, spans: Iterable[Span]) -> None:
        wanted = list(spans)
        files = dict.fromkeys(span.file for span in wanted)
        away = [file for file in files if self._reader.is_away(file)]
        far = bool(away or self._reader.apart)
        self._do([partial(self._reader.bring, file) for file in away], _FETCHERS)
        self._do(
            [partial(self._reader.expect, span.file, span.offset, span.length) for span in wanted],
            _FETCHERS if far else 1,
        )

    def _do(self, tasks: Iterable[Task], at_once: int) -> None:
        # No pool: those of concurrent.futures end before close is called as the interpreter ends,
        # and do all that waits before they do.
        waiting = deque(tasks)
        others = [
            threading.Thread(target=self._drain, args=(waiting,), name="eolab-fetch", daemon=True)
            for _ in range(min(at_once, len(waiting)) - 1)
        ]
        for other in others:
            other.start()
        self._drain(waiting)
        for other in others:
            other.join()

    def _drain(self, waiting: deque[Task]) -> None:
        while not self._closed:
            try:
                task = waiting.popleft()
            except IndexError:
                return
            try:
                task()
            except (RegistryError, OSError, RuntimeError):
                # Whoever reads the same bytes meets the same error, and says it. A lake's own
                # pools raise RuntimeError as the interpreter ends.
                self._closed = True

    def _claim(self) -> int | None:
        with self._lock:
            while not self._closed and self._next < self._plan.windows:
                if self._next <= self._wanted:
                    self._next += 1
                    return self._next - 1
                self._lock.wait()
        return None
