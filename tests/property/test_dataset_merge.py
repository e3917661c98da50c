"""Whole datasets, merged over random histories, against the definition on plain dicts."""

import json
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import shapely
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from registry import lake, tables
from registry.catalog import Registry, Spec
from registry.catalog.merging.conflicts import Clash, ClashKind, Decision
from registry.catalog.merging.engine import join
from registry.catalog.merging.joining import Joining, Way
from registry.catalog.merging.merged import Undecided
from registry.geo import bounds_of, centres_of, hilbert_key
from registry.tables import references
from registry.tables.compact import compact
from registry.tables.schemas import PIXELS
from tests.property.merge_model import (
    KEYS,
    NAMES,
    SCHEMAS,
    VALUES,
    Definition,
    alike,
    cells_of,
    copied,
    disputes,
    do,
    nothing,
    same,
    starts,
    steps,
)

# Each example is a lake: to look for the smallest one that fails would take many minutes.
FEW = {"phases": [Phase.explicit, Phase.reuse, Phase.generate]}
BRANCHES = ["base", "anna", "ben"]
SIDES = [None, "ours", "theirs"]


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


def told(clash: Clash):
    """Return a conflict as the model names it, and its sides' values."""
    cells = frozenset(column.removeprefix("properties.") for column in clash.columns)
    asked = (str(clash.kind), clash.table, clash.row, cells)
    if clash.kind is ClashKind.ORPHAN:
        return asked, clash.keeper
    sides = [text and json.loads(text) for text in (clash.base, clash.ours, clash.theirs)]
    return asked, [
        side and {c: "nan" if same(v, np.nan) else v for c, v in side.items()} for side in sides
    ]


class Dataset:
    """A dataset in a lake, and what the model says that each commit holds."""

    def __init__(self, folder):
        self.registry = Registry(lake=lake.init(str(folder / "lake")))
        self.repository = self.registry.create(Spec(name="ships")).repository
        self.registry.branch("ships", "base")
        self.number = 0
        with self.registry.draft("ships", "base").edit("make tables") as root:
            for schema in (*SCHEMAS.values(), PIXELS):
                tables.create(root, schema)
        self.states = {self.head("base"): nothing()}

    def head(self, branch):
        return self.repository.resolve(branch)

    def branch(self, name):
        self.registry.branch("ships", name, self.head("base"))

    def write(self, branch, todo):
        state = copied(self.states[self.head(branch)])
        self.number += 1
        with self.registry.draft("ships", branch).edit(f"step {self.number}") as root:
            for step in todo:
                do(root, state, step)
        self.states[self.head(branch)] = state

    def begin(self, todo):
        """Write the first rows, those of each table into one file: most merges are of few files."""
        row = {cell: VALUES[cell][0] for cell in cells_of("samples")}
        known = [("put", "samples", (name,), row) for name in NAMES[:3]]
        self.write("base", [*known, *todo])
        with self.registry.draft("ships", "base").edit("gather") as root:
            for name in SCHEMAS:
                tables.overwrite(root, tables.schema_of(root, name), tables.read(root, name))
        self.states[self.head("base")] = self.found("base")

    def found(self, branch):
        return found(self.repository.locate(self.head(branch)).path)

    def merge(self, theirs, into, prefer=None, decide=None):
        """Merge a branch; return the conflicts that stay open."""
        source = self.head(theirs)
        base = self.repository.merge_base(self.head(into), source)
        return self.join(Way.MERGE, into, source, (base, source), prefer=prefer, decide=decide)

    def join(self, way, into, commit, ends, *, prefer=None, decide=None):
        """Bring what lies between two commits into a branch, and hold it to the definition."""
        head = self.head(into)
        base, ours, theirs = (self.states[at] for at in (ends[0], head, ends[1]))
        self.number += 1
        asked = Joining(way=way, into=into, name=commit, commit=commit, message=f"{self.number}")
        done = join(self.repository, asked, prefer=prefer)
        if isinstance(done, Undecided):
            assert self.head(into) == head
            clashes = dict(told(clash) for clash in done.clashes)
            assert len(clashes) == len(done.clashes)
            assert clashes == Definition(base, ours, theirs, lambda *_: None).conflicts
            if decide is None:
                return set(clashes)
            while isinstance(done, Undecided):  # what hangs on a decision is asked after it
                made = {one.id: Decision(side=decide(*told(one)[0])) for one in done.clashes}
                done = join(self.repository, asked, decisions=made)
        expected = Definition(base, ours, theirs, decide or (lambda *_: prefer))
        assert prefer or decide or not expected.conflicts
        actual = self.found(into)
        assert_alike(actual, expected.rows)
        fresh = (ours["pixels"] | theirs["pixels"]) - base["pixels"]
        assert fresh <= actual["pixels"] <= expected.rows["pixels"]
        self.states[self.head(into)] = actual
        return set()


