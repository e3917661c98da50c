"""The row merge against its definition on plain dicts."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pyarrow as pa
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.tables import edit, merge, store
from registry.tables.schemas import samples_schema

SCHEMA = samples_schema(pa.struct([("x", pa.float64()), ("y", pa.string())]))
CELLS = ("label", "target", "group", "datetime", "declared", "properties")
GROUPS = (("label",), ("target",), ("group",), ("datetime", "declared"), ("x",), ("y",))
DAYS = [datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2)]

rows = st.fixed_dictionaries({
    "label": st.sampled_from([None, [], ["a"], ["a", "b"]]),
    "target": st.sampled_from([None, 0.0, 1.5]),
    "group": st.sampled_from([None, "g"]),
    "datetime": st.sampled_from([None, *DAYS]),
    "declared": st.sampled_from([None, ["datetime"]]),
    "properties": st.sampled_from([
        {"x": None, "y": "p"},
        {"x": 1.0, "y": None},
        {"x": 2.0, "y": "p"},
    ]),
})
ids = st.sampled_from(list("abcdefgh"))
tables = st.dictionaries(ids, rows, max_size=6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), ids, rows),
        st.tuples(st.just("set"), ids, st.sampled_from(CELLS[:3]), rows),
        st.tuples(st.just("drop"), ids),
        st.sampled_from([("checkpoint",), ("compact",), ("rewrite",)]),
    ),
    max_size=5,
)


def written(ids_and_rows):
    listed = [{"id": key, **row} for key, row in ids_and_rows.items()]
    kinds = [SCHEMA.arrow.field(name) for name in ("id", *CELLS)]
    return pa.Table.from_pylist(listed, schema=pa.schema(kinds))


def played(root, state, todo):
    for step in todo:
        match step:
            case ("put", key, row):
                state[key] = row
                edit.upsert(root, SCHEMA, written({key: row}))
            case ("set", key, cell, row) if key in state:
                state[key] = {**state[key], cell: row[cell]}
                kinds = pa.schema([SCHEMA.arrow.field(name) for name in ("id", cell)])
                one = pa.Table.from_pylist([{"id": key, cell: row[cell]}], schema=kinds)
                edit.upsert(root, SCHEMA, one)
            case ("drop", key):
                state.pop(key, None)
                edit.delete(root, "samples", where=f"id = '{key}'")
            case ("checkpoint",):
                store.checkpoint(root, "samples")
            case ("compact",):
                table = DeltaTable(root / "samples")
                table.optimize.compact()
                table.vacuum(0, enforce_retention_duration=False, dry_run=False)
            case ("rewrite",):
                store.overwrite(root, SCHEMA, store.read(root, "samples"))
    assert found(root) == state


def found(root):
    rows = store.read(root, "samples", columns=["id", *CELLS]).to_pylist()
    return {row.pop("id"): row for row in rows}


def cell(row, name):
    if row is None:
        return None
    return row["properties"][name] if name in {"x", "y"} else row[name]


def merged_row(base, ours, theirs, winner=None):
    """The definition: None is no row; raises where the two sides disagree and nobody wins."""
    if ours in (base, theirs):
        return theirs
    if base == theirs:
        return ours
    if ours is None or theirs is None:
        if winner is None:
            raise LookupError
        return ours if winner == "ours" else theirs
    made = {}
    for group in GROUPS:
        b, o, t = (tuple(cell(row, name) for name in group) for row in (base, ours, theirs))
        b = b if base is not None else (None,) * len(group)
        if b != o != t != b and winner is None:
            raise LookupError
        value = t if o == b or (t != b and winner == "theirs") else o
        made |= dict(zip(group, value, strict=True))
    made["properties"] = {"x": made.pop("x"), "y": made.pop("y")}
    return made


def defined(base, ours, theirs, winner=None):
    result, conflicts = {}, set()
    for key in {*base, *ours, *theirs}:
        try:
            row = merged_row(base.get(key), ours.get(key), theirs.get(key), winner)
        except LookupError:
            conflicts.add(key)
            continue
        if row is not None:
            result[key] = row
    return result, conflicts


@settings(max_examples=60)
@given(start=tables, ours=steps, theirs=steps, winner=st.sampled_from(["ours", "theirs"]))
def test_a_merge_is_what_its_definition_says(start, ours, theirs, winner):
    with tempfile.TemporaryDirectory() as folder:
        base, mine, other = (Path(folder) / name for name in ("base", "ours", "theirs"))
        store.create(base, SCHEMA)
        if start:
            store.append(base, SCHEMA, written(start))
        copytree(base, mine)
        copytree(base, other)
        my_state, other_state = dict(start), dict(start)
        played(mine, my_state, ours)
        played(other, other_state, theirs)
        expected, conflicts = defined(start, my_state, other_state)
        sides = {"ours": mine, "theirs": other, "into": mine, "name": "samples"}
        result = merge.merge_table(base, **sides)
        assert set(result.conflicts.column("id").to_pylist()) == conflicts
        assert found(mine) == (my_state if conflicts else expected)
        if conflicts:
            result = merge.merge_table(base, **sides, prefer=winner)
            assert set(result.resolved.column("id").to_pylist()) == conflicts
            assert found(mine) == defined(start, my_state, other_state, winner)[0]
