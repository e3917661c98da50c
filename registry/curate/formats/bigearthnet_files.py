"""Which files of a source are which bands of which patch, and which patches belong together."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.bigearthnet_names import BANDS, PATCH, PLACE
from registry.curate.formats.contract import Severity, SourceFinding
from registry.curate.formats.planning import PlanRows

__all__ = ["PatchFiles", "arranged", "changes", "named"]

_FILE: Final = (
    rf"(?:^|/)(?P<patch>{PATCH})"
    r"(?:_(?P<band>B(?:0[1-9]|1[12]|8A)|VV|VH|reference_map)|/(?P<stacked>s1|s2|reference_map))"
    r"\.(?i:tiff?)$"
)
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFiles:
    """The files of patches, sorted by sample, asset and band."""

    table: pa.Table
    """Columns ``path patch asset place single sample``: ``place`` is the band's, from 0;
    ``single`` says whether the file holds that band alone."""

    bands: Mapping[str, tuple[str, ...]]
    """Bands of each asset whose files hold one each: those that at least half of the patches
    have."""


def named(paths: pa.Array) -> pa.Table:
    """Return the files that are named as BigEarthNet's are: ``path patch asset place single``."""
    found = pc.extract_regex(paths, _FILE)
    here = pc.is_valid(found)
    band, stacked = (pc.struct_field(found, name).filter(here) for name in ("band", "stacked"))
    single = pc.not_equal(band, "")
    places = {
        ending: (asset, place)
        for asset, endings in BANDS.items()
        for place, ending in enumerate(endings)
    }
    endings = pa.array(places, pa.string())
    at = pc.index_in(band, value_set=endings)
    assets = pa.array([asset for asset, _ in places.values()], pa.string()).take(at)
    numbers = pa.array([place for _, place in places.values()], pa.int32()).take(at)
    return pa.table({
        "path": paths.filter(here),
        "patch": pc.struct_field(found, "patch").filter(here),
        "asset": pc.if_else(single, assets, stacked),
        "place": pc.if_else(single, numbers, pa.scalar(0, pa.int32())),
        "single": single,
    })


def arranged(found: pa.Table, pairs: Mapping[str, str], rows: PlanRows) -> PatchFiles:
    """Return files sorted by sample, asset and band; what is odd about them becomes findings.

    Args:
        found: As :func:`named` returns them.
        pairs: Sentinel-1 patch to Sentinel-2 patch, where something says so; else those of one
            place belong together, if there is one each.
        rows: Takes findings.
    """
    table = _of_one_kind(found)
    pairs = _completed(pairs, table["patch"].unique(), rows)
    place = pc.index_in(table["patch"], value_set=pa.array(pairs, pa.string()))
    sample = pc.coalesce(pa.array(pairs.values(), pa.string()).take(place), table["patch"])
    order = pa.array([*BANDS, "s2"], pa.string())
    table = table.append_column("sample", sample)
    table = table.append_column("rank", pc.index_in(table["asset"], value_set=order))
    keys = [(name, "ascending") for name in ("sample", "rank", "place", "path")]
    return _without_unusual(_without_repeats(table.sort_by(keys), rows), rows)


def _of_one_kind(named: pa.Table) -> pa.Table:
    """Return the files of each asset that are stacked, or those that are not: which are more."""
    kinds = named.group_by(["asset", "single"]).aggregate([("path", "count")])
    usual: dict[str, bool] = {}
    for row in kinds.sort_by([("path_count", "ascending"), ("single", "ascending")]).to_pylist():
        usual[row["asset"]] = row["single"]
    single = pc.is_in(
        named["asset"],
        value_set=pa.array([name for name, one in usual.items() if one], pa.string()),
    )
    return named.filter(pc.equal(named["single"], single))


