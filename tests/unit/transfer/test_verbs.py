"""Datasets between two lakes."""

import pytest

from registry.errors import ConflictError, CorruptError, NotFoundError
from registry.lake.transfer import DivergedError, clone, copy, origin_of, pull, push

TRAVELS = {"main", "derived/v1", "source/port", "tombstones"}


def content(repository, at):
    return {entry.path: repository.read(entry.path, at=at) for entry in repository.entries(at)}


def test_a_clone_has_versions_history_and_what_belongs_to_them(home, away, ships):
    gone = clone(home, "ships", into=away)
    there = away.repository("ships")
    assert set(there.branches()) == TRAVELS
    assert there.branches() == {name: ships.resolve(name) for name in TRAVELS}
    assert there.tags() == ships.tags()
    assert [there.tag_message(tag) for tag in ("v1", "v2")] == [
        "first release", "second release\n\nwith a fix",
    ]  # fmt: skip
    assert list(there.log("v2")) == list(ships.log("v2"))
    assert content(there, "derived/v1") == content(ships, "derived/v1")
    assert there.protected() == {"main"}
    assert gone.objects == 7
    assert gone.commits in {7, 8}  # lakes made in one second have their first, empty commit alike
    assert origin_of(away, "ships").address == home.address
    assert list(there.fsck()) == []


def test_a_second_push_sends_only_what_is_new(home, away, ships, put):
    push(home, "ships", to=away)
    assert not push(home, "ships", to=away)
    ships.create_branch("work", at="main")
    head = put(ships, {"d": b"new", "again": b"1"}, "work", "go on")
    ships.advance("main", to=head, expected=ships.resolve("main"))
    ships.create_tag("v3", at="main")
    gone = push(home, "ships", to=away)
    assert (gone.commits, gone.objects, gone.size, gone.held) == (1, 1, 3, 1)
    assert gone.tags == ("v3",)
    assert set(gone.branches) == {"main"}
    there = away.repository("ships")
    assert there.resolve("v3") == there.resolve("main") == head
    assert next(there.reflog("main")).operation == "push"


def test_a_copy_of_a_version_ends_there(home, away, ships):
    copy(home, "ships", to=away, at="v1")
    there = away.repository("ships")
    assert there.tags() == {"v1": ships.resolve("v1")}
    assert there.resolve("main") == ships.resolve("v1")
    assert set(there.branches()) == {"main", "derived/v1", "tombstones"}
    assert there.content_id("v1") == ships.content_id("v1")
    copy(home, "ships", to=away, at="v2")
    assert there.resolve("main") == ships.resolve("v2")
    before = there.branches()
    copy(home, "ships", to=away, at="v1")  # what is further on stays further on
    assert there.branches() == before


def test_drafts_travel_only_when_they_are_named(home, away, ships):
    push(home, "ships", to=away, branches=["draft/anna"])
    there = away.repository("ships")
    assert set(there.branches()) == {*TRAVELS, "draft/anna"}
    with pytest.raises(NotFoundError, match="no branch 'draft/ben'"):
        push(home, "ships", to=away, branches=["draft/ben"])


def test_a_pull_brings_what_the_other_side_added(home, away, ships, put):
    clone(home, "ships", into=away)
    put(away.repository("ships"), {"theirs": b"x"}, "source/port", "again")
    come = pull(home, "ships", origin=away)
    assert set(come.branches) == {"source/port"}
    assert ships.read("theirs", at="source/port") == b"x"
    with pytest.raises(NotFoundError, match="no dataset 'boats'") as error:
        pull(home, "boats", origin=away)
    assert "eolab clone" in error.value.hint


def diverge(ships, there, put):
    for repository, data in ((ships, b"ours"), (there, b"theirs")):
        repository.create_branch("work", at="main")
        head = put(repository, {"x": data}, "work", "mine")
        repository.advance("main", to=head, expected=repository.resolve("main"))


def test_a_branch_that_diverged_is_never_overwritten(home, away, ships, put):
    clone(home, "ships", into=away)
    there = away.repository("ships")
    diverge(ships, there, put)
    before = (ships.branches(), there.branches(), there.tags())
    for move in (
        lambda: push(home, "ships", to=away),
        lambda: pull(home, "ships", origin=away),
        lambda: copy(home, "ships", to=away),
    ):
        with pytest.raises(DivergedError, match="has diverged") as error:
            move()
        assert "--aside" in error.value.hint
        for repository in (ships, there):
            assert repository.resolve("main")[:10] in error.value.problem
    assert (ships.branches(), there.branches(), there.tags()) == before


