"""Whole datasets, merged over random histories, against the definition on plain dicts.

The model says what a merge is in the words of the data model: rows by key, cells by group, foreign
keys across tables. It knows nothing of files, logs and commits; the lake knows nothing of it.
"""

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from deltalake import DeltaTable
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from registry import lake, tables
from registry.catalog import Registry, Spec
from registry.catalog.merged import MergeConflictError
from registry.catalog.merging import merge_branches
from registry.geo import bounds_of, centres_of, hilbert_key
from registry.tables import edit, references
from registry.tables.compact import compact
from registry.tables.schemas import (
    ANNOTATIONS,
    ASSETS,
    PIXELS,
    SPLITS,
    features_schema,
    samples_schema,
)

SAMPLES = samples_schema(pa.struct([("x", pa.float64()), ("y", pa.string())]))
ADDED = {"height": pa.int32(), "word": pa.string(), "cells": pa.list_(pa.float64())}
FEATURES = "features/f"
SCHEMAS = {
    "samples": SAMPLES,
    "assets": ASSETS,
    "annotations": ANNOTATIONS,
    "splits/default": SPLITS,
    FEATURES: features_schema("f", []),
}
KEYS = {
    "samples": ("id",),
    "assets": ("sample", "asset"),
    "annotations": ("id",),
    "splits/default": ("sample",),
    FEATURES: ("sample",),
}
GROUPS = {  # cells that never mix
    "samples": (("label",), ("target",), ("geometry", "datetime"), ("x",), ("y",)),
    "assets": (("pixels", "shape", "nodata"), ("href", "size")),
    "annotations": (("sample", "geometry", "frame"), ("category",), ("score",)),
    "splits/default": (("subset", "fold"),),
    FEATURES: (("height",), ("word",), ("cells",)),
}
CHIPS = [tables.encode(np.full((1, 2, 2), n, np.uint8)) for n in range(4)]
PLACES = [shapely.box(n, 50, n + 1, 51).wkb for n in range(3)]
DAYS = [datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2)]
NAMES = list("abcd")
VALUES = {
    "label": [None, [], ["a"], ["b", "a"]],
    "target": [None, 0.0, 1.5, float("nan")],
    "geometry": [None, *PLACES],
    "datetime": [None, *DAYS],
    "x": [None, 1.0, 2.0],
    "y": [None, "", "p"],
    "pixels": [None, *(chip.sha256 for chip in CHIPS)],
    "shape": [None, [1, 2, 2], []],
    "nodata": [None, 0.0],
    "href": [None, "a.tif"],
    "size": [None, 1, 2],
    "sample": NAMES,
    "frame": [None, "crs"],
    "category": [None, "ship", "Boat's"],
    "score": [None, 0.5],
    "subset": [None, "train", "test"],
    "fold": [None, 0, 1],
    "height": [None, 1, 2],
    "word": [None, "w", ""],
    "cells": [None, [], [1.0]],
}
KEY_VALUES = {"id": NAMES, "sample": NAMES, "asset": ["s2", "mask"]}

# --------------------------------------------------------------------------- what people do


# Each example is a lake: to look for the smallest one that fails would take many minutes.
FEW = {"phases": [Phase.explicit, Phase.reuse, Phase.generate]}
KINDS = ["put", "put", "set", "set", "set", "drop", "checkpoint", "files"]


def cells_of(name):
    return [cell for group in GROUPS[name] for cell in group]


@st.composite
def one_step(draw, kinds=KINDS):
    name = draw(st.sampled_from([*SCHEMAS, "samples", "annotations"]))
    kind = draw(st.sampled_from(kinds))
    key = tuple(draw(st.sampled_from(KEY_VALUES[column])) for column in KEYS[name])
    cells = cells_of(name)
    if kind == "set":
        cells = draw(st.sampled_from(GROUPS[name]))
        cells = draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
    row = {cell: draw(st.sampled_from(VALUES[cell])) for cell in cells}
    return (kind, name, key, row)


steps = st.lists(one_step(), min_size=1, max_size=4)
starts = st.lists(one_step(kinds=["put"]), max_size=8)


