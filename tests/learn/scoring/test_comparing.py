"""Scores again, beside each other, and on boards: from what was kept alone."""

import json

import numpy as np
import pyarrow as pa
import pytest

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.models import shelf
from registry.learn.scoring.comparing import compare
from registry.learn.scoring.evaluating import evaluate
from registry.learn.scoring.keeping import scores_of
from registry.learn.scoring.leading import leaderboard
from registry.learn.scoring.replaying import compared, replay


@pytest.fixture(scope="module")
def scored(lab, made):
    """Three seeds of one model, one of another, all on the test samples."""
    made(lab.registry, lab.version, "other-net", seed=7)
    return [
        evaluate(lab.registry, one, on="fields@v1", resamples=100)
        for one in ("toy-net@v1", "toy-net@v2", "toy-net@v3", "other-net@v1")
    ]


def test_a_score_measured_again_agrees_to_the_last_bit(lab, scored):
    again = replay(lab.registry, scored[0].run)
    assert again.same
    assert again.figures == scored[0].rows.num_rows
    assert again.model == "toy-net@v1"
    figure = scored[0].rows["id"][3].as_py()
    assert replay(lab.registry, figure).run == scored[0].run


def test_strata_and_settings_are_measured_again_too(lab):
    found = evaluate(
        lab.registry, "toy-net@v2", on="fields@v1", by=["season"], crop=(8, 8), batch_size=7,
        resamples=30, seed=4,
    )  # fmt: skip
    again = replay(lab.registry, found.run)
    assert again.same
    assert again.figures == found.rows.num_rows


def test_a_figure_that_differs_in_its_last_bit_is_named(scored):
    rows = scored[0].rows
    values = rows["value"].to_pylist()
    place = next(i for i, one in enumerate(rows["metric"].to_pylist()) if one == "brier")
    values[place] = float(np.nextafter(values[place], 2))
    changed = rows.set_column(
        rows.column_names.index("value"), "value", pa.array(values, pa.float64())
    )
    again = compared("fields@v1", rows, changed)
    assert not again.same
    (row,) = again.differing.to_pylist()
    assert (row["metric"], row["number"]) == ("brier", "value")
    assert row["kept"] != row["again"]


def test_there_is_nothing_to_measure_again_of_a_run_that_never_was(lab):
    with pytest.raises(NotFoundError, match="no evaluation '0123'"):
        replay(lab.registry, "0123")


def test_two_models_are_compared_without_asking_them_again(lab, scored, monkeypatch):
    import registry.learn.scoring.comparing as module

    monkeypatch.setattr(module, "evaluate", lambda *_, **__: pytest.fail("asked again"))
    found = compare(lab.registry, "toy-net@v1", "other-net@v1", on="fields@v1", resamples=100)
    assert (found.samples, found.groups) == (24, 6)
    rows = {(row["metric"], row["class"]): row for row in found.rows.to_pylist()}
    accuracy = rows["accuracy", None]
    assert accuracy["difference"] == pytest.approx(accuracy["ours"] - accuracy["theirs"])
    assert accuracy["low"] <= accuracy["difference"] <= accuracy["high"]
    assert accuracy["ours"] == scored[0].value("accuracy")
    assert any("toy-net@v1 has 1 seed:" in one for one in found.said)


def test_versions_of_one_model_are_told_apart_in_what_is_said(lab, scored):
    found = compare(lab.registry, "toy-net@v1", "toy-net@v2", on="fields@v1", resamples=20)
    seeds = [one.partition(" has 1 seed:")[0] for one in found.said if "has 1 seed:" in one]
    assert seeds == ["toy-net@v1", "toy-net@v2"]


def test_what_stands_on_both_sides_is_said(lab, scored):
    found = compare(lab.registry, "toy-net", "toy-net@v2", on="fields@v1", resamples=20)
    assert any(one.startswith("toy-net@v2 on both sides") for one in found.said)


@pytest.mark.parametrize("name", ["toy-net@v1", "toy-net", "floor:majority"])
def test_a_model_is_not_compared_with_itself(lab, name):
    with pytest.raises(InvalidInputError, match="does not differ from itself"):
        compare(lab.registry, name, name, on="fields@v1")


