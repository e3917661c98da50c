"""A writer may be killed at any point: nothing acknowledged is lost, nothing half done is seen."""

import itertools
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from registry import lake
from registry.catalog import Registry, Spec
from tests.faults import killing
from tests.faults.lake_storm import LakeStorm

LAKE_KILLS, PIPELINE_KILLS = 240, 64
"""More by ``make chaos``."""


@pytest.fixture
def repo(tmp_path):
    return lake.init(str(tmp_path / "lake")).create("ships")


def in_a_child_that_is_killed(work):
    """Run ``work(die)`` in a child; ``die`` kills it there and then."""
    child = os.fork()
    if not child:
        try:
            work(lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


@pytest.mark.parametrize("part", range(3))
def test_kills_at_random_points_lose_and_tear_nothing(tmp_path, part):
    storm = LakeStorm(tmp_path, seed=part)
    while storm.kills < LAKE_KILLS // 3 and not storm.problems:
        storm.strike()
    storm.check_everything()
    assert storm.problems == []
    assert storm.acknowledged > 0


@pytest.mark.parametrize("seed", range(2))
def test_kills_within_ingest_and_publish_leave_what_was_or_what_was_to_be(tmp_path, project, seed):
    # in a process of its own, because Delta's runtime lives through no fork
    ran = subprocess.run(
        [
            sys.executable, "-m", "tests.faults.chaos", "--jobs", "1", "--pipelines", "1",
            "--seed", str(seed), "--kills", str(PIPELINE_KILLS // 2), "--folder", str(tmp_path),
        ],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout, ran.stderr
    told = json.loads(ran.stdout)
    assert told["problems"] == []
    assert told["kills"] == PIPELINE_KILLS // 2
    assert told["acknowledged"] > 0


def test_the_storm_notices_what_outlives_a_killed_process():
    def work(say):
        subprocess.Popen(["sleep", "600"])
        os.kill(os.getpid(), signal.SIGKILL)

    killing.ORPHANS_LIVE, before = 0.1, killing.ORPHANS_LIVE
    try:
        heard = killing.run_and_kill(work, killing.Death(calls=1 << 60))
    finally:
        killing.ORPHANS_LIVE = before
    assert heard == [{"failed": "it is outlived by sleep 600 "}]


def test_a_dataset_is_there_with_its_card_or_not_at_all(tmp_path, monkeypatch):
    home = lake.init(str(tmp_path / "lake"))
    registry = Registry(lake=home)
    seen = set()
    for calls in itertools.count(0, 12):
        name = f"ships-{calls}"

        def work(say, calls=calls, name=name):
            registry.create(Spec(name=name, title="Ships"))
            say({"done": name})
            os.kill(os.getpid(), signal.SIGKILL)

        heard = killing.run_and_kill(work, killing.Death(calls=calls, on_disk=True))
        there = name in registry.names()
        seen.add(there)
        if there:
            assert registry.resolve(f"{name}@main").spec.title == "Ships"
            assert home.repository(name).protected() == {"main"}
            assert registry.draft(name).head == home.repository(name).resolve("main")
            assert list(home.repository(name).fsck()) == []
        else:
            registry.create(Spec(name=name))
        if heard:
            assert heard == [{"done": name}]
            assert there
            break
    assert seen == {True, False}


@pytest.mark.parametrize(
    "step",
    [
        "registry.lake.local.objects.place",
        "registry.lake.local.git.Batch.write",
        "registry.lake.local.refs.Locked.move",
        "registry.lake.local.reflog.append",
        "registry.lake.local.refs.Locked._write",
        "registry.lake.local.disk.sync_folder",
    ],
)
def test_a_kill_before_each_step_of_a_commit_leaves_the_old_state(repo, monkeypatch, step):
    with repo.transaction("main", message="before") as transaction:
        transaction.put("a", b"1")
    before = repo.resolve("main")

    def work(die):
        with repo.transaction("main", message="killed") as transaction:
            transaction.put("a", b"2")
            monkeypatch.setattr(step, die)

    in_a_child_that_is_killed(work)
    after = repo.resolve("main")
    if step != "registry.lake.local.disk.sync_folder":  # the ref is in its place before that
        assert after == before
    assert repo.read("a", at="main") == (b"1" if after == before else b"2")
    assert list(repo.fsck()) == []
    with repo.transaction("main", message="next") as transaction:
        transaction.put("b", b"3")
    assert next(update.after for update in repo.reflog("branch/main")) == repo.resolve("main")
    assert list(repo._layout.sessions.iterdir()) == []


def test_a_movement_that_a_kill_prevented_is_struck_from_the_reflog(repo, monkeypatch):
    with repo.transaction("main", message="before") as transaction:
        transaction.put("a", b"1")
    first, told = repo.resolve("main"), len(list(repo.reflog()))

    def work(die):
        monkeypatch.setattr("registry.lake.local.refs.Locked._write", die)
        with repo.transaction("main", message="killed") as transaction:
            transaction.put("a", b"2")

    in_a_child_that_is_killed(work)
    repo.create_branch("b", at="main")
    assert len(list(repo.reflog())) == told + 1
    repo.undo("main")
    assert repo.resolve("main") != first


def test_locks_that_git_left_do_not_block(repo):
    root = repo._layout.root
    for lock in ("refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "index.lock"):
        (root / lock).write_text("")
    with repo.transaction("main", message="on") as transaction:
        transaction.put("a", b"1")
    repo.create_branch("b", at="main")
    repo.delete_branch("b")
    assert list(repo.branches()) == ["main"]


def test_what_a_killed_workspace_left_is_swept_by_the_next_session(repo):
    def work(die):
        with repo.workspace("main") as workspace:
            (workspace.path / "a").write_bytes(b"1")
            die()

    in_a_child_that_is_killed(work)
    assert len(list(repo._layout.sessions.iterdir())) == 2
    with repo.workspace("main"):
        pass
    assert list(repo._layout.sessions.iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [
        "registry.lake.local.gc.sweep_objects",
        "registry.lake.local.gc.sweep_git",
        "registry.lake.local.gc._sweep_views",
        "registry.lake.local.git.Git._write_pack",
        "registry.lake.local.git._publish_pack",
    ],
)
def test_a_kill_in_garbage_collection_takes_nothing_that_is_needed(repo, monkeypatch, step):
    for number in range(3):
        with repo.transaction("main", message="grow") as transaction:
            for name in range(40):
                transaction.put(f"{number}/{name}", b"%d" % name)
    whole, lost = repo.commit("main").parents[0], repo.resolve("main")
    repo.reset("main", to=whole)
    before = repo.content_id("main")

    def work(die):
        monkeypatch.setattr(step, die)
        repo.gc(grace=timedelta(0))

    in_a_child_that_is_killed(work)
    again = lake.connect(str(repo._layout.root.parents[1])).repository("ships")
    assert again.content_id("main") == before
    assert list(again.fsck()) == []
    again.gc(grace=timedelta(0))
    assert list(again.fsck()) == []
    with pytest.raises(LookupError):
        again.create_branch("b", at=lost)
