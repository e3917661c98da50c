from types import SimpleNamespace

import numpy as np
import pytest
import shapely

from registry.catalog.card.spec import AssetSpec
from registry.web import chips
from registry.web.chips import chosen_chips


def test_every_class_is_shown_and_always_by_the_same_samples(version):
    chips = chosen_chips(version, 4)

    assert len(chips) == 4
    assert {label for chip in chips for label in chip.labels} == {"Crop", "Forest"}
    assert [chip.sample for chip in chosen_chips(version, 4)] == [chip.sample for chip in chips]


def test_no_sample_is_shown_twice(version):
    names = [chip.sample for chip in chosen_chips(version, 50)]

    assert len(names) == len(set(names)) == 8


def test_outlines_of_both_frames_lie_where_they_belong(version):
    (chip,) = [chip for chip in chosen_chips(version, 8) if chip.sample == "s0"]
    found = {outline.category: outline.shape for outline in chip.outlines}

    assert found["Crop"].equals(shapely.box(4, 6, 10, 12))
    assert found["Forest"].equals(shapely.box(4, 6, 10, 12))


def test_labels_are_drawn_on_the_picture(version):
    (chip,) = [chip for chip in chosen_chips(version, 8) if chip.sample == "s0"]

    plain, drawn = np.asarray(chip.image), np.asarray(chip.drawn())

    assert (plain != drawn).any(axis=2).mean() > 0.4
    assert [name for name, _ in chip.classes] == ["Crop", "Forest"]


def test_a_version_without_samples_has_no_chips(empty):
    assert chosen_chips(empty, 8) == []


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_there_are_never_more_than_asked_for(version, most):
    assert len(chosen_chips(version, most)) == most


def test_of_many_assets_the_one_is_shown_that_the_eye_knows_best():
    specs = {
        "agera5": AssetSpec(role="data", bands=("a", "b", "c")),
        "angles": AssetSpec(role="metadata", bands=("red", "green", "blue")),
        "s1": AssetSpec(role="data", bands=("VV", "VH", "VV/VH")),
        "s2": AssetSpec(role="data", bands=("B02", "B03", "B04", "B08")),
        "instance": AssetSpec(role="labels"),
        "semantic": AssetSpec(role="labels", values={0: "water"}),
    }
    shapes = {"agera5": [9, 3, 1, 1], "angles": [3, 8, 8], "s1": [5, 3, 8, 8], "s2": [7, 4, 8, 8]}
    version = SimpleNamespace(spec=SimpleNamespace(assets=specs))
    rows = [{"asset": name, "pixels": b"-", "shape": shapes.get(name, [1, 8, 8])} for name in specs]
    image, mask = chips._split(version, rows)
    assert (image["asset"], mask["asset"]) == ("s2", "semantic")
    image, _ = chips._split(version, [row for row in rows if row["asset"] != "s2"])
    assert image["asset"] == "s1"
