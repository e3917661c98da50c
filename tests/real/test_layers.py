"""What layers say of real data, against what the data say of themselves."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from registry.curate.layers.climate import ZONES, zone_codes
from registry.curate.layers.coast import coast_km
from registry.curate.layers.countries import countries, country_codes
from registry.curate.layers.land import land_share
from registry.curate.layers.sun import sun_position

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _cached(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path_factory.getbasetemp().parent / "eolab-layers"))


def names(lon, lat):
    return [countries()[code].name if code >= 0 else None for code in country_codes(lon, lat)]


def test_patches_of_bigearthnet_lie_in_their_countries_or_at_sea(shared_data):
    rows = json.loads((shared_data / "bigearthnet-v2" / "metadata.json").read_text())
    found = names([row["lon"] for row in rows], [row["lat"] for row in rows])
    wrong = [
        (name, row["labels"]) for row, name in zip(rows, found, strict=True)
        if row["country"] != name
    ]  # fmt: skip
    assert all(one == (None, ["Marine waters"]) for one in wrong)
    assert len(wrong) < len(rows) / 5


def test_ships_are_in_denmarks_waters(shared_data):
    paths = sorted((shared_data / "eotdl-s2-ships").glob("ship_*.json"))
    boxes = [json.loads(path.read_text())["bounding-box"] for path in paths]
    lon, lat = np.array([[(b[0] + b[2]) / 2, (b[1] + b[3]) / 2] for b in boxes]).T
    assert set(names(lon, lat)) <= {"Denmark", "Sweden", "Germany", "Norway", None}
    assert np.abs(coast_km(lon, lat)).max() < 100


def test_the_sun_of_sentinel_2_is_that_of_its_metadata(shared_data):
    path = shared_data / "stac-sentinel2-1000" / "1000-sentinel-2-items.parquet"
    table = pq.read_table(path)
    centres = shapely.centroid(shapely.from_wkb(table["geometry"].to_numpy()))
    lon, lat = shapely.get_coordinates(centres).T
    start = table["datetime"].to_numpy().astype("datetime64[us]").astype(np.int64)
    zenith = table["s2:mean_solar_zenith"].to_numpy()
    azimuth = table["s2:mean_solar_azimuth"].to_numpy()
    # The time is that of the data take's start; its tiles are seen within the half hour after.
    # At the second when the azimuth fits, the zenith has to fit as well.
    best, error = np.full(lon.size, np.inf), np.full(lon.size, np.nan)
    for minute in np.arange(0, 30, 0.25):
        up, away = sun_position(start + int(minute * 60e6), lon, lat)
        turned = np.abs(np.mod(away - azimuth + 180, 360) - 180)
        nearer = turned < best
        best, error = np.where(nearer, turned, best), np.where(nearer, 90 - up - zenith, error)
    usual = zenith > 15  # nearer to the zenith the azimuth sweeps across the tile
    assert np.median(np.abs(error[usual])) < 0.15
    assert np.percentile(np.abs(error[usual]), 95) < 0.5


def test_named_climates_are_close_to_those_of_the_map(shared_data):
    rows = (shared_data / "reference-layers" / "koppen-geiger" / "kgcities.csv").read_text("utf-8")
    cities = [line.rsplit(",", 3) for line in rows.splitlines()[1:]]
    zones = [ZONES[code] for code in zone_codes([float(c[2]) for c in cities],
                                                [float(c[3]) for c in cities])]  # fmt: skip
    same = [zone[0] == city[1][0] for zone, city in zip(zones, cities, strict=True)]
    assert np.mean(same) > 0.75  # its places are rounded, and many stand at a border of climates


def test_french_parcels_are_on_french_land(shared_data):
    path = shared_data / "pastis-r-timeseries" / "metadata.json"
    said = json.loads(path.read_text())
    rows = said if isinstance(said, list) else list(said.values())
    lon, lat = ([row[key] for row in rows] for key in ("lon", "lat"))
    found = names(lon, lat)
    assert found.count("France") >= len(found) - 1  # one by the Rhine, off the coarse border
    assert set(found) <= {"France", "Germany"}
    assert (land_share(lon, lat) == 1).all()
