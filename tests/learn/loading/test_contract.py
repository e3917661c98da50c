import numpy as np
import pytest

from registry.catalog.card.spec import AssetSpec
from registry.curate.features.computing import compute
from registry.curate.features.normalising import normalisations
from registry.curate.splits import Plan, split
from registry.errors import ForbiddenError, InvalidInputError, NotFoundError
from registry.learn.loading.contract import Contract, of_version
from registry.learn.loading.feed import feed
from registry.learn.loading.stream import stream
from tests.learn.loading.lakes import chip, lake_of, sample
from tests.learn.loading.simulated import simulated

CARD = {
    "assets": {
        "s2": AssetSpec(
            title="Sentinel-2 L2A", role="data", bands=("B04", "B08"), unit="reflectance",
            scale=1e-4, offset=-0.1, gsd=10.0,
        )
    }
}  # fmt: skip
SUBSETS = {f"s{n:05d}": "train" if n < 4 else "test" for n in range(6)}


def toy(folder, *, card=CARD, count=6, subsets=SUBSETS, more=None, splits="default"):
    rows = [sample(n, **(more(n) if more else {})) for n in range(count)]
    registry, ref = lake_of(folder, rows, spec=card, splits={splits: subsets} if subsets else {})
    return registry, registry.resolve(ref)


def physical(numbers):
    stored = np.stack([chip(n) for n in numbers]).astype(np.float64) * 1e-4 - 0.1
    return stored.mean(axis=(0, 2, 3)), stored.std(axis=(0, 2, 3))


def test_it_says_what_the_card_says_and_what_training_samples_are_like(tmp_path):
    _, version = toy(tmp_path)
    (one,) = of_version(version).inputs
    assert (one.asset, one.gsd, one.level, one.nodata, one.frames) == (
        "s2",
        10.0,
        "L2A",
        None,
        None,
    )
    assert [(b.name, b.common, b.unit, b.scale, b.offset) for b in one.bands] == [
        ("B04", "R", "reflectance", 1e-4, -0.1), ("B08", "N", "reflectance", 1e-4, -0.1),
    ]  # fmt: skip
    mean, std = physical(range(4))
    assert [b.mean for b in one.bands] == pytest.approx(mean)
    assert [b.std for b in one.bands] == pytest.approx(std)


def test_a_fold_that_is_held_out_is_not_in_the_statistics(tmp_path):
    _, version = toy(tmp_path, subsets={f"s{n:05d}": (None, n % 3) for n in range(6)})
    mean, std = physical([0, 2, 3, 5])
    for bands in (
        of_version(version, fold=1).inputs[0].bands,
        stream(version, split="train", fold=1).contract.inputs[0].bands,
        feed(version, split="test", fold=1).conversion.given.inputs[0].bands,
    ):
        assert [b.mean for b in bands] == pytest.approx(mean)
        assert [b.std for b in bands] == pytest.approx(std)
    assert feed(version, split="train", fold=1).stream.ids.to_pylist() == [
        "s00000", "s00002", "s00003", "s00005",
    ]  # fmt: skip


def test_statistics_of_a_draft_are_those_that_are_kept_beside_its_version(tmp_path, ungated):
    registry, ref = simulated(tmp_path, "burn-scars", samples=8)
    drafted = of_version(registry.resolve(ref))
    other, tag = simulated(tmp_path / "b", "burn-scars", samples=8, published=ungated)
    compute(other, tag, ["statistics"])
    kept = of_version(other.resolve(tag))
    assert kept.inputs == drafted.inputs
    assert kept.statistics == other.resolve(tag).data_id_of("features/statistics")
    assert drafted.statistics is not None


@pytest.fixture
def burn_scars(tmp_path, ungated):
    return simulated(tmp_path, "burn-scars", samples=8, published=ungated)


def test_missing_statistics_are_computed_once_and_kept(burn_scars):
    registry, ref = burn_scars
    first = of_version(registry.resolve(ref), registry=registry)
    at = registry.resolve(ref).derived_at
    assert first == of_version(registry.resolve(ref), registry=registry)
    assert "features/statistics" in registry.resolve(ref).tables()
    assert registry.resolve(ref).derived_at == at


def test_statistics_of_a_split_that_came_later_are_computed_anew(burn_scars):
    registry, ref = burn_scars
    of_version(registry.resolve(ref), registry=registry)
    split(registry, ref, name="other", plan=Plan(seed=5))
    found = of_version(registry.resolve(ref), split="other", registry=registry)
    alone = of_version(registry.resolve(ref), split="other")
    assert found == alone


def test_where_nothing_can_be_kept_they_are_computed_all_the_same(burn_scars, monkeypatch):
    registry, ref = burn_scars

    def forbidden(*_, **__):
        raise ForbiddenError("read-only", hint="")

    monkeypatch.setattr("registry.curate.features.normalising.compute", forbidden)
    assert of_version(registry.resolve(ref), registry=registry).statistics is not None
    assert "features/statistics" not in registry.resolve(ref).tables()


def test_without_leave_to_compute_means_are_unknown(tmp_path):
    _, version = toy(tmp_path)
    found = of_version(version, compute_missing=False)
    assert (found.statistics, found.inputs[0].bands[0].mean) == (None, None)


