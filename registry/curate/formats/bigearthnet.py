"""BigEarthNet: the official trees of a file a band, and patches whose bands are stacked already."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.splits import subset_of
from registry.curate.formats.bigearthnet_files import PatchFiles, arranged, changes, named
from registry.curate.formats.bigearthnet_metadata import Fact, Facts, Stated, read_facts
from registry.curate.formats.bigearthnet_names import (
    BANDS,
    PLACE,
    RADAR,
    classes_of,
    offset_of,
    specs_of,
)
from registry.curate.formats.contract import (
    PLAN_ASSETS,
    AssetKind,
    Listing,
    Plan,
    SourceOptions,
)
from registry.curate.formats.planning import PlanRows, ignored_files
from registry.curate.formats.splits import OFFICIAL, split_of
from registry.errors import InvalidInputError, RejectedError
from registry.geo import Grid, footprints

__all__ = ["BigEarthNet"]

_SURE: Final = 0.97
_RASTER: Final = r"(?i)\.(?:tiff?|jpe?g|png|jp2)$"
_BASELINE: Final = r"_N(?P<baseline>\d{4})_"
_TAKEN: Final = r"_(?P<taken>\d{8}T\d{5,6})_"
_PROCESSED_LATER: Final = r"MSIL2A_20(?:2[2-9]|[3-9]\d)\d{4}T\d+_N9999_"
# Nothing says it of the stacks that are about, but their first band is the darker by 4 to 15 dB in
# every patch, and surfaces send back less across than along.
_STACKED_RADAR: Final = ("VH", "VV")
_AT_10M: Final = frozenset({"s2", "s2_10m", "s1", "reference_map"})
_SHOWN: Final = 5


class BigEarthNet:
    """Patches of Sentinel-2, Sentinel-1 and CORINE Land Cover, by the names of their files.

    Known are the official trees of v1 and v2 (``BigEarthNet-S2/<scene>/<patch>/<patch>_B02.tif``,
    ``BigEarthNet-S1``, ``Reference_Maps``, with ``metadata.parquet`` or a
    ``<patch>_labels_metadata.json`` a patch; any further folders may stand above the files), and
    patches in folders with ``s2.tif`` and ``s1.tif`` beside a ``metadata.json``.

    References:
        Clasen et al. (2025), reBEN, doi:10.1109/IGARSS55030.2025.11242834.
    """

    name = "bigearthnet"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: the share of rasters that are named as BigEarthNet's are."""
        paths = pa.array(listing.files, pa.string())
        count = pc.sum(pc.match_substring_regex(paths, _RASTER)).as_py() or 0
        return _SURE * len(named(paths)) / count if count else 0.0

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample a patch, with the bands of each resolution as one asset.

        Returns:
            The plan: assets ``s2_10m``, ``s2_20m``, ``s2_60m`` (or ``s2`` where the bands were
            stacked before), ``s1`` and ``reference_map``; pixels stay as they came. Labels, split
            and properties are the metadata's, the instant is that in the patch's name. A patch
            of one sensor alone is a sample, with a finding.

        Raises:
            RejectedError: No file is named as BigEarthNet's are.
        """
        rows = PlanRows()
        found = named(pa.array(listing.files, pa.string()))
        if not len(found):
            raise RejectedError(
                f"no file in {listing.name!r} is named as BigEarthNet's are",
                hint="give the folder that holds BigEarthNet-S2, or the patches themselves",
            )
        facts = read_facts(listing, found["patch"].unique().to_pylist(), rows)
        files = arranged(found, facts.pairs, rows)
        known = _known(files, facts)
        _note_halves(rows, files)
        _note_metadata(rows, facts, known)
        rows.samples += _sample_rows(known)
        rows.findings += ignored_files(listing, {*facts.used, *files.table["path"].to_pylist()})
        labels = {label for fact in known.values() for label in fact.labels or ()}
        assets = _assets(files, known)
        kinds = assets["asset"].unique().to_pylist()
        split = _split(known, rows)
        plan = rows.plan(
            task=options.task or _task(labels, kinds),
            classes=options.classes or _classes(labels, rows),
            specs=specs_of(kinds, bands=_bands(files), offset=_offset(list(known), rows)),
        )
        return replace(plan, assets=assets, splits={OFFICIAL: split} if len(split) else {})


def _bands(files: PatchFiles) -> Mapping[str, tuple[str, ...]]:
    radar = files.table.filter(pc.equal(files.table["asset"], RADAR))
    if not len(radar) or pc.any(radar["single"]).as_py():
        return files.bands
    return {**files.bands, RADAR: _STACKED_RADAR}


def _known(files: PatchFiles, facts: Facts) -> dict[str, Fact]:
    """Return what is said of each sample, in their order; a pair's halves complete each other."""
    radar = files.table.filter(pc.equal(files.table["asset"], RADAR))
    radar = radar.filter(pc.starts_with(radar["patch"], "S1"))
    others = dict(zip(radar["sample"].to_pylist(), radar["patch"].to_pylist(), strict=True))
    known = {}
    for sample in files.table["sample"].unique().to_pylist():
        other = others.get(sample)
        fact = facts.patches.get(sample) or facts.patches.get(other or "", Fact())
        if other is not None and other != sample:
            fact = replace(fact, s1=other, properties={**fact.properties, "s1_name": other})
        known[sample] = fact
    return known


