"""Merges that wait for decisions: kept, decided in any way, finished by the last decision."""

import json
from datetime import timedelta

import pyarrow as pa
import pytest

from registry.catalog import MergeConflictError, edit_rows, pending
from registry.catalog.merging.choosing import Choice
from registry.catalog.merging.merged import Undecided
from registry.catalog.merging.pending import keep
from registry.curate.merging import abort, cherry_pick, merge, resolve, revert, waiting_for
from registry.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from registry.tables import edit
from registry.tables.expressions import ExpressionError
from registry.tables.schemas import ANNOTATIONS, ASSETS, SAMPLES, SPLITS


def rows(schema, found):
    return pa.Table.from_pylist(found, schema=schema.arrow)


@pytest.fixture
def parted(ships):
    """Two branches of three samples, each with an annotation, an asset and a place in a split."""
    start = ships.draft("ships")
    with start.edit("start") as root:
        edit.upsert(root, SAMPLES, rows(SAMPLES, [{"id": name} for name in "abc"]))
        drawn = [{"id": f"{n}1", "sample": n, "category": "boat"} for n in "abc"]
        edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, drawn))
        kept = [{"sample": n, "asset": "s2", "href": f"{n}.tif"} for n in "abc"]
        edit.upsert(root, ASSETS, rows(ASSETS, kept))
        split = [{"sample": n, "subset": "train"} for n in "abc"]
        edit.upsert(root, SPLITS, rows(SPLITS, split))
        (root / "notes.md").write_text("start")
    ships.branch("ships", "ours", at=start.head)
    ships.branch("ships", "theirs", at=start.head)
    return ships


def change(registry, branch, work):
    with registry.draft("ships", branch).edit(f"on {branch}") as root:
        work(root)
    return registry.draft("ships", branch).head


def say(registry, branch, where, *assignments, table="annotations"):
    return edit_rows(
        registry, f"ships@{branch}", table=table, assignments=assignments, where=where
    ).commit


def bring(registry, **options):
    return merge(registry, "ships", "theirs", "ours", **options)


def decide(registry, **choice):
    return resolve(registry, "ships", Choice(**choice))


def waits(registry, into=None):
    return pending(registry.lake.repository("ships"), into)


def table(registry, name="annotations", at="ours", column="category"):
    found = registry.resolve(f"ships@{at}").table(name).to_pylist()
    return {
        "/".join(str(row[k]) for k in ("id", "sample") if k in row): row[column] for row in found
    }


@pytest.fixture
def clashing(parted):
    """Both sides changed the category of two annotations, and ours' alone of a third."""
    say(parted, "ours", "id in ('a1', 'b1')", "category='ship'", "score=0.5")
    say(parted, "theirs", "id in ('a1', 'b1')", "category='Boat'", "annotator='t'")
    say(parted, "ours", "id = 'c1'", "category='buoy'")
    with pytest.raises(MergeConflictError, match="2 conflicts between 'ours' and 'theirs'"):
        bring(parted)
    return parted


def test_a_merge_with_conflicts_waits_and_moves_nothing(clashing):
    waiting = waits(clashing)

    assert (waiting.into, waiting.joining.name) == ("ours", "theirs")
    assert waiting.ours == clashing.draft("ships", "ours").head
    assert waiting.theirs == clashing.draft("ships", "theirs").head
    assert waiting.base == clashing.draft("ships").head
    assert table(clashing)["a1/a"] == "ship"
    found = waiting.conflicts.to_pylist()
    assert [(row["table"], row["key"], row["columns"]) for row in found] == [
        ("annotations", "a1", ["category"]),
        ("annotations", "b1", ["category"]),
    ]
    assert json.loads(found[0]["base"]) == {"category": "boat"}
    assert json.loads(found[0]["ours"]) == {"category": "ship"}
    assert json.loads(found[0]["theirs"]) == {"category": "Boat"}
    assert found[0]["decision"] is None


