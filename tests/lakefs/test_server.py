"""What was seen on a real lakeFS server, held against the server that the tests run on.

Run by ``make test-lakefs``, the same sentences hold a real server to it.
"""

import hashlib
import threading

import lakefs
import lakefs_sdk
import pytest
import urllib3
from lakefs import exceptions

from tests.lakefs.conftest import a_client
from tests.lakefs.native import api, branched, commit, paths, upload


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
        lakefs.Repository(repo.id, client=repo._client).create(storage_namespace=f"{namespace}-2")
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
        with pytest.raises(exceptions.ServerException):
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
