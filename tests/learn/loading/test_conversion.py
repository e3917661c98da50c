from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.learn.loading.contract import Band, Contract, Input, select
from registry.learn.loading.conversion import ContractMismatchError, conversion
from registry.learn.loading.plausible import ImplausibleValuesError

LETTERS = {"B02": "B", "B03": "G", "B04": "R", "B08": "N", "B8A": "N2", "B11": "S1", "VV": "VV"}


def band(name, **said):
    plain = {"common": LETTERS.get(name), "unit": "reflectance", "scale": 1e-4}
    return Band(name=name, **plain | said)


def contract(*bands, asset="s2", statistics=None, **said):
    made = tuple(one if isinstance(one, Band) else band(one) for one in bands)
    return Contract(inputs=(Input(asset=asset, bands=made, **said),), statistics=statistics)


def normalised(name, mean, std, **said):
    return band(name, mean=mean, std=std, **said)


def image(*values, dtype=np.uint16):
    """Return an image of one pixel."""
    return np.array(values, dtype).reshape(1, len(values), 1, 1)


def flat(array):
    return array.ravel().tolist()


def test_bands_are_found_whatever_their_order():
    model = contract(normalised("B04", 0.1, 0.1), normalised("B08", 0.2, 0.1))
    found = conversion(model, contract("B08", "B03", "B04"))
    assert flat(found.apply("s2", image(4000, 1, 3000))) == pytest.approx([2.0, 2.0], abs=1e-5)
    assert found.said == ("s2: bands are put in the order B04, B08",)


def test_bands_are_found_by_their_common_letters():
    model = contract(normalised("B04", 0.0, 1.0), normalised("B08", 0.0, 1.0))
    data = contract(band("NIR", common="N"), band("RED", common="R"))
    found = conversion(model, data)
    assert flat(found.apply("s2", image(4000, 3000))) == pytest.approx([0.3, 0.4])
    assert "s2: by common letter it takes RED for B04, NIR for B08" in found.said


def test_one_name_of_two_sensors_is_not_one_band():
    model = contract(normalised("B5", 0.0, 1.0, common="N"))
    data = contract(band("B5", common="RE1"), band("B8", common="N"))
    assert flat(conversion(model, data).apply("s2", image(1000, 2000))) == pytest.approx([0.2])


@pytest.mark.parametrize(("wanted", "there"), [("B08", "B8A"), ("B8A", "B08")])
def test_a_near_infrared_of_another_width_is_taken_and_said(wanted, there):
    # the only near infrared has the letter N, whatever its width, as cards of HLS have it
    model = contract(normalised(wanted, 0.0, 1.0, common="N"))
    found = conversion(model, contract(band(there, common="N")))
    assert flat(found.apply("s2", image(2000))) == pytest.approx([0.2])
    assert any("near infrared" in one and "narrow" in one for one in found.said)


def test_the_broad_near_infrared_is_taken_where_both_are_there():
    model = contract(normalised("NIR_BROAD", 0.0, 1.0, common="N"))
    found = conversion(model, contract("B8A", "B08"))
    assert flat(found.apply("s2", image(1, 2000))) == pytest.approx([0.2])
    assert not any("narrow" in one for one in found.said)


def test_one_band_of_the_data_is_never_two_of_the_model():
    model = contract(band("B08", common="N"), band("B8A", common="N2"))
    with pytest.raises(ContractMismatchError, match="B08"):
        conversion(model, contract(band("B8A", common="N"), "B04"))


def test_a_missing_band_names_the_remedy():
    with pytest.raises(ContractMismatchError, match=r"B11 \(S1\)") as caught:
        conversion(contract("B04", "B11"), contract("B04", "B08"))
    assert "it has B04 (R), B08 (N)" in caught.value.hint


def test_bands_that_nobody_named_are_asked_for_in_the_card():
    unnamed = contract(*(Band(name=str(n)) for n in (1, 2)))
    with pytest.raises(ContractMismatchError) as caught:
        conversion(contract("B04"), unnamed)
    assert "eolab card NAME --set 'assets." in caught.value.hint
    assert "bands: [B02, B03, …]" in caught.value.hint
    with pytest.raises(ContractMismatchError) as caught:
        conversion(contract("B04"), unnamed, dataset="ships")
    assert "eolab card ships --set 'assets." in caught.value.hint


def test_unnamed_bands_of_both_are_taken_by_place_and_that_is_said():
    unnamed = contract(*(Band(name=str(n)) for n in (1, 2)))
    said = conversion(unnamed, unnamed).said
    assert any("by their place" in one for one in said)


