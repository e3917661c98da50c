"""The library's engine: threads over batches of rows, with what is joined made by DuckDB."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from registry.curate.bias.counting import (
    CHUNK,
    COUNTS,
    OBJECTS,
    Recipe,
    combine,
    in_chunks,
    tally,
)
from registry.curate.bias.engine import Extent, Work
from registry.curate.bias.weighing import Weights, weigh
from registry.lake import lazy
from registry.progress import SILENT, Progress
from registry.tables import store
from registry.tables.engine import connection

if TYPE_CHECKING:
    import duckdb

__all__ = ["Library"]

T = TypeVar("T")

_THREADS: Final = max(1, min(8, os.cpu_count() or 1))

_EXTENT: Final = {
    "west": ("bbox", "min(bbox.xmin) filter (isfinite(bbox.xmin))"),
    "south": ("bbox", "min(bbox.ymin) filter (isfinite(bbox.ymin))"),
    "east": ("bbox", "max(bbox.xmax) filter (isfinite(bbox.xmax))"),
    "north": ("bbox", "max(bbox.ymax) filter (isfinite(bbox.ymax))"),
    "low": ("target", "min(target) filter (isfinite(target))"),
    "high": ("target", "max(target) filter (isfinite(target))"),
}

# What annotations say of a sample; those that were rejected say nothing.
_ANNOTATED: Final = """
    select sample as id,
        list(distinct category order by category) filter (where category is not null) as classes,
        list(distinct annotator order by annotator) filter (where annotator is not null)
            as annotators,
        list(distinct method order by method) filter (where method is not null) as methods
    from annotations where status is distinct from 'rejected' and sample is not null group by 1
"""
_OBJECTS: Final = """
    select 'annotator' as dimension, annotator as stratum, category, count(*) as count
    from annotations where status is distinct from 'rejected' group by all
    union all
    select 'label method', method, category, count(*)
    from annotations where status is distinct from 'rejected' group by all
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Counts on this machine."""

    name: str = "library"
    """As reports say it."""

    def extent(self, work: Work) -> Extent:
        """Return how far the samples reach; see :class:`registry.curate.bias.engine.Engine`.

        Args:
            work: Which samples.

        Returns:
            Their extent.
        """
        files = store.files(work.root, "samples")
        asked = {name: query for name, query in _EXTENT.items() if query[0] in work.columns}
        if not files or not asked:
            return Extent()
        lazy.ensure(*files)
        figures = ", ".join(query for _, query in asked.values())
        with connection(locked=False) as engine:
            query = f"select {figures} from read_parquet({_listed(files)}, union_by_name=true)"  # noqa: S608 — quoted paths of checked files
            values = engine.execute(query).fetchone() or ()
        return Extent(**dict(zip(asked, values, strict=True)))

    def count(self, work: Work, recipe: Recipe, progress: Progress = SILENT) -> pa.Table:
        """Return the counts of all samples; see :class:`registry.curate.bias.engine.Engine`.

        Args:
            work: Which.
            recipe: How.
            progress: Told how many are done.

        Returns:
            Rows of :data:`registry.curate.bias.counting.COUNTS`.
        """
        progress.stage("counting samples", total=work.samples, unit="samples")

        def one(rows: pa.Table) -> pa.Table:
            counted = tally(rows, recipe, work.layers)
            progress.advance(rows.num_rows)
            return counted

        with connection(locked=False) as engine:
            parts = list(_each(one, _rows(engine, work)))
            if work.annotated:
                parts.append(_objects(engine, work))
        return combine(parts)

    def weigh(self, work: Work, weights: Weights, out: Path, progress: Progress = SILENT) -> None:
        """Write the weight of each sample; see :class:`registry.curate.bias.engine.Engine`.

        Args:
            work: Which samples.
            weights: Of each combination of strata.
            out: Gets one file.
            progress: Told how many are done.
        """
        progress.stage("weighing samples", total=work.samples, unit="samples")
        with (
            connection(locked=False) as engine,
            pq.ParquetWriter(out / "weights.parquet", weights.schema) as writer,
        ):
            for part in _each(lambda rows: weigh(rows, weights, work.layers), _rows(engine, work)):
                writer.write_table(part)
                progress.advance(part.num_rows)


def _each(do: Callable[[pa.Table], T], parts: Iterator[pa.Table]) -> Iterator[T]:
    """Yield results in order, a few at a time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for part in parts:
                waiting.append(pool.submit(do, part))
                if len(waiting) > _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _rows(engine: "duckdb.DuckDBPyConnection", work: Work) -> Iterator[pa.Table]:
    """Yield samples with what is joined to them, in chunks."""
    stream = store.scan(work.root, "samples", work.columns, rows=CHUNK)
    joins = _joins(engine, work)
    if not joins:
        yield from in_chunks(stream)
        return
    plain = pa.schema([pa.field(field.name, field.type) for field in stream.schema])
    bare = pa.RecordBatchReader.from_batches(
        plain, (pa.RecordBatch.from_arrays(batch.columns, schema=plain) for batch in stream)
    )
    engine.register("samples", bare)
    query = "from samples " + " ".join(f'left join "{name}" using (id)' for name in joins)
    yield from in_chunks(engine.execute(query).to_arrow_reader(CHUNK))


