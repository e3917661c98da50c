"""Transfers that are killed, starved or cut off leave both lakes as they were, or finished."""

import os
import random
import signal
import subprocess
import sys

import pytest

from registry import lake
from registry.errors import CorruptError, UnavailableError
from registry.lake.local.repository import LocalRepository
from registry.lake.transfer import Part, clone, copy, pull, push
from tests.faults.killing import Death, run_and_kill

KILLS = 60
"""In three parts; more by hand."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def home(tmp_path):
    return lake.init(str(tmp_path / "home"))


@pytest.fixture
def away(tmp_path):
    return lake.init(str(tmp_path / "away"))


def grow(repository, number, *, objects=3, size=2_000):
    """Move main on by one commit, and publish every second of them."""
    chance = random.Random(number)  # noqa: S311 — repeatable, no secret
    if "work" not in repository.branches():
        repository.create_branch("work", at="main")
    with repository.transaction("work", message=f"number {number}") as transaction:
        for one in range(objects):
            transaction.put(f"{number}/{one}", chance.randbytes(size))
    main = repository.resolve("main")
    repository.advance("main", to=transaction.commit.id, expected=main)
    tag = f"v{number}"
    if number % 2 and tag not in repository.tags():
        repository.create_tag(tag, at="main", message=f"release {number}")


@pytest.fixture
def ships(home):
    repository = home.create("ships")
    for number in range(4):
        grow(repository, number)
    repository.create_branch("derived/v1", at="v1")
    repository.protect("main")
    return repository


def state(repository):
    return repository.branches(), repository.tags()


def problems(home, away, before):
    """Say what is wrong with two lakes after a transfer from the one to the other was killed."""
    source = home.repository("ships")
    found = [f"home: {damage}" for damage in source.fsck() if not damage.what.startswith("temp")]
    if "ships" not in away.repositories():
        return found + (["the dataset is gone"] if before else [])
    target = away.repository("ships")
    found += [f"away: {damage}" for damage in target.fsck() if not damage.what.startswith("temp")]
    behind = {commit.id for commit in source.log("main")}
    branches, tags = state(target)
    found += [f"{name} stands nowhere" for name, at in branches.items() if at not in behind]
    found += [f"{tag} is another" for tag, at in tags.items() if source.tags().get(tag) != at]
    if target.protected() != {"main"}:
        found.append("main is not protected")
    if before:
        old_branches, old_tags = before
        found += [f"{tag} is lost" for tag in old_tags if tag not in tags]
        if target.merge_base(old_branches["main"], "main") != old_branches["main"]:
            found.append("main went back")
    return found


@pytest.mark.parametrize("part", range(3))
def test_kills_at_random_points_leave_both_lakes_whole(home, away, ships, part):
    chance = random.Random(part)  # noqa: S311 — repeatable, no secret

    def work(say):
        number = len(list(ships.log("main")))
        while True:
            grow(home.repository("ships"), number)
            say({"grown": number})
            verb = chance.choice([
                lambda: push(home, "ships", to=away),
                lambda: copy(home, "ships", to=away, at="main"),
                lambda: copy(home, "ships", to=away, at="v1"),
                lambda: (
                    pull(away, "ships", origin=home)
                    if "ships" in away.repositories()
                    else clone(home, "ships", into=away)
                ),
            ])
            verb()
            say({"brought": number})
            number += 1

    brought = 0
    for kill in range(KILLS // 3):
        before = state(away.repository("ships")) if "ships" in away.repositories() else None
        heard = run_and_kill(
            work, Death.by_chance(chance, seconds=0.4, calls=30_000, on_disk=1_500)
        )
        assert not [one for one in heard if "failed" in one], heard
        brought += sum("brought" in one for one in heard)
        assert problems(home, away, before) == [], kill
        if not kill % 5:
            push(home, "ships", to=away)
            target = away.repository("ships")
            assert target.tags() == ships.tags()
            assert target.resolve("main") == ships.resolve("main")
            assert not push(home, "ships", to=away)


def test_what_a_killed_clone_brought_is_found_again(home, away, ships):
    child = os.fork()
    if not child:
        try:
            left = 5
            opened = LocalRepository.open

            def dying(self, path, *, at):
                nonlocal left
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                return opened(self, path, at=at)

            LocalRepository.open = dying
            clone(home, "ships", into=away)
        finally:
            os._exit(70)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert away.repositories() == []
    assert lake.connect(str(away.folder)).repositories() == []
    come = clone(home, "ships", into=away)
    assert come.held >= 3
    assert come.objects == 12 - come.held
    assert away.repository("ships").tags() == ships.tags()
    assert list(away.repository("ships").fsck()) == []


def test_an_origin_that_vanishes_in_the_middle_of_a_pull_leaves_the_old_state(
    home, away, ships, monkeypatch
):
    clone(home, "ships", into=away)
    before = state(away.repository("ships"))
    for number in range(4, 7):
        grow(ships, number)
    moved, opened, left = home.folder.with_name("elsewhere"), LocalRepository.open, [4]

    def vanishing(self, path, *, at):
        left[0] -= 1
        if not left[0]:
            home.folder.rename(moved)
        return opened(self, path, at=at)

    with monkeypatch.context() as patch:
        patch.setattr(LocalRepository, "open", vanishing)
        with pytest.raises((UnavailableError, CorruptError)):
            pull(away, "ships", origin=home)
    assert state(away.repository("ships")) == before
    assert list(away.repository("ships").fsck()) == []
    moved.rename(home.folder)
    come = pull(away, "ships", origin=home)
    assert come.held >= 3
    assert away.repository("ships").resolve("main") == ships.resolve("main")


@pytest.mark.parametrize("where", ["new", "there"])
def test_a_full_disk_stops_a_push_and_nothing_has_moved(disk, home, ships, where):
    away = lake.init(str(disk.folder / "away"))
    if where == "there":
        push(home, "ships", to=away)
        before = state(away.repository("ships"))
    for number in range(4, 8):
        grow(ships, number, objects=4, size=1_000_000)
    with disk.room(3_000), pytest.raises(UnavailableError):
        push(home, "ships", to=away)
    if where == "there":
        assert state(away.repository("ships")) == before
        assert list(away.repository("ships").fsck()) == []
    else:
        assert away.repositories() == []
    if disk.is_mounted:
        push(home, "ships", to=away)
        assert away.repository("ships").tags() == ships.tags()
        assert list(away.repository("ships").fsck()) == []


def test_bytes_that_rotted_at_the_source_are_refused_and_named(home, away, ships):
    clone(home, "ships", into=away)
    before = state(away.repository("ships"))
    grow(ships, 4)
    entry = ships.entry("4/1", at="main")
    (stored,) = home.folder.glob(f"repositories/ships/lfs/objects/*/*/{entry.sha256}")
    rotten = bytearray(stored.read_bytes())
    rotten[100] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(rotten)
    for move in (
        lambda: push(home, "ships", to=away),
        lambda: pull(away, "ships", origin=home),
        lambda: copy(home, "ships", to=away, at="main"),
    ):
        with pytest.raises(CorruptError, match="'4/1' arrived as"):
            move()
    assert state(away.repository("ships")) == before
    assert list(away.repository("ships").fsck()) == []


def test_two_pushes_at_once_end_as_one(home, away, ships, project):
    code = (
        "import sys; from registry import lake; from registry.lake.transfer import push\n"
        "push(lake.connect(sys.argv[1]), 'ships', to=lake.connect(sys.argv[2]))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(home.folder), str(away.folder)],
            cwd=project, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    ends = [(one.communicate()[1], one.returncode) for one in started]
    assert [status for _, status in ends] == [0, 0, 0], ends
    assert away.repository("ships").tags() == ships.tags()
    assert list(away.repository("ships").fsck()) == []


def test_promised_objects_are_whole_or_still_promised_after_kills(home, away, ships):
    with ships.transaction("work", message="a table") as transaction:
        transaction.put("t/_delta_log/00000000000000000000.json", b"{}")
        for one in range(8):
            transaction.put(f"t/part-{one}.parquet", random.Random(one).randbytes(5_000))  # noqa: S311 — repeatable
    ships.advance("main", to=transaction.commit.id, expected=ships.resolve("main"))
    clone(home, "ships", into=away, part=Part(tables=()))
    chance = random.Random(1)  # noqa: S311 — repeatable, no secret

    def work(say):
        from registry.lake import lazy

        while True:
            root = away.repository("ships").locate("main").path
            for one in range(8):
                lazy.ensure(root / f"t/part-{one}.parquet")
            say({"read": 1})

    for _ in range(12):
        heard = run_and_kill(work, Death.by_chance(chance, seconds=0.1, calls=4_000, on_disk=200))
        assert not [one for one in heard if "failed" in one], heard
        damage = [one for one in away.repository("ships").fsck() if not one.what.startswith("temp")]
        assert damage == []
    for one in range(8):
        data = away.repository("ships").read(f"t/part-{one}.parquet", at="main")
        assert data == random.Random(one).randbytes(5_000)  # noqa: S311 — repeatable
