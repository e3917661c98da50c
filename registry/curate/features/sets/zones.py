"""Pixels under outlines, kept: one row an annotation, asset, time step and band."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from registry.curate.features.cells import Subsets
from registry.curate.features.definition import Feature, FeatureSet, Gathering, Needs
from registry.curate.features.scene import Layer, Scene, Shape
from registry.curate.features.sets.grey import is_mask
from registry.curate.features.sets.labels.zones import zonal
from registry.curate.features.work import AssetFacts
from registry.tables.schemas import ZONES as SCHEMA

__all__ = ["ZONES"]

_ROOM: Final = "registry.curate.features.sets.labels"
_FORMULAS: Final = {
    "count": "sum w_i", "mean": "sum w_i v_i / sum w_i",
    "std": "sqrt(sum w_i (v_i - mean)^2 / sum w_i)", "min": "min v_i, w_i > 0",
    "max": "max v_i, w_i > 0",
}  # fmt: skip
_AT_ONCE: Final = 65_536
_PARTIAL: Final = pa.list_(pa.struct([pa.field(one.name, one.type) for one in SCHEMA.arrow]))


def by_scene(scene: Scene) -> Mapping[str, object]:
    """Return the rows of a sample's annotations.

    Outlines are measured on arrays of role ``data`` in which they have a place: those in
    coordinates of the ground where an array has the system of the sample's first placed one, those
    in pixels where it has as many pixels as the first.
    """
    data = [one for one in scene.layers if one.role == "data" and not _is_left_out(one)]
    rows = [
        row for layer in data for row in _rows(scene.sample, layer, _meant(layer, scene, data[0]))
    ]
    return {"rows": rows}


def _is_left_out(layer: Layer) -> bool:
    complex_ = np.issubdtype(layer.raw.dtype, np.complexfloating)
    return not layer.raw.shape[1] or bool(complex_) or is_mask(layer)


def _meant(layer: Layer, scene: Scene, first: Layer) -> list[Shape]:
    placed = next((one for one in scene.layers if one.transform is not None), first)
    on_ground = layer.crs == placed.crs
    in_pixels = layer.raw.shape[-2:] == first.raw.shape[-2:]
    return [one for one in scene.shapes if (in_pixels if one.frame == "pixel" else on_ground)]


def _rows(sample: str, layer: Layer, shapes: Sequence[Shape]) -> Iterator[dict[str, Any]]:
    if not shapes:
        return
    times, bands = layer.raw.shape[:2]
    named = layer.bands if len(set(layer.bands)) == bands else ()
    for place, row in enumerate(zonal(layer, shapes).to_pylist()):
        number = place % bands
        yield {
            **row,
            "sample": sample,
            "asset": layer.asset,
            "step": place // bands % times,
            "band": named[number] if named else str(number + 1),
        }


def gather(_cells: Sequence[int], values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a batch of samples."""
    return list(chain.from_iterable(one["rows"] for one in values))


def finish(
    partials: Iterator[Mapping[str, Any]], _subsets: Subsets, _assets: Sequence[AssetFacts]
) -> pa.Table:
    """Return the rows of the table, sorted by its key.

    Args:
        partials: Rows in any order.
    """
    parts = [SCHEMA.arrow.empty_table()]
    held: list[Mapping[str, Any]] = []
    for row in partials:
        held.append(row)
        if len(held) == _AT_ONCE:
            parts.append(pa.Table.from_pylist(held, SCHEMA.arrow))
            held = []
    parts.append(pa.Table.from_pylist(held, SCHEMA.arrow))
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in SCHEMA.key])


ZONES: Final = FeatureSet(
    name="zones",
    version=1,
    title="Pixels under each outline: statistics of an annotation by asset, time and band",
    features=tuple(
        Feature(
            name=one.name,
            meaning=(one.metadata or {})[b"meaning"].decode(),
            formula=_FORMULAS.get(one.name, one.name),
            source="exactextract, https://github.com/isciences/exactextract"
            if one.name in _FORMULAS
            else "this lab",
            unit=(one.metadata or {}).get(b"unit", b"1").decode(),
            type=one.type,
        )
        for one in SCHEMA.arrow
        if one.name not in SCHEMA.key
    ),
    needs=Needs(arrays=True, roles=("data", "labels"), annotations=True),
    by_scene=by_scene,
    key=SCHEMA.key,
    gathering=Gathering(partial=_PARTIAL, gather=gather, finish=finish),
    made_of=(
        "registry.curate.features.sets.grey",
        *(f"{_ROOM}.{name}" for name in ("covering", "placing", "zones")),
        f"exactextract=={version('exactextract')}",
        f"numpy=={version('numpy')}",
        f"shapely=={version('shapely')}",
    ),
)
"""The set ``zones``: always computed whole, because its rows are no samples."""