def do(root, state, step):
    """Do one step to a folder of tables and to the model."""
    kind, name, key, row = step
    there = state[name]
    if kind == "put":
        there[key] = dict.fromkeys(cells_of(name)) | row
        upsert(root, name, key, row)
    elif kind == "set" and key in there:
        there[key] = there[key] | row
        upsert(root, name, key, row)
    elif kind == "drop" and tables.exists(root, name):
        there.pop(key, None)
        edit.delete(root, name, keys=key_table(name, [key]))
    elif kind in {"checkpoint", "files"} and tables.exists(root, name):
        lay_out(root, name, kind)
    if kind in {"put", "set"} and row.get("pixels") and key in there:
        state["pixels"].add(row["pixels"])


def upsert(root, name, key, row):
    if row.get("pixels"):
        chip = next(chip for chip in CHIPS if chip.sha256 == row["pixels"])
        tables.append(root, PIXELS, chip_rows([chip]))
    given = dict(row)
    if name == "samples" and {"x", "y"} & set(row):
        given["properties"] = {field: given.pop(field) for field in ("x", "y") if field in given}
    schema = SCHEMAS[name]
    if name == FEATURES:
        schema = schema.with_columns(pa.field(cell, ADDED[cell]) for cell in row)
    fields = [
        schema.arrow.field(column) for column in (*schema.key, *given) if column != "properties"
    ]
    if "properties" in given:
        kind = schema.arrow.field("properties").type
        inner = [kind.field(field) for field in given["properties"]]
        fields.append(pa.field("properties", pa.struct(inner)))
    one = dict(zip(schema.key, key, strict=True)) | given
    edit.upsert(root, schema, pa.Table.from_pylist([one], schema=pa.schema(fields)))


def key_table(name, keys):
    columns = zip(*keys, strict=True)
    return pa.table({c: list(v) for c, v in zip(KEYS[name], columns, strict=True)})


def chip_rows(chips):
    columns = ("sha256", "codec", "data")
    return pa.table({name: [getattr(chip, name) for chip in chips] for name in columns})


def lay_out(root, name, kind):
    """Let the files of a table change and its rows stay."""
    if kind == "checkpoint":
        tables.checkpoint(root, name)
        return
    table = DeltaTable(root / name)
    table.optimize.compact()
    table.vacuum(0, enforce_retention_duration=False, dry_run=False)


def nothing():
    return {name: {} for name in SCHEMAS} | {"pixels": set()}


def copied(state):
    return {name: set(rows) if name == "pixels" else dict(rows) for name, rows in state.items()}


# --------------------------------------------------------------------------- what a merge is


def same(one, other):
    return one == other or (isinstance(one, float) and np.isnan(one) and np.isnan(other or 0))


def alike(one, other):
    if one is None or other is None:
        return one is other
    return all(same(one[cell], other[cell]) for cell in one)


def merged_row(name, base, ours, theirs, winner):
    """Return the row (None is no row), and which cells are in conflict (None if none is)."""
    if alike(ours, theirs) or alike(theirs, base):
        return ours, None
    if alike(ours, base):
        return theirs, None
    if ours is None or theirs is None:
        kept = ours or theirs
        cells = {cell for cell in kept if not same(kept[cell], base[cell])}
        return (theirs if winner == "theirs" else ours), cells
    was = base or dict.fromkeys(ours)
    row, clashes = {}, set()
    for group in GROUPS[name]:
        mine, other = (
            any(not same(side[cell], was[cell]) for cell in group) for side in (ours, theirs)
        )
        apart = {cell for cell in group if not same(ours[cell], theirs[cell])}
        if mine and other and apart:
            clashes |= apart
            taken = theirs if winner == "theirs" else ours
        else:
            taken = theirs if other else ours
        row |= {cell: taken[cell] for cell in group}
    return row, clashes or None


def merged_states(base, ours, theirs, winner=None):
    """Return the merged rows, and by table and key the conflicts: cells, each side's values."""
    result, conflicts = nothing(), {}
    for name in SCHEMAS:
        for key in {*base[name], *ours[name], *theirs[name]}:
            sides = [side[name].get(key) for side in (base, ours, theirs)]
            row, cells = merged_row(name, *sides, winner)
            if row is not None:
                result[name][key] = row
            if cells:
                conflicts[name, "/".join(key)] = (cells, [said(side, cells) for side in sides])
    return result, conflicts