def test_what_waits_is_no_branch_that_people_work_on(clashing):
    assert "pending/ours" not in clashing.branches("ships")
    with pytest.raises(InvalidInputError):
        clashing.branch("ships", "pending/mine")
    with pytest.raises(ForbiddenError, match="belongs to the lab"):
        clashing.delete_branch("ships", "pending/ours")


def test_what_waits_survives_garbage_collection_and_the_deletion_of_its_source(clashing):
    clashing.delete_branch("ships", "theirs")
    clashing.lake.repository("ships").gc(grace=timedelta(0))

    decide(clashing, side="theirs")

    assert table(clashing)["a1/a"] == "Boat"
    assert list(clashing.lake.repository("ships").fsck()) == []


def test_the_last_decision_ends_the_merge(clashing):
    left = decide(clashing, side="theirs", keys=("a1",))
    assert [clash.key for clash in left.open] == ["b1"]
    assert waits(clashing).decisions == left.decisions

    merged = decide(clashing, side="ours", keys=("b1",))

    assert table(clashing) == {"a1/a": "Boat", "b1/b": "ship", "c1/c": "buoy"}
    assert table(clashing, column="annotator")["b1/b"] == "t"
    assert table(clashing, column="score")["a1/a"] == 0.5
    assert len(merged.commit.parents) == 2
    assert "2 conflicts decided: 1 theirs, 1 ours" in merged.to_text()
    assert waits(clashing) is None
    with pytest.raises(NotFoundError, match="waits for decisions"):
        decide(clashing, side="ours")


def test_a_decision_may_be_changed_while_others_are_open(clashing):
    decide(clashing, side="theirs", keys=("a1",))
    decide(clashing, side="ours", keys=("a1",))
    decide(clashing, side="theirs")

    assert table(clashing) == {"a1/a": "ship", "b1/b": "Boat", "c1/c": "buoy"}


def test_every_decision_is_a_commit_that_says_why(clashing):
    resolve(clashing, "ships", Choice(side="ours", keys=("a1",)), message="Anna was on the quay")
    decide_log = clashing.lake.repository("ships").log(waits(clashing).commit)
    assert next(iter(decide_log)).message == "Anna was on the quay"


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("category = 'Boat'", ["a1", "b1"]),
        ("category = 'Boat' and sample = 'a'", ["a1"]),
        ("ours.category = 'ship' and key = 'b1'", ["b1"]),
        ("theirs.annotator = 't' and base.category = 'boat'", ["a1", "b1"]),
        ("list_contains(columns, 'category') and \"table\" = 'annotations'", ["a1", "b1"]),
    ],
)
def test_conflicts_are_chosen_by_a_condition_on_either_sides_row(clashing, where, keys):
    choice = Choice(side="theirs", where=where)
    from registry.catalog.merging.choosing import choose

    waiting = waits(clashing)
    chosen = choose(clashing.lake.repository("ships"), waiting, choice)
    assert [clash.key for clash in waiting.clashes if clash.id in chosen] == keys


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        ({"side": "theirs", "where": "category = 'ship'"}, NotFoundError),
        ({"side": "theirs", "where": "colour = 1"}, ExpressionError),
        ({"side": "theirs", "where": "(select 1) = 1"}, ExpressionError),
        ({"side": "theirs", "where": "read_text('/etc/passwd') = ''"}, InvalidInputError),
        ({"side": "theirs", "keys": ("z9",)}, NotFoundError),
        ({"side": "theirs", "table": "samples"}, NotFoundError),
        ({"values": {"score": "1"}}, InvalidInputError),
        ({"values": {"category": "1 + 1"}}, ExpressionError),
        ({"values": {"nothing": "1"}}, InvalidInputError),
        ({"side": "mine"}, InvalidInputError),
        ({"side": "ours", "values": {"category": "'x'"}}, InvalidInputError),
    ],
)
def test_a_choice_that_means_nothing_decides_nothing(clashing, choice, error):
    with pytest.raises(error):
        decide(clashing, **choice)
    assert len(waits(clashing).open) == 2


