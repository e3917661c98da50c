import math
from datetime import timedelta
from types import SimpleNamespace

import pyarrow as pa
import pystac
import pytest
import shapely

from registry.errors import NotFoundError
from registry.stac import collection, item, items, validate
from registry.stac.validation import register_schemas


def only(version):
    (found,) = items(version)
    assert validate(found) == []
    return found


def test_an_item_says_what_the_tables_say(make_version, rows):
    version = make_version(
        [
            rows.sample(
                "a",
                label=["Crop", "Water"],
                group="g1",
                declared=["datetime"],
                source={"href": "https://example.org/a.tif", "licence": "MIT", "provider": "ESA"},
                properties={"eo:cloud_cover": 12.5, "season": "spring", "never": None},
            )
        ],
        [rows.asset("a", nodata=0.0), rows.asset("a", "mask", dtype="uint8", shape=[1, 8, 8])],
        properties=pa.struct([
            ("eo:cloud_cover", pa.float64()),
            ("season", pa.string()),
            ("never", pa.string()),
        ]),
        split={"a": "val"},
    )

    found = only(version)

    assert found["id"] == "a"
    assert found["collection"] == "toy"
    assert found["links"] == [
        {"rel": "collection", "href": "collection.json"},
        {"rel": "via", "href": "https://example.org/a.tif"},
    ]
    said = found["properties"]
    assert said["datetime"] == "2024-05-01T12:00:00Z"
    assert said["eo:cloud_cover"] == 12.5
    assert said["season"] == "spring"
    assert "never" not in said
    assert said["license"] == "MIT"
    assert said["providers"] == [{"name": "ESA"}]
    assert said["ml-aoi:split"] == "validate"
    assert (said["eolab:group"], said["eolab:declared"]) == ("g1", ["datetime"])
    assert said["label:tasks"] == ["segmentation"]
    assert said["label:classes"] == [{"name": "label", "classes": ["Crop", "Forest", "Water"]}]
    assert said["label:overviews"] == [
        {
            "property_key": "label",
            "counts": [{"name": "Crop", "count": 1}, {"name": "Water", "count": 1}],
        }
    ]
    s2, mask = found["assets"]["s2"], found["assets"]["mask"]
    assert s2["href"] == "pixels#" + bytes(range(32)).hex()
    assert s2["bands"] == [
        {"name": "B02", "eo:common_name": "blue"},
        {"name": "B8A", "eo:common_name": "nir08"},
    ]
    assert (s2["data_type"], s2["nodata"]) == ("uint16", 0)
    assert (s2["unit"], s2["gsd"]) == ("reflectance", 10)
    assert s2["raster:scale"] == 0.0001
    assert (s2["proj:code"], s2["proj:shape"]) == ("EPSG:32632", [16, 32])
    assert s2["proj:transform"] == [10, 0, 500000, 0, -10, 5000000]
    assert s2["file:byte_order"] == "little-endian"
    assert mask["roles"] == ["labels", "labels-raster"]
    assert mask["file:values"][1] == {"values": [1], "summary": "Forest"}
    assert "nodata" not in mask
    names = {url.split("/")[3]: url.split("/")[4] for url in found["stac_extensions"]}
    assert names == {
        "file": "v2.1.0",
        "projection": "v2.0.0",
        "raster": "v2.0.0",
        "eo": "v2.0.0",
        "label": "v1.0.1",
        "ml-aoi": "v0.2.0",
    }


def test_an_asset_by_reference_keeps_its_address_and_checksum(make_version, rows):
    stays = {"pixels": None, "href": "https://example.org/a.jp2", "checksum": "1220" + "ab" * 32}
    version = make_version([rows.sample("a")], [rows.asset("a", size=7, **stays)])

    found = only(version)["assets"]["s2"]

    assert found["href"] == "https://example.org/a.jp2"
    assert found["type"] == "image/jp2"
    assert (found["file:checksum"], found["file:size"]) == (stays["checksum"], 7)
    assert "file:byte_order" not in found


def test_objects_are_counted_and_addressed_by_their_sample(make_version, rows):
    said = [
        ("Boat", "accepted"),
        ("Boat", None),
        ("Buoy", None),
        ("Boat", "rejected"),
        (None, None),
    ]
    drawn = [
        {"id": str(at), "sample": "a b", "category": kind, "method": "manual", "status": status}
        for at, (kind, status) in enumerate(said)
    ]
    version = make_version([rows.sample("a b"), rows.sample("empty")], annotations=drawn)

    found = {each["id"]: each for each in items(version)}

    assert found["a b"]["properties"]["label:overviews"] == [
        {
            "property_key": "category",
            "counts": [{"name": "Boat", "count": 2}, {"name": "Buoy", "count": 1}],
        }
    ]
    assert found["a b"]["assets"]["annotations"]["href"] == "annotations#a%20b"
    assert found["a b"]["properties"]["label:methods"] == ["manual"]
    assert found["empty"]["assets"] == {}
    assert found["empty"]["properties"]["label:overviews"] == []
    assert [problem for each in found.values() for problem in validate(each)] == []


def test_labels_that_are_rasters_alone_are_said_to_be(make_version, rows):
    said = only(make_version([rows.sample("a")], [rows.asset("a", "mask")]))["properties"]

    assert said["label:type"] == "raster"
    assert said["label:properties"] is None


def test_a_dataset_without_labels_does_not_speak_of_them(make_version, rows):
    found = only(make_version([rows.sample("a")], [rows.asset("a")]))

    assert not [name for name in found["properties"] if name.startswith("label:")]
    assert not [url for url in found["stac_extensions"] if "/label/" in url]


