"""A ring of batch buffers that are filled again and again."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Allocator", "Ring", "empty"]

Allocator: TypeAlias = Callable[[tuple[int, ...], "np.dtype[Any]"], npt.NDArray[Any]]
"""Makes memory of a shape and dtype, C-contiguous, such as pinned memory of a GPU's driver."""


def empty(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    """Return plain memory, not yet written to."""
    return np.empty(shape, dtype)


class Ring:
    """Buffers for a few batches of one stream; made when they are first needed."""

    def __init__(
        self,
        shapes: Mapping[str, tuple[tuple[int, ...], "np.dtype[Any]"]],
        *,
        slots: int,
        allocate: Allocator = empty,
    ) -> None:
        self.slots = slots
        """How many batches there is room for."""

        self._shapes = dict(shapes)
        self._allocate = allocate
        self._made: list[dict[str, npt.NDArray[Any]] | None] = [None] * slots

    def of(self, step: int) -> dict[str, npt.NDArray[Any]]:
        """Return the buffers of a batch by asset; those of ``slots`` batches ago.

        Only one thread may ask for one step first.
        """
        slot = step % self.slots
        found = self._made[slot]
        if found is None:
            found = {
                name: self._allocate(shape, dtype) for name, (shape, dtype) in self._shapes.items()
            }
            self._made[slot] = found
        return found
