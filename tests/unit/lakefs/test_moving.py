"""Refs that move together on a server, while others go on working."""

import pytest
from lakefs.exceptions import LakeFSException

from registry.errors import ConflictError
from registry.lake.lakefs.notes import Notes
from registry.lake.lakefs.protection import patient_with_rules


@pytest.fixture
def meanwhile(monkeypatch):
    """Do something once, right after it was written down where refs are to go."""

    def when_planned(do):
        write, done = Notes.write, []

        def late(self, name, said):
            write(self, name, said)
            if name.startswith("moving/") and not done:
                done.append(name)
                do()

        monkeypatch.setattr(Notes, "write", late)

    return when_planned


@pytest.mark.parametrize("forward", [True, False])
def test_a_commit_that_comes_while_refs_move_is_not_lost(repo, other, put, meanwhile, forward):
    first = put(repo, {"a": b"1"})
    repo.create_branch("side", at=first)
    there = put(repo, {"a": b"2"}, branch="side") if forward else repo.commit(first).parents[0]
    moves = {"branch/main": (first, there), "tag/v1": (None, first)}
    meanwhile(lambda: put(other, {"b": b"3"}))
    with pytest.raises(ConflictError, match="branch/main"):
        repo.move_refs(moves, operation="push")
    assert repo.read("b", at="main") == b"3"
    assert repo.tags() == {"v1": first}


def test_who_finishes_late_does_not_take_back_what_was_committed_since(repo, other, put, meanwhile):
    first = put(repo, {"a": b"1"})
    second = put(repo, {"a": b"2"})

    def finish_and_go_on():
        other.finish()
        put(other, {"b": b"3"})

    meanwhile(finish_and_go_on)
    with pytest.raises(ConflictError, match="branch/main"):
        repo.move_refs({"branch/main": (second, first)}, operation="purge")
    assert {entry.path for entry in repo.entries("main")} == {"a", "b"}
    assert repo.read("a", at="main") == b"1"


def test_what_somebody_staged_is_in_the_way_of_a_movement_but_not_of_reading(
    repo, put, machine, client, meanwhile, content
):
    first = put(repo, {"a": b"1"})
    second = put(repo, {"a": b"2"})
    repo.create_branch("side", at=second)
    repo.protect("main")
    main = client.branch("main")
    moves = {"branch/main": (second, first), "branch/side": (second, first)}

    def stage():  # as soon as the movement has lifted the protection
        api = client._client.sdk_client.repositories_api
        api.set_branch_protection_rules("ships", [])
        patient_with_rules(
            lambda: main.object("theirs").upload(b"staged", mode="wb"), until=LakeFSException
        )

    meanwhile(stage)
    with pytest.raises(ConflictError, match="staged objects on branch 'main'") as raised:
        repo.move_refs(moves, operation="purge")
    assert "branch reset" in raised.value.hint
    opened = machine("other").repository("ships")
    assert opened.branches() == {"main": second, "side": first}
    assert content(opened, "main") == {"a": b"2"}
    with pytest.raises(ConflictError, match="staged objects"):
        put(opened, {"b": b"3"})
    main.reset_changes()
    opened = machine("other").repository("ships")
    assert opened.branches() == {"main": first, "side": first}
    assert opened.protected() == {"main"}
    assert list(Notes(opened._remote).read("moving/")) == []