def said(row, cells):
    if row is None:
        return None
    return {column_of(cell): plain(cell, row[cell]) for cell in sorted(cells)}


def column_of(cell):
    return f"properties.{cell}" if cell in {"x", "y"} else cell


def plain(cell, value):
    if cell == "geometry" and value is not None:
        return shapely.from_wkb(value).wkt
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return "nan" if same(value, np.nan) else value


def orphans(state):
    """Return the rows that speak of a sample that is not there."""
    pointing = {
        (name, "/".join(key), row["sample"] if name == "annotations" else key[0])
        for name in SCHEMAS
        if name != "samples"
        for key, row in state[name].items()
    }
    return {one for one in pointing if (one[2],) not in state["samples"]}


# --------------------------------------------------------------------------- what the lake has


def found(root):
    state = nothing()
    for name in SCHEMAS:
        if tables.exists(root, name):
            rows = tables.read(root, name)
            assert derived(name, rows)
            for whole in rows.to_pylist():
                row = whole | (whole.get("properties") or {})
                key = tuple(row[column] for column in KEYS[name])
                assert key not in state[name]
                state[name][key] = {cell: row.get(cell) for cell in cells_of(name)}
    if tables.exists(root, "pixels"):
        digests = tables.read(root, "pixels", columns=["sha256"])["sha256"].to_pylist()
        assert len(digests) == len(set(digests))
        state["pixels"] = set(digests)
    assert references.check_pointers(root).num_rows == 0
    return state


def derived(name, rows):
    """Return whether computed columns follow from the rows as they stand."""
    if "geometry" not in rows.column_names:
        return True
    shapes = shapely.from_wkb(np.array(rows["geometry"].to_pylist(), dtype=object))
    if name == "annotations":
        area = [None if shape is None else shape.area for shape in shapes]
        return rows["area"].to_pylist() == area
    bounds = bounds_of(shapes)
    edges = [
        None
        if np.isnan(b[0])
        else dict(zip(("xmin", "ymin", "xmax", "ymax"), b.tolist(), strict=True))
        for b in bounds
    ]
    keys = hilbert_key(*centres_of(bounds)).tolist()
    return rows["bbox"].to_pylist() == edges and rows["hilbert"].to_pylist() == keys


def assert_alike(one, other):
    for name in SCHEMAS:
        assert set(one[name]) == set(other[name]), name
        for key, row in one[name].items():
            assert alike(row, other[name][key]), (name, key, row, other[name][key])


def told(error):
    """Return the conflicts that a refused merge told: of rows, and of foreign keys."""
    rows, keys = {}, set()
    for one in error.conflicts.to_pylist():
        if not one["columns"]:
            keys.add((one["table"], one["key"]))
            continue
        sides = [one[side] and json.loads(one[side]) for side in ("base", "ours", "theirs")]
        rows[one["table"], one["key"]] = (set(one["columns"]), [nans(side) for side in sides])
    return rows, keys


def nans(side):
    return side and {c: "nan" if same(v, np.nan) else v for c, v in side.items()}