def test_a_value_of_ones_own_is_set(clashing):
    decide(clashing, values={"category": "upper(category)"}, keys=("a1",))
    decide(clashing, values={"category": "'vessel'"})

    assert table(clashing) == {"a1/a": "SHIP", "b1/b": "vessel", "c1/c": "buoy"}
    assert table(clashing, column="annotator")["a1/a"] == "t"


def test_groups_of_one_row_are_decided_apart(parted):
    say(parted, "ours", "id = 'a1'", "category='ship'", "score=0.1")
    say(parted, "theirs", "id = 'a1'", "category='Boat'", "score=0.9", "method='manual'")
    with pytest.raises(MergeConflictError, match="2 conflicts"):
        bring(parted)

    by_column = {clash.columns: clash.id for clash in waits(parted).clashes}
    decide(parted, side="theirs", keys=(by_column["score",],))
    decide(parted, side="ours", keys=(by_column["category",],))

    [row] = [
        r for r in parted.resolve("ships@ours").table("annotations").to_pylist() if r["id"] == "a1"
    ]
    assert (row["category"], row["score"], row["method"]) == ("ship", 0.9, "manual")


def test_a_merge_that_waits_can_be_dropped(clashing):
    before = clashing.draft("ships", "ours").head
    assert abort(clashing, "ships") == "ours"
    assert waits(clashing) is None
    assert clashing.draft("ships", "ours").head == before
    with pytest.raises(NotFoundError):
        abort(clashing, "ships")


def test_preferring_a_side_ends_what_waits(clashing):
    decide(clashing, side="ours", keys=("a1",))

    bring(clashing, prefer="theirs")

    assert table(clashing) == {"a1/a": "ship", "b1/b": "Boat", "c1/c": "buoy"}
    assert waits(clashing) is None


def test_decisions_hold_when_sides_move_and_only_what_is_new_is_asked(clashing):
    decide(clashing, side="theirs", keys=("a1",))
    say(clashing, "ours", "id = 'c1'", "method='manual'")
    say(clashing, "theirs", "id = 'c1'", "category='wreck'")

    left = decide(clashing, side="ours", keys=("b1",))

    assert [clash.key for clash in left.open] == ["c1"]
    assert left.theirs == clashing.draft("ships", "theirs").head
    decide(clashing, side="theirs")
    assert table(clashing) == {"a1/a": "Boat", "b1/b": "ship", "c1/c": "wreck"}


def test_a_conflict_that_is_another_now_is_asked_again(clashing):
    decide(clashing, side="theirs", keys=("a1",))
    say(clashing, "theirs", "id = 'a1'", "category='canoe'")

    left = decide(clashing, side="ours", keys=("b1",))

    assert [clash.key for clash in left.open] == ["a1"]


def test_a_conflict_that_both_sides_settled_is_asked_no_more(clashing):
    say(clashing, "theirs", "id = 'a1'", "category='ship'")
    merged = decide(clashing, side="ours", keys=("b1",))

    assert merged.moved
    assert table(clashing)["a1/a"] == "ship"


def test_another_merge_goes_ahead_unless_it_has_conflicts_too(clashing):
    clashing.branch("ships", "third", at=waits(clashing).base)
    change(clashing, "third", lambda root: (root / "third.md").write_text("3"))
    merge(clashing, "ships", "third", "ours")
    assert len(waits(clashing).open) == 2

    clashing.branch("ships", "fourth", at=waits(clashing).base)
    say(clashing, "fourth", "id = 'c1'", "category='rock'")
    with pytest.raises(ConflictError, match="waits for 2 decisions"):
        merge(clashing, "ships", "fourth", "ours")
    assert waits(clashing).joining.name == "theirs"

    decide(clashing, side="ours")
    assert "third.md" in {e.path for e in clashing.lake.repository("ships").entries("ours")}


