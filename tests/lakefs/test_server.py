"""What was seen on a real lakeFS server, held against the server that the tests run on.

Run by ``make test-lakefs``, the same sentences hold a real server to it.
"""

import hashlib
import threading
import time

import lakefs
import lakefs_sdk
import pytest
import urllib3
from lakefs import exceptions

from tests.lakefs.conftest import a_client

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


def api(repo):
    return repo._client.sdk_client


def commit(branch, files, message="change", **options):
    for path, data in files.items():
        if data is None:
            branch.object(path).delete()
        else:
            branch.object(path).upload(data, mode="wb")
    return branch.commit(message, **options).id


def branched(repo, name, files, at="main", **options):
    branch = repo.branch(name).create(at, **options)
    commit(branch, files)
    return branch


def upload(repo, branch, path, data=b"1", **options):
    return api(repo).objects_api.upload_object(repo.id, branch, path, content=data, **options)


def paths(ref):
    return [stat.path for stat in ref.objects()]


def protect(repo, pattern):
    """Protect branches and wait until it is so."""
    rules = [lakefs_sdk.BranchProtectionRule(pattern=name) for name in (pattern, "probe")]
    repo.branch("probe").create("main", exist_ok=True)
    api(repo).repositories_api.set_branch_protection_rules(repo.id, rules)
    for _ in range(600):
        try:
            upload(repo, "probe", f"{time.monotonic_ns()}")
        except lakefs_sdk.exceptions.ForbiddenException:
            return
        time.sleep(0.02)
    pytest.fail("the rule never took effect")


# -------------------------------------------------------------------- objects
def test_an_object_reads_as_it_was_written(repo):
    branch, data = repo.branch("work").create("main"), bytes(range(256)) * 40
    stored = branch.object("a/b.bin").upload(data, mode="wb", metadata={"sha256": "ab"})

    stat = stored.stat()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert (stat.checksum, stat.size_bytes, stat.metadata) == (md5, len(data), {"sha256": "ab"})
    reader = stored.reader()
    assert reader.read() == data
    assert reader.seek(len(data) - 4) == len(data) - 4
    assert (reader.read(100), reader.read(1)) == (data[-4:], b"")
    with pytest.raises(lakefs_sdk.ApiException) as raised:
        api(repo).objects_api.get_object(repo.id, "work", "a/b.bin", range="bytes=99999-")
    assert raised.value.status == 416


def test_a_branch_shows_what_is_staged_and_its_commits_do_not(repo):
    branch = branched(repo, "work", {"a": b"1"})
    branch.object("b").upload(b"2", mode="wb")
    branch.object("a").delete()

    assert paths(branch) == ["b"]
    assert paths(repo.ref("work@")) == ["a"]
    assert paths(repo.ref(branch.get_commit().id[:12])) == ["a"]
    assert [(change.type, change.path) for change in branch.uncommitted()] == [
        ("removed", "a"),
        ("added", "b"),
    ]


def test_equal_bytes_again_are_no_change_and_other_metadata_is_one(repo):
    branch = branched(repo, "work", {"a": b"1"})
    branch.object("a").upload(b"1", mode="wb")
    assert list(branch.uncommitted()) == []
    with pytest.raises(exceptions.BadRequestException, match="commit: no changes"):
        branch.commit("nothing")
    branch.object("a").upload(b"1", mode="wb", metadata={"label": "new"})
    assert [change.type for change in branch.uncommitted()] == ["changed"]
    branch.commit("a label")


def test_the_same_bytes_twice_are_two_physical_objects(repo):
    branch = repo.branch("work").create("main")
    one = branch.object("one").upload(b"same", mode="wb")
    branch.object("two").upload(b"same", mode="wb")
    copied = one.copy("work", "three")
    stats = [branch.object(path).stat() for path in ("one", "two")] + [copied.stat()]
    assert len({stat.physical_address for stat in stats}) == 3
    assert len({stat.checksum for stat in stats}) == 1


def test_an_update_of_user_metadata_replaces_all_of_it(repo):
    branch = repo.branch("work").create("main")
    stored = branch.object("a").upload(b"1", mode="wb", metadata={"sha256": "ab"})
    update = lakefs_sdk.UpdateObjectUserMetadata(set={"note": "x"})
    api(repo).experimental_api.update_object_user_metadata(repo.id, "work", "a", update)
    assert stored.stat().metadata == {"note": "x"}


