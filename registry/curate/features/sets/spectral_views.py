"""Which arrays of a sample are looked at together: those that one sensor left of one place.

Bands often lie in assets of their own, by resolution or one by one. They are taken together where
no band is there twice (else they are of two sensors), time and scale are the same, and the pixels
of one fall wholly into those of the other; coarse pixels are then repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from registry.curate.features.alignment import repeated, repeats
from registry.curate.features.bands import OPTICAL, is_narrow, reflectance_factor
from registry.curate.features.scene import Layer, Scene

__all__ = ["View", "views"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_Bands = dict[str, tuple[Layer, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Bands on one grid, of one scale, that indices are computed from."""

    base: Layer
    """The layer whose grid it is."""

    bands: Mapping[str, tuple[Layer, int]]
    """By common letter: the layer, and the band's place in it."""

    @property
    def factor(self) -> float | None:
        """Makes reflectance of the bands; None if nobody says what does."""
        return reflectance_factor(self.base)

    @property
    def valid(self) -> Mask:
        """Where every band of every layer was observed, shape ``(time, y, x)``."""
        layers = list({id(layer): layer for layer, _ in self.bands.values()}.values())
        valid = self._on_grid(layers[0].valid)
        for layer in layers[1:]:
            valid = valid & self._on_grid(layer.valid)
        return valid

    def band(self, letter: str) -> Floats:
        """Return a band's physical values, shape ``(time, y, x)``; NaN where not observed."""
        layer, number = self.bands[letter]
        return self._on_grid(layer.physical(number))

    def _on_grid(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return repeated(values, self.base.raw.shape[2] // values.shape[1])


def views(scene: Scene) -> list[View]:
    """Return what can be looked at together, by the order of the layers that give the grids.

    Args:
        scene: With any layers; those without an optical band of role ``data`` are left out.
    """
    layers = [one for one in scene.layers if one.role == "data" and _letters(one)]
    found: list[View] = []
    for base in layers:
        if not any(_holds(view, base) and _same_grid(view.base, base) for view in found):
            found.append(_view(base, layers))
    return found


def _view(base: Layer, layers: list[Layer]) -> View:
    bands = _letters(base)
    for layer in layers:
        if layer is not base and _fits(base, layer):
            bands = _joined(bands, _letters(layer))
    return View(base=base, bands=bands)


def _joined(bands: _Bands, more: _Bands) -> _Bands:
    """Return the bands of both; those of the first alone if a band is in both."""
    if "N" in bands and "N" in more:
        bands, more = _narrowed(bands), _narrowed(more)
    return bands if bands.keys() & more.keys() else bands | more


def _narrowed(bands: _Bands) -> _Bands:
    """Return bands with the narrow near infrared as such, where it stood for the broad one."""
    layer, number = bands["N"]
    narrow = number < len(layer.bands) and is_narrow(layer.bands[number]) and "N2" not in bands
    return {"N2" if narrow and letter == "N" else letter: one for letter, one in bands.items()}


def _letters(layer: Layer) -> _Bands:
    return {
        letter: (layer, number)
        for number, letter in enumerate(layer.common)
        if letter is not None and letter in OPTICAL
    }


def _holds(view: View, layer: Layer) -> bool:
    return any(one is layer for one, _ in view.bands.values())


def _same_grid(first: Layer, second: Layer) -> bool:
    return first.raw.shape[2:] == second.raw.shape[2:]


def _fits(base: Layer, layer: Layer) -> bool:
    """Return whether a layer's pixels are the base's, or each a square of them."""
    scales = [(one.unit, one.scale[:1], one.offset[:1]) for one in (base, layer)]
    return scales[0] == scales[1] and repeats(base, layer) is not None
