"""Row 5: samples in a box, out of five million, beside DuckDB on an unsorted GeoParquet file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.ground import emptied, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, repeated

if TYPE_CHECKING:
    import duckdb

_SAMPLES: Final = 5_000_000
_BOXES: Final = 20
_EDGE: Final = 0.5  # degrees
_SHOWN: Final = "id, datetime, label"


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_SAMPLES, least=1000)
    with workplace() as place:
        folder = emptied(place / "search")
        boxes = _store(folder, count)
        return _measure(folder, count, boxes)


def _store(folder: Path, count: int) -> list[tuple[float, ...]]:
    """Write the samples both ways and return boxes around some of them."""
    from registry import Spec, connect
    from registry.curate.ingest.simulator import samples_table
    from registry.lake import init
    from registry.tables import samples_schema, store

    samples = samples_table(count, seed=5)
    rng = np.random.default_rng(5)
    _write_unsorted(samples.take(pa.array(rng.permutation(count))), folder / "unsorted.parquet")
    init(str(folder / "lake"))
    registry = connect(str(folder / "lake"))
    draft = registry.create(Spec(name="world"))
    schema = samples_schema(samples.schema.field("properties").type)
    with draft.edit("samples") as root:
        store.overwrite(root, schema, samples)
    chosen = samples.take(pa.array(rng.integers(0, count, _BOXES)))["bbox"].to_pylist()
    return [_around(box) for box in chosen]


def _around(box: dict[str, float]) -> tuple[float, ...]:
    x, y = (box["xmin"] + box["xmax"]) / 2, (box["ymin"] + box["ymax"]) / 2
    return x - _EDGE / 2, y - _EDGE / 2, x + _EDGE / 2, y + _EDGE / 2


def _write_unsorted(samples: pa.Table, path: Path) -> None:
    covering = {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "covering": {"bbox": covering}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    plain = pa.schema([pa.field(f.name, f.type) for f in samples.schema])
    plain = plain.with_metadata({"geo": json.dumps(geo)})
    pq.write_table(samples.cast(plain), path, row_group_size=122_880, compression="zstd")


def _measure(
    folder: Path, count: int, boxes: list[tuple[float, ...]]
) -> tuple[list[Comparison], list[Figure]]:
    from registry import connect
    from registry.query import connection

    registry = connect(str(folder / "lake"))
    with connection(registry.resolve("world@draft")) as ours, _peer() as theirs:
        mine = f"SELECT {_SHOWN} FROM samples_in(?, ?, ?, ?)"  # noqa: S608 — own
        file = folder / "unsorted.parquet"
        other = (
            f"SELECT {_SHOWN} FROM read_parquet('{file}') WHERE bbox.xmin <= $3"  # noqa: S608 — own
            " AND bbox.xmax >= $1 AND bbox.ymin <= $4 AND bbox.ymax >= $2"
        )
        _check_same(ours, mine, theirs, other, boxes[:3])
        compared = compare(
            f"5 · {len(boxes)} boxes of {_EDGE}° among {count:,} samples",
            Contestant(name="ours", work=_all(ours, mine, boxes)),
            [
                Contestant(
                    name=f"DuckDB {_version(theirs)} on unsorted GeoParquet",
                    work=_all(theirs, other, boxes),
                    target=15,
                )
            ],
        )
        single = [t for box in boxes for t in repeated(_all(ours, mine, [box]), times=5)]
    p95, middle = (float(np.percentile(single, q)) * 1e3 for q in (95, 50))
    return compared, [
        Figure(row="5 · one box, 95th percentile", value=p95, unit="ms", limit=10),
        Figure(row="5 · one box, median", value=middle, unit="ms"),
    ]


def _peer() -> "duckdb.DuckDBPyConnection":
    import duckdb

    engine = duckdb.connect()
    engine.execute("LOAD parquet")
    # as DuckDB's guide to Parquet advises for files that are queried again and again
    engine.execute("SET parquet_metadata_cache = true")
    return engine


def _version(engine: "duckdb.DuckDBPyConnection") -> str:
    row = engine.execute("SELECT version()").fetchone()
    return str(row[0]) if row else ""


def _all(
    engine: "duckdb.DuckDBPyConnection", text: str, boxes: list[tuple[float, ...]]
) -> Callable[[], None]:
    def ask() -> None:
        for box in boxes:
            engine.execute(text, list(box)).to_arrow_table()

    return ask


def _check_same(
    ours: "duckdb.DuckDBPyConnection",
    mine: str,
    theirs: "duckdb.DuckDBPyConnection",
    other: str,
    boxes: list[tuple[float, ...]],
) -> None:
    for box in boxes:
        found = [sorted(row[0] for row in e.execute(q, list(box)).fetchall())
                 for e, q in ((ours, mine), (theirs, other))]  # fmt: skip
        if found[0] != found[1] or not found[0]:
            raise RuntimeError(f"the two disagree about {box}: {len(found[0])}, {len(found[1])}")
