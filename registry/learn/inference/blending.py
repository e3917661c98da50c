"""A network's answers over a raster of any size, blended where its windows overlap.

The later of two windows gains weight smoothly from the overlap's beginning to its end. Each step is
a weighted mean of two values, so weights add up to one without a sum kept beside them, and answers
that agree come out to the last bit.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from registry.learn.inference.windows import (
    AnswerError,
    Batch,
    Floats,
    Mask,
    Net,
    Plan,
    Scene,
    batches,
)
from registry.progress import SILENT, Progress

__all__ = ["Strip", "sweep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Rows of a map that no further window touches. Its arrays are the reader's to keep."""

    top: int
    """First row."""

    values: Mapping[str, Floats]
    """By head ``(channel, y, x)``; zeros where no window observed anything."""

    observed: Mask
    """``(y, x)``: where all inputs were observed."""


def sweep(
    scene: Scene,
    net: Net,
    plan: Plan,
    *,
    channels: Mapping[str, int],
    batch_size: int = 8,
    progress: Progress = SILENT,
) -> Iterator[Strip]:
    """Yield a network's answers over a scene, blended where windows overlap, from top to bottom.

    Memory is that of two rows of windows of answers and of a few batches, whatever the height. What
    the network gives may be what it was given, but not memory that it uses again.

    Args:
        scene: What to read.
        net: What answers.
        plan: Where windows lie.
        channels: Of how many channels the answer of each head is.
        batch_size: Windows at a time, at least 1.
        progress: Told of windows.

    Yields:
        Strips; together they are the scene.

    Raises:
        AnswerError: An answer lacks a head, has another shape, or is no number.
    """
    progress.stage("predicting", total=len(plan), unit="windows")
    canvas = _Canvas(plan=plan, channels=channels)
    rows = plan.rows
    following = dict(zip(rows, (*rows[1:], plan.height), strict=True))
    with ThreadPoolExecutor(1, thread_name_prefix="eolab-blend") as blending:
        before: Future[Strip | None] | None = None
        for batch in batches(scene, plan, size=batch_size):
            answers = net(batch.arrays) if any(batch.used) else {}
            strip = before.result() if before else None
            # blended while the network answers the next batch
            before = blending.submit(_blended, canvas, batch, answers, following[batch.top])
            progress.advance(len(batch.lefts))
            if strip:
                yield strip
        if before and (strip := before.result()):
            yield strip


def _blended(
    canvas: "_Canvas", batch: Batch, answers: Mapping[str, Floats], until: int
) -> Strip | None:
    """Return the rows that are whole, if the batch is the last of a row of windows."""
    canvas.put(
        batch,
        {head: _checked(answers, head, count, batch) for head, count in canvas.channels.items()},
    )
    last = batch.region.left + batch.region.width == canvas.plan.width
    return canvas.finish(batch.top, until) if last else None


def _checked(answers: Mapping[str, Floats], head: str, channels: int, batch: Batch) -> Floats:
    """Return what a head answers.

    Raises:
        AnswerError: It is missing or misshapen.
    """
    used = sum(batch.used)
    if not used:
        return np.zeros((0, channels, 1, 1), np.float32)
    if head not in answers:
        raise AnswerError(
            f"the network gives no '{head}', only {', '.join(answers) or 'nothing'}",
            hint="name one of its heads by --head",
        )
    answer = np.asarray(answers[head], np.float32)
    if answer.ndim == 2:  # noqa: PLR2004 — one answer a window holds for all of its pixels
        answer = answer[:, :, None, None]
    window = next(iter(batch.arrays.values())).shape[-1]
    if answer.shape[:2] != (used, channels) or {*answer.shape[2:]} - {1, window}:
        raise AnswerError(
            f"'{head}' answers in shape {answer.shape} to {used} windows of {window} pixels with "
            f"{channels} channels",
            hint="take a window that the network keeps the size of, such as --window 256",
        )
    return answer


def _check_finite(answer: Floats, head: str, top: int, left: int) -> None:
    """Refuse what a head answers of a window.

    Raises:
        AnswerError: It is no number.
    """
    if not np.isfinite(answer).all():
        raise AnswerError(
            f"'{head}' answers what is no number in the window at row {top}, column {left}",
            hint="look at the scene's values there, and whether its nodata value is declared",
        )


@dataclass(slots=True, kw_only=True)
class _Canvas:
    """The row of windows that is being answered, and what the one before leaves of it."""

    plan: Plan
    channels: Mapping[str, int]
    row: dict[str, Floats] = field(default_factory=dict)
    seen: Mask = field(init=False)
    carried: dict[str, Floats] = field(default_factory=dict)
    done: int = 0  # columns of the row that are written

    def put(self, batch: Batch, answers: Mapping[str, Floats]) -> None:
        """Blend a batch into the row, from the left."""
        if batch.lefts[0] == 0:
            self._begin()
        region = batch.region
        self.seen[: region.height, region.left : region.left + region.width] = batch.observed
        place = 0
        for left, used in zip(batch.lefts, batch.used, strict=True):
            shared = max(self.done - left, 0)
            for head, row in self.row.items():
                one = answers[head][place] if used else np.zeros((1, 1, 1), np.float32)
                _check_finite(one, head, batch.top, left)
                _lay(row[:, :, left : left + self.plan.window], one, shared)
            place += used
            self.done = left + self.plan.window

    def _begin(self) -> None:
        # Memory of its own: most of it is given away in a strip, which costs less than a copy.
        window, width = self.plan.window, max(self.plan.width, self.plan.window)
        for head, count in self.channels.items():
            self.row[head] = np.empty((count, window, width), np.float32)
        self.seen = np.zeros((window, width), np.bool_)
        self.done = 0

    def finish(self, top: int, until: int) -> Strip:
        """Blend the row with the one above.

        Returns:
            The rows that are whole.
        """
        whole = np.s_[..., : until - top, : self.plan.width]
        for head, row in self.row.items():
            above = self.carried.get(head)
            if above is not None and above.shape[1]:
                ramp = _ramp(above.shape[1])[:, None]
                for one, other in zip(row, above, strict=True):  # channel by channel: less memory
                    zone = one[: len(other)]
                    _blend(other, zone, ramp, into=zone)
            self.carried[head] = row[:, until - top :]
        values = {head: row[whole] for head, row in self.row.items()}
        return Strip(top=top, values=values, observed=self.seen[whole])


def _lay(into: Floats, fresh: Floats, shared: int) -> None:
    if fresh.shape[1:] == (1, 1):
        fresh = np.broadcast_to(fresh, into.shape)
    if shared:
        zone = into[:, :, :shared]
        _blend(zone, fresh[:, :, :shared], _ramp(shared), into=zone)
    into[:, :, shared:] = fresh[:, :, shared:]


def _blend(old: Floats, new: Floats, weight: Floats, *, into: Floats) -> None:
    apart = new - old
    apart *= weight
    np.add(old, apart, out=into)


def _ramp(length: int) -> Floats:
    """Return weights that rise smoothly from 0 to 1, neither reached.

    Those of two neighbours add up to 1: the cosine's window of von Hann.
    """
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
