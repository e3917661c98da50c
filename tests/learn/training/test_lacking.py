"""Samples without anything that a model reads teach it nothing, and that is said."""

import logging

import pytest

from registry.errors import NotFoundError
from registry.learn.training import train
from registry.learn.training.loop import samples_of
from registry.learn.training.material import gather

SUBSETS = ("train", "train", "train", "validate")
RADAR = {"data.assets": ["s1"]}  # each fifth sample has none


@pytest.fixture(scope="module")
def gaps(shared, simulated):
    return simulated(
        shared.registry, "gaps", task="burn-scars", layout="fusion", samples=20, size=16
    )


def _ids(batches):
    return {name for batch in batches for name in samples_of(batch)}


def _named(shared, ref, *, radar):
    version = shared.registry.resolve(ref)
    rows = version.table("assets", ["sample", "asset"]).to_pylist()
    return {one["sample"] for one in rows if one["asset"] == ("s1" if radar else "image")}


def test_samples_without_the_only_input_are_neither_learnt_nor_measured(shared, gaps, recipe_of):
    recipe = recipe_of(gaps, **RADAR)
    material = gather(shared.registry, recipe, seed=0)

    seen = _named(shared, gaps, radar=True)
    material.train.set_epoch(0)
    assert len(_ids(material.train)) == 12
    assert _ids(material.train) == _ids(material.plain) <= seen
    assert len(_ids(material.held)) == 4
    assert _ids(material.held) <= seen
    first, second = material.said
    assert first.startswith(f"3 samples of train of splits/default in {gaps} have none of s1 and ")
    assert second.startswith(f"1 sample of validate of splits/default in {gaps} has none of s1 and")


def test_masks_of_such_samples_are_not_counted(shared, gaps, recipe_of):
    pixels = {
        name: int(gather(shared.registry, recipe, seed=0).spreads["segmentation"].counts.sum())
        for name, recipe in (("s1", recipe_of(gaps, **RADAR)), ("both", recipe_of(gaps)))
    }
    assert 0 < pixels["s1"] <= 12 * 16 * 16 < pixels["both"]


def test_a_share_of_the_labels_is_one_of_samples_that_teach_something(shared, gaps, recipe_of):
    recipe = recipe_of(gaps, **RADAR, **{"data.fraction": 0.5})
    material = gather(shared.registry, recipe, seed=0)

    assert len(_ids(material.plain)) == 6
    assert [one.partition(" have ")[0].partition(" has ")[0] for one in material.said] == [
        f"3 samples of train of splits/default in {gaps}",
        f"1 sample of validate of splits/default in {gaps}",
    ]


def test_samples_that_lack_one_of_two_inputs_stay(shared, gaps, recipe_of):
    material = gather(shared.registry, recipe_of(gaps), seed=0)

    assert len(_ids(material.plain)) == 15
    assert material.said == ()


def test_training_says_who_was_left_out_and_the_card_counts_the_others(
    shared, gaps, recipe_of, caplog
):
    with caplog.at_level(logging.INFO, "eolab.training"):
        model = train(shared.registry, recipe_of(gaps, epochs=1, **RADAR), name="radar-alone")

    said = [one.getMessage() for one in caplog.records if "left out" in one.getMessage()]
    assert len(said) == 2
    assert said[0].startswith("training tiny-segmentation: 3 samples of train of")
    assert model.card.domain["samples"] == 12


def test_an_input_that_no_sample_of_a_subset_has_is_refused_by_name(shared, simulated, recipe_of):
    subsets = ("train", "train", "train", "train", "validate")
    ref = simulated(
        shared.registry, "unheld", task="burn-scars", layout="fusion", samples=10, size=16,
        subsets=subsets,
    )  # fmt: skip
    where = f"no sample of validate of splits/default in {ref} has an asset 's1'"
    with pytest.raises(NotFoundError, match=where) as caught:
        gather(shared.registry, recipe_of(ref), seed=0)
    assert "there are image, mask; " in caught.value.hint
    assert "data.assets" in caught.value.hint
