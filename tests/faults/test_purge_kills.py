"""A purge may be killed at any point: it has done nothing, or is finished by running it again."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry import lake
from registry.catalog import Registry, Spec, edit_rows
from registry.catalog.forgetting.purging import Wanted, purge, purges
from registry.tables import edit, store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES

CANARY = "canary_4711"
REASON = "a person asked"

CHILD = """
import importlib, os, signal, sys
from registry.catalog import connect
from registry.catalog.forgetting.purging import Wanted, purge

address, canary, way, *rest = sys.argv[1:]
if way == "at":
    home, name, when, nth = rest
    module, _, owner = home.partition(":")
    holder = importlib.import_module(module)
    holder = getattr(holder, owner) if owner else holder
    real, left = getattr(holder, name), [int(nth)]

    def die(*args, **said):
        left[0] -= 1
        if left[0]:
            return real(*args, **said)
        if when == "after":
            real(*args, **said)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, name, die)
else:
    steps, = rest
    left = [int(steps)]
    on_disk = {"rename", "replace", "link", "unlink", "rmdir", "write", "open", "mkdir", "fsync"}

    def count(frame, event, argument):
        if event == "c_call" and argument.__name__ in on_disk:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
repository = connect(address).lake.repository("ships")
purge(repository, Wanted(where=f"id = '{canary}'"), reason="a person asked")
os.kill(os.getpid(), signal.SIGKILL)
"""

REPOSITORY = "registry.lake.local.repository:LocalRepository"
REFS = "registry.lake.local.refs:Locked"
FORGETTING = "registry.lake.local.forgetting"
GC = "registry.lake.local.gc"
MOVES = "registry.lake.local.moves"
STEPS = [
    (REPOSITORY, "graft", "after", 1),
    (REPOSITORY, "graft", "before", 4),
    (REPOSITORY, "move_refs", "before", 1),
    (MOVES, "announce", "before", 1),
    (MOVES, "announce", "after", 1),
    (REFS, "_make", "before", 1),
    (REFS, "_make", "after", 2),
    (MOVES, "conclude", "before", 1),
    (REPOSITORY, "move_refs", "after", 1),
    (REPOSITORY, "forget", "before", 1),
    (FORGETTING, "_rewrite_reflog", "before", 1),
    (FORGETTING, "_rewrite_reflog", "after", 1),
    (GC, "sweep_objects", "after", 1),
    (FORGETTING, "_sweep_views", "before", 1),
    (GC, "sweep_git", "before", 1),
    (GC, "sweep_git", "after", 1),
    (REPOSITORY, "forget", "after", 1),
]

ANYWHERE = range(40, 1240, 150)
"""Steps on disk after which it is killed."""


def chip(name):
    return encode(np.random.default_rng(sum(name.encode())).integers(0, 255, (1, 16, 16), np.uint8))


def add(root, *names):
    chips = [chip(name) for name in names]
    ids = list(names)
    store.append(root, SAMPLES, pa.table({"id": ids, "label": [["boat"]] * len(ids)}))
    store.append(root, ANNOTATIONS, pa.table({"id": [f"{one}-a" for one in ids], "sample": ids}))
    store.append(root, PIXELS, pa.table({
        "sha256": [one.sha256 for one in chips], "codec": [one.codec for one in chips],
        "data": [one.data for one in chips],
    }))  # fmt: skip
    store.append(root, ASSETS, pa.table({
        "sample": ids, "asset": ["s2"] * len(ids), "pixels": [one.sha256 for one in chips],
        "shape": [[1, 16, 16]] * len(ids), "dtype": ["uint8"] * len(ids),
    }))  # fmt: skip


@pytest.fixture(scope="session")
def told(tmp_path_factory, ungated):
    """Tell a history once: the canary is in a version, on a branch and in what was undone."""
    home = tmp_path_factory.mktemp("purge-kills") / "lake"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "anna")
        registry = Registry(lake=lake.init(str(home)))
        draft = registry.create(Spec(name="ships", licence="MIT"))
        ungated(registry, draft, lambda root: add(root, "boat_01", "boat_02"))
        draft = registry.draft("ships")
        ungated(registry, draft, lambda root: add(root, CANARY), message=f"add {CANARY}")
        registry.branch("ships", "fix", at="v2")
        edit_rows(registry, "ships@fix", assignments=["target=1"], where=f"id = '{CANARY}'")
        registry.branch("ships", "lost", at="fix")
        registry.delete_branch("ships", "lost")
        draft = registry.draft("ships")
        ungated(
            registry, draft, lambda root: edit.delete(root, "samples", where=f"id = '{CANARY}'")
        )
    return home


@pytest.fixture
def registry(told, tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(told, tmp_path / "lake")
    return Registry(lake=lake.connect(str(tmp_path / "lake")))


def killed(registry, *how):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, registry.lake.address, CANARY, *map(str, how)],
        env=os.environ | {"EOLAB_USER": "anna"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr


def seen(registry):
    """Return which refs show the canary, as somebody sees them who only looks."""
    refs = ("v1", "v2", "v3", "fix", "main")
    return {
        ref
        for ref in refs
        if CANARY in registry.resolve(f"ships@{ref}").table("annotations")["sample"].to_pylist()
    }


def hits(folder, needle):
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data[:4] == b"PAR1":
                data += repr(pq.read_table(path).to_pylist()).encode()
            found += [path] * (needle in data)
    return found


def check(registry, tmp_path):
    """Nothing is half done, and doing it again does all of it."""
    assert seen(registry) in ({"v2", "v3", "fix", "main"}, set())
    assert registry.resolve("ships@v1").count("samples") == 2
    repository = registry.lake.repository("ships")
    purge(repository, Wanted(where=f"id = '{CANARY}'"), reason=REASON)
    assert seen(registry) == set()
    assert len(purges(repository)) == 1
    assert list(repository.fsck()) == []
    assert hits(tmp_path / "lake", CANARY.encode()) == []
    assert hits(tmp_path / "lake", chip(CANARY).data[16:]) == []


@pytest.mark.parametrize("step", STEPS, ids=lambda step: "-".join(map(str, step[1:])))
def test_a_purge_that_is_killed_at_a_step_is_nothing_or_is_finished(registry, step, tmp_path):
    killed(registry, "at", *step)
    check(registry, tmp_path)


@pytest.mark.parametrize("steps", ANYWHERE)
def test_a_purge_that_is_killed_anywhere_is_nothing_or_is_finished(registry, steps, tmp_path):
    killed(registry, "anywhere", steps)
    check(registry, tmp_path)
