"""Coordinate reference systems have one name, and x comes before y."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio.crs
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from registry.errors import InvalidInputError
from registry.geo import from_crs84, normalise_crs, to_crs84, transform_points, utm_crs


@pytest.mark.parametrize("code", [4326, 3857, 2154, 32633, 32760, 3031, 3035, 27700, 28992, 4258])
def test_a_system_has_one_name_however_it_is_written(code):
    known = CRS.from_epsg(code)
    forms = [
        f"epsg:{code}",
        f"urn:ogc:def:crs:EPSG::{code}",
        f"http://www.opengis.net/def/crs/EPSG/0/{code}",
        known.to_wkt("WKT2_2019"),
        known.to_json(),
        rasterio.crs.CRS.from_epsg(code).to_wkt(),
    ]
    assert {normalise_crs(form) for form in forms} == {f"EPSG:{code}"}


def test_crs84_keeps_its_name():
    for form in ("OGC:CRS84", "urn:ogc:def:crs:OGC:1.3:CRS84", "OGC:CRS84 "):
        assert normalise_crs(form) == "OGC:CRS84"


def test_a_system_without_a_code_is_stored_as_wkt_that_means_the_same():
    text = "+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84 +units=m"
    stored = normalise_crs(text)
    assert stored.startswith("PROJCRS[")
    assert CRS(stored).equals(CRS(text))
    assert normalise_crs(stored) == stored


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "banana",
        "EPSG:0",
        "/etc/hosts",
        "+init=/etc/hosts:1",
        "+proj=longlat +nadgrids=/etc/hosts",
        "+proj=longlat +geoidgrids=/etc/hosts",
        "+proj=pipeline +step +proj=longlat",
        "GEOGCS[" + "[" * 100,
        "{" + " " * 30_000 + "}",
        '{"type": "GeographicCRS"}',
    ],
)
def test_nonsense_and_names_of_files_are_refused(hostile):
    with pytest.raises(InvalidInputError):
        normalise_crs(hostile)


@given(st.floats(-179, 179), st.floats(-80, 83))
def test_the_utm_zone_is_the_one_that_proj_would_choose(lon, lat):
    code = utm_crs(lon, lat)
    area = CRS(code).area_of_use
    if code not in {"EPSG:32631", "EPSG:32632", "EPSG:32633", "EPSG:32635", "EPSG:32637"}:
        assert area.west - 1e-9 <= lon <= area.east + 1e-9
    assert area.south <= lat <= area.north


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    [
        (5.3, 60.4, "EPSG:32632"),
        (15.9, 78.2, "EPSG:32633"),
        (8.9, 78.2, "EPSG:32631"),
        (180.0, 0.0, "EPSG:32660"),
        (-180.0, -1.0, "EPSG:32701"),
        (0.0, 85.0, "EPSG:32661"),
        (0.0, -85.0, "EPSG:32761"),
    ],
)
def test_zones_that_are_not_six_degrees_wide(lon, lat, code):
    assert utm_crs(lon, lat) == code


@given(st.floats(-170, 170), st.floats(-75, 80))
def test_there_and_back_again(lon, lat):
    crs = utm_crs(lon, lat)
    shape = shapely.Point(lon, lat).buffer(0.01)
    back = to_crs84(from_crs84(shape, crs), crs)
    assert shapely.hausdorff_distance(back, shape) < 1e-6


def test_longitude_comes_first_whatever_the_authority_says():
    assert to_crs84(shapely.Point(10, 50), "EPSG:4326") == shapely.Point(10, 50)
    x, y = transform_points([10.0], [50.0], source="EPSG:4326", target="EPSG:32632")
    expected = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(10, 50)
    assert (x[0], y[0]) == pytest.approx(expected)


def test_pixels_declared_as_degrees_are_refused():
    with pytest.raises(InvalidInputError, match=r"512"):
        to_crs84(shapely.box(10, 10, 512, 300), "EPSG:4326")


def test_metres_in_a_file_without_a_system_are_refused():
    with pytest.raises(InvalidInputError, match="cannot be degrees"):
        to_crs84(shapely.Point(733500, 3725000), "OGC:CRS84")


def test_holes_survive_the_antimeridian():
    ring = shapely.Polygon(
        [(179, -1), (181, -1), (181, 1), (179, 1)],
        [[(179.8, -0.2), (180.2, -0.2), (180.2, 0.2), (179.8, 0.2)]],
    )
    cut = to_crs84(ring, "OGC:CRS84")
    assert cut.is_valid
    assert cut.area == pytest.approx(ring.area)
    assert cut.bounds[0] == -180
    assert cut.bounds[2] == 180


def test_lines_are_cut_at_the_antimeridian():
    cut = to_crs84(shapely.LineString([(179, 0), (-179, 0)]), "OGC:CRS84")
    assert cut.length == pytest.approx(2)
    assert cut.geom_type == "MultiLineString"


def test_threads_share_transformers():
    lon = np.linspace(-3, 3, 500)
    expected = Transformer.from_crs("OGC:CRS84", "EPSG:32631", always_xy=True).transform(lon, lon)

    def once(_):
        return transform_points(lon, lon, source="OGC:CRS84", target="EPSG:32631")

    with ThreadPoolExecutor(8) as pool:
        for x, y in pool.map(once, range(64)):
            assert np.array_equal(x, expected[0])
            assert np.array_equal(y, expected[1])
