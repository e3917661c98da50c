"""Merges of two branches: tables by row, the card by key, other files whole."""

import json
import pickle
import shutil

import pyarrow as pa
import pytest
import shapely

from registry.catalog import MergeConflictError
from registry.errors import ForbiddenError, InvalidInputError
from registry.tables import edit
from registry.tables.schemas import ANNOTATIONS, SAMPLES, SPLITS


def rows(schema, found):
    return pa.Table.from_pylist(found, schema=schema.arrow)


@pytest.fixture
def parted(ships):
    """Two branches of a dataset with two samples, an annotation and a file."""
    main = ships.draft("ships")
    with main.edit("start") as root:
        edit.upsert(root, SAMPLES, rows(SAMPLES, [{"id": "a"}, {"id": "b"}]))
        drawn = {"id": "0", "sample": "a", "category": "boat"}
        edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, [drawn]))
        (root / "notes.md").write_text("start")
    ships.branch("ships", "ours", at=main.head)
    ships.branch("ships", "theirs", at=main.head)
    return ships


def change(registry, branch, work):
    with registry.draft("ships", branch).edit(f"on {branch}") as root:
        work(root)


def merge(registry, **options):
    return registry.merge("ships", "theirs", "ours", **options)


def file(registry, path, at="ours"):
    return registry.lake.repository("ships").read(path, at=at).decode()


def ids(registry, table, column="id"):
    return sorted(registry.resolve("ships@ours").table(table).column(column).to_pylist())


def test_files_that_one_side_changed_are_taken(parted):
    change(parted, "ours", lambda root: (root / "ours.md").write_text("o"))
    change(parted, "theirs", lambda root: (root / "notes.md").write_text("theirs"))
    change(parted, "theirs", lambda root: (root / "theirs.md").write_text("t"))

    merged = merge(parted)

    assert set(merged.paths) == {"notes.md", "theirs.md"}
    assert [file(parted, name) for name in ("ours.md", "notes.md", "theirs.md")] == [
        "o",
        "theirs",
        "t",
    ]
    assert len(merged.commit.parents) == 2


def test_a_branch_with_nothing_of_its_own_moves_forward(parted):
    change(parted, "theirs", lambda root: (root / "notes.md").write_text("theirs"))

    merged = merge(parted)

    assert merged.commit.id == parted.draft("ships", "theirs").head
    assert not merge(parted).moved


def test_a_file_that_both_changed_is_a_conflict_until_a_side_is_preferred(parted):
    for branch in ("ours", "theirs"):
        change(parted, branch, lambda root, text=branch: (root / "notes.md").write_text(text))

    with pytest.raises(MergeConflictError) as raised:
        merge(parted)
    assert raised.value.conflicts.column("table").to_pylist() == ["notes.md"]
    assert file(parted, "notes.md") == "ours"
    merge(parted, prefer="theirs")
    assert file(parted, "notes.md") == "theirs"


def test_a_file_that_one_side_removed_goes(parted):
    change(parted, "ours", lambda root: (root / "ours.md").write_text("o"))
    change(parted, "theirs", lambda root: (root / "notes.md").unlink())

    merge(parted)

    paths = {e.path for e in parted.lake.repository("ships").entries("ours")}
    assert "notes.md" not in paths


def test_the_same_change_on_both_sides_is_no_conflict(parted):
    for branch in ("ours", "theirs"):
        change(parted, branch, lambda root: (root / "notes.md").write_text("same"))
    change(parted, "ours", lambda root: (root / "ours.md").write_text("o"))

    merge(parted)

    assert file(parted, "notes.md") == "same"


def test_cards_merge_key_by_key(parted):
    def say(line):
        return lambda root: (root / "README.md").write_text(
            (root / "README.md").read_text().replace("license: MIT", line)
        )

    change(parted, "ours", say("license: MIT\ntags: [o]"))
    change(parted, "theirs", say("license: ISC"))

    merge(parted)

    spec = parted.resolve("ships@ours").spec
    assert (spec.licence, spec.tags) == ("ISC", ("o",))


def test_cards_that_disagree_name_the_key(parted):
    for branch, licence in (("ours", "ISC"), ("theirs", "0BSD")):
        change(
            parted,
            branch,
            lambda root, text=licence: (root / "README.md").write_text(
                (root / "README.md").read_text().replace("MIT", text)
            ),
        )

    with pytest.raises(MergeConflictError) as raised:
        merge(parted)
    [conflict] = raised.value.conflicts.to_pylist()
    assert (conflict["table"], conflict["key"]) == ("README.md", "license")
    assert (conflict["base"], conflict["ours"], conflict["theirs"]) == (
        '"MIT"',
        '"ISC"',
        '"0BSD"',
    )
    merge(parted, prefer="theirs")
    assert parted.resolve("ships@ours").spec.licence == "0BSD"


def test_a_table_that_only_theirs_made_comes_along(parted):
    change(parted, "ours", lambda root: (root / "ours.md").write_text("o"))
    split = [{"sample": "a", "subset": "train"}]
    change(parted, "theirs", lambda root: edit.upsert(root, SPLITS, rows(SPLITS, split)))

    merge(parted)

    assert ids(parted, "splits/default", "sample") == ["a"]


