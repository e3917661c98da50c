"""Row 10: two people's edits of a million rows come together, row by row."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from bench.ground import emptied, peak_memory, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, repeated

if TYPE_CHECKING:
    from registry.tables import TableSchema

_ROWS: Final = 1_000_000
_EDITS: Final = 1_000  # a side; of ten, eight change a row, one adds one, one deletes one
_SIDES: Final = ("base", "ours", "theirs")
_NAME: Final = "samples"
_MERGE: Final = """
import sys, time
from registry.tables.merge import merge_table
base, ours, theirs, into = sys.argv[1:]
merge_table(base, ours, theirs, into=into, name="samples")
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    rows = scaled(_ROWS, least=20 * _EDITS)
    comparisons, figures = [], []
    with workplace() as place:
        for how, spread in (("lie together", False), ("lie everywhere", True)):
            folder = emptied(place / "merge")
            _make(folder, rows, spread=spread)
            row = f"10 · merge of {rows:,} rows, {_EDITS:,} edits a side that {how}"
            with _contestants(folder) as (ours, peers):
                comparisons += compare(row, ours, peers)
            mine = comparisons[-1]
            figures += [
                Figure(row=row, value=float(np.median(mine.ours)), unit="s", limit=1),
                Figure(row=f"{row}, processor", value=mine.our_processor, unit="s"),
                Figure(row=f"{row}, most memory", value=_memory(folder), unit="MB"),
                Figure(row=f"{row}, in a lake", value=_in_a_lake(folder), unit="s", limit=1),
            ]
    return comparisons, figures


def _make(folder: Path, rows: int, *, spread: bool) -> None:
    """Write the three states of a table, and what theirs did as the rows that a MERGE takes."""
    from registry.curate.ingest.simulator import samples_table
    from registry.tables import samples_schema, store

    samples = samples_table(rows, seed=10)
    schema = samples_schema(samples.schema.field("properties").type)
    store.overwrite(folder / "base", schema, samples)
    for number, side in enumerate(_SIDES[1:]):
        _copy(folder / "base", folder / side)
        chosen = _chosen(rows, number, spread=spread)
        _edit(folder / side, schema, samples, chosen, side)
    _write_changes(folder)


def _chosen(rows: int, number: int, *, spread: bool) -> np.ndarray:
    """Return positions of the rows that a side edits: nobody edits what the other does."""
    if spread:
        every = np.linspace(0, rows - 2, _EDITS).astype(np.int64)
        return np.minimum(every + number, rows - 1)
    start = rows // 4 * (1 + 2 * number)
    return np.arange(start, start + _EDITS)


def _edit(
    root: Path, schema: "TableSchema", samples: pa.Table, chosen: np.ndarray, side: str
) -> None:
    from registry.tables import edit

    ids = samples.column("id").take(pa.array(chosen))
    tenth = _EDITS // 10
    labels = pa.array([[side]] * (_EDITS - tenth), pa.list_(pa.string()))
    fresh = pa.array([f"{side}-{number}" for number in range(tenth)])
    changed = pa.chunked_array([*ids.slice(2 * tenth).chunks, fresh], pa.string())
    edit.upsert(root, schema, pa.table({"id": changed, "label": labels}))
    edit.delete(root, _NAME, keys=pa.table({"id": ids.slice(0, tenth)}))


def _write_changes(folder: Path) -> None:
    """Write theirs' changes as a Delta table: the rows as they are now, and which are gone."""
    from deltalake import write_deltalake

    from registry.tables.diff import DELETED
    from registry.tables.diff import compare as differences
    from registry.tables.log import snapshot

    sides = [snapshot(folder / side, _NAME) for side in ("base", "theirs")]
    found = differences(*sides, _NAME)
    gone = found.is_change(DELETED)
    names = found.schema.arrow.names
    now = found.values(names, side="after", mask=~gone)
    was = found.values(names, side="before", mask=gone)
    rows = pa.concat_tables([now, was.cast(now.schema)])
    rows = rows.cast(pa.schema([pa.field(f.name, f.type) for f in rows.schema]))
    flags = pa.array([False] * now.num_rows + [True] * was.num_rows)
    write_deltalake(folder / "changes", rows.append_column("__gone", flags))


