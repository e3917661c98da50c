"""Rows as JSON: an array of objects, or GeoJSON's features."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.errors import InvalidInputError
from registry.query.outputs.geometry import geometries, geometry_columns, is_degrees
from registry.query.outputs.values import columns_of, json_bytes

__all__ = ["write_geojson", "write_json"]


def write_json(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: BinaryIO) -> None:
    """Write rows as one array of objects, an object a line.

    Args:
        schema: The columns. Geometries become GeoJSON's, bytes hex, times ISO 8601 in UTC.
        batches: The rows.
        out: Where to.
    """
    wkb = geometry_columns(schema)
    rows = (
        json_bytes(dict(zip(schema.names, row, strict=True)))
        for batch in batches
        for row in zip(*columns_of(batch, wkb, text=False), strict=True)
    )
    _write_lines(out, b"[", rows, b"]\n")


def write_geojson(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: BinaryIO) -> None:
    """Write rows as one FeatureCollection.

    Args:
        schema: The columns. ``geometry``, else the first column that is one, becomes the
            features'; ``id`` their name; every other column a property.
        batches: The rows.
        out: Where to.

    Raises:
        InvalidInputError: No column is a geometry, or its coordinates are not degrees.

    References:
        RFC 7946 (2016): section 4 for the CRS, section 3.1.6 for the order of rings.
    """
    wkb = geometry_columns(schema)
    if not wkb:
        raise InvalidInputError(
            "the result has no geometry, which GeoJSON needs",
            hint="select a geometry column, or write --format json",
        )
    chosen = "geometry" if "geometry" in wkb else next(iter(wkb))
    rows = (row for batch in batches for row in _features(batch, wkb, chosen))
    _write_lines(out, b'{"type":"FeatureCollection","features":[', rows, b"]}\n")


def _features(batch: pa.RecordBatch, wkb: dict[str, str], chosen: str) -> Iterator[bytes]:
    shapes = _rfc7946(geometries(batch.column(chosen)), chosen, wkb[chosen])
    names = [name for name in batch.schema.names if name != chosen]
    others = columns_of(batch.select(names), wkb, text=False)
    for index, shape in enumerate(shapely.to_geojson(shapes).tolist()):
        properties = {name: column[index] for name, column in zip(names, others, strict=True)}
        yield json_bytes(_feature(shape, properties))


def _feature(shape: str | None, properties: dict[str, Any]) -> dict[str, Any]:
    feature: dict[str, Any] = {"type": "Feature"}
    if isinstance(properties.get("id"), str | int):
        feature["id"] = properties.pop("id")
    feature["geometry"] = None if shape is None else orjson.Fragment(shape)
    feature["properties"] = properties
    return feature


def _rfc7946(shapes: np.ndarray, column: str, crs: str) -> np.ndarray:
    shapes = shapes.copy()
    shapes[shapely.is_empty(shapes)] = None
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    if not is_degrees(crs, (west, south, east, north)):
        raise InvalidInputError(
            f"column {column!r} is in {crs or 'no known CRS'}, within "
            f"{west:g} {south:g} {east:g} {north:g}; GeoJSON has longitude and latitude only",
            hint=f"select ST_Transform({column}, '{crs or 'its CRS'}', 'OGC:CRS84')",
        )
    return np.asarray(shapely.orient_polygons(shapes, exterior_cw=False))


def _write_lines(out: BinaryIO, start: bytes, rows: Iterator[bytes], end: bytes) -> None:
    out.write(start)
    separator = b"\n"
    for row in rows:
        out.write(separator + row)
        separator = b",\n"
    out.write(b"\n" + end)
