"""Where it is clear: from the masks that sensors' own processors deliver beside their bands.

Clear is what is free of cloud, shadow, cirrus and snow, and was observed. A mask is known by the
name of its band or asset, or by the names of its classes; one that is neither is left alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.alignment import repeated, repeats
from registry.curate.features.scene import Layer

__all__ = ["tells_clear", "with_clear"]

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[Any]

_SCENE_CLEAR: Final = (4, 5, 6, 7)  # vegetation, bare, water, unclassified
_QA_PIXEL: Final = 0b0011_1111  # fill, dilated cloud, cirrus, cloud, shadow, snow
_PIXEL_QA: Final = 0b0011_1001  # fill, shadow, snow, cloud
_FMASK: Final = 0b0001_1110  # cloud, beside cloud, shadow, snow
_FMASK_FILL: Final = 255
_HIDES: Final = re.compile(
    r"cloud|shadow|cirrus|haze|snow|\bice\b|no ?data|fill|saturated|defective|dark|missing"
)
_FREE: Final = re.compile(r"\b(?:no|non|not|without)[ -](?:cloud|shadow|snow)|\bfree\b|\bclear\b")


def tells_clear(
    asset: str, bands: Sequence[str] = (), values: Mapping[int, str] | None = None
) -> bool:
    """Return whether an asset says where it is clear, by its name, its bands' or its classes'.

    Args:
        asset: The asset's name.
        bands: Names of its bands, if known.
        values: Which class each of its values is, if it is a mask.

    Examples:
        >>> tells_clear("scl"), tells_clear("image", ["B04", "SCL"]), tells_clear("image", ["B04"])
        (True, True, False)
    """
    return _place(asset, bands, values or {}) is not None


def with_clear(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return layers of one sample that know where it is clear, as far as any of them says so.

    A layer is cleared by a mask among its own bands, else by the first mask whose pixels lie on
    its own: the same, squares of them, or parts of them, of which then all must be clear. Labels
    say nothing here: what is to be learnt is no input.

    Args:
        layers: All that are there, masks too.

    Returns:
        The same layers in the same order.

    References:
        Sentinel-2 Level-2A algorithm theoretical basis, scene classification; Landsat Collection 2
        QA_PIXEL, LSDS-1619; Landsat Collection 1 pixel_qa, LSDS-1368; HLS v2.0 user guide, table 9.
    """
    masks = [(one, mask) for one in layers if (mask := _mask(one)) is not None]
    if not masks:
        return tuple(layers)
    own = {id(layer): mask for layer, mask in masks}
    return tuple(_cleared(layer, own.get(id(layer)), masks) for layer in layers)


def _cleared(layer: Layer, own: Mask | None, masks: Sequence[tuple[Layer, Mask]]) -> Layer:
    if layer.role != "data" or layer.clear is not None:
        return layer
    if own is not None and layer.raw.shape[1] > 1:
        return replace(layer, clear=own)
    for teller, mask in masks:
        if teller is not layer and (fitted := _fitted(layer, teller, mask)) is not None:
            return replace(layer, clear=fitted)
    return layer


def _fitted(layer: Layer, teller: Layer, mask: Mask) -> Mask | None:
    if (often := repeats(layer, teller)) is not None:
        return np.asarray(repeated(mask, often))
    if (often := repeats(teller, layer)) is not None:
        steps, high, wide = mask.shape
        squares = mask.reshape(steps, high // often, often, wide // often, often)
        return np.asarray(squares.all(axis=(2, 4)))
    return None


def _mask(layer: Layer) -> Mask | None:
    found = _place(layer.asset, layer.bands, layer.values)
    if found is None or layer.role == "labels" or layer.raw.dtype.kind not in "iub":
        return None
    number, clear = found
    if number >= layer.raw.shape[1] or (number == 0 and not layer.bands and layer.raw.shape[1] > 1):
        return None
    return clear(layer.raw[:, number]) & layer.observed[:, number]


# ------------------------------------------------------------------------------------ the decoders
def _place(
    asset: str, bands: Sequence[str], values: Mapping[int, str]
) -> tuple[int, Callable[[Ints], Mask]] | None:
    """Return which band tells, and how."""
    for number, band in enumerate(bands):
        if decoder := _DECODERS.get(_plain(band)):
            return number, decoder
    if len(bands) > 1:
        return None
    if decoder := _DECODERS.get(_plain(asset)):
        return 0, decoder
    return (0, _by_classes(values)) if _names_clouds(values) else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _scene_classes(values: Ints) -> Mask:
    return np.isin(values, _SCENE_CLEAR)


def _without(bits: int) -> Callable[[Ints], Mask]:
    def clear(values: Ints) -> Mask:
        return np.asarray(values.astype(np.int64) & bits == 0)

    return clear


def _fmask(values: Ints) -> Mask:
    return np.asarray((values.astype(np.int64) & _FMASK == 0) & (values != _FMASK_FILL))


def _zero(values: Ints) -> Mask:
    return np.asarray(values == 0)


def _names_clouds(values: Mapping[int, str]) -> bool:
    return any("cloud" in name.lower() for name in values.values())


def _by_classes(values: Mapping[int, str]) -> Callable[[Ints], Mask]:
    clear = [value for value, name in values.items() if not _hides(name.lower())]

    def mask(raw: Ints) -> Mask:
        return np.isin(raw, clear)

    return mask


def _hides(name: str) -> bool:
    return bool(_HIDES.search(name)) and not _FREE.search(name)


_DECODERS: Final[Mapping[str, Callable[[Ints], Mask]]] = {
    "scl": _scene_classes,
    "sceneclassification": _scene_classes,
    "qapixel": _without(_QA_PIXEL),
    "pixelqa": _without(_PIXEL_QA),
    "fmask": _fmask,  # the original values 0 to 4 come out alike
    "clm": _zero,
    "cloudmask": _zero,
    "clouds": _zero,
}
