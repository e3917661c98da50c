"""What pretraining learns from: all that no test has, unless everything is asked for."""

import logging
import shutil

import pytest

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.training import fit, train
from registry.learn.training.foreseeing import foresee
from registry.learn.training.fractions import kept_slice
from registry.learn.training.loop import samples_of
from registry.learn.training.material import gather
from registry.learn.training.simulated import spec_of, write

VIT = {"name": "vit", "width": 16, "depth": 2, "heads": 2}
SUBSETS = ("train", "validate", "test", "testing", "test_far", "train", "train", "unlabelled")
TESTS = {"test", "testing", "test_far"}


@pytest.fixture(scope="module")
def tested(shared, simulated):
    """A version whose split has tests by several words, and what it calls each sample."""
    ref = simulated(shared.registry, "tested", subsets=SUBSETS, samples=16, size=16)
    rows = shared.registry.resolve(ref).table("splits/default").to_pylist()
    return ref, {row["sample"]: row["subset"] for row in rows}


@pytest.fixture
def recipe(tested, recipe_of):
    def make(*refs, **changes):
        return recipe_of(
            list(refs) or tested[0], task="reconstruction", epochs=1,
            **{"architecture.args": VIT, "data.batch_size": 4, "data.augment": [], **changes},
        )  # fmt: skip

    return make


def learned(registry, recipe):
    train_batches = gather(registry, recipe, seed=0).train
    train_batches.set_epoch(0)
    return {name for batch in train_batches for name in samples_of(batch)}


def test_pretraining_leaves_out_what_the_split_calls_test_and_says_how_many(
    shared, tested, recipe, caplog
):
    ref, subsets = tested
    with caplog.at_level(logging.INFO, "eolab.training"):
        model = train(shared.registry, recipe(), name="mae-without-tests")

    assert learned(shared.registry, recipe()) == {
        name for name, subset in subsets.items() if subset not in TESTS
    }
    (said,) = [one.getMessage() for one in caplog.records if "left out" in one.getMessage()]
    assert said == (
        f"training tiny-reconstruction: 6 of 16 samples of {ref} are left out: splits/default "
        "calls them test; data.subset=all takes them too"
    )
    (kept,) = model.card.lineage.learned
    assert (kept.ref, kept.subsets, kept.split) == (ref, "but-test", "default")


def test_pretraining_takes_everything_where_that_is_asked_for(shared, tested, recipe):
    everything = recipe(**{"data.subset": "all"})

    assert learned(shared.registry, everything) == {*tested[1]}
    material = gather(shared.registry, everything, seed=0)
    assert material.said == ()
    assert [one.subsets for one in material.lineage.learned] == ["all"]


def test_of_several_versions_each_leaves_out_its_own_tests(shared, tested, recipe, ungated):
    spec = spec_of(recipe().smoke, seed=2)

    def unsplit(root):
        write(root, recipe().smoke, seed=2)
        shutil.rmtree(root / "splits")

    version = ungated(shared.registry, shared.registry.create(spec), unsplit)

    both = recipe(tested[0], f"{version.dataset}@{version.tag}")
    material = gather(shared.registry, both, seed=0)

    assert len(material.said) == 1
    assert [one.subsets for one in material.lineage.learned] == ["but-test", "all"]
    assert len(learned(shared.registry, both)) == len(
        {name for name, subset in tested[1].items() if subset not in TESTS}
        | {*version.table("samples")["id"].to_pylist()}
    )


def test_a_slice_without_tests_leaves_nothing_out(shared, tested, recipe):
    registry, version = shared.registry, shared.registry.resolve(tested[0])
    ids = [name for name, subset in tested[1].items() if subset == "train"]
    slice_id = kept_slice(registry, version, ids, share=1, seed=0)

    assert gather(registry, recipe(**{"data.slice": slice_id}), seed=0).said == ()
    assert learned(registry, recipe(**{"data.slice": slice_id})) == {*ids}


def test_a_split_that_is_not_there_is_foreseen(shared, recipe):
    with pytest.raises(NotFoundError, match="has no split 'events'"):
        foresee(shared.registry, recipe(**{"data.splits": "events"}))


def test_what_learns_from_labels_never_learns_from_tests(tested, recipe_of):
    with pytest.raises(InvalidInputError, match="train alone"):
        recipe_of(tested[0], **{"data.subset": "all"})


def test_batches_of_a_step_are_of_pretraining_too(shared, recipe, tmp_path):
    run = fit(shared.registry, recipe(accumulate=3), seed=0, workdir=tmp_path)

    assert run.fitted.steps == 1  # of ten samples by four
