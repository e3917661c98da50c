"""Texture finds what was drawn, and looks at no pixel that nobody observed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops

from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.texture import (
    TEXTURE,
    binary_patterns,
    cooccurrence,
    edges,
    haralick,
    parameterised,
    quantised,
)
from registry.errors import InvalidInputError


def scene(raw, common=("N",), **facts):
    bands = tuple(letter or "odd" for letter in common)
    layer = Layer(asset="s2", raw=np.asarray(raw), common=common, bands=bands, **facts)
    return Scene(sample="a", layers=(layer,))


def values(raw, made=TEXTURE, **facts):
    return made.by_scene(scene(raw, **facts))


def checkerboard(size=8):
    return (np.indices((size, size)).sum(axis=0) % 2).astype(np.float32)


def test_a_checkerboard_has_the_co_occurrence_counted_by_hand():
    found = values(checkerboard()[None, None], parameterised(levels=2, distances=(1,)))

    # 0° and 90°: every pair differs by 1. 45° and 135°: no pair differs.
    assert found["contrast_1"] == pytest.approx(0.5)
    assert found["contrast_1_range"] == pytest.approx(1)
    assert found["dissimilarity_1"] == pytest.approx(0.5)
    assert found["homogeneity_1"] == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert found["correlation_1"] == pytest.approx(0)
    assert found["energy_1"] == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert found["entropy_1"] == pytest.approx(np.log(2), abs=1e-3)


def test_measures_are_those_of_scikit_image_on_a_whole_image():
    rng = np.random.default_rng(1)
    levels = rng.integers(1, 9, (20, 30), dtype=np.uint8)
    ours = haralick(cooccurrence(levels, 2, 8))
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    theirs = graycomatrix(levels, [2], angles, levels=9, symmetric=True, normed=True)

    for name in ("contrast", "dissimilarity", "homogeneity", "energy", "correlation"):
        np.testing.assert_allclose(ours[name], graycoprops(theirs, name)[0], rtol=1e-12)


def test_pixels_that_were_not_observed_are_in_no_pair():
    levels = np.array([[1, 0, 2], [1, 2, 0]], np.uint8)
    shares = cooccurrence(levels, 1, 2)

    assert shares[..., 0].tolist() == [[0, 0.5], [0.5, 0]]  # only the pair 1, 2 of row two
    assert shares[..., 2].tolist() == [[1, 0], [0, 0]]  # only the pair 1, 1 of column one


@pytest.mark.parametrize("hole", [np.nan, -9999.0])
def test_a_hole_changes_nothing_but_the_share_that_was_observed(hole):
    plain = np.tile(np.arange(16, dtype=np.float32), (16, 1))
    holed = np.concatenate([plain, np.full((4, 16), hole, np.float32)])
    made = parameterised(levels=16, distances=(1,))
    whole = values(plain[None, None], made)
    found = values(holed[None, None], made, nodata=-9999.0)

    assert found.pop("observed_share") == pytest.approx(0.8)
    whole.pop("observed_share")
    assert found == whole


def test_a_flat_image_is_flat():
    found = values(np.full((1, 1, 9, 9), 7, np.uint8))

    assert found["contrast_1"] == 0
    assert found["energy_1"] == 1
    assert found["entropy_1"] == 0
    assert found["correlation_1"] == 1
    assert found["lbp_8"] == 1
    assert found["lbp_entropy"] == 0
    assert found["edge_density"] == found["gradient_mean"] == found["edge_coherence"] == 0


def test_a_bright_point_is_a_spot_among_binary_patterns():
    image = np.zeros((5, 5), np.float32)
    image[2, 2] = 1
    shares = binary_patterns(image)

    assert shares[0] == pytest.approx(1 / 9)  # the point: no neighbour as bright
    assert shares.sum() == pytest.approx(1)


def test_binary_patterns_do_not_change_with_gain_and_offset():
    image = np.random.default_rng(2).integers(0, 255, (20, 20)).astype(np.float32)

    np.testing.assert_array_equal(binary_patterns(image), binary_patterns(image / 1024 - 3))


def test_a_ramp_has_the_gradient_that_it_was_drawn_with():
    ramp = np.tile(np.arange(20, dtype=np.float32) * 0.5, (10, 1))
    found = edges(ramp)

    assert found["gradient_mean"] == pytest.approx(0.5)
    assert found["gradient_std"] == pytest.approx(0)
    assert found["edge_coherence"] == pytest.approx(1)


def test_a_step_is_an_edge_as_wide_as_the_operator():
    step = np.zeros((12, 12), np.float32)
    step[:, 6:] = 1

    assert edges(step)["edge_density"] == pytest.approx(2 / 10)


def test_odd_pixels_do_not_squeeze_the_rest_into_one_level():
    image = np.tile(np.arange(100, dtype=np.float32), (100, 1))[None]
    image[0, 0, 0] = 1e9

    assert len(np.unique(quantised(image, 32))) == 32


def test_a_time_series_gives_the_mean_over_its_steps():
    rng = np.random.default_rng(3)
    first, second = rng.random((2, 1, 12, 12)).astype(np.float32)
    made = parameterised(levels=8, distances=(1,), limits=(0, 1))
    both = values(np.stack([first, second]), made)
    each = [values(one[None], made) for one in (first, second)]

    for name in ("contrast_1", "lbp_3", "gradient_p95", "edge_density"):
        assert both[name] == pytest.approx((each[0][name] + each[1][name]) / 2)


def test_the_band_that_was_looked_at_is_named():
    rgb = np.random.default_rng(0).random((1, 3, 6, 6)).astype(np.float32)

    assert values(rgb, common=("B", "R", "N"))["grey"] == "N"
    assert values(rgb, common=("R", "G", "B"))["grey"] == "mean of B G R"
    assert values(rgb, common=("VV", "VH", None))["grey"] == "VV"


def test_one_pixel_has_neither_pairs_nor_patterns():
    assert values(np.ones((1, 1, 1, 1), np.uint8)) == {"grey": "N", "observed_share": 1.0}


def test_without_pixels_there_is_a_reason():
    with pytest.raises(MissingInputError, match="no array of role 'data'"):
        TEXTURE.by_scene(Scene(sample="a"))
    with pytest.raises(MissingInputError, match="no pixel of N was observed"):
        values(np.full((1, 1, 4, 4), np.nan, np.float32))


def test_every_value_is_a_feature_of_the_set():
    found = values(np.random.default_rng(0).random((2, 1, 16, 16)).astype(np.float32))

    assert set(found) == {one.name for one in TEXTURE.features}


def test_bits_are_equal_on_repeat_and_in_threads():
    one = scene(np.random.default_rng(0).random((3, 1, 40, 40)).astype(np.float32))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(TEXTURE.by_scene, [one] * 8))

    assert all(other == found[0] for other in found)


@pytest.mark.parametrize(
    "wrong",
    [{"levels": 1}, {"levels": 255}, {"distances": ()}, {"distances": (0,)}, {"limits": (1, 0)}],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidInputError):
        parameterised(**wrong)


def test_other_parameters_are_another_recipe():
    assert parameterised(levels=16).recipe != TEXTURE.recipe == parameterised().recipe


def test_a_mask_of_clouds_is_no_band_to_look_at():
    rng = np.random.default_rng(0)
    clouds = Layer(asset="fmask", raw=rng.integers(0, 4, (1, 1, 8, 8)), bands=("fmask",))
    image = Layer(asset="image", raw=rng.random((1, 1, 8, 8)), bands=("b",), common=(None,))

    assert TEXTURE.by_scene(Scene(sample="a", layers=(clouds, image)))["grey"] == "b"
