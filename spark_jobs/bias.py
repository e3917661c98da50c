"""Bias on Spark: samples counted where they are, so that only small tables of counts travel.

What counts a part is the library's own :func:`registry.curate.bias.counting.tally`; Spark joins,
spreads the rows and adds the counts up. Of a version in a folder to whose samples nothing is
joined, the workers read the files themselves, so that no row passes through the JVM.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.curate.bias.auditing import audit
from registry.curate.bias.counting import (
    COUNTS,
    KEYS,
    OBJECTS,
    Recipe,
    combine,
    in_chunks,
    tally,
)
from registry.curate.bias.engine import Extent, Work
from registry.curate.bias.weighing import Weights, weigh
from registry.curate.features.inputs import NOT_REJECTED
from registry.curate.layers.acquired import NUMBERS, TEXTS
from registry.curate.layers.asked import carried
from registry.curate.layers.strata import Lookup
from registry.lake import Location, lazy
from registry.lake.engines import is_remote
from registry.progress import SILENT, Progress
from registry.tables import store
from registry.tables.log import snapshot
from spark_jobs.channel import Job, serve
from spark_jobs.running import collected, counting, crossing, translated
from spark_jobs.session import opened_for, table_frame

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["SparkEngine", "main", "transform"]

_SUMS: Final = COUNTS.names[len(KEYS) :]
_SAID: Final = {
    *(name for names in TEXTS.values() for name in names),
    *(name for _, names in NUMBERS.values() for name in names),
}
_FIELDS: Final = {
    "source": {name.partition(".")[2] for name in _SAID if name.startswith("source.")},
    "properties": _SAID,
}
"""Fields of structs that layers look at."""

_CORNERS: Final = {
    "west": ("bbox.xmin", "min"),
    "south": ("bbox.ymin", "min"),
    "east": ("bbox.xmax", "max"),
    "north": ("bbox.ymax", "max"),
    "low": ("target", "min"),
    "high": ("target", "max"),
}
"""Of an extent: which column it is the least or the greatest of."""

_REACH: Final = pa.schema([pa.field(name, pa.float64()) for name in _CORNERS])
_ROWS_A_TASK: Final = 2_000_000
_TASKS_A_CORE: Final = 4


def main() -> None:
    """Measure the bias of a version for whoever started this process."""
    serve(_audited)


def _audited(job: Job) -> Mapping[str, Any]:
    asked = job.arguments
    with opened_for(job, "bias") as (registry, spark, root):
        engine = SparkEngine(spark=spark, root=root)
        report = audit(
            registry,
            asked["ref"],
            against=asked.get("against", "land"),
            engine=engine,
            predictions=asked.get("predictions"),
            layers=asked.get("layers") or {},
            keep=bool(asked.get("keep", True)),
            progress=job.progress,
        )
    if asked.get("out"):
        pq.write_table(report.counts, Path(asked["out"]) / "counts.parquet")
    return {
        "ref": report.ref,
        "commit": report.commit,
        "against": report.against,
        "samples": report.samples,
        "flagged": report.flagged,
        "recipe": asdict(report.recipe),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkEngine:
    """Counts on Spark; an :class:`registry.curate.bias.engine.Engine`."""

    spark: "SparkSession"
    """The session; it has to know the location of the tables if that is an object store."""

    root: Location | None = None
    """Where Spark reads the version's tables, if not where the work says."""

    name: str = "spark"
    """As reports say it."""

    def extent(self, work: Work) -> Extent:
        """Return how far the samples reach."""
        from pyspark.sql import functions as f

        if self._reads_files(work):
            return self._extent_of_files(work)
        samples = table_frame(self.spark, self.root or work.root, "samples")
        corners = {"west": "xmin", "south": "ymin", "east": "xmax", "north": "ymax"}
        asked: list[Column] = []
        if "bbox" in work.columns:
            for name, corner in corners.items():
                least = f.min if name in {"west", "south"} else f.max
                asked.append(least(_finite(f.col(f"bbox.{corner}"))).alias(name))
        if "target" in work.columns:
            asked.append(f.min(_finite(f.col("target"))).alias("low"))
            asked.append(f.max(_finite(f.col("target"))).alias("high"))
        if not asked:
            return Extent()
        with translated():
            [found] = samples.agg(*asked).toArrow().to_pylist()
        return Extent(**found)

    def _extent_of_files(self, work: Work) -> Extent:
        wanted = tuple(name for name in ("bbox", "target") if name in work.columns)
        task = _Reach(files=_Files(root=work.root, columns=wanted))
        kind = ", ".join(f"{name} double" for name in _CORNERS)
        with translated():
            parts = self._file_places(work).mapInArrow(task, kind).toArrow()
        return Extent(**{
            name: getattr(pc, least)(parts[name]).as_py() for name, (_, least) in _CORNERS.items()
        })

    def count(self, work: Work, recipe: Recipe, progress: Progress = SILENT) -> pa.Table:
        """Return the counts of all samples."""
        progress.stage("counting samples", total=work.samples, unit="samples")
        counted = self.spark.sparkContext.accumulator(0)
        with counting(counted, work.samples, progress), translated():
            layers = carried(work.layers)
            rows = transform(
                self._rows(work), recipe, layers=layers, counted=counted, files=self._files(work)
            )
            parts = [rows.toArrow()]
            if work.annotated:
                parts.append(self._objects(work))
        return combine(part.cast(COUNTS) for part in parts)

    def weigh(self, work: Work, weights: Weights, out: Path, progress: Progress = SILENT) -> None:
        """Write the weight of each sample as Parquet files."""
        progress.stage("weighing samples", total=work.samples, unit="samples")
        counted = self.spark.sparkContext.accumulator(0)
        task = _Weigh(
            weights=weights, layers=carried(work.layers), counted=counted, files=self._files(work)
        )
        with counting(counted, work.samples, progress), translated():
            rows = self._rows(work).mapInArrow(task, "sample string, weight double")
            collected(rows, out, weights.schema)

    def _reads_files(self, work: Work) -> bool:
        """Return whether the workers read the samples: they can, and nothing is joined to them."""
        joined = work.annotated or work.splits or work.predictions is not None
        return self.root is None and not is_remote(work.root) and not joined

    def _files(self, work: Work) -> "_Files | None":
        if not self._reads_files(work):
            return None
        return _Files(root=work.root, columns=work.columns)

    def _file_places(self, work: Work) -> "DataFrame":
        """Return the place of each file of samples in the table's log."""
        paths = snapshot(work.root, "samples").paths()
        lazy.ensure(*paths)
        few = self.spark.sparkContext.defaultParallelism * _TASKS_A_CORE
        tasks = max(few, -(-work.samples // _ROWS_A_TASK))
        return self.spark.range(0, len(paths), 1, max(1, min(len(paths), tasks)))

    def _rows(self, work: Work) -> "DataFrame":
        """Return samples with what is joined to them, a row each; or files that workers read."""
        from pyspark.sql import functions as f

        if self._reads_files(work):
            return self._file_places(work)
        rows = _narrow(table_frame(self.spark, self.root or work.root, "samples"), work.columns)
        if work.annotated:
            drawn = self._annotations(work).groupBy(f.col("sample").alias("id"))
            rows = rows.join(
                drawn.agg(
                    f.sort_array(f.collect_set("category")).alias("classes"),
                    f.sort_array(f.collect_set("annotator")).alias("annotators"),
                    f.sort_array(f.collect_set("method")).alias("methods"),
                ),
                "id",
                "left",
            )
        for name in work.splits:
            column = f"split {name.partition('/')[2]}"
            split = table_frame(self.spark, self._home(work, name), name)
            chosen = split.select(f.col("sample").alias("id"), f.col("subset").alias(column))
            rows = rows.join(chosen, "id", "left")
        if work.predictions is not None:
            table = pq.read_table(work.predictions).rename_columns(["id", "prediction"])
            rows = rows.join(self.spark.createDataFrame(table), "id", "left")
        return rows

    def _home(self, work: Work, table: str) -> Location:
        # What was derived lies on another branch, which Spark reads from this machine's copy.
        home = work.home(table)
        return self.root if self.root is not None and home == work.root else home

    def _annotations(self, work: Work) -> "DataFrame":
        rows = table_frame(self.spark, self.root or work.root, "annotations")
        return rows.where(NOT_REJECTED).where("sample is not null")

    def _objects(self, work: Work) -> pa.Table:
        from pyspark.sql import functions as f

        rows = table_frame(self.spark, self.root or work.root, "annotations").where(NOT_REJECTED)
        parts = []
        for dimension, column in (("annotator", "annotator"), ("label method", "method")):
            found = rows.groupBy(f.col(column).alias("stratum"), f.col("category").alias("class"))
            one = found.agg(f.count("*").alias("count")).toArrow()
            size = one.num_rows
            columns = {field.name: pa.nulls(size, field.type) for field in COUNTS}
            columns |= {name: one[name] for name in one.column_names}
            columns |= {
                "kind": pa.repeat(OBJECTS, size), "dimension": pa.repeat(dimension, size),
                "total": pa.repeat(0, size), "squares": pa.repeat(0, size),
            }  # fmt: skip
            parts.append(pa.table(columns).cast(COUNTS))
        return pa.concat_tables(parts)


def transform(
    rows: "DataFrame",
    recipe: Recipe,
    *,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
    counted: "Accumulator[int] | None" = None,
    files: "_Files | None" = None,
) -> "DataFrame":
    """Return the counts of samples.

    Args:
        rows: Of ``samples``, with what is joined to them.
        recipe: How they are counted.
        layers: Further strata by name, ready to travel; Spark sends them to each worker once.
        counted: Told of the rows that are done.
        files: Reads the rows where ``rows`` are but places of files.

    Returns:
        Columns of :data:`registry.curate.bias.counting.COUNTS`, each key once, in any order.
    """
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.types import from_arrow_schema

    plain = pa.schema([pa.field(one.name, one.type) for one in COUNTS])
    task = _Tally(recipe=recipe, layers=dict(layers), counted=counted, files=files)
    parts = rows.mapInArrow(task, from_arrow_schema(plain))
    return parts.groupBy(*KEYS).agg(*(f.sum(name).alias(name) for name in _SUMS))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Reads samples where a worker is."""

    root: Location
    columns: tuple[str, ...]

    def read(self, places: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the files at these places of the table's log."""
        found = snapshot(self.root, "samples")
        for batch in places:
            files = [found.files[place] for place in batch.column("id").to_pylist()]
            yield from store.stream_files(found, files, self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """What a worker does to tell how far the samples of some files reach."""

    files: _Files

    def __call__(self, places: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with crossing():
            for batch in self.files.read(places):
                reach = {}
                for name, (path, least) in _CORNERS.items():
                    column, _, corner = path.partition(".")
                    values = batch.column(column) if column in batch.schema.names else None
                    if values is not None and corner:
                        values = pc.struct_field(values, corner)
                    finite = None if values is None else values.filter(pc.is_finite(values))
                    reach[name] = None if finite is None else getattr(pc, least)(finite).as_py()
                yield pa.RecordBatch.from_pylist([reach], _REACH)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """What a worker does with its share of the rows: one small table for all of them."""

    recipe: Recipe
    layers: dict[str, Lookup]
    counted: "Accumulator[int] | None"
    files: _Files | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with crossing():
            parts = []
            for chunk in in_chunks(self.files.read(batches) if self.files else batches):
                parts.append(tally(chunk, self.recipe, self.layers))
                if self.counted is not None:
                    self.counted.add(chunk.num_rows)
            yield from combine(parts).to_batches()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weigh:
    """What a worker does to weigh its share of the rows."""

    weights: Weights
    layers: dict[str, Lookup]
    counted: "Accumulator[int]"
    files: _Files | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with crossing():
            for chunk in in_chunks(self.files.read(batches) if self.files else batches):
                self.counted.add(chunk.num_rows)
                yield from weigh(chunk, self.weights, self.layers).to_batches()


def _narrow(samples: "DataFrame", columns: Iterable[str]) -> "DataFrame":
    """Return only what strata are told from, so that nothing else is read or travels to Python."""
    from pyspark.sql import functions as f

    chosen = []
    for name in columns:
        kept = _FIELDS.get(name)
        if kept is None:
            chosen.append(f.col(name))
            continue
        there = [one for one in samples.schema[name].dataType.fieldNames() if one in kept]
        if there:
            parts = [f.col(name).getField(one).alias(one) for one in there]
            chosen.append(f.struct(*parts).alias(name))
    return samples.select(*chosen)


def _finite(column: "Column") -> "Column":
    from pyspark.sql import functions as f

    return f.when(f.abs(column) < float("inf"), column)
