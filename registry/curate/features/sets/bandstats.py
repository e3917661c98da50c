"""The set ``bands``: how the physical values of each band are spread.

Every band is there twice: in lists, one entry a band of each array in the order of the assets, so
that arrays whose bands nobody named are described too; and, where its common letter is known, in
columns of its own such as ``n_mean``, which stand beside each other whatever the order of bands in
a dataset was. Unlike indices, bands are summed up under clouds as well: this is what data are,
not what the land is.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.curate.features.bands import LETTERS
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.spread import moments, ordered, quantiles

__all__ = ["BANDS", "band_statistics"]

Floats = npt.NDArray[np.float32]

_PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
_PROBABILITIES: Final = (0.0, 1.0, *(share / 100 for share in _PERCENTILES))
_FIGURES: Final = (
    ("mean", "Mean"), ("std", "Standard deviation"), ("min", "Least value"),
    ("max", "Greatest value"), *((f"p{n}", f"Percentile {n}") for n in _PERCENTILES),
)  # fmt: skip
_SHARES: Final = (
    ("missing_share", "Share of pixels where nothing was observed"),
    ("saturated_share", "Share of observed pixels at the greatest number that was storable"),
)
_SOURCE: Final = "Hyndman and Fan (1996), doi:10.2307/2684934, definition 7 for percentiles"


def band_statistics(scene: Scene) -> dict[str, object]:
    """Return statistics of each band of one sample, over the pixels of all times.

    Args:
        scene: With one array at least.

    Returns:
        By column. Lists have null for a band without any observed value. If two arrays have a
        band of one letter, the letter's columns are those of the first.

    Raises:
        MissingInputError: There is no array of role ``data``.

    Examples:
        >>> image = Layer(asset="image", raw=np.uint8([[[[1, 3]], [[0, 0]]]]), common=("R", None))
        >>> found = band_statistics(Scene(sample="one", layers=(image,)))
        >>> found["r_mean"], found["band_mean"], found["names"]
        (2.0, [2.0, 0.0], ['image:1', 'image:2'])
    """
    layers = [layer for layer in scene.layers if layer.role == "data"]
    if not layers:
        raise MissingInputError(
            "it has no array of role 'data'", hint="name the roles of the assets in the card"
        )
    lists: dict[str, list[float | None]] = {f"band_{name}": [] for name, _ in (*_FIGURES, *_SHARES)}
    told: set[str] = set()
    found: dict[str, object] = {"names": [name for layer in layers for name in _names(layer)]}
    for letter, figures in (one for layer in layers for one in _of_layer(layer)):
        for name, _ in (*_FIGURES, *_SHARES):
            lists[f"band_{name}"].append(figures.get(name))
        if letter is not None and letter not in told:
            told.add(letter)
            found |= {f"{letter.lower()}_{name}": value for name, value in figures.items()}
    return found | lists


def _names(layer: Layer) -> list[str]:
    count = layer.raw.shape[1]
    names = layer.bands if len(layer.bands) == count else tuple(map(str, range(1, count + 1)))
    return [f"{layer.asset}:{name}" for name in names]


def _of_layer(layer: Layer) -> Iterator[tuple[str | None, dict[str, float]]]:
    for number in range(layer.raw.shape[1]):
        letter = layer.common[number] if layer.common else None
        yield letter if letter in LETTERS else None, _of_band(layer, number)


def _of_band(layer: Layer, number: int) -> dict[str, float]:
    values = layer.physical(number).reshape(-1)
    kept = ordered(values)
    found = {"missing_share": 1 - kept.size / values.size} if values.size else {}
    if not kept.size:
        return found
    mean, deviation = moments(kept)
    least, greatest, *percentiles = quantiles(kept, _PROBABILITIES)
    named = {f"p{n}": value for n, value in zip(_PERCENTILES, percentiles, strict=True)}
    return {
        "mean": mean, "std": deviation, "min": least, "max": greatest, **named, **found,
        "saturated_share": _saturated(layer, number) / kept.size,
    }  # fmt: skip


def _saturated(layer: Layer, number: int) -> int:
    dtype = layer.raw.dtype
    if not np.issubdtype(dtype, np.integer) or np.iinfo(dtype).max == layer.nodata:
        return 0
    return int(np.count_nonzero(layer.raw[:, number] == np.iinfo(dtype).max))


def _features() -> Iterator[Feature]:
    yield Feature(
        name="names", type=pa.list_(pa.string()), meaning="Which bands the lists are of, in order",
        formula="asset:band", source="the card",
    )  # fmt: skip
    for name, meaning in (*_FIGURES, *_SHARES):
        yield _one(
            f"band_{name}", f"{meaning} of each band", f"{name}(band)", pa.list_(pa.float64())
        )
    for letter in LETTERS:
        for name, meaning in (*_FIGURES, *_SHARES):
            column = f"{letter.lower()}_{name}"
            yield _one(column, f"{meaning} of band {letter}", f"{name}({letter})", pa.float64())


def _one(name: str, meaning: str, formula: str, kind: Any) -> Feature:  # noqa: ANN401 — an Arrow type
    share = name.endswith("_share")
    letter = () if name.startswith("band_") else (name.partition("_")[0].upper(),)
    return Feature(
        name=name, type=kind, meaning=meaning, formula=formula, bands=letter,
        source="the lab" if share else _SOURCE, unit="1" if share else "the asset's",
    )  # fmt: skip


BANDS: Final = FeatureSet(
    name="bands",
    version=1,
    title="Statistics of each band: mean, spread, percentiles, gaps and saturation",
    features=tuple(_features()),
    needs=Needs(arrays=True),
    by_scene=band_statistics,
    parameters={"percentiles": list(_PERCENTILES), "letters": list(LETTERS)},
    made_of=("registry.curate.features.bands", "registry.curate.features.sets.spread"),
)
"""Statistics of each band."""
