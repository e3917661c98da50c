"""A GeoTIFF holds what was written, in its own words."""

import numpy as np
import pytest
import rasterio

from registry.curate.formats.geotiff_writer import Raster, write_geotiff
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
