import gzip
import json

import pyarrow as pa
import pytest
import shapely

from registry.errors import InvalidInputError, NotFoundError
from registry.stac.reader import Limits, read
from registry.stac.schema import ITEMS


def only_row(path, **kwargs):
    (row,) = read(path, **kwargs).read_all().to_pylist()
    return row


def refused(path, **kwargs):
    told = []
    rows = read(path, refuse=lambda where, why: told.append((where, why)), **kwargs).read_all()
    return rows.column("id").to_pylist(), told


def test_items_come_in_one_declared_schema_whatever_their_form(make_item, lines, tmp_path):
    item = make_item()
    forms = [lines(item)]
    packed = tmp_path / "packed.ndjson.gz"
    packed.write_bytes(gzip.compress(json.dumps(item).encode()))
    forms.append(packed)
    for name, whole in (
        ("single.json", item),
        ("array.json", [item]),
        ("collection.json", {"type": "FeatureCollection", "features": [item]}),
    ):
        (tmp_path / name).write_text(json.dumps(whole), encoding="utf-8")
        forms.append(tmp_path / name)
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "a.json").write_text(json.dumps(item), encoding="utf-8")
    forms.append(folder)

    tables = [read(form).read_all().drop_columns("origin") for form in forms]

    assert all(table.schema == ITEMS.remove(ITEMS.get_field_index("origin")) for table in tables)
    assert all(table.equals(tables[0]) for table in tables)


def test_order_and_number_of_items_survive_many_batches(make_item, lines):
    path = lines(*(make_item(f"item-{number:05}") for number in range(3000)))

    ids = [name for batch in read(path) for name in batch["id"].to_pylist()]

    assert ids == [f"item-{number:05}" for number in range(3000)]


def test_reading_begins_before_the_file_is_at_its_end(make_item, lines):
    good = [make_item(f"item-{number}") for number in range(5000)]
    reader = read(lines(*good, "{broken"))

    assert reader.read_next_batch().num_rows == 1024
    with pytest.raises(InvalidInputError, match=r"items\.ndjson:5001: not JSON"):
        reader.read_all()


def test_projection_said_of_the_item_reaches_its_rasters_alone(make_item, lines):
    item = make_item(
        properties={
            "datetime": None,
            "start_datetime": "2024-05-01T00:00:00+02:00",
            "end_datetime": "2024-05-02T00:00:00.1234567Z",
            "proj:epsg": 32632,
            "proj:shape": [10, 20],
            "proj:transform": [10, 0, 5, 0, -10, 6, 0, 0, 1],
        },
        assets={
            "image": {"href": "a.tif", "type": "image/tiff; application=geotiff"},
            "own": {"href": "b.tif", "type": "image/tiff", "proj:code": "EPSG:3857"},
            "thumbnail": {"href": "a.png", "type": "image/png"},
        },
    )

    row = only_row(lines(item))
    found = {each["key"]: (each["crs"], each["shape"], each["transform"]) for each in row["assets"]}

    assert found["image"] == ("EPSG:32632", [10, 20], [10.0, 0.0, 5.0, 0.0, -10.0, 6.0])
    assert found["own"][0] == "EPSG:3857"
    assert found["thumbnail"] == (None, None, None)
    assert row["start_datetime"].isoformat() == "2024-04-30T22:00:00+00:00"
    assert row["end_datetime"].isoformat() == "2024-05-02T00:00:00.123456+00:00"


@pytest.mark.parametrize("bands", ["bands", "eo:bands", "raster:bands"])
def test_band_names_are_found_in_old_and_new_items(make_item, lines, bands):
    listed = [{"name": "red", "data_type": "uint16", "nodata": 0}, {"name": "nir"}]
    item = make_item(assets={"image": {"href": "a.tif", bands: listed}})

    (asset,) = only_row(lines(item))["assets"]

    assert asset["bands"] == ["red", "nir"]
    assert asset["data_type"] == (None if bands == "eo:bands" else "uint16")


