"""What is wrong with a source becomes rows of ``reports/ingest``."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import PLAN_ASSETS, Severity, SourceFinding
from registry.curate.ingest.matching import bands_of, completed, take_by_key
from registry.tables.schemas import FINDINGS

__all__ = ["failures_of", "findings_table", "raster_findings"]

_FIXES: Final = {
    "wrong-suffix": "rename the file",
    "pages": "split the file into one image each",
    "gcps": "warp the image to a grid",
    "rpcs": "warp the image to a grid",
    "colour-table": "put the classes' colours into the card",
}
_GRID: Final = ("shape", "crs", "transform")
_PACKED: Final = {"scales": "1.0", "offsets": "0.0"}
"""What files say of each band, and what it is where they do not."""

_SHOWN: Final = 5


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
    read = rasters.filter(pc.is_valid(rasters["sha256"]))
    yield from _unlike_most(
        _beside(assets, read, bands=bands_of(read["shape"])),
        check="mixed-bands",
        message="has {} bands where most have {}",
        fix="give every file of the asset the same bands, or make it another asset",
    )
    yield from _unlike_most(
        _beside(assets, read, dtype=read["dtype"]),
        check="mixed-types",
        message="holds {} where most hold {}",
        fix="see that no value was lost or wrapped when the file was written",
    )
    for key, usual in _PACKED.items():
        yield from _packed_in_several_ways(_beside(assets, read, said=read["said"]), key, usual)
    yield from _contradictions(assets, read)


def _beside(assets: pa.Table, read: pa.Table, **values: pa.ChunkedArray) -> pa.Table:
    """Return the assets that were read, with what was learnt of each."""
    places = pc.index_in(assets["file"], value_set=read["file"].combine_chunks())
    table = assets.select(["sample", "asset", "file"])
    for name, column in values.items():
        table = table.append_column(name, column.take(places))
    return table.filter(pc.is_valid(places))


def _unlike_most(said: pa.Table, *, check: str, message: str, fix: str) -> Iterator[SourceFinding]:
    """Yield the files whose value in the last column is not what most files of the asset have."""
    name = said.column_names[-1]
    groups = said.group_by(["asset", name]).aggregate([("file", "count")])
    usual: dict[str, object] = {}
    for row in groups.sort_by([("file_count", "ascending"), (name, "ascending")]).to_pylist():
        usual[row["asset"]] = row[name]
    for asset, value in usual.items():
        here = pc.and_(pc.equal(said["asset"], asset), pc.not_equal(said[name], value))
        for row in said.filter(here).to_pylist():
            yield SourceFinding(
                check=check,
                severity=Severity.WARNING,
                sample=row["sample"],
                asset=asset,
                message=f"{row['file']!r} {message.format(row[name], value)}",
                fix=fix,
                evidence={"file": row["file"], name: row[name], "usual": value},
            )


def _packed_in_several_ways(said: pa.Table, key: str, usual: str) -> Iterator[SourceFinding]:
    """Yield assets whose bands or files have several scales or offsets: a card has room for one."""
    found = pc.extract_regex(said["said"], rf'"{key}": \[(?P<numbers>[^\]]+)\]')
    numbers = pc.fill_null(pc.struct_field(found, "numbers"), usual)
    ways = pa.table({"asset": said["asset"], "numbers": numbers}).group_by(["asset", "numbers"])
    several: dict[str, set[float]] = {}
    for row in ways.aggregate([]).to_pylist():
        several.setdefault(row["asset"], set()).update(map(float, row["numbers"].split(", ")))
    for asset, values in sorted(several.items()):
        if len(values) > 1:
            shown = ", ".join(f"{value:g}" for value in sorted(values)[:_SHOWN])
            yield SourceFinding(
                check="mixed-scales",
                severity=Severity.WARNING,
                asset=asset,
                message=f"{asset!r} has several {key} to physical values: {shown}; its card "
                "takes none of them from its files",
                fix="make what is packed alike an asset of its own, or say one in the card",
                evidence={key: sorted(values)[:_SHOWN]},
            )


def _contradictions(assets: pa.Table, read: pa.Table) -> Iterator[SourceFinding]:
    """Yield the files whose grid is not what the source states of them elsewhere."""
    found = _beside(assets, read, **{name: read[name] for name in _GRID})
    stated = take_by_key(completed(assets, PLAN_ASSETS), "file", found["file"])
    wrong = {
        "shape": _unlike(_ends(found["shape"], 2), _ends(stated["shape"], 2)),
        "crs": _other_codes(found["crs"], stated["crs"]),
        "transform": _unlike(_ends(found["transform"], 6), _ends(stated["transform"], 6)),
    }
    places = np.flatnonzero(np.logical_or.reduce(list(wrong.values())))
    rows = zip(
        places.tolist(), found.take(places).to_pylist(), stated.take(places).to_pylist(),
        strict=True,
    )  # fmt: skip
    for place, here, there in rows:
        problems = [
            f"the {name} {here[name]}, not {there[name]}" for name in _GRID if wrong[name][place]
        ]
        yield SourceFinding(
            check="contradicted-grid",
            severity=Severity.WARNING,
            sample=here["sample"],
            asset=here["asset"],
            message=f"{here['file']!r} has {' and '.join(problems)}, as the source states of it",
            fix="find out which is right; the file is taken as it is",
            evidence={
                "file": here["file"],
                "found": {name: here[name] for name in _GRID},
                "stated": {name: there[name] for name in _GRID},
            },
        )


def _ends(lists: pa.ChunkedArray, count: int) -> npt.NDArray[np.float64]:
    """Return the last numbers of each list, shape ``(list, count)``; NaN where there are fewer."""
    array = lists.combine_chunks()
    ends = array.offsets.to_numpy()[1:]
    has = pc.fill_null(pc.list_value_length(array), 0).to_numpy() >= count
    numbers = np.full((len(array), count), np.nan)
    values = array.values.to_numpy(zero_copy_only=False)
    numbers[has] = values[ends[has][:, None] - np.arange(count, 0, -1)]
    return numbers


def _unlike(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    known = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    alike = np.isclose(one, other, rtol=1e-9, atol=1e-9).all(axis=1)
    return np.asarray(known & ~alike, dtype=bool)


def _other_codes(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    coded = pc.and_(pc.starts_with(one, "EPSG:"), pc.starts_with(other, "EPSG:"))
    other_code = pc.and_(coded, pc.not_equal(one, other))
    return np.asarray(pc.fill_null(other_code, fill_value=False).to_numpy(), dtype=bool)


def _owners(assets: pa.Table, files: pa.ChunkedArray) -> dict[str, tuple[str, str]]:
    """Return which (sample, asset) each of some files is."""
    named = assets.filter(pc.is_in(assets["file"], value_set=files.combine_chunks()))
    rows = named.select(["file", "sample", "asset"]).to_pylist()
    return {row["file"]: (row["sample"], row["asset"]) for row in rows}
