"""Models are versions: whole or not there, beside the datasets and never among them."""

import subprocess
import sys

import pytest
import torch

from registry.catalog.card.spec import Spec
from registry.cli.completion import complete_model_refs, complete_models
from registry.errors import InvalidInputError, NotFoundError
from registry.lake import init
from registry.lake import transfer as transfers
from registry.lake.names import MODELS
from registry.learn.models import shelf, weights


def saved(lake, parts, *, value=1.0, name="small-net", message="first", **options):
    card = parts.card(name=name)
    return shelf.save(lake, card, {"a": torch.full((2, 3), value)}, message=message, **options)


def test_a_model_has_its_weights_card_readme_and_item_and_is_the_first_version(lake, parts):
    model = saved(lake, parts)
    assert model.ref == "small-net@v1"
    assert set(model.files) == {"model.safetensors", "card.json", "README.md", "item.json"}
    assert torch.equal(weights.read(model.path("model.safetensors"))["a"], torch.ones(2, 3))
    assert model.card.weights_sha256 == weights.digest(model.path("model.safetensors"))
    assert model.card.contract == parts.card().contract
    assert shelf.names(lake) == ["small-net"]


def test_the_next_version_leaves_the_first_as_it_was(lake, parts, tmp_path):
    curves = tmp_path / "c.png"
    curves.write_bytes(b"\x89PNG")
    first = saved(lake, parts, files={"curves.png": curves})
    second = saved(lake, parts, value=2.0, message="better")
    assert second.ref == "small-net@v2"
    assert "curves.png" in first.files
    assert "curves.png" not in second.files
    assert torch.equal(weights.read(first.path(shelf.WEIGHTS))["a"], torch.ones(2, 3))
    assert [one.tag for one in shelf.versions(lake, "small-net")] == ["v1", "v2"]
    assert shelf.resolve(lake, "small-net").tag == "v2"
    assert shelf.resolve(lake, f"small-net@{first.version.commit.id[:12]}").tag == "v1"


def test_the_same_model_saved_again_is_the_same_version(lake, parts):
    assert saved(lake, parts).version.commit == saved(lake, parts, message="again").version.commit


def test_the_same_weights_are_the_same_bytes_in_every_lake(lake, parts, tmp_path):
    other = type(lake)(lake=init(str(tmp_path / "other")))
    one, two = saved(lake, parts), saved(other, parts)
    assert one.version.content_id == two.version.content_id


def test_a_model_is_no_dataset_and_may_have_the_name_of_one(lake, parts):
    lake.create(Spec(name="small-net"))
    saved(lake, parts)
    assert lake.names() == ["small-net"]
    assert shelf.names(lake) == ["small-net"]
    assert lake.resolve("small-net@main").spec.name == "small-net"


def test_a_dataset_may_not_be_called_like_a_models_repository(lake):
    with pytest.raises(InvalidInputError, match="models begin with"):
        lake.create(Spec(name=f"{MODELS}ships"))
    assert lake.names() == []


@pytest.mark.parametrize("name", ["", "ab", "UPPER", "a/b", "x" * 57, "-abc", "a b c", "äöü"])
def test_what_no_lake_can_hold_is_no_name(lake, parts, name):
    with pytest.raises(InvalidInputError, match="no name for a model"):
        saved(lake, parts, name=name)
    assert shelf.names(lake) == []


def test_what_is_not_there_is_said_with_what_is(lake, parts):
    lake.create(Spec(name="ships"))
    with pytest.raises(NotFoundError, match="'ships' is a dataset"):
        shelf.resolve(lake, "ships")
    model = saved(lake, parts)
    with pytest.raises(NotFoundError, match="latest is v1"):
        shelf.resolve(lake, "small-net@v7")
    with pytest.raises(InvalidInputError, match="ends with '@'"):
        shelf.resolve(lake, "small-net@")
    with pytest.raises(NotFoundError, match="no file 'x'"):
        model.path("x")


def test_a_withdrawn_version_stays_usable_and_is_not_the_newest(lake, parts):
    saved(lake, parts)
    saved(lake, parts, value=2.0)
    stone = shelf.withdraw(lake, "small-net@v2", "leaks its test set").tombstone
    assert (stone.reason, stone.by) == ("leaks its test set", "Ada <ada@example.org>")
    assert shelf.resolve(lake, "small-net").tag == "v1"
    assert shelf.resolve(lake, "small-net@v2").tombstone == stone
    shelf.withdraw(lake, "small-net@v1", "so does this")
    with pytest.raises(NotFoundError, match="was withdrawn"):
        shelf.resolve(lake, "small-net")
    for ref, reason in (("small-net", "x"), ("small-net@v1", " ")):
        with pytest.raises(InvalidInputError):
            shelf.withdraw(lake, ref, reason)


def test_files_of_the_labs_own_are_not_replaced(lake, parts, tmp_path):
    other = tmp_path / "other"
    other.write_text("{}")
    for name in ("card.json", "model.safetensors", "README.md", "item.json", "../escape"):
        with pytest.raises(InvalidInputError):
            saved(lake, parts, files={name: other})
    assert shelf.names(lake) == []


