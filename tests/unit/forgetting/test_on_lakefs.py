"""A purge on lakeFS: nothing of ours leads to what was forgotten; the server's store is told of."""

import uuid

import pytest

from registry import lake
from registry.catalog import Registry
from registry.catalog.forgetting.purging import Wanted, purge, purges
from registry.errors import NotFoundError
from registry.tables import edit
from tests.lakefs.server import running_server


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        yield running


@pytest.fixture
def remote(server, told_into, tmp_path, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry = Registry(lake=lake.init(f"lakefs:///t{uuid.uuid4().hex[:12]}"))
    return told_into(registry, tmp_path)


def test_a_purge_does_on_lakefs_what_it_does_on_disk(remote, canary):
    registry, repository = remote.registry, remote.repository
    done = purge(repository, Wanted(where=f"id = '{canary}'"), reason="a person asked")
    assert done.left_on_server
    for ref in ("v1", "v2", "v3", "anna/fix", "main"):
        version = registry.resolve(f"ships@{ref}")
        assert canary not in version.table("samples")["id"].to_pylist()
        assert canary not in version.table("annotations")["sample"].to_pylist()
    assert registry.resolve("ships@v1").commit.id == remote.commits["v1"]
    old = registry.resolve(f"ships@{remote.commits['v2']}")
    assert old.commit.id == registry.resolve("ships@v2").commit.id
    with pytest.raises(NotFoundError):
        repository.commit(remote.commits["v2"])
    assert len(purges(repository)) == 1
    assert remote.hits(canary.encode()) == []
    assert list(repository.fsck()) == []
    again = purge(repository, Wanted(where=f"id = '{canary}'"), reason="a person asked")
    assert again.commits == 0
    assert again.finished == 0


def test_a_log_of_files_that_no_commit_has_is_told_again_there_too(remote, canary):
    with remote.registry.draft("ships", "anna/fix").edit("in steps") as root:
        for number in range(3):
            edit.update(
                root, "annotations", set={"category": f"'step {number}'"},
                where=f"sample = '{canary}'",
            )  # fmt: skip
    purge(remote.repository, Wanted(samples=[canary]), reason="a person asked")
    logs = [
        remote.repository.read(entry.path, at=commit.id)
        for commit in remote.repository.log("anna/fix")
        for entry in remote.repository.entries(commit.id, "annotations/_delta_log")
    ]
    assert len(logs) > 4
    assert not [one for one in logs if canary.encode() in one]
    assert remote.hits(canary.encode()) == []


def test_what_only_older_commits_have_is_told_again_from_any_machine(
    remote, canary, tmp_path, monkeypatch
):
    draft = remote.registry.draft("ships", "anna/fix")
    with draft.edit("a file") as root:
        (root / "old.bin").write_bytes(b"\x00\xff" * 500)
    with draft.edit("no file any more") as root:
        (root / "old.bin").unlink()
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "another machine"))
    repository = lake.connect(remote.registry.lake.address).repository("ships")
    purge(repository, Wanted(where=f"id = '{canary}'"), reason="a person asked")
    had = list(repository.log("anna/fix"))[1]
    assert had.message == "a file"
    assert repository.read("old.bin", at=had.id) == b"\x00\xff" * 500
