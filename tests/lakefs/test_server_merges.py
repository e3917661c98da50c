"""What merges, reverts, hooks and protection did on a real lakeFS server, held as there."""

import lakefs_sdk
import pytest
from lakefs import exceptions

from tests.lakefs.native import api, branched, commit, paths, protect, upload

EXPECTED_HEAD = """name: expected-head
on:
  pre-merge:
    branches: [main]
hooks:
  - id: cas
    type: lua
    properties:
      script: |
        lakefs = require("lakefs")
        local want = action.commit.metadata["expected_head"]
        if want ~= nil then
          local code, resp = lakefs.diff_refs(action.repository_id, want, action.branch_id)
          if code ~= 200 then error("cannot compare with expected head: " .. code) end
          if #resp.results > 0 then error("STALE: destination moved since " .. want) end
        end
"""
REFUSES = EXPECTED_HEAD.split("script", 1)[0] + 'script: |\n        error("always refuses")\n'


def test_a_merge_names_destination_and_source(repo):
    main = repo.branch("main")
    work = branched(repo, "work", {"a": b"1"}, hidden=True)
    before, theirs = main.get_commit().id, work.get_commit().id
    merged = work.merge_into("main", message="merge", metadata={"key": "value"})
    said = repo.ref(merged).get_commit()
    assert said.parents == [before, theirs]
    assert said.metadata["key"] == "value"
    with pytest.raises(exceptions.BadRequestException, match="update branch main: no changes"):
        work.merge_into("main")
    assert work.merge_into("main", allow_empty=True)


def test_a_squash_names_the_destination_only(repo):
    before = repo.branch("main").get_commit().id
    merged = branched(repo, "work", {"a": b"1"}).merge_into("main", squash_merge=True)
    assert repo.ref(merged).get_commit().parents == [before]


def test_a_conflict_names_no_path_but_the_diff_does(repo):
    commit(repo.branch("main"), {"same": b"0", "gone": b"0"})
    ours = branched(repo, "ours", {"same": b"o", "gone": b"o", "mine": b"o"})
    theirs = branched(repo, "theirs", {"same": b"t", "gone": None, "new": b"t"})
    with pytest.raises(exceptions.ConflictException) as raised:
        theirs.merge_into("ours")
    assert (raised.value.status_code, raised.value.body) == (409, {"reference": ""})
    assert [(change.type, change.path) for change in ours.diff("theirs")] == [
        ("conflict", "gone"),
        ("added", "new"),
        ("conflict", "same"),
    ]
    straight = [(change.type, change.path) for change in ours.diff("theirs", type="two_dot")]
    assert straight == [
        ("removed", "gone"),
        ("removed", "mine"),
        ("added", "new"),
        ("changed", "same"),
    ]


@pytest.mark.parametrize(
    ("strategy", "kept"), [("source-wins", (b"t", False)), ("dest-wins", (b"o", True))]
)
def test_a_strategy_takes_one_side_of_every_conflict(repo, strategy, kept):
    commit(repo.branch("main"), {"same": b"0", "gone": b"0"})
    ours = branched(repo, "ours", {"same": b"o", "gone": b"o"})
    theirs = branched(repo, "theirs", {"same": b"t", "gone": None, "new": b"t"})
    theirs.merge_into("ours", strategy=strategy)
    assert (ours.object("same").reader().read(), ours.object("gone").exists()) == kept
    with pytest.raises(exceptions.BadRequestException):
        theirs.merge_into("ours", strategy="ours")


def test_a_merge_takes_what_is_committed_and_no_dirty_destination(repo):
    work = branched(repo, "work", {"one": b"1"})
    work.object("two").upload(b"2", mode="wb")
    work.merge_into("main")
    assert paths(repo.branch("main")) == ["one"]
    repo.branch("main").object("dirt").upload(b"1", mode="wb")
    other = branched(repo, "other", {"three": b"3"})
    for refused in (
        lambda: other.merge_into("main"),
        lambda: repo.branch("main").revert("main", parent_number=1),
        lambda: repo.branch("main").cherry_pick("other"),
    ):
        with pytest.raises(exceptions.BadRequestException, match="dirty branch"):
            refused()


