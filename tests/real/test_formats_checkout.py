"""Real sets go in and come out: every raster is compared with its source under rasterio."""

import warnings
import zipfile

import pytest
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning

from registry.curate.checkout import checkout
from registry.curate.formats import SourceOptions, detect, open_listing
from registry.curate.ingest import ingest

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


def taken(registry, source, name, **options):
    said = SourceOptions(licence="MIT", provider="its makers", **options)
    ingest(registry, source, into=name, options=said)
    return registry.resolve(f"{name}@draft")


def header(file):
    return {
        "crs": file.crs,
        "transform": tuple(file.transform),
        "nodata": file.nodata,
        "dtypes": file.dtypes,
        "bands": file.descriptions,
        "scales": file.scales,
        "offsets": file.offsets,
        "units": file.units,
        "colours": file.colorinterp,
    }


def assert_equal_rasters(written, source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(written) as ours, rasterio.open(source) as theirs:
            assert header(ours) == header(theirs)
            assert ours.read().tobytes() == theirs.read().tobytes()
            return {name: value for name, value in theirs.tags().items()
                    if ours.tags().get(name) != value}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("eotdl-s2-ships", {"images/{}.tif": "{}.tif"}),
        ("eurosat-ms",
         {f"{name}/{{}}.tif": f"{name}/{{}}.tif" for name in ("Forest", "AnnualCrop")}),
        ("ucmerced-sample", {"forest/{}.tif": "Images/forest/{}.tif"}),
        ("fair-buildings-kampala",
         {"images/{}.tif": "chips/{}.tif", "masks/{}.tif": "binarymasks/{}.mask.tif"}),
        ("s2-burnscar-california",
         {f"{name}/{{}}.tif": f"{name}/{{}}.tif"
          for name in ("masks", "post_fire", "post_fire_tci", "pre_fire", "dnbr")}),
        ("flair2-aerial", {"images/{}.tif": "{}/aerial.tif", "masks/{}.tif": "{}/mask.tif"}),
        ("spacenet7-planet", {"images/{}.tif": "{}/images.tif", "masks/{}.tif": "{}/mask.tif"}),
    ],
)  # fmt: skip
def test_rasters_come_back_equal(registry, shared_data, tmp_path, path, places):
    report = checkout(taken(registry, shared_data / path, path), tmp_path / "out")
    compared = 0
    for ours, theirs in places.items():
        folder, _, name = ours.rpartition("/")
        for written in (tmp_path / "out" / folder).glob(name.format("*")):
            lost = assert_equal_rasters(written, shared_data / path / theirs.format(written.stem))
            for tag in lost:
                assert any(f"{written.name}: {tag}" in one for one in report.lost_tags)
            compared += 1
    assert compared == report.rasters or path == "ucmerced-sample"
    assert compared > 0


def test_jpegs_of_eurosat_come_back_byte_by_byte(registry, shared_data, tmp_path):
    source = shared_data / "eurosat-rgb/EuroSAT.zip"
    report = checkout(taken(registry, source, "eurosat"), tmp_path / "out")
    with zipfile.ZipFile(source) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        assert report.rasters == len(names)
        for name in names[::97]:
            written = tmp_path / "out" / name.removeprefix("2750/")
            assert written.read_bytes() == archive.read(name)


def test_ships_read_back_from_a_checkout_are_the_ships(registry, shared_data, tmp_path):
    source = shared_data / "eotdl-s2-ships"
    checkout(taken(registry, source, "ships"), tmp_path / "out")
    plans = []
    for folder in (source, tmp_path / "out"):
        listing = open_listing(folder)
        found = detect(listing, SourceOptions(format="geotiff-sidecar"))
        plans.append(found.format.plan(listing, SourceOptions()))
    before, after = plans
    assert before.samples["id"] == after.samples["id"]
    for column in ("start_datetime", "end_datetime", "collection"):
        assert before.samples[column] == after.samples[column]
    assert before.annotations["id"] == after.annotations["id"]
    assert before.annotations["category"] == after.annotations["category"]
    assert after.classes == before.classes


def test_coco_comes_back_with_the_same_shapes(registry, shared_data, tmp_path):
    source = shared_data / "oam-tcd-trees-coco"
    checkout(taken(registry, source, "trees"), tmp_path / "out", as_="coco")
    plans = []
    for folder in (source, tmp_path / "out"):
        listing = open_listing(folder)
        plans.append(detect(listing, SourceOptions()).format.plan(listing, SourceOptions()))
    before, after = (plan.annotations.sort_by("id") for plan in plans)
    assert before["id"] == after["id"]
    assert before["category"] == after["category"]
    shapes = [
        shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
        for table in (before, after)
    ]
    assert shapely.equals_exact(*shapes, tolerance=2e-6).all()
