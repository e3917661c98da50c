"""Around a job's work on Spark: counting what is done, errors that cross, values that arrive."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from registry.curate.jobs import JobFailedError, revived
from registry.errors import RegistryError, UnavailableError
from registry.progress import Progress
from spark_jobs.channel import told

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import DataFrame

__all__ = ["collected", "counting", "crossing", "error_of", "translated"]

_MARK: Final = re.compile(r"eolab-error:([A-Za-z0-9+/=]+):")
_LOOK_SECONDS: Final = 0.5
_CAUSES: Final = (
    (
        re.compile(r"No space left on device|File too large|Disk quota exceeded"),
        "there is no room for what Spark writes",
        "make room, or name a larger disk: SPARK_LOCAL_DIRS for Spark's own files",
    ),
    (
        re.compile(r"No module named '(?:registry|spark_jobs)[^']*'"),
        "Spark's workers have no lab in their Python",
        "install eo-training-data-lab on every worker and name that Python in PYSPARK_PYTHON",
    ),
    (
        re.compile(r"Cannot run program \"([^\"]+)\""),
        "Spark's workers have no Python at that path",
        "name the Python of the workers in PYSPARK_PYTHON",
    ),
    (
        re.compile(r"PYTHON_VERSION_MISMATCH|Python in worker has different version"),
        "Spark's workers run another version of Python than this machine",
        "name one of the same version in PYSPARK_PYTHON",
    ),
    (
        re.compile(r"OutOfMemoryError|Java heap space"),
        "Java has too little memory",
        "give it more: EOLAB_SPARK_SETTINGS='spark.driver.memory=8g', or spark.executor.memory=",
    ),
)


@contextmanager
def crossing() -> Iterator[None]:
    """Send the registry's errors whole out of a worker, in the words of its failure.

    Raises:
        RuntimeError: In the place of a registry error; :func:`translated` makes it one again.
    """
    try:
        yield
    except RegistryError as error:
        said = base64.b64encode(json.dumps(told(error)).encode()).decode()
        raise RuntimeError(f"{error.problem} eolab-error:{said}:") from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Spark raises into an error of the registry.

    Raises:
        RegistryError: A worker raised it, or Spark itself failed.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        translation = error_of(str(error))
        raise translation from error


def error_of(said: str) -> RegistryError:
    """Return what Spark's own words mean.

    Args:
        said: What it raised, with the causes.

    Returns:
        The error that a worker raised, or the best that can be made of the words.
    """
    if mark := _MARK.search(said):
        return revived(json.loads(base64.b64decode(mark[1])), hint="the job's log says more")
    for pattern, problem, hint in _CAUSES:
        if found := pattern.search(said):
            return UnavailableError(f"{problem}: {found[0]}", hint=hint)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith(("Caused by:", ": ", "Job aborted"))]
    cause = causes[-1].removeprefix("Caused by:").strip(": ") if causes else " ".join(lines[:1])
    return JobFailedError(f"Spark's work failed: {cause[:300]}", hint="the job's log says more")


@contextmanager
def counting(counted: "Accumulator[int]", total: int, progress: Progress) -> Iterator[None]:
    """Tell how many rows are done, while the work goes on.

    Args:
        counted: What the tasks add to as they end; a task that ran twice may add twice.
        total: How many rows there are.
        progress: Told twice a second.
    """
    over = threading.Event()
    shown = 0

    def look() -> None:
        nonlocal shown
        done = min(int(counted.value), total)
        if done > shown:
            progress.advance(done - shown)
            shown = done

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    look()


def collected(values: "DataFrame", into: Path, schema: pa.Schema) -> int:
    """Have values computed and write them here, in bounded memory.

    They wait on the workers' own disks until this machine takes them, so that nothing but the
    workers' connection to it is needed: no folder that all of them see.

    Args:
        values: What is to be computed.
        into: Folder that gets one Parquet file.
        schema: Its columns; those of ``values`` in the types that were promised.

    Returns:
        How many rows there are.

    Raises:
        UnavailableError: There is no room for the file.
    """
    from pyspark import StorageLevel

    # Not the frame's own cache: that computes twice.
    packed = values.mapInArrow(_pack, "arrow binary").rdd.persist(StorageLevel.DISK_ONLY)
    rows = 0
    try:
        packed._jrdd.count()  # noqa: SLF001 — all at once; what follows takes part after part
        with pq.ParquetWriter(into / "part-0.parquet", schema, compression="zstd") as out:
            for row in packed.toLocalIterator(prefetchPartitions=True):
                for batch in pa.ipc.open_stream(row["arrow"]):
                    out.write_batch(batch.cast(schema))
                    rows += batch.num_rows
    except OSError as error:
        raise UnavailableError(
            f"what Spark computed cannot be kept in {into}: {error.strerror or error}",
            hint="make room there, or name another disk in TMPDIR, and run it again",
        ) from error
    finally:
        packed.unpersist()
    return rows


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.record_batch({"arrow": pa.array([sink.getvalue().to_pybytes()], pa.binary())})
