import orjson
import pystac
import pytest

from registry.errors import ConflictError
from registry.stac import items, validate, write_catalog
from registry.stac.reader import read


def test_a_catalogue_is_walked_by_pystac_and_is_valid(make_version, rows, tmp_path):
    version = make_version(
        [rows.sample("a"), rows.sample("b c"), rows.sample("placeless", geometry=None)],
        [rows.asset("a"), rows.asset("b c", href="https://example.org/a.tif", pixels=None)],
    )

    assert write_catalog(version, tmp_path / "out") == 2

    walked = pystac.Collection.from_file(str(tmp_path / "out" / "collection.json"))
    assert sorted(item.id for item in walked.get_items()) == ["a", "b c"]
    assert {item.get_parent().id for item in walked.get_items()} == {"toy"}
    for file in (tmp_path / "out").rglob("*.json"):
        assert validate(orjson.loads(file.read_bytes())) == []


def test_a_catalogue_is_read_back_by_our_own_reader(make_version, rows, tmp_path):
    version = make_version([rows.sample("a"), rows.sample("b c")], [rows.asset("a")])
    write_catalog(version, tmp_path / "out")

    for source in (tmp_path / "out" / "collection.json", tmp_path / "out"):
        back = read(source).read_all().to_pylist()
        wanted = {item["id"]: item["properties"] for item in items(version)}
        assert {row["id"]: orjson.loads(row["properties_json"]) for row in back} == wanted


def test_pixels_are_addressed_from_where_the_item_lies(make_version, rows, tmp_path):
    version = make_version([rows.sample("a")], [rows.asset("a")])
    write_catalog(version, tmp_path / "out")

    item = orjson.loads((tmp_path / "out" / "items" / "a.json").read_bytes())

    assert item["assets"]["s2"]["href"] == "../pixels#" + bytes(range(32)).hex()


@pytest.mark.parametrize("name", ["..", "../../up", "a/b", "é"])
def test_odd_ids_stay_inside_the_folder(make_version, rows, tmp_path, name):
    write_catalog(make_version([rows.sample(name)]), tmp_path / "out")

    (file,) = (tmp_path / "out" / "items").iterdir()
    assert orjson.loads(file.read_bytes())["id"] == name
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "collection.json",
        "items",
    ]


def test_a_folder_that_holds_something_is_left_alone(make_version, rows, tmp_path):
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")

    with pytest.raises(ConflictError, match="is not empty"):
        write_catalog(make_version([rows.sample("a")]), tmp_path)
