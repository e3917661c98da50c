import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from registry.curate.features.scene import MissingInputError
from registry.curate.features.sets.spectral import (
    INDICES,
    SPECTRAL,
    index_values,
    spectral,
)
from registry.errors import InvalidInputError
from tests.unit.features.sets.scenes import SENTINEL_2, layer, random_reflectance, scene

ALL = sorted({letter for index in INDICES for letter in index.bands})
SCALE_FREE = [index for index in INDICES if index.scale_free]


def random_bands(seed=0, size=500):
    return dict(
        zip(ALL, random_reflectance((len(ALL), size), seed).astype(np.float64), strict=True)
    )


def sentinel_2(values, **said):
    return layer(values, SENTINEL_2, unit="reflectance", **said)


def test_there_are_more_than_sixty_indices_each_with_formula_and_source():
    assert len(INDICES) >= 60
    for feature in SPECTRAL.features:
        assert feature.formula
        assert feature.source
    for feature in SPECTRAL.features[4:]:
        assert feature.bands
        assert "http" in feature.source


@pytest.mark.parametrize("index", INDICES, ids=lambda index: index.name)
def test_every_index_is_what_spyndex_computes(index):
    import spyndex

    bands = random_bands()
    expected = spyndex.computeIndex(
        index.name, {letter: bands[letter] for letter in index.bands} | dict(index.constants)
    )

    np.testing.assert_allclose(index_values(index.name, bands), expected, rtol=1e-10, atol=1e-12)


@given(exponent=st.integers(-12, 14), seed=st.integers(0, 50))
def test_a_scale_free_index_does_not_change_with_the_scale(exponent, seed):
    bands = random_bands(seed, size=20)
    scaled = {letter: values * 2.0**exponent for letter, values in bands.items()}

    for index in SCALE_FREE:
        assert np.array_equal(index_values(index.name, bands), index_values(index.name, scaled))


@pytest.mark.parametrize(
    "index", [index for index in INDICES if not index.scale_free], ids=lambda index: index.name
)
def test_any_other_index_changes_with_the_scale(index):
    bands = random_bands()
    scaled = {letter: values * 2 for letter, values in bands.items()}

    assert not np.allclose(
        index_values(index.name, bands), index_values(index.name, scaled), equal_nan=True
    )


def test_statistics_are_those_of_all_pixels_of_all_times():
    values = random_reflectance((3, 12, 9, 7), seed=1)
    found = spectral(scene(sentinel_2(values)))
    ndvi = (values[:, 7].astype(np.float64) - values[:, 3]) / (values[:, 7] + values[:, 3])

    assert found["ndvi_mean"] == pytest.approx(ndvi.mean(), abs=1e-7)
    assert found["ndvi_std"] == pytest.approx(ndvi.std(), rel=1e-6)
    for name, share in (("p10", 10), ("p50", 50), ("p90", 90)):
        assert found[f"ndvi_{name}"] == pytest.approx(np.percentile(ndvi, share), rel=1e-5)
    assert found["valid_share"] == 1
    assert "clear_share" not in found


def test_every_column_of_a_full_sample_has_a_finite_value():
    found = spectral(scene(sentinel_2(random_reflectance((12, 16, 16)))))

    assert set(found) == {feature.name for feature in SPECTRAL.features} - {"clear_share"}
    assert all(np.isfinite(value) for name, value in found.items() if name != "bands")


def test_a_hand_calculated_index_over_four_pixels():
    red, near = [[0.1, 0.2], [0.1, 0.0]], [[0.3, 0.2], [0.4, 0.0]]
    found = spectral(scene(layer([red, near], ["red", "nir"])))

    # 0.5, 0, 0.6 and 0 / 0, which is left out
    assert found["ndvi_mean"] == pytest.approx(1.1 / 3)
    assert found["ndvi_p50"] == pytest.approx(0.5)
    assert found["ndvi_p90"] == pytest.approx(0.58)
    assert found["ndvi_std"] == pytest.approx(np.std([0.5, 0, 0.6]))


def test_without_declared_reflectance_only_scale_free_indices_have_values():
    stored = (random_reflectance((12, 8, 8)) * 10_000).astype(np.uint16)
    found = spectral(scene(layer(stored, SENTINEL_2)))

    assert found["reflectance"] is False
    assert "ndvi_mean" in found
    assert "evi_mean" not in found
    with_values = {name[:-5] for name in found if name.endswith("_mean")}
    assert with_values == {index.name.lower() for index in SCALE_FREE}


def test_stored_integers_with_a_declared_scale_are_reflectance():
    stored = (random_reflectance((12, 8, 8)) * 10_000).astype(np.uint16)
    declared = sentinel_2(stored, scale=(1e-4,) * 12, offset=(-0.1,) * 12)
    direct = sentinel_2(stored.astype(np.float32) * np.float32(1e-4) - np.float32(0.1))

    assert spectral(scene(declared)) == spectral(scene(direct))