# ------------------------------------------------------------------------------------- numbers
def test_stored_numbers_are_never_taken_for_reflectance():
    for unit in (None, "DN"):
        with pytest.raises(ContractMismatchError, match="nobody said what the numbers") as caught:
            conversion(contract("B04"), contract(band("B04", unit=unit, scale=1.0)))
        assert "scale: 0.0001" in caught.value.hint


def test_reflectance_is_not_given_to_a_model_of_stored_numbers():
    with pytest.raises(ContractMismatchError, match="plain numbers"):
        conversion(contract(band("B04", unit=None, scale=1.0)), contract("B04"))


def test_whole_numbers_called_reflectance_without_a_scale_are_refused_when_they_come():
    found = conversion(contract("B04"), contract(band("B04", scale=1.0)))
    assert flat(found.apply("s2", image(0.25, dtype=np.float32))) == [0.25]
    with pytest.raises(ContractMismatchError, match="whole numbers"):
        found.apply("s2", image(2500))


def test_scale_and_offset_are_those_of_the_data():
    model = contract(normalised("B04", 0.1, 0.05))
    newer = contract(band("B04", offset=-0.1))  # Sentinel-2's since processing baseline 04.00
    found = conversion(model, newer)
    assert flat(found.apply("s2", image(2500))) == pytest.approx([1.0], abs=1e-5)
    assert any("0.0001 -0.1" in one for one in found.said)


def test_per_cent_becomes_reflectance_and_celsius_kelvin():
    model = contract(normalised("B04", 0.1, 0.1), normalised("T", 300.0, 10.0, unit="K"))
    data = contract(band("B04", unit="%", scale=1.0), band("T", unit="°C", scale=0.5))
    found = conversion(model, data)
    assert flat(found.apply("s2", image(30, 54))) == pytest.approx([2.0, 0.015], abs=1e-4)
    assert any("% becomes reflectance" in one for one in found.said)


def test_decibels_are_no_linear_power():
    model = contract(band("VV", unit="dB", scale=1.0))
    with pytest.raises(ContractMismatchError, match="in dB, the data give power"):
        conversion(model, contract(band("VV", unit="power", scale=1.0)))


def test_numbers_of_unknown_units_are_compared_by_their_scale():
    plain = band("B04", unit=None, scale=1.0)
    assert any(
        "nobody said a unit" in one for one in conversion(contract(plain), contract(plain)).said
    )
    with pytest.raises(ContractMismatchError, match="scale is 2"):
        conversion(contract(plain), contract(band("B04", unit=None, scale=2.0)))


def test_without_statistics_values_stay_physical_and_that_is_said():
    found = conversion(contract("B04"), contract("B04"))
    assert flat(found.apply("s2", image(2500))) == pytest.approx([0.25])
    assert found.said == ("s2: B04 stay physical: no statistics are known",)


def test_a_band_that_never_varied_is_centred():
    model = contract(normalised("B04", 0.25, 0.0))
    assert flat(conversion(model, contract("B04")).apply("s2", image(2500))) == pytest.approx([0.0])


# ------------------------------------------------------------------------ level, size, assets
def test_another_processing_level_is_an_error_unless_it_is_allowed():
    model, data = contract("B04", level="L2A"), contract("B04", level="L1C")
    with pytest.raises(ContractMismatchError, match="level L2A, the data are L1C"):
        conversion(model, data)
    found = conversion(model, data, allow=("level",))
    assert "s2: level L1C in place of L2A, as allowed" in found.said


def test_pixels_of_a_similar_size_are_said_and_of_another_refused():
    model = contract("B04", gsd=10.0)
    assert any("12 m" in one for one in conversion(model, contract("B04", gsd=12.0)).said)
    for gsd in (30.0, 5.0):
        with pytest.raises(ContractMismatchError, match="10 m, the data have pixels of"):
            conversion(model, contract("B04", gsd=gsd))
    with pytest.raises(ContractMismatchError, match=r"\n.*--allow gsd .*in Python allow=\('gsd',"):
        conversion(model, contract("B04", gsd=30.0))
    assert conversion(model, contract("B04", gsd=30.0), allow=["gsd"]).said


def test_an_asset_of_another_name_is_found_by_its_bands():
    model = contract("B04", "B08", asset="sentinel")
    data = Contract(inputs=(*contract("B08", "B04").inputs, *contract("VV", asset="s1").inputs))
    found = conversion(model, data)
    assert found.sources == {"sentinel": "s2"}
    assert found.apply("sentinel", image(1, 2)).shape == (1, 2, 1, 1)


