import math
import struct

import pyproj
import pytest
import shapely

from registry.geo.likeness import likeness

SQUARE = shapely.box(0, 0, 2, 2)


def alike(before, after, frame="pixel"):
    return likeness(
        *(None if s is None else shapely.to_wkb(s) for s in (before, after)), frame=frame
    )


def test_pixels_are_measured_in_pixels():
    found = alike(SQUARE, shapely.box(3, 4, 5, 6))

    assert (found.iou, found.distance, found.unit, found.note) == (0.0, 5.0, "pixel", "")


def test_degrees_are_measured_in_metres_on_the_ellipsoid():
    one, other = shapely.Point(10, 60), shapely.Point(11, 60)
    expected = pyproj.Geod(ellps="WGS84").inv(10, 60, 11, 60)[2]

    found = alike(one, other, "OGC:CRS84")

    assert found.distance == pytest.approx(expected)
    assert (found.unit, found.iou) == ("metre", None)


def test_the_unit_of_a_projected_system_is_named():
    assert alike(SQUARE, SQUARE, "EPSG:32633").unit == "metre"
    assert alike(SQUARE, SQUARE, "EPSG:2263").unit == "US survey foot"


def test_halves_on_both_sides_of_the_antimeridian_are_one_outline():
    halves = shapely.MultiPolygon([
        shapely.box(179, -18, 180, -16),
        shapely.box(-180, -18, -179, -16),
    ])
    found = alike(halves, shapely.box(179, -18, 180, -16), "OGC:CRS84")

    assert found.iou == pytest.approx(0.5, rel=1e-3)
    assert found.distance == pytest.approx(53_243, rel=1e-3)
    across = alike(shapely.box(-180, 0, -179, 1), shapely.box(179, 0, 180, 1), "OGC:CRS84")
    assert across.distance == pytest.approx(111_315, rel=1e-3)


@pytest.mark.parametrize(
    ("before", "after", "note"),
    [
        (None, SQUARE, "none before"),
        (SQUARE, None, "none after"),
        (shapely.Polygon(), SQUARE, "empty before"),
        (SQUARE, shapely.GeometryCollection(), "empty after"),
    ],
)
def test_what_is_not_there_is_not_measured(before, after, note):
    found = alike(before, after)

    assert (found.iou, found.distance, found.note) == (None, None, note)


def test_bytes_that_are_no_outline_are_said():
    assert likeness(b"\x00zz", SQUARE.wkb, frame="pixel").note == "unreadable before"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_outline_that_is_nowhere_is_said(value):
    wkb = shapely.box(0, 0, 1, 1).wkb
    broken = wkb.replace(b"\x00\x00\x00\x00\x00\x00\xf0?", struct.pack("<d", value))

    note = likeness(broken, wkb, frame="OGC:CRS84").note
    assert note in {"not finite before", "unreadable before"}


def test_an_outline_that_crosses_itself_is_made_valid():
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])

    found = alike(bow, SQUARE)

    assert (found.iou, found.note) == (0.5, "invalid before")


def test_mixtures_of_dimensions_are_compared_by_what_has_an_area():
    mixture = shapely.GeometryCollection([SQUARE, shapely.LineString([(5, 5), (6, 6)])])

    assert alike(mixture, SQUARE).iou == pytest.approx(1.0)
    assert alike(shapely.Point(0, 0), shapely.Point(0, 1)).iou is None


@pytest.mark.parametrize("frame", [None, "EPSG:999999", "no system"])
def test_an_unknown_system_is_said(frame):
    found = alike(SQUARE, SQUARE, frame)

    assert (found.iou, found.unit) == (1.0, "unit")
    assert "unknown" in found.note
