"""A score is a row that says what it rests on, kept beside the version."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from registry.catalog.registry import Registry
from registry.errors import InvalidInputError, NotFoundError
from registry.lake import init
from registry.learn.loading.contract import of_version
from registry.learn.loading.plausible import ImplausibleValuesError
from registry.learn.scoring import metrics
from registry.learn.scoring.evaluating import evaluate
from registry.learn.scoring.keeping import find, scores_of, statistics_of


@pytest.fixture(scope="module")
def found(lab):
    return evaluate(lab.registry, "toy-net@v1", on="fields@v1", batch_size=5, resamples=100)


def test_every_figure_of_the_task_is_a_row_with_an_interval(lab, found):
    rows = {(row["metric"], row["class"]): row for row in found.rows.to_pylist()}
    assert {name for name, _ in rows} >= {"accuracy", "macro_f1", "recall", "ece", "brier"}
    accuracy = rows["accuracy", None]
    assert accuracy["count"] == found.samples == 24
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert rows["recall", "dark"]["count"] == 8
    assert all(name in metrics.METRICS for name, _ in rows)


def test_a_row_is_bound_to_all_that_it_rests_on(lab, found):
    row = found.rows.to_pylist()[0]
    card = lab.models[0].card
    assert row["model"] == "toy-net@v1"
    assert row["weights"] == card.weights_sha256
    assert row["content_id"] == lab.version.content_id
    assert row["split"] == "default"
    assert row["split_id"] == lab.version.data_id_of("splits/default")
    assert (row["subset"], row["seed"], row["smoke"]) == ("test", 0, False)
    said = json.loads(row["details"])
    assert [band["name"] for band in said["inputs"]["s2"]["bands"]] == ["B04", "B08"]
    assert said["inputs"]["s2"]["bands"][0]["mean"] is not None
    assert said["protocol"]["resize"] is None
    assert said["protocol"]["metrics"]["accuracy"] == 1
    assert said["protocol"]["interval"]["resamples"] == 100
    assert said["settings"] == {
        "batch_size": 5, "device": "cpu", "precision": "32", "threads": 1
    }  # fmt: skip
    assert said["code"]


def test_rows_and_statistics_are_kept_beside_the_version(lab, found):
    version = lab.registry.resolve("fields@v1")
    assert version.content_id == lab.version.content_id
    kept = scores_of(version)
    assert kept.filter(np.array(kept["run"].to_pylist()) == found.run).num_rows == len(found.rows)
    again = statistics_of(version, found.run, "classes")
    assert again.ids == found.kept["classes"].ids
    where, rows = find(lab.registry, found.run)
    assert where.content_id == version.content_id
    assert rows.num_rows == found.rows.num_rows


def test_the_same_evaluation_is_the_same_run_and_no_second_row(lab, found):
    before = scores_of(lab.registry.resolve("fields@v1")).num_rows
    again = evaluate(lab.registry, "toy-net@v1", on="fields@v1", batch_size=5, resamples=100)
    assert again.run == found.run
    assert scores_of(lab.registry.resolve("fields@v1")).num_rows == before
    assert again.rows["value"].equals(found.rows["value"])
    assert again.rows["low"].equals(found.rows["low"])


@pytest.mark.parametrize(
    "change", [{"split": "validate"}, {"crop": (8, 8)}, {"resamples": 50}, {"seed": 1}]
)
def test_another_protocol_is_another_row(lab, found, change):
    said = {"on": "fields@v1", "batch_size": 5, "resamples": 100, "keep": False} | change
    other = evaluate(lab.registry, "toy-net@v1", **said)
    assert other.run != found.run
    assert other.rows["protocol"][0] != found.rows["protocol"][0]


def test_how_the_network_ran_is_another_run_of_the_same_protocol(lab, found):
    other = evaluate(
        lab.registry, "toy-net@v1", on="fields@v1", batch_size=3, resamples=100, keep=False
    )
    assert other.run != found.run
    assert other.rows["protocol"][0] == found.rows["protocol"][0]


def test_figures_are_given_for_strata(lab):
    found = evaluate(
        lab.registry, "toy-net@v1", on="fields@v1", by=["season", "eo:cloud_cover", "group"],
        resamples=20, keep=False,
    )  # fmt: skip
    strata = {row["stratum"]: row for row in found.rows.to_pylist() if row["metric"] == "accuracy"}
    clouds = [row["count"] for name, row in strata.items() if name and name.startswith("eo:cloud")]
    assert clouds == [6, 6, 6, 6]
    assert "season=summer" in strata
    event = strata["group=event-7"]
    assert (event["count"], event["low"]) == (4, None)  # one group has no interval


def test_what_scores_cannot_be_divided_by_is_said(lab):
    with pytest.raises(InvalidInputError, match="'colour'") as said:
        evaluate(lab.registry, "toy-net@v1", on="fields@v1", by=["colour"], keep=False)
    assert "country" in said.value.hint


def test_masks_and_quantities_are_scored_together(lab, made):
    model = made(lab.registry, lab.version, "many-net", heads=("classes", "cover", "yield"))
    found = evaluate(lab.registry, model, on="fields@v1", resamples=20, keep=False)
    assert set(found.kept) == {"classes", "cover", "yield"}
    table = metrics.confusion(found.kept["cover"])
    assert table.sum() == 24 * (16 * 16 - 3)  # pixels that nobody knows count nowhere
    assert table.sum(1)[1] == 12 * 64
    assert found.value("rmse", head="yield") > 0
    assert 0 <= found.value("miou", head="cover") <= 1
    assert len(set(found.rows["protocol"].to_pylist())) == 3


def test_a_smoke_model_holds_no_score(lab, made):
    model = made(lab.registry, lab.version, "smoke-net", smoke=True)
    found = evaluate(lab.registry, model, on="fields@v1", resamples=20)
    assert found.smoke
    assert set(found.rows["value"].to_pylist()) == {None}
    assert set(found.rows["smoke"].to_pylist()) == {True}
    with pytest.raises(NotFoundError, match="no statistics"):
        statistics_of(lab.registry.resolve("fields@v1"), found.run, "classes")


def test_a_class_that_the_model_does_not_know_counts_against_it(lab, made):
    from registry.learn.models.architecture import Head, HeadTask

    two = Head(name="classes", task=HeadTask.CLASSIFICATION, classes=("bright", "dark"))
    from registry.learn.scoring.judging import Judge

    judge = Judge(head=two, classes=("bright", "dark", "grey"), labels=("dark", "grey", "bright"))
    from registry.learn.loading.batch import Batch

    batch = Batch(ids=("a", "b", "c"), arrays={}, label=np.array([0, 1, -1]))
    kept = judge.kept(batch, np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]))
    assert kept.ids == ("a", "b")
    assert metrics.figures(kept)["accuracy", None][0] == 0.5
    assert metrics.figures(kept)["recall", "grey"][0] == 0


def test_a_head_of_one_class_tells_it_from_the_other_and_from_no_third(lab):
    from registry.learn.loading.batch import Batch
    from registry.learn.models.architecture import Head, HeadTask
    from registry.learn.scoring.judging import Judge

    one = Head(name="wet", task=HeadTask.CLASSIFICATION, classes=("water",))
    batch = Batch(ids=("a", "b"), arrays={}, label=np.array([0, 1]))  # land, water
    said = np.array([[0.2], [0.9]])
    judge = Judge(head=one, classes=("water", "land"), labels=("land", "water"))
    assert metrics.figures(judge.kept(batch, said))["accuracy", None][0] == 1
    for classes in (("water",), ("water", "land", "ice")):
        with pytest.raises(InvalidInputError, match="tells 'water' from everything else"):
            Judge(head=one, classes=classes, labels=classes).kept(batch, said)


def test_pretraining_has_no_score(lab, made, monkeypatch):
    from registry.learn.models.architecture import Head, HeadTask
    from registry.learn.scoring.judging import judges_of

    head = Head(name="reconstruction", task=HeadTask.RECONSTRUCTION)
    with pytest.raises(InvalidInputError, match="reconstruction has no score"):
        judges_of(lab.version, [head], labels=())


def test_nothing_is_kept_beside_a_draft(lab):
    with lab.registry.draft("fields").edit("a note") as root:
        (root / "notes.txt").write_text("not published yet")
    said = {"on": "fields@draft", "resamples": 20}
    with pytest.raises(InvalidInputError, match="not a published version"):
        evaluate(lab.registry, "toy-net@v1", **said)
    found = evaluate(lab.registry, "toy-net@v1", keep=False, **said)
    assert found.value("accuracy") is not None


def test_main_stands_for_the_version_that_it_is(lab, found):
    said = {"on": "fields@main", "batch_size": 5, "resamples": 100}
    again = evaluate(lab.registry, "toy-net@v1", **said)
    assert (again.ref, again.run) == ("fields@v1", found.run)


DIVIDED = {"stored": lambda one: (one / 10_000).astype(np.float32)}
DARK = {"stored": lambda one: (one // 60).astype(np.float32) + np.float32(0.5)}
CONSTANT = {"stored": np.zeros_like}


@pytest.fixture
def unsaid(tmp_path, published):
    """Return what publishes chips of which nobody said the unit."""
    registry = Registry(lake=init(str(tmp_path / "lake")))

    def publish(name, **said):
        return published(registry, name, numbers=range(24), numbers_are=(None, None), **said)

    return SimpleNamespace(registry=registry, publish=publish)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("stored", [({}, DIVIDED), (DIVIDED, {})], ids=["divided", "whole"])
def test_values_of_another_order_are_not_scored(unsaid, made, stored, known):
    learned = unsaid.publish("learned", **stored[0])
    other = unsaid.publish("other", **stored[1])
    made(unsaid.registry, learned)
    if known:  # else the first batch tells
        of_version(other, registry=unsaid.registry)
    with pytest.raises(ImplausibleValuesError, match="of other is about") as caught:
        evaluate(unsaid.registry, "toy-net@v1", on="other@v1", split=None, resamples=10)
    assert "eolab card other --set 'assets.s2={unit: " in caught.value.hint
    assert scores_of(unsaid.registry.resolve("other@v1")).num_rows == 0


@pytest.mark.parametrize("stored", [DARK, CONSTANT], ids=["dark", "constant"])
def test_dark_and_constant_scenes_are_scored(unsaid, made, stored):
    learned = unsaid.publish("learned")
    unsaid.publish("other", **stored)
    made(unsaid.registry, learned)
    found = evaluate(unsaid.registry, "toy-net@v1", on="other@v1", split=None, resamples=10)
    assert found.samples == 24
