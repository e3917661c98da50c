"""Datasets on full disks, read-only folders, under collection, and with clocks that run back."""

import os
import resource
import shutil
import signal
import time
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from registry import lake
from registry.catalog import Registry, edit_rows
from registry.curate.publishing import NothingToPublishError, publish
from registry.errors import ConflictError, ForbiddenError, UnavailableError
from registry.query import find_slice, slice, sql, version_of_slice  # noqa: A004 — the word users write
from registry.tables import edit
from tests.faults import killing

NOW = timedelta(0)


def relabel(registry, label="b", where="id = 'c0'"):
    edit_rows(registry, "fields@draft", assignments=[f"label=['{label}']"], where=where)


def tags(registry):
    return [version.tag for version in registry.versions("fields")]


def assert_sound(registry):
    for name in registry.names():
        assert list(registry.lake.repository(name).fsck()) == []
    for tag in tags(registry):
        version = registry.resolve(f"fields@{tag}")
        assert version.count("samples") == version.count("assets") == 4
        assert (version.root.path / "items.parquet").stat().st_size > 0
        assert version.chip("c0", "image").shape == (3, 64, 64)


# ----------------------------------------------------------------------------- full
def ingest_on_a_full_disk(home, chips, bring, room):
    """Ingest where each disk of ``room`` is too small, then where the last is not."""
    registry = Registry(lake=lake.init(str(home)))
    for have in room:
        with have(), pytest.raises(UnavailableError, match=r"(?s)hint: .*(room|space)"):
            bring(registry, chips)
        assert registry.names() == []
    assert bring(registry, chips).added == 4
    assert bring(registry, chips).unchanged == 4
    assert publish(registry, "fields", message="first").tag == "v1"
    assert_sound(registry)


def test_an_ingest_onto_a_full_disk_says_so_and_goes_on_when_there_is_room(disk, chips, bring):
    sizes = (0, 8, 32, 64, 90, 120)
    ingest_on_a_full_disk(disk.folder / "lake", chips, bring, [
        lambda size=size: disk.room(size) for size in sizes
    ])  # fmt: skip


@pytest.mark.parametrize("limit", [0, 1_000, 5_000, 30_000, 80_000])
def test_an_ingest_under_a_limit_on_file_sizes_takes_nothing(tmp_path, chips, bring, limit):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Limited:
        def __enter__(self):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))

        def __exit__(self, *_):
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    ingest_on_a_full_disk(tmp_path / "lake", chips, bring, [Limited])


def test_a_publish_onto_a_full_disk_publishes_nothing_and_is_done_when_there_is_room(
    disk, prepared, monkeypatch, bring
):
    shutil.copytree(prepared, disk.folder / "lake")
    registry = Registry(lake=lake.connect(str(disk.folder / "lake")))
    relabel(registry)
    for size in (0, 4, 8, 12, 16, 24, 32, 48, 64):
        with disk.room(size), pytest.raises(UnavailableError, match=r"(?s)hint: .*room"):
            publish(registry, "fields", message="second")
        assert tags(registry) == ["v1"]
        assert_sound(registry)
    assert publish(registry, "fields", message="second").tag == "v2"
    assert_sound(registry)


def test_an_ingest_that_fails_keeps_what_others_put_into_the_dataset_it_made(
    tmp_path, chips, bring, monkeypatch
):
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    shutil.copytree(chips, tmp_path / "others")
    merge = Registry.merge

    def fail_after_others(*_, **__):
        monkeypatch.setattr(Registry, "merge", merge)
        bring(registry, tmp_path / "others")
        raise UnavailableError("the disk is gone", hint="wait")

    monkeypatch.setattr(Registry, "merge", fail_after_others)
    with pytest.raises(UnavailableError, match="gone"):
        bring(registry, chips)
    assert registry.resolve("fields@draft").count("samples") == 4
    assert list(registry.lake.repository("fields").fsck()) == []


# ------------------------------------------------------------------------- read-only
def test_a_dataset_that_may_only_be_read_is_read_and_asked(
    registry, tmp_path, chips, bring, only_reading
):
    registry.resolve("fields@v1").root  # noqa: B018 — one view is there, that of the draft is not
    home = tmp_path / "lake"
    relabel(registry)
    before = registry.lake.repository("fields").branches()

    def work(folder):
        frozen = Registry(lake=lake.connect(str(folder)))
        version = frozen.resolve("fields@v1")
        assert version.spec.licence == "MIT"
        assert version.table("samples").num_rows == 4
        assert version.chip("c1", "image").shape == (3, 64, 64)
        assert frozen.diff("fields@v1", "fields@draft").tables["samples"].total == 1
        asked = sql(frozen, 'select count(*) as n from "fields@draft".samples').read_all()
        assert asked["n"].to_pylist() == [4]
        assert list(version.repository.fsck()) == []
        for refused in (
            lambda: relabel(frozen, "a"),
            lambda: publish(frozen, "fields", message="no"),
            lambda: bring(frozen, chips),
            lambda: bring(frozen, chips, into="others"),
            lambda: frozen.withdraw("fields@v1", "no"),
            lambda: frozen.branch("fields", "more"),
            lambda: frozen.undo("fields", "draft"),
            lambda: slice(frozen, 'select id from "fields@v1".samples'),
        ):
            with pytest.raises(ForbiddenError, match="hint"):
                refused()

    only_reading(home, work)
    assert registry.lake.repository("fields").branches() == before


