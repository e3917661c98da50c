"""What is not pixels: labels as GeoJSON and facts as JSON, by the keys that the readers know."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import shapely
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from registry.curate.formats.contract import CRS84
from registry.curate.formats.geojson import write_labels
from registry.geo import to_crs84

__all__ = ["facts", "in_pixels", "labels"]

Transform = Sequence[float]
"""Affine a, b, c, d, e, f from pixel corner to CRS, rasterio's order."""


def facts(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a sample; what is null is left out.

    A property that is called like a fact is left out where the fact is known.
    """
    source = sample.get("source") or {}
    geometry = sample.get("geometry")
    outline = None if geometry is None else shapely.to_geojson(shapely.from_wkb(geometry))
    said: dict[str, Any] = {
        "id": sample["id"],
        "datetime": _stamp(sample.get("datetime")),
        "start_datetime": _stamp(sample.get("start_datetime")),
        "end_datetime": _stamp(sample.get("end_datetime")),
        "label": sample.get("label") or None,
        "target": sample.get("target"),
        "group": sample.get("group"),
        "collection": source.get("collection"),
        "licence": source.get("licence"),
        "provider": source.get("provider"),
        "declared": sample.get("declared") or None,
        "geometry": None if outline is None else orjson.loads(outline),
    }
    known = {name: value for name, value in said.items() if value is not None}
    further = (sample.get("properties") or {}).items()
    return known | {
        name: value for name, value in further if value is not None and name not in known
    }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def labels(
    annotations: Sequence[Mapping[str, Any]], *, crs: str | None, transform: Transform | None
) -> bytes:
    """Return a sample's annotations as GeoJSON.

    Args:
        annotations: Rows of ``annotations/`` of one sample.
        crs: The sample's CRS; None if it has none.
        transform: From pixels to it.

    Returns:
        A feature collection in the sample's CRS if that has an EPSG code, else in OGC:CRS84; in
        pixels, which it says, if the sample has no CRS.
    """
    if crs is None or transform is None:
        return write_labels(annotations, crs=None)
    placed = [_placed(row, transform) for row in annotations]
    if crs in {CRS84, "EPSG:4326"}:
        return write_labels(placed, crs=CRS84)
    if crs.startswith("EPSG:"):
        return write_labels(placed, crs=crs)
    moved = [_with_shape(row, to_crs84(shape, crs)) if (shape := _shape(row)) else row
             for row in placed]  # fmt: skip
    return write_labels(moved, crs=CRS84)


def in_pixels(row: Mapping[str, Any], transform: Transform | None) -> Mapping[str, Any]:
    """Return an annotation with its geometry in pixels: column, row from the upper left corner.

    Args:
        row: A row of ``annotations/``.
        transform: From pixels to the sample's CRS; None leaves the geometry as it is.
    """
    shape = _shape(row)
    if row.get("frame") == "pixel" or shape is None or transform is None:
        return row
    a, b, c, d, e, f = transform
    scale = a * e - b * d
    inverse = (e / scale, -b / scale, -d / scale, a / scale,
               (b * f - c * e) / scale, (c * d - a * f) / scale)  # fmt: skip
    return _with_shape(row, affine_transform(shape, inverse))


def _placed(row: Mapping[str, Any], transform: Transform) -> Mapping[str, Any]:
    shape = _shape(row)
    if row.get("frame") != "pixel" or shape is None:
        return row
    a, b, c, d, e, f = transform
    return _with_shape(row, affine_transform(shape, (a, b, d, e, c, f)))


def _shape(row: Mapping[str, Any]) -> BaseGeometry | None:
    geometry = row.get("geometry")
    return None if geometry is None else shapely.from_wkb(geometry)


def _with_shape(row: Mapping[str, Any], shape: BaseGeometry) -> Mapping[str, Any]:
    return {**row, "geometry": shapely.to_wkb(shape)}