def test_a_missing_modality_is_refused_unless_it_is_allowed():
    model = Contract(inputs=(*contract("B04").inputs, *contract("VV", asset="s1").inputs))
    with pytest.raises(ContractMismatchError, match="'s1'") as caught:
        conversion(model, contract("B04"))
    assert "in Python allow=('asset',) lets it be missing" in caught.value.hint
    found = conversion(model, contract("B04"), allow=("asset",))
    assert set(found.steps) == {"s2"}
    with pytest.raises(ContractMismatchError, match="none of the model"):
        conversion(contract("VV", asset="s1"), contract("B04"), allow=("asset",))


# -------------------------------------------------------------------------------- what is seen
def test_nodata_and_nan_are_0_after_normalisation_and_not_observed():
    model = contract(normalised("B04", 0.1, 0.1), normalised("B08", 0.1, 0.1))
    found = conversion(model, contract("B04", "B08", nodata=0.0))
    stored = np.array([[[0, 2000]], [[1000, 0]]], np.uint16)
    assert found.apply("s2", stored).round(5).tolist() == [[[0, 1]], [[0, 0]]]
    assert found.observed("s2", stored).tolist() == [[[False, True]], [[True, False]]]
    assert found.seen("s2", stored).tolist() == [[False, False]]
    floats = np.array([[[np.nan, 2000]], [[np.inf, 2000]]], np.float32)
    assert found.apply("s2", floats).round(5).tolist() == [[[0, 1]], [[0, 1]]]
    assert found.observed("s2", floats).tolist() == [[[False, True]], [[False, True]]]


@pytest.mark.parametrize("nodata", [-9999.0, 0.5, 1e9])
def test_a_nodata_value_that_the_type_cannot_hold_means_nothing(nodata):
    found = conversion(contract("B04"), contract("B04", nodata=nodata))
    assert found.observed("s2", image(0)).all()
    assert found.apply("s2", image(1)).all()


def test_time_series_are_converted_step_by_step():
    model = contract(normalised("B04", 0.1, 0.1), normalised("B02", 0.2, 0.1))
    found = conversion(model, contract("B02", "B04", nodata=0.0))
    stored = np.arange(2 * 3 * 2 * 4 * 5, dtype=np.uint16).reshape(2, 3, 2, 4, 5)
    whole = found.apply("s2", stored)
    assert whole.shape == stored.shape
    assert np.array_equal(found.seen("s2", stored), found.observed("s2", stored).all(axis=2))
    for step in np.ndindex(2, 3):
        assert np.array_equal(whole[step], found.apply("s2", stored[step]))


def test_the_result_may_be_put_into_memory_of_the_callers():
    found = conversion(contract("B04"), contract("B04"))
    out = np.empty((1, 1, 1, 1), np.float32)
    assert found.apply("s2", image(5), out=out) is out
    with pytest.raises(ValueError, match="array to fill"):
        found.apply("s2", image(5), out=np.empty((2, 1, 1, 1), np.float32))
    with pytest.raises(ValueError, match="has shape"):
        found.apply("s2", image(5, 6))


@given(
    scale=st.sampled_from([1e-4, 0.01, 2.0, -0.5]),
    offset=st.floats(-10, 10),
    mean=st.floats(-100, 100),
    std=st.floats(0.01, 100),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int16, np.float32, np.float64, np.int32]),
    seed=st.integers(0, 99),
)
def test_it_is_what_the_formulas_say(scale, offset, mean, std, dtype, seed):
    stored = np.random.default_rng(seed).integers(0, 200, (2, 1, 3, 4)).astype(dtype)
    model = contract(band("H", unit="m", scale=1.0, mean=mean, std=std))
    data = contract(band("H", unit="m", scale=scale, offset=offset))
    wanted = (stored.astype(np.float64) * scale + offset - mean) / std
    found = conversion(model, data).apply("s2", stored)
    assert found.dtype == np.float32
    most = np.abs(stored).max() * abs(scale) + abs(offset) + abs(mean)
    assert np.allclose(found, wanted, rtol=1e-5, atol=4e-7 * (1 + most / std))


@given(st.permutations(["B02", "B03", "B04", "B08", "B11"]), st.integers(1, 5))
def test_no_order_of_the_data_changes_what_a_model_reads(order, count):
    names = ["B02", "B03", "B04", "B08", "B11"][:count]
    model = contract(*(normalised(name, 0.1, 0.2) for name in names))
    value = {name: 100 * (number + 1) for number, name in enumerate(sorted(order))}
    found = conversion(model, contract(*order))
    read = found.apply("s2", image(*(value[name] for name in order)))
    wanted = [(value[name] * 1e-4 - 0.1) / 0.2 for name in names]
    assert flat(read) == pytest.approx(wanted, abs=1e-5)


