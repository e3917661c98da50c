"""The assets of many items as one list column, made of whole Arrow columns at a time."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.stac.schema import ASSET

__all__ = ["asset_lists"]

_RASTER: Final = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
_BAND_LISTS: Final = ("bands", "eo:bands", "raster:bands")
_AFFINE: Final = 6


def asset_lists(said: pa.MapArray, place: pa.StructArray) -> pa.ListArray:
    """Return the assets of items in the layout of :data:`registry.stac.schema.ASSET`.

    Args:
        said: Each item's assets by key, with the fields as STAC names them; a null asset is a
            key that only other items have.
        place: Each item's own projection fields, for its rasters that have none.
    """
    sizes = np.diff(said.offsets.to_numpy())
    owners = np.repeat(np.arange(len(said)), sizes)
    present = said.items.is_valid()
    keys, found = said.keys.filter(present), said.items.filter(present)
    owners = owners[present.to_numpy(zero_copy_only=False)]
    fields = _fields(keys, found, place.take(pa.array(owners)))
    values = pa.StructArray.from_arrays(
        [_as(fields[field.name], field.type) for field in ASSET], fields=list(ASSET)
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(said)))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type == kind else column.cast(kind)


def _fields(keys: pa.Array, found: pa.StructArray, place: pa.StructArray) -> dict[str, pa.Array]:
    said = {field.name: pc.struct_field(found, field.name) for field in found.type}
    raster = _any(pc.starts_with(said["type"], prefix) for prefix in _RASTER)
    own = {field.name: pc.struct_field(place, field.name) for field in place.type}
    inherited = {
        name: pc.if_else(raster, column, pa.scalar(None, column.type))
        for name, column in own.items()
    }
    firsts = [_first_bands(said[name]) for name in ("bands", "raster:bands")]
    return {
        "key": keys,
        "href": said["href"],
        "type": said["type"],
        "title": said["title"],
        "roles": said["roles"],
        "checksum": said["file:checksum"],
        "size": said["file:size"],
        "gsd": said["gsd"],
        "data_type": pc.coalesce(
            said["data_type"], *(pc.struct_field(band, "data_type") for band in firsts)
        ),
        "nodata": pc.coalesce(
            said["nodata"], *(pc.struct_field(band, "nodata") for band in firsts)
        ),
        "bands": pc.coalesce(*(_names(said[name]) for name in _BAND_LISTS)),
        "crs": pc.coalesce(_crs(said), _crs(inherited)),
        "shape": pc.coalesce(said["proj:shape"], inherited["proj:shape"]),
        "transform": pc.coalesce(
            _affine(said["proj:transform"]), _affine(inherited["proj:transform"])
        ),
    }


def _any(conditions: object) -> pa.Array:
    found = None
    for condition in conditions:  # type: ignore[attr-defined]  # a generator of arrays
        found = condition if found is None else pc.or_(found, condition)
    return pc.fill_null(found, False)  # noqa: FBT003 — Arrow's own signature


def _crs(said: dict[str, pa.Array]) -> pa.Array:
    numbered = pc.binary_join_element_wise("EPSG", said["proj:epsg"], ":")
    return pc.coalesce(said["proj:code"], numbered)


def _affine(transforms: pa.ListArray) -> pa.ListArray:
    """Return transforms cut to the six numbers that say something; others become null."""
    sizes = pc.list_value_length(transforms)
    long = pc.fill_null(pc.greater_equal(sizes, _AFFINE), False)  # noqa: FBT003 — Arrow's own
    kept = pc.if_else(long, transforms, pa.scalar(None, transforms.type))
    return pc.list_slice(kept, 0, _AFFINE, return_fixed_size_list=False)


def _first_bands(bands: pa.ListArray) -> pa.StructArray:
    some = pc.greater(pc.list_value_length(bands), 0)
    starts = pc.if_else(some, bands.offsets[:-1].cast(pa.int64()), None)
    return bands.values.take(starts)


def _names(bands: pa.ListArray) -> pa.ListArray:
    names = pc.struct_field(bands.values, "name")
    lists = pa.ListArray.from_arrays(bands.offsets, names, mask=bands.is_null())
    return pc.if_else(pc.greater(pc.list_value_length(bands), 0), lists, None)
