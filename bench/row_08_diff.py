"""Row 8: which rows differ between two versions of five million samples, one in a hundred of them.

The peer joins both versions whole by key, in DuckDB over the same Parquet files with as many
threads as the machine has, and compares every column, as anybody would who keeps no history.
Both say how many rows were inserted, updated and deleted; the numbers must agree. Edits lie
together, as where one region was labelled again, or are scattered over every file.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from bench.ground import emptied, peak_memory, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, named

if TYPE_CHECKING:
    from registry.catalog import Registry

_SAMPLES: Final = 5_000_000
_SHARE: Final = 100  # one in so many is edited
_TARGET: Final = 20.0
_COUNT: Final = """
import sys
import registry
lab = registry.connect(sys.argv[1])
found = lab.diff("large@" + sys.argv[2], "large@" + sys.argv[3], ["samples"]).tables["samples"]
rows = sum(batch.num_rows for batch in found.batches())
print(found.inserted, found.updated, found.deleted, rows)
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_SAMPLES, least=2_000)
    compared: list[Comparison] = []
    figures: list[Figure] = []
    with workplace() as place:
        folder = emptied(place / "diff")
        registry, base = _lake(folder, count)
        for word, chosen in (("together", _together(count)), ("scattered", _scattered(count))):
            after = _edited(registry, base, word, chosen)
            ours, theirs = (partial(way, registry, base, after) for way in (_ours, _duckdb))
            if ours() != theirs():
                raise RuntimeError(f"ours says {ours()}, DuckDB {theirs()}")
            row = f"8 · diff of two versions of {count:,} samples, {len(chosen):,} edits {word}"
            peer = Contestant(name=named("duckdb"), work=theirs, target=_TARGET)
            compared += compare(row, Contestant(name="ours", work=ours), [peer])
            memory = peak_memory("python", "-c", _COUNT, registry.lake.address, base, after)
            figures.append(Figure(row=f"{row}: memory with every value", value=memory, unit="MB"))
    return compared, figures


def _lake(folder: Path, count: int) -> "tuple[Registry, str]":
    from registry import Spec, connect
    from registry.curate.ingest.simulator import samples_table
    from registry.lake import init
    from registry.tables import samples_schema, store

    init(str(folder / "lake"))
    registry = connect(str(folder / "lake"))
    samples = samples_table(count, seed=8)
    schema = samples_schema(samples.schema.field("properties").type)
    draft = registry.create(Spec(name="large"))
    with draft.edit("samples") as root:
        store.overwrite(root, schema, samples)
    return registry, draft.head


def _together(count: int) -> np.ndarray:
    return np.arange(count // 3, count // 3 + count // _SHARE)


def _scattered(count: int) -> np.ndarray:
    return np.sort(np.random.default_rng(8).choice(count, count // _SHARE, replace=False))


def _edited(registry: "Registry", base: str, word: str, chosen: np.ndarray) -> str:
    """Relabel the chosen rows on a branch; drop the first tenth as many, and add as many."""
    from registry.tables import schema_of
    from registry.tables.edit import delete, upsert

    draft = registry.branch("large", word, base)
    ids = registry.resolve(f"large@{base}").table("samples", ["id"])["id"]
    few = max(1, len(chosen) // 10)
    doomed = ids.slice(0, few).to_pylist()
    with draft.edit(f"edits {word}") as root:
        schema = schema_of(root, "samples")
        kept = pa.array([at for at in chosen.tolist() if at >= few], pa.int64())
        labels = pa.array([["edited"]] * len(kept), pa.list_(pa.string()))
        upsert(root, schema, pa.table({"id": ids.take(kept), "label": labels}))
        upsert(root, schema, pa.table({"id": [f"new-{n}" for n in range(few)]}))
        last = max(doomed)
        delete(root, "samples", where=f"id <= '{last}' and id in ({_listed(doomed)})")
    return draft.head


def _listed(ids: list[str]) -> str:
    return ", ".join(f"'{one}'" for one in ids)


def _ours(registry: "Registry", base: str, after: str) -> tuple[int, int, int]:
    found = registry.diff(f"large@{base}", f"large@{after}", ["samples"]).tables["samples"]
    return found.inserted, found.updated, found.deleted


def _duckdb(registry: "Registry", base: str, after: str) -> tuple[int, int, int]:
    import duckdb

    from registry.tables import store

    sides = []
    for commit in (base, after):
        root = registry.resolve(f"large@{commit}").root
        sides.append([str(path) for path in store.files(root, "samples")])
    columns = [name for name in store.schema_of(root, "samples").arrow.names if name != "id"]
    differs = " or ".join(f'b."{name}" is distinct from a."{name}"' for name in columns)
    with duckdb.connect() as engine:
        row = engine.execute(
            "select count(*) filter (b.id is null), count(*) filter (b.id = a.id), "  # noqa: S608 — column names of the lab
            "count(*) filter (a.id is null) from read_parquet(?, union_by_name = true) b "
            "full outer join read_parquet(?, union_by_name = true) a using (id) "
            f"where b.id is null or a.id is null or {differs}",
            sides,
        ).fetchone()
    if row is None:
        raise RuntimeError("DuckDB counted nothing")
    return row[0], row[1], row[2]
