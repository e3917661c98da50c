"""Boxes on the globe obey the antimeridian."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidInputError
from registry.geo import BBox, bbox_of, bounds_of, centres_of

LON, LAT = st.floats(-180, 180), st.floats(-90, 90)


@given(st.lists(st.tuples(LON, LAT), min_size=1, max_size=12))
def test_away_from_the_antimeridian_a_box_is_shapelys(points):
    shape = shapely.MultiPoint(points)
    box = bbox_of(shape)
    if not (shape.bounds[0] <= -180 and shape.bounds[2] >= 180):
        assert (box.west, box.south, box.east, box.north) == shape.bounds


def test_a_shape_cut_at_the_antimeridian_has_the_small_box():
    fiji = shapely.MultiPolygon([
        shapely.box(177, -19, 180, -16),
        shapely.box(-180, -18, -178.5, -15),
    ])
    box = bbox_of(fiji)
    assert box == BBox(west=177, south=-19, east=-178.5, north=-15)
    assert box.crosses_antimeridian
    assert box.centre == pytest.approx((179.25, -17))


def test_a_belt_around_the_world_has_no_gap_to_leave_out():
    belt = shapely.union_all([shapely.box(-180, -10, 20, 10), shapely.box(20, -10, 180, 10)])
    assert bbox_of(belt) == BBox(west=-180, south=-10, east=180, north=10)


@pytest.mark.parametrize(
    "edges",
    [
        {"west": 500000.0},
        {"north": 91.0},
        {"south": float("nan")},
        {"south": 50.0, "north": 40.0},
    ],
)
def test_a_box_off_the_globe_cannot_be_made(edges):
    with pytest.raises(InvalidInputError):
        BBox(**({"west": 0.0, "south": 0.0, "east": 1.0, "north": 1.0} | edges))


def test_an_empty_geometry_has_no_box():
    with pytest.raises(InvalidInputError, match="empty"):
        bbox_of(shapely.Polygon())


def test_unknown_geometries_have_unknown_boxes_and_middles():
    bounds = bounds_of([None, shapely.Point(3, 4), shapely.Polygon()])
    lon, lat = centres_of(bounds)
    assert np.isnan(bounds[[0, 2]]).all()
    assert np.isnan(lon[[0, 2]]).all()
    assert (lon[1], lat[1]) == (3, 4)


def test_no_geometries_have_no_boxes():
    assert bounds_of([]).shape == (0, 4)


@given(LON, LAT, st.floats(0, 40))
def test_the_middle_of_a_box_is_on_the_globe(west, south, width):
    east = west + width if west + width <= 180 else west + width - 360
    lon, _ = BBox(west=west, south=min(south, 80), east=east, north=80).centre
    assert -180 <= lon < 180
