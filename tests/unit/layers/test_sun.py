import datetime as dt

import numpy as np
import pytest

from registry.curate.layers.moments import solar_hours
from registry.curate.layers.sun import sun_position


def us(*when):
    return np.array([int(dt.datetime(*when, tzinfo=dt.UTC).timestamp()) * 1_000_000])


def at(lon, lat, *when):
    elevation, azimuth = sun_position(us(*when), np.array([float(lon)]), np.array([float(lat)]))
    return float(elevation[0]), float(azimuth[0])


def test_the_sun_over_golden_is_where_nrel_has_it():
    # Reda and Andreas (2008), NREL/TP-560-34302, table A5.1: elevation without refraction
    # 39.872046, azimuth 194.340241 degrees.
    elevation, azimuth = at(-105.1786, 39.742476, 2003, 10, 17, 19, 30, 30)
    assert elevation == pytest.approx(39.872046, abs=0.01)
    assert azimuth == pytest.approx(194.340241, abs=0.01)


def test_its_declination_is_meeus_own():
    # Meeus (1998), example 25.a: 1992 October 13, 0 h; declination -7.78507 degrees, which is how
    # high the sun stands over the North Pole.
    elevation, _ = at(0, 90, 1992, 10, 13)
    assert elevation == pytest.approx(-7.785, abs=0.01)


@pytest.mark.parametrize(
    ("when", "lat"),
    [((2020, 6, 20, 21, 44), 23.436), ((2020, 12, 21, 10, 2), -23.436), ((2020, 3, 20, 3, 50), 0)],
)
def test_solstices_and_equinoxes_come_when_the_almanac_says(when, lat):
    # Instants of the US Naval Observatory's Seasons page for 2020.
    assert at(0, 90, *when)[0] == pytest.approx(lat, abs=0.01)


def test_the_sun_rises_in_the_east_and_culminates_in_the_south():
    morning, noon, evening = (at(0, 45, 2021, 3, 20, hour, 7) for hour in (6, 12, 18))
    assert 85 < morning[1] < 95
    assert 175 < noon[1] < 185
    assert 265 < evening[1] < 275
    assert morning[0] < noon[0] > evening[0]


def test_it_culminates_in_the_north_beyond_the_southern_tropic():
    azimuth = at(0, -45, 2021, 3, 20, 12, 7)[1]
    assert min(azimuth, 360 - azimuth) < 5


def test_nowhere_has_no_sun():
    elevation, azimuth = sun_position(us(2020, 1, 1), np.array([np.nan]), np.array([0.0]))
    assert np.isnan(elevation).all()
    assert np.isnan(azimuth).all()


def test_fifteen_degrees_are_an_hour():
    noon = us(2020, 1, 1, 12)
    assert solar_hours(noon, np.array([0.0])).tolist() == [12.0]
    assert solar_hours(noon, np.array([-180.0])).tolist() == [0.0]
    assert solar_hours(noon, np.array([90.0])).tolist() == [18.0]
