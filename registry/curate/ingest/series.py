"""Arrays that files turn out not to have, and time steps that nobody or too many date."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import PLAN_ASSETS, Plan, Severity, SourceFinding
from registry.curate.formats.layers import ABSENT, split_layer
from registry.curate.ingest.matching import completed, take_by_key

__all__ = ["series_findings", "spans", "without_absent"]

_SERIES: Final = 4  # sides of an array with a time axis
_SHOWN: Final = 5


def without_absent(plan: Plan, rasters: pa.Table) -> tuple[Plan, pa.Table]:
    """Return a plan and what was read for it without arrays that its files do not have.

    Args:
        plan: What was made of the source, from names alone.
        rasters: Rows of ``RASTERS``.

    Returns:
        Both; the plan with a note for each asset that some samples lack.
    """
    absent = pc.fill_null(pc.equal(rasters["check"], ABSENT), fill_value=False)
    if not pc.any(absent).as_py():
        return plan, rasters
    files = rasters.filter(absent)["file"].combine_chunks()
    gone = pc.is_in(plan.assets["file"], value_set=files)
    lost = plan.assets.filter(gone)
    notes = [
        SourceFinding(
            check=ABSENT,
            severity=Severity.INFO,
            asset=asset,
            message=f"nothing for {asset!r} in {len(own):,} files, such as {_file(own[0])!r}",
            fix="nothing, unless they should have it",
            evidence={"files": own[:_SHOWN].to_pylist()},
        )
        for asset in lost["asset"].unique().to_pylist()
        for own in (lost.filter(pc.equal(lost["asset"], asset))["file"],)
    ]
    kept = replace(
        plan,
        assets=plan.assets.filter(pc.invert(gone)),
        findings=(*plan.findings, *notes),
    )
    return kept, rasters.filter(pc.invert(absent))


def _file(path: pa.Scalar) -> str:
    return split_layer(path.as_py())[0]


def spans(assets: pa.Table) -> pa.Table:
    """Return the first and the last time step of each sample that has dated ones.

    Args:
        assets: Rows with ``sample`` and ``times``.

    Returns:
        Rows ``sample``, ``first``, ``last``.
    """
    times = assets["times"].combine_chunks()
    steps = pa.table({
        "sample": assets["sample"].combine_chunks().take(pc.list_parent_indices(times)),
        "time": pc.list_flatten(times),
    })
    found = steps.group_by("sample").aggregate([("time", "min"), ("time", "max")])
    return found.select(["sample", "time_min", "time_max"]).rename_columns([
        "sample",
        "first",
        "last",
    ])


def series_findings(rasters: pa.Table, assets: pa.Table) -> Iterator[SourceFinding]:
    """Yield time series whose steps are not dated, or by another number of dates.

    Args:
        rasters: Rows of ``RASTERS``.
        assets: The plan's assets; their times count more than the files' own.
    """
    read = take_by_key(rasters, "file", assets["file"])
    whole = completed(assets, PLAN_ASSETS)
    dated = pc.fill_null(pc.list_value_length(whole["times"]), 0)
    own = pc.fill_null(pc.list_value_length(read["times"]), 0)
    table = pa.table({
        "sample": assets["sample"],
        "asset": assets["asset"],
        "file": whole["file"],
        "shape": read["shape"],
        "dates": pc.if_else(pc.greater(dated, 0), dated, own),
    })
    table = table.filter(pc.is_valid(table["shape"]))
    is_series = pc.equal(pc.list_value_length(table["shape"]), _SERIES)
    steps = pc.if_else(is_series, pc.list_element(table["shape"], 0), 1)
    table = table.append_column("steps", steps).append_column("is_series", is_series)
    wrong = pc.and_(pc.greater(table["dates"], 0), pc.not_equal(table["dates"], table["steps"]))
    for row in table.filter(wrong).to_pylist():
        yield SourceFinding(
            check="times",
            severity=Severity.ERROR,
            sample=row["sample"],
            asset=row["asset"],
            message=f"{row['file']!r} has {row['steps']} time steps, but {row['dates']} dates",
            fix="mend the dates, one a time step",
            evidence={"file": row["file"], "steps": row["steps"], "dates": row["dates"]},
        )
    undated = table.filter(pc.and_(table["is_series"], pc.equal(table["dates"], 0)))
    for asset in undated["asset"].unique().to_pylist():
        files = undated.filter(pc.equal(undated["asset"], asset))["file"]
        yield SourceFinding(
            check="undated-series",
            severity=Severity.WARNING,
            asset=asset,
            message=f"nothing dates the time steps of {len(files):,} files, "
            f"such as {files[0].as_py()!r}",
            fix="add the dates to the source's metadata",
            evidence={"files": files[:_SHOWN].to_pylist()},
        )
