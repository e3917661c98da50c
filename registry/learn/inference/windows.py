"""Any size of raster by windows that overlap, in memory that depends on its width alone."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError, RejectedError
from registry.learn.loading.ahead import ahead

__all__ = [
    "AnswerError", "Arrays", "Batch", "Floats", "Mask", "Net", "Plan", "Region", "Scene", "batches",
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