def test_a_system_without_a_code_is_said_in_wkt2(make_version, rows):
    wkt = 'ENGCRS["local"]'
    found = only(make_version([rows.sample("a")], [rows.asset("a", crs=wkt)]))["assets"]["s2"]

    assert found["proj:wkt2"] == wkt
    assert "proj:code" not in found


@pytest.mark.parametrize(
    ("nodata", "said"),
    [(math.nan, "nan"), (-math.inf, "-inf"), (math.inf, "inf"), (-9999.0, -9999)],
)
def test_nodata_are_said_as_json_can(make_version, rows, nodata, said):
    assert (
        only(make_version([rows.sample("a")], [rows.asset("a", nodata=nodata)]))["assets"]["s2"][
            "nodata"
        ]
        == said
    )


def test_a_time_series_says_from_when_to_when(make_version, rows):
    times = [rows.noon, rows.noon + timedelta(days=5, microseconds=7)]
    series = rows.asset("a", times=times, shape=[2, 3, 16, 32])
    found = only(make_version([rows.sample("a")], [series]))["assets"]["s2"]

    assert found["start_datetime"] == "2024-05-01T12:00:00.000000Z"
    assert found["end_datetime"] == "2024-05-06T12:00:00.000007Z"
    assert found["proj:shape"] == [16, 32]


def test_bands_that_only_the_files_name_are_listed(make_version, rows):
    found = only(
        make_version([rows.sample("a")], [rows.asset("a", "radar", tags='{"bands": ["VV", "VH"]}')])
    )

    assert found["assets"]["radar"]["bands"] == [{"name": "VV"}, {"name": "VH"}]


def test_names_with_quotes_do_not_break_the_query(make_version, rows):
    odd = 'it\'s "odd"; drop table samples --'
    version = make_version(
        [rows.sample(odd, label=[odd], properties={odd: odd})],
        [rows.asset(odd, odd)],
        properties=pa.struct([(odd, pa.string())]),
        split={odd: "train"},
    )

    found = only(version)

    assert (found["id"], list(found["assets"])) == (odd, [odd])
    assert found["properties"][odd] == odd
    assert item(version, odd) == found


def test_one_item_is_found_by_its_id_and_another_is_not(make_version, rows):
    version = make_version([rows.sample("a"), rows.sample("b"), rows.sample("c", geometry=None)])

    assert item(version, "b")["id"] == "b"
    for missing in ("c", "d"):
        with pytest.raises(NotFoundError, match=f"has no item '{missing}'"):
            item(version, missing)


def test_the_collection_says_what_the_card_says(make_version, rows):
    next_noon = rows.noon + timedelta(days=1)
    version = make_version([
        rows.sample("a"),
        rows.sample("b", time=None, start_datetime=rows.noon, end_datetime=next_noon),
        rows.sample("placeless", geometry=None, time=rows.noon + timedelta(days=99)),
    ])

    found = collection(version)

    assert validate(found) == []
    assert found["license"] == "MIT"
    assert found["keywords"] == ["land cover"]
    assert found["providers"] == [{"name": "ESA", "roles": ["licensor"]}]
    assert found["extent"]["spatial"]["bbox"] == [[9, 45, 9.01, 45.01]]
    assert found["extent"]["temporal"]["interval"] == [
        ["2024-05-01T12:00:00Z", "2024-05-02T12:00:00Z"]
    ]
    assert found["version"] == "v1"
    assert found["item_assets"]["s2"]["raster:scale"] == 0.0001
    assert found["links"] == [{"rel": "via", "href": "https://example.org/toy"}]
    assert "deprecated" not in found


def test_an_asset_of_which_the_card_says_next_to_nothing_is_left_out_of_the_collection(
    make_version, rows
):
    card = "---\nname: ships\nassets:\n  image: {}\n  mask: {role: labels, unit: m}\n---\n"

    found = collection(make_version([rows.sample("a")], card=card))

    assert validate(found) == []
    assert list(found["item_assets"]) == ["mask"]


def test_a_collection_across_the_antimeridian_has_a_narrow_box(make_version, rows):
    version = make_version([
        rows.sample("a", geometry=shapely.box(170, -10, 175, 0)),
        rows.sample(
            "b",
            geometry=shapely.MultiPolygon([
                shapely.box(179, -5, 180, 5),
                shapely.box(-180, -5, -178, 5),
            ]),
        ),
    ])

    assert collection(version)["extent"]["spatial"]["bbox"] == [[170, -10, -178, 5]]


def test_a_withdrawn_version_is_deprecated_and_a_doi_is_cited(make_version, rows):
    card = "---\nname: toy\nlicense: secret\ndoi: https://doi.org/10.5281/zenodo.1\n---\n"
    withdrawn = SimpleNamespace(reason="wrong")
    found = collection(make_version([rows.sample("a")], card=card, tombstone=withdrawn))

    assert validate(found) == []
    assert found["deprecated"] is True
    assert found["sci:doi"] == "10.5281/zenodo.1"
    assert found["license"] == "other"


def test_an_empty_dataset_has_a_collection_of_the_whole_world(make_version):
    found = collection(make_version([]))

    assert validate(found) == []
    assert found["extent"]["spatial"]["bbox"] == [[-180, -90, 180, 90]]
    assert found["extent"]["temporal"]["interval"] == [[None, None]]


def test_pystac_itself_finds_nothing_wrong_without_a_network(make_version, rows, monkeypatch):
    from pystac.validation import RegisteredValidator

    before = RegisteredValidator.get_validator()
    samples = [rows.sample("a", label=["Crop"])]
    version = make_version(samples, [rows.asset("a")], split={"a": "test"})
    register_schemas()
    try:
        pystac.Item.from_dict(next(items(version))).validate()
        pystac.Collection.from_dict(collection(version)).validate()
    finally:
        RegisteredValidator.set_validator(before)
