"""Samples without anything that a model reads are not scored, and that is said."""

from types import SimpleNamespace

import pytest

from registry.catalog.registry import Registry
from registry.errors import InvalidInputError
from registry.lake import init
from registry.learn.scoring.evaluating import evaluate, exam_of

HEADS = ("cover", "classes")
SIDES = (16, 24, 9)


def _unseen(number, name):
    return name == "s2" and number % 3 == 2


@pytest.fixture(scope="module")
def world(tmp_path_factory, published, made):
    """Versions in which every third sample lacks its image, and one in which those of test do."""
    registry = Registry(lake=init(str(tmp_path_factory.mktemp("lacking") / "lake")))
    whole = published(registry, "whole")
    published(registry, "gaps", lacks=_unseen)
    published(registry, "mixed", lacks=_unseen, side_of=lambda number: SIDES[number % 3])
    published(registry, "blind", lacks=lambda number, name: name == "s2" and number >= 24)
    made(registry, whole, heads=HEADS)
    return SimpleNamespace(registry=registry)


def _evaluated(world, ref, **said):
    return evaluate(world.registry, "toy-net@v1", on=ref, resamples=20, keep=False, **said)


@pytest.mark.parametrize("ref", ["gaps@v1", "mixed@v1"])
def test_samples_without_an_image_are_not_scored(world, ref):
    found = _evaluated(world, ref)
    seen = {f"chip-{number:03}" for number in range(24, 48) if number % 3 != 2}
    assert {name: set(kept.ids) for name, kept in found.kept.items()} == dict.fromkeys(HEADS, seen)
    assert found.samples == len(seen)
    assert found.said[-1] == (
        f"8 samples of test of splits/default in {ref} have none of s2 and are left out: "
        "chip-026, chip-029, chip-032, …"
    )


def test_whoever_has_all_images_is_scored_as_before(world):
    found = _evaluated(world, "whole@v1")
    assert found.samples == 24
    assert not any("left out" in one for one in found.said)


def test_a_subset_without_images_is_refused(world):
    with pytest.raises(InvalidInputError, match="no sample of test of splits/default in blind@v1"):
        _evaluated(world, "blind@v1")


def test_an_exam_for_which_nothing_is_read_has_all_samples(world):
    exam = exam_of(world.registry, world.registry.resolve("gaps@v1"))
    assert len(exam.ids) == 24
    assert not exam.left_out
