"""The row diff against its definition on plain dicts, by every way of finding it."""

import math
import tempfile
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.tables import edit, store
from registry.tables.changes import table_diff
from registry.tables.schemas import TableSchema

SCHEMA = TableSchema(
    name="notes",
    arrow=pa.schema([
        pa.field("a", pa.string(), nullable=False),
        pa.field("b", pa.string(), nullable=False),
        ("number", pa.float64()),
        ("words", pa.list_(pa.string())),
        ("nested", pa.struct([("x", pa.float64()), ("y", pa.list_(pa.float64()))])),
    ]),
    key=("a", "b"),
)
NUMBERS = [None, 0.0, 1.0, math.nan, math.inf, -math.inf]
rows = st.fixed_dictionaries({
    "number": st.sampled_from(NUMBERS),
    "words": st.sampled_from([None, [], [""], ["x"], ["x", None]]),
    "nested": st.sampled_from([
        None,
        {"x": None, "y": None},
        {"x": math.nan, "y": [math.nan]},
        {"x": 1.0, "y": []},
    ]),
})
keys = st.tuples(st.sampled_from(["", "k", "1:k", "k\x00"]), st.sampled_from(["", ":", "1:k", "é"]))
states = st.dictionaries(keys, rows, max_size=8)


def written(state):
    listed = [{"a": a, "b": b, **row} for (a, b), row in state.items()]
    return pa.Table.from_pylist(listed, schema=SCHEMA.arrow)


def laid(folder, state, files):
    """Write a state into a folder in as many files as are wanted."""
    store.create(folder, SCHEMA)
    table = written(state)
    step = max(1, -(-len(state) // files))
    for start in range(0, len(state), step):
        store.append(folder, SCHEMA, table.slice(start, step))
    return folder


def same(one, other):
    return repr(one) == repr(other)


def defined(before, after):
    found = {}
    for key in {*before, *after}:
        if key not in before:
            found[key] = ("inserted", set())
        elif key not in after:
            found[key] = ("deleted", set())
        elif cells := {n for n in before[key] if not same(before[key][n], after[key][n])}:
            found[key] = ("updated", cells)
    return found


def told(found):
    rows = found.to_table().to_pylist()
    assert len({(row["a"], row["b"]) for row in rows}) == len(rows)
    return {(row["a"], row["b"]): (row["change"], set(row["columns"])) for row in rows}


@settings(max_examples=40)
@given(before=states, after=states, files=st.tuples(st.integers(1, 3), st.integers(1, 3)))
@pytest.mark.parametrize(
    ("most", "spread"),
    [(4_000_000, 4), (-1, 4), (4_000_000, 0)],
    ids=["aligned", "joined", "joined after keys went everywhere"],
)
def test_two_states_differ_as_their_dicts_do(monkeypatch, most, spread, before, after, files):
    monkeypatch.setattr("registry.tables.aligned.MOST_ROWS", most)
    monkeypatch.setattr("registry.tables.aligned._SPREAD", spread)
    with tempfile.TemporaryDirectory() as folder:
        one = laid(Path(folder) / "one", before, files[0])
        other = laid(Path(folder) / "two", after, files[1])

        found = table_diff(one, other, "notes")

        assert told(found) == defined(before, after)
        counts = [change for change, _ in defined(before, after).values()]
        assert [counts.count(kind) for kind in ("inserted", "updated", "deleted")] == [
            found.inserted,
            found.updated,
            found.deleted,
        ]
        for row in found.to_table().to_pylist():
            key = row["a"], row["b"]
            for side, state in (("before", before), ("after", after)):
                held = row[side] and {name: row[side][name] for name in state.get(key, {})}
                assert same(held, state.get(key))


edits = st.lists(
    st.one_of(st.tuples(st.just("put"), keys, rows), st.tuples(st.just("drop"), keys, st.none())),
    max_size=4,
)


@settings(max_examples=30)
@given(start=states, todo=edits)
def test_an_edited_state_differs_as_its_dict_does(start, todo):
    with tempfile.TemporaryDirectory() as folder:
        one, other = laid(Path(folder) / "one", start, 2), Path(folder) / "two"
        copytree(one, other)
        state = dict(start)
        for what, key, row in todo:
            if what == "put":
                edit.upsert(other, SCHEMA, written({key: row}))
                state[key] = row
            elif key in state:
                said = " and ".join(f"{n} = '{v}'" for n, v in zip("ab", key, strict=True))
                if "\x00" not in said:
                    edit.delete(other, "notes", where=said)
                    del state[key]

        assert told(table_diff(one, other, "notes")) == defined(start, state)
