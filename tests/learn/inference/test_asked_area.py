"""Whoever asks for an area that is none learns which of the many reasons it is."""

import json
import os

import pytest
import shapely

from registry.errors import InvalidInputError
from registry.learn.inference.asked_area import area_of

SQUARE = [[1, 2], [3, 2], [3, 4], [1, 4], [1, 2]]


def feature(geometry):
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [list(ring)]}


def collection(*geometries):
    return {"type": "FeatureCollection", "features": [feature(one) for one in geometries]}


@pytest.fixture
def written(tmp_path):
    def write(document):
        path = tmp_path / "place.geojson"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return str(path)

    return write


@pytest.mark.parametrize(
    "document",
    [
        polygon(*SQUARE),
        feature(polygon(*SQUARE)),
        collection(polygon(*SQUARE)),
        collection(polygon(*SQUARE), {"type": "MultiPolygon", "coordinates": [[SQUARE]]}),
        {"type": "GeometryCollection", "geometries": [polygon(*SQUARE)]},
        polygon(*([x, y, 700.0] for x, y in SQUARE)),
    ],
)
def test_polygons_are_an_area_in_whichever_wrapping(written, document):
    assert area_of(written(document)).equals(shapely.box(1, 2, 3, 4))


def test_polygons_of_several_features_are_one_area(written):
    other = [[x + 1, y] for x, y in SQUARE]
    assert area_of(written(collection(polygon(*SQUARE), polygon(*other)))).bounds == (1, 2, 4, 4)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("1,2,3", "a box has four numbers, and '1,2,3' has 3"),
        ("1,2,3,4,5", "has 5"),
        ("a,b,c,d", "'a' of 'a,b,c,d' is no number"),
        ("1,2,,4", "'' of '1,2,,4' is no number"),
        ("nan,2,3,4", "nan is no longitude"),
        ("1,2,3,400", "400 is no latitude"),
        ("3,2,1,4", "its western edge is not west of its eastern edge"),
        ("1,4,3,2", "its southern edge is not south of its northern edge"),
        ("nowhere.geojson", "there is no file 'nowhere.geojson'"),
        ("a,b,c,d.geojson", "there is no file 'a,b,c,d.geojson'"),
        ("a\0b", "cannot be read"),
        ("x" * 10_000, "cannot be read"),
        ('{"type": "Polygon"}', "GeoJSON itself is typed"),
    ],
)
def test_what_is_typed_wrongly_is_said(typed, problem):
    with pytest.raises(InvalidInputError) as caught:
        area_of(typed)
    assert problem in caught.value.problem
    assert caught.value.hint


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (polygon([0, 0], [2, 2], [2, 0], [0, 2], [0, 0]), "self-intersection at 1 1"),
        (collection(), "holds no polygon: it is an empty collection"),
        (collection(polygon(*SQUARE), {"type": "Point", "coordinates": [1, 2]}),
         "feature 2 is a Point, which has no area"),
        (collection(None), "feature 1 has no geometry"),
        ({"type": "FeatureCollection"}, "has no list of features"),
        (polygon([float("nan"), 2], *SQUARE[1:]), "the coordinate NaN, which is no number"),
        (polygon(["1", 2], *SQUARE[1:]), 'the coordinate "1", which is no number'),
        (polygon([True, 2], *SQUARE[1:]), "the coordinate true, which is no number"),
        (polygon([500_000, 4_000_000], *SQUARE[1:]), "500000 is no longitude in degrees"),
        (polygon([float("inf"), 2], *SQUARE[1:]), "Infinity is no longitude in degrees"),
        (polygon([10**400, 2], *SQUARE[1:]), "a number is no longitude in degrees"),
        (polygon(1, *SQUARE[1:]), "has 1 where a position should be"),
        (polygon(*SQUARE[:3]), "a ring of less than 4 positions"),
        ({"type": "Polygon", "coordinates": []}, "has no coordinates"),
        ({"type": "MultiPolygon", "coordinates": [[]]}, "has no coordinates"),
        ("{\n  oops", "place.geojson is no JSON: line 2, column 3"),
        ("[" * 100_000, "is no JSON that can be read"),
        ("[]", "it has no type"),
        ({"geometry": None}, "it has no type"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said(written, document, problem):
    with pytest.raises(InvalidInputError) as caught:
        area_of(written(document))
    assert problem in caught.value.problem
    assert "place.geojson" in caught.value.problem
    assert caught.value.hint


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.geojson")
    with pytest.raises(InvalidInputError, match="is no file"):
        area_of(str(tmp_path / "pipe.geojson"))
