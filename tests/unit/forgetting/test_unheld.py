"""A log that tells of files no commit has forgets them too: a decided merge writes such logs."""

import json
import shutil

import pytest

from registry import lake
from registry.catalog.forgetting.purging import Wanted, apply, purge, purges
from registry.tables import edit, store
from registry.tables.purge import Unwanted, may_have_had

OTHER = "boat_01"


@pytest.fixture
def in_steps():
    """Write several log entries in one commit, so that files come and go within it."""

    def written(world, sample, branch="anna/fix", *, checkpoint=False):
        from deltalake import DeltaTable

        draft = world.registry.draft("ships", branch)
        with draft.edit("in steps") as root:
            for number in range(3):
                edit.update(
                    root, "annotations", set={"category": f"'step {number}'"},
                    where=f"sample = '{sample}'",
                )  # fmt: skip
                if checkpoint and number == 1:
                    DeltaTable(root / "annotations").create_checkpoint()
        return world.repository.resolve(branch)

    return written


def told_and_not_held(repository, ref):
    """Return what the log of annotations says of files that the commit has not."""
    there = {entry.path for entry in repository.entries(ref, "annotations")}
    said = []
    for path in sorted(there):
        if path.endswith(".json"):
            for line in repository.read(path, at=ref).splitlines():
                add = json.loads(line).get("add")
                if add and f"annotations/{add['path']}" not in there:
                    said.append(add)
    return said


def plant(registry, sample):
    """Make a branch with a log that tells of a sample that no data file has."""
    registry.branch("ships", "alone", at="v1")
    with registry.draft("ships", "alone").edit("a log of its own") as root:
        log = root / "annotations" / "_delta_log"
        last = int(max(log.glob("*.json")).stem)
        bounds = {"id": f"{sample}-a1", "sample": sample}
        add = {"path": "part-nowhere.parquet", "partitionValues": {}, "size": 9,
               "modificationTime": 0, "dataChange": True, "tags": {},
               "stats": json.dumps({"minValues": bounds, "maxValues": bounds})}  # fmt: skip
        remove = {"path": "part-nowhere.parquet", "deletionTimestamp": 0, "dataChange": True}
        for number, action in enumerate(({"add": add}, {"remove": remove}), start=last + 1):
            (log / f"{number:020d}.json").write_text(json.dumps(action) + "\n")


def test_nothing_is_left_of_files_that_came_and_went_in_one_commit(world, canary, in_steps):
    in_steps(world, canary)
    assert any(canary in add["stats"] for add in told_and_not_held(world.repository, "anna/fix"))
    purge(world.repository, Wanted(samples=[canary]), reason="asked")
    assert world.hits(canary.encode()) == []
    assert list(world.repository.fsck()) == []
    assert purge(world.repository, Wanted(samples=[canary]), reason="asked").commits == 0


def test_nor_in_a_checkpoint_that_was_made_in_between(world, canary, in_steps):
    head = in_steps(world, canary, checkpoint=True)
    paths = [entry.path for entry in world.repository.entries(head, "annotations")]
    assert any(path.endswith(".checkpoint.parquet") for path in paths)
    purge(world.repository, Wanted(samples=[canary]), reason="asked")
    assert world.hits(canary.encode()) == []
    rows = store.read(world.registry.resolve("ships@anna/fix").root, "annotations")
    assert OTHER in rows.column("sample").to_pylist()


def test_a_log_alone_that_tells_of_the_rows_is_found(world, canary):
    """An earlier purge may have left such a log, when no data file has the row any more."""
    wanted = Wanted(samples=[canary])
    purge(world.repository, wanted, reason="asked")
    plant(world.registry, canary)
    assert world.hits(canary.encode())
    assert purge(world.repository, wanted, reason="asked").commits == 1
    assert world.hits(canary.encode()) == []
    assert world.registry.resolve("ships@alone").count("annotations") == 2


def test_another_lake_whose_logs_alone_tell_of_the_rows_follows(world, canary, tmp_path):
    wanted = Wanted(samples=[canary])
    purge(world.repository, wanted, reason="asked")
    plant(world.registry, canary)
    shutil.copytree(world.folder / "lake", tmp_path / "other")
    there = lake.connect(str(tmp_path / "other")).repository("ships")
    purge(world.repository, wanted, reason="asked again")
    apply(there, purges(world.repository))
    assert there.branches("alone") == world.repository.branches("alone")
    assert world.hits(canary.encode()) == []


def test_a_log_of_files_that_cannot_have_had_the_rows_stays(world, canary, in_steps):
    world.registry.branch("ships", "clean", at="v1")
    head = in_steps(world, OTHER, branch="clean")
    assert told_and_not_held(world.repository, "clean")
    purge(world.repository, Wanted(samples=[canary]), reason="asked")
    assert world.repository.resolve("clean") == head


def bounds(low, high):
    return {"path": "a", "stats": json.dumps({"minValues": low, "maxValues": high})}


@pytest.mark.parametrize(
    ("table", "said", "may"),
    [
        ("samples", bounds({"id": "a"}, {"id": "z"}), True),
        ("samples", bounds({"id": "d"}, {"id": "z"}), False),
        ("samples", bounds({"id": "a"}, {"id": "canary_"}), True),
        ("samples", bounds({"target": 1}, {"target": 2}), True),
        ("samples", {"path": "a", "stats": '{"numRecords": 3}'}, False),
        ("samples", {"path": "a", "stats": "no JSON"}, True),
        ("samples", {"path": "a", "stats": "[]"}, True),
        ("samples", {"path": "a", "tags": {"made": "of canary_4711"}}, True),
        ("samples", {"path": "a", "tags": [("made", "of canary_4711")]}, True),
        ("annotations", bounds({"id": "x", "sample": "a"}, {"id": "y", "sample": "b"}), False),
        ("annotations", bounds({"id": "x", "sample": "a"}, {"id": "y", "sample": "d"}), True),
        ("conflicts", bounds({"key": "a"}, {"key": "d"}), True),
        ("pixels", bounds({"codec": "a"}, {"codec": "z"}), False),
    ],
)
def test_bounds_tell_whether_a_file_may_have_had_a_row(table, said, may, canary):
    unwanted = Unwanted(samples=frozenset({canary}), mentions=lambda text: canary in text)
    assert may_have_had(table, said, unwanted) is may
