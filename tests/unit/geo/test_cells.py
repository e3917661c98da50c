"""Places have numbers: near keys are near places, and blocks are of equal area."""

import numpy as np
import pytest
import shapely
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float64, Int64, jaxtyped
from pyproj import Geod

from registry.errors import InvalidInputError
from registry.geo import area_m2, equal_area_cell, hilbert_key

LEVEL = 31


def slow_key(x, y):
    """Follow the curve bit by bit, as in the textbook."""
    key, side = 0, 1 << (LEVEL - 1)
    while side:
        right, upper = int(x & side > 0), int(y & side > 0)
        key += side * side * ((3 * right) ^ upper)
        if not upper:
            if right:
                x, y = 2**LEVEL - 1 - x, 2**LEVEL - 1 - y
            x, y = y, x
        side >>= 1
    return key


@given(st.integers(0, 2**LEVEL - 1), st.integers(0, 2**LEVEL - 1))
def test_keys_are_those_of_the_textbook(x, y):
    lon, lat = (x + 0.5) / 2**LEVEL * 360 - 180, (y + 0.5) / 2**LEVEL * 180 - 90
    assert hilbert_key(lon, lat).item() == slow_key(x, y)


def test_the_curve_visits_every_cell_and_steps_to_a_neighbour():
    side = 32
    middles = (np.arange(side) + 0.5) / side
    lon, lat = np.meshgrid(middles * 360 - 180, middles * 180 - 90)
    keys = hilbert_key(lon, lat)
    order = np.argsort(keys, axis=None)
    rows, columns = np.unravel_index(order, keys.shape)
    steps = np.abs(np.diff(rows)) + np.abs(np.diff(columns))
    assert np.unique(keys).size == side * side
    assert (steps == 1).all()


@jaxtyped(typechecker=beartype)
def keys_of(
    lon: Float64[np.ndarray, "y x"], lat: Float64[np.ndarray, "y x"]
) -> Int64[np.ndarray, "y x"]:
    return hilbert_key(lon, lat)


def test_keys_keep_the_shape_and_are_signed_64_bit():
    assert keys_of(np.zeros((3, 4)), np.ones((3, 4))).shape == (3, 4)


def test_unknown_places_get_the_key_that_was_asked_for():
    assert hilbert_key([np.nan, 1.0], [0.0, np.nan]).tolist() == [-1, -1]
    assert hilbert_key([np.nan], [0.0], missing=7).tolist() == [7]


def test_the_ends_of_the_globe_are_inside():
    keys = hilbert_key([-180, 180, 180, -180, 200], [-90, -90, 90, 90, 95])
    assert keys.min() == 0
    assert keys.max() == 4**LEVEL - 1


@given(st.floats(5, 2000))
def test_blocks_have_about_the_area_that_was_asked_for(block_km):
    rng = np.random.default_rng(1)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, 200_000)))
    lon = rng.uniform(-180, 180, lat.size)
    cells, counts = np.unique(equal_area_cell(lon, lat, block_km=block_km), return_counts=True)
    globe_km2 = 4 * np.pi * 6371.0**2
    if block_km > 1500:
        mean_km2 = globe_km2 / cells.size
        assert mean_km2 == pytest.approx(block_km**2, rel=0.35)
        assert counts.max() < 4 * counts.mean()


@given(st.floats(-180, 180), st.floats(-90, 90), st.floats(0.1, 10_000))
def test_a_turn_of_the_globe_changes_no_block(lon, lat, block_km):
    here = equal_area_cell(lon, lat, block_km=block_km)
    assert here == equal_area_cell(lon + 720, lat, block_km=block_km) or abs(lon) % 1 < 1e-9
    assert here >= 0


@pytest.mark.parametrize(
    ("lon", "lat", "block_km"), [(0, 0, 0), (0, 0, 1e5), (np.nan, 0, 10), (0, 91, 10)]
)
def test_blocks_of_nonsense_are_refused(lon, lat, block_km):
    with pytest.raises(InvalidInputError):
        equal_area_cell(lon, lat, block_km=block_km)


@given(st.floats(-170, 170), st.floats(-80, 80), st.floats(0.001, 5))
def test_areas_are_those_of_the_ellipsoid(lon, lat, size):
    box = shapely.box(lon, lat, lon + size, lat + size)
    expected, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(box))
    assert area_m2(box) == pytest.approx(expected)
    assert area_m2(box.reverse()) == pytest.approx(expected)


def test_parts_wound_differently_add_up():
    one, other = shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1).reverse()
    assert area_m2(shapely.MultiPolygon([one, other])) == pytest.approx(2 * area_m2(one))
