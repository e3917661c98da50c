"""The one band that texture is looked for in, named so that nobody has to guess."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from registry.curate.features.clear import tells_clear
from registry.curate.features.scene import Floats, Layer, MissingInputError, Scene

__all__ = ["grey", "is_mask"]

_VISIBLE: Final = ("B", "G", "R")
_PANCHROMATIC: Final = frozenset({"pan", "panchromatic"})


def grey(scene: Scene) -> tuple[str, Floats]:
    """Return the band of a scene in which structure shows best, and what it is called.

    Near infrared (``N``, else ``N2``); else one named panchromatic (``pan``); else the mean of
    those of blue, green and red that there are; else the first band of the first data array that
    is no mask of clouds.

    Args:
        scene: With at least one array of role ``data``.

    Returns:
        A name, such as ``N`` or ``mean of B G R``, and physical values, shape ``(time, y, x)``,
        NaN where nothing was observed.

    Raises:
        MissingInputError: There is no array of role ``data``, or one without bands.
    """
    data = [layer for layer in scene.layers if layer.role == "data" and layer.raw.shape[1]]
    if not data:
        raise MissingInputError(
            "it has no array of role 'data' with a band",
            hint="texture is looked for in pixels; say in the card which assets are data",
        )
    for letter in ("N", "N2"):
        for layer in data:
            if layer.has(letter):
                return letter, layer.band(letter)
    for layer in data:
        for number, name in enumerate(layer.bands):
            if name.casefold() in _PANCHROMATIC:  # it has no letter of its own
                return name, layer.physical(number)
    for layer in data:
        if there := [letter for letter in _VISIBLE if layer.has(letter)]:
            return f"mean of {' '.join(there)}", _mean(layer, there)
    first = next((layer for layer in data if not is_mask(layer)), data[0])
    return (first.bands[0] if first.bands else f"{first.asset}:0"), first.physical(0)


def is_mask(layer: Layer) -> bool:
    """Return whether all that a layer says is where it is clear."""
    return layer.raw.shape[1] == 1 and tells_clear(layer.asset, layer.bands, layer.values)


def _mean(layer: Layer, letters: Sequence[str]) -> Floats:
    total = layer.band(letters[0]).copy()  # a NaN in any band stays one
    with np.errstate(over="ignore"):  # what is infinite then was never reflectance
        for letter in letters[1:]:
            total += layer.band(letter)
    return np.asarray(total / np.float32(len(letters)), dtype=np.float32)
