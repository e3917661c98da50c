import numpy as np
import pytest

from registry.web.maps import Frame, degrees, frame_around, map_of


def test_the_map_shows_every_footprint_inside_its_frame(version):
    shown = map_of(version)

    assert (shown.located, shown.missing, shown.binned) == (8, 0, False)
    assert {mark.title for mark in shown.marks} == {f"s{number}" for number in range(8)}
    for mark in shown.marks:
        assert 0 < mark.x < shown.frame.width
        assert 0 < mark.y < shown.frame.height
    assert all(mark.rings for mark in shown.marks)


def test_samples_without_a_place_are_counted(placeless):
    shown = map_of(placeless)

    assert (shown.located, shown.missing, shown.marks) == (0, 2, ())


def test_north_is_up_and_east_is_right():
    frame = Frame(west=0, south=40, east=10, north=50)

    assert frame.x(9) > frame.x(1)
    assert frame.y(49) < frame.y(41)


def test_a_frame_across_the_antimeridian_is_narrow():
    boxes = np.array([[179.0, -18, 179.5, -17], [-179.5, -18, -179.0, -17]])
    lon = np.array([179.25, -179.25])

    frame = frame_around(boxes, lon)

    assert frame.east - frame.west < 10
    assert frame.west < 179
    assert frame.east > 181


@pytest.mark.parametrize("width", [0.004, 0.5, 7, 100, 360])
def test_the_graticule_has_a_few_lines_at_every_scale(width):
    frame = Frame(west=-width / 2, east=width / 2, south=-width / 5, north=width / 5)

    assert 2 <= len(frame.meridians()) <= 7
    length, said = frame.scale_bar()
    assert 0 < length <= frame.width / 4
    assert said.endswith("m")


def test_longitudes_beyond_the_antimeridian_are_said_as_people_do():
    assert degrees(190, "EW") == "170°W"
    assert degrees(-190, "EW") == "170°E"
    assert degrees(45.5, "NS") == "45.5°N"
