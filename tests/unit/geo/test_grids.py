"""Grids know the ground they cover, wherever it lies."""

import numpy as np
import pytest
import rasterio.warp
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import affinity

from registry.errors import InvalidInputError
from registry.geo import Grid, area_m2, bbox_of, footprint, footprints, normalise_crs, utm_crs


def grid_at(lon, lat, *, crs=None, gsd=10.0, height=64, width=64):
    crs = crs or utm_crs(lon, lat)
    to_crs = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    x, y = to_crs.transform(lon, lat)
    return Grid(
        crs=crs,
        transform=(gsd, 0.0, x - gsd * width / 2, 0.0, -gsd, y + gsd * height / 2),
        height=height,
        width=width,
    )


@given(
    st.floats(-175, 175), st.floats(-79, 83), st.integers(1, 4000), st.sampled_from([10.0, 30.0])
)
def test_a_footprint_has_the_bounds_that_rasterio_finds(lon, lat, size, gsd):
    grid = grid_at(lon, lat, gsd=gsd, height=size, width=size)
    found = footprint(grid).bounds
    a, _, c, _, e, f = grid.transform
    corners = (c, f + e * size, c + a * size, f)
    expected = rasterio.warp.transform_bounds(grid.crs, "OGC:CRS84", *corners, densify_pts=101)
    assert np.allclose(found, expected, atol=3e-5)


@given(st.floats(-180, 180), st.floats(-79, 83), st.integers(8, 3000))
def test_a_footprint_is_valid_and_as_large_as_its_pixels(lon, lat, size):
    shape = footprint(grid_at(lon, lat, height=size, width=size))
    assert shape.is_valid
    west, _, east, _ = shape.bounds
    assert west >= -180
    assert east <= 180
    assert area_m2(shape) == pytest.approx((size * 10) ** 2, rel=0.012)  # UTM's own scale


def test_edges_stay_where_they_are_on_a_large_tile():
    grid = Grid(
        crs="EPSG:32633", transform=(10, 0, 399960, 0, -10, 7800000), height=10980, width=10980
    )
    x = np.linspace(399960, 399960 + 109800, 1001)
    lon, lat = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True).transform(
        x, np.full_like(x, 7800000.0)
    )
    edge = shapely.points(lon, lat)
    strays = shapely.distance(footprint(grid).exterior, edge) * 111_320
    assert strays.max() < 3  # metres


@pytest.mark.parametrize("lon", [179.99, -179.99, 180.0])
@pytest.mark.parametrize("lat", [-16.84, 66.0])
def test_a_chip_on_the_antimeridian_is_cut_in_two(lon, lat):
    grid = grid_at(lon, lat, gsd=100)
    shape = footprint(grid)
    assert shape.geom_type == "MultiPolygon"
    assert len(shape.geoms) == 2
    assert bbox_of(shape).crosses_antimeridian
    assert area_m2(shape) == pytest.approx(6400.0**2, rel=0.012)


def test_halves_meet_on_the_antimeridian():
    west, east = sorted(
        footprint(grid_at(180, -16.84, gsd=100)).geoms, key=lambda half: half.bounds[0]
    )
    assert west.bounds[0] == -180
    assert east.bounds[2] == 180
    joined = shapely.union_all([affinity.translate(west, 360), east])
    assert joined.geom_type == "Polygon"


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3413", 90), ("EPSG:3031", -90)])
def test_a_grid_over_a_pole_reaches_it(crs, pole):
    grid = Grid(crs=crs, transform=(1000, 0, -500000, 0, -1000, 500000), height=1000, width=1000)
    shape = footprint(grid)
    assert shape.is_valid
    assert shape.covers(shapely.Point(12.3, pole))
    assert shape.covers(shapely.Point(-170, pole * 0.99))
    assert bbox_of(shape).to_struct() | {"ymin": 0, "ymax": 0} == {
        "xmin": -180.0, "xmax": 180.0, "ymin": 0, "ymax": 0
    }  # fmt: skip
    assert area_m2(shape) == pytest.approx(1e12, rel=0.08)


@pytest.mark.parametrize("column", [-1, -250, -499])
def test_a_grid_whose_edge_is_near_the_pole_still_holds_it(column):
    grid = Grid(
        crs="EPSG:3031", transform=(1000, 0, column * 1000 - 7, 0, -1000, 250000),
        height=500, width=500,
    )  # fmt: skip
    shape = footprint(grid)
    assert shape.is_valid
    assert shape.bounds[1] == -90
    assert area_m2(shape) == pytest.approx(2.5e11, rel=0.08)


@pytest.mark.parametrize("offset", [(0, 500), (-250, 500), (-500, 0)])
def test_a_grid_that_touches_the_pole_does_not_go_around_the_world(offset):
    left, top = offset
    grid = Grid(
        crs="EPSG:3031", transform=(1000, 0, left * 1000, 0, -1000, top * 1000),
        height=500, width=500,
    )  # fmt: skip
    shape = footprint(grid)
    assert shape.is_valid
    assert area_m2(shape) == pytest.approx(2.5e11, rel=0.08)