def test_a_listing_comes_in_pages_and_in_folders(repo):
    branch = repo.branch("work").create("main")
    names = sorted([f"many/{number:04d}" for number in range(25)] + ["a", "z", "many.txt"])
    for name in names:
        branch.object(name).upload(b"", mode="wb", metadata={"sha256": "ab"})
    lists = api(repo).objects_api.list_objects

    page = lists(repo.id, "work", amount=10, user_metadata=False)
    assert [stat.path for stat in page.results] == names[:10]
    assert (page.pagination.has_more, page.pagination.next_offset) == (True, names[9])
    assert not page.results[0].metadata
    after = lists(repo.id, "work", after=names[9], amount=1000)
    assert [stat.path for stat in after.results] == names[10:]
    assert after.pagination.has_more is False
    folders = lists(repo.id, "work", delimiter="/").results
    assert [(found.path, found.path_type) for found in folders] == [
        ("a", "object"),
        ("many.txt", "object"),
        ("many/", "common_prefix"),
        ("z", "object"),
    ]
    assert len(lists(repo.id, "work", prefix="many/000").results) == 10


def test_names_that_no_folder_could_hold_are_taken(repo):
    branch = repo.branch("work").create("main")
    odd = ["../../etc/passwd", "//x", "a", "a/b", "dir/", "é中", "x" * 1024]
    for name in odd:
        branch.object(name).upload(b"1", mode="wb")
    assert sorted(odd) == paths(branch)
    for name in ("", "x" * 1025):
        with pytest.raises(lakefs_sdk.exceptions.BadRequestException):
            upload(repo, "work", name)


def test_a_thousand_objects_go_in_one_call_and_no_more(repo):
    branch = branched(repo, "work", {"a": b"1", "b": b"1"})
    objects = api(repo).objects_api
    objects.delete_objects(repo.id, "work", lakefs_sdk.PathList(paths=["a", "never-there"]))
    assert paths(branch) == ["b"]
    many = lakefs_sdk.PathList(paths=[f"x{number}" for number in range(1001)])
    with pytest.raises(lakefs_sdk.ApiException):
        objects.delete_objects(repo.id, "work", many)


