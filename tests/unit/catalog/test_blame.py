"""Who changed a row last, against histories whose answer is known."""

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import lake
from registry.catalog import Registry, Spec
from registry.catalog.comparing.blame import blame
from registry.errors import InvalidInputError, NotFoundError
from registry.tables import edit, store
from registry.tables.schemas import ANNOTATIONS, ASSETS


def put(draft, message, *rows):
    with draft.edit(message) as root:
        edit.upsert(root, ANNOTATIONS, written(rows)) if store.exists(
            root, "annotations"
        ) else store.append(root, ANNOTATIONS, written(rows))


def written(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    schema = pa.schema([ANNOTATIONS.arrow.field(name) for name in names])
    return pa.Table.from_pylist(list(rows), schema=schema)


def drop(draft, message, key):
    with draft.edit(message) as root:
        edit.delete(root, "annotations", where=f"id = '{key}'")


def why(registry, ref, *keys, columns=False):
    rows = blame(registry.resolve(ref), "annotations", keys or None, columns=columns).to_pylist()
    if columns:
        return {(row["id"], *row["columns"]): row["message"] for row in rows if row["columns"]}
    return {row["id"]: (row["change"], row["message"]) for row in rows}


@pytest.fixture
def fix(ships):
    """A branch with three rows."""
    draft = ships.branch("ships", "fix")
    rows = [{"id": key, "sample": "s", "category": "boat"} for key in ("a", "b", "c")]
    put(draft, "first", *rows)
    return draft


def test_a_row_is_blamed_on_the_commit_that_changed_it_last(ships, fix):
    put(fix, "second", {"id": "b", "category": "ship"})
    put(fix, "third", {"id": "c", "category": "ship"})
    put(fix, "fourth", {"id": "c", "category": "boat"})

    assert why(ships, "ships@fix") == {
        "a": ("inserted", "first"),
        "b": ("updated", "second"),
        "c": ("updated", "fourth"),
    }


def test_commits_that_wrote_the_file_but_not_the_row_are_passed_by(ships, fix):
    for number in range(40):  # past the point where the log is cut to a checkpoint
        put(fix, f"n{number}", {"id": "b", "score": float(number)})

    assert why(ships, "ships@fix", "a") == {"a": ("inserted", "first")}
    assert why(ships, "ships@fix", "b") == {"b": ("updated", "n39")}


def test_a_row_that_is_gone_is_blamed_on_who_deleted_it(ships, fix):
    drop(fix, "not a boat", "b")
    put(fix, "later", {"id": "a", "category": "ship"})

    assert why(ships, "ships@fix", "b", "a") == {
        "b": ("deleted", "not a boat"),
        "a": ("updated", "later"),
    }


def test_a_row_that_came_back_is_blamed_on_who_brought_it(ships, fix):
    drop(fix, "away", "b")
    put(fix, "again", {"id": "b", "sample": "s", "category": "boat"})

    assert why(ships, "ships@fix", "b") == {"b": ("inserted", "again")}


def test_columns_are_blamed_in_the_groups_that_never_mix(ships, fix):
    put(fix, "named", {"id": "a", "category": "ship"})
    put(fix, "scored", {"id": "a", "score": 0.5})

    found = why(ships, "ships@fix", "a", columns=True)

    assert found["a", "category"] == "named"
    assert found["a", "score"] == "scored"
    assert next(why for key, why in found.items() if "geometry" in key) == "first"
    assert why(ships, "ships@fix", "a") == {"a": ("updated", "scored")}


def test_a_merge_is_followed_to_the_side_that_brought_the_value(ships, fix):
    ships.branch("ships", "anna", "fix")
    anna = ships.draft("ships", "anna")
    put(anna, "anna's", {"id": "a", "category": "ferry"})
    put(anna, "anna's too", {"id": "b", "score": 1.0})
    put(fix, "ours", {"id": "c", "category": "ferry"}, {"id": "b", "category": "ferry"})
    ships.merge("ships", "anna", "fix", message="together")

    assert why(ships, "ships@fix", "a", "c") == {
        "a": ("updated", "anna's"),
        "c": ("updated", "ours"),
    }
    found = why(ships, "ships@fix", "b", columns=True)
    assert (found["b", "score"], found["b", "category"]) == ("anna's too", "ours")
    assert why(ships, "ships@fix", "b")["b"] in {("updated", "ours"), ("updated", "anna's too")}


def test_a_deletion_that_was_merged_is_blamed_on_the_side_that_did_it(ships, fix):
    ships.branch("ships", "anna", "fix")
    drop(ships.draft("ships", "anna"), "gone at anna's", "a")
    put(fix, "ours", {"id": "c", "category": "ferry"})
    ships.merge("ships", "anna", "fix", message="together")

    assert why(ships, "ships@fix", "a") == {"a": ("deleted", "gone at anna's")}


def test_files_that_other_programs_wrote_are_followed(ships, fix):
    put(fix, "second", {"id": "b", "category": "ship"})
    with fix.edit("optimised by delta-rs") as root:
        table = DeltaTable(root / "annotations")
        table.update(updates={"score": "0.5"}, predicate="id = 'c'")
        table.optimize.compact()

    assert why(ships, "ships@fix") == {
        "a": ("inserted", "first"),
        "b": ("updated", "second"),
        "c": ("updated", "optimised by delta-rs"),
    }


def test_rows_rewritten_without_a_change_keep_their_commit(ships, fix):
    with fix.edit("written anew") as root:
        store.overwrite(root, ANNOTATIONS, store.read(root, "annotations").take([2, 0, 1]))
        store.checkpoint(root, "annotations")

    assert why(ships, "ships@fix") == dict.fromkeys("abc", ("inserted", "first"))


def test_a_column_that_came_later_is_no_change_of_rows_that_do_not_use_it(ships, fix):
    wider = ANNOTATIONS.with_columns([pa.field("note", pa.string())])
    with fix.edit("with notes") as root:
        edit.upsert(root, wider, pa.table({"id": ["b"], "note": ["look"]}))

    assert why(ships, "ships@fix") == {
        "a": ("inserted", "first"),
        "b": ("updated", "with notes"),
        "c": ("inserted", "first"),
    }


def test_keys_of_several_columns_are_asked_for_as_tuples(ships):
    draft = ships.branch("ships", "fix")
    with draft.edit("first") as root:
        store.append(root, ASSETS, pa.table({"sample": ["s", "s"], "asset": ["s2", "mask"]}))

    found = blame(draft_version(ships), "assets", [("s", "mask")]).to_pylist()

    assert [(row["asset"], row["message"]) for row in found] == [("mask", "first")]
    with pytest.raises(InvalidInputError, match="is no key"):
        blame(draft_version(ships), "assets", ["s"])


def draft_version(registry):
    return registry.resolve("ships@fix")


def test_what_was_never_there_is_said(ships, fix):
    with pytest.raises(NotFoundError, match="never had a row zz"):
        blame(ships.resolve("ships@fix"), "annotations", ["zz"])
    with pytest.raises(NotFoundError, match="no table"):
        blame(ships.resolve("ships@fix"), "notes", ["a"])


# ------------------------------------------------------------------ a model
KEYS = "abcd"
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from([None, 0.0, 1.0])),
        st.tuples(st.just("drop"), st.sampled_from(KEYS), st.none()),
        st.tuples(st.just("rewrite"), st.none(), st.none()),
        st.tuples(st.just("cut"), st.none(), st.none()),
    ),
    max_size=7,
)


