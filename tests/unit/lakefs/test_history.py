"""The history that people see has the same shape as anywhere, whatever a server makes of it."""

import hashlib

import pytest

from registry import lake
from registry.errors import ConflictError
from registry.lake.lakefs import remote
from registry.lake.lakefs.landing import MARKER, Landing
from registry.lake.lakefs.remote import TOKEN


def test_a_commit_is_one_commit_to_people_and_a_merge_to_the_server(repo, put, client):
    first = put(repo, {"a": b"1"})
    second = put(repo, {"a": b"2"}, metadata={"k": "v", "eolab-mine": "kept"})
    assert [commit.id for commit in repo.log("main")][:2] == [second, first]
    assert repo.commit("main").metadata == {"k": "v", "eolab-mine": "kept"}
    head = client.ref("main").get_commit()
    assert head.id != second
    assert head.parents[1] == second
    assert client.ref(second).object("a").reader().read() == b"2"


def test_the_servers_own_ids_of_a_head_are_understood(repo, put, client):
    second = put(repo, {"a": b"2"})
    assert repo.resolve(client.ref("main").get_commit().id) == second


def test_a_merge_has_both_sides_behind_it_on_the_server_too(repo, put, client):
    put(repo, {"a": b"0"})
    repo.create_branch("b", at="main")
    theirs = put(repo, {"a": b"t"}, branch="b")
    ours = put(repo, {"a": b"o"})
    put(repo, {"a": b"both"}, merging="b", expected=ours)
    behind = {commit.id for commit in client.ref("main").log()}
    assert {ours, theirs} <= behind


def test_an_advance_has_what_it_came_to_behind_it_on_the_server(repo, put, client):
    first = put(repo, {"a": b"0"})
    repo.create_branch("b", at="main")
    second = put(repo, {"a": b"1"}, branch="b")
    repo.protect("main")
    repo.advance("main", to="b", expected=first)
    repo.delete_branch("b")
    assert second in {commit.id for commit in client.ref("main").log()}
    assert client.ref("main").object("a").reader().read() == b"1"


def test_a_move_back_is_made_good_on_the_server(repo, put, content, client):
    first = put(repo, {"a": b"0", "b": b"0"})
    put(repo, {"a": b"1", "b": None, "c": b"1"})
    repo.reset("main", to=first)
    assert content(repo, "main") == {"a": b"0", "b": b"0"}
    shown = {one.path for one in client.ref("main").objects()}
    assert shown == {"a", "b", MARKER}
    empty = list(repo.log("main"))[-1].id
    repo.reset("main", to=empty)
    assert content(repo, "main") == {}
    third = put(repo, {"d": b"1"})
    assert repo.commit(third).parents == (empty,)
    assert list(repo.fsck()) == []


def test_other_machines_build_on_each_other(repo, other, put, content):
    put(repo, {"a": b"1", "d/x": b"1"})
    with other.transaction("main", message="outer") as transaction:
        transaction.put("b", b"2")
        inner = put(repo, {"c": b"3", "d/x": None})
    assert transaction.commit.parents == (inner,)
    assert content(repo, "main") == content(other, "main") == {"a": b"1", "b": b"2", "c": b"3"}
    assert list(other.fsck()) == []


def test_who_loses_the_race_at_the_merge_itself_carries_on(repo, other, put, content, fake):
    put(repo, {"a": b"1"})
    raced = []

    def race():
        raced.append(put(other, {"b": b"2"}))

    fake.faults.add(r"POST .*/merge/main", meanwhile=race)
    last = put(repo, {"c": b"3"})
    assert repo.commit(last).parents == tuple(raced)
    assert content(repo, "main") == {"a": b"1", "b": b"2", "c": b"3"}


