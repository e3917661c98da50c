"""Assets of STAC items as rows of a plan: which are data, where they are, what is said of them."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog import AssetSpec
from registry.curate.formats.contract import PLAN_ASSETS, AssetKind, Listing

__all__ = ["assets_of", "flat_assets", "resolved", "specs_of", "table_of"]

_SIDE_ROLES: Final = pa.array(["thumbnail", "overview", "metadata", "tiles", "visual-preview"])
_SIDE_TYPES: Final = re.compile(
    r"(?:application/(?:json|xml|geo\+json)|text/.*|image/(?:png|jpeg))"
)
_DTYPES: Final = pa.array([
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64",
])  # fmt: skip


def table_of(given: Mapping[str, pa.Array], schema: pa.Schema, *, count: int) -> pa.Table:
    """Return columns as a table of a schema; what is not given is null in all ``count`` rows."""
    columns = [
        given[name].cast(kind) if name in given else pa.nulls(count, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def flat_assets(batch: pa.RecordBatch) -> pa.Table:
    """Return one row a data asset, with ``sample`` and ``origin`` of its item."""
    lists = batch["assets"]
    flat = pc.list_flatten(lists)
    parents = pc.list_parent_indices(lists)
    table = pa.Table.from_struct_array(flat).append_column("sample", batch["id"].take(parents))
    table = table.append_column("origin", batch["origin"].take(parents))
    return table.filter(pa.array(_is_data(flat)))


def _is_data(assets: pa.StructArray) -> npt.NDArray[np.bool_]:
    """Return which assets are data: said so by role, or said to be nothing else."""
    roles = pc.struct_field(assets, "roles")
    parents = pc.list_parent_indices(roles).to_numpy(zero_copy_only=False)
    each = pc.list_flatten(roles)
    data, side = np.zeros(len(assets), bool), np.zeros(len(assets), bool)
    data[parents[pc.equal(each, "data").to_numpy(zero_copy_only=False).astype(bool)]] = True
    side[parents[pc.is_in(each, value_set=_SIDE_ROLES).to_numpy(zero_copy_only=False)]] = True
    media = pc.struct_field(assets, "type").to_pylist()
    side |= np.array([bool(kind and _SIDE_TYPES.fullmatch(kind)) for kind in media], bool)
    return data | ~side


def resolved(listing: Listing, origin: str, href: str) -> str | None:
    """Return the path that a relative address means, if it is one of the listing."""
    source, _, place = origin.partition("#")
    parts: list[str] = []
    for part in (*PurePosixPath(source or place).parent.parts, *PurePosixPath(href).parts):
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    found = "/".join(parts)
    return found if found in listing.files else None


def assets_of(flat: pa.Table, files: list[str | None]) -> pa.Table:
    """Return rows of ``PLAN_ASSETS`` and their ``origin``.

    Args:
        flat: What :func:`flat_assets` gives.
        files: For each, the file of the listing that it is; None for what stays outside.
    """
    inside = pa.array([file is not None for file in files])
    kinds = pc.if_else(inside, AssetKind.RASTER.value, AssetKind.REFERENCE.value)
    dtype = flat["data_type"]
    known = pc.is_in(dtype, value_set=_DTYPES)
    given = {
        "sample": flat["sample"],
        "asset": flat["key"],
        "kind": kinds,
        "file": pa.array(files, pa.string()),
        "href": pc.if_else(inside, pa.scalar(None, pa.string()), flat["href"]),
        "checksum": flat["checksum"],
        "size": flat["size"],
        "shape": _shapes(flat),
        "dtype": pc.if_else(known, dtype, pa.scalar(None, pa.string())),
        "crs": flat["crs"],
        "transform": flat["transform"],
        "nodata": flat["nodata"],
    }
    table = table_of(given, PLAN_ASSETS, count=flat.num_rows)
    return table.append_column("origin", flat["origin"])


def _shapes(flat: pa.Table) -> pa.Array:
    """Return (band, y, x) where the item says all three."""
    pairs = zip(flat["shape"].to_pylist(), flat["bands"].to_pylist(), strict=True)
    return pa.array(
        [[len(bands), *shape] if shape and len(shape) == 2 and bands else None  # noqa: PLR2004 — rows, columns
         for shape, bands in pairs],
        pa.list_(pa.int32()),
    )  # fmt: skip


def specs_of(flat: pa.Table) -> dict[str, AssetSpec]:
    """Return what all items of the first batch say alike of each asset."""
    said: dict[str, Counter[tuple[str | None, tuple[str, ...], float | None]]] = {}
    wanted = flat.select(["key", "title", "bands", "gsd"])
    for row in wanted.to_pylist():
        bands = tuple(name or "" for name in row["bands"] or ())
        gsd = row["gsd"] if row["gsd"] and row["gsd"] > 0 else None
        said.setdefault(row["key"], Counter())[row["title"], bands, gsd] += 1
    specs = {}
    for key, counts in said.items():
        titles, layouts, sizes = (set(column) for column in zip(*counts, strict=True))
        one = layouts.pop() if len(layouts) == 1 else ()
        specs[key] = AssetSpec(
            title=titles.pop() if len(titles) == 1 else None,
            role="data",
            bands=one if len(set(one)) == len(one) and all(one) else (),
            gsd=sizes.pop() if len(sizes) == 1 else None,
        )
    return specs
