"""The declared Arrow schema that STAC items are read into, whatever extensions they use.

What most programs ask of an item is a typed column; beside it stands the JSON text it was taken
from, so that no field of an item is lost and no schema depends on the data.
"""

from typing import Final

import pyarrow as pa

__all__ = ["ASSET", "BBOX", "ITEMS", "PROPERTIES", "TIME"]


def _field(name: str, kind: pa.DataType, **said: str) -> pa.Field:
    return pa.field(name, kind, metadata=said or None)


TIME: Final = pa.timestamp("us", tz="UTC")
"""How every instant is kept."""

BBOX: Final = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
"""A box in degrees; ``xmin > xmax`` crosses the antimeridian."""

PROPERTIES: Final = pa.struct([
    _field("title", pa.string()),
    _field("description", pa.string()),
    _field("license", pa.string()),
    _field("platform", pa.string()),
    _field("constellation", pa.string()),
    _field("mission", pa.string()),
    _field("gsd", pa.float64(), unit="m"),
    _field("created", pa.string()),
    _field("updated", pa.string()),
    _field("eo:cloud_cover", pa.float64(), unit="%"),
    _field("eo:snow_cover", pa.float64(), unit="%"),
    _field("view:off_nadir", pa.float64(), unit="degree"),
    _field("view:sun_azimuth", pa.float64(), unit="degree"),
    _field("view:sun_elevation", pa.float64(), unit="degree"),
    _field("sat:orbit_state", pa.string()),
    _field("sat:relative_orbit", pa.int64()),
    _field("grid:code", pa.string()),
    _field("ml-aoi:split", pa.string()),
])
"""Properties that have a column of their own; a value of another type is null here."""

ASSET: Final = pa.struct([
    _field("key", pa.string()),
    _field("href", pa.string()),
    _field("type", pa.string(), meaning="media type"),
    _field("title", pa.string()),
    _field("roles", pa.list_(pa.string())),
    _field("checksum", pa.string(), meaning="file:checksum, a multihash"),
    _field("size", pa.int64(), unit="byte", meaning="file:size"),
    _field("gsd", pa.float64(), unit="m"),
    _field("data_type", pa.string()),
    _field("nodata", pa.float64()),
    _field("bands", pa.list_(pa.string()), meaning="names of the bands, in order"),
    _field("crs", pa.string(), meaning="proj:code, or proj:epsg as EPSG:n"),
    _field("shape", pa.list_(pa.int64()), meaning="proj:shape: rows, columns"),
    _field("transform", pa.list_(pa.float64()), meaning="proj:transform in rasterio's order, six"),
])
"""What is asked of an asset; projection fields of the item reach its rasters that have none."""

ITEMS: Final = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    _field("collection", pa.string()),
    _field("geometry", pa.binary(), meaning="WKB, two axes, OGC:CRS84"),
    _field("bbox", BBOX, unit="degree"),
    _field("datetime", TIME),
    _field("start_datetime", TIME),
    _field("end_datetime", TIME),
    _field("properties", PROPERTIES),
    _field("properties_json", pa.string(), meaning="every property, as a JSON object"),
    _field("assets", pa.list_(ASSET)),
    _field("assets_json", pa.string(), meaning="every field of every asset, as JSON object"),
    _field("links_json", pa.string(), meaning="JSON array"),
    _field("stac_version", pa.string()),
    _field("stac_extensions", pa.list_(pa.string())),
    _field("origin", pa.string(), meaning="file, and line or number in it, it was read from"),
])
"""What :func:`registry.stac.reader.read` yields."""
