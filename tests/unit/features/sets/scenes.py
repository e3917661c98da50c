"""Scenes made by hand, for tests of what is computed from them."""

import numpy as np

from registry.curate.features.bands import common_letters
from registry.curate.features.scene import Layer, Scene

SENTINEL_2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")


def layer(raw, bands=(), *, asset="image", **said):
    """Return a layer of an array of shape (band, y, x) or (time, band, y, x)."""
    raw = np.asarray(raw)
    raw = raw if raw.ndim == 4 else raw[None]
    common = common_letters(bands, asset=asset, count=raw.shape[1])
    return Layer(asset=asset, raw=raw, bands=tuple(bands), common=common, **said)


def scene(*layers, sample="one"):
    return Scene(sample=sample, layers=layers)


def random_reflectance(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.02, 0.6, shape).astype(np.float32)
