import pyarrow as pa
import pytest
import shapely
from shapely import affinity

from registry.curate.formats.contract import CRS84, PIXEL_FRAME, PLAN_ANNOTATIONS
from registry.curate.ingest.annotations import annotation_rows
from registry.curate.ingest.matching import completed
from registry.geo import transform_points

UTM = "EPSG:32633"
TRANSFORM = [10.0, 0.0, 5e5, 0.0, -10.0, 5e6]
SQUARE = shapely.box(2, 3, 4, 6)


def assets(*rows):
    kind = {"crs": pa.string(), "transform": pa.list_(pa.float64())}
    return pa.table({
        "sample": pa.array([row[0] for row in rows], pa.string()),
        "crs": pa.array([row[1] for row in rows], kind["crs"]),
        "transform": pa.array([row[2] for row in rows], kind["transform"]),
    })  # fmt: skip


def moved(geometry, crs, *rows):
    plan = pa.table({
        "id": ["a"],
        "sample": ["chip"],
        "geometry": pa.array([None if geometry is None else geometry.wkb], pa.binary()),
        "crs": pa.array([crs], pa.string()),
    })  # fmt: skip
    row = annotation_rows(completed(plan, PLAN_ANNOTATIONS), assets(*rows)).to_pylist()[0]
    return row["frame"], shapely.from_wkb(row["geometry"]), row["area"]


def test_pixels_become_coordinates_where_the_chip_has_a_place():
    frame, geometry, area = moved(SQUARE, PIXEL_FRAME, ("chip", UTM, TRANSFORM))
    expected = affinity.affine_transform(SQUARE, [10, 0, 0, -10, 5e5, 5e6])
    assert frame == "crs"
    assert geometry.equals(expected)
    assert area == pytest.approx(600)


def test_pixels_stay_pixels_where_the_chip_has_no_place():
    frame, geometry, area = moved(SQUARE, PIXEL_FRAME, ("chip", None, None))
    assert (frame, area) == ("pixel", 6)
    assert geometry.equals(SQUARE)


def test_degrees_become_the_coordinates_of_the_chip():
    x, y = transform_points([5e5, 5e5 + 100], [5e6, 5e6 - 100], source=UTM, target=CRS84)
    line = shapely.LineString(list(zip(x, y, strict=True)))
    _, geometry, _ = moved(line, CRS84, ("chip", UTM, TRANSFORM))
    assert shapely.get_coordinates(geometry).ravel() == pytest.approx(
        [5e5, 5e6, 5e5 + 100, 5e6 - 100], abs=1e-3
    )


def test_degrees_on_a_chip_in_degrees_are_not_touched():
    line = shapely.LineString([(0.1, 0.2), (0.3, 0.7)])
    _, geometry, _ = moved(line, CRS84, ("chip", "EPSG:4326", [1e-3, 0, 0, 0, -1e-3, 1]))
    assert geometry.equals_exact(line, 0)


def test_degrees_on_a_chip_without_a_place_are_dropped_because_nobody_knows_where_they_are():
    assert moved(SQUARE, CRS84, ("chip", None, None)) == ("pixel", None, None)


def test_coordinates_without_a_system_are_those_of_the_chip():
    frame, geometry, _ = moved(SQUARE, None, ("chip", UTM, TRANSFORM))
    assert frame == "crs"
    assert geometry.equals(SQUARE)


def test_the_first_asset_with_a_place_says_where_annotations_go():
    rows = (("chip", None, None), ("chip", UTM, TRANSFORM), ("chip", "EPSG:3857", TRANSFORM))
    frame, geometry, _ = moved(SQUARE, UTM, *rows)
    assert frame == "crs"
    assert geometry.equals(SQUARE)


def test_an_annotation_may_have_no_outline():
    assert moved(None, PIXEL_FRAME, ("chip", UTM, TRANSFORM)) == ("crs", None, None)
