"""Samples whose chips differ in size are scored whole, each as if it came alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from registry.catalog.registry import Registry
from registry.errors import NotFoundError
from registry.lake import init
from registry.learn.floor import floor
from registry.learn.inference.tested import confusion_on
from registry.learn.models import shelf
from registry.learn.scoring.comparing import compare
from registry.learn.scoring.evaluating import evaluate, exam_of
from registry.learn.scoring.protocol import Exam
from registry.learn.scoring.replaying import replay
from registry.learn.scoring.sizes import by_size, streams_of

SIDES = (16, 24, 9)
HEADS = ("cover", "classes")


@pytest.fixture(scope="module")
def world(tmp_path_factory, published, made):
    """A version of chips of one size, and one of which every second one has another size."""
    registry = Registry(lake=init(str(tmp_path_factory.mktemp("sizes") / "lake")))
    alike = published(registry, "alike")
    mixed = published(registry, "mixed", side_of=lambda number: SIDES[number % 3])
    made(registry, alike, heads=HEADS)
    return SimpleNamespace(registry=registry, alike=alike, mixed=mixed)


def _evaluated(world, ref, **said):
    return evaluate(world.registry, "toy-net@v1", on=ref, resamples=20, keep=False, **said)


def _counts(kept):
    """Return the confusion matrix of each sample, by its id."""
    return dict(zip(kept.ids, kept.columns["confusion"], strict=True))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_chips_of_mixed_sizes_are_scored_whole(world, batch_size):
    found = _evaluated(world, "mixed@v1", batch_size=batch_size)

    alike = _counts(_evaluated(world, "alike@v1").kept["cover"])
    counts = _counts(found.kept["cover"])
    assert found.samples == len(counts) == 24
    for name, matrix in counts.items():
        number = int(name.removeprefix("chip-"))
        side = SIDES[number % 3]
        assert matrix.sum() == side * side - 3  # of three pixels nobody knows
        if side == 16:  # the same chip as in the other version
            assert np.array_equal(matrix, alike[name])
    assert set(found.kept["classes"].ids) == set(counts)


def test_chips_of_one_size_are_given_by_one_stream(world):
    exam = exam_of(world.registry, world.alike)

    assert len([*_streams(world, exam)]) == 1


def test_samples_of_one_size_come_together_each_once(world):
    exam = exam_of(world.registry, world.mixed)

    sizes = []
    ids = []
    for one in _streams(world, exam):
        sizes.append({batch.arrays["s2"].shape[-1] for batch in one})
        ids += [name for batch in one for name in batch.ids]

    assert sorted(map(tuple, sizes)) == [(9,), (16,), (24,)]
    assert sorted(ids) == sorted(exam.ids)


def test_a_sample_without_an_asset_is_with_those_that_it_fits_to(world):
    version = world.mixed
    ids = [f"chip-{number:03}" for number in range(6)]

    groups = by_size(version, [*ids, "chip-of-nobody"], ["s2", "mask"])

    assert groups[(16, 16), (16, 16)] == ("chip-000", "chip-003", "chip-of-nobody")
    assert [*by_size(version, ids, ["s2", "other"])] == [
        ((16, 16), None), ((24, 24), None), ((9, 9), None)
    ]  # fmt: skip


def test_a_crop_stays_a_crop_of_all(world):
    found = _evaluated(world, "mixed@v1", crop=(8, 8))

    sums = {name: matrix.sum() for name, matrix in _counts(found.kept["cover"]).items()}
    assert len(sums) == 24
    assert {sums["chip-024"], sums["chip-025"]} == {64}
    assert sums["chip-026"] == 61  # of 9 pixels a side, so three that nobody knows are in it


@pytest.fixture(scope="module")
def cut(world, made):
    """A model and a floor of the mixed version, both kept at one crop."""
    made(world.registry, world.mixed, name="cut-net", heads=("classification",))
    return evaluate(world.registry, "cut-net@v1", on="mixed@v1", crop=(8, 8), resamples=20)


def _floor(world, crop=None):
    return floor(world.registry, "mixed@v1", only=["majority"], crop=crop, resamples=20)


def _compared(world, **said):
    return compare(
        world.registry, "cut-net@v1", "floor:majority", on="mixed@v1", resamples=20, **said
    )


def test_scores_at_one_crop_are_compared_as_they_are_kept(world, cut):
    _floor(world, crop=(8, 8))

    found = _compared(world, crop=(8, 8))

    assert found.samples == 24
    assert "samples are cut to 8 by 8 pixels" in found.said
    assert found.rows.num_rows


def test_a_floor_that_is_kept_at_a_crop_leads_to_it(world, cut):
    _floor(world, crop=(8, 8))

    with pytest.raises(NotFoundError, match="no 'floor:majority' on test, whole") as caught:
        _compared(world)

    assert caught.value.hint == (
        "compare with --crop 8, as it is kept; or compute it: eolab floor mixed@v1"
    )


def test_a_floor_that_is_kept_at_no_crop_is_computed_at_the_one_asked_for(world, cut):
    with pytest.raises(NotFoundError, match="cut to 6 by 6 pixels") as caught:
        _compared(world, crop=(6, 6))

    assert caught.value.hint.endswith("compute it: eolab floor mixed@v1 --crop 6")


def test_whole_chips_of_mixed_sizes_are_compared_and_measured_again(world, made):
    one, other = (
        made(world.registry, world.mixed, name=name, seed=seed, heads=("cover",)).ref
        for seed, name in enumerate(("one-net", "two-net"))
    )

    found = compare(world.registry, one, other, on="mixed@v1", resamples=20)
    again = replay(world.registry, evaluate(world.registry, one, on="mixed@v1", resamples=20).run)

    assert found.samples == 24
    assert again.same


def test_whole_chips_of_mixed_sizes_tell_the_errors_of_a_map(world):
    model = shelf.resolve(world.registry, "toy-net@v1")

    confusion, samples = confusion_on(world.registry, model, model.card.heads[0], "mixed@v1")

    assert samples == 24
    assert confusion.sum() == sum(SIDES[number % 3] ** 2 - 3 for number in range(24))


def _streams(world, exam: Exam):
    return streams_of(world.registry, exam, assets=("s2", "mask"), labels=("mask",), batch_size=4)
