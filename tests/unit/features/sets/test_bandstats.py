from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from registry.curate.features.scene import MissingInputError
from registry.curate.features.sets.bandstats import BANDS, band_statistics
from tests.unit.features.sets.scenes import SENTINEL_2, layer, random_reflectance, scene

KIND = pa.struct([pa.field(one.name, one.type) for one in BANDS.features])


def test_hand_calculated_figures_of_five_pixels():
    raw = np.array([[[2, 4, 4, 6, 255]]], np.uint8)
    found = band_statistics(scene(layer(raw, ["nir"], nodata=255, scale=(0.5,), offset=(1.0,))))

    # physical values 2, 3, 3, 4
    assert found["n_mean"] == 3
    assert found["n_std"] == pytest.approx(np.sqrt(0.5))
    assert (found["n_min"], found["n_max"]) == (2, 4)
    assert (found["n_p25"], found["n_p50"], found["n_p75"]) == (2.75, 3, 3.25)
    assert found["n_p1"] == pytest.approx(2.03)
    assert found["n_missing_share"] == pytest.approx(0.2)
    assert found["n_saturated_share"] == 0
    assert found["band_mean"] == [3]
    assert found["names"] == ["image:nir"]


def test_saturated_pixels_are_those_at_the_end_of_the_stored_numbers():
    found = band_statistics(scene(layer(np.array([[[255, 255, 1, 0]]], np.uint8), ["red"])))

    assert found["r_saturated_share"] == 0.5


def test_bands_that_nobody_named_are_in_the_lists():
    values = random_reflectance((2, 12, 4, 4))
    found = band_statistics(scene(layer(values)))

    assert found["names"][-1] == "image:12"
    np.testing.assert_allclose(found["band_mean"], values.mean(axis=(0, 2, 3)), rtol=1e-6)
    assert not [name for name in found if name.startswith("n_")]


def test_letters_do_not_depend_on_the_order_of_bands():
    values = random_reflectance((12, 4, 4))
    straight = band_statistics(scene(layer(values, SENTINEL_2)))
    back = band_statistics(scene(layer(values[::-1], SENTINEL_2[::-1])))

    letters = {name for name in straight if not name.startswith("band_") and name != "names"}
    assert len(letters) == 12 * 13
    assert all(straight[name] == back[name] for name in letters)
    assert straight["band_p50"] == back["band_p50"][::-1]


def test_a_band_without_values_is_null_and_wholly_missing():
    raw = np.stack([np.ones((2, 2)), np.full((2, 2), np.nan)])
    found = band_statistics(scene(layer(raw, ["red", "nir"])))

    assert found["band_mean"] == [1, None]
    assert found["band_missing_share"] == [0, 1]
    assert "n_mean" not in found


def test_several_assets_follow_each_other_and_the_first_has_the_letter():
    first, second = (np.full((1, 2, 2), n) for n in (1.0, 2.0))
    found = band_statistics(
        scene(layer(first, ["red"], asset="a"), layer(second, ["red"], asset="b"))
    )

    assert found["names"] == ["a:red", "b:red"]
    assert found["band_mean"] == [1, 2]
    assert found["r_mean"] == 1


def test_a_letter_whose_first_band_is_empty_has_no_value_of_the_second():
    empty, full = np.full((1, 2, 2), np.nan), np.ones((1, 2, 2))
    found = band_statistics(
        scene(layer(empty, ["red"], asset="a"), layer(full, ["red"], asset="b"))
    )

    assert found["r_missing_share"] == 1
    assert "r_mean" not in found


def test_masks_of_labels_are_no_bands():
    with pytest.raises(MissingInputError, match="no array of role 'data'"):
        band_statistics(scene(layer(np.ones((1, 2, 2)), role="labels")))


@given(
    arrays.arrays(
        st.sampled_from([np.dtype(kind) for kind in ("u1", "i2", "u2", "i4", "f4", "f8")]),
        st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    )
)
def test_any_array_gives_values_of_the_declared_types(values):
    found = band_statistics(scene(layer(values)))

    assert set(found) <= {feature.name for feature in BANDS.features}
    row = pa.array([found], KIND)[0].as_py()
    assert len(row["band_p99"]) == values.shape[1]
    assert all(0 <= share <= 1 for share in row["band_missing_share"])


def test_threads_and_repeats_give_the_same_bits():
    scenes = [scene(layer(random_reflectance((12, 16, 16), seed), SENTINEL_2)) for seed in range(6)]
    once = [band_statistics(one) for one in scenes]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(band_statistics, scenes * 2)) == once * 2
