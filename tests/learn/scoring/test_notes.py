"""What is recorded later shows on every score and model that rests on it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest

from registry.catalog.beside import beside
from registry.catalog.registry import Registry
from registry.cli.app import run
from registry.curate.splits.leaking import leaks
from registry.lake import init
from registry.learn.models import shelf
from registry.learn.models.card import Learned, Lineage
from registry.learn.scoring.comparing import compare
from registry.learn.scoring.evaluating import evaluate, exam_of
from registry.learn.scoring.keeping import keep
from registry.learn.scoring.leading import leaderboard
from registry.learn.scoring.notes import of_model, seen_before
from registry.query.slices import slice as cut
from registry.tables import store
from registry.tables.schemas import splits_schema


@pytest.fixture(scope="module")
def world(tmp_path_factory, published, made):
    """A dataset, one whose samples are the same under another name, and one that is apart."""
    registry = Registry(lake=init(str(tmp_path_factory.mktemp("notes") / "lake")))
    version = published(registry)
    published(registry, "copies", range(30, 48))
    published(registry, "apart", range(100, 108))
    for seed in range(3):
        made(registry, version, seed=seed)
    return SimpleNamespace(registry=registry, version=version, made=made)


def _board(registry):
    return next(one for one in leaderboard(registry, "fields") if one.subset == "test")


def _kinds(notes):
    return {(note.severity, note.kind) for note in notes}


def test_a_model_that_learned_from_the_test_samples_elsewhere_is_noted(world):
    lineage = Lineage(
        dataset="copies@v1", content_id=world.registry.resolve("copies@v1").content_id,
        commit="0" * 40, split=None,
    )  # fmt: skip
    model = world.made(world.registry, world.version, "knows-it", lineage=lineage)
    found = evaluate(world.registry, model, on="fields@v1", resamples=20)
    (note,) = [one for one in found.notes if one.kind == "seen"]
    assert note.severity == "error"
    assert "18 of 24 scored samples" in note.message
    (entry,) = [one for one in _board(world.registry).entries if one.name == "knows-it"]
    assert ("error", "seen") in _kinds(entry.notes)
    assert entry.rank is None
    beside = compare(world.registry, "knows-it@v1", "toy-net@v1", on="fields@v1", resamples=20)
    (said,) = [one for one in beside.said if "scored samples" in one]
    assert said.startswith("knows-it@v1: error: 18 of 24 scored samples")


def test_a_version_used_for_pretraining_counts(world):
    def with_pretraining(name, *refs):
        first = world.made(world.registry, world.version, "plain-net").card.lineage
        said = {key: getattr(first, key) for key in first.__slots__} | {"pretrained_on": refs}
        model = world.made(world.registry, world.version, name, lineage=Lineage(**said))
        return evaluate(world.registry, model, on="fields@v1", resamples=20, keep=False).notes

    seen = with_pretraining("met-before", "copies@v1")
    assert any(
        "exactly the pixels of samples of pretraining copies@v1" in one.message for one in seen
    )
    assert not [one for one in with_pretraining("met-never", "apart@v1") if one.severity == "error"]
    gone, few = with_pretraining("met-whom", "nowhere@v1")
    assert few.message == "6 groups: intervals are too narrow"
    assert (gone.severity, gone.kind) == ("info", "unknown")


def _sliced(world, *numbers):
    listed = ", ".join(f"'chip-{one:03}'" for one in numbers)
    text = f'SELECT id FROM "fields@v1".samples WHERE id IN ({listed})'  # noqa: S608 — of this test
    return cut(world.registry, text).id


def _seen(world, subset="test", **lineage):
    version = world.version
    made = Lineage(**{
        "dataset": "fields@v1", "content_id": version.content_id, "commit": version.commit.id,
        "split": "default", **lineage,
    })  # fmt: skip
    return seen_before(world.registry, exam_of(world.registry, version, split=subset), made)


@pytest.mark.parametrize(
    ("met", "numbers", "seen"),
    [
        ({"subsets": "all"}, (), True),
        ({"subsets": "but-test", "split": "default"}, (), False),
        ({"subsets": "train", "split": "default"}, (), False),
        ({"subsets": "all"}, (0, 1, 21), False),
        ({"subsets": "all"}, (0, 1, 40), True),
        ({"subsets": "but-test", "split": "default"}, (0, 40), False),
    ],
)
def test_only_what_was_met_counts_of_a_version_used_for_pretraining(world, met, numbers, seen):
    one = Learned(ref="fields@v1", slice=_sliced(world, *numbers) if numbers else None, **met)

    as_parent = _seen(world, pretrained_on=("fields@v1",), learned_before=(one,))
    itself = _seen(world, split=None, learned=(one,))

    assert any(note.severity == "error" for note in as_parent) == seen
    assert any("exactly the pixels" in note.message for note in as_parent) == seen
    assert bool(itself) == seen


def test_what_a_parent_met_is_all_of_its_versions_where_its_card_does_not_say(world):
    assert "24 of 24" in _seen(world, pretrained_on=("fields@v1",))[0].message


def test_training_samples_that_a_slice_left_out_were_not_met(world):
    one = Learned(ref="fields@v1", subsets="train", split="default", slice=_sliced(world, 0, 1))

    (trained,) = _seen(world, subset="train", learned=(one,))
    (validated,) = _seen(world, subset="validate", learned=(one,))

    assert "2 of 20 scored" in trained.message
    assert "4 of 4 scored" in validated.message


@pytest.mark.parametrize("subsets", ["but-test", "train"])
def test_nobody_knows_what_was_met_by_a_split_that_is_another_now(world, subsets):
    one = Learned(ref="fields@v1", subsets=subsets, split="default", split_id="of-before")

    (itself,) = _seen(world, split=None, learned=(one,))
    (as_parent,) = _seen(world, pretrained_on=("fields@v1",), learned_before=(one,))

    for note in (itself, as_parent):
        assert (note.severity, note.kind) == ("info", "unknown")
        assert "its split 'default' is another one" in note.message


def test_scoring_on_the_training_samples_is_noted(world):
    found = evaluate(
        world.registry, "toy-net@v1", on="fields@v1", split="train", resamples=20, keep=False
    )
    assert "20 of 20 scored samples" in found.notes[0].message


def test_a_split_in_other_words_is_read_too(world):
    rows = world.version.table("splits/default").to_pylist()
    words = {"train": "Training", "validate": "val", "test": "Testing"}
    said = [row | {"subset": words[row["subset"]]} for row in rows]
    schema = splits_schema("theirs")
    beside(
        world.registry, world.version, "theirs",
        lambda root: store.append(root, schema, pa.Table.from_pylist(said, schema.arrow)),
    )  # fmt: skip
    first = world.made(world.registry, world.version, "plain-net").card.lineage
    lineage = replace(first, split="theirs", split_id=None)
    model = world.made(world.registry, world.version, "theirs-net", lineage=lineage)
    notes = [
        evaluate(world.registry, model, on="fields@v1", split=one, resamples=20, keep=False).notes
        for one in ("train", "test")
    ]
    assert [any(one.kind == "seen" for one in each) for each in notes] == [True, False]


def test_another_precision_is_another_entry_and_no_further_seed(world):
    registry = world.registry
    world.made(registry, world.version, "halved-net")
    for precision in ("32", "bf16"):
        evaluate(registry, "halved-net@v1", on="fields@v1", resamples=20, precision=precision)
    mine = [one for one in _board(registry).entries if one.name == "halved-net"]
    assert len(mine) == 2
    assert len({run for one in mine for run in one.runs}) == 2


def test_another_device_is_another_entry_and_is_not_compared_as_the_usual_one(world):
    registry = world.registry
    for name, seed in (("lent-net", 0), ("lent-net", 1), ("own-net", 0)):
        world.made(registry, world.version, name, seed=seed)
    for ref, device in (("lent-net@v1", "cuda:0"), ("lent-net@v2", "cpu")):
        found = evaluate(registry, ref, on="fields@v1", resamples=20, keep=False)
        rows = _on_device(found.rows, device)
        keep(registry, registry.resolve("fields@v1"), rows, {})
    mine = [one for one in _board(registry).entries if one.name == "lent-net"]
    assert sorted((one.way, one.models) for one in mine) == [
        ("", ("lent-net@v2",)), ("cuda", ("lent-net@v1",))
    ]  # fmt: skip
    compare(registry, "lent-net@v1", "own-net@v1", on="fields@v1", resamples=20)
    mine = [one for one in _board(registry).entries if one.name == "lent-net"]
    assert {one.way: len(one.models) for one in mine} == {"": 2, "cuda": 1}


def _on_device(rows, device):
    """Return kept rows as they would be, had the model answered on a device."""
    said = [json.loads(one) for one in rows["details"].to_pylist()]
    for one in said:
        one["settings"]["device"] = device
    columns = {
        "details": [json.dumps(one) for one in said],
        "run": [device + one for one in rows["run"].to_pylist()],
        "id": [device + one for one in rows["id"].to_pylist()],
    }
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), rows.field(name), pa.array(values))
    return rows


def test_a_leak_and_a_withdrawal_that_are_recorded_later_show_on_scores_and_models(
    world, monkeypatch, capsys
):
    registry = world.registry
    for one in ("toy-net@v1", "toy-net@v2", "toy-net@v3"):
        clean = evaluate(registry, one, on="fields@v1", resamples=20)
        assert _kinds(clean.notes) <= {("info", "few")}
    assert _kinds(_board(registry).notes) <= {("info", "few")}
    assert of_model(registry, shelf.resolve(registry, "toy-net@v1")) == ()

    found = leaks(registry, registry.resolve("fields@v1"))
    assert "leak-near" in found.counts  # chips lie side by side
    assert ("warning", "leak") in _kinds(_board(registry).notes)
    assert (
        "nearer to samples of validate than one sample is wide" in _board(registry).notes[0].message
    )
    model = shelf.resolve(registry, "toy-net@v1")
    assert ("warning", "leak") in _kinds(of_model(registry, model))
    again = evaluate(registry, "toy-net@v1", on="fields@v1", resamples=20, keep=False)
    assert ("warning", "leak") in _kinds(again.notes)

    registry.withdraw("fields@v1", "labels were shifted by a pixel")
    board = next(one for one in leaderboard(registry, "fields@v1") if one.subset == "test")
    assert ("error", "withdrawn") in _kinds(board.notes)
    assert any("shifted by a pixel" in one.message for one in board.notes)
    (entry,) = [one for one in board.entries if one.name == "toy-net"]
    assert ("error", "withdrawn") in _kinds(entry.notes)  # it learned from it
    shelf.withdraw(registry, "toy-net@v1", "trained with the wrong bands")
    monkeypatch.setenv("EOLAB_LAKE", registry.lake.address)
    assert run(["models", "show", "toy-net@v1"]) == 0
    shown = capsys.readouterr().out
    assert "notes         error: toy-net@v1 was withdrawn: trained with the wrong bands" in shown
    assert "error: learned from: fields@v1 was withdrawn: labels were shifted by a pixel" in shown
    assert "warning: learned from: split default leaks" in shown
    assert any(
        "wrong bands" in one.message
        for one in of_model(registry, shelf.resolve(registry, "toy-net@v1"))
    )


def test_what_is_purged_is_gone_from_what_scores_follow_from_too(tmp_path, published, made):
    from registry.catalog.forgetting.purging import Wanted
    from registry.learn.scoring.keeping import statistics_of
    from registry.learn.scoring.replaying import replay

    registry = Registry(lake=init(str(tmp_path / "lake")))
    made(registry, published(registry))
    found = evaluate(registry, "toy-net@v1", on="fields@v1", resamples=20)
    registry.purge("fields", Wanted(samples=("chip-040",)), reason="asked for by its owner")

    left = statistics_of(registry.resolve("fields@v1"), found.run, "classes")
    assert "chip-040" in found.kept["classes"].ids
    assert set(left.ids) == set(found.kept["classes"].ids) - {"chip-040"}
    board = _board(registry)
    assert ("error", "purged") in _kinds(board.notes)
    assert any("asked for by its owner" in one.message for one in board.notes)
    again = replay(registry, found.run)
    assert not again.same
    assert "rows were purged from the version since" in again.said
