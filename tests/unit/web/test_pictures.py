from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from registry.web import pictures
from registry.web.colours import class_colour

RAMP = np.stack([np.arange(256.0).reshape(16, 16)] * 3)


def test_red_green_and_blue_are_found_by_their_names():
    array = np.stack([np.full((4, 4), value) for value in (0, 1, 2, 3)]).astype(float)
    array[3, 0, 0], array[0, 0, 1] = 50, 50  # B04 is bright in one pixel, B02 in the next

    drawn = np.asarray(pictures.true_colour(array, bands=["B02", "B03", "B08", "B04"], nodata=None))
    scale = drawn.shape[0] // 4

    assert drawn[0, 0, 0] > drawn[0, 0, 2]
    assert drawn[0, scale, 2] > drawn[0, scale, 0]


def test_the_stretch_reaches_from_black_to_white_and_keeps_the_order():
    drawn = np.asarray(pictures.true_colour(RAMP, bands=(), nodata=None))[::12, ::12, 0].ravel()

    assert (drawn.min(), drawn.max()) == (0, 255)
    assert (np.diff(drawn.astype(int)) >= 0).all()


@pytest.mark.parametrize("hole", [np.nan, np.inf, -9999.0])
def test_what_was_not_observed_is_transparent(hole):
    array = RAMP.copy()
    array[:, 3, 5] = hole

    drawn = pictures.true_colour(array, bands=(), nodata=-9999.0)
    alpha = np.asarray(drawn)[:, :, 3]

    assert alpha[3 * 12 + 6, 5 * 12 + 6] == 0
    assert alpha[0, 0] == 255


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3, 16, 16), (192, 192)),
        ((1, 7, 20), (200, 70)),
        ((2, 30, 30), (210, 210)),
        ((13, 900, 450), (150, 300)),
        ((5, 3, 32, 64), (192, 96)),
        ((3, 1, 5000), (312, 1)),
    ],
)
def test_pictures_are_of_a_size_to_look_at(shape, size):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    assert pictures.true_colour(array, bands=(), nodata=None).size == size


def test_an_array_without_any_observation_is_an_empty_picture():
    drawn = pictures.true_colour(np.full((3, 8, 8), np.nan), bands=(), nodata=None)

    assert np.asarray(drawn)[:, :, 3].max() == 0


def test_masks_have_a_colour_a_class_and_leave_the_background_clear():
    mask = np.zeros((1, 16, 16), np.uint8)
    mask[:, :4], mask[:, 8:] = 1, 7

    layer, numbers = pictures.mask_picture(mask, values={0: "background", 1: "a", 7: "b"})
    drawn = np.asarray(layer)

    assert numbers == {1: 0, 7: 1}
    assert tuple(drawn[0, 0, :3]) == class_colour(0)
    assert tuple(drawn[-1, -1, :3]) == class_colour(1)
    assert drawn[6 * 12, 0, 3] == 0


def test_photographs_are_shown_as_they_are():
    array = np.stack([np.full((200, 200), value, np.uint8) for value in (10, 20, 30)])

    drawn = np.asarray(pictures.true_colour(array, bands=(), nodata=None))

    assert tuple(drawn[0, 0]) == (10, 20, 30, 255)


def test_noise_over_even_ground_stays_faint():
    noise = np.random.default_rng(1).normal(400, 5, (3, 200, 200))

    drawn = np.asarray(pictures.true_colour(noise, bands=(), nodata=None))

    assert drawn[:, :, :3].std() < 20


def test_a_mask_is_clear_where_it_says_nothing():
    mask = np.array([[1, 255], [255, 1]], np.uint8)

    layer, numbers = pictures.mask_picture(mask, values={}, nodata=255)

    assert numbers == {1: 0}
    assert np.asarray(layer)[0, -1, 3] == 0


def test_a_class_has_one_colour_in_masks_and_elsewhere():
    mask = np.full((1, 8, 8), 4, np.uint8)

    _, numbers = pictures.mask_picture(mask, values={4: "Water"}, classes=["Crop", "Water"])

    assert numbers == {4: 1}


def test_the_first_thirty_classes_have_colours_of_their_own():
    assert len({class_colour(number) for number in range(30)}) == 30


def test_the_sheet_and_the_map_are_pictures(version, empty, placeless):
    for shown in (version, empty, placeless):
        for picture in (pictures.chips_png(shown), pictures.map_png(shown)):
            with Image.open(BytesIO(picture)) as image:
                assert image.format == "PNG"
                assert image.width > 300
