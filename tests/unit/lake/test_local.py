"""What the embedded lake does beyond the contract."""

import json
import os
import subprocess
import sys
import threading

import pytest

from registry import lake
from registry.errors import CorruptError
from registry.lake.local import disk, folders, objects, trees
from registry.lake.local.git import Batch


@pytest.fixture
def repo(tmp_path):
    return lake.init(str(tmp_path / "lake")).create("ships")


def fill(repo, files, branch="main", message="change", **options):
    with repo.transaction(branch, message=message, **options) as transaction:
        for path, data in files.items():
            transaction.put(path, data)
    return transaction.commit.id


def git(repo, *arguments):
    result = subprocess.run(
        ["git", "-C", str(repo._layout.root), *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stderr == ""
    return result.stdout


def test_git_reads_the_history_and_finds_no_fault(repo):
    fill(repo, {"b.txt": b"1", "b/x": b"2"})
    repo.create_branch("anna/fix", at="main")
    fill(repo, {f"many/{number}": b"%d" % number for number in range(100)}, branch="anna/fix")
    fill(repo, {"b0": b"3"}, message="why\n\nbecause", metadata={"content-id": "abc"})
    merged = repo.merge("anna/fix", into="main", message="merge").id
    repo.create_tag("v1", at="main", message="first release")
    assert git(repo, "fsck", "--full", "--strict") == ""
    assert git(repo, "rev-parse", "main").strip() == merged
    assert git(repo, "log", "-1", "--format=%s", "main").strip() == "merge"
    assert git(repo, "tag", "-n").split() == ["v1", "first", "release"]
    said = git(repo, "log", "-1", "--format=%(trailers:key=content-id,valueonly)", "main^1")
    assert said.strip() == "abc"
    assert git(repo, "ls-tree", "-r", "--name-only", "main").count("\n") == 103
    assert "oid sha256:" in git(repo, "show", "main:b.txt")


def test_objects_lie_as_git_lfs_lays_them(repo):
    fill(repo, {"a": b"hello"})
    sha256 = repo.entry("a", at="main").sha256
    file = repo._layout.root / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
    assert file.read_bytes() == b"hello"
    assert not os.access(file, os.W_OK) or os.getuid() == 0
    assert file.stat().st_mode & 0o222 == 0


def test_many_commits_are_packed_now_and_then(repo, monkeypatch):
    monkeypatch.setattr("registry.lake.local.git.LOOSE_SAMPLE", 2)
    monkeypatch.setattr("registry.lake.local.git.MANY_PACKS", 1)
    for number in range(250):
        fill(repo, {f"d{number % 7}/f": b"%d" % number})
    objects = repo._layout.git_objects
    assert list((objects / "pack").glob("*.pack"))
    assert git(repo, "fsck", "--full", "--strict", "--no-dangling") == ""
    assert len(list(repo.log("main"))) == 251


def test_refs_that_git_packed_are_understood(repo):
    first = fill(repo, {"a": b"1"})
    repo.create_branch("b", at="main")
    repo.create_tag("v1", at="main", message="annotated")
    git(repo, "pack-refs", "--all")
    assert repo.branches() == {"b": first, "main": first}
    assert repo.tags() == {"v1": first}
    fill(repo, {"a": b"2"})
    repo.delete_branch("b")
    assert list(repo.branches()) == ["main"]
    assert repo.resolve("main") != first
    assert git(repo, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main", "refs/tags/v1",
    ]  # fmt: skip
    assert list(repo.fsck()) == []


def test_a_branch_that_git_packed_is_deleted_and_made_again(repo):
    repo.create_branch("anna/fix", at="main")
    git(repo, "pack-refs", "--all", "--prune")
    repo.delete_branch("anna/fix")
    assert list(repo.branches()) == ["main"]
    repo.create_branch("anna/fix", at="main")
    assert list(repo.branches()) == ["anna/fix", "main"]


def test_what_only_a_packed_branch_needs_is_missed_by_fsck(repo):
    repo.create_branch("b", at="main")
    fill(repo, {"a": b"1"}, branch="b")
    git(repo, "pack-refs", "--all", "--prune")
    assert list(repo.fsck()) == []
    repo._layout.object(repo.entry("a", at="b").sha256).unlink()
    assert ["it is missing" in damage.problem for damage in repo.fsck()] == [True]


def test_a_commit_stands_though_its_objects_are_packed_while_it_is_written(repo, monkeypatch):
    flush = disk.make_durable

    def flush_after_somebody_packed(files, folders):
        monkeypatch.setattr(disk, "make_durable", flush)
        repo._git._tidy()
        monkeypatch.setattr(disk, "make_durable", flush_after_somebody_packed)
        flush(files, folders)

    monkeypatch.setattr("registry.lake.local.git.LOOSE_SAMPLE", 0)
    monkeypatch.setattr(disk, "make_durable", flush_after_somebody_packed)
    fill(repo, {"a": b"1"})
    assert repo.read("a", at="main") == b"1"


def test_threads_read_while_others_sweep(repo):
    shared, ended, wrong = repo._git, threading.Event(), []

    def read():
        while not ended.is_set():
            try:
                shared.is_stored("0" * 40)
            except AttributeError as error:
                wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for number in range(2_000):
        repo._layout.swept.touch()
        os.utime(repo._layout.swept, ns=(number, number))
        shared.catch_up()
    ended.set()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(usual)
    assert not wrong


@pytest.mark.parametrize("name", ["..", "a/../../b", ".git"])
def test_a_name_that_a_stranger_pushed_leads_nowhere(repo, tmp_path, name):
    fill(repo, {"a": b"1"})
    blob, batch = trees.find(repo._git.tree, repo._tree("main"), "a"), Batch(repo._git)
    inner = batch.add("tree", trees.serialise({b"evil": blob}))
    outer = batch.add("tree", trees.serialise({name.encode(): trees.Node(folder=True, id=inner)}))
    batch.write()
    commit = git(repo, "commit-tree", outer.hex(), "-m", "evil").strip()
    git(repo, "update-ref", "refs/heads/evil", commit)
    for use in (
        lambda: repo.locate("evil"),
        lambda: repo.mount("evil", tmp_path / "out" / "here"),
        lambda: list(repo.entries("evil")),
    ):
        with pytest.raises(CorruptError, match="none may have"):
            use()
    assert list(tmp_path.rglob("evil*")) == [repo._layout.root / "refs" / "heads" / "evil"]
    assert ["none may have" in damage.problem for damage in repo.fsck()] == [True]


def test_a_commit_that_makes_no_sense_is_found_and_stops_nobody(repo):
    batch = Batch(repo._git)
    tree = repo._tree("main").hex()
    strange = batch.add("commit", f"tree {tree}\nauthor a <b> soon +0000\n\nx\n".encode())
    batch.write()
    repo.gc()
    git(repo, "update-ref", "refs/heads/strange", strange.hex())
    assert [damage.what for damage in repo.fsck()] == [f"commit {strange.hex()}"]


@pytest.mark.parametrize(
    "wrong",
    [{"ref": 1}, {"before": 1}, {"after": "main"}, {"at": "2020-01-01"}, {"at": 5}, {"author": []}],
)
def test_a_reflog_with_anything_in_it_stops_nobody(repo, wrong):
    known = list(repo.reflog())
    entry = json.loads(repo._layout.reflog.read_bytes()) | wrong
    with repo._layout.reflog.open("a") as file:
        file.write(json.dumps(entry) + "\n[]\n1\n")
    repo.gc()
    head = fill(repo, {"a": b"1"})
    assert [movement.after for movement in repo.reflog()] == [head, *(m.after for m in known)]
    assert [damage.what for damage in repo.fsck()] == ["reflog"]


def test_equal_bytes_are_stored_once(repo):
    fill(repo, {"a": b"same", "b/c": b"same"})
    fill(repo, {"d": b"same"})
    assert repo.statistics().objects == 1


def test_table_files_of_a_workspace_are_the_stored_ones(repo):
    files = {"README.md": b"r", "t/_delta_log/0.json": b"{}", "t/_delta_log/_last_checkpoint": b"c",
             "t/p.parquet": b"p"}  # fmt: skip
    fill(repo, files)
    with repo.workspace("main") as workspace:
        links = {path: (workspace.path / path).stat().st_nlink > 1 for path in files}
        (workspace.path / "t/new.parquet").write_bytes(b"new")
        (workspace.path / "t/.new.parquet.crc").write_bytes(b"hadoop's")
        (workspace.path / "t/_delta_log/.tmp").mkdir()
        workspace.commit("more")
        assert (workspace.path / "t/new.parquet").stat().st_nlink == 2
    assert links == {
        "README.md": False, "t/_delta_log/0.json": True, "t/_delta_log/_last_checkpoint": False,
        "t/p.parquet": True,
    }  # fmt: skip
    assert {entry.path for entry in repo.entries("main")} == {*files, "t/new.parquet"}


def test_a_file_written_while_a_workspace_commits_it_is_in_the_next_commit(repo, monkeypatch):
    with repo.workspace("main") as workspace:
        file = workspace.path / "a"
        file.write_bytes(b"one")
        stage = objects.stage_file

        def stage_and_write(source, *arguments, **options):
            pointer = stage(source, *arguments, **options)
            file.write_bytes(b"two")
            return pointer

        monkeypatch.setattr(objects, "stage_file", stage_and_write)
        workspace.commit("first")
        monkeypatch.setattr(objects, "stage_file", stage)
        workspace.commit("second")
        assert repo.read("a", at="main") == b"two"
        file.unlink()
        workspace.commit("third")
    assert list(repo.entries("main")) == []


def test_a_table_is_the_folder_above_its_log():
    assert folders.table_of("_delta_log/0.json") == ""
    assert folders.table_of("a/b/_delta_log/x/0.json") == "a/b"
    assert folders.table_of("a/_delta_logs/0.json") is None
    assert folders.inside("a/b/c", frozenset({"a"})) == "a"
    assert folders.inside("ab/c", frozenset({"a"})) is None


def test_views_are_shared_by_commits_of_equal_trees(repo):
    first = fill(repo, {"a": b"1"})
    fill(repo, {"a": b"2"})
    third = fill(repo, {"a": b"1"})
    assert repo.locate(first) == repo.locate(third)


def test_a_copy_in_a_view_that_changed_is_found(repo, monkeypatch):
    monkeypatch.setattr(disk, "_on_network", lambda _: True)
    fill(repo, {"a": b"hello", "b": b"world"})
    view = repo.locate("main").path
    assert list(repo.fsck()) == []
    (view / "a").write_bytes(b"jello")
    (view / "b").unlink()
    assert [damage.what.partition(":")[2] for damage in repo.fsck()] == ["a", "b"]


def test_mount_points_tell_network_file_systems_apart(tmp_path, monkeypatch):
    lines = "\n".join([
        "1 0 8:1 / / rw - ext4 /dev/vda rw",
        f"2 1 0:1 / {tmp_path}/nfs rw shared:1 - nfs4 server:/x rw",
        f"3 2 0:2 / {tmp_path}/nfs/local rw - xfs /dev/vdb rw",
    ])
    monkeypatch.setattr("pathlib.Path.read_text", lambda _: lines)
    told = {name: disk.is_network(f"{tmp_path}/{name}") for name in ("x", "nfs", "nfs/a", "nfsx",
                                                                      "nfs/local/a")}  # fmt: skip
    assert told == {"x": False, "nfs": True, "nfs/a": True, "nfsx": False, "nfs/local/a": False}
