from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from registry.curate.features.scene import MissingInputError
from registry.curate.features.sets.radar import RADAR, backscatter, radar
from registry.curate.features.sets.radar_speckle import lee_filtered, looks
from tests.unit.features.sets.scenes import layer, scene

BOTH = ["VV", "VH"]


def speckled(shape, *, looks, mean=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.gamma(looks, mean / looks, shape)).astype(np.float32)


def test_hand_calculated_figures_of_one_power():
    found = radar(scene(layer([np.full((3, 3), 0.1), np.full((3, 3), 0.025)], BOTH, unit="linear")))

    assert found["polarisations"] == "VV VH"
    assert found["vv_mean"] == pytest.approx(0.1)
    assert found["vv_db_mean"] == pytest.approx(-10)
    assert found["vh_db_p50"] == pytest.approx(-16.0206, abs=1e-4)
    assert found["vv_cv"] == found["vv_lee_cv"] == 0
    assert found["ratio_db_mean"] == pytest.approx(6.0206, abs=1e-4)
    assert found["rvi_mean"] == pytest.approx(0.8)
    assert found["span_db_mean"] == pytest.approx(10 * np.log10(0.125), abs=1e-4)
    assert found["ndpoli_mean"] == pytest.approx(0.6)
    assert found["valid_share"] == 1