@settings(max_examples=12)
@given(todo=steps)
def test_blame_is_what_a_diary_says(tmp_path_factory, todo):
    registry = Registry(lake=lake.init(str(tmp_path_factory.mktemp("diary") / "lake")))
    registry.create(Spec(name="ships"))
    draft = registry.branch("ships", "fix")
    put(draft, "start", {"id": "z", "sample": "s", "score": None})
    state, diary = {"z": None}, {"z": ("inserted", "start")}
    for number, (what, key, value) in enumerate(todo):
        message = f"step {number}"
        with draft.edit(message) as root:
            if what == "put":
                if state.get(key, "absent") != value:
                    diary[key] = ("updated" if key in state else "inserted", message)
                state[key] = value
                edit.upsert(
                    root, ANNOTATIONS, written([{"id": key, "sample": "s", "score": value}])
                )
            elif what == "drop":
                if key in state:
                    diary[key] = ("deleted", message)
                    del state[key]
                edit.delete(root, "annotations", where=f"id = '{key}'")
            elif what == "rewrite":
                rows = store.read(root, "annotations")
                store.overwrite(root, ANNOTATIONS, rows.take(list(range(rows.num_rows))[::-1]))
            else:
                store.checkpoint(root, "annotations")

    assert why(registry, "ships@fix", *diary) == diary
    assert why(registry, "ships@fix") == {key: diary[key] for key in state}