def test_what_diverged_comes_aside_to_be_merged(home, away, ships, put):
    clone(home, "ships", into=away)
    there = away.repository("ships")
    diverge(ships, there, put)
    come = pull(home, "ships", origin=away, aside=True)
    assert set(come.branches) == {"theirs/main"}
    assert ships.resolve("theirs/main") == there.resolve("main")
    ships.create_branch("both", at="main")
    made = ships.merge("theirs/main", into="both", message="both", side="ours")
    ships.advance("main", to=made.id, expected=ships.resolve("main"))
    push(home, "ships", to=away)
    assert there.resolve("main") == made.id


def test_work_on_what_came_aside_is_never_overwritten(home, away, ships, put):
    clone(home, "ships", into=away)
    there = away.repository("ships")
    diverge(ships, there, put)
    pull(home, "ships", origin=away, aside=True)
    assert not pull(home, "ships", origin=away, aside=True).commits
    there.create_branch("later", at="main")
    later = put(there, {"later": b"1"}, "later")
    there.advance("main", to=later, expected=there.resolve("main"))
    pull(home, "ships", origin=away, aside=True)
    assert ships.resolve("theirs/main") == there.resolve("main")
    mine = put(ships, {"mine": b"1"}, "theirs/main", "mine")
    with pytest.raises(ConflictError, match="work of its own"):
        pull(home, "ships", origin=away, aside=True)
    assert ships.resolve("theirs/main") == mine


def test_a_version_of_one_number_is_never_two(home, away, ships):
    clone(home, "ships", into=away)
    ships.create_tag("v3", at="v1")
    away.repository("ships").create_tag("v3", at="v2")
    with pytest.raises(ConflictError, match="'ships@v3' is another version there"):
        push(home, "ships", to=away)


def test_what_both_sides_keep_beside_versions_comes_together(home, away, ships, put):
    clone(home, "ships", into=away)
    there = away.repository("ships")
    put(ships, {"v2.json": b"{}"}, "tombstones", "withdraw v2")
    put(there, {"slices/two.parquet": b"other ids"}, "derived/v1", "slice")
    put(ships, {"slices/three.parquet": b"ids"}, "derived/v1", "slice")
    pull(home, "ships", origin=away)
    slices = {path for path in content(ships, "derived/v1") if path.startswith("slices")}
    assert slices == {f"slices/{name}.parquet" for name in ("one", "two", "three")}
    push(home, "ships", to=away)
    for name in ("derived/v1", "tombstones"):
        assert there.resolve(name) == ships.resolve(name)
    put(ships, {"slices/four.parquet": b"1"}, "derived/v1", "slice")
    put(there, {"slices/four.parquet": b"2"}, "derived/v1", "slice")
    with pytest.raises(DivergedError, match=r"both sides wrote 'slices/four\.parquet'"):
        push(home, "ships", to=away)


def test_a_version_is_the_same_after_a_way_round(home, away, ships, tmp_path):
    from registry import lake

    third = lake.init(str(tmp_path / "third"))
    push(home, "ships", to=away)
    push(away, "ships", to=third)
    back = third.repository("ships")
    for tag in ("v1", "v2"):
        assert back.content_id(tag) == ships.content_id(tag)
        assert back.commit(tag) == ships.commit(tag)
    assert not pull(home, "ships", origin=third)


def test_what_is_damaged_at_the_source_is_refused_on_arrival(home, away, ships, tmp_path):
    entry = ships.entry("b", at="main")
    stored = next((tmp_path / "home").glob(f"**/lfs/objects/**/{entry.sha256}"))
    stored.chmod(0o644)
    stored.write_bytes(b"From a branch")
    with pytest.raises(CorruptError, match="'b' arrived as"):
        push(home, "ships", to=away)
    assert away.repositories() == []


def test_a_derived_branch_named_after_a_commit_travels(home, away, ships, put):
    ships.create_branch(f"derived/{ships.resolve('v1')}", at="v1")
    push(home, "ships", to=away)
    assert away.repository("ships").branches(f"derived/{ships.resolve('v1')}")
