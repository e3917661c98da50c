"""Random convolutional features: an embedding that nobody has trained.

Filters and pixels are whole numbers, and their sums stay below 2**53. So every sum is exact,
whatever order, thread, machine or library adds it up, and the bits are equal everywhere.
"""

import hashlib
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.scene import MissingInputError
from registry.curate.features.sets.embeddings.stack import Stack

__all__ = ["MOST_BANDS", "embed"]

MOST_BANDS: Final = 16
"""With more, sums might not be exact."""

_SIDE: Final = 3
_BYTES: Final = 4
_SPREAD: Final = math.sqrt(_BYTES * (256**2 - 1) / 12)
_STEPS: Final = 512
_FARTHEST: Final = 8.0
_WINDOWS_AT_ONCE: Final = 8192
_SHARE_OF_BRIGHTNESS: Final = 0.15
_SHARE_OF_CONTRAST: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filters:
    weights: npt.NDArray[np.float64] = field(repr=False)
    """Whole numbers, shape ``(band * 3 * 3, filter)``."""

    biases: npt.NDArray[np.float64] = field(repr=False)
    """Whole numbers, shape ``(filter,)``."""

    unit: float
    """What a response is divided by."""


def embed(bands: Stack, *, filters: int, seed: int) -> npt.NDArray[np.float32]:
    """Return the mean responses of a sample to random filters of 3 x 3 pixels.

    Args:
        bands: Scaled to about [-1, 1], unitless; what is beyond 8 is cut.
        filters: How many; those of one seed and number of bands are always the same.
        seed: Which.

    Returns:
        Means of max(0, w * x + b), then those of max(0, -(w * x + b)), over all windows whose
        pixels were observed, of all times; unitless, shape ``(2 * filters,)``. The weights of
        every second filter sum to 0 in each band, so that it sees contrast and no brightness.

    Raises:
        MissingInputError: No window was observed.

    References:
        Rolf et al. (2021), Nature Communications 12, 4392, doi:10.1038/s41467-021-24638-z
        (MOSAIKS), here with drawn instead of sampled filters as in Rahimi, Recht (2008), NIPS 20,
        so that the embedding of a sample depends on no other sample.
    """
    drawn = _drawn(len(bands.bands), filters, seed)
    whole = np.rint(np.clip(bands.values, -_FARTHEST, _FARTHEST) * _STEPS)
    above, total, count = [0] * filters, [0] * filters, 0
    for step, seen in zip(whole, bands.seen, strict=True):
        for windows in _windows(step, seen):
            response = windows @ drawn.weights + drawn.biases
            count += len(response)
            total = _added(total, response.sum(axis=0))
            above = _added(above, np.maximum(response, 0, out=response).sum(axis=0))
    if not count:
        raise MissingInputError(
            "no 3 x 3 pixels of it were observed together", hint="it may be too small, or empty"
        )
    below = [up - all_ for up, all_ in zip(above, total, strict=True)]
    return np.array([one / count / drawn.unit for one in (*above, *below)], dtype=np.float32)


def _added(sums: list[int], more: npt.NDArray[np.float64]) -> list[int]:
    return [one + int(other) for one, other in zip(sums, more.tolist(), strict=True)]


def _windows(
    step: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_]
) -> list[npt.NDArray[np.float64]]:
    """Return windows whose pixels were all observed, in parts, shape ``(window, band * 3 * 3)``."""
    if min(seen.shape) < _SIDE:
        return []
    side = (_SIDE, _SIDE)
    complete = np.lib.stride_tricks.sliding_window_view(seen, side).all(axis=(2, 3))
    views = np.lib.stride_tricks.sliding_window_view(step, side, axis=(1, 2))
    rows, columns = np.nonzero(complete)
    parts = range(0, len(rows), _WINDOWS_AT_ONCE)
    return [
        views[:, rows[at : at + _WINDOWS_AT_ONCE], columns[at : at + _WINDOWS_AT_ONCE]]
        .transpose(1, 0, 2, 3)
        .reshape(-1, step.shape[0] * _SIDE * _SIDE)
        for at in parts
    ]


@lru_cache(maxsize=32)
def _drawn(bands: int, filters: int, seed: int) -> _Filters:
    # Whole numbers, nearly normal, out of a hash: no library can change them.
    size = bands * _SIDE * _SIDE
    stream = hashlib.shake_256(f"{seed} {bands} {filters}".encode())
    octets = np.frombuffer(stream.digest((size + 1) * filters * _BYTES), np.uint8)
    whole = octets.reshape(filters, size + 1, _BYTES).sum(axis=2, dtype=np.int64)
    whole -= _BYTES * 255 // 2
    area = _SIDE * _SIDE
    weights = area * whole[:, :-1].reshape(filters, bands, area)
    weights[1::2] -= weights[1::2].sum(axis=2, keepdims=True) // area
    unit = area * _STEPS * math.sqrt(size)
    shares = np.where(np.arange(filters) % 2, _SHARE_OF_CONTRAST, _SHARE_OF_BRIGHTNESS)
    biases = np.rint(whole[:, -1] * (unit * shares))
    return _Filters(
        weights=np.ascontiguousarray(weights.reshape(filters, size).T, dtype=np.float64),
        biases=biases.astype(np.float64),
        unit=_SPREAD * unit,
    )
