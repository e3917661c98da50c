"""Random convolutional features: an embedding that nobody has trained.

Filters and pixels are whole numbers, and their sums stay below 2**53. So every sum is exact,
whatever order, thread, machine or library adds it up, and the bits are equal everywhere.
"""

import hashlib
import math
from collections.abc import Iterator
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
_PLACES: Final = tuple((dy, dx) for dy in range(_SIDE) for dx in range(_SIDE))
_BYTES: Final = 4
_SPREAD: Final = math.sqrt(_BYTES * (256**2 - 1) / 12)
_STEPS: Final = 512
_FARTHEST: Final = 8.0
_WINDOWS_AT_ONCE: Final = 4096
_PRODUCTS_AT_ONCE: Final = 250_000
_FEWEST_AT_ONCE: Final = 16
_SHARE_OF_BRIGHTNESS: Final = 0.15
_SHARE_OF_CONTRAST: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filters:
    weights: npt.NDArray[np.float64] = field(repr=False)
    """Whole numbers, shape ``(filter, band * 3 * 3)``."""

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
            count += windows.shape[1]
            for response in _responses(drawn, windows):
                total = _added(total, response.sum(axis=(0, 2)))
                above = _added(above, np.maximum(response, 0, out=response).sum(axis=(0, 2)))
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
) -> Iterator[npt.NDArray[np.float64]]:
    # windows whose pixels were all observed, in parts, shape (band * 3 * 3, window)
    bands, height, width = step.shape
    if min(height, width) < _SIDE:
        return
    rows = max(1, _WINDOWS_AT_ONCE // width)
    for top in range(0, height - _SIDE + 1, rows):
        end = min(top + rows, height - _SIDE + 1) - top
        part = np.stack(
            [step[:, top + dy : top + dy + end, dx : width - 2 + dx] for dy, dx in _PLACES], axis=1
        ).reshape(bands * _SIDE * _SIDE, -1)
        there = np.logical_and.reduce([
            seen[top + dy : top + dy + end, dx : width - 2 + dx] for dy, dx in _PLACES
        ]).reshape(-1)
        if there.any():
            yield part if there.all() else part[:, there]


def _responses(
    drawn: _Filters, windows: npt.NDArray[np.float64]
) -> Iterator[npt.NDArray[np.float64]]:
    # shape (batch, filter, window); batches so small that BLAS starts no threads of its own
    filters, size = drawn.weights.shape
    each = max(_FEWEST_AT_ONCE, _PRODUCTS_AT_ONCE // (filters * size))
    whole = windows.shape[1] // each * each
    batches = windows[:, :whole].reshape(size, -1, each).transpose(1, 0, 2)
    for part in (batches, windows[None, :, whole:]):
        yield np.matmul(drawn.weights, part) + drawn.biases[:, None]


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
        weights=weights.reshape(filters, size).astype(np.float64),
        biases=biases.astype(np.float64),
        unit=_SPREAD * unit,
    )
