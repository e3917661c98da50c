import numpy as np
import pytest
from pyproj import Geod

from registry.curate.layers import coast, land
from registry.curate.layers.coast import BANDS, EDGES_KM, coast_band_codes, coast_km
from registry.curate.layers.places import earth_centred, row_areas_km2

GEOD = Geod(ellps="WGS84")


def geodesic_km(lon, lat):
    """Return the least geodesic to any edge between land and sea within some degrees, by force."""
    shore = np.asarray(land.kept_array("shore"), np.float64)
    x, y = shore[:, 1] * 180 / land.COLUMNS - 180, 90 - shore[:, 0] * 90 / land.ROWS
    near = np.argsort(np.linalg.norm(earth_centred(x, y) - earth_centred(lon, lat), axis=1))[:200]
    ones = np.ones(near.size)
    return GEOD.inv(lon * ones, lat * ones, x[near], y[near])[2].min() / 1000


@pytest.mark.parametrize(
    ("name", "lon", "lat"),
    [
        ("Ürümqi", 87.6, 43.8), ("Prague", 14.42, 50.09), ("Mato Grosso", -55.0, -13.0),
        ("Point Nemo", -123.4, -48.88), ("Ridge ice", 0.0, -80.0), ("Fiji", 179.9, -17.5),
    ],
)  # fmt: skip
def test_distance_is_the_geodesic_to_the_nearest_edge(name, lon, lat):
    by_force = geodesic_km(lon, lat)
    assert abs(coast_km([lon], [lat])[0]) == pytest.approx(by_force, rel=2e-4, abs=0.01)


def test_prague_is_as_far_from_the_sea_as_the_stettin_lagoon():
    # Prague to the Stettin Lagoon: 50.09 N 14.42 E to about 53.7 N 14.3 E, 402 km by geodesic.
    assert coast_km([14.42], [50.09])[0] == pytest.approx(402, abs=40)


def test_the_pole_of_inaccessibility_in_eurasia_is_far_from_any_sea():
    # Garcia-Castellanos and Lombardo (2007): 2,510 km; their coast knows the Gulf of Ob as sea.
    assert 2200 < coast_km([82.19], [44.29])[0] < 2600


def test_point_nemo_is_farthest_from_land():
    # Lukatela (1992): 2,688 km to Ducie Island and two others.
    assert coast_km([-123.3933], [-48.8767])[0] == pytest.approx(-2688, abs=40)


def test_distance_is_negative_at_sea():
    assert coast_km([4.10, 4.60], [52.2, 52.2])[0] < 0 < coast_km([4.10, 4.60], [52.2, 52.2])[1]


def test_bands_are_those_of_the_distance():
    random = np.random.default_rng(7)
    lon = random.uniform(-180, 180, 40_000)
    lat = np.degrees(np.arcsin(random.uniform(-1, 1, 40_000)))
    km = coast_km(lon, lat)
    expected = np.where(land.is_land(lon, lat) == 0, 0, np.searchsorted(EDGES_KM, km, "right") + 1)
    assert (coast_band_codes(lon, lat) == expected).all()
    assert set(np.unique(expected)) == set(range(len(BANDS)))


def test_half_a_cell_is_never_nearer_than_its_slack():
    # The distance from a cell's centre to its corner stays below what bands allow for.
    for row in (0, 1, 300, 700, 1079, 1080, 1500, 2159):
        lat = 90 - (row + 0.5) / 12
        corners = [lat + 1 / 24, lat - 1 / 24]
        away = [np.linalg.norm(earth_centred(0.0, lat) - earth_centred(1 / 24, c)) for c in corners]
        assert max(away) <= coast._half_diagonals()[row]


def test_cells_make_the_ellipsoids_area():
    assert row_areas_km2(land.ROWS, land.COLUMNS).sum() * land.COLUMNS == pytest.approx(
        510_065_622, rel=1e-8
    )
    box = GEOD.polygon_area_perimeter([10, 11, 11, 10], [45, 45, 46, 46])[0]
    # A parallel is no geodesic: 0.01 % between the two ways to close a cell of a degree.
    assert row_areas_km2(180, 360)[44] == pytest.approx(abs(box) / 1e6, rel=2e-4)


def test_land_is_29_percent_of_the_earth():
    # 148.9 million km2 with Antarctica's ice shelves (1.5), which this mask has as sea.
    assert land.land_area_km2().sum() == pytest.approx(147.5e6, rel=0.002)
