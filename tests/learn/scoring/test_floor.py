"""What a dataset takes no skill to score is computed, kept, and the same again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from registry.catalog.registry import Registry
from registry.errors import InvalidInputError
from registry.lake import init
from registry.learn.floor import floor, lesson, replay
from registry.learn.floor.constant import constant
from registry.learn.floor.probing import probe_of
from registry.learn.loading.pixel_labels import PixelLabels
from registry.learn.scoring.comparing import compare
from registry.learn.scoring.keeping import scores_of
from registry.learn.scoring.leading import leaderboard


@pytest.fixture(scope="module")
def world(tmp_path_factory, published):
    import torch

    torch.set_num_threads(1)
    registry = Registry(lake=init(str(tmp_path_factory.mktemp("floor") / "lake")))
    published(registry)
    found = floor(registry, "fields@v1", features="bands", seeds=2, epochs=2, resamples=100)
    return SimpleNamespace(registry=registry, floor=found)


def test_a_floor_has_a_majority_a_probe_a_network_and_a_curve(world):
    parts = {one.name: one for one in world.floor.parts}
    assert set(parts) == {"floor:majority", "floor:probe", "floor:small"}
    assert parts["floor:majority"].value == 1 / 3
    assert parts["floor:probe"].value > 0.9  # brightness tells the classes apart
    assert parts["floor:small"].seeds == 2
    for one in parts.values():
        assert one.low <= one.value <= one.high
    shares = [one.share for one in world.floor.points]
    assert shares == [0.05, 0.1, 0.25, 0.5, 1.0]
    assert world.floor.points[-1].value == parts["floor:probe"].value
    assert world.floor.points[-1].rows == 20


def test_a_floor_is_drawn(world, tmp_path):
    from PIL import Image

    (tmp_path / "curve.png").write_bytes(world.floor.picture())
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 400
    assert "floor:majority" in world.floor.to_text()
    assert "100%" in world.floor.to_text()


def test_floors_are_scores_as_others_are(world):
    board = next(one for one in leaderboard(world.registry, "fields") if one.subset == "test")
    entries = {one.name: one for one in board.entries}
    assert set(entries) == {"floor:majority", "floor:probe", "floor:small"}
    assert entries["floor:probe"].rank == 1
    assert entries["floor:small"].rank is None  # two seeds are too few
    assert entries["floor:small"].bands == "s2 B04 B08"
    kept = scores_of(world.registry.resolve("fields@v1"))
    assert "floor:curve:10%" in kept["model"].to_pylist()
    found = compare(world.registry, "floor:probe", "floor:majority", on="fields@v1", resamples=100)
    (accuracy,) = [row for row in found.rows.to_pylist() if row["metric"] == "accuracy"]
    assert accuracy["low"] > 0


def test_a_floor_comes_in_one_commit(world):
    version = world.registry.resolve("fields@v1")
    messages = [one.message for one in version.repository.log("derived/v1")]
    assert len([one for one in messages if one.startswith("scores of")]) == 1


@pytest.mark.parametrize(
    "name", ["floor:majority", "floor:probe", "floor:small", "floor:curve:10%"]
)
def test_a_floor_learned_again_agrees_to_the_last_bit(world, name):
    kept = scores_of(world.registry.resolve("fields@v1")).to_pylist()
    run = [row["run"] for row in kept if row["model"] == name][-1]
    again = replay(world.registry, run)
    assert again.same
    assert again.model == name


def test_pixels_have_a_floor_too(world, published):
    registry = world.registry
    published(registry, "covers", task="segmentation")
    found = floor(registry, "covers@v1", only=["majority", "probe"], keep=False, resamples=50)
    majority, probe = found.parts
    assert majority.value == pytest.approx(0.5 * (1 - 32 / 253), abs=0.02)
    assert probe.value > majority.value + 0.1  # water is dark in one band
    assert found.task == "segmentation"


def test_pixels_of_chips_of_mixed_sizes_have_a_floor_too(world, published):
    published(
        world.registry, "sizes", task="segmentation", side_of=lambda number: (16, 20)[number % 2]
    )

    found = floor(world.registry, "sizes@v1", only=["majority", "probe"], keep=False, resamples=20)

    majority, probe = found.parts
    assert majority.value == pytest.approx(0.5 * (1 - 32 / (0.5 * (253 + 397))), abs=0.02)
    assert probe.value > majority.value + 0.1


def test_pixels_have_a_floor_where_all_chips_of_one_size_lack_their_mask(world, published):
    published(
        world.registry, "unmasked", task="segmentation",
        side_of=lambda number: (16, 24, 9)[number % 3],
        lacks=lambda number, name: name == "mask" and number % 3 == 2,
    )  # fmt: skip

    found = floor(
        world.registry, "unmasked@v1", only=["majority", "probe"], keep=False, resamples=20
    )

    majority, probe = found.parts
    assert majority.value == pytest.approx(0.5 * (1 - 32 / (0.5 * (253 + 573))))
    assert probe.value > majority.value + 0.1


def test_a_floor_learns_nothing_from_masks_that_are_not_there(world, published):
    version = published(
        world.registry, "gaps", task="segmentation",
        lacks=lambda number, name: name == "mask" and number < 7,
    )  # fmt: skip
    found = lesson.lesson_of(
        world.registry, version, split="test", splits=None, resamples=20, seed=0
    )

    answer = constant(found)(next(found.batches(found.test)))["segmentation"]
    probe = probe_of(found)

    known, water = 13 * (16 * 16 - 3), 7 * 64  # of the twenty that train thirteen have a mask
    assert answer[0, :, 0, 0] == pytest.approx([1 - water / known, water / known])
    assert np.bincount(probe.truth).tolist() == [known - water, water]


def test_the_mean_is_of_quantities_that_are_there(world, published, monkeypatch):
    version = published(
        world.registry, "heights", task="segmentation",
        lacks=lambda number, name: name == "mask" and number < 7,
    )  # fmt: skip
    heights = PixelLabels(asset="mask", quantity=True, unit="m", offset=10.0, nodata={255.0})
    monkeypatch.setattr(lesson, "pixel_labels", lambda _: {"mask": heights})
    found = lesson.lesson_of(
        world.registry, version, split="test", splits=None, resamples=20, seed=0
    )

    answer = constant(found)(next(found.batches(found.test)))

    assert answer["pixel-regression"].flat[0] == pytest.approx(10 + 7 * 64 / (13 * 253))


def test_a_floor_neither_learns_from_nor_answers_for_samples_without_images(world, published):
    version = published(
        world.registry, "unseen", task="segmentation",
        side_of=lambda number: (16, 24, 9)[number % 3],
        lacks=lambda number, name: name == "s2" and (number % 3 == 2 or number < 6),
    )  # fmt: skip
    found = lesson.lesson_of(
        world.registry, version, split="test", splits=None, resamples=20, seed=0
    )

    probe = probe_of(found)
    answers = [found.scored(constant(found))]
    answers.append(found.scored(probe.learned(), assets=probe.assets()))

    seen = [number for number in range(6, 20) if number % 3 != 2]
    assert len(probe.train) == sum((16, 24)[number % 3] ** 2 - 3 for number in seen)
    assert (probe.train > 0).all()
    assert [len(kept.ids) for kept in answers] == [16, 16]
    (said,) = found.test.left_out
    assert said.startswith("8 samples of test of splits/default in unseen@v1 have none of s2 and")


def test_quantities_have_a_floor_too(world, published):
    published(world.registry, "yields", task="regression")
    found = floor(
        world.registry, "yields@v1", only=["majority", "probe"], features="bands", keep=False,
        resamples=50,
    )  # fmt: skip
    majority, probe = found.parts
    assert majority.value == pytest.approx(np.sqrt(2 / 3), abs=0.05)
    assert probe.value < majority.value / 2


def test_a_floor_that_there_is_none_of_is_refused(world):
    with pytest.raises(InvalidInputError, match="'magic'"):
        floor(world.registry, "fields@v1", only=["magic"])


def test_samples_are_cut_where_a_crop_is_said_and_again_when_it_is_replayed(world, published):
    published(world.registry, "cut", numbers=range(32), task="segmentation")
    found = floor(
        world.registry, "cut@v1", only=["majority", "small"], seeds=1, epochs=1, crop=(8, 8),
        resamples=20,
    )  # fmt: skip
    rows = found.rows.to_pylist()
    assert {one["model"] for one in rows} == {"floor:majority", "floor:small"}
    assert {tuple(json.loads(one["details"])["protocol"]["crop"]) for one in rows} == {(8, 8)}
    assert replay(world.registry, rows[0]["run"]).same


def test_a_class_that_lies_outside_of_the_crop_is_counted(world, published, monkeypatch):
    version = published(world.registry, "rims", numbers=range(26), task="segmentation")
    rim = PixelLabels(asset="mask", values={0: 0, 1: 1, 255: 2})  # 255 lies in a corner
    monkeypatch.setattr(lesson, "pixel_labels", lambda _: {"mask": rim})
    found = lesson.lesson_of(
        world.registry, version, split="test", splits=None, crop=(8, 8), resamples=20, seed=0
    )
    assert found.head.classes == ("0", "1", "2")


def test_objects_without_a_task_lead_to_the_task(monkeypatch):
    monkeypatch.setattr(lesson, "kinds_of", lambda *_: ("mask",))
    monkeypatch.setattr(lesson, "exam_of", lambda *_, **__: None)
    monkeypatch.setattr(lesson, "pixel_labels", lambda _: {})
    said = {"split": "test", "splits": None, "resamples": 20, "seed": 0}
    boxed = SimpleNamespace(ref="ships@v1", dataset="ships", count=lambda _: 7)
    with pytest.raises(InvalidInputError, match="has objects") as caught:
        lesson.lesson_of(None, boxed, **said)
    assert "eolab card ships --set task=detection" in caught.value.hint
    bare = SimpleNamespace(ref="ships@v1", dataset="ships", count=lambda _: 0)
    with pytest.raises(InvalidInputError, match="no asset of labels"):
        lesson.lesson_of(None, bare, **said)


def test_with_permuted_labels_a_network_scores_at_chance(world):
    """The whole way, from recipe to score: what cannot be learned is not learned."""
    from registry.learn.floor.lesson import lesson_of
    from registry.learn.floor.small import recipe_of
    from registry.learn.scoring.evaluating import evaluate
    from registry.learn.training import train

    registry = world.registry
    learnt = lesson_of(
        registry, registry.resolve("fields@v1"), split="test", splits=None, resamples=50, seed=0
    )
    recipe = recipe_of(learnt, epochs=6)

    def score(seed, *, permuted):
        model = train(
            registry, recipe, seed=seed, name="permuted" if permuted else "learned",
            overrides={"data.permute_labels": permuted},
        )  # fmt: skip
        return evaluate(registry, model, on="fields@v1", resamples=20, keep=False).value(
            "balanced_accuracy"
        )

    assert score(1, permuted=False) > 0.9
    # Three kinds of chips and twenty labels: one run alone may be lucky.
    assert np.mean([score(seed, permuted=True) for seed in range(5)]) == pytest.approx(
        1 / 3, abs=0.2
    )