def test_of_several_splits_none_is_guessed_and_bands_are_known_all_the_same(tmp_path):
    rows = [sample(n) for n in range(6)]
    splits = {"north": SUBSETS, "south": SUBSETS}
    registry, ref = lake_of(tmp_path, rows, spec=CARD, splits=splits)
    version = registry.resolve(ref)
    found = of_version(version, compute_missing=False)
    assert (found.statistics, found.inputs[0].bands[0].name) == (None, "B04")
    with pytest.raises(InvalidInputError, match="has the splits north, south"):
        of_version(version)


# -------------------------------------------------------------------------------------- splits
def test_official_stands_for_default_and_all_samples_for_no_split(tmp_path):
    _, official = toy(tmp_path / "a", splits="official")
    _, none = toy(tmp_path / "b", subsets=None)
    for version, numbers in ((official, range(4)), (none, range(6))):
        mean, _ = physical(numbers)
        assert [b.mean for b in of_version(version).inputs[0].bands] == pytest.approx(mean)


def test_splits_and_subsets_that_are_not_there_are_named(tmp_path):
    _, version = toy(tmp_path)
    with pytest.raises(NotFoundError, match="no split 'folds'"):
        of_version(version, split="folds")
    with pytest.raises(NotFoundError, match="no subset 'validate'") as caught:
        of_version(version, subset="validate")
    assert "it has test, train" in caught.value.hint


def test_two_splits_without_a_usual_name_are_asked_about(tmp_path):
    rows = [sample(n) for n in range(3)]
    of = {row["id"]: "train" for row in rows}
    registry, ref = lake_of(tmp_path, rows, splits={"a": of, "b": of})
    with pytest.raises(InvalidInputError, match="the splits a, b"):
        of_version(registry.resolve(ref))


# -------------------------------------------------------------------------------------- assets
def test_whole_numbers_called_reflectance_without_a_scale_are_plain_numbers(tmp_path):
    card = {"assets": {"s2": AssetSpec(role="data", bands=("B04", "B08"), unit="reflectance")}}
    _, version = toy(tmp_path, card=card)
    assert {band.unit for band in of_version(version).inputs[0].bands} == {"DN"}


def test_bands_that_nobody_named_have_numbers(tmp_path):
    _, version = toy(tmp_path, card={})
    bands = of_version(version).inputs[0].bands
    assert [(b.name, b.common, b.mean is not None) for b in bands] == [
        ("1", None, True), ("2", None, True),
    ]  # fmt: skip


def test_masks_are_no_input_and_one_called_image_comes_first(tmp_path):
    card = {"assets": {"mask": AssetSpec(role="labels", values={0: "a"})}}

    def more(number):
        plane = chip(number, bands=1)
        return {"arrays": {"dem": plane, "image": chip(number), "mask": plane}}

    _, version = toy(tmp_path, card=card, more=more)
    assert [one.asset for one in of_version(version).inputs] == ["image", "dem"]
    assert [one.asset for one in of_version(version, assets=["dem"]).inputs] == ["dem"]
    with pytest.raises(InvalidInputError, match="holds labels"):
        of_version(version, assets=["mask"])
    with pytest.raises(InvalidInputError, match="no asset 's1'"):
        of_version(version, assets=["s1"])


def test_several_nodata_values_of_one_asset_are_refused(tmp_path):
    _, version = toy(tmp_path, more=lambda n: {"nodata": float(n % 2)})
    with pytest.raises(InvalidInputError, match="several nodata values: 0, 1"):
        of_version(version)


def test_whole_numbers_and_fractions_of_one_asset_are_refused(tmp_path):
    _, version = toy(tmp_path, more=lambda n: {"arrays": {"s2": chip(n, dtype="fu"[n % 2] + "4")}})
    with pytest.raises(InvalidInputError, match="holds float32 and uint32"):
        of_version(version)


def test_nan_is_no_nodata_value_of_its_own(tmp_path):
    _, version = toy(tmp_path, more=lambda n: {"nodata": float("nan") if n else 7.0})
    assert of_version(version).inputs[0].nodata == 7.0


def test_series_say_how_many_steps_they_have(tmp_path):
    def more(number):
        return {"arrays": {"s2": np.stack([chip(number)] * (2 + number % 2))}}

    _, version = toy(tmp_path, more=more)
    assert of_version(version).inputs[0].frames == 3


@pytest.mark.parametrize(
    ("title", "level"),
    [("Sentinel-2 L2A", "L2A"), ("MSIL1C chips", "L1C"), ("Level-2A", "L2A"),
     ("Landsat L2SP", None), ("s2_l1c", "L1C"), ("all about L10", None)],
)  # fmt: skip
def test_the_level_is_read_from_titles(tmp_path, title, level):
    card = {"assets": {"s2": AssetSpec(title=title, role="data")}}
    _, version = toy(tmp_path, card=card)
    assert of_version(version, compute_missing=False).inputs[0].level == level


def test_the_level_that_the_card_states_wins_over_the_title(tmp_path):
    said = AssetSpec(title="like L2A", role="data", extra={"level": "L1C"})
    _, version = toy(tmp_path, card={"assets": {"s2": said}})
    assert of_version(version, compute_missing=False).inputs[0].level == "L1C"


def test_it_comes_back_from_json_as_it_was(tmp_path):
    _, version = toy(tmp_path)
    found = of_version(version)
    assert Contract.from_document(found.to_document()) == found


def test_normalisations_are_those_of_the_contract(tmp_path):
    _, version = toy(tmp_path)
    found = normalisations(version, ["s2"])["s2"]
    assert found.mean == tuple(band.mean for band in of_version(version).inputs[0].bands)
