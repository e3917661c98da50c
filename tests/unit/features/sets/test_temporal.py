"""Waves, seasons, trends and breaks that were planted are found, and nothing else is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.temporal import TEMPORAL
from registry.curate.features.sets.temporal.change import largest_break, mann_kendall, theil_sen
from registry.curate.features.sets.temporal.harmonic import design, fit
from registry.curate.features.sets.temporal.series import decimal_years

JANUARY = datetime(2019, 1, 1, tzinfo=UTC)


def dates(count, step=10.0, start=JANUARY):
    return tuple(start + timedelta(days=step * number) for number in range(count))


def wave(times, *, level=0.5, height=0.2, peak=200.0):
    """A cosine that peaks on a day of the year."""
    return level + height * np.cos(2 * np.pi * (decimal_years(times) - (peak - 1) / 365.25))


def scene(ndvi, times, **facts):
    """Near infrared and red of this NDVI, shape (time,) or (time, y, x)."""
    ndvi = np.asarray(ndvi, np.float64)
    if ndvi.ndim == 1:
        ndvi = np.tile(ndvi[:, None, None], (1, 3, 4))
    raw = np.stack([1 + ndvi, 1 - ndvi], axis=1).astype(np.float32)
    layer = Layer(asset="s2", raw=raw, common=("N", "R"), bands=("B8", "B4"), times=times, **facts)
    return Scene(sample="a", layers=(layer,))


def values(ndvi, times, **facts):
    return TEMPORAL.by_scene(scene(ndvi, times, **facts))


def test_a_planted_wave_is_found():
    times = dates(37)
    found = values(wave(times), times)

    assert found["series"] == "NDVI"
    assert found["harmonic_mean"] == pytest.approx(0.5, abs=1e-4)
    assert found["amplitude_1"] == pytest.approx(0.2, abs=1e-4)
    assert found["amplitude_2"] == pytest.approx(0, abs=1e-4)
    assert found["phase_1"] == pytest.approx(200, abs=0.1)
    assert found["harmonic_r2"] == pytest.approx(1, abs=1e-4)
    assert found["amplitude_1_std"] == pytest.approx(0, abs=1e-6)


def test_the_season_of_a_cosine_is_where_its_formula_says():
    times = dates(37)
    found = values(wave(times), times)
    # 20 % of the height is left at arccos(-0.6) from the peak, of 2 pi a year.
    half = 365.25 * np.arccos(-0.6) / (2 * np.pi)

    assert found["season_peak"] == pytest.approx(200, abs=0.2)
    assert found["season_start"] == pytest.approx(200 - half, abs=0.2)
    assert found["season_end"] == pytest.approx(200 + half, abs=0.2)
    assert found["season_length"] == pytest.approx(2 * half, abs=0.2)
    assert found["season_amplitude"] == pytest.approx(0.4, abs=1e-3)
    assert found["season_base"] == pytest.approx(0.3, abs=1e-3)
    assert found["seasons"] == 1


def test_a_southern_season_spans_new_year():
    times = dates(37)
    found = values(wave(times, peak=10), times)

    assert found["season_peak"] == pytest.approx(10, abs=0.2)
    assert found["season_start"] > 220 > found["season_end"] > 10
    assert found["season_length"] == pytest.approx(365.25 * np.arccos(-0.6) / np.pi, abs=0.2)


def test_two_crops_a_year_are_two_seasons():
    times = dates(73, step=5)
    turn = decimal_years(times)
    twice = 0.5 + 0.2 * np.cos(4 * np.pi * turn) + 0.03 * np.cos(2 * np.pi * turn)
    found = values(twice, times)

    assert found["seasons"] == 2
    assert found["amplitude_2"] == pytest.approx(0.2, abs=1e-3)
    assert found["season_length"] < 183


def test_clouds_are_looked_through():
    times = dates(37)
    ndvi = np.tile(wave(times)[:, None, None], (1, 4, 4))
    rng = np.random.default_rng(1)
    clear = rng.random(ndvi.shape) > 0.3
    found = values(np.where(clear, ndvi, -0.9), times, clear=clear)

    assert found["amplitude_1"] == pytest.approx(0.2, abs=1e-4)
    assert found["phase_1"] == pytest.approx(200, abs=0.2)
    assert found["clear_share"] == pytest.approx(clear.mean())


def test_each_pixel_is_fitted_on_its_own():
    times = dates(37)
    ndvi = np.stack([wave(times, height=0.1), wave(times, height=0.3)], axis=1)[:, None]
    found = values(ndvi, times)

    assert found["amplitude_1"] == pytest.approx(0.2, abs=1e-4)
    assert found["amplitude_1_std"] == pytest.approx(0.1, abs=1e-4)


def test_a_fit_is_that_of_numpy():
    rng = np.random.default_rng(2)
    years = np.sort(rng.uniform(2019, 2022, 50))
    pixels = rng.random((50, 6))
    pixels[rng.random(pixels.shape) < 0.2] = np.nan
    found = fit(pixels, years, harmonics=2, trend=True)

    for number in range(6):
        seen = np.isfinite(pixels[:, number])
        columns = design(years, 2, trend=True)[seen]
        theirs = np.linalg.lstsq(columns, pixels[seen, number], rcond=None)[0]
        ours = [found.mean[number], found.slope[number]]
        ours += np.stack([found.cosine, found.sine], axis=1)[:, :, number].reshape(-1).tolist()
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_a_planted_break_is_found_on_its_date_beside_season_and_trend():
    times = dates(110, step=10)
    rng = np.random.default_rng(3)
    ndvi = wave(times, level=0.4) + 0.02 * (decimal_years(times) - 2019)
    ndvi = ndvi + rng.normal(0, 0.02, len(times)) - 0.25 * (np.arange(len(times)) >= 60)
    found = values(ndvi, times)

    assert found["break_found"]
    assert found["break_f"] > 100
    assert found["break_date"] == times[60].date()
    assert found["break_shift"] == pytest.approx(-0.25, abs=0.03)


def test_noise_alone_breaks_no_more_often_than_chance_allows():
    rng = np.random.default_rng(4)
    columns = np.ones((100, 1))
    found = [largest_break(rng.normal(size=100), columns).statistic > 8.68 for _ in range(2000)]

    assert 0.035 < np.mean(found) < 0.06


def test_a_planted_trend_is_found_beside_the_season():
    times = dates(110, step=10)
    ndvi = wave(times, level=0.3, height=0.1) + 0.05 * (decimal_years(times) - 2019)
    found = values(ndvi, times)

    assert found["trend"] == pytest.approx(0.05, abs=2e-3)
    assert found["trend_p"] < 1e-6
    assert not found["lacking"]


def test_a_few_odd_values_do_not_move_the_slope():
    years = np.arange(2000.0, 2020.0)
    line = 3 * years
    line[[4, 11]] = 1e6

    assert theil_sen(line, years) == pytest.approx(3)


def test_the_probability_of_a_trend_is_that_of_the_books():
    # n = 10, strictly rising: S = 45, var = 125, z = 44 / sqrt(125) = 3.9355, p = 8.3e-5
    assert mann_kendall(np.arange(10.0)) == pytest.approx(8.30e-5, rel=1e-2)
    assert mann_kendall(np.ones(10)) == 1


def test_gaps_are_counted_in_days():
    times = tuple(JANUARY + timedelta(days=day) for day in (0, 5, 10, 40, 45))
    ndvi = np.full((5, 2, 2), 0.5)
    ndvi[2] = np.nan
    found = values(ndvi, times)

    assert found["observations"] == 5
    assert found["clear_observations"] == 4
    assert found["clear_share"] == pytest.approx(0.8)
    assert found["span_days"] == 45
    assert found["longest_gap_days"] == 35
    assert found["median_revisit_days"] == 5


def test_times_in_any_order_give_the_same():
    times = dates(37)
    ndvi = wave(times)
    order = np.random.default_rng(5).permutation(37)

    assert values(ndvi[order], tuple(times[i] for i in order)) == values(ndvi, times)


def test_too_few_dates_leave_nulls_and_a_reason():
    found = values([0.1, 0.2, 0.3], dates(3))

    assert "amplitude_1" not in found
    assert "season_start" not in found
    assert found["observations"] == 3
    assert "harmonics and season: 3 clear dates of 6" in found["lacking"]


def test_a_summer_is_no_year():
    found = values(np.linspace(0, 1, 20), dates(20, step=5))

    assert "harmonics and season: 95 days of 270" in found["lacking"]


def test_noise_has_no_season():
    times = dates(37)
    found = values(np.random.default_rng(6).normal(0.5, 0.05, 37), times)

    assert "season_peak" not in found
    assert "season: waves explain" in found["lacking"]


@pytest.mark.parametrize("level", [0.5, 0.0])
def test_a_flat_series_has_no_season_and_no_trend(level):
    times = dates(110)
    found = values(np.full(110, level), times)

    assert found["amplitude_1"] == pytest.approx(0, abs=1e-7)
    assert "season: " in found["lacking"]
    assert found["trend"] == pytest.approx(0, abs=1e-7)
    assert not found["break_found"]


def test_one_pixel_at_one_time_has_its_count():
    found = values([[[0.5]]], dates(1))

    assert found["observations"] == found["clear_observations"] == 1
    assert "longest_gap_days" not in found
    assert "median_revisit_days" not in found


@pytest.mark.parametrize(
    ("common", "unit", "name"),
    [(("VV", "VH"), "dB", "VH-VV"), (("VV", "VH"), None, "VH/VV"), (("S1", "S2"), None, "S1")],
)
def test_without_near_infrared_another_series_is_followed_and_named(common, unit, name):
    raw = np.random.default_rng(0).random((20, 2, 2, 2)).astype(np.float32)
    layer = Layer(asset="x", raw=raw, common=common, bands=common, unit=unit, times=dates(20))

    assert TEMPORAL.by_scene(Scene(sample="a", layers=(layer,)))["series"] == name


def test_without_times_there_is_a_reason():
    with pytest.raises(MissingInputError, match="no array of it has times"):
        values(np.zeros(5), ())
    with pytest.raises(MissingInputError, match="no array of it has times"):
        TEMPORAL.by_scene(Scene(sample="a"))


def test_a_series_that_was_never_observed_has_a_reason():
    with pytest.raises(MissingInputError, match="NDVI was never observed"):
        values(np.full((5, 2, 2), np.nan), dates(5))


def test_bits_are_equal_on_repeat_and_in_threads():
    times = dates(110)
    rng = np.random.default_rng(7)
    one = scene(
        wave(times)[:, None, None] + rng.normal(0, 0.1, (110, 30, 30)),
        times,
        clear=rng.random((110, 30, 30)) > 0.2,
    )
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(TEMPORAL.by_scene, [one] * 8))

    assert all(other == found[0] for other in found)
    assert set(found[0]) <= {feature.name for feature in TEMPORAL.features}


def test_negative_reflectance_has_no_ndvi():
    times = dates(37)
    one = scene(wave(times), times)
    raw = one.layers[0].raw.copy()
    raw[::5, 1] = -0.999 * raw[::5, 0]  # NDVI of about 2000
    layer = Layer(asset="s2", raw=raw, common=("N", "R"), bands=("B8", "B4"), times=times)
    found = TEMPORAL.by_scene(Scene(sample="a", layers=(layer,)))

    assert found["clear_observations"] == 29
    assert found["amplitude_1"] == pytest.approx(0.2, abs=1e-4)
