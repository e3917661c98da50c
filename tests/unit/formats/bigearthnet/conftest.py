"""Small trees as BigEarthNet has them, whose pixels say which band they are and where."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.transform import from_origin

from registry import lake
from registry.catalog import Registry
from registry.curate.formats import SourceOptions, detect, open_listing
from registry.curate.ingest import ingest

SIZES = {
    10: (12, ("B02", "B03", "B04", "B08")),
    20: (6, ("B05", "B06", "B07", "B8A", "B11", "B12")),
    60: (2, ("B01", "B09")),
}
BANDS = [band for _, bands in SIZES.values() for band in bands]


def patch(number, *, baseline="N9999", year=2017):
    """Return the names of a Sentinel-2 patch and of the Sentinel-1 patch of its place."""
    place = f"33UUP_{number // 90:02}_{number % 90:02}"
    return (
        f"S2A_MSIL2A_{year}0613T101031_{baseline}_R022_T{place}",
        f"S1A_IW_GRDH_1SDV_{year}0612T165043_{place}",
    )


def write_band(path, *, number, band, pixel=10, size=12, dtype="uint16", count=1, **said):
    y, x = np.mgrid[0:size, 0:size]
    bands = [(number * 1_000 + (band + n) * size * size + y * size + x) for n in range(count)]
    array = np.stack(bands).astype(dtype)
    if dtype == "float32":
        array = -array / 1_000
    path.parent.mkdir(parents=True, exist_ok=True)
    place = from_origin(390_000 + 1_200 * (number % 90), 5_348_400 - 1_200 * (number // 90),
                        pixel, pixel)  # fmt: skip
    profile = {"driver": "GTiff", "count": count, "height": size, "width": size, "dtype": dtype}
    with rasterio.open(
        path, "w", **{**profile, "crs": "EPSG:32633", "transform": place, **said}
    ) as file:
        file.write(array)


def write_optical(root, name, number, *, suffix=".tif", without=()):
    for pixel, (size, bands) in SIZES.items():
        for band in bands:
            if band not in without:
                write_band(
                    root / name / f"{name}_{band}{suffix}", number=number, pixel=pixel, size=size,
                    band=BANDS.index(band), nodata=0,
                )  # fmt: skip


def write_radar(root, name, number):
    for place, band in enumerate(("VV", "VH")):
        path = root / name / f"{name}_{band}.tif"
        write_band(path, number=number, band=20 + place, dtype="float32")


def write_map(root, name, number):
    path = root / name / f"{name}_reference_map.tif"
    write_band(path, number=number, band=1, nodata=0)


def facts(number, **said):
    s2, s1 = patch(number)
    return {
        "patch_id": s2,
        "labels": ["Pastures", "Marine waters"][: 1 + number % 2],
        "split": ("train", "validation", "test")[number % 3],
        "country": ("Austria", "Finland")[number % 2],
        "s1_name": s1,
        "s2v1_name": f"S2A_MSIL2A_20170613T101031_{number}_43",
        "contains_seasonal_snow": number == 1,
        "contains_cloud_or_shadow": False,
    } | said


def write_metadata(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture
def make():
    """Give what writes single pieces of a tree."""
    return SimpleNamespace(
        patch=patch, band=write_band, optical=write_optical, radar=write_radar, map=write_map,
        facts=facts, metadata=write_metadata,
    )  # fmt: skip


@pytest.fixture
def trees(tmp_path):
    """Three whole patches in the official trees of v2."""
    root = tmp_path / "ben"
    for number in range(3):
        s2, s1 = patch(number)
        write_optical(root / "BigEarthNet-S2" / s2.rsplit("_", 2)[0], s2, number)
        write_radar(root / "BigEarthNet-S1" / s1.rsplit("_", 3)[0], s1, number)
        write_map(root / "Reference_Maps" / s2.rsplit("_", 2)[0], s2, number)
    write_metadata(root / "metadata.parquet", [facts(number) for number in range(3)])
    return root


@pytest.fixture
def stacked(tmp_path):
    """Three patches whose bands were stacked, with metadata beside them."""
    root = tmp_path / "stacked"
    said = []
    for number in range(3):
        s2, _ = patch(number)
        write_band(root / s2 / "s2.tif", number=number, band=0, count=12)
        write_band(root / s2 / "s1.tif", number=number, band=20, count=2, dtype="float32")
        row = facts(number, data_split=facts(number)["split"], time_start="2017-06-13T00:00:00")
        del row["split"]
        said.append(row)
    (root / "metadata.json").write_text(json.dumps(said))
    return root


@pytest.fixture
def planned():
    """Plan a source that must be taken for BigEarthNet unasked."""

    def plan(path, **options):
        listing = open_listing(path)
        found = detect(listing, SourceOptions(**options))
        assert found.format.name == "bigearthnet"
        return found.format.plan(listing, SourceOptions(**options))

    return plan


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return Registry(lake=lake.init(str(tmp_path / "lake")))


@pytest.fixture
def bring(registry):
    """Ingest a source and return the draft."""

    def run(source, into, **verbs):
        said = SourceOptions(licence="CDLA-Permissive-1.0", provider="BIFOLD")
        ingest(registry, source, into=into, options=said, workers=1, **verbs)
        return registry.resolve(f"{into}@draft")

    return run
