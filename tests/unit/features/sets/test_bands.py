import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.features.bands import LETTERS, common_letters, reflectance_factor
from registry.curate.features.scene import Layer

SENTINEL_2 = [*(f"B{n:02}" for n in range(1, 9)), "B8A", "B09", "B10", "B11", "B12"]
LETTERS_2 = ("A", "B", "G", "R", "RE1", "RE2", "RE3", "N", "N2", "WV", None, "S1", "S2")


@pytest.mark.parametrize(
    ("names", "said", "letters"),
    [
        (SENTINEL_2, {}, LETTERS_2),
        ([*SENTINEL_2[:8], *SENTINEL_2[9:], "B8A"], {}, (*LETTERS_2[:8], *LETTERS_2[9:], "N2")),
        (["B2", "B3", "B4", "B8", "B12"], {}, ("B", "G", "R", "N", "S2")),
        (["S2-L2A-B04", "S2-L2A-B08"], {}, ("R", "N")),
        (["T32TQM_B04_10m", "T32TQM_B08_10m"], {}, ("R", "N")),
        (["blue", "Green", "RED", "Nir", "SWIR_22"], {}, ("B", "G", "R", "N", "S2")),
        (["rededge1", "rededge071"], {}, (None, None)),
        (["R", "G", "B", "N"], {"title": "NAIP"}, ("R", "G", "B", "N")),
        (["B4", "B5"], {"title": "Landsat 8 Collection 2"}, ("R", "N")),
        (["B4", "B5"], {"title": "Landsat 5 TM"}, ("N", "S1")),
        (["B4", "B5"], {"title": "Sentinel-2 L2A"}, ("R", "RE1")),
        (["B4", "B5"], {"asset": "L8_SR"}, ("R", "N")),
        (["SR_B4", "SR_B5", "SR_B6", "QA_PIXEL"], {}, ("R", "N", "S1", None)),
        (["SR_B4", "SR_B5", "ST_B10"], {}, ("R", "N", "T1")),
        (["B02", "B03", "B04", "B05", "B06", "B07"], {"title": "HLS L30"},
            ("B", "G", "R", "N", "S1", "S2")),
        (["sur_refl_b01", "sur_refl_b02"], {}, ("R", "N")),
        (["VV", "VH"], {}, ("VV", "VH")),
        (["sigma0_vv_db", "Gamma0-HV"], {}, ("VV", "HV")),
        (["VV", "VH", "VV/VH"], {}, ("VV", "VH", None)),
        (["dem"], {}, ("E",)),
        ([], {"count": 3, "picture": True}, ("R", "G", "B")),
        ([], {"count": 4, "title": "NAIP 2020"}, ("R", "G", "B", "N")),
        ([], {"count": 1, "asset": "B08"}, ("N",)),
        ([], {"count": 1, "asset": "elevation"}, ("E",)),
    ],
)  # fmt: skip
def test_bands_have_the_letters_that_their_names_and_sensor_say(names, said, letters):
    assert common_letters(names, **said) == letters


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["B4", "B5"], {}),  # near infrared or red edge
        (["B4", "B5"], {"title": "Landsat"}),
        (["B5", "B6"], {"title": "Sentinel-2 and Landsat 8"}),
        (["B8"], {}),  # near infrared or panchromatic
        (["B2", "B3", "B4"], {}),  # green, red and near infrared of Landsat 5
        (["B1", "B2", "B3", "B4"], {"title": "Sentinel-2"}),  # may be four places
        ([f"B{n}" for n in range(1, 13)], {}),
        ([f"B{n}" for n in range(1, 13)], {"title": "Sentinel-2"}),
        ([f"B{n}" for n in range(1, 8)], {}),
        (["1", "2", "3"], {"title": "Sentinel-2"}),
        (["B8", "B4"], {"title": "PRISMA"}),
        (["B8", "B4", "B3"], {"gsd": 0.5}),
        (["SCL", "QA_PIXEL", "Fmask", "cloud_mask", "band", "", "  ", "\u00e4"], {}),
        (["nir_std", "red 2019", "B04_t1", "ndvi"], {}),
        (["red", "B4", "Red"], {"title": "Sentinel-2"}),  # three that would be one letter
    ],
)  # fmt: skip
def test_what_is_not_certain_has_no_letter(names, said):
    assert set(common_letters(names, **said)) == {None}


@pytest.mark.parametrize("asset", ["S1", "S2", "s1", "s2"])
def test_a_satellites_name_is_no_short_wave_band(asset):
    assert set(common_letters([], asset=asset, count=1)) <= {None}


def test_a_catalogue_of_planets_is_no_sensor_of_planet():
    title = "Sentinel-2 L2A, Microsoft Planetary Computer"
    assert common_letters(["B03", "B04", "B08"], title=title) == ("G", "R", "N")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 12, 13])
def test_bands_without_names_are_not_guessed_from_their_number(count):
    assert set(common_letters([], count=count, title="Sentinel-2 L2A", asset="image")) <= {None}


def test_a_lone_narrow_near_infrared_stands_for_near_infrared():
    assert common_letters(["B04", "B8A"]) == ("R", "N")
    assert common_letters(["B04", "B08", "B8A"]) == ("R", "N", "N2")


def test_stacs_common_names_count_where_they_were_kept():
    details = [{"name": "B5", "common_name": "nir08"}, {"name": "B4", "common_name": "red"}]

    assert common_letters(["B4", "B5"], details=details) == ("R", "N")


@given(st.lists(st.text(max_size=12), max_size=6), st.text(max_size=30))
def test_any_names_give_one_known_letter_each_at_most(names, title):
    letters = common_letters(names, title=title)

    assert len(letters) == len(names)
    there = [letter for letter in letters if letter is not None]
    assert set(there) <= set(LETTERS)
    assert len(set(there)) == len(there)


@pytest.mark.parametrize(
    ("unit", "dtype", "scale", "factor"),
    [
        ("reflectance", "float32", (), 1.0),
        ("surface_reflectance", "float32", (), 1.0),
        ("reflectance", "uint16", (1e-4, 1e-4), 1.0),
        ("reflectance", "uint16", (), None),  # whole numbers that are no share of light
        ("%", "uint8", (), 0.01),
        ("Reflectance * 10000", "uint16", (), 1e-4),
        ("reflectance x 1e4", "int16", (), 1e-4),
        ("DN", "uint16", (), None),
        (None, "float32", (), None),
        ("W/m2/sr/um", "float32", (), None),
    ],
)
def test_only_a_declared_unit_makes_reflectance(unit, dtype, scale, factor):
    layer = Layer(asset="image", raw=np.zeros((1, 2, 1, 1), dtype), unit=unit, scale=scale)

    assert reflectance_factor(layer) == factor
