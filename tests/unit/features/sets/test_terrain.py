import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from registry.curate.features.scene import MissingInputError
from registry.curate.features.sets.terrain import TERRAIN, terrain
from tests.unit.features.sets.scenes import layer, scene

UTM = {"crs": "EPSG:32633", "transform": (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)}


def elevation(values, **said):
    return scene(layer(np.asarray(values)[None], ["elevation"], asset="dem", **(UTM | said)))


def plane(*, east, north, size=12, step=10.0):
    """Return heights that rise by ``east`` and ``north`` metres a metre."""
    x = np.arange(size) * step
    return 100 + east * x[None, :] - north * x[:, None]


@given(east=st.floats(-2, 2), north=st.floats(-2, 2))
def test_the_slope_of_a_plane_is_exact(east, north):
    found = terrain(elevation(plane(east=east, north=north)))
    steep = np.degrees(np.arctan(np.hypot(east, north)))

    assert found["slope_mean"] == pytest.approx(steep, abs=1e-3)
    assert found["slope_std"] == pytest.approx(0, abs=1e-3)
    assert found["tpi_mean"] == pytest.approx(0, abs=1e-3)
    assert found["curvature_mean"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("east", "north", "faces"), [(0, -1, 0), (-1, 0, 90), (0, 1, 180), (1, 0, 270), (-1, -1, 45)]
)
def test_a_slope_faces_where_it_falls_to(east, north, faces):
    found = terrain(elevation(plane(east=east, north=north)))

    assert found["aspect_mean"] == pytest.approx(faces, abs=1e-4)
    assert found["aspect_concentration"] == pytest.approx(1)
    assert found["northness"] == pytest.approx(np.cos(np.radians(faces)), abs=1e-6)
    assert found["eastness"] == pytest.approx(np.sin(np.radians(faces)), abs=1e-6)


def test_north_is_the_mean_of_what_faces_just_east_and_just_west_of_it():
    right, left = plane(east=-0.2, north=-1), plane(east=0.2, north=-1)
    both = scene(layer(np.stack([right, left])[:, None], ["elevation"], asset="dem", **UTM))
    found = terrain(both)

    assert found["aspect_mean"] % 360 == pytest.approx(0, abs=1e-4) or found[
        "aspect_mean"
    ] == pytest.approx(360, abs=1e-4)


def test_one_peak_has_the_figures_calculated_by_hand():
    found = terrain(elevation([[0, 0, 0], [0, 8, 0], [0, 0, 0]]))

    assert found["tri_mean"] == pytest.approx(np.sqrt(8 * 64))
    assert found["tpi_mean"] == 8
    assert found["roughness_mean"] == 8
    assert found["curvature_mean"] == pytest.approx(-0.32)  # -16 / 100 in each direction
    assert found["slope_mean"] == 0  # a peak is level at its top
    assert found["relief"] == 8
    assert found["elevation_mean"] == pytest.approx(8 / 9)


def test_horns_slope_of_nine_heights_calculated_by_hand():
    found = terrain(elevation([[50, 45, 50], [30, 30, 30], [8, 10, 10]]))
    # rise to the east (150 + ... ) / 80 m as Horn weighs them
    east = ((50 + 60 + 10) - (50 + 60 + 8)) / 80
    south = ((8 + 20 + 10) - (50 + 90 + 50)) / 80

    assert found["slope_mean"] == pytest.approx(np.degrees(np.arctan(np.hypot(east, south))))


def test_level_ground_has_no_aspect():
    found = terrain(elevation(np.full((5, 5), 7)))

    assert found["flat_share"] == 1
    assert found["slope_p90"] == found["tri_mean"] == found["relief"] == 0
    assert "aspect_mean" not in found


def test_turned_pixels_give_the_same_ground():
    turned = {"transform": (0.0, 10.0, 500_000.0, 10.0, 0.0, 5_000_000.0)}
    straight = plane(east=0.3, north=0.7)  # rows run to the south, columns to the east
    across = plane(east=0.3, north=0.7)[::-1].T  # rows run to the east, columns to the north
    found, other = terrain(elevation(straight)), terrain(elevation(across, **turned))

    assert other["slope_mean"] == pytest.approx(found["slope_mean"])
    assert other["aspect_mean"] == pytest.approx(found["aspect_mean"])


