"""A version goes back to BigEarthNet's own layout, as its tools and the lab's reader know it.

References:
    Clasen et al. (2025), reBEN, doi:10.1109/IGARSS55030.2025.11242834 (trees and metadata).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.checkout.arrays import write_each
from registry.curate.checkout.layouts import Written
from registry.curate.formats.bigearthnet_names import BANDS, PATCH, RADAR, scene_of
from registry.curate.formats.geotiff_writer import Raster, said_of, write_geotiff
from registry.curate.formats.splits import OFFICIAL
from registry.errors import InvalidInputError
from registry.progress import Progress
from registry.tables import decode

if TYPE_CHECKING:
    from registry.catalog import Version
    from registry.tables import Chip

__all__ = ["write_bigearthnet"]

_STACKED: Final = "s2"
_BANDED: Final = frozenset(BANDS) - {RADAR, "reference_map"}
_TREES: Final = {RADAR: "BigEarthNet-S1", "reference_map": "Reference_Maps"}
_OPTICAL_TREE: Final = "BigEarthNet-S2"
_WHOLE_PATCH: Final = re.compile(PATCH)
_PER_BAND: Final = ("bands", "scales", "offsets", "units", "colours")
_AXES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Where the bands of an asset go."""

    files: tuple[str, ...]
    """One a band; or one for all."""


def write_bigearthnet(version: "Version", work: Path, *, progress: Progress) -> Written:
    """Write patches as BigEarthNet has them.

    Assets by resolution (``s2_10m``, ``s2_20m``, ``s2_60m``) become the official trees, one file
    a band, with ``metadata.parquet``; an asset ``s2`` becomes folders of patches with ``s2.tif``
    and ``s1.tif``, with ``metadata.json``.

    Args:
        version: What to write.
        work: An empty folder.
        progress: Told of every asset.

    Returns:
        How many files of pixels there are, and which assets and annotations have no place.

    Raises:
        InvalidInputError: A sample is named as no patch is, both layouts would be needed, or an
            asset has not the bands that BigEarthNet's has.
    """
    samples = version.table("samples")
    _check_names(samples["id"])
    assets = version.table("assets").to_pylist() if "assets" in version.tables() else []
    kept = [row for row in assets if row["asset"] in {*BANDS, _STACKED} and row["pixels"]]
    names = {row["asset"] for row in kept}
    if not names:
        raise InvalidInputError(
            "no asset is one of BigEarthNet's", hint=f"it has {', '.join([*BANDS, _STACKED])}"
        )
    if _STACKED in names and names & _BANDED:
        raise InvalidInputError(
            f"assets {', '.join(sorted(names))} are of two layouts of BigEarthNet",
            hint="check out patches with 's2' apart from those with 's2_10m', as two versions",
        )
    radar = _radar_names(samples)
    jobs = {
        (row["sample"], row["asset"]): _job(version, row, radar, stacked=_STACKED in names)
        for row in kept
    }
    _check_places(jobs)

    def write(row: Mapping[str, Any], chip: "Chip") -> list[str]:
        return _write(row, chip, jobs[row["sample"], row["asset"]], work)

    lost = [one for told in write_each(version, kept, write, progress=progress) for one in told]
    lost += _without_place(version, assets)
    metadata = _metadata(version, samples)
    if _STACKED in names:
        _write_json(metadata, samples, work / "metadata.json")
    else:
        _write_parquet(metadata, work / "metadata.parquet")
    return Written(rasters=sum(len(job.files) for job in jobs.values()), lost=tuple(lost))


def _check_names(ids: pa.ChunkedArray) -> None:
    strange = ids.filter(pc.invert(pc.match_substring_regex(ids, f"^(?:{PATCH})$")))
    if len(strange):
        raise InvalidInputError(
            f"{strange[0].as_py()!r} is no name of a patch of BigEarthNet",
            hint="use --as files, which takes any name",
        )


def _radar_names(samples: pa.Table) -> dict[str, str]:
    """Return the name of each sample's Sentinel-1 patch, where it has one that can be a name."""
    if "properties" not in samples.column_names:
        return {}
    kind = samples.schema.field("properties").type
    if kind.get_field_index("s1_name") < 0:
        return {}
    names = pc.struct_field(samples["properties"], "s1_name").to_pylist()
    return {
        sample: name
        for sample, name in zip(samples["id"].to_pylist(), names, strict=True)
        if isinstance(name, str) and name.startswith("S1") and _WHOLE_PATCH.fullmatch(name)
    }


