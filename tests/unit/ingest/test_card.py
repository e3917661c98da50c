import pytest

from registry.catalog import AssetSpec, Provider, Spec
from registry.catalog.card.spec import Task
from registry.curate.ingest.card import joined
from registry.errors import InvalidInputError


def test_what_the_card_says_already_stays():
    card = Spec(name="things", licence="MIT", classes=("a",), task=Task.CLASSIFICATION)
    said = Spec(name="things", licence="CC0-1.0", classes=("b", "a"), task=Task.DETECTION)
    both = joined(card, said)
    assert (both.licence, both.task, both.classes) == ("MIT", Task.CLASSIFICATION, ("a", "b"))


def test_what_the_card_leaves_open_is_filled():
    card = Spec(name="things", assets={"image": AssetSpec(unit="reflectance")})
    said = Spec(
        name="things",
        licence="MIT",
        providers=(Provider(name="DFKI"),),
        assets={"image": AssetSpec(bands=("B2",), unit="dB"), "mask": AssetSpec()},
    )
    both = joined(card, said)
    assert both.licence == "MIT"
    assert both.providers == (Provider(name="DFKI"),)
    assert both.assets["image"] == AssetSpec(bands=("B2",), unit="reflectance")
    assert "mask" in both.assets


def test_joining_the_same_again_changes_nothing():
    card = Spec(name="things", classes=("a", "b"), assets={"image": AssetSpec(bands=("B2",))})
    assert joined(card, card) == card


@pytest.mark.usefixtures("forest")
def test_declared_bands_that_fit_no_asset_are_refused(registry, bring):
    with pytest.raises(InvalidInputError, match="2 bands are declared, but image has 3"):
        bring("forest", bands="B2,B3")
    assert registry.names() == []


@pytest.mark.usefixtures("forest")
def test_a_task_that_is_none_is_refused(registry, bring):
    with pytest.raises(InvalidInputError, match="there is no task 'guessing'"):
        bring("forest", task="guessing")
    assert registry.names() == []


def test_names_of_bands_are_read_from_the_files(registry, tmp_path, chip, bring):
    import rasterio

    for number in range(4):
        path = tmp_path / "named" / "xy"[number % 2] / f"{number}.tif"
        chip(path, number)
        with rasterio.open(path, "r+") as raster:
            raster.descriptions = ("blue", "green", "red")
            raster.scales = (1e-4,) * 3
    bring("named")
    spec = registry.resolve("things@draft").spec.assets["image"]
    assert spec.bands == ("blue", "green", "red")
    assert spec.scale == pytest.approx(1e-4)
