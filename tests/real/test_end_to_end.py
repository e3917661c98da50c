"""Real sets from their folder to a version: checked, published, queried, seen as STAC.

What is expected of a set is read from its files here, by other programs than the lab's own.
"""

import gzip
import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely

from registry.curate.checkout import checkout
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.publishing import NotPassedError, publish
from registry.curate.quality import check
from registry.query import sql
from registry.stac import collection, items, validate

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]
SENTINEL_2 = "B01,B02,B03,B04,B05,B06,B07,B08,B8A,B09,B11,B12"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A real set, what a user says of it, and what is then known of it."""

    path: str
    samples: int
    level: str
    task: str | None
    said: dict = field(default_factory=dict)
    allow: dict = field(default_factory=dict)
    items: int | None = None  # None: as many as samples


CASES = MappingProxyType({
    "eurosat": Case(
        path="eurosat-rgb/EuroSAT.zip", samples=4050, level="Q0", task="classification", items=0,
        said={"licence": "MIT", "provider": "DFKI", "time": "2015/2017", "bands": "red,green,blue",
              "task": "classification"},
    ),
    "ucmerced": Case(
        path="ucmerced-sample", samples=4, level="Q0", task="classification", items=0,
        said={"licence": "public domain", "provider": "USGS"},
    ),
    "ships": Case(
        path="eotdl-s2-ships", samples=44, level="Q1", task="segmentation",
        said={"licence": "MIT", "provider": "EarthPulse", "bands": SENTINEL_2},
    ),
    "burn-scars": Case(
        path="s2-burnscar-california", samples=34, level="Q1", task="segmentation",
        said={"licence": "unlicensed", "provider": "CAL FIRE", "name_pattern": "{group}_%Y%m%d"},
        allow={"shape-mismatch": "seven masks were cut to another window upstream"},
    ),
    "kampala": Case(
        path="fair-buildings-kampala", samples=74, level="Q1", task="segmentation",
        said={"licence": "ODbL-1.0", "provider": "HOTOSM", "time": "2020/2022",
              "classes": ("building",)},
    ),
    "trees": Case(
        path="oam-tcd-trees-coco", samples=2, level="Q1", task="segmentation",
        said={"licence": "CC-BY-4.0", "provider": "OpenAerialMap", "time": "2015/2022"},
    ),
    "sentinel-2-items": Case(
        path="stac-sentinel2-1000/items.ndjson.gz", samples=1_000, level="Q1", task=None,
        said={"licence": "proprietary", "provider": "ESA"},
    ),
    "naip-items": Case(
        path="stac-naip/naip-10000.parquet", samples=10_000, level="Q1", task=None,
        said={"licence": "public domain", "provider": "USDA"},
    ),
})  # fmt: skip


@pytest.fixture(scope="session")
def drafted(lab, shared_data):
    """Bring a set into a draft once; return its name's draft."""
    done = {}

    def bring(name, path=None, **said):
        if name not in done:
            case = CASES.get(name) or Case(path=path, samples=0, level="", task=None, said=said)
            said = SourceOptions.of(**case.said)
            done[name] = ingest(lab, shared_data / case.path, into=name, options=said, workers=2)
        return lab.resolve(f"{name}@draft")

    return bring


@pytest.fixture(scope="session")
def published(lab, drafted):
    """Publish a set once, with the findings allowed that its user would allow."""
    done = {}

    def release(name):
        if name not in done:
            drafted(name)
            done[name] = publish(lab, name, message="as found", allow=CASES[name].allow)
        return done[name]

    return release


def findings(report, name=None):
    return [row for row in report.findings.to_pylist() if name in (None, row["check"])]


def asked(registry, text, name=""):
    return sql(registry, text.replace("NAME", name)).read_all().to_pylist()


# ------------------------------------------------------------ every set, all the way
@pytest.mark.parametrize("name", CASES)
def test_a_folder_becomes_a_version_that_is_queried_and_seen_as_stac(lab, published, name):
    case = CASES[name]
    version = published(name)

    assert str(version.tag) == "v1"
    assert version.spec.task == case.task
    assert version.spec.licence == case.said["licence"]
    (row,) = asked(lab, 'select count(*) n, count(distinct id) ids from "NAME@v1".samples', name)
    assert row == {"n": case.samples, "ids": case.samples}

    report = check(version, allow=case.allow)
    assert (report.passed, report.level, report.samples) == (True, case.level, case.samples)

    with_time_and_place = case.samples if case.items is None else case.items
    table = pq.read_table(version.root.path / "items.parquet", columns=["id"])
    assert table.num_rows == with_time_and_place

    document = collection(version)
    assert validate(document) == []
    assert pystac.Collection.from_dict(document).id == name
    for number, item in zip(range(3), items(version), strict=False):
        assert validate(item) == [], number
        assert pystac.Item.from_dict(item).collection_id == name


