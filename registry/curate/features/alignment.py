"""Whether one array's pixels lie on another's, as they are or as squares of them."""

from typing import Any, Final

import numpy.typing as npt

from registry.curate.features.scene import Layer

__all__ = ["repeated", "repeats"]

_NEAR: Final = 1e-3  # of a pixel, that two grids may differ by


def repeats(fine: Layer, coarse: Layer) -> int | None:
    """Return how many pixels of one layer lie along a side of one of another; None if none do.

    Args:
        fine: Of the finer grid, or the same.
        coarse: Of the coarser one. Both have the same corner, system and times, or neither of
            them says where it lies.

    Examples:
        >>> import numpy as np
        >>> fine, coarse = (Layer(asset="a", raw=np.zeros((1, 1, n, n))) for n in (6, 2))
        >>> repeats(fine, coarse), repeats(coarse, fine)
        (3, None)
    """
    (steps, _, high, wide), (other_steps, _, other_high, other_wide) = (
        fine.raw.shape, coarse.raw.shape,
    )  # fmt: skip
    if steps != other_steps or fine.times != coarse.times or fine.crs != coarse.crs:
        return None
    if not other_high or high % other_high:
        return None
    often = high // other_high
    return often if wide == often * other_wide and _same_place(fine, coarse, often) else None


def repeated(values: npt.NDArray[Any], often: int) -> npt.NDArray[Any]:
    """Return an array of shape ``(time, y, x)`` with each pixel as a square of so many a side."""
    return values if often == 1 else values.repeat(often, axis=1).repeat(often, axis=2)


def _same_place(fine: Layer, coarse: Layer, often: int) -> bool:
    if fine.transform is None or coarse.transform is None:
        return fine.transform is coarse.transform
    a, b, c, d, e, f = fine.transform
    expected = (a * often, b * often, c, d * often, e * often, f)
    near = _NEAR * max(abs(a), abs(b), abs(d), abs(e))
    return all(abs(one - two) <= near for one, two in zip(expected, coarse.transform, strict=True))
