"""Feature sets on real pixels, read straight from the data sets by rasterio."""

from contextlib import suppress

import numpy as np
import pytest
import rasterio

from registry.curate.features.bands import common_letters
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.bandstats import band_statistics
from registry.curate.features.sets.radar import radar
from registry.curate.features.sets.spectral import INDICES, spectral
from registry.curate.features.sets.terrain import terrain

pytestmark = pytest.mark.real

SENTINEL_2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
EUROSAT = (*(f"B{number:02}" for number in range(1, 13)), "B8A")


def read(path, bands=(), **said):
    with rasterio.open(path) as source:
        raw = source.read()[None]
        placed = {"crs": source.crs.to_string() if source.crs else None,
                  "transform": tuple(source.transform)[:6], "nodata": source.nodata}  # fmt: skip
    count = raw.shape[1]
    common = common_letters(bands, asset="image", count=count)
    layer = Layer(asset="image", raw=raw, bands=tuple(bands), common=common, **(placed | said))
    return Scene(sample=str(path), layers=(layer,))


def reflectance(path, bands):
    return read(path, bands, unit="reflectance", scale=(1e-4,) * len(bands))


def test_normalised_differences_of_ships_lie_within_one_and_water_is_water(shared_data):
    paths = sorted((shared_data / "eotdl-s2-ships").glob("*.tif"))
    found = [spectral(reflectance(path, SENTINEL_2)) for path in paths]

    assert len(found) > 20
    for one in found:
        for name in ("ndvi", "ndwi", "mndwi", "nbr", "ndmi", "gndvi", "ndbi", "gli", "ngrdi"):
            assert -1 <= one[f"{name}_p10"] <= one[f"{name}_p50"] <= one[f"{name}_p90"] <= 1
    assert np.median([one["ndwi_p50"] for one in found]) > 0  # ships are at sea


def test_forest_is_greener_than_fields_of_annual_crops(shared_data):
    def median(kind):
        paths = sorted((shared_data / "eurosat-ms" / kind).glob("*.tif"))
        found = [spectral(reflectance(path, EUROSAT)) for path in paths]
        assert len(found) >= 3
        return {
            name: np.mean([one[name] for one in found])
            for name in ("ndvi_p50", "evi_p50", "nbr_p50", "s2rep_p50")
        }

    forest, crops = median("Forest"), median("AnnualCrop")

    assert forest["ndvi_p50"] > crops["ndvi_p50"]
    assert forest["nbr_p50"] > crops["nbr_p50"]
    assert 0.1 < forest["evi_p50"] < 1
    assert 690 < forest["s2rep_p50"] < 750  # the red edge, in nm


def test_every_index_of_bigearthnets_patches_has_a_value(shared_data):
    paths = sorted((shared_data / "bigearthnet-v2").glob("*/s2.tif"))
    found = [spectral(reflectance(path, SENTINEL_2)) for path in paths]

    assert len(found) == 25
    for one in found:
        assert one["valid_share"] == 1
        assert all(np.isfinite(one[f"{index.name.lower()}_mean"]) for index in INDICES)
    without_unit = spectral(read(paths[0], SENTINEL_2))
    assert without_unit["ndvi_mean"] == pytest.approx(found[0]["ndvi_mean"], rel=1e-5)
    assert "evi_mean" not in without_unit


def test_backscatter_of_land_is_plausible_where_it_was_not_wrapped(shared_data):
    paths = sorted((shared_data / "bigearthnet-v2").glob("*/s1.tif"))
    found = []
    for path in paths:
        with suppress(MissingInputError):  # decibels that were wrapped into whole numbers upstream
            found.append(radar(read(path, ("VH", "VV"), unit="dB")))  # bands in this order

    assert (len(paths), len(found)) == (25, 25 - 8)
    for one in found:
        assert one["valid_share"] > 0.99
        assert -30 < one["vv_db_p50"] < 5
        assert one["vh_db_p50"] < one["vv_db_p50"]
        assert 0 < one["rvi_p50"] < 4
        assert one["vv_lee_cv"] < one["vv_cv"]


def test_unnamed_bands_have_statistics_by_place(shared_data):
    path = next((shared_data / "naip-timeseries-cottonwood").glob("*.tif"))
    found = band_statistics(read(path))

    assert found["names"] == ["image:1", "image:2", "image:3", "image:4"]
    assert all(0 < mean < 255 for mean in found["band_mean"])


def test_terrain_of_real_elevation_is_no_cliff(shared_data):
    paths = sorted((shared_data / "worldcereal-timeseries-nc" / "dem").glob("*.tif"))
    found = [terrain(read(path, ("elevation",))) for path in paths]

    assert found
    for one in found:
        assert -500 < one["elevation_min"] <= one["elevation_max"] < 9000
        assert 0 <= one["slope_p50"] < 60
