"""One pass over the batches of an epoch: threads fill buffers ahead of whoever reads them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from registry.errors import ConflictError, CorruptError, RegistryError
from registry.learn.loading.buffers import Ring
from registry.learn.loading.ending import ended_at_exit
from registry.learn.loading.filling import CorruptChipError, Desk, Filler

__all__ = ["Filled", "Run", "Skipped"]

_KEPT: Final = 2  # batches that stay whole: the one that is read, and the one before it
_TRIES: Final = 16  # samples that are tried in place of one that cannot be read

Numbers = npt.NDArray[np.int64]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A sample that could not be read, and the one that took its place."""

    sample: str
    """Its id."""

    problem: str
    """Which of its assets, and why."""

    instead: str
    """Id of the sample in its place."""

    epoch: int
    """In which pass."""

    step: int
    """In which batch of it."""


@dataclass(slots=True, kw_only=True)
class Filled:
    """A batch whose buffers are being filled, or are."""

    samples: Numbers
    """Numbers of its samples; another number where one was replaced."""

    begins: Numbers
    """Where the crop of each begins, ``(sample, 2)``."""

    buffers: dict[str, npt.NDArray[Any]]
    """By asset; may be longer than the batch."""

    left: int
    """Samples that are not yet filled."""

    problems: dict[int, tuple[int, str]] = field(default_factory=dict)
    """By place: the number of a sample that was replaced, and why."""

    errors: dict[int, RegistryError] = field(default_factory=dict)
    """By place: what stops the stream."""


class _Handover:
    """Ends a thread by giving its error, whatever it is, to whoever reads what it makes."""

    def __init__(self, give: Callable[[BaseException], None]) -> None:
        self._give = give

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self._give(error)
        return True


class Run:
    """Threads and buffers of one pass; ends when it is closed."""

    def __init__(
        self,
        filler: Filler,
        batches: Callable[[int], Numbers],
        *,
        first: int,
        last: int,
        epoch: int,
        ring: Ring,
        threads: int,
        replace: Callable[[int, int], int] | None,
    ) -> None:
        self._filler = filler
        self._batches = batches
        self._last = last
        self._epoch = epoch
        self._ring = ring
        self._replace = replace
        self._lock = threading.Condition()
        self._claimed = (first, 0)
        self._room = first + ring.slots  # batches before this one may be begun
        self._open: dict[int, Filled] = {}
        self._failure: BaseException | None = None
        self._closed = False
        self._desks = [Desk() for _ in range(max(1, threads))]
        self._chunk = 1
        self._threads = [
            threading.Thread(target=self._work, args=(desk,), name="eolab-stream", daemon=True)
            for desk in self._desks[:threads]
        ]
        self._parts = 2 * max(1, threads)
        for thread in self._threads:
            thread.start()
        ended_at_exit(self)

    @property
    def read(self) -> int:
        """Bytes of payloads that were read so far."""
        return sum(desk.read for desk in self._desks)

    def batches(self, first: int, make: Callable[[int, Filled], Made]) -> Iterator[Made]:
        """Yield what is made of each batch, which stays whole until the second next is asked for.

        Args:
            first: The first batch's step.
            make: Makes it of a batch's step and buffers.

        Raises:
            CorruptChipError: A chip cannot be read, and nothing may take its place.
            ConflictError: It was closed while a batch was waited for.
        """
        for step in range(first, self._last):
            ready = self._is_filled(step)
            if not ready:
                self._release(step)
            filled = self._wait(step) if self._threads else self._fill_here(step)
            if filled.errors:
                raise filled.errors[min(filled.errors)]
            made = make(step, filled)
            if ready:  # not before: threads that begin at once would fight it for the interpreter
                self._release(step)
            yield made

    def stop(self) -> None:
        """Begin nothing more."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def close(self) -> None:
        """End the threads; waits for what each is reading. Who waits for a batch meets an error."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def _release(self, step: int) -> None:
        with self._lock:
            self._open.pop(step - _KEPT, None)
            self._room = step + self._ring.slots - _KEPT + 1
            self._lock.notify_all()

    def _is_filled(self, step: int) -> bool:
        with self._lock:
            found = self._open.get(step)
            return found is not None and not found.left

    def _wait(self, step: int) -> Filled:
        with self._lock:
            while True:
                if self._failure is not None:
                    raise self._failure
                found = self._open.get(step)
                if found is not None and not found.left:
                    return found
                if self._closed:
                    raise _ended(step)
                self._lock.wait()

    def _fill_here(self, step: int) -> Filled:
        filled = self._begin(step)
        if not self._fill(filled, 0, len(filled.samples), self._desks[0]):
            raise _ended(step)
        return filled

    def _begin(self, step: int) -> Filled:
        samples = self._batches(step).copy()
        return Filled(
            samples=samples,
            begins=np.zeros((len(samples), 2), np.int64),
            buffers=self._ring.of(step),
            left=len(samples),
        )

    def _work(self, desk: Desk) -> None:
        with _Handover(self._fail):
            while (task := self._claim()) is not None:
                filled, low, high = task
                if not self._fill(filled, low, high, desk):
                    return
                with self._lock:
                    filled.left -= high - low
                    if not filled.left:
                        self._lock.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = error
            self._lock.notify_all()

    def _claim(self) -> tuple[Filled, int, int] | None:
        with self._lock:
            while True:
                step, low = self._claimed
                if self._closed or step >= self._last:
                    return None
                if low or step < self._room:
                    break
                self._lock.wait()
            filled = self._open.get(step)
            if filled is None:
                filled = self._open[step] = self._begin(step)
            count = len(filled.samples)
            high = min(count, low + max(1, -(-count // self._parts)))
            self._claimed = (step, high) if high < count else (step + 1, 0)
            return filled, low, high

    def _fill(self, filled: Filled, low: int, high: int, desk: Desk) -> bool:
        for at in range(low, high):
            if self._closed:
                return False  # an unfilled batch must not count as ready
            sample = int(filled.samples[at])
            try:
                filled.begins[at] = self._filler.fill(
                    filled.buffers, at, sample, epoch=self._epoch, desk=desk
                )
            except CorruptChipError as error:
                self._fill_instead(filled, at, error, desk)
            except RegistryError as error:
                filled.errors[at] = error
        return True

    def _fill_instead(self, filled: Filled, at: int, error: CorruptChipError, desk: Desk) -> None:
        """Put another sample in a place; which one depends on the sample and the epoch alone."""
        broken = int(filled.samples[at])
        if self._replace is None:
            filled.errors[at] = error
            return
        filled.problems[at] = (broken, error.problem)
        for attempt in range(_TRIES):
            other = self._replace(broken, attempt)
            try:
                filled.begins[at] = self._filler.fill(
                    filled.buffers, at, other, epoch=self._epoch, desk=desk
                )
            except CorruptChipError:
                continue
            filled.samples[at] = other
            return
        filled.errors[at] = CorruptError(
            f"{error.problem}; nor could {_TRIES} others that were to take its place",
            hint="run eolab fsck: more than single chips are damaged",
        )


def _ended(step: int) -> ConflictError:
    return ConflictError(
        f"the stream was closed while its batch {step} was waited for",
        hint="iterate over the stream again",
    )