def test_a_merge_that_was_done_otherwise_waits_no_more(clashing):
    clashing.merge("ships", "theirs", "ours", prefer="ours")
    assert waits(clashing) is None


def test_several_merges_that_wait_are_told_apart(clashing):
    clashing.branch("ships", "other", at="ours")
    with pytest.raises(MergeConflictError):
        merge(clashing, "ships", "theirs", "other")

    with pytest.raises(InvalidInputError, match="2 merges"):
        waits(clashing)
    assert waits(clashing, "other").into == "other"
    resolve(clashing, "ships", Choice(side="theirs"), "other")
    assert waits(clashing).into == "ours"


def test_a_branch_that_is_gone_cannot_end_what_waits_for_it(clashing):
    clashing.delete_branch("ships", "ours")

    with pytest.raises(NotFoundError, match="no branch 'ours'"):
        decide(clashing, side="theirs")
    clashing.undo("ships", "ours")
    decide(clashing, side="theirs")
    assert table(clashing)["a1/a"] == "Boat"


def test_a_half_kept_merge_counts_for_nothing(clashing):
    repository = clashing.lake.repository("ships")
    abort(clashing, "ships")
    repository.create_branch("pending/ours", at="ours")

    assert waits(clashing) is None
    with pytest.raises(MergeConflictError):
        bring(clashing)
    assert len(waits(clashing).open) == 2


# ------------------------------------------------------------------- kinds of conflicts
def conflict(registry):
    with pytest.raises(MergeConflictError):
        bring(registry)
    [found] = waits(registry).clashes
    return found


@pytest.mark.parametrize(("side", "there"), [("ours", False), ("theirs", True)])
def test_a_row_deleted_here_and_changed_there(parted, side, there):
    edit_rows(parted, "ships@ours", table="annotations", where="id = 'a1'", delete=True)
    say(parted, "theirs", "id = 'a1'", "category='Boat'")

    found = conflict(parted)
    assert (found.kind, found.ours, json.loads(found.theirs)) == (
        "deleted",
        None,
        {"category": "Boat"},
    )
    decide(parted, side=side)
    assert ("a1/a" in table(parted)) is there


@pytest.mark.parametrize("deleter", ["ours", "theirs"])
def test_a_deleted_row_may_be_kept_with_a_value_of_ones_own(parted, deleter):
    other = "theirs" if deleter == "ours" else "ours"
    edit_rows(parted, f"ships@{deleter}", table="annotations", where="id = 'a1'", delete=True)
    say(parted, other, "id = 'a1'", "category='Boat'")

    conflict(parted)
    decide(parted, values={"category": "'canoe'"})
    assert table(parted)["a1/a"] == "canoe"


def without(registry, branch, sample):
    def work(root):
        for name in ("annotations", "assets", "splits/default"):
            edit.delete(root, name, where=f"sample = '{sample}'")
        edit.delete(root, "samples", where=f"id = '{sample}'")

    change(registry, branch, work)


def everything_of(registry, sample):
    tables = {"annotations": "a1", "assets": sample, "splits/default": sample, "samples": sample}
    return {
        name
        for name in tables
        if sample
        in registry
        .resolve("ships@ours")
        .table(name)
        .column("id" if name == "samples" else "sample")
        .to_pylist()
    }


@pytest.mark.parametrize("deleter", ["ours", "theirs"])
@pytest.mark.parametrize("stays", [True, False])
def test_a_deleted_sample_that_stays_comes_back_with_all_that_speaks_of_it(parted, deleter, stays):
    other = "theirs" if deleter == "ours" else "ours"
    without(parted, deleter, "a")
    say(parted, other, "id = 'a'", "label=['sea']", table="samples")

    assert conflict(parted).kind == "deleted"
    decide(parted, side=other if stays else deleter)

    everything = {"annotations", "assets", "splits/default", "samples"}
    assert everything_of(parted, "a") == (everything if stays else set())
    assert everything_of(parted, "b") == everything


