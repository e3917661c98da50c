"""What real chips mean to a model: conversions that are said, and mismatches that are refused."""

from dataclasses import replace

import numpy as np
import pytest

from registry.catalog.card.spec import AssetSpec
from registry.curate.ingest import ingest
from registry.errors import InvalidInputError
from registry.learn.loading.contract import of_version
from registry.learn.loading.conversion import ContractMismatchError, conversion
from registry.learn.loading.feed import feed

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
EUROSAT = (*BANDS[:8], "B09", "B10", "B11", "B12", "B8A")


@pytest.fixture(scope="module")
def brought(lab, shared_data):
    def of(name):
        own = f"contract-{name}"  # others look at these sets in the same lake
        ingest(lab, shared_data / name, into=own, on_error="skip")
        draft = lab.draft(own)
        return lab.resolve(f"{own}@{draft.branch}")

    return {
        name: of(name)
        for name in ("bigearthnet-v2", "eotdl-s2-ships", "eurosat-ms", "s2-burnscar-california")
    }


def with_card(lab, version, **assets):
    draft = lab.draft(version.dataset)
    with draft.edit("say what the bands are") as root:
        card = replace(version.spec, assets={**version.spec.assets, **assets}, text=None)
        (root / "README.md").write_text(card.to_readme())
    return lab.resolve(f"{version.dataset}@{draft.branch}")


def sentinel_2(bands):
    said = {"role": "data", "unit": "reflectance", "scale": 1e-4}
    return AssetSpec(title="Sentinel-2 L1C", bands=bands, **said)


@pytest.fixture(scope="module")
def bigearthnet(brought):
    return of_version(brought["bigearthnet-v2"], assets=["s2"])


def test_bigearthnet_gives_reflectance_of_level_2a(bigearthnet):
    (one,) = bigearthnet.inputs
    assert (one.gsd, one.level) == (10.0, "L2A")
    assert [(band.name, band.unit, band.scale) for band in one.bands] == [
        (name, "reflectance", 1e-4) for name in BANDS
    ]
    assert all(0 < band.mean < 0.5 for band in one.bands)


def test_radar_that_was_wrapped_into_whole_numbers_gives_no_statistics(brought):
    with pytest.raises(InvalidInputError, match="holds float32 and uint16"):
        of_version(brought["bigearthnet-v2"])


@pytest.mark.parametrize("name", ["eotdl-s2-ships", "eurosat-ms"])
def test_chips_whose_card_is_silent_are_no_reflectance(brought, bigearthnet, name):
    given = of_version(brought[name])
    assert {band.unit for band in given.inputs[0].bands} == {None}
    with pytest.raises(ContractMismatchError):
        conversion(bigearthnet, given, allow=("level",))


@pytest.mark.parametrize(("name", "bands"), [("eotdl-s2-ships", BANDS), ("eurosat-ms", EUROSAT)])
def test_chips_whose_card_speaks_are_read_in_the_models_order(
    lab, brought, bigearthnet, name, bands
):
    version = with_card(lab, brought[name], image=sentinel_2(bands))
    with pytest.raises(ContractMismatchError, match="level L2A, the data are L1C"):
        feed(version, contract=bigearthnet)
    made = feed(version, contract=bigearthnet, allow=("level",), batch_size=2, shuffle=False)
    batch = next(iter(made))
    stored = version.chip(batch["id"][0], "image").astype(np.float64) * 1e-4
    for number, band in enumerate(bigearthnet.inputs[0].bands):
        wanted = (stored[bands.index(band.name)] - band.mean) / band.std
        assert np.allclose(batch["image"][0, number], wanted, atol=1e-4)
    assert any("in the order" in one for one in made.said) == (bands == EUROSAT)


def test_pixels_that_are_no_number_are_0_and_not_seen(brought):
    version = brought["s2-burnscar-california"]
    given = of_version(version, assets=["post_fire"])
    found = conversion(given, given)
    rows = version.table("assets").select(["sample", "asset"]).to_pylist()
    gone = 0
    for name in [row["sample"] for row in rows if row["asset"] == "post_fire"]:
        stored = version.chip(name, "post_fire")
        image, seen = found.apply("post_fire", stored), found.seen("post_fire", stored)
        assert np.isfinite(image).all()
        assert np.array_equal(seen, np.isfinite(stored).all(axis=0))
        gone += np.isnan(stored).any()
    assert gone == 3  # and more in the other assets
    assert any("nobody said a unit" in one for one in found.said)
