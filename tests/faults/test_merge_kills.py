"""Whoever merges or decides may be killed at any step: nothing is lost, and it can be repeated.

After each death the branch has what it had or the whole outcome, decisions that were made stand,
the lake is sound, and the same call ends the work.
"""

import os
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pytest

from registry import lake
from registry.catalog import MergeConflictError, Registry, Spec, edit_rows, pending
from registry.catalog.merging.choosing import Choice
from registry.curate.merging import cherry_pick, merge, resolve, revert
from registry.errors import ConflictError
from registry.tables import edit
from registry.tables.schemas import ANNOTATIONS, SAMPLES

DEATHS = 6
"""Deaths of each operation, spread over its calls that change the disk."""

CHILD = """
import os, signal, sys
from registry.catalog import MergeConflictError, connect
from tests.faults import killing
from tests.faults.test_merge_kills import OPERATIONS

address, name, calls = sys.argv[1:]
registry = connect(address)
if calls == "count":
    counted = 0
    def count(frame, event, argument):
        global counted
        counted += event == "c_call" and argument.__name__ in killing.ON_DISK
    sys.setprofile(count)
else:
    killing._count(killing.Death(calls=int(calls), on_disk=True))
try:
    OPERATIONS[name](registry)
except MergeConflictError:
    pass
sys.setprofile(None)
print(counted if calls == "count" else "ended")
"""

BEFORE = {"a1": "ship", "b1": "ship", "c1": "buoy"}


def start_merge(registry):
    merge(registry, "ships", "theirs", "ours")


def decide_one(registry):
    resolve(registry, "ships", Choice(side="theirs", keys=("a1",)))


def decide_the_rest(registry):
    resolve(registry, "ships", Choice(side="ours"))


def merge_cleanly(registry):
    merge(registry, "ships", "other", "ours")


def take_back(registry):
    revert(registry, "ships", registry.resolve("ships@ours").commit.id, "ours")


def pick(registry):
    cherry_pick(registry, "ships", registry.resolve("ships@other").commit.id, "ours")


OPERATIONS = {
    work.__name__: work
    for work in (start_merge, decide_one, decide_the_rest, merge_cleanly, take_back, pick)
}
DONE = {
    "start_merge": BEFORE,
    "decide_one": BEFORE,
    "decide_the_rest": BEFORE | {"a1": "Boat"},
    "merge_cleanly": BEFORE | {"d1": "raft"},
    "take_back": BEFORE | {"c1": "boat"},
    "pick": BEFORE | {"d1": "raft"},
}


def categories(registry, branch="ours"):
    rows = registry.resolve(f"ships@{branch}").table("annotations").to_pylist()
    return {row["id"]: row["category"] for row in rows}


def say(registry, branch, where, category):
    edit_rows(
        registry,
        f"ships@{branch}",
        table="annotations",
        assignments=[f"category='{category}'"],
        where=where,
    )


@pytest.fixture(scope="session")
def parted(tmp_path_factory):
    """A lake with two conflicts between `ours` and `theirs`, and a branch `other` with none."""
    home = tmp_path_factory.mktemp("parted") / "lake"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "anna")
        registry = Registry(lake=lake.init(str(home)))
        draft = registry.create(Spec(name="ships", licence="MIT"))
        with draft.edit("start") as root:
            found = [{"id": name} for name in "abc"]
            edit.upsert(root, SAMPLES, pa.Table.from_pylist(found, schema=SAMPLES.arrow))
            drawn = [{"id": f"{n}1", "sample": n, "category": "boat"} for n in "abc"]
            edit.upsert(root, ANNOTATIONS, pa.Table.from_pylist(drawn, schema=ANNOTATIONS.arrow))
        for name in ("ours", "theirs", "other"):
            registry.branch("ships", name, at=draft.head)
        say(registry, "ours", "id in ('a1', 'b1')", "ship")
        say(registry, "ours", "id = 'c1'", "buoy")
        say(registry, "theirs", "id in ('a1', 'b1')", "Boat")
        with registry.draft("ships", "other").edit("a raft") as root:
            drawn = [{"id": "d1", "sample": "a", "category": "raft"}]
            edit.upsert(root, ANNOTATIONS, pa.Table.from_pylist(drawn, schema=ANNOTATIONS.arrow))
    return home


@pytest.fixture
def fresh(parted, tmp_path, monkeypatch):
    """Give a function that lays the lake anew, as far as an operation needs it."""
    monkeypatch.setenv("EOLAB_USER", "anna")

    def lay(operation):
        shutil.rmtree(tmp_path / "lake", ignore_errors=True)
        shutil.copytree(parted, tmp_path / "lake", symlinks=True)
        registry = Registry(lake=lake.connect(str(tmp_path / "lake")))
        if operation.startswith("decide"):
            with pytest.raises(MergeConflictError):
                start_merge(registry)
        if operation == "decide_the_rest":
            decide_one(registry)
        return registry

    return lay