def _sample_rows(known: Mapping[str, Fact]) -> list[dict[str, object]]:
    patches = pa.array(known, pa.string())
    taken = pc.struct_field(pc.extract_regex(patches, _TAKEN), "taken")
    taken = pc.replace_substring_regex(taken, r"T(\d{5})$", r"T0\1")  # v1 drops the first 0
    times = pc.strptime(taken, format="%Y%m%dT%H%M%S", unit="us", error_is_null=True)
    places = pc.struct_field(pc.extract_regex(patches, PLACE), "place")
    grids = [fact.grid for fact in known.values()]
    return [
        {
            "id": patch,
            "datetime": time,
            "label": None if fact.labels is None else list(fact.labels),
            "group": place,
            "geometry": fact.geometry or footprint,
            "properties": fact.properties or None,
        }
        for (patch, fact), time, place, footprint in zip(
            known.items(),
            pc.assume_timezone(times, "UTC").to_pylist(),
            places.to_pylist(),
            footprints([None if grid is None else _grid(grid) for grid in grids]),
            strict=True,
        )
    ]


def _grid(stated: Stated) -> Grid | None:
    height, width = stated.shape
    try:
        return Grid(crs=stated.crs, transform=stated.transform, height=height, width=width)
    except InvalidInputError:
        return None


def _assets(files: PatchFiles, known: Mapping[str, Fact]) -> pa.Table:
    """Return rows of ``PLAN_ASSETS``: the first file of each, the others stacked on it."""
    table = files.table
    first = changes(table, ("sample", "asset"))
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(table))) - 1
    stack = pa.ListArray.from_arrays(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        table["path"].filter(pa.array(~first)).combine_chunks(),
        mask=pa.array(counts == 0),
    )
    heads = table.take(pa.array(starts))
    grids = [
        known[sample].grid if asset in _AT_10M else None
        for sample, asset in zip(
            heads["sample"].to_pylist(), heads["asset"].to_pylist(), strict=True
        )
    ]
    kinds = {name: PLAN_ASSETS.field(name).type for name in ("shape", "crs", "transform")}
    return pa.table({
        "sample": heads["sample"],
        "asset": heads["asset"],
        "kind": pa.array([AssetKind.RASTER.value] * len(heads), pa.string()),
        "file": heads["path"],
        "stack": stack,
        "shape": pa.array([grid and list(grid.shape) for grid in grids], kinds["shape"]),
        "crs": pa.array([grid and grid.crs for grid in grids], kinds["crs"]),
        "transform": pa.array([grid and grid.transform for grid in grids], kinds["transform"]),
    })