def _job(
    version: "Version", row: Mapping[str, Any], radar: Mapping[str, str], *, stacked: bool
) -> _Job:
    sample, asset = row["sample"], row["asset"]
    if stacked:
        return _Job(files=(f"{sample}/{asset}.tif",))
    patch = radar.get(sample, sample) if asset == RADAR else sample
    tree = _TREES.get(asset, _OPTICAL_TREE)
    spec = version.spec.assets.get(asset)
    shape: list[int] = row["shape"] or []
    known = [
        bands
        for bands in (spec.bands if spec else (), BANDS[asset])
        if len(shape) == _AXES and len(bands) == shape[0] and set(bands) <= set(BANDS[asset])
    ]
    if not known:
        raise InvalidInputError(
            f"asset {asset!r} of {sample!r} has the shape {shape}, which are not the bands "
            f"{', '.join(BANDS[asset])}",
            hint="name its bands in the card, or use --as files",
        )
    folder = f"{tree}/{scene_of(patch)}/{patch}"
    return _Job(files=tuple(f"{folder}/{patch}_{band}.tif" for band in known[0]))


def _check_places(jobs: Mapping[tuple[str, str], _Job]) -> None:
    counts = Counter(file for job in jobs.values() for file in job.files)
    twice = [file for file, count in counts.items() if count > 1]
    if twice:
        raise InvalidInputError(
            f"two samples would be {twice[0]!r}",
            hint="correct the property s1_name of one of them",
        )


def _write(row: Mapping[str, Any], chip: "Chip", job: _Job, work: Path) -> list[str]:
    array = decode(chip.data, codec=chip.codec, dtype=row["dtype"], shape=row["shape"])
    if array.ndim != _AXES:
        raise InvalidInputError(
            f"asset {row['asset']!r} of {row['sample']!r} is a series in time",
            hint="use --as files, which writes a file a step",
        )
    said = said_of(row.get("tags"))
    transform = row["transform"]
    lost: list[str] = []
    single = len(job.files) > 1 or array.shape[0] == 1
    for place, file in enumerate(job.files):
        target = work / file
        target.parent.mkdir(parents=True, exist_ok=True)
        raster = Raster(
            array=array[place : place + 1] if single else array,
            crs=row["crs"],
            transform=None if transform is None else tuple(transform),
            nodata=row["nodata"],
            said=_of_band(said, place, array.shape[0]) if single else said,
        )
        lost += [f"{file}: {what}" for what in write_geotiff(raster, target)]
    return lost


def _of_band(said: Mapping[str, Any], place: int, count: int) -> dict[str, Any]:
    """Return what a file of one band says, of what was said of all."""
    own = {name: value for name, value in said.items() if name not in {*_PER_BAND, "band_tags"}}
    for name in _PER_BAND:
        if len(values := said.get(name, ())) == count:
            own[name] = [values[place]]
    tags = said.get("band_tags", {}).get(str(place + 1))
    return own | ({"band_tags": {"1": tags}} if tags else {})


def _without_place(version: "Version", assets: Sequence[Mapping[str, Any]]) -> list[str]:
    strange = Counter(row["asset"] for row in assets if row["asset"] not in {*BANDS, _STACKED})
    lost = [f"{asset}: {count} arrays: BigEarthNet has none" for asset, count in strange.items()]
    if "annotations" in version.tables() and (count := len(version.table("annotations"))):
        lost.append(f"annotations: {count}: BigEarthNet has none")
    return lost


# ------------------------------------------------------------------- metadata
def _metadata(version: "Version", samples: pa.Table) -> pa.Table:
    """Return the official columns, then further properties; only those that there are."""
    columns: dict[str, pa.ChunkedArray | pa.Array] = {
        "patch_id": samples["id"],
        "labels": samples["label"],
    }
    if f"splits/{OFFICIAL}" in version.tables():
        columns["split"] = _words(version.table(f"splits/{OFFICIAL}"), samples["id"])
    if "properties" in samples.column_names:
        properties = samples["properties"].combine_chunks()
        for field in properties.type:
            if field.name not in columns:
                columns[field.name] = pc.struct_field(properties, field.name)
    return pa.table(columns)


def _words(split: pa.Table, ids: pa.ChunkedArray) -> pa.Array:
    """Return the subset of each sample in BigEarthNet's words."""
    place = pc.index_in(ids, value_set=split["sample"].combine_chunks())
    words = split["subset"].combine_chunks().take(place.combine_chunks())
    words = pc.replace_substring_regex(words, "^validate$", "validation")
    return pc.replace_substring_regex(words, "^test:", "test_")


def _write_parquet(metadata: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(metadata.replace_schema_metadata(None), path)


def _write_json(metadata: pa.Table, samples: pa.Table, path: Path) -> None:
    """Write one object a patch; with its footprint, which stacked files have said wrongly."""
    footprints = samples["geometry"].to_pylist()
    said = [
        {name: value for name, value in row.items() if value is not None}
        | ({} if outline is None else {"geometry": _geojson(outline)})
        for row, outline in zip(metadata.to_pylist(), footprints, strict=True)
    ]
    path.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))


def _geojson(outline: bytes) -> dict[str, Any]:
    found: dict[str, Any] = shapely.geometry.mapping(shapely.from_wkb(outline))
    return found
