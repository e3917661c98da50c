"""Places that anybody can look up in an atlas."""

import numpy as np
import pytest

from registry.curate.layers.climate import GROUPS, ZONES, zone_codes
from registry.curate.layers.coast import coast_km
from registry.curate.layers.countries import countries, country_codes
from registry.curate.layers.land import is_land, land_share

# Zones as in Kottek et al. (2006) and Rubel et al. (2017); well inside them.
CITIES = [
    ("Singapore", 103.82, 1.35, "Af", "Malaysia", "Asia"),  # the coarse map leaves Singapore out
    ("Kinshasa", 15.31, -4.33, "Aw", "Dem. Rep. Congo", "Africa"),
    ("Manaus", -60.02, -3.10, "Af", "Brazil", "South America"),
    ("Cairo", 31.24, 30.04, "BWh", "Egypt", "Africa"),
    ("Alice Springs", 133.88, -23.70, "BWh", "Australia", "Oceania"),
    ("Madrid", -3.70, 40.42, None, "Spain", "Europe"),
    ("Athens", 23.72, 38.00, "Csa", "Greece", "Europe"),
    ("Paris", 2.35, 48.86, "Cfb", "France", "Europe"),
    ("London", -0.13, 51.51, "Cfb", "United Kingdom", "Europe"),
    ("Atlanta", -84.39, 33.75, "Cfa", "United States of America", "North America"),
    ("Johannesburg", 28.05, -26.20, "Cwb", "South Africa", "Africa"),
    ("Moscow", 37.62, 55.76, "Dfb", "Russia", "Europe"),
    ("Chicago", -87.70, 41.88, "Dfa", "United States of America", "North America"),
    ("Fairbanks", -147.72, 64.84, "Dfc", "United States of America", "North America"),
    ("Harbin", 126.64, 45.75, "Dwa", "China", "Asia"),
    ("Oslo", 10.75, 59.95, "Dfb", "Norway", "Europe"),
    ("Lhasa", 91.12, 29.65, None, "China", "Asia"),
    ("South Pole", 0.0, -90.0, "EF", "Antarctica", "Antarctica"),
]


@pytest.mark.parametrize(
    ("lon", "lat", "country", "continent"),
    [pytest.param(c[1], c[2], c[4], c[5], id=c[0]) for c in CITIES],
)
def test_a_city_lies_in_its_country(lon, lat, country, continent):
    (code,) = country_codes([lon], [lat])
    assert (countries()[code].name, countries()[code].continent) == (country, continent)


@pytest.mark.parametrize(
    ("lon", "lat", "zone"), [pytest.param(c[1], c[2], c[3], id=c[0]) for c in CITIES if c[3]]
)
def test_a_city_has_its_climate(lon, lat, zone):
    (code,) = zone_codes([lon], [lat])
    assert ZONES[code] == zone


def test_every_city_is_on_land():
    lon, lat = ([c[i] for c in CITIES] for i in (1, 2))
    assert is_land(lon, lat).tolist() == [1] * len(CITIES)


@pytest.mark.parametrize("lon", [-540.0, -180.0, 180.0, 540.0])
def test_the_antimeridian_is_one_line(lon):
    at = ([lon], [-17.0])  # by Fiji's Taveuni
    west = ([-180.0], [-17.0])
    assert zone_codes(*at) == zone_codes(*west)
    assert is_land(*at) == is_land(*west)
    assert country_codes(*at) == country_codes(*west)
    assert coast_km(*at) == coast_km(*west)


def test_null_island_is_at_sea():
    assert is_land([0.0], [0.0]).tolist() == [0]
    assert country_codes([0.0], [0.0]).tolist() == [-1]
    assert ZONES[zone_codes([0.0], [0.0])[0]] == "sea"
    assert land_share([0.0], [0.0]).tolist() == [0.0]


def test_the_poles_are_ice_and_sea():
    assert is_land([0.0, 90.0], [90.0, -90.0]).tolist() == [0, 1]
    assert np.isfinite(coast_km([0.0, 0.0], [90.0, -90.0])).all()


def test_small_islands_are_land_of_no_country():
    malta, st_helena = (14.42, 35.88), (-5.70, -15.95)
    lon, lat = zip(malta, st_helena, strict=True)
    assert is_land(lon, lat).tolist() == [1, 1]
    assert country_codes(lon, lat).tolist() == [-1, -1]


def test_lakes_and_the_caspian_are_land():
    lon, lat = [-87.5, 33.0, 50.5], [47.7, -1.0, 42.0]  # Superior, Victoria, Caspian
    assert is_land(lon, lat).tolist() == [1, 1, 1]


def test_a_point_just_off_a_coarse_coast_has_the_nearest_country():
    istanbul, far_out = (29.01, 41.10), (-40.0, 40.0)
    codes = country_codes(*zip(istanbul, far_out, strict=True))
    assert countries()[codes[0]].name == "Turkey"
    assert codes[1] == -1


@pytest.mark.parametrize(
    ("name", "iso"), [("France", "FRA"), ("Norway", "NOR"), ("Kosovo", "XKX"), ("Kenya", "KEN")]
)
def test_codes_that_the_map_lacks_are_mended(name, iso):
    assert {one.name: one.iso_a3 for one in countries()}[name] == iso


def test_no_country_has_a_code_that_is_none():
    assert {one.name for one in countries() if one.iso_a3 is None} == {"N. Cyprus", "Somaliland"}
    codes = [one.iso_a3 for one in countries() if one.iso_a3]
    assert len(codes) == len(set(codes)) == 175


def test_nowhere_is_nowhere():
    lon, lat = [np.nan, 0.0, np.inf, 0.0], [0.0, np.nan, 0.0, 90.001]
    assert zone_codes(lon, lat).tolist() == [-1] * 4
    assert is_land(lon, lat).tolist() == [-1] * 4
    assert country_codes(lon, lat).tolist() == [-2] * 4
    assert np.isnan(coast_km(lon, lat)).all()
    assert np.isnan(land_share(lon, lat)).all()


def test_every_zone_has_a_group():
    assert {zone[0] for zone in ZONES} == set(GROUPS)
