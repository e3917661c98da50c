"""A batch of samples as NumPy arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

__all__ = ["Batch", "Boxes"]

_NONE: Mapping[str, npt.NDArray[np.generic]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """The labelled objects of one sample."""

    corners: npt.NDArray[np.float32]
    """``(objects, 4)``: x and y of the upper left, then of the lower right corner, in pixels from
    the upper left corner of the upper left pixel."""

    classes: npt.NDArray[np.int64]
    """``(objects,)``: the class of each, from 0, as the card orders them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some samples with all that was asked of them; values as they are stored."""

    ids: tuple[str, ...]
    """Ids of the samples, in the order of all arrays."""

    arrays: Mapping[str, npt.NDArray[np.generic]]
    """By asset: ``(sample, band, y, x)``, or ``(sample, time, band, y, x)`` for time series.

    They may lie in a buffer that the stream fills again for a later batch: who keeps them beyond
    the next step copies them."""

    valid: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=lambda: _NONE)  # type: ignore[arg-type,return-value]
    """By asset: whether a sample has it, shape ``(sample,)``, or which of its time steps are no
    padding, shape ``(sample, time)``."""

    times: Mapping[str, npt.NDArray[np.datetime64]] = field(default_factory=lambda: _NONE)  # type: ignore[arg-type,return-value]
    """By asset with time steps: when, UTC, ``(sample, time)``; ``NaT`` in padding."""

    label: npt.NDArray[np.int64] | None = None
    """Class of each sample from 0, as the card orders them, ``(sample,)``; -1 where it has none."""

    labels: npt.NDArray[np.float32] | None = None
    """Which classes each sample has, 0 or 1, ``(sample, class)``; for more than one class."""

    target: npt.NDArray[np.float32] | None = None
    """The quantity of each sample, ``(sample,)``; NaN where it has none."""

    boxes: tuple[Boxes, ...] | None = None
    """The objects of each sample, for detection."""

    step: int = 0
    """How many batches of this epoch came before it, over its rank."""

    epoch: int = 0
    """Which pass over the samples it belongs to, from 0."""

    def __len__(self) -> int:
        return len(self.ids)