@contextmanager
def _contestants(folder: Path) -> Iterator[tuple[Contestant, list[Contestant]]]:
    from registry.tables.merge import merge_table

    views = [folder / side for side in _SIDES]
    into = folder / "into"

    def ready() -> None:
        _copy(folder / "ours", into)

    def merge() -> None:
        done = merge_table(*views, into=into, name=_NAME)
        if done.conflicts.num_rows or done.inserted + done.updated + done.deleted != _EDITS:
            raise RuntimeError(f"the merge did {done}")

    ours = Contestant(name="lab", work=merge, ready=ready)
    peers = [Contestant(name="deltalake", work=_delta_rs(folder, into), ready=ready)]
    with _spark(folder, into) as work:
        if work is not None:
            peers.append(Contestant(name="delta-spark", work=work, ready=ready))
        yield ours, peers


def _delta_rs(folder: Path, into: Path) -> Callable[[], None]:
    from deltalake import DeltaTable

    changes = DeltaTable(folder / "changes").to_pyarrow_table()
    names = [name for name in changes.column_names if name != "__gone"]

    def work() -> None:
        (
            DeltaTable(into / _NAME)
            .merge(changes, "t.id = s.id", source_alias="s", target_alias="t")
            .when_matched_delete("s.__gone")
            .when_matched_update({name: f"s.{name}" for name in names})
            .when_not_matched_insert({name: f"s.{name}" for name in names})
            .execute()
        )

    return work


@contextmanager
def _spark(folder: Path, into: Path) -> Iterator[Callable[[], None] | None]:
    """Yield the same MERGE in a Spark session that is warm; None where there is no Java."""
    from registry.errors import UnavailableError
    from spark_jobs.session import session

    try:
        spark: Any = session("bench")
    except UnavailableError as error:
        print(f"  Spark is left out: {error}", flush=True)
        yield None
        return
    columns = spark.read.format("delta").load(str(folder / "changes")).columns
    names = [name for name in columns if name != "__gone"]
    sets = ", ".join(f"t.`{name}` = s.`{name}`" for name in names)
    listed = ", ".join(f"`{name}`" for name in names)
    values = ", ".join(f"s.`{name}`" for name in names)
    statement = (
        f"merge into delta.`{into / _NAME}` t using delta.`{folder / 'changes'}` s on t.id = s.id "  # noqa: S608 — names of the table itself
        f"when matched and s.__gone then delete when matched then update set {sets} "
        f"when not matched then insert ({listed}) values ({values})"
    )
    yield lambda: spark.sql(statement).collect()


def _memory(folder: Path) -> float:
    """Return the most memory that a process of its own holds for the merge, in MB."""
    _copy(folder / "ours", folder / "into")
    views = [folder / side for side in (*_SIDES, "into")]
    return peak_memory("python", "-c", _MERGE, *views)


def _in_a_lake(folder: Path) -> float:
    """Return the median seconds of the merge of two branches of a lake, its commit included."""
    from registry import Spec, connect
    from registry.lake import init

    address = str(emptied(folder / "lake") / "lake")
    init(address)
    registry = connect(address)
    registry.create(Spec(name="million"))
    for side in _SIDES:
        draft = registry.branch("million", side, None if side == "base" else "base")
        with draft.edit(f"what {side} has") as root:
            shutil.rmtree(root / _NAME, ignore_errors=True)
            shutil.copytree(folder / side / _NAME, root / _NAME)
    turns = iter(range(100))
    names: list[str] = []

    def ready() -> None:
        names.append(f"ours-{next(turns)}")
        registry.branch("million", names[-1], "ours")

    taken = repeated(lambda: registry.merge("million", "theirs", names[-1]), times=5, ready=ready)
    return float(np.median(taken))


def _copy(source: Path, target: Path) -> None:
    """Lay a folder's data files as links and its logs as copies, as a lake does."""
    shutil.rmtree(target, ignore_errors=True)
    for path in source.rglob("*"):
        to = target / path.relative_to(source)
        if path.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        elif path.suffix == ".parquet":
            to.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, to)
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