def test_a_table_that_theirs_removed_goes(parted):
    change(parted, "ours", lambda root: (root / "ours.md").write_text("o"))
    change(parted, "theirs", lambda root: shutil.rmtree(root / "annotations"))

    merge(parted)

    assert parted.resolve("ships@ours").tables() == ["samples"]


def test_a_table_removed_here_and_written_there_is_a_conflict(parted):
    change(parted, "ours", lambda root: shutil.rmtree(root / "annotations"))
    drawn = [{"id": "1", "sample": "a", "category": "boat"}]
    change(parted, "theirs", lambda root: edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, drawn)))

    with pytest.raises(MergeConflictError, match="annotations") as raised:
        merge(parted)
    [conflict] = raised.value.conflicts.to_pylist()
    assert (conflict["kind"], conflict["ours"]) == ("table", None)
    assert json.loads(conflict["theirs"])["files"] > 1
    merge(parted, prefer="theirs")
    assert ids(parted, "annotations") == ["0", "1"]


def test_a_sample_deleted_here_and_annotated_there_is_a_conflict(parted):
    change(parted, "ours", lambda root: edit.delete(root, "samples", where="id = 'b'"))
    drawn = [{"id": "1", "sample": "b", "category": "boat"}]
    change(parted, "theirs", lambda root: edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, drawn)))

    with pytest.raises(MergeConflictError) as raised:
        merge(parted)
    [conflict] = raised.value.conflicts.to_pylist()
    assert (conflict["kind"], conflict["table"], conflict["key"]) == ("orphan", "samples", "b")
    assert (conflict["ours"], conflict["theirs"]) == (None, '{"annotations": ["1"]}')


@pytest.mark.parametrize(
    ("side", "samples", "annotations"),
    [("ours", ["a"], ["0"]), ("theirs", ["a", "b"], ["0", "1"])],
)
def test_a_preferred_side_decides_over_a_sample_and_what_is_drawn_on_it(
    parted, side, samples, annotations
):
    change(parted, "ours", lambda root: edit.delete(root, "samples", where="id = 'b'"))
    drawn = [{"id": "1", "sample": "b", "category": "boat"}]
    change(parted, "theirs", lambda root: edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, drawn)))

    merge(parted, prefer=side)

    assert ids(parted, "samples") == samples
    assert ids(parted, "annotations") == annotations
    assert list(parted.lake.repository("ships").fsck()) == []


def test_an_object_drawn_on_both_sides_is_reported(parted):
    def draw(name, east):
        box = shapely.to_wkb(shapely.box(0, 0, east, 10))
        row = {"id": name, "sample": "a", "category": "boat", "geometry": box, "frame": "pixel"}
        return lambda root: edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, [row]))

    change(parted, "ours", draw("mine", 10))
    change(parted, "theirs", draw("yours", 9))

    merged = merge(parted)

    assert merged.duplicates.column("iou").to_pylist() == [pytest.approx(0.9)]
    assert "drawn twice" in merged.to_text()
    assert ids(parted, "annotations") == ["0", "mine", "yours"]


def test_what_is_made_at_publish_is_never_merged(parted):
    def write(root):
        (root / "reports").mkdir()
        (root / "reports" / "quality.json").write_text("{}")
        (root / "items.parquet").write_text("old")

    change(parted, "ours", write)
    change(parted, "theirs", lambda root: (root / "items.parquet").write_text("other"))

    merge(parted)

    paths = {e.path for e in parted.lake.repository("ships").entries("ours")}
    assert not paths & {"items.parquet", "reports/quality.json"}


def test_what_ingest_reported_is_kept(parted):
    from registry.tables import store
    from registry.tables.schemas import reports_schema

    schema = reports_schema("ingest")
    for branch in ("ours", "theirs"):
        found = [{"id": branch, "check": "unreadable", "severity": "error"}]
        change(parted, branch, lambda root, f=found: store.append(root, schema, rows(schema, f)))

    merge(parted)

    assert ids(parted, "reports/ingest") == ["ours", "theirs"]


def test_a_merge_that_fails_leaves_the_branch_as_it_was(parted):
    for branch in ("ours", "theirs"):
        change(parted, branch, lambda root, text=branch: (root / "notes.md").write_text(text))
    before = parted.draft("ships", "ours").head

    with pytest.raises(MergeConflictError):
        merge(parted)
    assert parted.draft("ships", "ours").head == before


@pytest.mark.parametrize("side", ["mine", ""])
def test_only_ours_and_theirs_can_be_preferred(parted, side):
    with pytest.raises(InvalidInputError):
        merge(parted, prefer=side)


def test_main_is_merged_into_by_publishing_alone(parted):
    with pytest.raises(ForbiddenError):
        parted.merge("ships", "theirs", "main")


def test_a_conflict_that_crossed_a_process_border_still_says_what_is_wrong(parted):
    for branch in ("ours", "theirs"):
        change(parted, branch, lambda root, text=branch: (root / "notes.md").write_text(text))
    with pytest.raises(MergeConflictError) as raised:
        merge(parted)
    arrived = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 — our own
    assert (str(arrived), arrived.conflicts) == (str(raised.value), None)