@pytest.mark.parametrize("deleter", ["ours", "theirs"])
@pytest.mark.parametrize("stays", [True, False])
def test_a_deleted_sample_on_which_the_other_side_drew(parted, deleter, stays):
    other = "theirs" if deleter == "ours" else "ours"
    without(parted, deleter, "a")
    drawn = rows(ANNOTATIONS, [{"id": "new", "sample": "a", "category": "boat"}])
    change(parted, other, lambda root: edit.upsert(root, ANNOTATIONS, drawn))

    found = conflict(parted)
    assert (found.kind, found.table, found.key) == ("orphan", "samples", "a")
    assert getattr(found, deleter) is None
    assert json.loads(getattr(found, other)) == {"annotations": ["new"]}
    decide(parted, side=other if stays else deleter)

    everything = {"annotations", "assets", "splits/default", "samples"}
    assert everything_of(parted, "a") == (everything if stays else set())
    assert ("a1/a" in table(parted), "new/a" in table(parted)) == (stays, stays)


@pytest.mark.parametrize(("side", "text"), [("ours", "ours"), ("theirs", "theirs")])
def test_a_file_that_both_changed(parted, side, text):
    for branch in ("ours", "theirs"):
        change(parted, branch, lambda root, b=branch: (root / "notes.md").write_text(b))

    assert conflict(parted).kind == "file"
    with pytest.raises(InvalidInputError):
        decide(parted, values={"notes.md": "'x'"})
    decide(parted, side=side)
    assert parted.lake.repository("ships").read("notes.md", at="ours").decode() == text


def test_a_file_where_the_other_side_has_a_folder(parted):
    change(parted, "ours", lambda root: (root / "extra").write_text("a file"))

    def lay(root):
        (root / "extra").mkdir()
        (root / "extra" / "more.md").write_text("in a folder")

    change(parted, "theirs", lay)

    assert (conflict(parted).kind, conflict(parted).key) == ("file", "extra/more.md")
    decide(parted, side="theirs")
    paths = {entry.path for entry in parted.lake.repository("ships").entries("ours", "extra")}
    assert paths == {"extra/more.md"}


def test_a_folder_where_the_other_side_has_a_file(parted):
    def lay(root):
        (root / "extra").mkdir()
        (root / "extra" / "more.md").write_text("in a folder")

    change(parted, "ours", lay)
    change(parted, "theirs", lambda root: (root / "extra").write_text("a file"))

    assert (conflict(parted).kind, conflict(parted).key) == ("file", "extra")
    decide(parted, side="theirs")
    paths = {entry.path for entry in parted.lake.repository("ships").entries("ours", "extra")}
    assert paths == {"extra"}


def card(registry, branch, **values):
    from registry.catalog.card import front

    def work(root):
        text = (root / "README.md").read_text()
        (root / "README.md").write_text(front.changed(text, values))

    change(registry, branch, work)


@pytest.mark.parametrize(
    ("choice", "licence"),
    [
        ({"side": "ours"}, "ISC"),
        ({"side": "theirs"}, "0BSD"),
        ({"values": {"license": "EUPL-1.2"}}, "EUPL-1.2"),
    ],
)
def test_a_key_of_the_card_that_both_changed(parted, choice, licence):
    card(parted, "ours", license="ISC", tags=["o"])
    card(parted, "theirs", license="0BSD", source="https://example.org")

    found = conflict(parted)
    assert (found.kind, found.key, found.base) == ("card", "license", '"MIT"')
    decide(parted, **choice)

    spec = parted.resolve("ships@ours").spec
    assert (spec.licence, spec.tags, spec.source) == (licence, ("o",), "https://example.org")