def by_lot(seed):
    """Return one that decides each conflict for some side, always the same."""

    def decide(kind, table, key, cells):
        lot = f"{seed}{kind}{table}{key}{sorted(cells)}"
        return "ours" if zlib.crc32(lot.encode()) % 2 else "theirs"

    return decide


class Histories(RuleBasedStateMachine):
    """Three branches that are written, laid out anew, merged, undone and repeated in any order."""

    @initialize(todo=starts)
    def begin(self, todo):
        self.folder = Path(tempfile.mkdtemp(prefix="eolab-merge-"))
        self.dataset = Dataset(self.folder)
        self.dataset.begin(todo)
        for name in BRANCHES[1:]:
            self.dataset.branch(name)

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(branch=st.sampled_from(BRANCHES), todo=steps)
    def write(self, branch, todo):
        self.dataset.write(branch, todo)
        assert_alike(self.dataset.found(branch), self.dataset.states[self.dataset.head(branch)])

    @rule(
        sides=st.permutations(BRANCHES),
        disputes=disputes,
        prefer=st.sampled_from(SIDES),
        seed=st.integers(0, 9),
    )
    def dispute(self, sides, disputes, prefer, seed):
        """Let two branches do something to the same rows, then merge them."""
        for number, side in enumerate(sides[:2]):
            self.dataset.write(side, [steps[number] for steps in disputes])
        self.merge(sides, prefer, seed)

    @rule(sides=st.permutations(BRANCHES), prefer=st.sampled_from(SIDES), seed=st.integers(0, 9))
    def merge(self, sides, prefer, seed):
        if self.dataset.merge(sides[0], sides[1], prefer=prefer):
            assert self.dataset.merge(sides[0], sides[1], decide=by_lot(seed)) == set()

    @rule(
        way=st.sampled_from([Way.REVERT, Way.CHERRY_PICK]),
        sides=st.permutations(BRANCHES),
        back=st.integers(0, 3),
        prefer=st.sampled_from(SIDES),
    )
    def undo_or_repeat(self, way, sides, back, prefer):
        """Take a commit in the middle of a history back, or do it again on another branch."""
        dataset = self.dataset
        source = dataset.head(sides[0] if way is Way.CHERRY_PICK else sides[1])
        history = [  # without the card and the making of tables
            commit
            for commit in dataset.repository.log(source)
            if commit.parents and commit.parents[0] in dataset.states
        ]
        if not history:
            return
        commit = history[min(back, len(history) - 1)]
        ends = (commit.parents[0], commit.id)
        ends = ends if way is Way.CHERRY_PICK else ends[::-1]
        dataset.join(way, sides[1], commit.id, ends, prefer=prefer)

    @rule(branch=st.sampled_from(BRANCHES))
    def release(self, branch):
        """Cut every log to one checkpoint, as publishing does, and drop what nothing points to."""
        with self.dataset.registry.draft("ships", branch).edit("release") as root:
            if tables.exists(root, "pixels"):
                compact(root)
            for name in tables.names(root):
                tables.checkpoint(root, name)
        self.dataset.states[self.dataset.head(branch)] = self.dataset.found(branch)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=20, stateful_step_count=6, **FEW)


@settings(max_examples=8, **FEW)
@given(start=starts, anna=steps, ben=steps, disputes=disputes)
def test_the_order_of_merging_two_independent_branches_does_not_matter(start, anna, ben, disputes):
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(Path(folder))
        dataset.begin(start)
        for number, (name, todo) in enumerate((("anna", anna), ("ben", ben))):
            dataset.branch(name)
            dataset.write(name, todo)
            dataset.write(name, [both[number] for both in disputes[1:]])
        open_, rows = [], []
        for order in (("anna", "ben"), ("ben", "anna")):
            into = f"into-{order[0]}"
            dataset.branch(into)
            assert dataset.merge(order[0], into) == set()
            open_.append(dataset.merge(order[1], into))
            rows.append(dataset.found(into))
        # While rows are open, which samples hang on them is told for ours' rows.
        first, second = ({one for one in told_ if one[0] != "orphan"} for told_ in open_)
        assert first == second
        if not first:
            assert open_[0] == open_[1]
        if not open_[0]:
            assert_alike(*rows)
            assert rows[0]["pixels"] == rows[1]["pixels"]
            assert dataset.merge("ben", "into-anna") == set()  # again: nothing to merge
