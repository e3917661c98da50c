"""Full disks, read-only folders, flipped bits and clocks that run backwards."""

import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest

from registry import lake
from registry.errors import (
    CorruptError,
    ForbiddenError,
    RegistryError,
    UnavailableError,
)


@pytest.fixture
def repo(tmp_path):
    return lake.init(str(tmp_path / "lake")).create("ships")


def fill(repo, files, branch="main", message="change"):
    with repo.transaction(branch, message=message) as transaction:
        for path, data in files.items():
            transaction.put(path, data)
    return transaction.commit.id


# ----------------------------------------------------------------------------- full
def test_a_full_disk_stops_a_commit_and_nothing_is_half_done(disk):
    repo = lake.init(str(disk.folder / "lake")).create("ships")
    fill(repo, {"a": b"1"})
    first = repo.resolve("main")
    chance = random.Random(1)  # noqa: S311 — repeatable, no secret
    acknowledged = [first]

    def fill_up(size):
        while True:
            acknowledged.append(fill(repo, {f"big/{len(acknowledged)}": chance.randbytes(size)}))

    small = (400_000, 200_000, 100_000) if disk.is_mounted else ()  # a limit stops large ones
    for size in (3_000_000, 1_200_000, 700_000, *small):
        with disk.room(2_000), pytest.raises(UnavailableError, match="room"):
            fill_up(size)
        assert repo.resolve("main") == acknowledged[-1]
        assert list(repo.fsck()) == []
    assert len(acknowledged) > 1 or not disk.is_mounted
    repo.reset("main", to=first)
    repo.gc(grace=timedelta(0))
    fill(repo, {"there is room again": b"x" * 500_000})
    assert repo.read("a", at="main") == b"1"
    assert list(repo.fsck()) == []


def test_a_limit_on_file_sizes_is_told_as_a_full_disk(repo, in_a_child):
    fill(repo, {"a": b"1"})
    before = repo.resolve("main")

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        with pytest.raises(UnavailableError, match="store big"):
            fill(repo, {"small": b"2", "big": b"x" * 100_000})

    in_a_child(work)
    assert repo.resolve("main") == before
    assert list(repo.fsck()) == []


@pytest.mark.parametrize("limit", [0, 20, 100, 150, 200, 300, 400])
def test_a_disk_that_is_full_at_any_step_leaves_the_old_state(repo, limit, in_a_child):
    fill(repo, {"a": b"1"})
    before = repo.resolve("main")

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            fill(repo, {"a": b"2"})
        except UnavailableError:
            return

    in_a_child(work)
    assert repo.resolve("main") == before or repo.read("a", at="main") == b"2"
    assert list(repo.fsck()) == []
    repo.create_branch("b", at="main")
    told = next(repo.reflog())
    assert (told.ref, told.operation) == ("branch/b", "branch")


# ------------------------------------------------------------------------- read-only
def test_a_lake_that_may_only_be_read_is_read(tmp_path, only_reading):
    home = tmp_path / "lake"
    repo = lake.init(str(home)).create("ships")
    fill(repo, {"a": b"1", "t/_delta_log/0.json": b"{}"})
    repo.create_branch("b", at="main")
    fill(repo, {"b": b"2"}, branch="b")
    seen = repo.locate("main")

    def work(folder):
        frozen = lake.connect(str(folder)).repository("ships")
        assert frozen.read("a", at="main") == b"1"
        assert frozen.locate("main").path.name == seen.path.name
        assert (frozen.locate("b").path / "b").read_bytes() == b"2"
        with tempfile.TemporaryDirectory() as out:
            frozen.mount("main", Path(out) / "out")
            assert (Path(out) / "out" / "a").read_bytes() == b"1"
        assert len(list(frozen.log("b"))) == 3
        assert list(frozen.fsck()) == []
        for refused in (
            lambda: fill(frozen, {"a": b"3"}),
            lambda: frozen.create_branch("c", at="main"),
            lambda: frozen.create_tag("v1", at="main", message="why"),
            lambda: frozen.delete_branch("b"),
            lambda: frozen.protect("main"),
            lambda: frozen.reset("main", to="b"),
            lambda: frozen.undo("main"),
            lambda: frozen.merge("b", into="main", message="m"),
            lambda: frozen.gc(grace=timedelta(0)),
            lambda: frozen.workspace("main").__enter__(),
            lambda: lake.connect(str(folder)).create("more"),
            lambda: lake.connect(str(folder)).delete("ships"),
        ):
            with pytest.raises(ForbiddenError, match="cannot"):
                refused()
        assert repo.branches() == frozen.branches()

    only_reading(home, work)


