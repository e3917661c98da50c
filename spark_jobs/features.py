"""Features on Spark: the tables of a version joined to rows a sample, and what is computed of them.

The same function computes as in the library, :func:`registry.curate.features.evaluating.evaluate`;
Spark only spreads the rows. Of a version in a folder, the workers read packed pixels themselves,
each array by one read at its place: they never pass through the JVM, and no shuffle holds them. Of
a version in an object store, Spark reads them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from registry.curate.features.evaluating import evaluate
from registry.curate.features.inputs import NOT_REJECTED, cut, with_pixels
from registry.curate.features.work import ANNOTATION, ARRAY, CELL, Call, Work
from registry.lake import Location
from registry.lake.engines import is_remote
from registry.progress import Progress
from registry.tables import store
from registry.tables.chips import ChipIndex
from registry.tables.log import snapshot
from registry.tables.schemas import SAMPLES
from spark_jobs.channel import Job, serve
from spark_jobs.running import collected, counting, crossing, translated
from spark_jobs.session import opened_for, table_frame

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import Column, DataFrame, SparkSession

    from registry.curate.features.work import Runner

__all__ = ["Tables", "main", "spark_runner", "tables_of", "transform"]

_BYTES_A_TASK: Final = 64 * 2**20
_ROWS_A_TASK: Final = 50_000
_TASKS_A_CORE: Final = 4
_MOST_TASKS: Final = 100_000
_BROADCAST_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Frames of what work looks at; None where it does not."""

    samples: "DataFrame"
    """``id`` with the columns that sets look at, and ``cell`` where one needs it."""

    assets: "DataFrame | None" = None
    """Rows of ``assets``, of those assets whose arrays are looked at."""

    annotations: "DataFrame | None" = None
    """Rows of ``annotations`` that nobody has rejected."""

    pixels: "DataFrame | None" = None
    """Rows of ``pixels`` where Spark reads them; None where its workers do."""

    narrow: bool = True
    """Whether samples and assets are few enough to be sent to every worker."""


def main() -> None:
    """Compute feature sets for whoever started this process."""
    serve(_computed)


def _computed(job: Job) -> Mapping[str, Any]:
    from registry.curate.features.computing import compute

    asked = job.arguments
    with opened_for(job, "features") as (registry, spark, root):
        done = compute(
            registry,
            asked["ref"],
            [Call(**one) if isinstance(one, dict) else one for one in asked["sets"]],
            run=spark_runner(spark, root=root),
            engine_name="spark",
            on_error=asked.get("on_error", "skip"),
            again=bool(asked.get("again", False)),
            progress=job.progress,
        )
    return done.to_document()


def spark_runner(spark: "SparkSession", *, root: Location | None = None) -> "Runner":
    """Return what has work done by Spark.

    Args:
        spark: The session; it has to know the location of the tables if that is an object store.
        root: Where Spark reads the version's tables, if not where the work says.

    Returns:
        A :class:`registry.curate.features.work.Runner`.
    """

    def run(work: Work, out: Path, progress: Progress) -> None:
        if root is not None:
            work = replace(work, root=root)
        tables, total = tables_of(spark, work)
        out.mkdir(parents=True, exist_ok=True)
        counted = spark.sparkContext.accumulator(0)
        values = transform(tables, work, tasks=_tasks(spark, work, total), counted=counted)
        with counting(counted, total, progress), translated():
            collected(values, out, work.schema)

    return run