def test_the_same_is_computed_where_a_tensor_is():
    torch = pytest.importorskip("torch")
    from registry.learn.loading.torch import converted

    model = contract(normalised("B04", 0.1, 0.1), normalised("B08", 0.2, 0.05))
    found = conversion(model, contract("B08", "B04", nodata=0.0))
    stored = np.random.default_rng(1).integers(0, 5, (2, 2, 3, 3)).astype(np.int32) * 1000
    tensor = converted(found, "s2", torch.from_numpy(stored))
    assert tensor.dtype == torch.float32
    assert np.allclose(tensor.numpy(), found.apply("s2", stored), atol=1e-5)


def test_a_contract_gives_some_of_its_bands_by_name_or_letter():
    whole = contract("B02", "B03", "B04", "B08")
    assert [one.name for one in select(whole, ["N", "B02"]).inputs[0].bands] == ["B08", "B02"]
    with pytest.raises(ValueError, match="no band 'B11'"):
        select(whole, ["B11"])
    both = replace(whole, inputs=(*whole.inputs, *contract("VV", asset="s1").inputs))
    with pytest.raises(ValueError, match="s2 or s1"):
        select(both, ["B02"])
    assert len(select(both, {"s2": ["R"]}).inputs[1].bands) == 1


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_whole_numbers_beyond_what_32_bits_hold_exactly_keep_their_differences(dtype):
    offset = 2**24
    data = contract(band("height", unit="m", scale=1.0))
    model = contract(normalised("height", float(offset), 1.0, unit="m", scale=1.0))
    found = conversion(model, data).apply("s2", image(offset + 1, dtype=dtype))
    assert flat(found) == [1.0]


def plain(times, *names, unit=None):
    """Return numbers so many times as large as those of a burn scar, without a scale."""
    made = (
        band(name, unit=unit, scale=1.0, mean=times * (700 + 50 * n), std=times * 350)
        for n, name in enumerate(names)
    )
    return contract(*made)


@pytest.mark.parametrize("times", [1 / 10_000, 1 / 255, 1 / 120, 30, 10_000])
def test_known_statistics_of_another_order_are_refused(times):
    model, data = plain(1, "B02", "B03"), plain(times, "B02", "B03")
    with pytest.raises(ImplausibleValuesError, match="B02 of 's2' of scars is about") as caught:
        conversion(model, data, dataset="scars")
    assert "the model learned from 700 ± 350 (all 2 bands" in caught.value.problem
    assert "eolab card scars --set" in caught.value.hint


@pytest.mark.parametrize("times", [1 / 40, 1 / 12, 1, 15])
def test_known_statistics_of_another_season_or_weather_are_taken(times):
    assert conversion(plain(1, "B02", "B03"), plain(times, "B02", "B03")).sources == {"s2": "s2"}


def test_one_dark_band_of_several_is_taken():
    dark = contract(*plain(1, "B02").inputs[0].bands, *plain(1 / 10_000, "B03").inputs[0].bands)
    assert conversion(plain(1, "B02", "B03"), dark).sources == {"s2": "s2"}


def test_a_band_alone_may_be_darker_than_several():
    assert conversion(plain(1, "B08"), plain(1 / 300, "B08")).sources == {"s2": "s2"}
    with pytest.raises(ImplausibleValuesError):
        conversion(plain(1, "B08"), plain(1 / 10_000, "B08"))


def test_what_is_said_of_a_unit_counts_more_than_small_numbers():
    """A plain at sea level, of a model that learned from mountains."""
    model, data = plain(1, "1", unit="m"), plain(1 / 10_000, "1", unit="m")
    assert conversion(model, data).sources == {"s2": "s2"}


def test_scales_of_numbers_without_a_unit_differ_only_if_that_is_allowed():
    model = contract(normalised("B04", 1000.0, 500.0, unit=None, scale=1.0))
    data = contract(band("B04", unit=None, scale=10_000.0))
    with pytest.raises(ContractMismatchError, match="its scale is 10000, not 1"):
        conversion(model, data)
    found = conversion(model, data, allow=("scale",))
    assert flat(found.apply("s2", image(0.15, dtype=np.float32))) == pytest.approx([1.0])
    assert found.said[0].startswith("s2: nobody said a unit; stored values are scaled by 10000, as")
