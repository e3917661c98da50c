"""A ring of batch buffers that are filled again and again."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError

__all__ = ["FEWEST", "MOST", "Allocator", "Ring", "empty", "slots_for"]

FEWEST: Final = 3
"""Batches that there is room for at least: one that is filled beside the two that are kept."""

MOST: Final = 5
"""Batches that there is room for at most."""

_ROOM: Final = 2**30  # bytes of all buffers, where batches are small enough
_SHARE: Final = 0.5  # of the machine's memory that buffers may take

Allocator: TypeAlias = Callable[[tuple[int, ...], "np.dtype[Any]"], npt.NDArray[Any]]
"""Makes memory of a shape and dtype, C-contiguous, such as pinned memory of a GPU's driver."""


def empty(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> npt.NDArray[Any]:
    """Return plain memory, not yet written to."""
    return np.empty(shape, dtype)


def slots_for(batch_bytes: int) -> int:
    """Return how many batches a ring should have room for.

    Args:
        batch_bytes: Unpacked bytes of one batch.

    Raises:
        InvalidInputError: They would take more than half of the machine's memory.

    Examples:
        >>> slots_for(1_000_000), slots_for(300_000_000)
        (5, 3)
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if FEWEST * batch_bytes > _SHARE * memory:
        raise InvalidInputError(
            f"a batch takes {batch_bytes / 1e9:,.1f} GB unpacked, and a stream holds {FEWEST} or "
            "more",
            hint="use a smaller batch_size, a crop, or fewer frames; of a training "
            "data.batch_size, data.crop or data.frames",
        )
    return max(FEWEST, min(MOST, _ROOM // max(1, batch_bytes)))


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
