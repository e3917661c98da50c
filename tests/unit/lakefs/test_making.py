"""Datasets on a server are there whole or not at all, and machines tidy after each other."""

import time
from datetime import timedelta

import pytest

from registry.errors import ConflictError
from registry.lake.lakefs.landing import WORK


class Killed(BaseException):
    """Ends a process where it stands, as far as what it leaves is concerned."""


@pytest.fixture
def half_made(machine, monkeypatch):
    """Leave a repository behind that somebody was killed over."""

    def make(name, **options):
        lake = machine(name)

        def die(repository):
            with repository.transaction("main", message="half") as transaction:
                transaction.put("half", b"1")
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr("registry.lake.lakefs.making.remove", lambda _: None)
            with pytest.raises(Killed):
                lake.create("ships", prepare=die, **options)
        return lake

    return make


def test_what_a_killed_process_left_half_made_is_made_anew(half_made):
    lake = half_made("one")
    assert lake.repositories() == []
    made = lake.create("ships")
    assert list(made.entries("main")) == []
    assert lake.repositories() == ["ships"]


def test_what_was_half_made_is_gone_on_with_where_it_is_the_same(half_made):
    lake = half_made("one", resumes="elsewhere")
    made = lake.create("ships", prepare=lambda _: None, resumes="elsewhere")
    assert [entry.path for entry in made.entries("main")] == ["half"]


def test_what_another_machine_is_making_is_left_alone(half_made, machine, monkeypatch):
    half_made("one")
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    with pytest.raises(ConflictError, match="being made"):
        machine("other").create("ships")


def test_a_dataset_that_lost_its_mark_is_not_made_anew_over_its_history(repo, put, client, machine):
    put(repo, {"a": b"1"})
    client.branch("eolab-ready").delete()
    assert machine().repositories() == []
    with pytest.raises(ConflictError, match="no dataset"):
        machine().create("ships")
    assert len(list(client.branch("main").log())) > 1


def test_what_a_killed_process_left_half_deleted_is_made_anew(repo, put, machine, monkeypatch):
    put(repo, {"a": b"1"})
    with monkeypatch.context() as patched:
        patched.setattr("registry.lake.lakefs.making.remove", lambda _: None)
        machine().delete("ships")
    assert machine().repositories() == []
    assert list(machine().create("ships").entries("main")) == []


def test_a_repository_of_somebody_else_is_left_alone(machine, client, put):
    client.create(storage_namespace="local://mine/ships")
    assert machine().repositories() == []
    with pytest.raises(ConflictError, match="no dataset"):
        machine().create("ships")
    assert client.branch("main").head.id


def test_branches_of_killed_processes_go_after_a_day(repo, client):
    old = f"{WORK}{int(time.time()) - 90_000:x}-{'0' * 32}"
    young = f"{WORK}{int(time.time()) - 3_000:x}-{'1' * 32}"
    for name in (old, young, "delta-tx-1", "mine"):
        client.branch(name).create("main", hidden=True)
    repo.gc(grace=timedelta(0))
    api = client._client.sdk_client.branches_api
    left = {ref.id for ref in api.list_branches("ships", show_hidden=True).results}
    assert old not in left
    assert {young, "delta-tx-1", "mine"} <= left


def test_what_is_said_at_length_is_kept_at_length(repo, machine):
    said = "ä long story\n" * 2_000
    repo.create_tag("v1", at="main", message=said)
    assert machine("other").repository("ships").tag_message("v1") == said


def test_refs_that_move_together_are_moved_by_whoever_opens_next(repo, put, machine, monkeypatch):
    first = put(repo, {"a": b"1"})
    second = put(repo, {"a": b"2"})
    repo.create_tag("v1", at="main", message="said")
    repo.protect("main")
    moves = {"branch/main": (second, first), "tag/v1": (second, first)}
    with monkeypatch.context() as patched:
        patched.setattr("registry.lake.lakefs.moving._move_tag", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            repo.move_refs(moves, operation="purge", edit=str.upper)
    opened = machine("other").repository("ships")
    assert opened.branches()["main"] == opened.tags()["v1"] == first
    assert opened.tag_message("v1") == "SAID"
    assert opened.protected() == {"main"}
    moved = {
        (update.ref, update.after) for update in opened.reflog() if update.operation == "purge"
    }
    assert moved == {("branch/main", first), ("tag/v1", first)}
