"""A GeoTIFF holds what was written, in its own words."""

import json

import numpy as np
import pytest
import rasterio

from registry.curate.formats.geotiff_writer import Raster, said_of, write_geotiff
from registry.errors import RejectedError
from registry.geo import normalise_crs

LOCAL = (
    'ENGCRS["field",EDATUM["a stone"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],'
    'LENGTHUNIT["metre",1]]'
)
ODD = (
    "OGC:CRS84",
    "+proj=longlat +R=1737400",
    "+proj=laea +lat_0=50 +lon_0=10 +ellps=GRS80",
    "+proj=utm +zone=33 +units=us-ft +datum=WGS84",
    "EPSG:9518",
    LOCAL,
)


@pytest.mark.parametrize("crs", ODD)
def test_systems_that_geotiff_has_other_words_for_are_written(tmp_path, crs):
    path = tmp_path / "one.tif"
    raster = Raster(
        array=np.ones((1, 2, 2), np.uint8), crs=normalise_crs(crs), transform=(2, 0, 9, 0, -2, 7)
    )
    assert write_geotiff(raster, path) == []
    with rasterio.open(path) as file:
        assert tuple(file.transform)[:6] == (2, 0, 9, 0, -2, 7)
        assert file.crs is not None


@pytest.mark.parametrize(
    "said",
    [
        {"bands": [1]}, {"units": [5]}, {"domains": []}, {"band_tags": 5}, {"lost": 5},
        {"tags": {"a": {"b": 1}}}, {"scales": "ab"}, {"driver": 5}, {"band_tags": {"1": [1]}},
    ],
)  # fmt: skip
def test_tags_of_another_shape_are_none(tmp_path, said):
    raster = Raster(array=np.ones((1, 2, 2), np.uint8), said=said_of(json.dumps(said)))
    assert write_geotiff(raster, tmp_path / "one.tif") == []


@pytest.mark.parametrize(
    "said", [{"colours": ["pink"]}, {"bands": ["a"] * 9}, {"band_tags": {"9": {"a": "b"}}}]
)
def test_tags_that_no_file_can_hold_are_refused(tmp_path, said):
    raster = Raster(array=np.ones((1, 2, 2), np.uint8), said=said)
    with pytest.raises(RejectedError, match=r"one\.tif"):
        write_geotiff(raster, tmp_path / "one.tif")