# ------------------------------------------------------------------------ collection
def test_collecting_garbage_takes_nothing_from_a_query_that_runs(registry):
    repository = registry.lake.repository("fields")
    relabel(registry)
    reader = sql(registry, 'select * from "fields@draft".samples s, range(20000) order by s.id')
    first = reader.read_next_batch()
    registry.undo("fields", "draft")
    repository.reset("draft/anna", to="main")
    repository.gc(grace=NOW)
    assert first.num_rows + sum(batch.num_rows for batch in reader) == 80_000
    assert_sound(registry)


def test_a_query_ends_with_the_process_that_asks(registry):
    text = """
        select id, (select sum(a.range * b.range) from range(1000000) a, range(1000000) b)
        from "fields@v1".samples
    """

    def started():
        return any(tasks.read_text() for tasks in Path("/proc/self/task").glob("*/children"))

    def work(say):
        Thread(target=lambda: sql(registry, text).read_all(), daemon=True).start()
        deadline = time.monotonic() + 60
        while not started() and time.monotonic() < deadline:
            time.sleep(0.01)
        say({"asked": started()})
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

    heard = killing.run_and_kill(work, killing.Death(calls=1 << 60))
    assert heard == [{"asked": True}]


def test_collecting_garbage_takes_nothing_from_a_version_that_is_held(registry):
    repository = registry.lake.repository("fields")
    relabel(registry)
    held = registry.resolve("fields@draft")
    assert held.count("samples") == 4
    repository.reset("draft/anna", to="main")
    repository.gc(grace=NOW)
    assert held.table("samples").num_rows == 4
    assert held.chip("c0", "image").shape == (3, 64, 64)


def test_a_slice_outlives_the_withdrawal_of_its_version_and_collection(registry):
    chosen = slice(registry, "select id from \"fields@v1\".samples where list_contains(label, 'a')")
    relabel(registry)
    publish(registry, "fields", message="second")
    registry.withdraw("fields@v1", "one label is wrong")
    registry.lake.repository("fields").gc(grace=NOW)
    again = find_slice(Registry(lake=lake.connect(registry.lake.address)), chosen.id)
    version = version_of_slice(registry, again)
    assert (again.ids, version.tag, version.content_id) == (chosen.ids, "v1", chosen.content_id)
    assert {version.chip(sample, "image").shape for sample in again.ids} == {(3, 64, 64)}
    assert_sound(registry)


def test_a_slice_of_a_draft_outlives_the_draft_and_collection(registry):
    relabel(registry)
    chosen = slice(registry, 'select id from "fields@draft".samples')
    repository = registry.lake.repository("fields")
    repository.delete_branch("draft/anna")
    repository.gc(grace=NOW)
    version = version_of_slice(registry, find_slice(registry, chosen.id))
    assert version.content_id == chosen.content_id
    assert sorted(version.table("samples")["id"].to_pylist()) == list(chosen.ids)
    assert list(repository.fsck()) == []


# ----------------------------------------------------------------------------- views
def test_writing_into_every_file_of_a_mounted_view_harms_nothing(registry, tmp_path):
    repository = registry.lake.repository("fields")
    repository.mount("v1", tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.write(b"scribbled over")
        with path.open("ab") as file:
            file.write(b"and added to")
    assert_sound(registry)
    assert registry.resolve("fields@v1").table("samples").num_rows == 4


def test_of_two_who_edit_one_draft_at_once_the_later_is_told(registry):
    draft = registry.draft("fields")
    workspace = draft.repository.workspace
    with workspace(draft.branch) as one, workspace(draft.branch) as two:
        edit.update(one.path, "samples", set={"target": "1"}, where="id = 'c0'")
        edit.update(two.path, "samples", set={"target": "2"}, where="id = 'c0'")
        (two.path / "two.md").write_text("two")
        two.commit("two")
        with pytest.raises(ConflictError, match="stands at"):
            one.commit("one")
    version = registry.resolve("fields@draft")
    targets = version.table("samples")["target"].to_pylist()
    assert sorted(targets, key=str) == [2, None, None, None]
    assert {"two.md", "README.md"} < {entry.path for entry in draft.repository.entries(draft.head)}
    assert list(draft.repository.fsck()) == []
    with draft.edit("one, again") as one:
        edit.update(one, "samples", set={"target": "1"}, where="id = 'c0'")
    assert 1 in registry.resolve("fields@draft").table("samples")["target"].to_pylist()


# ---------------------------------------------------------------------------- clocks
def test_versions_are_published_in_order_when_the_clock_runs_backwards(registry, monkeypatch):
    now = time.time()
    for number, days in enumerate((-3, 2, -400), start=2):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86_400)
        relabel(registry, "ba"[number % 2])
        assert publish(registry, "fields", message=f"release {number}").tag == f"v{number}"
    assert tags(registry) == ["v1", "v2", "v3", "v4"]
    log = list(registry.log("fields@v4"))
    assert [c.at for c in log] == sorted((c.at for c in log), reverse=True)
    releases = [c.message for c in log if "release" in c.metadata]
    assert releases == ["release 4", "release 3", "release 2", "first"]
    assert registry.resolve("fields").tag == "v4"
    with pytest.raises(NothingToPublishError):
        publish(registry, "fields", message="again")
    registry.lake.repository("fields").gc(grace=NOW)
    assert registry.lake.repository("fields").branches("staging/") == {}
    assert_sound(registry)