def test_decibels_amplitude_and_power_of_one_scene_say_the_same():
    power = speckled((2, 12, 12), looks=4)
    stored = {
        "linear": power, "dB": 10 * np.log10(power), "amplitude": np.sqrt(power),
        "sigma0": power, "DECIBEL": 10 * np.log10(power),
    }  # fmt: skip
    found = [radar(scene(layer(values, BOTH, unit=unit))) for unit, values in stored.items()]

    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for name, value in found[0].items():
            if name != "polarisations":
                assert other[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_decibels_are_averaged_as_power():
    found = radar(scene(layer([[[0.0, 10.0]]], ["VV"], unit="dB")))

    assert found["vv_mean"] == pytest.approx(5.5)
    assert found["vv_db_mean"] == 5


def test_a_bands_name_may_say_decibels():
    power = backscatter(layer([[[-10.0]]], ["VV_dB"]), "VV")

    assert power.item() == pytest.approx(0.1)


@pytest.mark.parametrize("unit", [None, "DN", "m"])
def test_without_a_unit_nothing_is_guessed(unit):
    with pytest.raises(MissingInputError, match="power or decibels"):
        radar(scene(layer(np.full((2, 3, 3), -10.0), BOTH, unit=unit)))


def test_a_sample_without_radar_says_so():
    with pytest.raises(MissingInputError, match="no radar band"):
        radar(scene(layer(np.ones((1, 2, 2)), ["red"])))


def test_decibels_that_wrapped_into_whole_numbers_are_no_backscatter():
    raw = np.full((2, 4, 4), 65_520, np.uint16)
    raw[0, 0, 0] = 3
    found = radar(scene(layer(raw, BOTH, unit="dB")))

    assert found["valid_share"] == pytest.approx(1 / 32)
    assert found["vv_db_mean"] == pytest.approx(3)
    assert "vh_db_mean" not in found


def test_less_than_one_per_cent_of_the_pixels_does_not_stand_for_a_sample():
    power = np.zeros((2, 20, 20), np.float32)
    power[:, 0, :3] = 0.1
    with pytest.raises(MissingInputError, match="less than 1% of its pixels hold backscatter"):
        radar(scene(layer(power, BOTH, unit="linear")))
    power[0, 0, 3] = 0.1
    found = radar(scene(layer(power, BOTH, unit="linear")))
    assert found["polarisations"] == "VV"
    assert found["valid_share"] == pytest.approx(7 / 800)
    assert not [name for name in found if name.startswith(("vh_", "ratio_"))]


def test_zero_and_negative_power_count_as_not_observed():
    found = radar(scene(layer([[[0.0, -0.1, 0.1, np.nan]]], ["VV"], unit="linear")))

    assert found["valid_share"] == 0.25
    assert found["vv_mean"] == pytest.approx(0.1)


def test_horizontal_polarisations_stand_in_for_vertical_ones():
    power = np.stack([np.full((2, 2), 0.1), np.full((2, 2), 0.025)])
    found = radar(scene(layer(power, ["HH", "HV"], unit="linear")))

    assert found["rvi_mean"] == pytest.approx(0.8)
    assert found["hh_mean"] == pytest.approx(0.1)


def test_polarisations_in_assets_of_their_own_count_together():
    apart = [
        layer(np.full((1, 2, 2), power), [name], asset=name, unit="linear")
        for name, power in (("VH", 0.025), ("VV", 0.1))
    ]

    assert radar(scene(*apart))["rvi_mean"] == pytest.approx(0.8)


@pytest.mark.parametrize("true", [1, 4, 10])
def test_the_number_of_looks_is_recovered(true):
    assert looks(speckled((1, 120, 120), looks=true)) == pytest.approx(true, rel=0.15)


def test_looks_of_a_window_calculated_by_hand():
    power = (np.arange(49) % 2 + 1).astype(np.float32).reshape(1, 7, 7)

    assert looks(power) == pytest.approx(power.mean() ** 2 / power.var(), rel=1e-6)
    assert looks(power[:, :6]) is None
    assert looks(np.ones((1, 7, 7), np.float32)) is None


def test_the_lee_filter_smooths_speckle_and_keeps_an_edge():
    power = speckled((1, 64, 64), looks=4.4)
    power[:, :, 32:] *= 100
    smooth = lee_filtered(power, looks=4.4)

    assert smooth[:, :, :25].std() < power[:, :, :25].std() / 3
    assert smooth[:, :, :25].mean() == pytest.approx(power[:, :, :25].mean(), rel=0.05)
    assert smooth[:, :, 33].mean() > 20 * smooth[:, :, 30].mean()


def test_the_lee_filter_is_the_textbooks_window_by_window():
    power = speckled((1, 9, 11), looks=2, seed=3)
    power[0, 4, 5] = np.nan
    found = lee_filtered(power, looks=4.4)
    for y, x in ((0, 0), (4, 4), (8, 10), (3, 9)):
        window = power[0, max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].astype(np.float64)
        mean, variance = np.nanmean(window), np.nanvar(window)
        weight = max(0.0, 1 - (1 / 4.4) / (variance / mean**2))
        assert found[0, y, x] == pytest.approx(mean + weight * (power[0, y, x] - mean), rel=1e-5)
    assert np.isnan(found[0, 4, 5])


def test_equal_steps_correlate_wholly_and_other_noise_does_not():
    one, two = (speckled((1, 40, 40), looks=4, seed=seed) for seed in (1, 2))
    same = radar(scene(layer(np.stack([one, one, one]), ["VV"], unit="linear")))
    other = radar(scene(layer(np.stack([one, two]), ["VV"], unit="linear")))

    assert same["vv_temporal_correlation"] == pytest.approx(1)
    assert same["vv_temporal_std_db"] == 0
    assert abs(other["vv_temporal_correlation"]) < 0.1
    assert "vv_temporal_correlation" not in radar(scene(layer(one, ["VV"], unit="linear")))


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.just(2), st.integers(1, 8), st.integers(1, 8)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    ),
    st.sampled_from(["dB", "linear", "amplitude"]),
)
def test_no_values_break_it_or_come_out_infinite(values, unit):
    try:
        found = radar(scene(layer(values, BOTH, unit=unit)))
    except MissingInputError:  # too few of them are backscatter
        found = {}

    assert set(found) <= {feature.name for feature in RADAR.features}
    assert all(np.isfinite(value) for name, value in found.items() if name != "polarisations")


def test_every_column_can_have_a_value():
    power = speckled((2, 4, 16, 16), looks=4)
    found = radar(scene(layer(power, ["VV", "VH", "HH", "HV"], unit="linear")))

    assert set(found) == {feature.name for feature in RADAR.features}


def test_threads_and_repeats_give_the_same_bits():
    scenes = [scene(layer(speckled((2, 2, 16, 16), looks=4, seed=seed), BOTH, unit="linear"))
              for seed in range(6)]  # fmt: skip
    once = [radar(one) for one in scenes]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(radar, scenes * 2)) == once * 2
