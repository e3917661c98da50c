"""What people do to a dataset, and what a merge of it is, on plain dicts.

The definition speaks in the words of the data model: rows by key, cells by group, what speaks of
samples. It knows nothing of files, logs and commits.
"""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import shapely
from deltalake import DeltaTable
from hypothesis import strategies as st

from registry import tables
from registry.tables import edit
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
KEY_VALUES = {"asset": ["s2", "mask"]}  # and samples and annotations by their names

KINDS = ["put", "put", "set", "set", "set", "drop", "checkpoint", "files"]


def cells_of(name):
    return [cell for group in GROUPS[name] for cell in group]


@st.composite
def some_steps(draw, kinds=KINDS, *, count=1, names=NAMES):
    """Draw steps of one table, half of them on one row."""
    name = draw(st.sampled_from([*SCHEMAS, "samples", "samples", "annotations"]))
    keys = st.tuples(*(st.sampled_from(KEY_VALUES.get(c, names)) for c in KEYS[name]))
    key, anywhere = draw(keys), draw(st.booleans())
    drawn = []
    for _ in range(count):
        key = draw(keys) if anywhere else key
        kind, cells = draw(st.sampled_from(kinds)), cells_of(name)
        if kind == "set":
            cells = draw(st.sampled_from([*GROUPS[name], cells]))
            cells = draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
        row = {cell: draw(st.sampled_from(VALUES[cell])) for cell in cells}
        drawn.append((kind, name, key, row))
    return drawn


def flat(lists):
    return [step for inner in lists for step in inner]


@st.composite
def torn(draw):
    """Draw a deletion of a sample, and something new that is said of it."""
    sample = draw(st.sampled_from(NAMES[:3]))
    name = draw(st.sampled_from(["annotations", "assets", "splits/default"]))
    row = {cell: draw(st.sampled_from(VALUES[cell])) for cell in cells_of(name)}
    key = (draw(st.sampled_from(NAMES)),) if name == "annotations" else (sample, "dem")
    row |= {"sample": sample} if name == "annotations" else {}
    both = [("drop", "samples", (sample,), {}), ("put", name, key[: len(KEYS[name])], row)]
    return draw(st.permutations(both))


disputes = st.lists(
    some_steps(["put", "set", "set", "drop"], count=2) | torn(), min_size=2, max_size=5
)
steps = st.lists(some_steps(), min_size=1, max_size=4).map(flat)


def narrow(todo):
    """Leave out columns of features, so that one side or both may add them."""
    return [
        (kind, name, key, {"height": row["height"]} if name == FEATURES else row)
        for kind, name, key, row in todo
    ]


starts = (
    st.lists(some_steps(["put"], names=NAMES[:3]), min_size=6, max_size=14).map(flat).map(narrow)
)


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


def same(one, other):
    return one == other or (isinstance(one, float) and np.isnan(one) and np.isnan(other or 0))


def alike(one, other):
    if one is None or other is None:
        return one is other
    return all(same(one[cell], other[cell]) for cell in one)


def merged_row(name, base, ours, theirs, side_of):
    """Return the row (None is no row), and the cells in conflict: those of one group together.

    ``side_of`` says of such cells which side's come.
    """
    if alike(ours, theirs) or alike(theirs, base):
        return ours, []
    if alike(ours, base):
        return theirs, []
    if ours is None or theirs is None:
        kept = ours or theirs
        cells = frozenset(cell for cell in kept if not same(kept[cell], base[cell]))
        return (theirs if side_of(cells) == "theirs" else ours), [cells]
    was = base or dict.fromkeys(ours)
    row, clashes = {}, []
    for group in GROUPS[name]:
        mine, other = (
            any(not same(side[cell], was[cell]) for cell in group) for side in (ours, theirs)
        )
        apart = frozenset(cell for cell in group if not same(ours[cell], theirs[cell]))
        taken = theirs if other else ours
        if mine and other and apart:
            clashes.append(apart)
            taken = theirs if side_of(apart) == "theirs" else ours
        row |= {cell: taken[cell] for cell in group}
    return row, clashes


class Definition:
    """What a merge is: rows by key, coupled cells together, then what speaks of samples."""

    def __init__(self, base, ours, theirs, decide):
        """``decide`` says which side wins a conflict: its kind, table, key and cells; or None."""
        self.sides = {"base": base, "ours": ours, "theirs": theirs}
        self.decide = decide
        self.conflicts = {}  # what was asked: the three sides' values
        self.rows = nothing()
        self.rows["pixels"] = ours["pixels"] | theirs["pixels"]
        kept, gone = [], set()
        for name in SCHEMAS:
            for key in sorted({*base[name], *ours[name], *theirs[name]}):
                if self._merge_row(name, key) and name == "samples":
                    keeper = "ours" if key in ours[name] else "theirs"
                    if key in self.rows[name]:
                        kept.append((key[0], keeper))
                    else:
                        gone.add(key[0])
        for sample, side in kept:
            self._bring_back(sample, side)
        self._mend(gone)

    def _merge_row(self, name, key):
        """Put a row in; return whether one side deleted what the other changed."""
        three = [side[name].get(key) for side in self.sides.values()]
        kind = "deleted" if None in three[1:] else "row"
        row, clashes = merged_row(
            name, *three, lambda cells: self.decide(kind, name, key, cells) or "ours"
        )
        if row is not None:
            self.rows[name][key] = row
        for cells in clashes:
            self.conflicts[kind, name, key, cells] = [said(side, cells) for side in three]
        return bool(clashes) and kind == "deleted"

    def _bring_back(self, sample, side):
        """A sample that stays comes with all that its side knows of it."""
        for name in SCHEMAS:
            for key, row in self.sides[side][name].items():
                if speaks_of(name, key, row) == sample:
                    self.rows[name].setdefault(key, row)

    def _mend(self, gone):
        fresh = orphans(self.rows) - orphans(self.sides["ours"]) - orphans(self.sides["theirs"])
        dropped = set()
        for sample in sorted({one[2] for one in fresh}):
            keeper = "ours" if (sample,) in self.sides["ours"]["samples"] else "theirs"
            if sample not in gone:
                asked = ("orphan", "samples", (sample,), frozenset())
                self.conflicts[asked] = keeper
                if (self.decide(*asked) or keeper) == keeper:
                    self._bring_back(sample, keeper)
                    continue
            dropped.add(sample)
        for name in {one[0] for one in fresh if one[2] in dropped}:
            for key, row in list(self.rows[name].items()):
                if speaks_of(name, key, row) in dropped:
                    del self.rows[name][key]


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


def speaks_of(name, key, row):
    return row["sample"] if name == "annotations" else key[0]


def orphans(state):
    """Return the rows that speak of a sample that is not there."""
    pointing = {
        (name, key, speaks_of(name, key, row))
        for name in SCHEMAS
        if name != "samples"
        for key, row in state[name].items()
    }
    return {one for one in pointing if (one[2],) not in state["samples"]}