# ------------------------------------------------------------------ revert and cherry-pick
def test_a_commit_in_the_middle_is_taken_back_row_by_row(parted):
    say(parted, "ours", "id = 'a1'", "category='wrong'")
    bad = parted.draft("ships", "ours").head
    say(parted, "ours", "id = 'b1'", "category='right'")
    say(parted, "ours", "id = 'a1'", "score=0.5")

    done = revert(parted, "ships", bad, "ours", message="it was a boat")

    assert table(parted) == {"a1/a": "boat", "b1/b": "right", "c1/c": "boat"}
    assert table(parted, column="score")["a1/a"] == 0.5
    assert done.commit.message == "it was a boat"
    assert done.commit.metadata["reverts"] == bad
    assert len(done.commit.parents) == 1
    assert not revert(parted, "ships", bad, "ours").moved
    assert list(parted.lake.repository("ships").fsck()) == []


def test_a_commit_that_was_built_upon_is_a_conflict_to_decide(parted):
    say(parted, "ours", "id in ('a1', 'b1')", "category='wrong'")
    bad = parted.draft("ships", "ours").head
    say(parted, "ours", "id = 'a1'", "category='mended'")

    with pytest.raises(MergeConflictError):
        revert(parted, "ships", bad, "ours")
    found = waits(parted)
    assert [(clash.key, clash.base, clash.ours, clash.theirs) for clash in found.clashes] == [
        ("a1", '{"category": "wrong"}', '{"category": "mended"}', '{"category": "boat"}')
    ]
    done = decide(parted, side="ours")

    assert table(parted) == {"a1/a": "mended", "b1/b": "boat", "c1/c": "boat"}
    assert done.commit.metadata["reverts"] == bad
    assert waits(parted) is None


def test_samples_that_a_commit_added_go_when_it_is_taken_back(parted):
    new = rows(SAMPLES, [{"id": "d"}, {"id": "e"}])
    added = change(parted, "ours", lambda root: edit.upsert(root, SAMPLES, new))
    drawn = rows(ANNOTATIONS, [{"id": "d1", "sample": "d", "category": "boat"}])
    change(parted, "ours", lambda root: edit.upsert(root, ANNOTATIONS, drawn))

    with pytest.raises(MergeConflictError):
        revert(parted, "ships", added, "ours")
    decide(parted, side="ours")

    assert list(table(parted, "samples", column="id")) == ["a", "b", "c", "d"]
    assert "d1/d" in table(parted)


def test_what_a_merge_brought_is_taken_back_whole(parted):
    say(parted, "theirs", "id = 'a1'", "category='Boat'")
    say(parted, "ours", "id = 'b1'", "category='ship'")
    merged = bring(parted)
    say(parted, "ours", "id = 'c1'", "category='buoy'")

    revert(parted, "ships", merged.commit.id, "ours")

    assert table(parted) == {"a1/a": "boat", "b1/b": "ship", "c1/c": "buoy"}


def test_one_commit_of_another_branch_is_picked(parted):
    say(parted, "theirs", "id = 'a1'", "category='Boat'")
    good = say(parted, "theirs", "id = 'b1'", "category='ferry'")
    say(parted, "theirs", "id = 'c1'", "category='wreck'")
    say(parted, "ours", "id = 'a1'", "score=0.5")

    done = cherry_pick(parted, "ships", good, "ours")

    assert table(parted) == {"a1/a": "boat", "b1/b": "ferry", "c1/c": "boat"}
    assert done.commit.metadata["picks"] == good
    assert done.commit.message.startswith(f"cherry-pick {good[:12]}: ")
    assert not cherry_pick(parted, "ships", good, "ours").moved


def test_a_pick_that_conflicts_waits_and_ends_once(parted):
    good = say(parted, "theirs", "id = 'b1'", "category='ferry'")
    say(parted, "ours", "id = 'b1'", "category='ship'")

    with pytest.raises(MergeConflictError):
        cherry_pick(parted, "ships", good, "ours")
    decide(parted, side="theirs")

    assert table(parted)["b1/b"] == "ferry"
    assert waits(parted) is None


