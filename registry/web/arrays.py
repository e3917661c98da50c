"""What the assets of a version are, counted over all samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.card.spec import AssetSpec

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["AssetFacts", "asset_facts"]

_UNSAID = AssetSpec()
_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """One asset of the samples of a version."""

    key: str
    """What it is called."""

    said: AssetSpec
    """What the card says of it."""

    samples: int
    """How many samples have it."""

    kinds: str
    """Data types that occur."""

    shape: str
    """Its shape, or the range of its sizes."""

    systems: str
    """Its coordinate system, or how many there are."""


def asset_facts(version: "Version") -> list[AssetFacts]:
    """Return what the assets of a version are, by key.

    Args:
        version: What is described.
    """
    if not version.count("assets"):
        return [
            AssetFacts(key=key, said=said, samples=0, kinds="", shape="", systems="")
            for key, said in version.spec.assets.items()
        ]
    table = version.table("assets", columns=["asset", "shape", "dtype", "crs"])
    ranks = pc.list_value_length(table["shape"])
    flat = {
        "asset": table["asset"],
        "dtype": table["dtype"],
        "crs": table["crs"],
        "rank": ranks,
        "high": _from_end(table["shape"], 2),
        "wide": _from_end(table["shape"], 1),
        "bands": _from_end(table["shape"], 3),
        "steps": _from_end(table["shape"], 4),
    }
    sizes = [(name, each) for name in ("high", "wide", "bands", "steps") for each in ("min", "max")]
    found = (
        pa
        .table(flat)
        .group_by("asset")
        .aggregate([("asset", "count"), ("dtype", "distinct"), ("crs", "distinct"), *sizes])
        .sort_by("asset")
        .to_pylist()
    )
    return [_facts(row, version.spec.assets) for row in found]


def _from_end(shapes: pa.ChunkedArray, place: int) -> pa.Array:
    lists = shapes.combine_chunks()
    sizes = pc.list_value_length(lists)
    ends = lists.offsets[1:].cast(pa.int64())
    at = pc.if_else(pc.greater_equal(sizes, place), pc.subtract(ends, place), None)
    return lists.values.take(at)


def _facts(row: Mapping[str, Any], said: Mapping[str, AssetSpec]) -> AssetFacts:
    kinds = sorted(str(kind) for kind in row["dtype_distinct"] if kind)
    systems = sorted(str(crs) for crs in row["crs_distinct"] if crs)
    parts = [
        _range(row["steps_min"], row["steps_max"], "times"),
        _range(row["bands_min"], row["bands_max"], "bands"),
        _size(row),
    ]
    named = systems[0] if len(systems) == 1 and len(systems[0]) < 20 else ""  # noqa: PLR2004 — WKT is longer
    return AssetFacts(
        key=row["asset"],
        said=said.get(row["asset"], _UNSAID),
        samples=row["asset_count"],
        kinds=", ".join(kinds),
        shape=", ".join(part for part in parts if part),
        systems=named or (f"{len(systems)} systems" if systems else "none"),
    )


def _range(low: int | None, high: int | None, what: str) -> str:
    if low is None or high is None:
        return ""
    return f"{low} {what[:-1] if high == 1 else what}" if low == high else f"{low} to {high} {what}"


def _size(row: Mapping[str, Any]) -> str:
    if row["high_min"] is None or row["wide_min"] is None:
        return ""
    smallest, largest = (f"{row[f'high_{e}']} {_TIMES} {row[f'wide_{e}']}" for e in ("min", "max"))
    return f"{smallest} pixels" if smallest == largest else f"{smallest} to {largest} pixels"