def transform(
    tables: Tables, work: Work, *, tasks: int, counted: "Accumulator[int] | None" = None
) -> "DataFrame":
    """Return the values of samples, a row each, in any order.

    Args:
        tables: Of the version.
        work: What to compute.
        tasks: Into how many parts it falls where the workers read pixels.
        counted: Told of the rows that are done.

    Returns:
        Columns as ``work.schema`` names them, in Spark's types.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    rows = _with_annotations(tables, _with_arrays(tables))
    if tables.pixels is None:
        rows = rows.repartition(tasks)  # in turn, so that none has more than another
    task = _Task(
        work=_without_keys(work).to_json(),
        types=tuple((one.name, one.type) for one in _declared(work)),
        reads_pixels=tables.pixels is None,
        counted=counted,
    )
    return rows.mapInArrow(task, from_arrow_schema(_in_spark(work.schema)))


def tables_of(spark: "SparkSession", work: Work) -> tuple[Tables, int]:
    """Return the frames that work looks at, and how many samples it is about."""
    samples = table_frame(spark, work.root, "samples").select("id", *work.columns)
    if work.samples is None:
        total = store.count(work.root, "samples") if not is_remote(work.root) else samples.count()
    else:
        import pyarrow.parquet as pq

        asked = pq.read_table(work.samples)
        total = asked.num_rows
        chosen = [name for name in ("id", CELL) if name in asked.column_names]
        samples = samples.join(spark.createDataFrame(asked.select(chosen)), "id")
    assets = annotations = pixels = None
    if work.arrays and _has(work, "assets"):
        names = [one.name for one in work.assets]
        assets = table_frame(spark, work.root, "assets").where(_among("asset", names))
        pixels = table_frame(spark, work.root, "pixels") if is_remote(work.root) else None
    if work.annotations and _has(work, "annotations"):
        rows = table_frame(spark, work.root, "annotations")
        annotations = rows.where(NOT_REJECTED) if "status" in rows.columns else rows
    narrow = total <= _BROADCAST_ROWS
    tables = Tables(
        samples=samples, assets=assets, annotations=annotations, pixels=pixels, narrow=narrow
    )
    return tables, total


def _has(work: Work, table: str) -> bool:
    return is_remote(work.root) or store.exists(work.root, table)


def _among(column: str, names: list[str]) -> "Column":
    from pyspark.sql import functions as f

    return f.col(column).isin(names)


def _tasks(spark: "SparkSession", work: Work, total: int) -> int:
    """Return into how many tasks work falls: several a core, so that they end together."""
    few = spark.sparkContext.defaultParallelism * _TASKS_A_CORE
    wanted = -(-total // _ROWS_A_TASK)
    if work.arrays and not is_remote(work.root) and store.exists(work.root, "pixels"):
        held = sum(file.size for file in snapshot(work.root, "pixels").files)
        wanted = max(wanted, -(-held // _BYTES_A_TASK))
    return max(1, min(total, _MOST_TASKS, max(few, wanted)))


# ------------------------------------------------------------------------------------ joining
def _with_arrays(tables: Tables) -> "DataFrame":
    from pyspark.sql import functions as f

    if tables.assets is None:
        return tables.samples
    if tables.pixels is None:
        one = _struct(tables.assets, [*_pointed(), "pixels"])
        arrays = tables.assets.groupBy("sample").agg(f.collect_list(one).alias("arrays"))
        return _joined(tables.samples, arrays)
    arrays = _with_data(tables.assets, tables.pixels, narrow=tables.narrow)
    few = f.broadcast(tables.samples) if tables.narrow else tables.samples
    there = arrays.join(few, few["id"] == arrays["sample"]).drop("sample")
    absent = tables.samples.join(
        tables.assets, tables.samples["id"] == tables.assets["sample"], "left_anti"
    )
    return there.unionByName(absent, allowMissingColumns=True)


def _with_data(assets: "DataFrame", pixels: "DataFrame", *, narrow: bool) -> "DataFrame":
    """Return the arrays of each sample with their packed bytes.

    Where a sample has but one, nothing is shuffled: its pointer goes to where its pixels are read.
    """
    from pyspark.sql import functions as f

    wanted = [*_pointed(), "codec", "data"]
    inside = assets.where("pixels is not null")
    few = f.broadcast(inside) if narrow else inside
    read = pixels.join(few, pixels["sha256"] == few["pixels"])
    outside = assets.where("pixels is null").withColumns({
        "codec": f.lit(None).cast("string"),
        "data": f.lit(None).cast("binary"),
    })
    both = [
        frame.select("sample", _struct(frame, wanted).alias("one")) for frame in (read, outside)
    ]
    arrays = both[0].unionByName(both[1])
    if assets.select("asset").distinct().count() == 1:
        return arrays.select("sample", f.array("one").alias("arrays"))
    return arrays.groupBy("sample").agg(f.collect_list("one").alias("arrays"))


def _with_annotations(tables: Tables, rows: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as f

    if tables.annotations is None:
        return rows
    one = _struct(tables.annotations, [field.name for field in ANNOTATION])
    shapes = tables.annotations.groupBy("sample").agg(f.collect_list(one).alias("annotations"))
    return _joined(rows, shapes)


def _joined(rows: "DataFrame", more: "DataFrame") -> "DataFrame":
    return rows.join(more, rows["id"] == more["sample"], "left").drop("sample")


def _struct(frame: "DataFrame", names: list[str]) -> "Column":
    from pyspark.sql import functions as f

    there = set(frame.columns)
    return f.struct(*(f.col(n) if n in there else f.lit(None).alias(n) for n in names))


def _pointed() -> list[str]:
    return [field.name for field in ARRAY if field.name not in {"codec", "data"}]


# ---------------------------------------------------------------------------------- computing
@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What a worker does with its share of the rows."""

    work: str
    types: tuple[tuple[str, pa.DataType], ...]
    reads_pixels: bool
    counted: "Accumulator[int] | None"

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        work = _work_of(self.work)
        index = _index_of(self.work) if self.reads_pixels and work.arrays else None
        schema = _in_spark(work.schema)
        with crossing():
            for batch in batches:
                rows = self._as_declared(batch)
                for part in cut(rows) if self.reads_pixels else [rows]:
                    whole = with_pixels(part, index) if self.reads_pixels else part
                    values = evaluate(whole, work)
                    if self.counted is not None:
                        self.counted.add(values.num_rows)
                    yield values.cast(schema)

    def _as_declared(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, kind in self.types:
            at = batch.schema.get_field_index(name)
            if at >= 0 and batch.schema.field(at).type != kind:
                column = batch.column(at).cast(kind)
                batch = batch.set_column(at, pa.field(name, kind), column)
        return batch


@lru_cache(maxsize=4)
def _work_of(text: str) -> Work:
    return Work.from_json(text)


@lru_cache(maxsize=4)
def _index_of(text: str) -> ChipIndex | None:
    root = _work_of(text).root
    return ChipIndex.open(root) if store.exists(root, "pixels") else None


def _without_keys(work: Work) -> Work:
    # No worker needs the keys of an object store: Spark reads it.
    return replace(work, root=replace(work.root, storage_options={}))


def _declared(work: Work) -> list[pa.Field]:
    """Return the columns of ``samples`` that sets look at, in the types that the lab gives them."""
    known = SAMPLES.arrow if is_remote(work.root) else store.schema_of(work.root, "samples").arrow
    return [known.field(name) for name in work.columns if name in known.names]


def _in_spark(schema: pa.Schema) -> pa.Schema:
    """Return a schema in types that Spark has: it knows no unsigned numbers, nor short floats."""
    return pa.schema([pa.field(one.name, _spark_type(one.type)) for one in schema])


_WIDER: Final[Mapping[pa.DataType, pa.DataType]] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
}


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(one.name, _spark_type(one.type)) for one in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_spark_type(kind.value_type))
    return _WIDER.get(kind, kind)
