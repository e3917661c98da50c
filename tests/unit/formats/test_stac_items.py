import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from registry.curate.formats import SourceOptions, detect
from registry.errors import RejectedError

BOX = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


def item(name="a", *, assets=None, collection="s2", **properties):
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "geometry": BOX,
        "bbox": [0, 0, 1, 1], "collection": collection, "stac_extensions": [],
        "links": [{"rel": "self", "href": f"https://example.com/items/{name}"}],
        "properties": {"datetime": "2024-05-01T10:00:00Z"} | properties,
        "assets": assets if assets is not None else {"B04": data("https://example.com/B04.tif")},
    }  # fmt: skip


def data(href, **more):
    return {"href": href, "roles": ["data"], "type": "image/tiff"} | more


def lines(*items):
    return "\n".join(json.dumps(one) for one in items)


def planned(source, **options):
    found = detect(source, SourceOptions(**options))
    assert found.format.name == "stac-items"
    return found.format.plan(source, SourceOptions(**options))


def test_an_item_is_a_sample_with_place_time_and_source(listed):
    row = item(providers=[{"name": "Host", "roles": ["host"]},
                          {"name": "ESA", "roles": ["producer"]}], license="CC-BY-4.0")  # fmt: skip
    plan = planned(listed({"items.ndjson": lines(row)}))
    (sample,) = plan.samples.to_pylist()
    assert sample["id"] == sample["item"] == "a"
    assert sample["datetime"].isoformat() == "2024-05-01T10:00:00+00:00"
    assert shapely.from_wkb(sample["geometry"]).bounds == (0, 0, 1, 1)
    assert (sample["href"], sample["collection"]) == ("https://example.com/items/a", "s2")
    assert (sample["licence"], sample["provider"]) == ("CC-BY-4.0", "ESA")


def test_assets_stay_outside_with_what_the_item_says_of_them(listed):
    asset = data(
        "https://example.com/B04.tif",
        **{"file:checksum": "1220" + "ab" * 32, "file:size": 7, "proj:code": "EPSG:32632",
           "proj:shape": [30, 40], "proj:transform": [10, 0, 5, 0, -10, 6],
           "bands": [{"name": "B04"}], "data_type": "uint16", "nodata": 0},
    )  # fmt: skip
    plan = planned(listed({"items.ndjson": lines(item(assets={"red": asset}))}))
    (row,) = plan.assets.to_pylist()
    assert (row["asset"], row["kind"]) == ("red", "reference")
    assert (row["href"], row["size"]) == ("https://example.com/B04.tif", 7)
    assert row["checksum"] == "1220" + "ab" * 32
    assert (row["crs"], row["shape"], row["dtype"]) == ("EPSG:32632", [1, 30, 40], "uint16")
    assert row["transform"] == [10, 0, 5, 0, -10, 6]
    assert plan.specs["red"].bands == ("B04",)


def test_previews_and_metadata_are_no_assets(listed):
    assets = {
        "image": {"href": "https://example.com/a.tif"},
        "thumb": {"href": "https://example.com/a.png", "roles": ["thumbnail"]},
        "meta": {"href": "https://example.com/a.xml", "type": "application/xml"},
        "tiles": {"href": "https://example.com/t.json", "type": "application/json"},
        "both": data("https://example.com/b.jp2", roles=["data", "overview"]),
    }
    plan = planned(listed({"items.ndjson": lines(item(assets=assets))}))
    assert plan.assets["asset"].to_pylist() == ["image", "both"]


def test_properties_get_one_type_each_over_all_items(listed):
    rows = [item("a", gsd=10, tile="13T", clear=True), item("b", gsd=0.6, tile=7, deep={"x": 1})]
    plan = planned(listed({"items.ndjson": lines(*rows)}))
    assert plan.samples["properties"].to_pylist() == [
        {"gsd": 10.0, "tile": "13T", "clear": True}, {"gsd": 0.6, "tile": "7", "clear": None},
    ]  # fmt: skip


def test_every_usual_form_gives_the_same_plan(listed):
    rows = [item("a"), item("b")]
    table = pa.table({
        "id": ["a", "b"], "type": ["Feature"] * 2, "stac_version": ["1.1.0"] * 2,
        "geometry": [shapely.to_wkb(shapely.box(0, 0, 1, 1))] * 2, "collection": ["s2"] * 2,
        "datetime": pa.array([1714557600_000_000] * 2, pa.timestamp("us", "UTC")),
        "links": [row["links"] for row in rows], "assets": [row["assets"] for row in rows],
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    forms = {
        "items.ndjson": lines(*rows),
        "items.ndjson.gz": gzip.compress(lines(*rows).encode()),
        "all.json": {"type": "FeatureCollection", "features": rows},
        "items.parquet": sink.getvalue().to_pybytes(),
    }
    plans = [planned(listed({name: content}, name)) for name, content in forms.items()]
    plans.append(planned(listed({f"{row['id']}/{row['id']}.json": row for row in rows}, "files")))
    for plan in plans:
        assert plan.samples["id"].to_pylist() == ["a", "b"]
        assert plan.samples["datetime"].null_count == 0
        assert plan.assets.to_pylist() == plans[0].assets.to_pylist()


def test_an_address_beside_the_item_is_a_raster_to_read(listed):
    assets = {"image": data("./a.tif"), "gone": data("../b.tif"), "out": data("../../../x.tif")}
    plan = planned(listed({"one/a.json": item(assets=assets), "one/a.tif": b""}),
                   format="stac-items")  # fmt: skip
    rows = {row["asset"]: row for row in plan.assets.to_pylist()}
    assert (rows["image"]["kind"], rows["image"]["file"]) == ("raster", "one/a.tif")
    assert (rows["gone"]["kind"], rows["gone"]["href"]) == ("reference", "../b.tif")
    assert rows["out"]["kind"] == "reference"


def test_the_first_of_items_with_one_id_is_kept(listed):
    rows = [item("a", n=1), item("a", n=2), item("a", collection="other")]
    plan = planned(listed({"items.ndjson": lines(*rows)}))
    assert plan.samples["item"].to_pylist() == ["a", "a"]
    assert len(set(plan.samples["id"].to_pylist())) == 2
    assert set(plan.assets["sample"].to_pylist()) == set(plan.samples["id"].to_pylist())
    assert [one.check for one in plan.findings] == ["duplicate-id"]


def test_ids_that_samples_cannot_have_are_escaped_and_the_item_s_own_is_kept(listed):
    plan = planned(listed({"items.ndjson": lines(item("x/../y z"))}))
    (sample,) = plan.samples.to_pylist()
    assert sample["item"] == "x/../y z"
    assert sample["id"].replace("_", "").isalnum()
    assert plan.assets["sample"].to_pylist() == [sample["id"]]


def test_an_item_that_cannot_be_read_is_left_out_with_an_error(listed):
    plan = planned(listed({"items.ndjson": lines(item("a"), {"stac_version": "1.1.0"})}))
    assert plan.samples["id"].to_pylist() == ["a"]
    assert [(one.check, one.severity.value) for one in plan.findings] == [("bad-item", "error")]


def test_a_source_without_a_readable_item_is_rejected(listed):
    source = listed({"items.ndjson": lines({"stac_version": "1.1.0", "type": "Feature"})})
    with pytest.raises(RejectedError, match="no readable STAC item"):
        planned(source)
