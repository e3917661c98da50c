import hashlib

import numpy as np
import pytest
import shapely

from registry.curate.layers import countries, polygons
from registry.curate.layers.polygons import Polygons
from registry.curate.layers.reference import Reference


@pytest.fixture
def layer(monkeypatch):
    """Make layers on a grid of half a degree: the answers are the same, the files are small."""
    monkeypatch.setattr(polygons, "ROWS", 360)
    monkeypatch.setattr(polygons, "COLUMNS", 720)

    def layer(*shapes):
        about = Reference(
            name="test", title="t", version="1", source="s", licence="CC0-1.0",
            digest=hashlib.sha256(b"".join(one.wkb for one in shapes)).hexdigest(),
        )  # fmt: skip
        return Polygons(name="test-shapes", reference=about, read=lambda: list(shapes))

    return layer


def by_force(shapes, lon, lat):
    """Return the first shape that each point touches."""
    points, found = shapely.STRtree(shapely.points(lon, lat)), np.full(len(lon), -1)
    for place in range(len(shapes) - 1, -1, -1):
        found[points.query(shapes[place], predicate="intersects")] = place
    return found


def points(count=20_000, seed=3):
    random = np.random.default_rng(seed)
    return random.uniform(-180, 180, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))


def test_countries_are_those_that_geometry_says():
    lon, lat = points()
    shapes = countries._polygons().shapes
    assert (countries._polygons().at(lon, lat) == by_force(shapes, lon, lat)).all()


def test_points_close_to_borders_are_decided_by_geometry():
    shapes = countries._polygons().shapes
    borders = shapely.get_coordinates(shapely.boundary(shapes[:60]))
    random = np.random.default_rng(5)
    lon, lat = (borders + random.normal(0, 0.02, borders.shape)).T
    lon, lat = np.clip(lon, -179.999, 179.999), np.clip(lat, -89.999, 89.999)
    assert (countries._polygons().at(lon, lat) == by_force(shapes, lon, lat)).all()


def test_shapes_smaller_than_a_cell_are_found(layer):
    tiny = shapely.Point(10.012, 20.031).buffer(0.001)
    assert layer(tiny).at([10.012, 10.02], [20.031, 20.031]).tolist() == [0, -1]


def test_the_first_of_two_that_overlap_wins(layer):
    first, second = shapely.box(0, 0, 20, 20), shapely.box(10, 0, 30, 20)
    assert layer(first, second).at([5, 15, 25], [10, 10, 10]).tolist() == [0, 0, 1]
    assert layer(second, first).at([5, 15, 25], [10, 10, 10]).tolist() == [1, 0, 0]


def test_a_hole_is_outside(layer):
    ring = shapely.box(0, 0, 20, 20).difference(shapely.box(5, 5, 15, 15))
    assert layer(ring).at([10, 2], [10, 2]).tolist() == [-1, 0]


def test_a_bow_tie_is_made_valid(layer):
    tie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    assert layer(tie).at([1, 9, 5], [5, 5, 9]).tolist() == [0, 0, -1]


def test_what_has_no_area_or_lies_off_the_globe_is_nowhere(layer):
    line, point = shapely.LineString([(0, 0), (9, 9)]), shapely.Point(5, 5)
    far = shapely.box(1e300, 0, 2e300, 1)
    mixed = shapely.GeometryCollection([line, shapely.box(20, 0, 29, 9), shapely.box(25, 0, 35, 9)])
    found = layer(line, point, far, mixed).at([5, 22, 34, 5], [5, 5, 5, 4])
    assert found.tolist() == [-1, 3, 3, -1]


def test_a_layer_without_shapes_knows_nothing(layer):
    assert layer().at([0.0], [0.0]).tolist() == [-1]


def test_empty_shapes_keep_their_places(layer):
    assert layer(shapely.Polygon(), shapely.box(0, 0, 9, 9)).at([5], [5]).tolist() == [1]


@pytest.mark.parametrize("lon", [-180.0, 180.0])
def test_a_shape_that_ends_at_the_antimeridian_holds_it(layer, lon):
    west, east = shapely.box(-180, -10, -170, 10), shapely.box(170, -10, 180, 10)
    assert layer(west).at([lon], [0]).tolist() == [0]
    assert layer(shapely.union(west, east)).at([lon], [0]).tolist() == [0]