def run(registry, project, operation, calls):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, registry.lake.address, operation, str(calls)],
        env=os.environ | {"EOLAB_USER": "anna"},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode in {0, -signal.SIGKILL}, child.stderr
    return child.stdout.strip()


def check(registry, operation):
    """Hold what is there to what may be there after a death."""
    repository = registry.lake.repository("ships")
    assert categories(registry) in (BEFORE, DONE[operation])
    assert categories(registry, "theirs") == {"a1": "Boat", "b1": "Boat", "c1": "boat"}
    assert list(repository.fsck()) == []
    waiting = pending(repository)
    if operation == "decide_the_rest":
        assert (waiting is None) == (categories(registry) == DONE[operation])
    if operation == "decide_one":
        assert waiting is not None
    if waiting is not None:
        assert [clash.key for clash in waiting.clashes] == ["a1", "b1"]
        if operation == "decide_the_rest":  # what was decided before stands, whatever happens
            assert waiting.clashes[0].decision.side == "theirs"


def end(registry, operation):
    """Repeat the operation until the work is at its end."""
    repository = registry.lake.repository("ships")
    if operation in {"start_merge", "decide_one"}:
        with pytest.raises(MergeConflictError):
            start_merge(registry)
        assert len(pending(repository).clashes) == 2
    if operation == "decide_one":
        decide_one(registry)
        assert [clash.key for clash in pending(repository).open] == ["b1"]
    elif operation == "decide_the_rest":
        if pending(repository) is not None:
            decide_the_rest(registry)
        assert pending(repository) is None
    elif operation == "take_back":
        if categories(registry) == BEFORE:
            take_back(registry)
    elif operation in {"merge_cleanly", "pick"}:
        OPERATIONS[operation](registry)
    assert categories(registry) == DONE[operation]
    assert list(repository.fsck()) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_death_at_any_step_loses_nothing(fresh, project, operation):
    steps = int(run(fresh(operation), project, operation, "count"))
    assert steps > DEATHS
    deaths = 0
    for death in range(DEATHS):
        registry = fresh(operation)
        # Where Python had modules to compile while it was counted, a later child has fewer steps.
        deaths += not run(registry, project, operation, steps * death // DEATHS)
        check(registry, operation)
        end(registry, operation)
    assert deaths > DEATHS // 2


def test_two_merges_into_one_branch_at_once_both_get_in_or_are_told(fresh, project):
    registry = fresh("merge_cleanly")
    code = (
        "import sys; from registry.catalog import connect; from registry.curate import merging;"
        "merging.merge(connect(sys.argv[1]), 'ships', sys.argv[2], 'ours')"
    )
    for name in ("one", "two"):
        registry.branch("ships", name, at="main")
        with registry.draft("ships", name).edit(name) as root:
            (root / f"{name}.md").write_text(name)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, registry.lake.address, name],
            env=os.environ | {"EOLAB_USER": name},
            cwd=project,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    told = dict(zip(("one", "two"), (child.communicate()[1] for child in children), strict=True))

    paths = {entry.path for entry in registry.lake.repository("ships").entries("ours")}
    for name, said in told.items():
        assert f"{name}.md" in paths or "ConflictError" in said
        if f"{name}.md" not in paths:
            merge(registry, "ships", name, "ours")
    paths = {entry.path for entry in registry.lake.repository("ships").entries("ours")}
    assert {"one.md", "two.md"} <= paths
    assert categories(registry) == BEFORE


def test_a_branch_deleted_while_it_is_merged_into_is_not_made_again(fresh, monkeypatch):
    from registry.catalog.merging import engine

    registry = fresh("merge_cleanly")
    stage = engine.stage

    def delete_first(*arguments, **options):
        registry.delete_branch("ships", "ours")
        return stage(*arguments, **options)

    monkeypatch.setattr(engine, "stage", delete_first)
    with pytest.raises((LookupError, ConflictError), match="ours"):
        merge_cleanly(registry)
    monkeypatch.undo()
    assert "ours" not in registry.branches("ships")
    registry.undo("ships", "ours")
    assert categories(registry) == BEFORE


def test_a_branch_deleted_while_it_is_merged_gets_in_whole(fresh, monkeypatch):
    from registry.catalog.merging import engine

    registry = fresh("merge_cleanly")
    stage = engine.stage

    def delete_first(*arguments, **options):
        registry.delete_branch("ships", "other")
        return stage(*arguments, **options)

    monkeypatch.setattr(engine, "stage", delete_first)
    merge_cleanly(registry)
    assert categories(registry) == DONE["merge_cleanly"]
