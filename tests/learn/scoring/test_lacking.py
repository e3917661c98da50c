"""Samples without anything that a model reads are not scored, and that is said."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from registry.catalog.registry import Registry
from registry.errors import InvalidInputError
from registry.lake import init
from registry.learn.scoring import comparing
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
    made(registry, whole, "other-net", seed=7, heads=HEADS)
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


def test_a_score_of_fewer_samples_is_on_a_board_of_its_own(world):
    said = {
        ref: json.loads(_evaluated(world, ref).rows["details"][0].as_py())["protocol"]
        for ref in ("whole@v1", "gaps@v1")
    }
    assert "samples" not in said["whole@v1"]
    assert len(said["gaps@v1"]["samples"]) == 16


def test_models_are_compared_on_the_samples_that_both_were_scored_on(world, monkeypatch):
    ours, theirs = (
        evaluate(world.registry, name, on="gaps@v1", resamples=20)
        for name in ("toy-net@v1", "other-net@v1")
    )
    kept_of = comparing.statistics_of

    def fewer(version, run, head):  # as if the other model read what five samples lack
        kept = kept_of(version, run, head)
        return kept if run == ours.run else kept.take(np.arange(len(kept) - 1, 4, -1))

    monkeypatch.setattr(comparing, "statistics_of", fewer)
    found = comparing.compare(
        world.registry, ours.model, theirs.model, on="gaps@v1", resamples=20, keep=False
    )
    assert found.samples == 11
    assert found.said[0] == "11 samples are compared, that both were scored on, of 16"

    def none(version, run, head):
        kept = kept_of(version, run, head)
        return kept.take(np.arange(8) + (8 if run == ours.run else 0))

    monkeypatch.setattr(comparing, "statistics_of", none)
    with pytest.raises(InvalidInputError, match="no sample in common"):
        comparing.compare(world.registry, ours.model, theirs.model, on="gaps@v1", resamples=20)