@pytest.mark.parametrize(
    ("transform", "height", "width"),
    [
        ((1, 0, -180, 0, -1, 90), 180, 360),
        ((1, 0, 0, 0, -1, 90), 180, 360),
        ((2.5, 0, -1.25, 0, -2.5, 91.25), 73, 144),
    ],
)
def test_a_grid_of_the_whole_world_covers_it_once(transform, height, width):
    shape = footprint(Grid(crs="EPSG:4326", transform=transform, height=height, width=width))
    assert shape.bounds == (-180, -90, 180, 90)
    assert shape.area == pytest.approx(360 * 180)


def test_longitudes_beyond_180_mean_the_other_side():
    shape = footprint(
        Grid(crs="EPSG:4326", transform=(0.1, 0, 355, 0, -0.1, 10), height=10, width=20)
    )
    assert shape.bounds == pytest.approx((-5, 9, -3, 10))


def test_rotated_grids_keep_their_corners():
    turn = np.radians(30)
    grid = Grid(
        crs="EPSG:32631",
        transform=(
            10 * np.cos(turn), 10 * np.sin(turn), 5e5, 10 * np.sin(turn), -10 * np.cos(turn), 5e6,
        ),
        height=64,
        width=32,
    )  # fmt: skip
    assert area_m2(footprint(grid)) == pytest.approx(640 * 320, rel=0.002)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", (1, 0, 0, 0, 1, 0)),
        ("EPSG:4326", (1, 0, 0, 0, -1, 64)),
        ("EPSG:32633", (1, 0, 0, 0, 1, 0)),
        ("EPSG:4326", (10, 0, 500000, 0, -10, 4500000)),
        ("EPSG:32633", (0.0001, 0, 15, 0, -0.0001, 45)),
        ("EPSG:32633", (10, 0, 9e6, 0, -10, 5e6)),
        ("EPSG:2154", (10, 0, -4e6, 0, -10, 1e6)),
    ],
)
def test_coordinates_that_cannot_be_meant_are_refused_with_the_value(crs, transform):
    grid = Grid(crs=crs, transform=transform, height=64, width=64)
    with pytest.raises(InvalidInputError, match="--crs") as refused:
        footprint(grid)
    assert crs in refused.value.problem
    assert footprints([grid]) == [None]


@pytest.mark.parametrize(
    "crs",
    ["EPSG:3857", "EPSG:2154", "EPSG:3035", "EPSG:6933", "ESRI:54009", "EPSG:4258"],
)
def test_usual_systems_are_not_called_absurd(crs):
    grid = grid_at(2.5, 46.5, crs=crs, gsd=10.0 if crs != "EPSG:4258" else 0.0001)
    assert footprint(grid).covers(shapely.Point(2.5, 46.5))


def test_a_custom_system_of_a_satellite_is_understood():
    sinusoidal = normalise_crs("+proj=sinu +lon_0=0 +R=6371007.181 +units=m")
    grid = Grid(
        crs=sinusoidal, transform=(463.3127, 0, 0, 0, -463.3127, 5559752.6), height=2400, width=2400
    )
    west, south, east, north = footprint(grid).bounds
    assert (west, south, north) == pytest.approx((0, 40, 50), abs=1e-3)
    assert east == pytest.approx(10 / np.cos(np.radians(50)), abs=1e-3)


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-85, 85)), max_size=20))
def test_many_footprints_are_those_of_each(places):
    grids = [grid_at(lon, lat, gsd=30) for lon, lat in places]
    together = footprints([*grids, None])
    assert together[-1] is None
    assert together[:-1] == [shapely.to_wkb(footprint(grid)) for grid in grids]


def test_rings_run_counter_clockwise():
    shape = footprint(grid_at(10, 50))
    assert shape.exterior.is_ccw


@pytest.mark.parametrize(
    "broken",
    [
        {"height": 0},
        {"width": -1},
        {"transform": (0, 0, 5, 0, 0, 5)},
        {"transform": (float("nan"), 0, 5, 0, -1, 5)},
    ],
)
def test_a_grid_that_covers_nothing_cannot_be_made(broken):
    sound = {"crs": "EPSG:32633", "transform": (10, 0, 5e5, 0, -10, 5e6), "height": 4, "width": 4}
    with pytest.raises(InvalidInputError):
        Grid(**(sound | broken))


def test_a_window_lies_where_its_pixels_lay():
    grid = Grid(crs="EPSG:32633", transform=(10, 0, 5e5, 0, -10, 5e6), height=64, width=64)
    part = grid.window(row=3, column=5, height=8, width=9)
    assert part.transform == (10, 0, 500050, 0, -10, 4999970)
    assert grid.footprint().covers(part.footprint())