def test_nodata_nan_and_cloud_do_not_count():
    values = random_reflectance((12, 6, 6))
    clear = np.ones((1, 6, 6), bool)
    clear[:, 0] = False
    spoilt = values.copy()
    spoilt[:, 5] = np.nan
    spoilt[:, 0] = 0.9
    found = spectral(scene(sentinel_2(spoilt, clear=clear)))
    expected = spectral(scene(sentinel_2(values[:, 1:5])))

    assert found["valid_share"] == pytest.approx(5 / 6)
    assert found["clear_share"] == pytest.approx(4 / 5)
    for name, value in expected.items():
        if name not in {"valid_share", "clear_share"}:
            assert found[name] == value, name


def test_a_pixel_without_one_band_still_counts_for_the_other_bands():
    values = random_reflectance((12, 4, 4))
    values[11, :2] = np.nan  # short-wave infrared 2
    found = spectral(scene(sentinel_2(values)))

    assert found["valid_share"] == 0.5
    assert found["ndvi_mean"] == spectral(scene(sentinel_2(np.nan_to_num(values))))["ndvi_mean"]
    assert found["nbr_mean"] == spectral(scene(sentinel_2(values[:, 2:])))["nbr_mean"]


@pytest.mark.parametrize("nodata", [0.0, None])
def test_an_empty_sample_says_that_nothing_was_observed(nodata):
    raw = np.zeros((12, 3, 3), np.uint16) if nodata == 0 else np.full((12, 3, 3), np.nan)
    with pytest.raises(MissingInputError, match="less than 1% of its pixels were observed"):
        spectral(scene(layer(raw, SENTINEL_2, nodata=nodata)))


def test_a_sample_that_is_hardly_ever_clear_has_no_values():
    clear = np.zeros((1, 20, 20), bool)
    clear[0, 0, :3] = True
    values = random_reflectance((12, 20, 20))
    with pytest.raises(MissingInputError, match="less than 1% of its pixels were observed"):
        spectral(scene(sentinel_2(values, clear=clear)))
    clear[0, 0, 3] = True
    assert spectral(scene(sentinel_2(values, clear=clear)))["clear_share"] == 0.01


def test_a_band_that_is_missing_throughout_leaves_the_others_their_values():
    values = random_reflectance((12, 4, 4))
    values[11] = np.nan
    found = spectral(scene(sentinel_2(values)))
    assert found["valid_share"] == 0
    assert "ndvi_mean" in found


def test_one_pixel_has_no_spread():
    found = spectral(scene(sentinel_2(random_reflectance((12, 1, 1)))))

    assert found["ndvi_std"] == 0
    assert found["ndvi_p10"] == found["ndvi_p90"] == pytest.approx(found["ndvi_mean"], rel=1e-6)


def test_bands_in_several_assets_of_one_grid_count_together():
    values = random_reflectance((12, 5, 5))
    together = layer(values, SENTINEL_2)
    apart = [
        replace(together, asset=name, raw=values[None, n : n + 1], common=(together.common[n],))
        for n, name in enumerate(SENTINEL_2)
    ]
    small = layer(values[:4, :2, :2], SENTINEL_2[:4], asset="small")
    found = spectral(scene(small, *apart))

    assert found == spectral(scene(together))


def by_resolution(values, **said):
    """Return bands at 10, 20 and 60 m, as BigEarthNet has them, and the same on one grid."""
    groups = {
        "s2_10m": (1, ("B02", "B03", "B04", "B08")),
        "s2_20m": (2, ("B05", "B06", "B07", "B8A", "B11", "B12")),
        "s2_60m": (6, ("B01", "B09")),
    }
    whole, apart = {}, []
    for asset, (step, names) in groups.items():
        raw = np.stack([values[SENTINEL_2.index(name)] for name in names])[:, ::step, ::step]
        whole |= dict(zip(names, raw.repeat(step, 1).repeat(step, 2), strict=True))
        placed = {"transform": (10.0 * step, 0.0, 5e5, 0.0, -10.0 * step, 5e6)}
        common = dict(zip(SENTINEL_2, layer(values, SENTINEL_2).common, strict=True))
        one = layer(raw, names, asset=asset, crs="EPSG:32633", **(placed | said))
        apart.append(replace(one, common=tuple(common[name] for name in names)))
    apart[1] = replace(apart[1], common=("RE1", "RE2", "RE3", "N", "S1", "S2"))  # B8A for B08
    return apart, layer(np.stack([whole[name] for name in SENTINEL_2]), SENTINEL_2)


def test_bands_of_several_resolutions_count_together_on_the_finest_grid():
    apart, together = by_resolution(random_reflectance((12, 12, 12)))

    assert spectral(scene(*apart)) == spectral(scene(together))
    assert spectral(scene(*apart[::-1])) == spectral(scene(together))


