import pytest

from registry.catalog.card.spec import AssetSpec, Spec
from registry.curate.features.planning import _facts


def facts(tags, *, shape=(3, 4, 4), **said):
    spec = Spec(name="some", assets={"image": AssetSpec(**said)})
    return _facts(spec, {"asset": "image", "shape": list(shape), "tags": tags})


def test_a_pictures_bands_are_red_green_blue_without_names():
    assert facts('{"driver": "JPEG"}').common == ("R", "G", "B")
    assert facts('{"driver": "GTiff"}').common == ()
    assert facts('{"driver": "PNG"}', shape=(4, 4)).common == (None,)


def test_the_files_names_count_where_the_card_has_none():
    tags = '{"driver": "GTiff", "bands": ["red", "nir", "SCL"]}'

    assert facts(tags).common == ("R", "N", None)
    assert facts(tags, bands=("B02", "B03", "B04")).common == ("B", "G", "R")


@pytest.mark.parametrize(
    "tags", [None, "", "{", "[]", "7", '{"bands": 7}', '{"bands": {"a": 1}}', '{"bands": ["a"]}']
)
def test_what_a_file_says_strangely_is_left_alone(tags):
    assert facts(tags).bands == ()


def test_a_set_is_not_offered_where_no_asset_has_any_of_its_bands(lake, publish):
    from registry.curate.features.catalogue import one
    from registry.curate.features.planning import asset_facts, unmet

    version = publish(lake)
    seen = asset_facts(version)

    assert "VV, VH, HH, HV" in unmet(version, one("radar"), seen)
    assert unmet(version, one("bands"), seen) is None