@pytest.mark.parametrize("broken", ["missing-file", "no-weights", "no-tensor"])
def test_nothing_is_there_when_a_part_is_missing(lake, parts, tmp_path, broken):
    given = {"no-weights": {}, "no-tensor": {"a": 3}}.get(broken, {"a": torch.ones(1)})
    files = {"curves.png": tmp_path / "gone.png"} if broken == "missing-file" else {}
    with pytest.raises((OSError, InvalidInputError)):
        shelf.save(lake, parts.card(), given, files=files, message="first")
    assert lake.lake.repositories() == []


def fails(*_, **__):
    raise OSError("the disk is full")


def test_a_fault_before_the_tag_leaves_the_versions_as_they_were(lake, parts, monkeypatch):
    saved(lake, parts)
    repository = type(shelf.repository_of(lake, "small-net"))
    monkeypatch.setattr(repository, "advance", fails)
    with pytest.raises(OSError, match="full"):
        saved(lake, parts, value=2.0)
    monkeypatch.undo()
    assert [one.tag for one in shelf.versions(lake, "small-net")] == ["v1"]
    assert not shelf.repository_of(lake, "small-net").branches("staging/")


def test_who_was_killed_after_main_had_moved_is_finished_by_the_next(lake, parts, monkeypatch):
    saved(lake, parts)
    repository = type(shelf.repository_of(lake, "small-net"))
    monkeypatch.setattr(repository, "create_tag", fails)
    with pytest.raises(OSError, match="full"):
        saved(lake, parts, value=2.0, message="second")
    monkeypatch.undo()
    assert [one.tag for one in shelf.versions(lake, "small-net")] == ["v1"]
    assert saved(lake, parts, value=3.0).tag == "v3"
    second = shelf.resolve(lake, "small-net@v2")
    assert torch.equal(weights.read(second.path(shelf.WEIGHTS))["a"], torch.full((2, 3), 2.0))


def test_somebody_who_saves_meanwhile_keeps_their_version_and_so_do_we(lake, parts, monkeypatch):
    saved(lake, parts)
    real, once = shelf.staging, []

    def overtaken(repository, **options):
        if not once:
            once.append(True)
            saved(lake, parts, value=9.0, message="theirs")
        return real(repository, **options)

    monkeypatch.setattr(shelf, "staging", overtaken)
    assert saved(lake, parts, value=2.0, message="ours").tag == "v3"
    messages = [one.version.commit.message for one in shelf.versions(lake, "small-net")]
    assert messages == ["first", "theirs", "ours"]


def test_a_model_goes_to_another_lake_with_its_versions_and_back(lake, parts, tmp_path):
    saved(lake, parts)
    saved(lake, parts, value=2.0)
    shelf.withdraw(lake, "small-net@v1", "old")
    away = type(lake)(lake=init(str(tmp_path / "away")))
    transfers.push(lake.lake, f"{MODELS}small-net", to=away.lake)
    assert away.names() == []
    for tag in ("v1", "v2"):
        here, there = (shelf.resolve(one, f"small-net@{tag}") for one in (lake, away))
        assert here.version.content_id == there.version.content_id
    assert shelf.resolve(away, "small-net@v1").tombstone.reason == "old"
    saved(away, parts, value=3.0)
    transfers.pull(lake.lake, f"{MODELS}small-net", origin=away.lake)
    assert shelf.resolve(lake, "small-net").tag == "v3"


def test_fsck_finds_nothing_and_gc_keeps_every_version(lake, parts):
    from datetime import timedelta

    for value in (1.0, 2.0):
        saved(lake, parts, value=value)
    repository = shelf.repository_of(lake, "small-net")
    assert list(repository.fsck()) == []
    repository.gc(grace=timedelta(0))
    assert torch.equal(
        weights.read(shelf.resolve(lake, "small-net@v1").path(shelf.WEIGHTS))["a"],
        torch.ones(2, 3),
    )


def test_completion_offers_models_where_models_are_asked_for(lake, parts, monkeypatch):
    from typer import Context
    from typer.main import get_command

    from registry.cli.app import app
    from registry.cli.completion import complete_datasets

    saved(lake, parts)
    monkeypatch.setenv("EOLAB_LAKE", lake.lake.address)
    context = Context(get_command(app))
    assert complete_models(context, "sm") == ["small-net"]
    assert complete_model_refs(context, "small-net@") == ["small-net@v1"]
    assert complete_datasets(context, "") == []


PROGRAM = """
import sys, torch
from registry.catalog.registry import connect
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models import shelf
from registry.learn.models.architecture import Architecture
from registry.learn.models.card import Card

contract = Contract(inputs=(Input(asset="image", bands=(Band(name="B03"),)),))
card = Card(name="killed", architecture=Architecture(factory="weights"), heads=(),
            contract=contract)
registry = connect(sys.argv[1])
for value in range(1000):
    print(shelf.save(registry, card, {"a": torch.full((3,), float(value))}, message="m").tag,
          flush=True)
"""


def test_every_version_that_was_told_is_whole_whenever_its_maker_is_killed(lake):
    told = []
    for lines in (1, 3):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, lake.lake.address],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            told += [process.stdout.readline().strip() for _ in range(lines)]
            process.kill()
    there = shelf.versions(lake, "killed")
    assert set(told) <= {one.tag for one in there}
    for one in there:
        assert one.card.weights_sha256 == weights.digest(one.path(shelf.WEIGHTS))
    assert list(shelf.repository_of(lake, "killed").fsck()) == []
