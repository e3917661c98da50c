"""The set: which label features there are."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import pyarrow as pa

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.grey import is_mask
from registry.curate.features.sets.labels.masks import mask_values
from registry.curate.features.sets.labels.objects import object_values
from registry.curate.features.sets.labels.zones import pooled

__all__ = ["LABELS"]


def _labels(scene: Scene) -> Mapping[str, object]:
    masks = [layer for layer in scene.layers if layer.role == "labels" and layer.raw.shape[1]]
    data = [
        layer
        for layer in scene.layers
        if layer.role == "data" and layer.raw.shape[1] and not is_mask(layer)
    ]
    drawn_on = next(iter((*data, *masks)), None)
    found: dict[str, object] = {**object_values(scene.shapes, drawn_on)}
    if masks:
        found |= _of_mask(next((one for one in masks if one.values), masks[0]), scene)
    if data and scene.shapes:
        found |= pooled(data[0], scene.shapes)
    return found


def _of_mask(layer: Layer, scene: Scene) -> Mapping[str, object]:
    try:
        return mask_values(layer)
    except MissingInputError:
        if not scene.shapes:
            raise
        return {}  # its objects can still be told


_LIST: Final = pa.list_(pa.float64())
_WORDS: Final = pa.list_(pa.string())
_OURS: Final = "this lab"
_SHANNON: Final = "Shannon (1948), doi:10.1002/j.1538-7305.1948.tb01338.x"
_FRAGSTATS: Final = "McGarigal, Marks (1995), FRAGSTATS, doi:10.2737/PNW-GTR-351"
_GEODESIC: Final = "Karney (2013), doi:10.1007/s00190-012-0578-z, for degrees; else planar"
_EXACT: Final = "exactextract, https://github.com/isciences/exactextract"

_MASK: Final = (
    ("mask", "asset that was looked at", "first mask with named classes", "1", _OURS, pa.string()),
    ("classes", "classes that occur, largest share first", "", "1", _OURS, _WORDS),
    ("shares", "their shares of the labelled pixels", "n_c / n", "1", _OURS, _LIST),
    ("dominant", "class with the largest share", "argmax p_c", "1", _OURS, pa.string()),
    ("dominant_share", "its share", "max p_c", "1", _OURS, pa.float64()),
    ("entropy", "diversity of classes", "-sum p_c ln p_c", "nat", _SHANNON, pa.float64()),
    (
        "evenness",
        "diversity relative to its maximum",
        "entropy / ln C",
        "1",
        _SHANNON,
        pa.float64(),
    ),
    ("class_count", "classes that occur", "C", "1", _OURS, pa.int64()),
    ("labelled_pixels", "pixels with a label", "n", "px", _OURS, pa.int64()),
    (
        "patches",
        "connected areas of one class",
        "8 neighbours, mean over times",
        "1",
        _FRAGSTATS,
        pa.float64(),
    ),
    ("patch_pixels", "their mean size", "n / patches", "px", _FRAGSTATS, pa.float64()),
    (
        "edge_share",
        "neighbours in another class",
        "unequal / all pairs of 4 neighbours",
        "1",
        _FRAGSTATS,
        pa.float64(),
    ),
    (
        "edge_density",
        "length of edges by area",
        "unequal pairs * size / area",
        "m/ha",
        _FRAGSTATS,
        pa.float64(),
    ),
)
_OBJECTS: Final = (
    ("objects", "annotations", "count", "1", _OURS, pa.int64()),
    ("object_classes", "their classes, most frequent first", "", "1", _OURS, _WORDS),
    ("object_counts", "how many each class has", "count", "1", _OURS, pa.list_(pa.int64())),
    ("outlines_broken", "outlines that have no area", "count", "1", _OURS, pa.int64()),
    *(
        (
            f"object_{what}_{how}",
            f"{word} {size} of an outline",
            f"{how} A",
            unit,
            source,
            pa.float64(),
        )
        for what, size, unit, source in (
            ("area", "area on the ground", "m2", _GEODESIC),
            ("pixels", "area on the image", "px2", _OURS),
        )
        for how, word in (
            ("mean", "mean"),
            ("median", "median"),
            ("min", "least"),
            ("max", "largest"),
        )
    ),
)
_ZONAL: Final = (
    (
        "zonal_bands",
        "bands of the first data array with pixels under outlines",
        "",
        "1",
        _EXACT,
        _WORDS,
    ),
    ("zonal_count", "pixels under outlines, by band", "sum w_i", "px", _EXACT, _LIST),
    ("zonal_mean", "their mean, by band", "sum w_i v_i / sum w_i", "band unit", _EXACT, _LIST),
    (
        "zonal_std",
        "their standard deviation, by band",
        "sqrt(sum w_i (v_i - mean)^2 / sum w_i)",
        "band unit",
        _EXACT,
        _LIST,
    ),
    ("zonal_min", "their least value, by band", "min v_i, w_i > 0", "band unit", _EXACT, _LIST),
    ("zonal_max", "their largest value, by band", "max v_i, w_i > 0", "band unit", _EXACT, _LIST),
)

_ROOM: Final = "registry.curate.features.sets.labels"

LABELS: Final = FeatureSet(
    name="labels",
    version=1,
    title="Labels: class shares and layout in masks, sizes of objects, pixels under outlines",
    features=tuple(
        Feature(name=name, meaning=meaning, formula=formula, unit=unit, source=source, type=kind)
        for name, meaning, formula, unit, source, kind in (*_MASK, *_OBJECTS, *_ZONAL)
    ),
    needs=Needs(arrays=True, roles=("data", "labels"), annotations=True),
    by_scene=_labels,
    made_of=(
        "registry.curate.features.clear",
        "registry.curate.features.sets.grey",
        *(f"{_ROOM}.{name}" for name in ("covering", "masks", "objects", "placing", "zones")),
        f"exactextract=={version('exactextract')}",
        f"numpy=={version('numpy')}",
        f"scikit-image=={version('scikit-image')}",
        f"shapely=={version('shapely')}",
    ),
)
