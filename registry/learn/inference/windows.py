"""Any size of raster by windows that overlap, in memory that depends on its width alone.

Where windows overlap their answers are blended: the later one gains weight smoothly from the
overlap's beginning to its end. Each step is a weighted mean of two values, so weights add up to
one without a sum kept beside them, and answers that agree come out to the last bit.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError, RejectedError
from registry.learn.loading.ahead import ahead
from registry.progress import SILENT, Progress

__all__ = [
    "AnswerError", "Arrays", "Batch", "Floats", "Mask", "Net", "Plan", "Region", "Scene", "Strip",
    "batches", "sweep",
]  # fmt: skip

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Arrays = Mapping[str, npt.NDArray[np.generic]]
_Memory = dict[str, npt.NDArray[np.generic]]
Net = Callable[[Arrays], Mapping[str, Floats]]
"""Stored values by asset, ``(window, band, y, x)`` or ``(window, time, band, y, x)``, to answers by
head: ``(window, channel, y, x)``, or ``(window, channel)`` for one answer a window."""

_AHEAD: Final = 2
"""Batches that are read while the network has one."""

_IN_USE: Final = 2
"""Batches that are not: the network has one, and the answers to another are blended."""


class AnswerError(RejectedError):
    """A network gave what no map can be made of."""

    code = "unusable-answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a scene, in pixels."""

    top: int
    """First row."""

    left: int
    """First column."""

    height: int
    """Rows."""

    width: int
    """Columns."""


class Scene(Protocol):
    """What windows are cut from. Read by one thread at a time, not by the thread that made it."""

    @property
    def height(self) -> int:
        """Rows, at least 1."""
        ...

    @property
    def width(self) -> int:
        """Columns, at least 1."""
        ...

    def read(self, region: Region) -> tuple[Arrays, Mask]:
        """Return stored values of a region that lies within the scene, and what was observed.

        Args:
            region: Which part.

        Returns:
            By asset ``(band, y, x)`` or ``(time, band, y, x)``; and ``(y, x)``, false where a
            value is missing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where windows lie in a scene.

    Examples:
        >>> plan = Plan(height=100, width=250, window=128, overlap=32)
        >>> plan.rows, plan.columns
        ((0,), (0, 96, 122))
    """

    height: int
    """Rows of the scene, at least 1."""

    width: int
    """Columns of the scene, at least 1."""

    window: int
    """Rows and columns of a window; a scene that is smaller is mirrored at its edges."""

    overlap: int
    """Rows and columns that neighbours share, at least; less than ``window``."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InvalidInputError(
                f"the scene is {self.height} by {self.width} pixels", hint="give one that has some"
            )
        if self.window < 1 or not 0 <= self.overlap < self.window:
            raise InvalidInputError(
                f"windows of {self.window} pixels cannot overlap by {self.overlap}",
                hint="let them overlap by less than their size: "
                f"--window {max(self.window, 1)} --overlap {max(self.window, 1) // 4}",
            )

    @property
    def rows(self) -> tuple[int, ...]:
        """First row of each row of windows."""
        return _starts(self.height, self.window, self.overlap)

    @property
    def columns(self) -> tuple[int, ...]:
        """First column of each column of windows."""
        return _starts(self.width, self.window, self.overlap)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


def _starts(length: int, window: int, overlap: int) -> tuple[int, ...]:
    last = max(length - window, 0)
    step = window - overlap
    return (*range(0, last, step), last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Windows of one row, side by side."""

    top: int
    """First row of them all."""

    lefts: tuple[int, ...]
    """First column of each."""

    arrays: Arrays
    """By asset, windows first; only those of which something was observed. The memory is used again
    when the second batch after this one is asked for."""

    used: tuple[bool, ...]
    """Of which something was observed, one a window of ``lefts``."""

    region: Region
    """What they cover together."""

    observed: Mask
    """``(y, x)`` of the region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Rows of a map that no further window touches. Its arrays are the reader's to keep."""

    top: int
    """First row."""

    values: Mapping[str, Floats]
    """By head ``(channel, y, x)``; zeros where no window observed anything."""

    observed: Mask
    """``(y, x)``: where all inputs were observed."""


def batches(scene: Scene, plan: Plan, *, size: int = 8) -> Iterator[Batch]:
    """Return the windows of a scene, row by row, read ahead by a thread.

    Args:
        scene: What to read.
        plan: Where windows lie.
        size: Windows at a time, at least 1.

    Returns:
        Batches, those of a row of windows from left to right, rows from top to bottom.
    """
    return ahead(_batches(scene, plan, max(size, 1)), _AHEAD)