# ------------------------------------------------------------------------------ bits
@pytest.fixture
def varied(repo):
    """A repository with loose objects, packs of both kinds, tags and stored objects."""
    fill(repo, {f"many/{number}": b"%d" % number for number in range(60)})
    fill(repo, {"a": b"first", "big": random.Random(1).randbytes(5_000)})  # noqa: S311 — repeatable, no secret
    repo._git._untidy = lambda: (True, True)
    repo._git.tidy()
    del repo._git._untidy
    fill(repo, {f"more/{number}": b"more %d" % number for number in range(40)})
    fill(repo, {"a": b"second", "x/y/z": b"third"})
    repo.create_tag("v1", at="main", message="first")
    assert len(list((repo._layout.git_objects / "pack").glob("*.pack"))) == 2
    return repo


def stored_files(repo):
    layout = repo._layout
    loose = [f for f in layout.git_objects.glob("??/*") if f.is_file()]
    packed = sorted((layout.git_objects / "pack").iterdir())
    objects = [file for file in layout.objects.rglob("*") if file.is_file()]
    return {"loose": sorted(loose), "packs": packed, "objects": sorted(objects)}


@pytest.mark.parametrize("kind", ["loose", "packs", "objects"])
def test_every_flipped_bit_is_found(varied, kind):
    chance = random.Random(kind)  # noqa: S311 — repeatable, no secret
    files = [file for file in stored_files(varied)[kind] if file.stat().st_size]
    for _ in range(60):
        file = chance.choice(files)
        whole = file.read_bytes()
        broken = bytearray(whole)
        place = chance.randrange(len(whole) * 8)
        broken[place // 8] ^= 1 << place % 8
        replace(file, bytes(broken))
        assert list(varied.fsck()), f"bit {place} of {file}"
        replace(file, whole)
    assert list(varied.fsck()) == []


def test_every_bit_of_one_loose_object_counts(varied):
    file = min(stored_files(varied)["loose"], key=lambda file: file.stat().st_size)
    from registry.lake.local.packs import loose_problem

    oid, whole = file.parent.name + file.name, file.read_bytes()
    for place in range(len(whole) * 8):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << place % 8
        replace(file, bytes(broken))
        assert loose_problem(oid, file.read_bytes()) is not None, place
    replace(file, whole)
    assert loose_problem(oid, file.read_bytes()) is None


@pytest.mark.parametrize("kind", ["loose", "packs", "objects"])
def test_files_cut_short_swapped_or_gone_are_found(varied, kind):
    files = [file for file in stored_files(varied)[kind] if file.stat().st_size > 1]
    for file in files[:8]:
        whole = file.read_bytes()
        replace(file, whole[:-1])
        assert list(varied.fsck()), file
        file.unlink()
        assert list(varied.fsck()), file
        replace(file, whole)
    one, two = files[0], files[-1]
    first, second = one.read_bytes(), two.read_bytes()
    replace(one, second)
    replace(two, first)
    assert list(varied.fsck())
    replace(one, first)
    replace(two, second)
    assert list(varied.fsck()) == []


def replace(file, data):
    """Damage the file alone, not what is linked to it."""
    file.unlink(missing_ok=True)
    file.write_bytes(data)


@pytest.mark.parametrize("text", ["", "0" * 40, "ref: refs/heads/main", "zz", "A" * 40, "\xff"])
def test_a_damaged_ref_is_found_and_said(repo, text):
    fill(repo, {"a": b"1"})
    repo.create_branch("b", at="main")
    (repo._layout.root / "refs/heads/b").write_bytes(text.encode("latin-1") + b"\n")
    assert [damage.what for damage in repo.fsck()] == ["branch/b"]
    with pytest.raises(RegistryError):
        list(repo.entries("b"))
    assert repo.read("a", at="main") == b"1"


def test_a_missing_object_is_said_by_reading_and_by_fsck(repo):
    fill(repo, {"a": b"1"})
    repo._layout.object(repo.entry("a", at="main").sha256).unlink()
    with pytest.raises(CorruptError, match="missing"):
        repo.read("a", at="main")
    with pytest.raises(CorruptError, match="missing"):
        repo.locate("main")
    (damage,) = repo.fsck()
    assert "missing" in damage.problem
    fill(repo, {"b": b"1"})  # stored again, it is whole again
    assert list(repo.fsck()) == []


def test_damage_keeps_garbage_collection_from_removing_anything(repo):
    fill(repo, {"a": b"1"})
    repo.create_branch("b", at="main")
    fill(repo, {"b": b"2"}, branch="b")
    repo.delete_branch("b")
    for file in stored_files(repo)["loose"]:
        if file.parent.name + file.name == repo.commit("main").parents[0]:
            file.unlink()
    with pytest.raises(CorruptError):
        lake.connect(str(repo._layout.root.parents[1])).repository("ships").gc(grace=timedelta(0))
    assert repo._layout.object(repo.entry("a", at="main").sha256).exists()


def test_writing_in_place_into_a_table_of_a_workspace_is_noticed(repo):
    fill(repo, {"t/_delta_log/0.json": b"{}", "t/p": b"pixels"})
    with repo.workspace("main") as workspace:
        (workspace.path / "t/p").chmod(0o644)
        (workspace.path / "t/p").write_bytes(b"PIXELS")
        with pytest.raises(CorruptError, match="in place"):
            workspace.commit("scribble")
    assert [damage.problem for damage in repo.fsck()] == ["its content has another hash"]


# ----------------------------------------------------------------------------- clocks
def test_a_clock_that_runs_backwards_harms_nothing(repo, monkeypatch):
    now = time.time()
    ids = [fill(repo, {"a": b"0"})]
    for number, hours in enumerate([5, -3, 2, -48, -47, 0], start=1):
        monkeypatch.setattr(time, "time", lambda hours=hours: now + 3600 * hours)
        ids.append(fill(repo, {"a": b"%d" % number}))
    log = list(repo.log("main"))
    assert [commit.id for commit in log][:-1] == ids[::-1]
    times = [commit.at for commit in log]
    assert times == sorted(times, reverse=True)
    repo.create_branch("b", at="main")
    fill(repo, {"b": b"1"}, branch="b")
    repo.delete_branch("b")
    monkeypatch.setattr(time, "time", lambda: now - 30 * 24 * 3600)
    assert repo.gc(grace=timedelta(0)).objects == 0  # what seems to come from the future is young
    monkeypatch.undo()
    assert list(repo.fsck()) == []
    out = subprocess.run(
        ["git", "-C", str(repo._layout.root), "log", "--format=%H", "main"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert out == [commit.id for commit in log]


# -------------------------------------------------------------------------------- links
def test_more_views_than_one_file_can_have_names_are_copies(repo, monkeypatch):
    import errno

    fill(repo, {"t/_delta_log/0.json": b"{}", "a": b"1"})

    def full(*_):
        raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))

    monkeypatch.setattr(os, "link", full)
    view = repo.locate("main").path
    assert (view / "a").read_bytes() == b"1"
    assert (view / "a").stat().st_nlink == 1
    with repo.workspace("main") as workspace:
        (workspace.path / "t/_delta_log/1.json").write_bytes(b"{1}")
        workspace.commit("copies everywhere")
    assert repo.read("t/_delta_log/1.json", at="main") == b"{1}"
    assert list(repo.fsck()) == []


def test_a_network_file_system_gets_copies(repo, monkeypatch):
    fill(repo, {"a": b"1"})
    monkeypatch.setattr("registry.lake.local.disk._on_network", lambda _: True)
    view = repo.locate("main").path
    assert (view / "a").stat().st_nlink == 1


def test_a_lake_that_was_moved_or_copied_is_the_same_lake(repo, tmp_path):
    fill(repo, {"a": b"1"})
    shutil.copytree(repo._layout.root.parents[1], tmp_path / "copy")
    other = lake.connect(str(tmp_path / "copy")).repository("ships")
    fill(other, {"a": b"2"})
    assert repo.read("a", at="main") == b"1"
    assert list(other.fsck()) == []
