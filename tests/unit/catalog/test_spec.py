from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.catalog import AssetSpec, DatasetType, Spec, Task
from registry.catalog.card import front
from registry.catalog.card.licence import spdx
from registry.errors import InvalidInputError

EOTDL = """---
name: EuroSAT-RGB
authors:
  - Patrick Helber
license: free
source: https://github.com/phelber/EuroSAT
thumbnail: https://example.org/t.jpg
---

# EuroSAT

Land use and
land cover.

More.
"""

HUGGING_FACE = """---
pretty_name: Burn Scars   # a comment
license: [cc-by-4.0]
task_categories: [image-segmentation]
size_categories:
- n<1K
configs:
- config_name: default
  data_files: "*.tif"
tags: [hls, fire]
---
Scars.
"""

OWN = """---
name: crops
type: benchmark
task: segmentation
license: MIT
providers:
- {name: ESA, roles: [producer], url: "https://esa.int"}
classes: [no, wheat, "on"]
assets:
  s2: {bands: [B02, {name: B03, center_wavelength: 0.56}], scale: 0.0001, gsd: 10, odd: 1}
  mask: {role: labels, values: {0: "no", 1: wheat}}
properties: {"eo:cloud_cover": double, angles: list<double>}
declared: {time: 2015/2017}
mine: {kept: [1, 2]}
---
"""


def test_a_card_as_eotdl_writes_it_is_understood():
    spec = Spec.from_readme(EOTDL)

    assert spec.name == "eurosat-rgb"
    assert spec.title == "EuroSAT-RGB"
    assert spec.authors == ("Patrick Helber",)
    assert spec.licence == "free"
    assert spec.spdx is None
    assert spec.source == "https://github.com/phelber/EuroSAT"
    assert spec.description == "Land use and land cover."
    assert spec.type is DatasetType.TRAINING


def test_a_card_as_hugging_face_writes_it_is_understood():
    spec = Spec.from_readme(HUGGING_FACE, name="burn-scars")

    assert spec.title == "Burn Scars"
    assert spec.task is Task.SEGMENTATION
    assert spec.spdx == "CC-BY-4.0"
    assert spec.extra["configs"] == [{"config_name": "default", "data_files": "*.tif"}]


def test_assets_classes_and_properties_are_typed():
    spec = Spec.from_readme(OWN)

    assert spec.classes == ("no", "wheat", "on")
    assert spec.assets["s2"].bands == ("B02", "B03")
    assert spec.assets["s2"].scale == pytest.approx(0.0001)
    assert spec.assets["mask"].values == {0: "no", 1: "wheat"}
    assert spec.providers[0].roles == ("producer",)
    assert str(spec.properties_type().field("eo:cloud_cover").type) == "double"


@pytest.mark.parametrize("text", [EOTDL, HUGGING_FACE, OWN, OWN.replace("\n", "\r\n")])
def test_a_card_that_nobody_changed_comes_back_byte_for_byte(text):
    assert Spec.from_readme(text, name="same").to_readme() == text


@pytest.mark.parametrize("text", [EOTDL, HUGGING_FACE, OWN])
def test_a_changed_card_keeps_everything_else(text):
    spec = Spec.from_readme(text, name="same")
    changed = replace(spec, thumbnail="t.png", assets={**spec.assets, "dem": AssetSpec(gsd=30)})

    assert Spec.from_readme(changed.to_readme()) == changed


words = (
    st.text("abcdefghijé0129 :#-'\"[]{}!&*", min_size=1, max_size=12).map(str.strip).filter(bool)
)


@given(
    title=words,
    authors=st.lists(words, max_size=3),
    classes=st.lists(words, max_size=4, unique=True),
)
def test_any_card_that_is_written_is_read_back_the_same(title, authors, classes):
    spec = Spec(name="any-card", title=title, authors=tuple(authors), classes=tuple(classes))

    assert Spec.from_readme(spec.to_readme()) == spec


@pytest.mark.parametrize(
    ("front_matter", "said"),
    [
        ("name: [a, b]", "name"),
        ("name: ships\ntype: holiday", "training, validation"),
        ("name: ships\nassets: {s2: {gsd: -1}}", "above 0"),
        ("name: ships\nassets: {s2: 3}", "mapping"),
        ("name: ships\nassets: {s2: {scale: .nan}}", "a number"),
        ("name: ships\nclasses: [a, a]", "twice"),
        ("name: ships\nauthors: [{role: x}]", "list of texts"),
        ("a: &x [1]\nb: *x", "alias"),
        ("- 1", "mapping"),
        ("name: !!python/object:os.system x", "no YAML"),
        ("[" * 100_000, "nested|no YAML"),
        ("license: MIT", "no name"),
        ("name: x", "3 to 63"),
        ("a: 2015-99-99", "no YAML"),
    ],
)
def test_a_card_with_a_mistake_is_refused_by_name(front_matter, said):
    with pytest.raises(InvalidInputError, match=said):
        Spec.from_readme(f"---\n{front_matter}\n---\n")


def test_a_readme_without_front_matter_is_all_prose():
    spec = Spec.from_readme("# Only words\n\n---\nnot: front\n---\n", name="words")

    assert spec.body.startswith("# Only words")
    assert spec.licence is None


def test_a_property_of_an_unknown_type_is_refused():
    spec = Spec(name="odd", properties={"x": "list<list<double>>"})

    with pytest.raises(InvalidInputError, match="list<list<double>>"):
        spec.properties_type()


@pytest.mark.parametrize(
    ("said", "identifier"),
    [
        ("cc-by-4.0", "CC-BY-4.0"),
        ("CC BY-SA 3.0", "CC-BY-SA-3.0"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("Creative Commons Attribution 4.0 International License", "CC-BY-4.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("odbl", "ODbL-1.0"),
        ("EUPL-1.2", "EUPL-1.2"),
        ("free", None),
        ("", None),
        (None, None),
    ],
)
def test_a_licence_is_known_by_any_of_its_names(said, identifier):
    assert spdx(said) == identifier


BASE = "---\nname: x\nclasses: [a]\nlicense: MIT\n---\nprose\n"


def test_cards_that_changed_in_different_places_merge():
    ours = BASE.replace("MIT", "ISC").replace("[a]", "[a, b]")
    theirs = BASE.replace("prose", "better prose").replace("[a]", "[a, c]")

    text, conflicts = front.merge(BASE, ours, theirs)

    values, body = front.split(text)
    assert conflicts == ()
    assert values == {"name": "x", "classes": ["a", "b", "c"], "license": "ISC"}
    assert body == "better prose\n"


def test_cards_that_changed_in_the_same_place_conflict_and_keep_ours():
    text, conflicts = front.merge(BASE, BASE.replace("MIT", "ISC"), BASE.replace("MIT", "0BSD"))

    assert conflicts == ("license",)
    assert "ISC" in text


def test_a_key_that_one_side_removed_stays_removed():
    text, conflicts = front.merge(BASE, BASE.replace("license: MIT\n", ""), BASE)

    assert conflicts == ()
    assert "license" not in text