def test_a_name_alone_stands_for_all_its_seeds(lab, scored):
    found = compare(lab.registry, "toy-net", "other-net", on="fields@v1", resamples=100)
    assert found.ours == ("toy-net@v1", "toy-net@v2", "toy-net@v3")
    (accuracy,) = [row for row in found.rows.to_pylist() if row["metric"] == "accuracy"]
    mean = np.mean([one.value("accuracy") for one in scored[:3]])
    assert accuracy["ours"] == pytest.approx(mean)
    assert "toy-net stands for v1, v2, v3, the newest of each seed" in found.said
    assert not any("toy-net has" in one for one in found.said)
    assert "6 groups: intervals are too narrow, and p is too small" in found.said


def test_a_model_that_was_not_scored_is_scored_first(lab, made):
    made(lab.registry, lab.version, "late-net", seed=3)
    compare(lab.registry, "late-net@v1", "toy-net@v1", on="fields@v1", resamples=100)
    kept = scores_of(lab.registry.resolve("fields@v1"))
    assert "late-net@v1" in kept["model"].to_pylist()


def test_models_for_different_tasks_are_not_compared(lab, scored, made):
    made(lab.registry, lab.version, "cover-net", heads=("cover",))
    with pytest.raises(InvalidInputError, match="nothing of one name and task"):
        compare(lab.registry, "cover-net@v1", "toy-net@v1", on="fields@v1", resamples=10)


def test_a_class_that_says_nothing_to_one_model_makes_another_protocol(lab, made):
    refs = []
    for name, ignore in (("all-net", -1), ("water-net", 0)):
        recipe = {"name": name, "heads": [{"name": "cover", "ignore": ignore}]}
        refs.append(made(lab.registry, lab.version, name, heads=("cover",), recipe=recipe).ref)
    one, other = (
        evaluate(lab.registry, ref, on="fields@v1", resamples=20).rows["protocol"][0]
        for ref in refs
    )
    assert one != other
    with pytest.raises(InvalidInputError, match="not all of all-net@v1, water-net@v1 are scored"):
        compare(lab.registry, *refs, on="fields@v1", resamples=20)


def test_a_board_has_one_protocol_and_says_seeds_and_intervals(lab, scored):
    evaluate(lab.registry, "toy-net@v1", on="fields@v1", split="validate", resamples=100)
    boards = leaderboard(lab.registry, "fields")
    assert len({one.protocol for one in boards}) == len(boards)
    (board,) = [
        one for one in boards
        if one.task == "classification" and one.subset == "test" and "100 draws" in one.said
        and "whole" in one.said
    ]  # fmt: skip
    entries = {one.name: one for one in board.entries}
    toy = entries["toy-net"]
    assert (toy.seeds, toy.enough, toy.rank) == (3, True, 1)
    accuracy = toy.scores[0]
    assert accuracy.metric == board.metric == "accuracy"
    assert accuracy.low < accuracy.value < accuracy.high
    values = [one.value("accuracy") for one in scored[:3]]
    assert accuracy.value == pytest.approx(np.mean(values))
    assert toy.bands == "s2 B04 B08"
    other = entries["other-net"]
    assert (other.seeds, other.enough, other.rank) == (1, False, None)
    assert board.entries[0].name == "toy-net"


def test_a_smoke_model_is_on_no_board(lab, scored, made):
    evaluate(
        lab.registry, made(lab.registry, lab.version, "smoke-net", smoke=True), on="fields@v1",
        resamples=100,
    )  # fmt: skip
    names = {entry.name for board in leaderboard(lab.registry, "fields") for entry in board.entries}
    assert "smoke-net" not in names
    with pytest.raises(InvalidInputError, match="only shows that everything runs"):
        compare(lab.registry, "smoke-net@v1", "toy-net@v1", on="fields@v1", resamples=100)


def test_a_dataset_that_nothing_was_scored_on_says_what_to_do(tmp_path, published):
    from registry.catalog.registry import Registry
    from registry.lake import init

    registry = Registry(lake=init(str(tmp_path / "lake")))
    published(registry, numbers=range(4))
    with pytest.raises(NotFoundError) as said:
        leaderboard(registry, "fields")
    assert "eolab floor fields" in said.value.hint


def test_details_say_nothing_of_this_machine(scored, tmp_path_factory):
    said = json.dumps([json.loads(one) for one in scored[0].rows["details"].to_pylist()])
    assert str(tmp_path_factory.getbasetemp()) not in said
    assert shelf.CARD not in said