class Dataset:
    """A dataset in a lake, and what the model says that each commit holds."""

    def __init__(self, folder):
        os.environ.setdefault("EOLAB_USER", "anna")
        registry = Registry(lake=lake.init(str(folder / "lake")))
        self.draft = registry.create(Spec(name="ships"))
        self.registry, self.repository = registry, self.draft.repository
        self.registry.branch("ships", "base")
        self.states = {self.head("base"): nothing()}
        self.number = 0

    def head(self, branch):
        return self.repository.resolve(branch)

    def state(self, branch):
        return self.states[self.head(branch)]

    def branch(self, name, at="base"):
        self.registry.branch("ships", name, self.head(at))

    def write(self, branch, todo):
        state = copied(self.state(branch))
        self.number += 1
        with self.registry.draft("ships", branch).edit(f"step {self.number}") as root:
            for step in todo:
                do(root, state, step)
        self.states[self.head(branch)] = state

    def found(self, branch):
        return found(self.repository.locate(self.head(branch)).path)

    def merge(self, theirs, into, prefer=None):
        """Merge, hold what came to the model, and return the conflicts that were told."""
        ours, source = self.head(into), self.head(theirs)
        states = [self.states[c] for c in (self.repository.merge_base(ours, source), ours, source)]
        expected, conflicts = merged_states(*states, winner=prefer)
        expected["pixels"] = states[1]["pixels"] | states[2]["pixels"]
        torn = orphans(expected) - orphans(states[1]) - orphans(states[2])
        self.number += 1
        try:
            merge_branches(
                self.repository, theirs=source, into=into, message=f"{self.number}", prefer=prefer
            )
        except MergeConflictError as error:
            rows, keys = told(error)
            assert prefer is None
            assert self.head(into) == ours
            wanted = {
                k: ({column_of(c) for c in cs}, sides) for k, (cs, sides) in conflicts.items()
            }
            assert rows == wanted
            assert keys == (set() if conflicts else {one[:2] for one in torn})
            return set(rows) | keys
        assert prefer or not (conflicts or torn)
        actual = self.found(into)
        if torn:  # which side's rows come or go is for the checks below, not for this definition
            assert not orphans(actual) - orphans(states[1]) - orphans(states[2])
        else:
            assert_alike(actual, expected)
        fresh = (states[1]["pixels"] | states[2]["pixels"]) - states[0]["pixels"]
        assert fresh <= actual["pixels"] <= expected["pixels"]
        self.states[self.head(into)] = actual
        return set()


# --------------------------------------------------------------------------- the tests


class Histories(RuleBasedStateMachine):
    """Three branches that are written, laid out anew and merged in any order."""

    @initialize(todo=starts)
    def begin(self, todo):
        self.folder = Path(tempfile.mkdtemp(prefix="eolab-merge-"))
        self.dataset = Dataset(self.folder)
        self.dataset.write("base", todo)
        for name in ("anna", "ben"):
            self.dataset.branch(name)

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(branch=st.sampled_from(["base", "anna", "ben"]), todo=steps)
    def write(self, branch, todo):
        self.dataset.write(branch, todo)
        assert_alike(self.dataset.found(branch), self.dataset.state(branch))

    @rule(
        sides=st.permutations(["base", "anna", "ben"]),
        prefer=st.sampled_from([None, "ours", "theirs"]),
    )
    def merge(self, sides, prefer):
        if self.dataset.merge(sides[0], sides[1]):
            assert self.dataset.merge(sides[0], sides[1], prefer=prefer or "ours") == set()

    @rule(branch=st.sampled_from(["base", "anna", "ben"]))
    def release(self, branch):
        """Cut every log to one checkpoint, as publishing does, and drop what nothing points to."""
        with self.dataset.registry.draft("ships", branch).edit("release") as root:
            if tables.exists(root, "pixels"):
                compact(root)
            for name in tables.names(root):
                tables.checkpoint(root, name)
        self.dataset.states[self.dataset.head(branch)] = self.dataset.found(branch)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=15, stateful_step_count=8, **FEW)


@settings(max_examples=12, **FEW)
@given(start=starts, anna=steps, ben=steps, more=steps)
def test_the_order_of_merging_two_independent_branches_does_not_matter(start, anna, ben, more):
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(Path(folder))
        dataset.write("base", start)
        for name, todo in (("anna", anna), ("ben", ben)):
            dataset.branch(name)
            dataset.write(name, todo)
            dataset.write(name, more[:1])  # now and then, both do the same
        told = []
        for order in (("anna", "ben"), ("ben", "anna")):
            into = f"into-{order[0]}"
            dataset.branch(into)
            assert dataset.merge(order[0], into) == set()
            told.append((dataset.merge(order[1], into), dataset.found(into)))
        assert told[0][0] == told[1][0]
        if not told[0][0]:
            assert_alike(told[0][1], told[1][1])
            assert told[0][1]["pixels"] == told[1][1]["pixels"]
            assert dataset.merge("ben", "into-anna") == set()  # again: nothing to merge