def _batches(scene: Scene, plan: Plan, size: int) -> Generator[Batch, None, None]:
    columns = plan.columns
    groups = [columns[n : n + size] for n in range(0, len(columns), size)]
    memory: Iterator[_Memory] = cycle([{} for _ in range(_AHEAD + _IN_USE)])
    for top in plan.rows:
        for lefts in groups:
            yield _read(scene, plan, top, lefts, next(memory))


def _read(scene: Scene, plan: Plan, top: int, lefts: tuple[int, ...], memory: _Memory) -> Batch:
    region = Region(
        top=top,
        left=lefts[0],
        height=min(plan.window, plan.height - top),
        width=min(lefts[-1] + plan.window, plan.width) - lefts[0],
    )
    arrays, observed = scene.read(region)
    spans = [slice(left - lefts[0], left - lefts[0] + plan.window) for left in lefts]
    used = tuple(bool(observed[:, span].any()) for span in spans)
    seen = [span for span, one in zip(spans, used, strict=True) if one]
    cut = {
        asset: _stacked(array, seen, plan.window, memory, asset) for asset, array in arrays.items()
    }
    return Batch(top=top, lefts=lefts, arrays=cut, used=used, region=region, observed=observed)


def _stacked(
    array: npt.NDArray[np.generic], spans: list[slice], window: int, memory: _Memory, asset: str
) -> npt.NDArray[np.generic]:
    *outer, height, width = array.shape
    if height < window or width < window:
        below, beside = window - height, max(window - width, 0)
        edges = [(0, 0)] * len(outer) + [(0, below), (0, beside)]
        array = np.pad(array, edges, mode="symmetric")
    shape = (len(spans), *outer, window, window)
    held = memory.get(asset)
    if held is None or held.dtype != array.dtype or held[: len(spans)].shape != shape:
        held = memory[asset] = np.empty(shape, array.dtype)  # fresh memory is slow to write to
    made = held[: len(spans)]
    for n, span in enumerate(spans):
        made[n] = array[..., span]
    return made


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
        AnswerError: It is missing, misshapen, or no number.
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
    if not np.isfinite(answer).all():
        raise AnswerError(
            f"'{head}' answers what is no number in the windows at row {batch.top}, columns "
            f"{batch.lefts[0]} to {batch.region.left + batch.region.width}",
            hint="look at the scene's values there, and whether its nodata value is declared",
        )
    return answer


@dataclass(slots=True, kw_only=True)
class _Canvas:
    """The row of windows that is being answered, and what the one before leaves of it."""

    plan: Plan
    channels: Mapping[str, int]
    row: dict[str, Floats] = field(init=False)
    seen: Mask = field(init=False)
    carried: dict[str, Floats] = field(default_factory=dict)
    done: int = 0  # columns of the row that are written

    def __post_init__(self) -> None:
        window, width = self.plan.window, max(self.plan.width, self.plan.window)
        self.row = {
            head: np.zeros((count, window, width), np.float32)
            for head, count in self.channels.items()
        }
        self.seen = np.zeros((window, width), np.bool_)

    def put(self, batch: Batch, answers: Mapping[str, Floats]) -> None:
        """Blend a batch into the row, from the left."""
        if batch.lefts[0] == 0:
            self.done = 0
        region = batch.region
        self.seen[: region.height, region.left : region.left + region.width] = batch.observed
        place = 0
        for left, used in zip(batch.lefts, batch.used, strict=True):
            shared = max(self.done - left, 0)
            for head, row in self.row.items():
                one = answers[head][place] if used else np.zeros((1, 1, 1), np.float32)
                self._lay(row[:, :, left : left + self.plan.window], one, shared)
            place += used
            self.done = left + self.plan.window

    def _lay(self, into: Floats, fresh: Floats, shared: int) -> None:
        if fresh.shape[1:] == (1, 1):
            fresh = np.broadcast_to(fresh, into.shape)
        if shared:
            zone = into[:, :, :shared]
            zone += (fresh[:, :, :shared] - zone) * _ramp(shared)
        into[:, :, shared:] = fresh[:, :, shared:]

    def finish(self, top: int, until: int) -> Strip:
        """Blend the row with the one above.

        Returns:
            The rows that are whole.
        """
        height = until - top
        width = self.plan.width
        values: dict[str, Floats] = {}
        for head, row in self.row.items():
            above = self.carried.get(head)
            if above is not None and above.shape[1]:
                zone = row[:, : above.shape[1]]
                for one, other in zip(zone, above, strict=True):  # channel by channel: less memory
                    one[...] = other + (one - other) * _ramp(above.shape[1])[:, None]
            values[head] = row[:, :height, :width].copy()
            self.carried[head] = row[:, height:].copy()
        return Strip(top=top, values=values, observed=self.seen[:height, :width].copy())


def _ramp(length: int) -> Floats:
    """Return weights that rise smoothly from 0 to 1, neither reached.

    Those of two neighbours add up to 1: the cosine's window of von Hann.
    """
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