def test_arrays_of_other_places_times_or_scales_do_not_count_together():
    apart, _ = by_resolution(random_reflectance((12, 12, 12)))
    ten = apart[0]
    for other in (
        replace(apart[1], transform=(20.0, 0.0, 6e5, 0.0, -20.0, 5e6)),
        replace(apart[1], transform=None),
        replace(apart[1], crs="EPSG:32634"),
        replace(apart[1], scale=(1e-4,)),
        replace(apart[1], raw=apart[1].raw[:, :, :5]),
        replace(apart[1], raw=apart[1].raw.repeat(2, axis=0)),
    ):
        assert spectral(scene(ten, other))["bands"] in {"B G R N", "RE1 RE2 RE3 N S1 S2"}


def test_two_sensors_with_the_same_bands_do_not_mix():
    first = layer(random_reflectance((4, 6, 6)), ["blue", "green", "red", "nir"])
    second = layer(random_reflectance((2, 6, 6), seed=1), ["red", "swir16"], asset="other")

    assert spectral(scene(first, second)) == spectral(scene(first))


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [layer(np.ones((12, 2, 2)))],
        [layer(np.ones((1, 2, 2)), ["nir"])],
        [layer(np.ones((2, 2, 2)), ["VV", "VH"])],
        [layer(np.ones((2, 2, 2)), ["red", "nir"], role="labels")],
    ],
)
def test_a_sample_that_no_index_can_be_computed_from_says_why(layers):
    with pytest.raises(MissingInputError, match="no index can be computed"):
        spectral(scene(*layers))


def test_a_sample_of_radar_alone_is_told_so():
    with pytest.raises(MissingInputError, match="from radar bands alone"):
        spectral(scene(layer(np.ones((2, 2, 2)), ["VV", "VH"])))


def test_a_missing_band_of_one_index_is_named():
    with pytest.raises(MissingInputError, match="NDVI needs bands N R, and N is not there"):
        index_values("NDVI", {"R": np.ones(1, np.float32)})


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.just(12), st.integers(1, 4), st.integers(1, 4)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_no_values_break_it_or_come_out_infinite(values):
    try:
        found = spectral(scene(sentinel_2(values)))
    except MissingInputError:  # too few of them were observed
        found = {}

    assert all(np.isfinite(value) for name, value in found.items() if name != "bands")


def test_turning_and_mirroring_a_sample_gives_the_same_bits():
    values = random_reflectance((12, 16, 16))
    once = spectral(scene(sentinel_2(values)))

    assert spectral(scene(sentinel_2(values[:, ::-1]))) == once
    assert spectral(scene(sentinel_2(np.rot90(values, axes=(1, 2))))) == once


def test_threads_and_repeats_give_the_same_bits():
    scenes = [scene(sentinel_2(random_reflectance((12, 32, 32), seed))) for seed in range(6)]
    once = [spectral(one) for one in scenes]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(spectral, scenes * 2))

    assert again == once * 2


def test_many_pixels_give_the_same_bits_as_few(monkeypatch):
    values = random_reflectance((12, 32, 32))
    whole = spectral(scene(sentinel_2(values)))
    monkeypatch.setattr("registry.curate.features.sets.spectral._SHARED_UP_TO", 1)

    assert spectral(scene(sentinel_2(values))) == whole


def test_reading_the_catalogue_runs_nothing_of_its_package_and_opens_no_connection():
    code = (
        "import sys, registry.curate.features.sets.spectral as s\n"
        "assert len(s.INDICES) > 60\n"
        "assert not {'spyndex', 'requests', 'box', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true')", "N.real", "N[0]", "N if R else B", "lambda: N",
        "N ** R", "2 ** N", "N ** -1", "N ** 99", "N // R", "N & R", "not N", "f(N)", "'N'", "True",
        "N +", "", "(" * 500, "N + " * 400 + "N", "[N]", "N := R", "1e400 + 1j",
    ],
)  # fmt: skip
def test_a_formula_may_only_be_arithmetic(formula):
    from registry.curate.features.sets.spectral_formulas import parse

    with pytest.raises(InvalidInputError):
        parse(formula, {})


def test_an_index_that_is_not_in_the_catalogue_or_has_no_such_constant_is_refused():
    from registry.curate.features.sets.spectral_formulas import indices
    from registry.errors import UnavailableError

    with pytest.raises(UnavailableError, match="has no index NOPE"):
        indices({"NOPE": {}})
    with pytest.raises(InvalidInputError, match="NDVI has no constant L"):
        indices({"NDVI": {"L": 1}})


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    from registry.curate.features.sets import spectral_formulas
    from registry.errors import UnavailableError

    monkeypatch.setattr(spectral_formulas, "find_spec", lambda _: None)
    spectral_formulas._read.cache_clear()
    with pytest.raises(UnavailableError, match=r"eo-training-data-lab\[features\]"):
        spectral_formulas.indices({"NDVI": {}})
