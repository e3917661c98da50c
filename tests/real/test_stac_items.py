"""The reader on items that other catalogues published, against pystac."""

import gzip
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pystac
import pytest
import shapely

from registry.stac import validate
from registry.stac.reader import read

pytestmark = pytest.mark.real
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SENTINEL = DATA / "stac-sentinel2-1000"
NAIP = DATA / "stac-naip"
MIXED = DATA / "stac-pc-mixed"
JACA = DATA / "eotdl-s2-jaca-stac"


@pytest.fixture(autouse=True)
def _only_beside_the_data():
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")


def raw_items(path):
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [orjson.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    "path",
    [SENTINEL / "items.ndjson.gz", NAIP / "naip-al-1000.ndjson", MIXED / "items.ndjson.gz"],
    ids=lambda path: path.parent.name,
)
def test_rows_say_what_pystac_says(path):
    raw = raw_items(path)
    rows = read(path).read_all().to_pylist()

    assert [row["id"] for row in rows] == [item["id"] for item in raw]
    for document, row in zip(raw[::25], rows[::25], strict=True):
        item = pystac.Item.from_dict(document)
        assert row["datetime"] == item.datetime
        assert row["collection"] == item.collection_id
        assert orjson.loads(row["properties_json"]) == document["properties"]
        assert orjson.loads(row["assets_json"]) == document["assets"]
        assert [each["key"] for each in row["assets"]] == list(document["assets"])
        assert [each["href"] for each in row["assets"]] == [
            asset.href for asset in item.assets.values()
        ]
        wanted = shapely.force_2d(shapely.geometry.shape(item.geometry))
        assert shapely.from_wkb(row["geometry"]).equals_exact(wanted)
        for asset in row["assets"]:
            said = document["assets"][asset["key"]].get("proj:transform")
            if said:
                assert asset["transform"] == said[:6]


def test_parquet_and_lines_of_the_same_items_give_the_same_rows():
    lines = read(SENTINEL / "items.ndjson.gz").read_all().sort_by("id")
    parquet = read(SENTINEL / "1000-sentinel-2-items.parquet").read_all().sort_by("id")

    for name in ("id", "collection", "geometry", "bbox", "datetime", "properties"):
        assert lines.column(name).equals(parquet.column(name)), name
    for ours, theirs in zip(
        lines.column("assets").to_pylist()[::50],
        parquet.column("assets").to_pylist()[::50],
        strict=True,
    ):
        assert {each["key"]: each for each in ours} == {each["key"]: each for each in theirs}


def test_ten_thousand_items_come_from_parquet():
    table = read(NAIP / "naip-10000.parquet").read_all()

    assert table.num_rows == pq.read_metadata(NAIP / "naip-10000.parquet").num_rows == 10_000
    assert table.column("geometry").null_count == 0
    (image,) = [each for each in table.column("assets")[0].as_py() if each["key"] == "image"]
    assert image["crs"].startswith("EPSG:269")
    assert image["bands"] == ["Red", "Green", "Blue", "NIR"]


def test_collections_of_items_from_an_api_are_read():
    table = read(MIXED / "earth-search-s2-c1-l2a-10items.json").read_all()

    assert table.num_rows == 10
    checksums = [each["checksum"] for row in table.column("assets").to_pylist() for each in row]
    assert sum(bool(each) for each in checksums) > 50


def test_a_catalog_of_image_and_label_items_is_read_whole():
    folder = read(JACA / "stac_labels").read_all()

    assert folder.num_rows == 8
    assert set(folder.column("collection").to_pylist()) == {"sentinel-2-l2a", "labels"}


def test_a_catalog_with_a_broken_link_is_read_but_says_so():
    told = []
    rows = read(
        JACA / "stac_labels" / "catalog.json", refuse=lambda _, why: told.append(why)
    ).read_all()

    assert rows.num_rows == 4
    assert any("leads to no file" in why for why in told)


def test_label_items_of_others_are_judged_without_a_network():
    item = orjson.loads((JACA / "stac_labels" / "labels" / "Jaca_1" / "Jaca_1.json").read_bytes())

    assert validate(item) == []
