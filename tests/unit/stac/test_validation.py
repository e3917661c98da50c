import json
from importlib.resources import files

import jsonschema
import pytest

from registry.errors import InvalidInputError
from registry.stac.validation import EXTENSIONS, validate


def broken(make_item, extension, **fields):
    item = make_item(stac_extensions=[EXTENSIONS[extension]])
    item["assets"]["image"] |= {name: value for name, value in fields.items() if name[0] != "@"}
    item["properties"] |= {name[1:]: value for name, value in fields.items() if name[0] == "@"}
    return validate(item)


def test_every_schema_is_a_schema_and_names_the_official_address():
    folder = files("registry.stac") / "schemas"
    found = {}
    for file in folder.iterdir():
        schema = json.loads(file.read_text(encoding="utf-8"))
        jsonschema.Draft7Validator.check_schema(schema)
        found[file.name.rsplit("-", 1)[0]] = schema["$id"]

    assert found == {name: f"{url}#" for name, url in EXTENSIONS.items()}


def test_a_plain_item_is_fine(make_item):
    assert validate(make_item()) == []


@pytest.mark.parametrize(
    ("extension", "fields", "place"),
    [
        ("file", {"file:checksum": "XYZ"}, "assets/image/file:checksum"),
        ("file", {"file:size": -1}, "assets/image/file:size"),
        ("file", {"file:sise": 1}, "assets/image"),
        ("projection", {"proj:shape": [1]}, "assets/image/proj:shape"),
        ("projection", {"proj:transform": [1, 2, 3]}, "assets/image/proj:transform"),
        ("projection", {"proj:code": 32632}, "assets/image/proj:code"),
        ("projection", {"proj:epsg": 32632}, "assets/image"),
        ("raster", {"bands": [{"raster:scale": "1"}]}, "assets/image/bands/0/raster:scale"),
        ("eo", {"bands": [{"eo:common_name": "pink"}]}, "assets/image/bands/0/eo:common_name"),
        ("eo", {"@eo:cloud_cover": 120}, "properties/eo:cloud_cover"),
        ("label", {"@label:type": "vector"}, "properties"),
        ("ml-aoi", {"@ml-aoi:split": "val"}, "properties/ml-aoi:split"),
        ("version", {"@version": 3}, "properties/version"),
        ("scientific", {"@sci:doi": "nowhere"}, "properties/sci:doi"),
    ],
)
def test_a_wrong_field_is_found_with_its_place(make_item, extension, fields, place):
    problems = broken(make_item, extension, **fields)

    assert problems
    assert any(f"item 'a': {place}" in problem for problem in problems)


def test_right_fields_are_fine(make_item):
    assert broken(make_item, "file", **{"file:checksum": "1220" + "0" * 64}) == []
    assert broken(make_item, "eo", bands=[{"name": "B02", "eo:common_name": "blue"}]) == []
    assert broken(make_item, "projection", **{"proj:code": None, "proj:wkt2": "X"}) == []


def test_core_problems_are_found(make_item):
    item = make_item()
    del item["properties"]["datetime"]

    assert any("datetime" in problem for problem in validate(item))


def test_an_unknown_extension_was_not_looked_at_and_nothing_is_fetched(make_item):
    url = "https://example.invalid/schema.json"

    assert validate(make_item(stac_extensions=[url])) == [
        f"item 'a': the schema {url} is not at hand; it was not looked at"
    ]


def test_items_of_stac_1_0_are_migrated_before_they_are_judged(make_item):
    assert validate(make_item(stac_version="1.0.0")) == []


@pytest.mark.parametrize("document", [{}, {"type": "FeatureCollection"}])
def test_what_is_no_stac_object_is_refused(document):
    with pytest.raises(InvalidInputError, match="is no STAC item"):
        validate(document)
