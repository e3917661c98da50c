"""What is wrong with a source becomes rows of ``reports/ingest``."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import Severity, SourceFinding
from registry.tables.schemas import FINDINGS

__all__ = ["failures_of", "findings_table", "raster_findings"]

_FIXES: Final = {
    "wrong-suffix": "rename the file",
    "pages": "split the file into one image each",
    "gcps": "warp the image to a grid",
    "rpcs": "warp the image to a grid",
    "colour-table": "put the classes' colours into the card",
}


def findings_table(findings: Iterable[SourceFinding]) -> pa.Table:
    """Return findings as rows, each with an id of its own that stays the same next time."""
    seen: Counter[str] = Counter()
    rows = []
    for finding in findings:
        name = ":".join(filter(None, (finding.check, finding.sample, finding.asset)))
        seen[name] += 1
        rows.append({
            "id": name if seen[name] == 1 else f"{name}:{seen[name]}",
            "check": finding.check,
            "severity": finding.severity.value,
            "sample": finding.sample,
            "asset": finding.asset,
            "message": finding.message,
            "evidence": json.dumps(dict(finding.evidence), ensure_ascii=False, default=str),
            "fix": finding.fix,
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=FINDINGS.arrow)


def failures_of(rasters: pa.Table, assets: pa.Table) -> list[SourceFinding]:
    """Return the files that could not be read, as errors.

    Args:
        rasters: Rows of ``RASTERS``.
        assets: The plan's assets.
    """
    failed = rasters.filter(pc.is_valid(rasters["check"]))
    owners = _owners(assets, failed["file"])
    return [
        SourceFinding(
            check=row["check"],
            severity=Severity.ERROR,
            sample=owners.get(row["file"], (None, None))[0],
            asset=owners.get(row["file"], (None, None))[1],
            message=f"{row['file']!r} {row['message']}",
            fix=row["fix"],
            evidence={"file": row["file"]},
        )
        for row in failed.select(["file", "check", "message", "fix"]).to_pylist()
    ]


def raster_findings(rasters: pa.Table, assets: pa.Table) -> Iterator[SourceFinding]:
    """Yield what is odd about files that were read, and bands that do not go together."""
    odd = rasters.filter(pc.greater(pc.list_value_length(rasters["warnings"]), 0))
    owners = _owners(assets, odd["file"])
    for row in odd.select(["file", "warnings"]).to_pylist():
        sample, asset = owners.get(row["file"], (None, None))
        for warning in row["warnings"]:
            check, _, message = warning.partition(": ")
            yield SourceFinding(
                check=check,
                severity=Severity.WARNING,
                sample=sample,
                asset=asset,
                message=f"{row['file']!r} {message}",
                fix=_FIXES.get(check, "look at the file"),
                evidence={"file": row["file"]},
            )
    yield from _mixed_bands(rasters, assets)


def _mixed_bands(rasters: pa.Table, assets: pa.Table) -> Iterator[SourceFinding]:
    read = rasters.filter(pc.is_valid(rasters["sha256"]))
    places = pc.index_in(assets["file"], value_set=read["file"].combine_chunks())
    counts = pc.list_element(read["shape"], 0).take(places)
    with_counts = assets.select(["sample", "asset", "file"]).append_column("bands", counts)
    with_counts = with_counts.filter(pc.is_valid(with_counts["bands"]))
    groups = with_counts.group_by(["asset", "bands"]).aggregate([("file", "count")])
    usual: dict[str, int] = {}
    for row in groups.sort_by([("file_count", "ascending")]).to_pylist():
        usual[row["asset"]] = row["bands"]
    for asset, bands in usual.items():
        here = pc.and_(
            pc.equal(with_counts["asset"], asset), pc.not_equal(with_counts["bands"], bands)
        )
        for row in with_counts.filter(here).to_pylist():
            yield SourceFinding(
                check="mixed-bands",
                severity=Severity.WARNING,
                sample=row["sample"],
                asset=asset,
                message=f"{row['file']!r} has {row['bands']} bands where most have {bands}",
                fix="give every file of the asset the same bands, or make it another asset",
                evidence={"file": row["file"], "bands": row["bands"], "usual": bands},
            )


def _owners(assets: pa.Table, files: pa.ChunkedArray) -> dict[str, tuple[str, str]]:
    """Return which (sample, asset) each of some files is."""
    named = assets.filter(pc.is_in(assets["file"], value_set=files.combine_chunks()))
    rows = named.select(["file", "sample", "asset"]).to_pylist()
    return {row["file"]: (row["sample"], row["asset"]) for row in rows}