@pytest.mark.parametrize("name", ["ucmerced", "ships", "burn-scars", "kampala", "trees"])
def test_a_version_is_checked_out_with_every_raster_and_label(published, name, tmp_path):
    version = published(name)

    report = checkout(version, tmp_path / "out")

    assert report.rasters == version.count("assets")
    shapes = [
        len(json.loads(path.read_text())["features"])
        for path in (tmp_path / "out").rglob("*.geojson")
    ]
    assert sum(shapes) == version.count("annotations")
    assert (tmp_path / "out" / "README.md").is_file()


@pytest.mark.parametrize("name", ["sentinel-2-items", "naip-items"])
def test_references_are_checked_out_as_a_table_and_nothing_is_fetched(published, name, tmp_path):
    version = published(name)

    report = checkout(version, tmp_path / "out")

    assert (report.rasters, report.by_reference) == (0, version.count("assets"))
    assert (tmp_path / "out" / "references.csv").read_bytes().count(
        b"https://"
    ) >= report.by_reference


# ------------------------------------------------------------ EuroSAT and UC Merced
def test_eurosat_s_classes_are_those_of_its_archive(lab, published, shared_data):
    published("eurosat")
    with zipfile.ZipFile(shared_data / "eurosat-rgb/EuroSAT.zip") as archive:
        wanted = Counter(name.split("/")[1] for name in archive.namelist() if name.endswith(".jpg"))
    rows = asked(
        lab, 'select label[1] as label, count(*) as n from "eurosat@v1".samples group by 1'
    )
    assert {row["label"]: row["n"] for row in rows} == wanted


@pytest.mark.parametrize(("name", "count"), [("eurosat", 4050), ("ucmerced", 4)])
def test_images_without_a_georeference_are_kept_and_counted(published, name, count):
    report = check(published(name))

    assert len(findings(report, "missing-footprint")) == count
    assert report.level == "Q0"


def test_pixels_in_sql_are_those_of_the_file(lab, published, shared_data):
    published("ships")
    rows = asked(
        lab,
        'select sample, chip_stats(chip) as bands from "ships@v1".chips order by sample limit 3',
    )
    for row in rows:
        with rasterio.open(shared_data / "eotdl-s2-ships" / f"{row['sample']}.tif") as file:
            pixels = file.read().astype("float64")
        assert [band["min"] for band in row["bands"]] == pixels.min(axis=(1, 2)).tolist()
        assert [band["max"] for band in row["bands"]] == pixels.max(axis=(1, 2)).tolist()


# ------------------------------------------------------------ ships
def test_ships_have_one_boat_each_where_their_sidecars_say(lab, published, shared_data):
    published("ships")
    rows = asked(
        lab,
        "select s.id, st_asgeojson(a.geometry) as shape, s.start_datetime as day"
        ' from "ships@v1".samples s join "ships@v1".annotations a on a.sample = s.id',
    )
    assert len(rows) == 44
    for row in rows:
        path = shared_data / "eotdl-s2-ships" / f"{row['id']}_labels.geojson"
        (feature,) = json.loads(path.read_text())["features"]
        ours, theirs = (
            shapely.geometry.shape(each) for each in (json.loads(row["shape"]), feature["geometry"])
        )
        assert ours.equals_exact(theirs, 1e-9)
        assert row["day"].date().isoformat() == "2022-08-25"


def test_eleven_bands_do_not_fit_the_twelve_of_the_ships(lab, shared_data):
    upstream = SENTINEL_2.replace("B8A,", "")  # as the items of upstream list them
    with pytest.raises(Exception, match="11 bands are declared, but image has 12"):
        ingest(lab, shared_data / "eotdl-s2-ships", into="ships-of-eleven",
               options=SourceOptions.of(bands=upstream))  # fmt: skip
    assert "ships-of-eleven" not in lab.names()


# ------------------------------------------------------------ burn scars
def test_masks_of_another_size_than_their_scar_stop_a_release(lab, drafted, shared_data):
    folder = shared_data / "s2-burnscar-california"
    sizes = {
        kind: {path.stem: rasterio.open(path).shape for path in (folder / kind).glob("*.tif")}
        for kind in ("masks", "post_fire", "post_fire_tci")
    }
    posts = sizes["post_fire"] | sizes["post_fire_tci"]
    wanted = {name for name, shape in sizes["masks"].items() if posts[name] != shape}
    pattern = CASES["burn-scars"].said["name_pattern"]
    report = check(drafted("scars-as-found", "s2-burnscar-california", licence="unlicensed",
                           provider="CAL FIRE", name_pattern=pattern))  # fmt: skip

    assert len(wanted) == 7
    assert {row["sample"] for row in findings(report, "shape-mismatch")} == wanted
    assert not report.passed
    with pytest.raises(NotPassedError, match="shape-mismatch"):
        publish(lab, "scars-as-found", message="as found")


