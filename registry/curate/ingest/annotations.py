"""Annotations are brought to the CRS of their sample, or left in pixels where it has none."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.formats.contract import CRS84, PIXEL_FRAME
from registry.curate.ingest.matching import take_by_key
from registry.geo import normalise_crs, transform_points
from registry.tables.derive import derive
from registry.tables.schemas import ANNOTATIONS

__all__ = ["annotation_rows"]

_Objects = npt.NDArray[np.object_]
_DEGREES = frozenset({CRS84, "EPSG:4326"})


def annotation_rows(annotations: pa.Table, assets: pa.Table) -> pa.Table:
    """Return the rows of ``annotations/``.

    Args:
        annotations: All columns of ``PLAN_ANNOTATIONS``.
        assets: With ``sample crs transform``; the first asset of a sample that has a CRS is
            where its annotations go.

    Returns:
        Rows with all columns. A geometry in degrees or metres on a sample without a place is
        null: nobody can say where in the image it is.

    Raises:
        InvalidInputError: An annotation's CRS is unknown.
    """
    samples = annotations["sample"]
    target, transform = _frames(assets, samples)
    source = np.array(annotations["crs"].to_pylist(), dtype=object)
    shapes = shapely.from_wkb(annotations["geometry"].to_numpy(zero_copy_only=False))
    placed = _placed(shapes, source, target, transform)
    frame = np.where(target != None, "crs", "pixel")  # noqa: E711 — element by element
    columns = {name: annotations[name] for name in annotations.column_names}
    columns |= {
        "geometry": pa.array(shapely.to_wkb(placed), pa.binary()),
        "frame": pa.array(frame.tolist(), pa.string()),
    }
    wanted = ANNOTATIONS.arrow
    rows = pa.table({
        field.name: columns.get(field.name, pa.nulls(len(annotations), field.type))
        for field in wanted
    }).cast(wanted)  # fmt: skip
    return derive(rows, ANNOTATIONS)


def _frames(assets: pa.Table, samples: pa.ChunkedArray) -> tuple[_Objects, npt.NDArray[Any]]:
    """Return the CRS and the transform of each annotation's sample; None and NaN without."""
    placed = assets.filter(pc.and_(pc.is_valid(assets["crs"]), pc.is_valid(assets["transform"])))
    found = take_by_key(placed.select(["sample", "crs", "transform"]), "sample", samples)
    known = pc.is_valid(found["crs"]).to_numpy()
    transform = np.full((len(samples), 6), np.nan)
    transform[known] = pc.list_flatten(found["transform"]).to_numpy().reshape(-1, 6)
    crs = np.array(found["crs"].to_pylist(), dtype=object)
    return crs.reshape(len(samples)), transform


def _placed(
    shapes: _Objects, source: _Objects, target: _Objects, transform: npt.NDArray[np.float64]
) -> _Objects:
    """Return the geometries in their samples' frames."""
    placed = np.array(shapes, dtype=object)
    pairs = {pair for pair in zip(source.tolist(), target.tolist(), strict=True) if pair[0]}
    for said, wanted in sorted(pairs, key=str):
        here = (source == said) & (target == wanted)  # None equals None, element by element
        if said == PIXEL_FRAME:
            if wanted is not None:
                placed[here] = _from_pixels(placed[here], transform[here])
        elif wanted is None:
            placed[here] = None
        elif not _are_one(normalise_crs(said), wanted):
            placed[here] = _between(placed[here], said, wanted)
    return placed


def _between(shapes: _Objects, source: str, target: str) -> _Objects:
    points = shapely.get_coordinates(shapes)
    x, y = transform_points(points[:, 0], points[:, 1], source=source, target=target)
    return np.asarray(shapely.set_coordinates(np.array(shapes, object), np.column_stack([x, y])))


def _are_one(said: str, wanted: str) -> bool:
    return said == wanted or {said, wanted} <= _DEGREES


def _from_pixels(shapes: _Objects, transform: npt.NDArray[np.float64]) -> _Objects:
    """Take geometries from (column, row) to the CRS, each by its own sample's transform.

    Returns:
        New geometries, in the same order.
    """
    points, owners = shapely.get_coordinates(shapes, return_index=True)
    a, b, c, d, e, f = transform[owners].T
    x, y = points[:, 0], points[:, 1]
    moved = np.column_stack([a * x + b * y + c, d * x + e * y + f])
    return np.asarray(shapely.set_coordinates(np.array(shapes, dtype=object), moved))