def test_degrees_are_as_long_as_they_are_at_the_latitude():
    second = 1 / 3600
    placed = {"crs": "EPSG:4326", "transform": (second, 0, 10.0, 0, -second, 60.0 + second * 1.5)}
    east_west = terrain(elevation(np.tile([0, 10, 20], (3, 1)), **placed))
    north_south = terrain(elevation(np.tile([[0], [10], [20]], (1, 3)), **placed))

    # an arc second at 60 degrees north: 15.5 m of longitude, 30.95 m of latitude
    assert east_west["slope_mean"] == pytest.approx(np.degrees(np.arctan(10 / 15.50)), rel=2e-3)
    assert north_south["slope_mean"] == pytest.approx(np.degrees(np.arctan(10 / 30.95)), rel=2e-3)


def test_feet_and_us_survey_feet_are_turned_into_metres():
    feet = terrain(elevation(plane(east=0.5, north=0) / 0.3048, unit="ft"))
    survey = {"crs": "EPSG:2263", "transform": (32.8083333, 0, 0, 0, -32.8083333, 0)}

    assert feet["slope_mean"] == pytest.approx(np.degrees(np.arctan(0.5)), rel=1e-5)
    assert terrain(elevation(plane(east=0.5, north=0), **survey))["slope_mean"] == pytest.approx(
        np.degrees(np.arctan(0.5)), rel=1e-5
    )


def test_without_a_transform_the_cards_resolution_counts():
    bare = {"crs": None, "transform": None}
    found = terrain(elevation(plane(east=1, north=0), **bare, gsd=10.0))

    assert found["slope_mean"] == pytest.approx(45)
    with pytest.raises(MissingInputError, match="no known size"):
        terrain(elevation(plane(east=1, north=0), **bare))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"unit": "dB"}, "is in 'dB'"),
        ({"crs": None}, "no coordinate system"),
        ({"crs": "nonsense"}, "no coordinate system"),
        ({"crs": "EPSG:4807"}, "no coordinate system"),  # in grads
        ({"crs": "+init=/etc/passwd"}, "no coordinate system"),
        ({"crs": "EPSG:4326", "transform": (0.1, 0, 0, 0, -0.1, 89)}, "in degrees at latitude"),
        ({"transform": (10.0, 10.0, 0, 10.0, 10.0, 0)}, "squeezes pixels"),
        ({"transform": (0.0, 0.0, 0, 0.0, 0.0, 0)}, "squeezes pixels"),
    ],
)
def test_what_has_no_size_on_the_ground_says_why(said, reason):
    with pytest.raises(MissingInputError, match=reason):
        terrain(elevation(np.eye(4), **said))


def test_a_sample_without_elevation_says_so():
    with pytest.raises(MissingInputError):
        terrain(scene(layer(np.ones((1, 3, 3)), ["red"])))


def test_a_gap_takes_its_neighbours_out_and_nothing_else():
    heights = plane(east=0.5, north=0)
    heights[5, 5] = -9999
    found = terrain(elevation(heights, nodata=-9999.0))

    assert found["valid_share"] == pytest.approx(143 / 144)
    assert found["slope_mean"] == pytest.approx(np.degrees(np.arctan(0.5)), rel=1e-5)
    assert found["elevation_min"] == 100


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_sample_has_heights_and_no_slope(size):
    found = terrain(elevation(np.full((size, size), 5)))

    assert found["elevation_mean"] == 5
    assert "slope_mean" not in found


def test_an_empty_sample_has_a_share_and_nothing_else():
    assert terrain(elevation(np.full((4, 4), np.nan))) == {"valid_share": 0}


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_no_heights_break_it_or_come_out_infinite(heights):
    found = terrain(elevation(heights))

    assert set(found) <= {feature.name for feature in TERRAIN.features}
    assert all(np.isfinite(value) for value in found.values())
    assert terrain(elevation(heights)) == found
