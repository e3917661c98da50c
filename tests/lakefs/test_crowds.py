"""Several clients of one repository on a server, some of them not ours."""

import threading
from concurrent.futures import ThreadPoolExecutor

import lakefs_sdk
import pyarrow as pa
import pytest

from registry.catalog import MergeConflictError, Spec
from registry.catalog.registry import Registry
from registry.errors import ConflictError, NotFoundError
from registry.lake import connect
from registry.tables import edit
from registry.tables.schemas import SAMPLES
from tests.lakefs.conftest import a_client, hidden
from tests.lakefs.operations import content, put


def test_two_merges_into_one_branch_at_once_both_arrive_or_say_why(ships, place):
    ships.create_branch("ben/fix", at="main")
    put(ships, "ben/fix", {"ben": b"b"})
    done, refused = [], []

    def merge(branch):
        try:
            connect(place).repository("ships").merge(branch, into="main", message=branch)
            done.append(branch)
        except ConflictError:
            refused.append(branch)

    threads = [threading.Thread(target=merge, args=(name,)) for name in ("anna/fix", "ben/fix")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for branch in refused:
        ships.merge(branch, into="main", message=branch)
    found = content(ships, "main")
    assert {path: found[path] for path in ("b", "c", "ben")} == {"b": b"2", "c": b"3", "ben": b"b"}
    assert "gone" not in found


def test_writers_of_one_branch_lose_nothing(ships, place):
    def write(number):
        other = connect(place).repository("ships")
        put(other, "main", {f"w{number}": b"%d" % number}, message=f"w{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    found = content(ships, "main")
    assert [found[f"w{number}"] for number in range(24)] == [b"%d" % n for n in range(24)]
    messages = [one.message for one in ships.log("main")]
    assert sorted(m for m in messages if m.startswith("w")) == sorted(f"w{n}" for n in range(24))


def test_another_client_that_merges_at_the_worst_moment_is_kept(ships, fake):
    foreign = a_client(fake).sdk_client

    def meanwhile():
        source = lakefs_sdk.BranchCreation(name="foreign", source="main")
        foreign.branches_api.create_branch("ships", source)
        foreign.objects_api.upload_object("ships", "foreign", "foreign.txt", content=b"f")
        said = lakefs_sdk.CommitCreation(message="foreign")
        foreign.commits_api.commit("ships", "foreign", said)
        foreign.refs_api.merge_into_branch("ships", "foreign", "main")

    fake.faults.add(r"POST .*/merge/main", meanwhile=meanwhile)
    put(ships, "main", {"d": b"4"})
    found = content(ships, "main")
    assert (found["d"], found["foreign.txt"]) == (b"4", b"f")


def test_objects_staged_on_a_shared_branch_are_told_and_left(ships, fake):
    objects = a_client(fake).sdk_client.objects_api
    objects.upload_object("ships", "main", "staged.txt", content=b"s")
    with pytest.raises(ConflictError, match="staged") as raised:
        put(ships, "main", {"d": b"4"})
    assert "lakectl" in raised.value.hint
    assert "d" not in content(ships, "main")


@pytest.mark.parametrize("victim", ["anna__fix", "into"])
def test_a_branch_that_is_deleted_while_it_is_merged_is_told(ships, fake, victim):
    ships.create_branch("into", at="main")
    before = content(ships, "main")
    api = a_client(fake).sdk_client.branches_api
    fake.faults.add("POST .*/merge/into$", meanwhile=lambda: api.delete_branch("ships", victim))
    if victim == "into":
        with pytest.raises((NotFoundError, ConflictError)) as raised:
            ships.merge("anna/fix", into="into", message="merge")
        assert raised.value.hint
        with pytest.raises(NotFoundError):
            ships.resolve("into")
    else:  # its commits are there, so it is merged all the same
        ships.merge("anna/fix", into="into", message="merge")
        assert content(ships, "into")["b"] == b"2"
    assert content(ships, "main") == before
    assert [branch for branch in hidden(fake) if "tx-" in branch] == []


def test_tables_merged_into_one_branch_at_once_keep_every_row(place, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    registry = Registry(lake=connect(place))
    start = registry.create(Spec(name="ships"))

    def add(draft, *names):
        with draft.edit(f"add {', '.join(names)}") as root:
            rows = [{"id": name} for name in names]
            edit.upsert(root, SAMPLES, pa.Table.from_pylist(rows, schema=SAMPLES.arrow))

    add(start, "first")
    registry.branch("ships", "into", at=start.head)
    branches = [f"by-{number}" for number in range(4)]
    for name in branches:
        add(registry.branch("ships", name, at=start.head), name)

    def merge(name):
        for attempt in range(20):
            try:
                Registry(lake=connect(place)).merge("ships", name, "into")
            except MergeConflictError:
                raise
            except ConflictError:
                continue
            else:
                return attempt
        return None

    with ThreadPoolExecutor(4) as pool:
        attempts = list(pool.map(merge, branches))
    assert None not in attempts
    found = registry.resolve("ships@into").table("samples")["id"].to_pylist()
    assert sorted(found) == [*branches, "first"]