def _completed(said: Mapping[str, str], patches: pa.ChunkedArray, rows: PlanRows) -> dict[str, str]:
    """Return which Sentinel-2 patch each Sentinel-1 patch goes with: as said, else by its place."""
    radar = pc.starts_with(patches, "S1")
    ones, twos = patches.filter(radar), patches.filter(pc.invert(radar))
    pairs = {one: said[one] for one in ones.to_pylist() if one in said}
    places: dict[str, list[str]] = {}
    for place, patch in _by_place(twos):
        places.setdefault(place, []).append(patch)
    taken = set(pairs.values())
    alone = [(place, one) for place, one in _by_place(ones) if one not in pairs]
    counts = Counter(place for place, _ in alone)
    doubtful = []
    for place, one in alone:
        there = [patch for patch in places.get(place, ()) if patch not in taken]
        if len(there) == counts[place] == 1:
            pairs[one] = there[0]
        elif there:
            doubtful.append(one)
    if doubtful:
        rows.warn(
            "doubtful-pair",
            f"Sentinel-1 patches that may belong to several Sentinel-2 patches of their place, "
            f"kept apart: {len(doubtful):,}, such as {doubtful[0]!r}",
            fix="give metadata.parquet, which says by s1_name which belong together",
            count=len(doubtful),
            patches=doubtful[:_SHOWN],
        )
    return pairs


def _by_place(patches: pa.ChunkedArray) -> Iterator[tuple[str, str]]:
    places = pc.struct_field(pc.extract_regex(patches, PLACE), "place")
    return (
        (place, patch)
        for place, patch in zip(places.to_pylist(), patches.to_pylist(), strict=True)
        if place is not None
    )


def _without_repeats(table: pa.Table, rows: PlanRows) -> pa.Table:
    """Return a sorted table with one file a band; the first by path counts."""
    first = changes(table, ("sample", "asset", "place"))
    if not first.all():
        twice = table.filter(pa.array(~first))
        names = twice["path"].slice(0, _SHOWN).to_pylist()
        rows.warn(
            "duplicate-file",
            f"files of bands that are there twice, of which the first by path counts: "
            f"{len(twice):,}, such as {names[0]!r}",
            fix="remove one of each",
            count=len(twice),
            files=names,
        )
    return table.filter(pa.array(first))


def changes(table: pa.Table, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Return where a row of a sorted table differs from the one before it."""
    first = np.zeros(len(table), bool)
    first[:1] = True
    for name in names:
        column = table[name].combine_chunks()
        changed = pc.not_equal(column.slice(1), column.slice(0, max(len(column) - 1, 0)))
        first[1:] |= changed.to_numpy(zero_copy_only=False)
    return first


def _without_unusual(table: pa.Table, rows: PlanRows) -> PatchFiles:
    """Return the files of the bands that at least half of the patches have.

    What lacks such a band is an error; what is left over is nobody's.
    """
    single = table.filter(table["single"])
    groups = single.filter(pa.array(changes(single, ("sample", "asset"))))["asset"]
    sizes = Counter(groups.to_pylist())
    usual: dict[str, list[int]] = {asset: [] for asset in BANDS if asset in sizes}
    counts = single.group_by(["asset", "place"]).aggregate([("path", "count")])
    for row in counts.sort_by("place").to_pylist():
        if row["path_count"] * 2 >= sizes[row["asset"]]:
            usual[row["asset"]].append(row["place"])
    named_so = [f"{asset}/{place}" for asset, places in usual.items() for place in places]
    keys = pa.array(named_so, pa.string())
    key = pc.binary_join_element_wise(table["asset"], table["place"].cast(pa.string()), "/")
    table = table.filter(pc.or_(pc.is_in(key, value_set=keys), pc.invert(table["single"])))
    held = table.filter(table["single"]).group_by(["sample", "asset"])
    held = held.aggregate([("place", "list")])
    wanted = pa.array([len(usual[asset]) for asset in held["asset"].to_pylist()], pa.int32())
    lacking = held.filter(pc.not_equal(pc.list_value_length(held["place_list"]), wanted))
    for row in lacking.sort_by([("sample", "ascending"), ("asset", "ascending")]).to_pylist():
        rows.findings.append(_missing_band(row, usual[row["asset"]]))
    bands = {asset: tuple(BANDS[asset][one] for one in places) for asset, places in usual.items()}
    return PatchFiles(table=table, bands=bands)


def _missing_band(row: Mapping[str, Any], usual: list[int]) -> SourceFinding:
    endings = BANDS[row["asset"]]
    missing = [endings[place] for place in sorted(set(usual) - set(row["place_list"]))]
    return SourceFinding(
        check="missing-band",
        severity=Severity.ERROR,
        message=f"patch {row['sample']!r} has no {', '.join(missing)}, though others have",
        fix="fetch the patch again, or leave it out with --on-error skip",
        sample=row["sample"],
        asset=row["asset"],
        evidence={"missing": missing},
    )