def test_a_merge_base_comes_with_the_heads_swapped(repo):
    base = commit(repo.branch("main"), {"a": b"1"})
    source = branched(repo, "source", {"b": b"1"}).get_commit().id
    destination = branched(repo, "destination", {"c": b"1"}).get_commit().id
    found = api(repo).refs_api.find_merge_base(repo.id, "source", "destination")
    assert found.base_commit_id == base
    assert (found.source_commit_id, found.destination_commit_id) == (destination, source)


def test_a_revert_of_a_merge_needs_a_parent(repo):
    merged = branched(repo, "work", {"a": b"1"}).merge_into("main")
    with pytest.raises(exceptions.ConflictException):
        repo.branch("main").revert(merged)
    repo.branch("main").revert(merged, parent_number=1)
    assert paths(repo.branch("main")) == []


def test_a_cherry_pick_and_a_revert_go_object_by_object(repo):
    branch = branched(repo, "work", {"a": b"1"})
    second = commit(branch, {"b": b"2"})
    commit(branch, {"b": b"3"})
    picked = repo.branch("picked").create("main").cherry_pick(second)
    assert paths(repo.branch("picked")) == ["b"]
    assert picked.parents == [repo.branch("main").get_commit().id]
    with pytest.raises(exceptions.ConflictException):
        branch.revert(second)


# ---------------------------------------------------------------------- hooks
def test_an_expected_head_is_checked_while_the_branch_is_held(repo):
    main = repo.branch("main")
    commit(main, {"_lakefs_actions/cas.yaml": EXPECTED_HEAD.encode()})
    head = main.get_commit().id
    one, two = (branched(repo, name, {name: b"1"}) for name in ("one", "two"))
    one.merge_into("main", metadata={"expected_head": head})
    with pytest.raises(exceptions.ServerException) as raised:
        two.merge_into("main", metadata={"expected_head": head})
    assert raised.value.status_code == 412
    assert "pre-merge hook aborted, run id" in str(raised.value.body)
    assert "STALE" in str(raised.value.body)
    with pytest.raises(exceptions.ServerException):
        two.merge_into("main", metadata={"expected_head": "0" * 64})
    two.merge_into("main", metadata={"expected_head": main.get_commit().id})
    assert paths(main)[1:] == ["one", "two"]


def test_a_hook_is_read_from_the_source_so_a_source_without_it_passes(repo):
    main = repo.branch("main")
    early = branched(repo, "early", {"early": b"1"})
    commit(main, {"_lakefs_actions/no.yaml": REFUSES.encode()})
    late = branched(repo, "late", {"late": b"1"})
    dropped = branched(repo, "dropped", {"_lakefs_actions/no.yaml": None, "dropped": b"1"})
    with pytest.raises(exceptions.ServerException):
        late.merge_into("main")
    early.merge_into("main")
    dropped.merge_into("main")
    assert paths(main) == ["dropped", "early"]


@pytest.mark.parametrize("text", ["name: [", "name: x\non: {}\nhooks: []\n"])
def test_one_malformed_action_file_stops_every_commit_on_its_branch(repo, text):
    branch = repo.branch("work").create("main")
    branch.object("_lakefs_actions/bad.yaml").upload(text.encode(), mode="wb")
    with pytest.raises(exceptions.ServerException, match="parsing file") as raised:
        branch.commit("bad")
    assert raised.value.status_code == 500
    branch.object("_lakefs_actions/bad.yaml").delete()
    commit(branch, {"good": b"1"})


# ----------------------------------------------------------------- protection
def test_a_protected_branch_moves_by_merge_and_may_still_be_deleted(repo):
    main = repo.branch("main")
    work = branched(repo, "work", {"a": b"1"})
    protect(repo, "main")
    refused = exceptions.ForbiddenException, exceptions.PermissionException
    with pytest.raises(refused):
        main.commit("no", allow_empty=True)
    with pytest.raises(refused):
        main.object("x").upload(b"1", mode="wb")
    with pytest.raises(lakefs_sdk.exceptions.ForbiddenException):
        upload(repo, "main", "x", force=True)
    with pytest.raises((*refused, lakefs_sdk.exceptions.ForbiddenException)):
        main.object("a").delete()
    with pytest.raises(lakefs_sdk.exceptions.ForbiddenException):
        api(repo).experimental_api.hard_reset_branch(repo.id, "main", ref="work")
    api(repo).branches_api.reset_branch(repo.id, "work", lakefs_sdk.ResetCreation(type="reset"))
    work.merge_into("main")
    assert main.object("a").exists()
    repo.branch("probe").delete()
