import numpy as np
import pytest
import shapely

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
