"""What every lake does with history that was made elsewhere, whichever backend it has."""

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry.errors import (
    ConflictError,
    CorruptError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from registry.lake import Change, ChangeKind, Commit, Entry

WHEN = datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)


def entry(path, data):
    return Entry(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def added(files):
    """Return the changes that make some files, given by path."""
    entries = (entry(path, data) for path, data in files.items())
    return [Change(path=e.path, kind=ChangeKind.ADDED, before=None, after=e) for e in entries]


def removed(path, data):
    return Change(path=path, kind=ChangeKind.REMOVED, before=entry(path, data), after=None)


def served(files):
    """Return what opens the bytes of some files, and the list of what was asked of it."""
    by_hash = {hashlib.sha256(data).hexdigest(): data for data in files.values()}
    asked = []

    def fetch(wanted):
        asked.append(wanted.path)
        return io.BytesIO(by_hash[wanted.sha256])

    return fetch, asked


@pytest.fixture
def elsewhere():
    """Make a commit as another lake would tell of it."""

    def make(message="Made elsewhere", **other):
        said = {"author": "Ada <ada@example.org>", "at": WHEN, "metadata": {"verdict": "passed"}}
        return Commit(id="f" * 40, parents=(), message=message, **{**said, **other})

    return make


def test_a_lake_says_which_objects_it_holds(repo, put):
    put({"a": b"1", "b": b"2"})
    here, there = entry("a", b"1").sha256, entry("x", b"elsewhere").sha256
    assert repo.holds([here, there, "../../etc/passwd", ""]) == {here}
    assert repo.holds([]) == set()


def test_a_grafted_commit_is_as_it_was_made(repo, put, content, elsewhere):
    head = put({"a": b"1", "b": b"2"})
    files = {"c": b"three", "d/e": b"five", "empty": b""}
    fetch, asked = served(files)
    changes = [*added(files), removed("b", b"2")]
    made = repo.graft(elsewhere(), parents=[head], changes=changes, fetch=fetch)
    assert (made.message, made.author) == ("Made elsewhere", "Ada <ada@example.org>")
    assert dict(made.metadata) == {"verdict": "passed"}
    assert made.parents == (head,)
    assert made.at == max(WHEN, repo.commit(head).at)  # no commit is older than its parents
    assert content(made.id) == {"a": b"1", **files}
    assert sorted(set(asked) - {"empty"}) == ["c", "d/e"]
    assert repo.commit(made.id) == made
    assert list(repo.fsck()) == []


def test_no_ref_moves_by_a_graft(repo, put, elsewhere):
    head = put({"a": b"1"})
    fetch, _ = served({"b": b"2"})
    repo.graft(elsewhere(), parents=[head], changes=added({"b": b"2"}), fetch=fetch)
    assert repo.branches() == {"main": head}
    assert repo.tags() == {}


def test_a_commit_grafted_twice_is_there_once(repo, put, elsewhere):
    head = put({"a": b"1"})
    fetch, asked = served({"b": b"2"})
    told = [
        repo.graft(one, parents=[head], changes=added({"b": b"2"}), fetch=fetch)
        for one in (elsewhere(), elsewhere(metadata={"verdict": "passed"}))
    ]
    assert told[0] == told[1]
    assert asked == ["b"]


def test_a_history_is_grafted_from_its_first_commit_on(repo, content, elsewhere):
    fetch, _ = served({"a": b"1", "b": b"2", "c": b"3"})

    def graft(message, parents, files, minutes):
        at = WHEN + timedelta(minutes=minutes)
        commit = elsewhere(message, at=at)
        made = repo.graft(commit, parents=parents, changes=added(files), fetch=fetch)
        assert made.at == at
        return made.id

    first = graft("first", [], {"a": b"1"}, 0)
    left = graft("left", [first], {"b": b"2"}, 1)
    right = graft("right", [first], {"c": b"3"}, 1)
    both = graft("both", [left, right], {"c": b"3"}, 2)
    assert [commit.message for commit in repo.log(both)][::3] == ["both", "first"]
    assert repo.commit(first).parents == ()
    assert repo.commit(both).parents == (left, right)
    assert content(both) == {"a": b"1", "b": b"2", "c": b"3"}
    repo.reset("main", to=left)
    repo.protect("main")
    assert repo.merge_base("main", right) == first
    repo.advance("main", to=both, expected=left)
    assert repo.resolve("main") == both
    assert list(repo.fsck()) == []


def test_what_is_stored_is_not_fetched(repo, put, content, elsewhere):
    head = put({"a": b"1"})
    fetch, asked = served({})
    files = {"again": b"1", "folder/again": b"1"}
    made = repo.graft(elsewhere(), parents=[head], changes=added(files), fetch=fetch)
    assert asked == []
    assert content(made.id) == {"a": b"1", **files}
    nobody = repo.graft(elsewhere("again"), parents=[made.id], changes=added({"c": b"1"}))
    assert content(nobody.id)["c"] == b"1"


def test_bytes_that_are_not_what_their_hash_says_are_refused(repo, put, elsewhere):
    head = put({"a": b"1"})
    for wrong in (b"tw0", b"two and more", b""):
        with pytest.raises(CorruptError, match="'b' arrived as"):
            repo.graft(
                elsewhere(), parents=[head], changes=added({"b": b"two"}),
                fetch=lambda _, data=wrong: io.BytesIO(data),
            )  # fmt: skip
    assert repo.holds([entry("b", b"two").sha256]) == set()
    assert repo.branches() == {"main": head}
    assert list(repo.fsck()) == []


def test_a_graft_needs_its_parents_and_its_objects(repo, put, elsewhere):
    head = put({"a": b"1"})
    fetch, _ = served({"b": b"2"})
    with pytest.raises(NotFoundError):
        repo.graft(elsewhere(), parents=["e" * 40], changes=added({"b": b"2"}), fetch=fetch)
    with pytest.raises(NotFoundError):
        repo.graft(elsewhere(), parents=[head], changes=added({"b": b"2"}))


def test_a_file_becomes_a_folder_by_a_graft(repo, put, content, elsewhere):
    head = put({"a": b"1", "b/c": b"2"})
    files = {"a/inside": b"3", "b": b"4"}
    fetch, _ = served(files)
    changes = [*added(files), removed("a", b"1"), removed("b/c", b"2")]
    made = repo.graft(elsewhere(), parents=[head], changes=changes, fetch=fetch)
    assert content(made.id) == files


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", ".git/config", "a\nb", ""])
def test_a_graft_takes_no_path_that_a_lake_cannot_hold(repo, put, elsewhere, path):
    head = put({"a": b"1"})
    fetch, asked = served({path: b"2"})
    with pytest.raises(InvalidInputError):
        repo.graft(elsewhere(), parents=[head], changes=added({path: b"2"}), fetch=fetch)
    assert asked == []


def test_a_graft_believes_no_hash_size_author_or_metadata(repo, put, elsewhere):
    head = put({"a": b"1"})
    fetch, _ = served({"b": b"2"})
    good = entry("b", b"2")
    bad = [
        replace(good, sha256="../../../../etc/passwd"),
        replace(good, sha256=good.sha256.upper()),
        replace(good, size=-1),
        replace(good, size=0),
    ]
    for one in bad:
        change = Change(path="b", kind=ChangeKind.ADDED, before=None, after=one)
        with pytest.raises(InvalidInputError):
            repo.graft(elsewhere(), parents=[head], changes=[change], fetch=fetch)
    told = [
        elsewhere(author="nobody"),
        elsewhere(author="Ada <a@b>\ntree 0"),
        elsewhere(metadata={"a key": "x"}),
        elsewhere(metadata={"key": "two\nlines"}),
        elsewhere(message="bell \x07"),
    ]
    for commit in told:
        with pytest.raises(InvalidInputError):
            repo.graft(commit, parents=[head], changes=added({"b": b"2"}), fetch=fetch)


def test_what_was_grafted_stays_while_its_transfer_is_under_way(repo, put, content, elsewhere):
    head = put({"a": b"1"})
    fetch, _ = served({"b": b"2", "c": b"3"})
    first = repo.graft(elsewhere(), parents=[head], changes=added({"b": b"2"}), fetch=fetch)
    repo.gc(grace=timedelta(0))
    second = repo.graft(
        elsewhere("next"), parents=[first.id], changes=added({"c": b"3"}), fetch=fetch
    )
    repo.gc(grace=timedelta(0))
    repo.create_branch("arrived", at=second.id)
    assert content("arrived") == {"a": b"1", "b": b"2", "c": b"3"}


def test_objects_are_brought_to_this_machine(repo, put):
    head = put({"a": b"1", "b/c": b"2", "empty": b""})
    entries = list(repo.entries(head))
    brought = repo.bring(entries, at=head)
    assert {e.path: brought[e.sha256].read_bytes() for e in entries} == {
        "a": b"1", "b/c": b"2", "empty": b"",
    }  # fmt: skip
    assert repo.bring([], at=head) == {}


def test_a_tag_tells_what_was_said_when_it_was_made(repo, put):
    put({"a": b"1"})
    repo.create_tag("v1", at="main", message="first release\n\nwith care")
    repo.create_tag("plain", at="main")
    assert repo.tag_message("v1") == "first release\n\nwith care"
    assert repo.tag_message("plain") == ""
    with pytest.raises(NotFoundError):
        repo.tag_message("v2")


def test_a_repository_that_could_not_be_prepared_is_not_there_and_may_be_tried_again(any_lake):
    def stop(repository):
        with repository.transaction("main", message="half") as transaction:
            transaction.put("a", b"1")
        raise UnavailableError("the other side is gone", hint="wait")

    def finish(repository):
        with repository.transaction("main", message="all") as transaction:
            transaction.put("b", b"2")

    with pytest.raises(UnavailableError):
        any_lake.create("ships", prepare=stop, resumes="elsewhere")
    assert any_lake.repositories() == []
    made = any_lake.create("ships", prepare=finish, resumes="elsewhere")
    assert made.read("b", at="main") == b"2"
    assert any_lake.repositories() == ["ships"]
    with pytest.raises(ConflictError):
        any_lake.create("ships", prepare=finish, resumes="elsewhere")
