"""What embeddings look at: chosen bands of a sample in a chosen order and scale."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.bands import reflectance_factor
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.grey import is_mask

__all__ = ["Stack", "stack"]

_CHOICES: Final = (("R", "G", "B"), ("VV", "VH"))
_MOST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Bands of one sample."""

    bands: tuple[str, ...]
    """Their common letters or names, in order."""

    values: npt.NDArray[np.float64] = field(repr=False)
    """Scaled, shape ``(time, band, y, x)``; NaN where nothing was observed."""

    seen: npt.NDArray[np.bool_] = field(repr=False)
    """Where every band was observed, shape ``(time, y, x)``."""


def stack(
    scene: Scene,
    bands: Sequence[str] | None = None,
    *,
    scale: Sequence[float] | None = None,
    offset: Sequence[float] | None = None,
) -> Stack:
    """Return the bands that embeddings look at.

    Args:
        scene: With an array of role ``data``.
        bands: Common letters, in order; if None, ``R G B``, else ``VV VH``, else the first three
            of the first array.
        scale: Factors from physical values to what is wanted, one a band or one for all. If None:
            reflectance by the card's unit; dB / 30; 8-bit counts / 255; other counts / 10,000;
            else 1.
        offset: Added after that, likewise; 0 if None.

    Raises:
        MissingInputError: There are no such bands.
    """
    letters = tuple(bands or ())
    if not letters:
        letters = next((one for one in _CHOICES if _having(scene, one)), ())
    if letters:
        layer = scene.layer(*letters)
        names, numbers = letters, [layer.common.index(letter) for letter in letters]
    else:
        there = [one for one in scene.layers if one.role == "data" and not is_mask(one)]
        layer = there[0] if there else scene.layer()
        numbers = list(range(min(_MOST, layer.raw.shape[1])))
        names = tuple(layer.bands[at] if layer.bands else str(at) for at in numbers)
    if not numbers:
        raise MissingInputError(
            f"asset '{layer.asset}' has no bands", hint="leave it out of the data"
        )
    values = np.stack([layer.physical(at).astype(np.float64) for at in numbers], axis=1)
    values *= _each(scale, len(numbers), _factor(layer))
    values += _each(offset, len(numbers), 0.0)
    return Stack(bands=names, values=values, seen=np.asarray(np.isfinite(values).all(axis=1)))


def _having(scene: Scene, letters: Sequence[str]) -> bool:
    return any(
        layer.role == "data" and all(layer.has(letter) for letter in letters)
        for layer in scene.layers
    )


def _each(given: Sequence[float] | None, count: int, otherwise: float) -> npt.NDArray[np.float64]:
    each = [otherwise] if given is None else list(given)
    return np.array(each * count if len(each) == 1 else each, dtype=np.float64)[:, None, None]


def _factor(layer: Layer) -> float:
    if (factor := reflectance_factor(layer)) is not None:
        return factor
    if (layer.unit or "").casefold() == "db":
        return 1 / 30
    if np.issubdtype(layer.raw.dtype, np.integer) and not layer.scale:
        return 1 / 255 if layer.raw.dtype.itemsize == 1 else 1e-4
    return 1.0
