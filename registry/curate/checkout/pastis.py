"""The way back to PASTIS-R: a folder of HDF5 files a patch, and what is known of them as JSON.

:class:`registry.curate.formats.pastis.Pastis` reads it; no clock is written into the files, so
equal versions are equal files.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import shapely

from registry.curate.checkout.arrays import write_each
from registry.curate.checkout.layouts import Written
from registry.curate.formats.pastis import FURTHER
from registry.curate.formats.pastis_metadata import DATED, SPOKEN
from registry.curate.formats.splits import OFFICIAL
from registry.errors import InvalidInputError
from registry.tables import decode

if TYPE_CHECKING:
    import numpy.typing as npt

    from registry.catalog import Version
    from registry.progress import Progress
    from registry.tables import Chip

__all__ = ["write_pastis"]

_FILES: Final = {
    "s2": "s2.h5",
    "s1a": "s1a.h5",
    "s1d": "s1d.h5",
    "semantic": "semantic.h5",
    FURTHER: "semantic.h5",
    "instance": "instance.h5",
}
_ARRAY: Final = "data"
_SERIES: Final = 4  # sides of an array with a time axis
_WORDS: Final = {"train": "train", "validate": "validation", "test": "test"}

Row = Mapping[str, Any]


def write_pastis(version: "Version", work: Path, *, progress: "Progress") -> Written:
    """Write a version's time series and masks as PASTIS-R.

    Args:
        version: Has assets ``s2`` and perhaps ``s1a``, ``s1d``, ``semantic``, ``instance``.
        work: Where: an empty folder.
        progress: Told of every array.

    Returns:
        How many files hold pixels, and what of the version PASTIS has no place for.

    Raises:
        InvalidInputError: No sample has an asset ``s2``.
    """
    tables = set(version.tables())
    samples = version.table("samples").to_pylist()
    assets = version.table("assets").to_pylist() if "assets" in tables else []
    held = [row for row in assets if row["pixels"] is not None and row["asset"] in _FILES]
    if not any(row["asset"] == "s2" for row in held):
        raise InvalidInputError(
            f"no sample of {version.spec.name!r} has an asset 's2', as every one of PASTIS has",
            hint="check it out as files instead",
        )
    # The first plane of semantic.h5 is written before those that are added to it.
    firsts = [row for row in held if row["asset"] != FURTHER]
    there = {row["sample"] for row in firsts if row["asset"] == "semantic"}
    rest = [row for row in held if row["asset"] == FURTHER and row["sample"] in there]

    def write(row: Row, chip: "Chip") -> list[str]:
        array = decode(chip.data, codec=chip.codec, dtype=row["dtype"], shape=row["shape"])
        return _written(row, array, work / str(row["sample"]) / _FILES[row["asset"]])

    lost = [
        f"{row['sample']}/{_FILES[row['asset']]}: {what}"
        for rows in (firsts, rest)
        for row, told in zip(rows, write_each(version, rows, write, progress=progress), strict=True)
        for what in told
    ]
    lost += [
        f"{row['sample']}: {FURTHER}: no place without 'semantic'"
        for row in held
        if row["asset"] == FURTHER and row["sample"] not in there
    ]
    lost += _unheld(version, assets, tables)
    lost += _write_metadata(version, samples, [*firsts, *rest], work)
    return Written(rasters=len(firsts), lost=tuple(lost))


# ------------------------------------------------------------------------ files
def _written(row: Row, array: "npt.NDArray[Any]", path: Path) -> list[str]:
    """Write one array, or add its planes to the one that is there.

    Returns:
        What the file does not hold.
    """
    import h5py  # late, because nothing else here needs it

    lost = [
        f"{name}: {row[name]:.60}" if isinstance(row[name], str) else name
        for name in ("crs", "transform", "nodata")
        if row[name] is not None
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    if row["asset"] == FURTHER:
        with h5py.File(path, "r+") as file:
            planes = file[_ARRAY]
            if planes.dtype != array.dtype or planes.shape[1:] != array.shape[1:]:
                return [*lost, f"{FURTHER}: {array.dtype} {array.shape} does not go with the first"]
            planes.resize(1 + len(array), axis=0)
            planes[1:] = array
        return lost
    shaped, how = _shaped(row, array)
    with h5py.File(path, "w", track_order=False) as file:
        planes = file.create_dataset(
            _ARRAY,
            data=shaped,
            compression="gzip",
            maxshape=(None, *shaped.shape[1:]),
            track_times=False,
        )
        planes.attrs["modality"] = row["asset"]
        planes.attrs["source_patch_id"] = row["sample"]
    return [*lost, *how]


def _shaped(row: Row, array: "npt.NDArray[Any]") -> "tuple[npt.NDArray[Any], list[str]]":
    if row["asset"] == "instance" and len(array) == 1:
        return array[0], []
    if row["asset"] in DATED and array.ndim != _SERIES:
        return array[None], ["series: has no time axis, and is written as one step"]
    return array, []


def _unheld(version: "Version", assets: Sequence[Row], tables: set[str]) -> list[str]:
    """Return what a version has that PASTIS has no place for."""
    others = Counter(row["asset"] for row in assets if row["asset"] not in _FILES)
    lost = [f"{asset}: of {count:,} samples: no such file" for asset, count in others.items()]
    kept = {"samples", "assets", "pixels", f"splits/{OFFICIAL}"}
    further = sorted(name for name in tables - kept if not name.startswith("reports/"))
    counts = {name: version.count(name) for name in further}
    lost += [f"{name}: {count:,} rows: no place" for name, count in counts.items() if count]
    return lost


# --------------------------------------------------------------------- metadata
def _write_metadata(
    version: "Version", samples: Sequence[Row], held: Sequence[Row], work: Path
) -> list[str]:
    """Write a record a sample, as GeoJSON if any has an outline.

    Returns:
        What the records do not hold.
    """
    by_sample: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in held:
        by_sample[row["sample"]][row["asset"]] = row
    splits = _split_of(version)
    lost: list[str] = []
    records: list[dict[str, object]] = []
    shapes: list[shapely.Geometry | None] = []
    for sample in samples:
        name = sample["id"]
        assets = by_sample.get(name)
        if assets is None:
            lost.append(f"{name}: has no array that PASTIS knows")
            continue
        records.append(_record(sample, assets, splits.get(name, {}), lost))
        shapes.append(None if sample["geometry"] is None else shapely.from_wkb(sample["geometry"]))
    if all(shape is None or isinstance(shape, shapely.Point) for shape in shapes):
        points = [
            {"lon": shape.x, "lat": shape.y} if isinstance(shape, shapely.Point) else {}
            for shape in shapes
        ]
        placed = [record | point for record, point in zip(records, points, strict=True)]
        _put(work / "metadata.json", placed)
        return lost
    features = [
        {
            "type": "Feature",
            "geometry": None if shape is None else orjson.loads(shapely.to_geojson(shape)),
            "properties": record,
        }
        for record, shape in zip(records, shapes, strict=True)
    ]
    _put(work / "metadata.geojson", {"type": "FeatureCollection", "features": features})
    return lost


def _record(
    sample: Row, assets: Mapping[str, Row], split: Row, lost: list[str]
) -> dict[str, object]:
    name = sample["id"]
    record: dict[str, object] = {"id": name, "patch_id": name}
    for asset, (key, *_) in DATED.items():
        times = (assets[asset]["times"] if asset in assets else None) or ()
        if times:
            record[key] = [int(moment.strftime("%Y%m%d")) for moment in times]
        if any(_has_clock(moment) for moment in times):
            lost.append(f"{name}/{_FILES[asset]}: times: only their days are written")
    if subset := split.get("subset"):
        record["data_split"] = _WORDS.get(subset, subset.replace("test:", "test_"))
    if split.get("fold") is not None:
        record["Fold"] = split["fold"] + 1
    record["files"] = sorted({_FILES[asset] for asset in assets})
    for key, value in (sample.get("properties") or {}).items():
        if value is None:
            continue
        if key in SPOKEN or not isinstance(value, str | int | float | bool):
            lost.append(f"{name}: properties.{key}: no place for it")
        else:
            record[key] = value
    lost += [f"{name}: {key}: no place for it" for key in _further(sample)]
    return record


def _further(sample: Row) -> Iterable[str]:
    return [key for key in ("label", "target", "group") if sample.get(key) not in (None, "", [])]


def _has_clock(moment: datetime) -> bool:
    return moment.time() != time()


def _split_of(version: "Version") -> dict[str, Row]:
    name = f"splits/{OFFICIAL}"
    if name not in version.tables():
        return {}
    return {row["sample"]: row for row in version.table(name).to_pylist()}


def _put(path: Path, said: object) -> None:
    path.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
