"""What lies beyond an area is in no map, no sum and no draft."""

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom

from registry.errors import InvalidInputError
from registry.learn.inference.mapping import Options, draw
from registry.learn.inference.scenes import open_files
from registry.learn.inference.windows import Region
from registry.learn.inference.within import within
from tests.learn.inference.conftest import UTM

CORNERS = [(503, 996), (1987, 887), (1204, 31), (1204, 500), (503, 996)]  # m right and down
ON_GRID = shapely.Polygon([(500_000 + x, 5_000_000 - y) for x, y in CORNERS])


@pytest.fixture
def area():
    """A polygon with a bay, in degrees."""
    document = transform_geom("EPSG:32633", "OGC:CRS84", shapely.geometry.mapping(ON_GRID))
    return shapely.geometry.shape(document)


@pytest.fixture
def inside(area):
    edges = shapely.geometry.mapping(shapely.segmentize(area, 1e-5))
    there = transform_geom("OGC:CRS84", "EPSG:32633", edges)
    return geometry_mask([there], (150, 210), UTM, invert=True)


def test_a_map_has_nothing_beyond_the_area_and_is_the_same_within(
    geotiff, contract, tell, water, area, inside, tmp_path, pixels
):
    options = Options(window=64, probabilities=True, uncertainty=True)
    with open_files(contract, {"image": [geotiff()]}) as scene:
        whole = draw(scene, tell, water, tmp_path / "whole.tif", options=options)
        part = draw(within(scene, area), tell, water, tmp_path / "part.tif", options=options)
    assert 0 < part.observed == sum(part.counts.values()) == inside.sum()
    for what, path in part.files.items():
        values, expected = pixels(path), pixels(whole.files[what])
        with rasterio.open(path) as file:
            assert (values[:, ~inside] == file.nodata).all()
        assert (values[:, inside] == expected[:, inside]).all()


def test_what_is_kept_of_a_scene_has_no_values_beyond_the_area(geotiff, contract, area, inside):
    region = Region(top=20, left=30, height=100, width=150)
    there = inside[20:120, 30:180]
    with open_files(contract, {"image": [geotiff()]}) as scene:
        shown, _ = scene.read(region)
        near, observed = within(scene, area).read(region)
        kept, _ = within(scene, area).blanked().read(region)
    assert (observed == there).all()
    assert (near["image"] == shown["image"]).all()
    assert (kept["image"] == np.where(there, shown["image"], 0)).all()


def test_an_area_elsewhere_and_a_scene_without_a_place_are_said(geotiff, contract, area):
    with open_files(contract, {"image": [geotiff()]}) as scene:
        away = shapely.affinity.translate(area, 1, 0)
        with pytest.raises(InvalidInputError, match="the area lies beyond the scene"):
            within(scene, away)
    nowhere = geotiff("b.tif", crs=None, transform=rasterio.Affine.identity())
    with (
        open_files(contract, {"image": [nowhere]}) as scene,
        pytest.raises(InvalidInputError, match="the scene has no place"),
    ):
        within(scene, area)


def test_pixels_of_an_area_are_counted_and_one_between_their_centres_is_refused(
    geotiff, contract, area, inside
):
    with open_files(contract, {"image": [geotiff()]}) as scene:
        assert within(scene, area).pixels == within(scene, area).blanked().pixels == inside.sum()
        large = shapely.box(14, 44, 16, 46)
        assert within(scene, large).pixels == 150 * 210
        middle = area.representative_point()
        with pytest.raises(InvalidInputError, match=r"no pixel's centre: pixels are 10 m wide"):
            within(scene, middle.buffer(1e-9))