def test_nan_is_counted_in_the_scars_that_have_some(published, shared_data):
    folder, wanted = shared_data / "s2-burnscar-california", {}
    for path in folder.glob("*/*.tif"):
        with rasterio.open(path) as file:
            pixels = file.read()
        if pixels.dtype.kind == "f" and np.isnan(pixels).any():
            wanted[path.stem, path.parent.name] = int(np.isnan(pixels).sum())
    found = {
        (row["sample"], row["asset"]): json.loads(row["evidence"])["nan"]
        for row in findings(check(published("burn-scars")), "nan")
    }
    assert len({sample for sample, asset in wanted if asset.startswith("post_fire")}) == 4
    assert found == wanted


# ------------------------------------------------------------ Kampala
def test_kampala_s_empty_masks_and_missing_labels_are_found(published, shared_data):
    folder = shared_data / "fair-buildings-kampala"
    empty = set()
    for path in (folder / "binarymasks").glob("*.tif"):
        with rasterio.open(path) as file:
            if not file.read().any():
                empty.add(path.name.removesuffix(".mask.tif"))
    report = check(published("kampala"))

    assert {row["sample"] for row in findings(report, "constant")} == empty
    lacking = {path.stem for path in (folder / "chips").iterdir()} - {
        path.stem for path in (folder / "labels").iterdir()
    }
    assert {
        row["sample"] for row in findings(report, "ingest") if "missing-pair" in row["message"]
    } == lacking


def test_kampala_s_buildings_lie_on_their_chips(lab, published, shared_data):
    published("kampala")
    wanted = sum(
        len(json.loads(path.read_text())["features"])
        for path in (shared_data / "fair-buildings-kampala" / "labels").iterdir()
    )
    (row,) = asked(
        lab,
        "select count(*) as n, count_if(st_intersects(a.geometry, s.geometry)) as on_it"
        ' from "kampala@v1".annotations a join "kampala@v1".samples s on s.id = a.sample',
    )
    assert row == {"n": wanted, "on_it": wanted}


# ------------------------------------------------------------ items by reference
@pytest.mark.parametrize("name", ["sentinel-2-items", "naip-items"])
def test_items_keep_their_ids_places_and_times(lab, published, shared_data, name):
    published(name)
    path = shared_data / CASES[name].path
    if path.suffix == ".parquet":
        theirs = pq.read_table(path, columns=["id", "datetime"]).to_pylist()
        wanted = sorted((row["id"], row["datetime"]) for row in theirs)
    else:
        with gzip.open(path) as lines:
            documents = [pystac.Item.from_dict(json.loads(line)) for line in lines]
        wanted = sorted((item.id, item.datetime) for item in documents)
    rows = asked(lab, 'select id, datetime from "NAME@v1".samples order by id', name)
    assert [(row["id"], row["datetime"]) for row in rows] == wanted


# ------------------------------------------------------------ defects of further sets
def test_birds_in_pixels_under_degrees_are_found(drafted):
    report = check(drafted("birds", "everwatch-birds"))

    found = Counter(row["severity"] for row in findings(report, "crs"))
    assert found == {"error": 2, "warning": 2}  # pixel coordinates, and no CRS at all
    assert len(findings(report, "missing-footprint")) == 4


def test_a_mask_of_another_place_than_its_image_is_found(drafted):
    report = check(drafted("fields", "ftw-s2-bitemporal"))

    messages = [row["message"] for row in findings(report, "shape-mismatch")]
    assert any("578 x 379" in message for message in messages)
    assert any("no part of it is on" in message for message in messages)


def test_masks_in_a_local_system_are_found(drafted, shared_data):
    local = {
        path.parent.name
        for path in (shared_data / "flair2-aerial").glob("*/mask.tif")
        if rasterio.open(path).crs.to_epsg() is None
    }
    report = check(drafted("aerial", "flair2-aerial", licence="etalab-2.0"))

    assert len(local) == 4
    assert {row["sample"] for row in findings(report, "crs")} == local
    assert report.passed


def test_items_that_come_twice_and_what_lies_beside_items_is_said(drafted, shared_data):
    folder = shared_data / "hls-fmask-metadata"
    pictures = sum(path.suffix in {".tif", ".jpg"} for path in folder.rglob("*"))
    twice = findings(check(drafted("twice", "stac-sentinel2-1000")), "ingest")
    beside = findings(check(drafted("granules", "hls-fmask-metadata")), "ingest")

    assert any("left out: 1000" in row["message"] for row in twice)
    assert any(f"no part of the dataset: {pictures}," in row["message"] for row in beside)