def test_what_is_carried_onto_others_work_is_what_the_server_made_of_it(
    repo, other, put, content, monkeypatch, fake
):
    put(repo, {"a": b"1"})
    carry = Landing.carry

    def otherwise(landing, work, onto, new):
        carry(landing, work, onto, new)
        landing._remote.upload(new, "more", b"", sha256=hashlib.sha256().hexdigest())
        told = {TOKEN: "otherwise"}
        return landing._remote.commit(new, message="otherwise", metadata=told).id

    monkeypatch.setattr(Landing, "carry", otherwise)
    fake.faults.add(r"POST .*/merge/main", meanwhile=lambda: put(other, {"b": b"2"}))
    put(repo, {"c": b"3"})
    expected = {"a": b"1", "b": b"2", "c": b"3", "more": b""}
    assert content(repo, "main") == content(other, "main") == expected
    assert list(repo.fsck()) == []


def test_a_merge_whose_answer_was_lost_is_found_behind_many_others(
    repo, other, put, content, monkeypatch, fake
):
    put(repo, {"a": b"1"})
    monkeypatch.setattr(remote, "LOOKED_AT", 2)

    def others():
        for number in range(5):
            put(other, {"b": b"%d" % number})

    def before_it_is_looked_for():
        fake.faults.add(r"GET .*/branches/main$", meanwhile=others)

    fake.faults.add(
        r"POST .*/merge/main", drop=True, applied=True, meanwhile=before_it_is_looked_for
    )
    mine = put(repo, {"c": b"3"}, message="mine")
    assert [commit.id for commit in repo.log("main") if commit.message == "mine"] == [mine]
    assert content(repo, "main") == {"a": b"1", "b": b"4", "c": b"3"}


def test_who_expected_a_head_loses_the_race_at_the_merge_itself(repo, other, put, content, fake):
    first = put(repo, {"a": b"1"})
    fake.faults.add(r"POST .*/merge/main", meanwhile=lambda: put(other, {"b": b"2"}))
    with pytest.raises(ConflictError):
        put(repo, {"c": b"3"}, expected=first)
    assert content(repo, "main") == {"a": b"1", "b": b"2"}


def test_a_copy_of_a_commit_elsewhere_is_not_believed(repo, put, client, content):
    first = put(repo, {"a": b"1"})
    repo.create_branch("b", at=list(repo.log("main"))[-1].id)
    picked = client.branch("b").cherry_pick(first).id
    commit = repo.commit("b")
    assert commit.id == picked
    assert commit.parents == (list(repo.log("main"))[-1].id,)
    assert content(repo, "b") == {"a": b"1"}


def test_what_another_program_commits_is_part_of_the_history(repo, other, put, content, client):
    base = put(repo, {"a": b"1"})
    branch = client.branch("theirs").create("main")
    branch.object("raw").upload(b"bytes without a hash", mode="wb")
    branch.commit("from another program", metadata={"bad key": "x", "good": "y"})
    branch.merge_into("main")
    assert content(other, "main") == {"a": b"1", "raw": b"bytes without a hash"}
    told = {commit.message: commit for commit in other.log("main")}
    theirs = told["from another program"]
    assert theirs.parents == (base,)
    assert theirs.metadata == {"good": "y"}
    assert put(other, {"b": b"2"}) == other.resolve("main")
    assert list(other.fsck()) == []


def test_a_history_comes_back_as_it_went(repo, put, tmp_path):
    home = lake.init(str(tmp_path / "lake")).create("ships")
    put(home, {"a": b"1", "t/_delta_log/0.json": b"{}"}, message="one", metadata={"k": "v"})
    put(home, {"a": b"2", "b": b""}, message="two")
    back = lake.init(str(tmp_path / "back")).create("ships")

    def bring(source, target):
        here = {}
        for commit in reversed(list(source.log("main"))):
            changes = (
                source.diff(commit.parents[0], commit.id) if commit.parents
                else source.diff(commit.id, commit.id)
            )  # fmt: skip
            made = target.graft(
                commit, parents=[here[parent] for parent in commit.parents], changes=changes,
                fetch=lambda entry, at=commit.id: source.open(entry.path, at=at),
            )  # fmt: skip
            here[commit.id] = made.id
        target.reset("main", to=here[source.resolve("main")])

    bring(home, repo)
    assert repo.content_id("main") == home.content_id("main")
    bring(repo, back)
    assert back.resolve("main") == home.resolve("main")