def test_nothing_an_item_says_is_lost(make_item, lines):
    item = make_item(
        properties={"datetime": None, "eo:cloud_cover": "much", "x:y": {"z": [1]}},
        assets={"image": {"href": "a.tif", "x:odd": {"deep": [1, 2.5, None]}}},
    )

    row = only_row(lines(item))

    assert json.loads(row["properties_json"]) == item["properties"]
    assert json.loads(row["assets_json"]) == item["assets"]
    assert row["properties"]["eo:cloud_cover"] is None


def test_a_missing_box_is_taken_from_the_geometry(make_item, lines):
    item = make_item()
    del item["bbox"]

    assert only_row(lines(item))["bbox"] == {"xmin": 9, "ymin": 45, "xmax": 10, "ymax": 46}


def test_a_box_with_heights_loses_them(make_item, lines):
    row = only_row(lines(make_item(bbox=[9, 45, -5, 10, 46, 700])))

    assert row["bbox"] == {"xmin": 9, "ymin": 45, "xmax": 10, "ymax": 46}


def test_geometries_come_flat_and_null_ones_stay_null(make_item, lines):
    solid = {"type": "Point", "coordinates": [9.0, 45.0, 700.0]}
    table = read(lines(make_item("a", geometry=solid), make_item("b", geometry=None))).read_all()

    first, second = table.column("geometry").to_pylist()

    assert shapely.from_wkb(first).equals(shapely.Point(9, 45))
    assert second is None


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda item: item.update(type="Fish"), "not a STAC item"),
        (lambda item: item.pop("id"), "without an id"),
        (lambda item: item.update(id=7), "without an id"),
        (lambda item: item.update(assets=[]), "lacks its properties or its assets"),
        (lambda item: item.update(assets={"x": {}}), "asset 'x' has no href"),
        (lambda item: item.update(bbox=[1, 2, "3", 4]), "is not four or six numbers"),
        (lambda item: item.update(bbox=[1, 2, 3]), "is not four or six numbers"),
        (lambda item: item.update(geometry={"type": "Fish"}), "not valid GeoJSON"),
        (lambda item: item["geometry"].update(coordinates=[[["x", 1]]]), "not valid GeoJSON"),
        (lambda item: item["properties"].update(datetime="May"), "is no RFC 3339 time"),
        (lambda item: item["properties"].update(datetime=20240501), "is not a text"),
    ],
)
def test_a_bad_item_is_left_out_and_told_of(make_item, lines, spoil, why):
    bad = make_item("bad")
    spoil(bad)

    ids, told = refused(lines(make_item("first"), bad, make_item("last")))

    assert ids == ["first", "last"]
    ((where, problem),) = told
    assert where == "items.ndjson:2"
    assert why in problem


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "Feature", "id": NaN}',
        '{"type": "Feature", "bbox": [1e999, 0, 0, 0]}',
        "[" * 5000 + "]" * 5000,
        '{"type": "Feature", "id": "\\ud800"}',
        '{"type": "Feature",}',
        "\x00",
    ],
    ids=["nan", "infinite", "deep", "half a character", "comma", "null byte"],
)
def test_json_that_is_none_is_refused_in_lines_and_in_collections(lines, tmp_path, text):
    ids, told = refused(lines(text))
    assert (ids, len(told)) == ([], 1)

    path = tmp_path / "all.json"
    path.write_text(f'{{"type": "FeatureCollection", "features": [{text}]}}', encoding="utf-8")
    told = []
    try:
        rows = read(path, refuse=lambda _, why: told.append(why)).read_all()
    except InvalidInputError:
        return
    assert (rows.num_rows, len(told)) == (0, 1)


def test_a_key_that_comes_twice_is_read_once_by_its_last_value(lines, make_item):
    text = json.dumps(make_item()).replace(
        '"assets": {', '"id": "b", "assets": {"image": {"href": "first.tif"}, '
    )

    row = only_row(lines(text))

    assert row["id"] == "b"
    assert [(each["key"], each["href"]) for each in row["assets"]] == [("image", "a.tif")]
    assert row["assets_json"].count("image") == 2  # its key and its media type