def test_only_what_is_behind_a_branch_is_taken_back(parted):
    other = say(parted, "theirs", "id = 'b1'", "category='ferry'")
    with pytest.raises(InvalidInputError, match="not in the history"):
        revert(parted, "ships", other, "ours")
    first = [commit.id for commit in parted.log("ships@ours")][-1]
    for way in (revert, cherry_pick):
        with pytest.raises(InvalidInputError, match="first of its history"):
            way(parted, "ships", first, "ours")


def test_a_table_that_was_compacted_since_is_reverted_by_its_rows(parted):
    from registry.tables import store

    bad = say(parted, "ours", "id = 'a1'", "category='wrong'")

    def again(root):
        found = store.read(root, "annotations")
        store.overwrite(root, store.schema_of(root, "annotations"), found)
        store.checkpoint(root, "annotations")

    change(parted, "ours", again)
    revert(parted, "ships", bad, "ours")

    assert table(parted)["a1/a"] == "boat"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: (root / "merge.json").write_text("{"),
        lambda root: (root / "merge.json").write_text('{"joining": {"way": "sideways"}}'),
        lambda root: (root / "merge.json").unlink(),
        lambda root: edit.update(root, "conflicts", set={"theirs": "'{'"}, where="true"),
        lambda root: edit.update(root, "conflicts", set={"kind": "'odd'"}, where="true"),
        lambda root: edit.update(root, "conflicts", set={"decision": "'mine'"}, where="true"),
    ],
)
def test_what_waits_and_cannot_be_read_is_said_and_can_be_dropped(clashing, spoil):
    with clashing.lake.repository("ships").workspace("pending/ours") as workspace:
        spoil(workspace.path)
        workspace.commit("spoil", metadata={"pending": "merge"})

    with pytest.raises(CorruptError, match=r"cannot be read|not whole|no table of conflicts"):
        waits(clashing)
    abort(clashing, "ships", "ours")
    assert waits(clashing) is None


def test_waiting_for_names_what_is_missing(parted):
    with pytest.raises(NotFoundError, match="no merge into 'ours'"):
        waiting_for(parted, "ships", "ours")


def test_nothing_is_picked_twice_though_the_branch_holds_what_publishing_made(parted):
    good = say(parted, "theirs", "id = 'b1'", "category='ferry'")

    def write(root):
        (root / "items.parquet").write_text("made at publish")

    change(parted, "ours", write)
    cherry_pick(parted, "ships", good, "ours")

    assert not cherry_pick(parted, "ships", good, "ours").moved
    assert parted.lake.repository("ships").read("items.parquet", at="ours") == b"made at publish"


def test_a_merge_that_waits_and_is_asked_for_again_changes_nothing(clashing):
    before = waits(clashing).commit
    with pytest.raises(MergeConflictError):
        bring(clashing)
    assert waits(clashing).commit == before


def test_the_callers_draft_is_kept_by_its_full_name(parted, monkeypatch):
    say(parted, "draft", "id = 'a1'", "category='skiff'")
    say(parted, "ours", "id = 'a1'", "category='ship'")
    with pytest.raises(MergeConflictError):
        merge(parted, "ships", "draft", "ours")

    monkeypatch.setenv("EOLAB_USER", "bob")
    assert waits(parted).joining.name == "draft/anna"
    decide(parted, side="theirs")
    assert table(parted)["a1/a"] == "skiff"


def test_a_merge_that_came_to_wait_meanwhile_is_not_dropped(clashing):
    waiting = waits(clashing)
    again = Undecided(joining=waiting.joining, trees=waiting.trees, clashes=waiting.clashes)
    with pytest.raises(ConflictError, match="meanwhile"):
        keep(clashing.lake.repository("ships"), again)
    assert waits(clashing).commit == waiting.commit
