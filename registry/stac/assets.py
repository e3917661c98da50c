"""The assets of many items as one list column, made of whole Arrow columns at a time."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.stac.schema import ASSET

__all__ = ["asset_lists"]

_RASTER: Final = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
_BAND_LISTS: Final = ("bands", "eo:bands", "raster:bands")
_AFFINE: Final = 6


def asset_lists(said: pa.MapArray, place: Mapping[str, pa.Array]) -> pa.ListArray:
    """Return the assets of items in the layout of :data:`registry.stac.schema.ASSET`.

    Args:
        said: Each item's assets by key, with the fields as STAC names them; a null asset is a
            key that only other items have.
        place: Each item's own projection fields by name, for its rasters that have none.
    """
    owners = np.repeat(np.arange(len(said)), np.diff(said.offsets.to_numpy()))
    keys, found = said.keys, said.items
    if found.null_count:
        present = found.is_valid()
        keys, found = keys.filter(present), found.filter(present)
        owners = owners[present.to_numpy(zero_copy_only=False)]
    fields = _fields(keys, found, place, pa.array(owners))
    values = pa.StructArray.from_arrays(
        [_as(fields[field.name], field.type) for field in ASSET], fields=list(ASSET)
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(said)))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type == kind else column.cast(kind)


def _fields(
    keys: pa.Array, found: pa.StructArray, place: Mapping[str, pa.Array], owners: pa.Array
) -> dict[str, pa.Array]:
    said = {field.name: pc.struct_field(found, field.name) for field in found.type}
    inherited = _inherited(said["type"], place, owners)
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
        "data_type": _either(
            said["data_type"], *(pc.struct_field(band, "data_type") for band in firsts)
        ),
        "nodata": _either(said["nodata"], *(pc.struct_field(band, "nodata") for band in firsts)),
        "bands": _either(*(_names(said[name]) for name in _BAND_LISTS)),
        "crs": _either(*_crs(said), *_crs(inherited)),
        "shape": _either(said["proj:shape"], inherited["proj:shape"]),
        "transform": _either(_affine(said["proj:transform"]), _affine(inherited["proj:transform"])),
    }


def _either(*columns: pa.Array) -> pa.Array:
    """Return the first that is not null, without touching columns that say nothing."""
    saying = [column for column in columns if column.null_count < len(column)] or [columns[0]]
    return saying[0] if saying[0].null_count == 0 or len(saying) == 1 else pc.coalesce(*saying)


def _inherited(
    kinds: pa.Array, own: Mapping[str, pa.Array], owners: pa.Array
) -> dict[str, pa.Array]:
    """Return what assets take over from their items: rasters their projection, others nothing."""
    if all(column.null_count == len(column) for column in own.values()):
        return {name: pa.nulls(len(owners), column.type) for name, column in own.items()}
    raster = pc.fill_null(
        pc.match_substring_regex(kinds, f"^({'|'.join(_RASTER)})"),
        False,  # noqa: FBT003 — Arrow's own signature
    )
    # a null index takes a null
    rows = pc.if_else(raster, owners, None)
    return {name: column.take(rows) for name, column in own.items()}


def _crs(said: dict[str, pa.Array]) -> tuple[pa.Array, pa.Array]:
    numbers = said["proj:epsg"]
    if numbers.null_count == len(numbers):
        return said["proj:code"], numbers
    return said["proj:code"], pc.binary_join_element_wise("EPSG", numbers, ":")


def _affine(transforms: pa.ListArray) -> pa.ListArray:
    """Return transforms cut to the six numbers that say something; others become null."""
    sizes = pc.min_max(pc.list_value_length(transforms)).as_py()
    if sizes["min"] in {None, _AFFINE} and sizes["max"] in {None, _AFFINE}:
        return transforms
    lengths = pc.list_value_length(transforms)
    long = pc.fill_null(pc.greater_equal(lengths, _AFFINE), False)  # noqa: FBT003 — Arrow's own
    kept = pc.if_else(long, transforms, pa.scalar(None, transforms.type))
    return pc.list_slice(kept, 0, _AFFINE, return_fixed_size_list=False)


def _first_bands(bands: pa.ListArray) -> pa.StructArray:
    if bands.null_count == len(bands):
        return pa.nulls(len(bands), bands.type.value_type)
    some = pc.greater(pc.list_value_length(bands), 0)
    starts = pc.if_else(some, bands.offsets[:-1].cast(pa.int64()), None)
    return bands.values.take(starts)


def _names(bands: pa.ListArray) -> pa.ListArray:
    if bands.null_count == len(bands):
        return pa.nulls(len(bands), pa.list_(pa.string()))
    names = pc.struct_field(bands.values, "name")
    mask = bands.is_null() if bands.null_count else None
    lists = pa.ListArray.from_arrays(bands.offsets, names, mask=mask)
    if pc.min(pc.list_value_length(bands)).as_py() > 0:
        return lists
    return pc.if_else(pc.greater(pc.list_value_length(bands), 0), lists, None)