# ---------------------------------------------------------------- conditional
def test_a_new_path_is_taken_once_even_in_a_race(repo):
    repo.branch("work").create("main")
    statuses = []

    def create():
        try:
            upload(repo, "work", "once", if_none_match="*")
            statuses.append(201)
        except lakefs_sdk.ApiException as error:
            statuses.append(error.status)

    threads = [threading.Thread(target=create) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [412] * 15
    with pytest.raises(exceptions.ObjectExistsException) as raised:
        repo.branch("work").object("once").upload(b"2", mode="xb")
    assert raised.value.status_code is None


@pytest.mark.parametrize("condition", [{"if_match": "x"}, {"if_none_match": '"*"'}])
def test_any_other_condition_is_not_implemented(repo, condition):
    repo.branch("work").create("main")
    with pytest.raises(lakefs_sdk.exceptions.ServiceException) as raised:
        upload(repo, "work", "a", **condition)
    assert raised.value.status == 501


# ----------------------------------------------------------------------- refs
def test_names_of_branches_have_neither_dot_nor_slash_and_tags_may_have_dots(repo):
    for name in ("a/b", "v1.0", "-x", ""):
        with pytest.raises((exceptions.BadRequestException, lakefs_sdk.ApiException)):
            repo.branch(name).create("main")
    repo.branch("Under_score-9").create("main")
    repo.tag("v1.0").create("main")
    with pytest.raises(exceptions.BadRequestException):
        repo.tag("v1/0").create("main")


def test_what_exists_is_not_made_again(repo):
    repo.branch("work").create("main")
    repo.tag("t").create("main")
    for again in (repo.branch("work"), repo.tag("t"), repo.tag("work")):
        with pytest.raises(exceptions.ConflictException) as raised:
            again.create("main")
        assert raised.value.status_code == 409
    namespace = repo.properties.storage_namespace
    with pytest.raises(exceptions.ConflictException):
        lakefs.Repository(repo.id, client=repo._client).create(storage_namespace="local://x/y")
    other = lakefs.Repository(f"{repo.id}-2", client=repo._client)
    with pytest.raises(exceptions.BadRequestException, match="namespace already in use"):
        other.create(storage_namespace=namespace)


def test_what_is_not_there_is_said_so(repo):
    for missing in (
        lambda: repo.branch("none").head.id,
        lambda: repo.ref("none").get_commit(),
        lambda: repo.tag("none").get_commit(),
        lambda: repo.branch("none").object("a").upload(b"1", mode="wb"),
        lambda: lakefs.Repository("no-such-repository", client=repo._client).metadata,
        lambda: repo.branch("main").object("none").reader().read(),
    ):
        with pytest.raises(exceptions.NotFoundException) as raised:
            missing()
        assert raised.value.status_code == 404
    with pytest.raises(exceptions.ObjectNotFoundException):
        repo.branch("main").object("none").stat()
    assert not repo.branch("main").object("none").exists()


def test_a_head_request_says_nothing_of_its_failure(repo):
    with pytest.raises(lakefs_sdk.ApiException) as raised:
        api(repo).objects_api.head_object(repo.id, "main", "none")
    assert (raised.value.status, raised.value.body) == (404, b"")


def test_hidden_branches_are_listed_when_asked_for(repo):
    repo.branch("seen").create("main")
    repo.branch("unseen").create("main", hidden=True)
    lists = api(repo).branches_api.list_branches
    assert [ref.id for ref in lists(repo.id).results] == ["main", "seen"]
    assert [ref.id for ref in lists(repo.id, show_hidden=True).results] == [
        "main",
        "seen",
        "unseen",
    ]


def test_refs_are_reached_by_prefix_and_by_generation(repo):
    first = repo.branch("main").get_commit().id
    work = branched(repo, "work", {"a": b"1"})
    merged = work.merge_into("main")
    assert repo.ref("main^2").get_commit().id == work.get_commit().id
    for expression in ("main~1", "main^1", f"{merged[:12]}~", "work~1"):
        assert repo.ref(expression).get_commit().id == first
    for expression in ("main~9", "main^3", "work^2"):
        with pytest.raises(exceptions.NotFoundException):
            repo.ref(expression).get_commit()


def test_the_default_branch_stays(repo):
    with pytest.raises(exceptions.ForbiddenException):
        repo.branch("main").delete()


def test_what_is_deleted_leaves_its_commits(repo):
    work = branched(repo, "work", {"a": b"1"})
    commit_id = work.get_commit().id
    work.delete()
    assert repo.ref(commit_id).object("a").reader().read() == b"1"


# -------------------------------------------------------------------- commits
def test_a_commit_says_what_it_was_given(repo):
    branch = repo.branch("work").create("main")
    branch.object("a").upload(b"1", mode="wb")
    made = branch.commit("why\n\nat length", metadata={"key": "value"}, date=1_700_000_000)
    said = made.get_commit()
    assert (said.message, said.metadata) == ("why\n\nat length", {"key": "value"})
    assert said.creation_date == 1_700_000_000
    assert said.parents == [repo.branch("main").get_commit().id]
    with pytest.raises(exceptions.BadRequestException):
        branch.commit("nothing")
    assert branch.commit("nothing", allow_empty=True).get_commit().parents == [said.id]


def test_a_commit_may_take_the_tree_of_another(repo):
    one = branched(repo, "one", {"a": b"1", "b": b"2"})
    two = branched(repo, "two", {"c": b"3"})
    commits = api(repo).commits_api
    made = commits.commit(
        repo.id,
        "two",
        lakefs_sdk.CommitCreation(message="as on one"),
        source_metarange=one.get_commit().meta_range_id,
    )
    assert paths(two) == ["a", "b"]
    assert len(made.parents) == 1


def test_a_log_comes_newest_first_and_by_what_changed(repo):
    branch = repo.branch("work").create("main")
    ids = [commit(branch, {f"f{number % 2}": b"%d" % number}) for number in range(6)]
    log = [found.id for found in branch.log()]
    assert log[:6] == ids[::-1]
    assert len(log) == 7
    by_object = api(repo).refs_api.log_commits(repo.id, "work", objects=["f1"]).results
    assert [found.id for found in by_object] == [ids[5], ids[3], ids[1]]
    page = api(repo).refs_api.log_commits(repo.id, "work", amount=2)
    assert page.pagination.has_more
    assert [found.id for found in page.results] == [ids[5], ids[4]]
    after = page.pagination.next_offset
    rest = api(repo).refs_api.log_commits(repo.id, "work", after=after, amount=2)
    assert [found.id for found in rest.results] == [ids[3], ids[2]]


def test_a_hard_reset_moves_a_clean_branch(repo):
    work = branched(repo, "work", {"a": b"1"})
    reset = api(repo).experimental_api.hard_reset_branch
    reset(repo.id, "work", ref="main")
    assert work.get_commit().id == repo.branch("main").get_commit().id
    work.object("staged").upload(b"1", mode="wb")
    with pytest.raises(lakefs_sdk.ApiException) as raised:
        reset(repo.id, "work", ref="main")
    assert raised.value.status == 400


# --------------------------------------------------------------------- merges
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
    commit(repo.branch("main"), {"same": b"0", "gone": b"0", "like": b"0"})
    ours = branched(repo, "ours", {"same": b"o", "gone": b"o", "like": b"x", "mine": b"o"})
    theirs = branched(repo, "theirs", {"same": b"t", "gone": None, "like": b"x", "new": b"t"})
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


# --------------------------------------------------------------------- access
def test_a_stranger_is_refused(server, repo):
    stranger = lakefs.Client(host=server.endpoint, username="x", password="y")  # noqa: S106
    with pytest.raises(exceptions.NotAuthorizedException) as raised:
        lakefs.Repository(repo.id, client=stranger).branch("main").head  # noqa: B018
    assert raised.value.status_code == 401


def test_the_server_calls_itself_dev_and_signs_no_addresses(fake):
    client = a_client(fake)
    assert client.version == "dev"
    assert client.storage_config.pre_sign_support is False
    setup = lakefs_sdk.Setup(username="admin")
    with pytest.raises(lakefs_sdk.ApiException) as raised:
        client.sdk_client.internal_api.setup(setup)
    assert raised.value.status == 409


# --------------------------------------------------------------------- faults
def test_an_upload_answered_429_has_been_applied(fake, fake_repo):
    branch = fake_repo.branch("work").create("main")
    said = "Too many attempts, try again later"
    fake.faults.add("POST .*/objects", status=429, message=said, applied=True)
    with pytest.raises(exceptions.ServerException, match="Too many attempts") as raised:
        branch.object("a").upload(b"1", mode="wb")
    assert raised.value.status_code == 429
    assert branch.object("a").reader().read() == b"1"


def test_a_fault_hits_the_requests_it_names(fake, fake_repo):
    fake.faults.add(r"GET .*/branches/main$", nth=2, times=2, status=500)
    seen = []
    for _ in range(5):
        try:
            seen.append(bool(api(fake_repo).branches_api.get_branch(fake_repo.id, "main")))
        except lakefs_sdk.exceptions.ServiceException:
            seen.append(False)
    assert seen == [True, False, False, True, True]


def test_a_stopped_server_is_a_transport_error_and_comes_back_as_it_was(fake, fake_repo):
    branch = branched(fake_repo, "work", {"a": b"1"})
    fake.stop()
    with pytest.raises(urllib3.exceptions.HTTPError):
        branch.get_commit()
    fake.start()
    assert branch.object("a").reader().read() == b"1"


def test_a_cut_upload_leaves_nothing(fake, fake_repo):
    branch = fake_repo.branch("work").create("main")
    fake.faults.add("POST .*/objects", upload_bytes=1 << 20, times=None)
    with pytest.raises(urllib3.exceptions.HTTPError):
        branch.object("large").upload(bytes(8 << 20), mode="wb")
    fake.faults.clear()
    assert paths(branch) == []
    assert list(fake.state.storage.folder.iterdir()) == []


def test_a_server_may_list_what_was_never_stored(fake, fake_repo):
    branch = branched(fake_repo, "work", {"a": b"1"})

    def hostile(document):
        document["results"][0]["path"] = "../../etc/passwd"
        return document

    fake.faults.add("GET .*/objects/ls", rewrite=hostile)
    assert paths(branch) == ["../../etc/passwd"]
    assert paths(branch) == ["a"]
