import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from registry.curate.features.sets.spread import spread

SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)


@given(arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e6, 1e6, width=32)))
def test_figures_are_those_of_numpy_in_double_precision(values):
    mean, deviation, *quantiles = spread(values, SHARES)
    exact = values.astype(np.float64)

    scale = float(np.abs(exact).max())
    assert mean == pytest.approx(exact.mean(), rel=1e-9, abs=1e-9 * scale)
    assert deviation == pytest.approx(exact.std(), rel=1e-4, abs=1e-6 * scale)
    assert quantiles == pytest.approx(np.quantile(exact, SHARES), rel=1e-9, abs=1e-9 * scale)


def test_a_small_spread_about_a_large_mean_is_not_lost():
    values = (1_000_000 + np.arange(1000) % 2).astype(np.float32)

    mean, deviation = spread(values, ())
    assert mean == pytest.approx(1_000_000.5, abs=1e-6)
    assert deviation == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, -np.inf]])
def test_nothing_finite_has_no_figures(values):
    assert spread(np.array(values, np.float32), SHARES) is None


def test_values_are_left_as_they_are():
    values = np.array([3, np.nan, 1], np.float32)
    spread(values, SHARES)

    np.testing.assert_array_equal(values, np.array([3, np.nan, 1], np.float32))
