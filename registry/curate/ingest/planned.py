"""A plan is checked before anything is read, and loses the samples that cannot be read."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import AssetKind, Plan
from registry.curate.formats.splits import OFFICIAL, folder_split
from registry.errors import RejectedError
from registry.tables.schemas import splits_schema

__all__ = ["check_plan", "with_folder_split", "without_samples"]

_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$"


def check_plan(plan: Plan) -> None:
    """Refuse a plan that no dataset could hold.

    Raises:
        RejectedError: An id is malformed or comes twice, or a row belongs to no sample.
    """
    ids = plan.samples["id"]
    if not len(ids):
        raise RejectedError("the source has no samples", hint="check the path and the --format")
    fits = pc.and_(pc.match_substring_regex(ids, _ID), pc.invert(pc.match_substring(ids, "..")))
    _refuse_any(ids.filter(pc.invert(fits)), "is no id for a sample", "rename it")
    _refuse_any(_repeated(pc.utf8_lower(ids)), "names two samples", "rename one of them")
    keys = pc.binary_join_element_wise(plan.assets["sample"], plan.assets["asset"], "/")
    _refuse_any(_repeated(keys), "names two assets", "tell them apart by --name-pattern")
    _refuse_any(_repeated(plan.annotations["id"]), "names two annotations", "mend the sidecars")
    for name, split in plan.splits.items():
        splits_schema(name)  # which refuses a name that no table can have
        _refuse_any(_repeated(split["sample"]), f"comes twice in the split {name!r}", "mend it")
    for table in (plan.assets, plan.annotations, *plan.splits.values()):
        owners = table["sample"]
        lost = owners.filter(pc.invert(pc.is_in(owners, value_set=ids.combine_chunks())))
        _refuse_any(lost, "is spoken of, but is no sample", "mend the sidecars")
    rasters = plan.assets.filter(pc.equal(plan.assets["kind"], AssetKind.RASTER.value))
    _refuse_any(
        rasters.filter(pc.is_null(rasters["file"]))["sample"], "has an asset without a file",
        "check the --format",
    )  # fmt: skip
    if "stack" in rasters.column_names:
        stacked = rasters.filter(pc.is_valid(rasters["stack"]))["file"]
        shared = _repeated(rasters["file"])
        _refuse_any(
            shared.filter(pc.is_in(shared, value_set=stacked.combine_chunks())),
            "is stacked with others, but is another asset as well",
            "check the --format",
        )


def _repeated(keys: pa.ChunkedArray) -> pa.ChunkedArray:
    counts = keys.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    return pa.chunked_array([twice.field("values")])


def _refuse_any(wrong: pa.ChunkedArray, problem: str, hint: str) -> None:
    if len(wrong):
        more = f" (and {len(wrong) - 1:,} more such)" if len(wrong) > 1 else ""
        raise RejectedError(f"{wrong[0].as_py()!r} {problem}{more}", hint=hint)


def without_samples(plan: Plan, left_out: AbstractSet[str]) -> Plan:
    """Return the plan without some samples, their assets and annotations."""
    if not left_out:
        return plan
    ids = pa.array(sorted(left_out), pa.string())

    def kept(table: pa.Table, column: str) -> pa.Table:
        return table.filter(pc.invert(pc.is_in(table[column], value_set=ids)))

    return replace(
        plan,
        samples=kept(plan.samples, "id"),
        assets=kept(plan.assets, "sample"),
        annotations=kept(plan.annotations, "sample"),
        splits={name: kept(split, "sample") for name, split in plan.splits.items()},
    )


def with_folder_split(plan: Plan) -> Plan:
    """Return the plan with the split that its files' folders stand for, unless it has its own."""
    split = None if plan.splits else folder_split(plan.assets)
    return plan if split is None else replace(plan, splits={OFFICIAL: split})
