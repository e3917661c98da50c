import numpy as np
import pytest

from registry.curate.features.clear import tells_clear, with_clear
from registry.curate.features.scene import Layer
from tests.unit.features.sets.scenes import layer

PLACED = {"crs": "EPSG:32633", "transform": (10.0, 0.0, 5e5, 0.0, -10.0, 5e6)}
COARSE = {"crs": "EPSG:32633", "transform": (20.0, 0.0, 5e5, 0.0, -20.0, 5e6)}


def mask(raw, asset="scl", **said):
    return Layer(asset=asset, raw=np.asarray(raw)[None, None], role="metadata", **said)


def image(size=2, **said):
    return layer(np.ones((2, *([size] * 2)), np.uint16), ["red", "nir"], **said)


def clear_of(first, *others):
    found, *_ = with_clear([first, *others])
    return None if found.clear is None else found.clear[0].astype(int).tolist()


@pytest.mark.parametrize(
    ("asset", "values", "clear"),
    [
        ("scl", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]),
        # fill, clear land, clear water, dilated cloud, cloud, shadow, snow, cirrus
        ("QA_PIXEL", [1, 21824, 21952, 21826, 22280, 23888, 30048, 54596], [0, 1, 1, *[0] * 5]),
        # Collection 1: fill, clear, water, shadow, snow, cloud
        ("pixel_qa", [1, 322, 324, 328, 336, 352], [0, 1, 1, 0, 0, 0]),
        # aerosol and water do not hide; cloud, beside it, shadow, snow and fill do
        ("Fmask", [0, 64, 224, 32, 2, 4, 8, 16, 255], [1, 1, 1, 1, 0, 0, 0, 0, 0]),
        ("cloud_mask", [0, 1, 2, 255], [1, 0, 0, 0]),
    ],
)  # fmt: skip
def test_masks_of_processors_are_read_as_their_manuals_say(asset, values, clear):
    row = layer(np.ones((2, 1, len(values))), ["red", "nir"])

    assert clear_of(row, mask(np.array([values], np.uint16), asset)) == [clear]


def test_classes_with_names_are_clear_unless_they_hide_the_ground():
    names = {0: "No data", 1: "cloud free land", 2: "Thick cloud", 3: "Water", 4: "Snow or ice"}
    row = layer(np.ones((2, 1, 6)), ["red", "nir"])

    assert clear_of(row, mask([[0, 1, 2, 3, 4, 9]], "state", values=names)) == [[0, 1, 0, 1, 0, 0]]
    assert clear_of(row, mask([[0, 1, 2, 3, 4, 9]], "crops", values={0: "wheat"})) is None


def test_a_coarse_mask_is_repeated_and_a_fine_one_must_be_clear_throughout():
    fine, coarse = image(4, **PLACED), image(2, **COARSE)

    assert clear_of(fine, mask([[4, 9], [4, 4]], **COARSE)) == [[1, 1, 0, 0]] * 2 + [[1] * 4] * 2
    many = np.full((4, 4), 4)
    many[0, 0] = 9
    assert clear_of(coarse, mask(many, **PLACED)) == [[0, 1], [1, 1]]


def test_a_mask_of_another_place_time_or_shape_says_nothing():
    moved = {"crs": "EPSG:32633", "transform": (10.0, 0.0, 6e5, 0.0, -10.0, 5e6)}

    assert clear_of(image(2, **PLACED), mask([[9, 9], [9, 9]], **moved)) is None
    assert clear_of(image(3), mask([[9, 9], [9, 9]])) is None
    assert clear_of(image(2), mask(np.full((2, 2), 9.0))) is None  # probabilities perhaps


def test_a_band_of_the_array_itself_may_be_the_mask():
    both = layer(np.array([[[1, 1]], [[4, 9]]], np.uint16), ["red", "SCL"])

    assert clear_of(both) == [[1, 0]]


def test_labels_do_not_tell_where_it_is_clear():
    clouds = Layer(asset="clouds", raw=np.ones((1, 1, 2, 2), np.uint8), role="labels")

    assert clear_of(image(), clouds) is None


def test_nodata_of_the_mask_is_not_clear():
    assert clear_of(image(), mask([[0, 7], [0, 0]], "cloud_mask", nodata=7.0)) == [[1, 0], [1, 1]]
    assert clear_of(image(), mask([[4, 4], [4, 4]], nodata=4.0)) == [[0, 0], [0, 0]]


def test_every_time_step_has_its_own_clouds():
    series = layer(np.ones((2, 1, 1, 2)), ["red"])
    clouds = Layer(asset="scl", raw=np.array([[[[4, 9]]], [[[9, 4]]]]), role="metadata")
    found, _ = with_clear([series, clouds])

    assert found.clear.tolist() == [[[True, False]], [[False, True]]]


def test_which_assets_tell_is_known_by_name_alone():
    assert tells_clear("l8-qa", ["pixel_qa"])
    assert tells_clear("mask", values={1: "Cloud shadow"})
    assert not tells_clear("mask", values={1: "forest"})
    assert not tells_clear("image", ["red", "nir"])