def _split(known: Mapping[str, Fact], rows: PlanRows) -> pa.Table:
    words = pa.array([fact.split for fact in known.values()], pa.string())
    strange = [word for word in words.unique().drop_null().to_pylist() if subset_of(word) is None]
    if strange:
        rows.warn(
            "unknown-subset",
            f"the metadata name subsets that are none: {len(strange):,}, such as {strange[0]!r}",
            fix="write train, validation or test",
            words=strange[:_SHOWN],
        )
    ids = pa.array(known, pa.string())
    return split_of(pa.chunked_array([ids]), pa.chunked_array([words]))


def _task(labels: Collection[str], assets: Collection[str]) -> str | None:
    if labels:
        return "classification"
    return "segmentation" if "reference_map" in assets else None


def _classes(labels: Collection[str], rows: PlanRows) -> tuple[str, ...]:
    classes, strangers = classes_of(labels)
    if strangers:
        rows.warn(
            "unknown-label",
            f"labels that are in neither nomenclature: {len(strangers):,}, such as "
            f"{strangers[0]!r}",
            fix="correct them in the metadata",
            labels=list(strangers[:_SHOWN]),
        )
    return classes


def _offset(patches: Sequence[str], rows: PlanRows) -> float | None:
    """Return what is added to reflectance, if it is the same for all patches."""
    optical = pa.array([patch for patch in patches if patch.startswith("S2")], pa.string())
    found = pc.struct_field(pc.extract_regex(optical, _BASELINE), "baseline")
    baselines = [one and int(one) for one in found.unique().to_pylist()]
    offsets = {offset_of(one) for one in baselines}
    later = optical.filter(pc.match_substring_regex(optical, _PROCESSED_LATER)).to_pylist()
    if later:
        rows.warn(
            "unknown-offset",
            f"patches since 2022 whose baseline N9999 does not say whether their reflectance has "
            f"an offset: {len(later):,}, such as {later[0]!r}",
            fix="ask who made them; no offset is in the card",
            count=len(later),
            patches=later[:_SHOWN],
        )
    if len(offsets) == 1:
        return offsets.pop()
    if offsets:
        rows.warn(
            "mixed-baselines",
            f"processing baselines with and without an offset of reflectance: {baselines}",
            fix="keep those from 04.00 on in a dataset of their own; no offset is in the card",
            baselines=baselines,
        )
    return None


# ------------------------------------------------------------------- findings
def _note_halves(rows: PlanRows, files: PatchFiles) -> None:
    """Say which patches lack an asset that others have: the other sensor, the map, a resolution."""
    held = files.table.group_by(["sample", "asset"]).aggregate([])
    every = [name for name in (*BANDS, "s2") if name in set(held["asset"].unique().to_pylist())]
    lists = held.group_by("sample").aggregate([("asset", "list")])
    short = lists.filter(pc.less(pc.list_value_length(lists["asset_list"]), len(every)))
    for row in short.sort_by("sample").to_pylist():
        missing = [name for name in every if name not in row["asset_list"]]
        rows.warn(
            "missing-pair",
            f"patch {row['sample']!r} has no {', '.join(missing)}, though others have",
            fix="fetch the patch again, or see that both sensors' trees are of the same patches",
            sample=row["sample"],
            asset=missing[0],
            missing=missing,
            has=sorted(row["asset_list"]),
        )


def _note_metadata(rows: PlanRows, facts: Facts, known: Mapping[str, Fact]) -> None:
    if facts.absences:
        rows.warn(
            "missing-files",
            f"the metadata name patches that are not here: {facts.absences:,}, such as "
            f"{facts.absent[0]!r}",
            fix="nothing, if you have taken some of the patches only",
            count=facts.absences,
            patches=facts.absent,
        )
    silent = [patch for patch, fact in known.items() if fact.labels is None]
    if silent:
        rows.warn(
            "missing-label",
            f"patches whose labels no metadata say: {len(silent):,} of {len(known):,}, such as "
            f"{silent[0]!r}",
            fix="put metadata.parquet beside the trees, and ingest again",
            count=len(silent),
            patches=silent[:_SHOWN],
        )