def _joins(engine: "duckdb.DuckDBPyConnection", work: Work) -> Sequence[str]:
    """Make what is joined to samples, one row a sample.

    Returns:
        Names of the tables, each with a column ``id``.
    """
    made: list[str] = []
    if work.annotated:
        engine.execute(f"create temp view annotations as {_files(work, 'annotations')}")
        engine.execute(f"create temp table annotated as {_ANNOTATED}")
        made.append("annotated")
    for name in work.splits:
        column = name.partition("/")[2].replace('"', '""')
        files = _files(work, name)
        chosen = f'select sample as id, any_value(subset) as "split {column}" from ({files})'  # noqa: S608 — quoted names
        view = f"split_{len(made)}"
        engine.execute(f"create temp table {view} as {chosen} group by 1")
        made.append(view)
    if work.predictions is not None:
        engine.register("predictions", pq.read_table(work.predictions))
        engine.execute(
            "create temp table predicted as select sample as id, any_value(prediction) as "
            "prediction from predictions group by 1"
        )
        made.append("predicted")
    return made


def _files(work: Work, table: str) -> str:
    """Return the SQL that reads a table's files."""
    files = store.files(work.home(table), table)
    lazy.ensure(*files)
    names = {"annotations": "sample, category, annotator, method, status"}
    chosen = names.get(table, "sample, subset")
    if not files:
        empty = ", ".join(f"null::varchar as {name}" for name in chosen.split(", "))
        return f"select {empty} limit 0"
    return f"select {chosen} from read_parquet({_listed(files)}, union_by_name=true)"  # noqa: S608 — quoted paths of checked files


def _listed(files: Sequence[Path]) -> str:
    return "[" + ", ".join("'" + str(file).replace("'", "''") + "'" for file in files) + "]"


def _objects(engine: "duckdb.DuckDBPyConnection", work: Work) -> pa.Table:
    engine.execute(f"create or replace temp view annotations as {_files(work, 'annotations')}")
    found = engine.execute(_OBJECTS).to_arrow_table()
    size = found.num_rows
    columns = {field.name: pa.nulls(size, field.type) for field in COUNTS}
    zero = pa.repeat(0, size)
    columns |= {
        "kind": pa.repeat(OBJECTS, size),
        "dimension": found["dimension"],
        "stratum": found["stratum"],
        "class": found["category"],
        "count": found["count"],
        "total": zero,
        "squares": zero,
    }
    return pa.table(columns).cast(COUNTS)
