"""Where crops begin: by chance or in the centre, and never where nothing was observed."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.loading.fitting import Crop

__all__ = ["Scene", "begin_of"]

_DRAWS: Final = 8  # crops drawn before one is laid around a pixel that was observed

Begin = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The whole array that a crop must show something of."""

    array: npt.NDArray[Any]
    """Shape ``(…, y, x)``."""

    nodata: float
    """Value that means nothing was observed; NaN where there is none, or where NaN does."""

    ratio: tuple[Fraction, Fraction]
    """Its pixels along y and along x for each of those that crops are measured in."""

    def observed(self) -> npt.NDArray[np.bool_]:
        """Return which pixels were observed in any band at any time, ``(y, x)``."""
        return _observed(self.array, self.nodata)

    def shows(self, begin: Begin, size: Begin) -> bool:
        """Return whether a crop has an observed pixel."""
        y, x = (int(at * part) for at, part in zip(begin, self.ratio, strict=True))
        h, w = (int(side * part) for side, part in zip(size, self.ratio, strict=True))
        return bool(_observed(self.array[..., y : y + h, x : x + w], self.nodata).any())


def begin_of(
    crop: Crop, sample: int, scene: Scene | None, chance: np.random.Generator | None
) -> Begin:
    """Return where the crop of a sample begins, y and x.

    Args:
        crop: Its size, and how large samples are.
        sample: The sample's number.
        scene: What must have been observed in it; None where anything will do.
        chance: What draws it; None for the centre.

    Returns:
        A crop with an observed pixel, unless the whole sample has none.
    """
    room = crop.extents[sample] - crop.size  # >= 0
    centre = _aligned(room // 2, crop.step)
    for _ in range(_DRAWS if chance is not None else 1):
        begin = centre
        if chance is not None:
            begin = _aligned(chance.integers(0, room, endpoint=True), crop.step)
        if scene is None or scene.shows(begin, crop.size):
            return begin
    return centre if scene is None else _on_data(crop, sample, scene, chance)


def _on_data(crop: Crop, sample: int, scene: Scene, chance: np.random.Generator | None) -> Begin:
    """Return where a crop begins that has an observed pixel: any, or that nearest to the centre."""
    room = crop.extents[sample] - crop.size
    rows, columns = np.nonzero(scene.observed())
    if not len(rows):
        return _aligned(room // 2, crop.step)
    if chance is not None:
        at = int(chance.integers(len(rows)))
    else:
        middle = crop.extents[sample] / 2
        away = [rows / float(scene.ratio[0]), columns / float(scene.ratio[1])] - middle[:, None]
        at = int(np.argmin((away**2).sum(axis=0)))
    pixel = np.array([int(rows[at] / scene.ratio[0]), int(columns[at] / scene.ratio[1])])
    begin = _aligned(np.clip(pixel - np.array(crop.size) // 2, 0, room), crop.step)
    holds = bool((pixel < np.array(begin) + crop.size).all())
    return begin if holds else _aligned(np.minimum(pixel, room), crop.step)


def _aligned(begin: npt.NDArray[np.int64], step: Begin) -> Begin:
    return int(begin[0]) // step[0] * step[0], int(begin[1]) // step[1] * step[1]


def _observed(part: npt.NDArray[Any], nodata: float) -> npt.NDArray[np.bool_]:
    good = ~np.isnan(part) if part.dtype.kind in "fc" else np.ones(part.shape, np.bool_)
    if not np.isnan(nodata):
        good &= part != nodata
    return np.asarray(good.reshape(-1, *part.shape[-2:]).any(axis=0))