def test_an_item_that_is_too_large_is_refused_before_it_is_read(lines, make_item, tmp_path):
    limits = Limits(item_bytes=2000)
    big = make_item(properties={"datetime": None, "x": "y" * 4000})
    with pytest.raises(InvalidInputError, match="larger than 2,000 bytes"):
        read(lines(big), limits=limits).read_all()

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "big.json").write_text(json.dumps(big), encoding="utf-8")
    ids, told = refused(folder, limits=limits)
    assert (ids, told[0][0]) == ([], "big.json")


def test_a_gzip_bomb_ends_at_the_limit_of_a_line(tmp_path):
    path = tmp_path / "bomb.ndjson.gz"
    path.write_bytes(gzip.compress(b" " * (1 << 26) + b"x"))

    with pytest.raises(InvalidInputError, match="larger than"):
        read(path).read_all()


def test_a_cut_archive_says_so(tmp_path, make_item):
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(gzip.compress(json.dumps(make_item()).encode())[:-12])

    with pytest.raises(InvalidInputError, match=r"cut\.ndjson\.gz cannot be unpacked"):
        read(path).read_all()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.json", b'{"type": "FeatureCollection", "features": [', "not JSON as STAC writes it"),
        ("a.json", b"\xff\xfe{}", "is not UTF-8"),
        ("a.json", b'{"hello": 1}', "neither a STAC item"),
        ("a.json", b"", "not JSON as STAC writes it"),
        ("a.parquet", b"PAR1 no", "cannot be read as stac-geoparquet"),
        ("a.csv", b"id\n", "no form of STAC"),
    ],
)
def test_files_that_are_no_stac_are_refused(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidInputError, match=why):
        read(tmp_path / name).read_all()


@pytest.mark.parametrize("name", ["none.ndjson", "none.parquet"])
def test_what_is_not_there_is_not_found(tmp_path, name):
    with pytest.raises(NotFoundError):
        read(tmp_path / name).read_all()


def test_parquet_that_is_no_stac_is_refused(tmp_path):
    pa.parquet.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")

    with pytest.raises(InvalidInputError, match="not stac-geoparquet: it lacks assets, geometry"):
        read(tmp_path / "a.parquet").read_all()


def test_a_catalog_is_followed_to_its_items_and_not_out_of_its_folder(tmp_path, make_item):
    def put(name, **said):
        file = tmp_path / "top" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said), encoding="utf-8")

    def links(rel, *hrefs):
        return [{"rel": rel, "href": href} for href in hrefs]

    catalog = {"type": "Catalog", "stac_version": "1.1.0", "id": "c", "description": "d"}
    children = links("child", "one/collection.json", "two.json", "catalog.json")
    out = links("item", "../secret.json", "%2e%2e/secret.json", "/etc/passwd", "https://a.b/c.json")
    put("catalog.json", **catalog, links=[*children, *out])
    put("one/collection.json", **catalog, links=links("item", "b.json", "./a.json"))
    put("two.json", **catalog, links=links("item", "one/b.json", "missing.json", "c%20d.json"))
    put("one/a.json", **make_item("a"))
    put("one/b.json", **make_item("b"))
    put("c d.json", **make_item("c"))
    (tmp_path / "secret.json").write_text(json.dumps(make_item("secret")), encoding="utf-8")

    ids, told = refused(tmp_path / "top" / "catalog.json")

    assert ids == ["b", "a", "c"]
    problems = " ".join(problem for _, problem in told)
    assert problems.count("leaves the catalog's folder") == 4
    assert "'missing.json' leads to no file" in problems


def test_a_symlink_out_of_the_folder_is_not_followed(tmp_path, make_item):
    (tmp_path / "secret.json").write_text(json.dumps(make_item("secret")), encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.json").symlink_to(tmp_path / "secret.json")

    ids, told = refused(folder)

    assert (ids, told) == ([], [("a.json", "a link that leaves the folder")])
