"""Cutting, flipping and turning pictures, and the boxes on them alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Moves", "Turn", "quick", "turned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What happens to one sample: it is cut, then flipped, then turned anticlockwise."""

    corner: tuple[int, int] = (0, 0)
    """Row and column of the upper left pixel that stays."""

    down: bool = False
    """Whether up and down change places."""

    across: bool = False
    """Whether left and right do."""

    quarters: int = 0
    """Quarter turns, anticlockwise as seen on a picture whose rows run down, from 0 to 3."""

    def plane(
        self, array: npt.NDArray[Any], *, size: tuple[int, int] | None, step: tuple[int, int]
    ) -> npt.NDArray[Any]:
        """Return a view of an image, or a stack of images, after the turn.

        Args:
            array: Shape ``(…, y, x)``.
            size: Height and width to cut, in the array's own pixels; None for all of it.
            step: Rows and columns of the frame's pixels that one of the array's covers.

        Returns:
            Shape ``(…, y, x)``; with sides exchanged for an odd number of quarters.
        """
        if size is not None:
            row, column = self.corner[0] // step[0], self.corner[1] // step[1]
            array = array[..., row : row + size[0], column : column + size[1]]
        if self.down:
            array = array[..., ::-1, :]
        if self.across:
            array = array[..., ::-1]
        return np.rot90(array, self.quarters, axes=(-2, -1))

    def corners(
        self, boxes: npt.NDArray[np.float32], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Return boxes after the turn.

        Args:
            boxes: ``(objects, 4)``: x, y of the upper left, x, y of the lower right, in pixels.
            size: Height and width of what was cut.

        Returns:
            Likewise; beyond the picture where they were cut off.
        """
        row, column = self.corner
        x, y = boxes[:, ::2] - column, boxes[:, 1::2] - row
        height, width = size
        if self.down:
            y = height - y
        if self.across:
            x = width - x
        for _ in range(self.quarters):  # (x, y) goes to (y, width - x)
            x, y = y, width - x
            height, width = width, height
        found = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
        return np.asarray(found, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What happens to each sample of a batch: one turn for all images of it."""

    turns: tuple[Turn, ...]
    """One a sample."""

    frame: tuple[int, int]
    """Height and width after cutting, in pixels of the first input."""

    sizes: Mapping[str, tuple[int, int] | None]
    """By array, as for :meth:`Turn.plane`."""

    steps: Mapping[str, tuple[int, int]]
    """By array, as there."""

    def view(self, name: str, image: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
        """Return a view of one sample's image, or stack of images, after its turn."""
        return self.turns[number].plane(image, size=self.sizes[name], step=self.steps[name])

    def shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an image, or stack of images, after its turn."""
        return self.view(name, np.broadcast_to(np.False_, shape), 0).shape

    def turned(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the images of all samples after their turns, as an array of its own."""
        return turned(array, self.turns, size=self.sizes[name], step=self.steps[name])


def quick(view: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the same values without gaps, so that NumPy computes with them fast.

    Args:
        view: Shape ``(…, y, x)``.

    Examples:
        >>> quick(np.arange(4).reshape(2, 2)[:, ::-1]).tolist()
        [[1, 0], [3, 2]]
    """
    if view.strides[-1] == -view.itemsize and view.strides[-2] > 0:
        # Rows backwards are slow to copy one by one. A whole image backwards is a single run of
        # values, and its rows are put in order again as they are, forwards.
        upright = np.ascontiguousarray(view[..., ::-1])
        view = np.ascontiguousarray(upright[..., ::-1, ::-1])[..., ::-1, :]
    return np.ascontiguousarray(view)


def turned(
    array: npt.NDArray[Any],
    turns: Sequence[Turn],
    *,
    size: tuple[int, int] | None = None,
    step: tuple[int, int] = (1, 1),
) -> npt.NDArray[Any]:
    """Return a batch of images after a turn each, as an array of its own.

    Args:
        array: Shape ``(sample, …, y, x)``.
        turns: One a sample; all give images of one shape.
        size: As for :meth:`Turn.plane`.
        step: As there.

    Examples:
        >>> image = np.arange(4).reshape(1, 2, 2)
        >>> turned(image, [Turn(across=True)]).tolist()
        [[[1, 0], [3, 2]]]
    """
    views = [turn.plane(one, size=size, step=step) for one, turn in zip(array, turns, strict=True)]
    out = np.empty((len(views), *views[0].shape), array.dtype)
    for target, view in zip(out, views, strict=True):
        target[...] = quick(view)
    return out
