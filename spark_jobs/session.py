"""One Spark session that reads and writes Delta tables, here unless a master is named."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry import connect
from registry.errors import InvalidInputError, UnavailableError
from registry.lake import Location, lazy
from registry.lake.engines import is_remote, spark_settings, spark_uri
from registry.tables.log import snapshot
from spark_jobs import jars
from spark_jobs.java import complaint, found
from spark_jobs.running import error_of
from spark_jobs.settings import Master, lab_settings, loggable, merged, of_user

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from registry.catalog.registry import Registry
    from registry.catalog.version import Version
    from spark_jobs.channel import Job

__all__ = ["direct_root", "opened", "opened_for", "session", "size_of", "table_frame"]

_KNOCK_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 15.0
_JOINED: Final = ("samples", "assets", "annotations")
_HADOOP: Final = "spark.hadoop."


def session(
    name: str,
    *,
    master: str | None = None,
    settings: Mapping[str, str] | None = None,
    locations: Iterable[Location] = (),
    size: int = 0,
) -> "SparkSession":
    """Open a Spark session, or return the one that is open.

    Of one branch on lakeFS, one session is the only writer: two of them, or one beside delta-rs,
    overwrite each other's Delta commits and nobody is told.

    Args:
        name: What the session is called in Spark's own listings.
        master: Spark's address: ``local[n]``, ``spark://…``, ``k8s://…``, ``yarn``; that of
            ``SPARK_MASTER``, or this machine with all its cores, if None.
        settings: Further Spark settings, which win over the lab's.
        locations: What it is to open; needed for those that are not folders.
        size: Bytes that it will shuffle, as far as is known.

    Returns:
        The session; its caller stops it.

    Raises:
        InvalidInputError: The master's address or a setting is none.
        UnavailableError: Java 17 or 21, PySpark or jars are missing, the master does not answer or
            gives no worker, or the session that is open knows nothing of a location.
    """
    where = Master.named(master)
    user = of_user(settings)
    _need_java()
    remote = [location for location in locations if is_remote(location)]
    paths = jars.ready(jars.DELTA) + (jars.ready(jars.S3) if remote else [])
    own = lab_settings(where, size=size) | {"spark.jars": ",".join(map(str, paths))}
    sys.stderr.write(f"Spark for {name} at {where.address}: {loggable(own, user)}\n")
    _knock(where)
    spark = _started(name, where, merged(own, user), remote)
    _wait_for_workers(spark, where)
    return spark


@contextmanager
def opened(
    name: str,
    *,
    settings: Mapping[str, str] | None = None,
    locations: Iterable[Location] = (),
    size: int = 0,
) -> Iterator["SparkSession"]:
    """Open a session for a while; however that ends, Spark's work and its Java end with it.

    Args:
        name: As for :func:`session`, like the others.
        settings: Further Spark settings.
        locations: What it is to open.
        size: Bytes that it will shuffle.

    Yields:
        The session.
    """
    spark = session(name, settings=settings, locations=locations, size=size)
    try:
        yield spark
    finally:
        _stop(spark)


@contextmanager
def opened_for(
    job: "Job", what: str
) -> Iterator[tuple["Registry", "SparkSession", Location | None]]:
    """Open a session for a job on one version, as its arguments ``lake`` and ``ref`` name it.

    Args:
        job: The job.
        what: What it makes of the version, such as ``features``.

    Yields:
        The registry; the session; and where its workers read the version, as :func:`direct_root`
        says.
    """
    registry = connect(job.arguments["lake"])
    version = registry.resolve(job.arguments["ref"])
    root = direct_root(version)
    with opened(
        f"{what} of {version.ref}",
        settings=job.settings,
        locations=[] if root is None else [root],
        size=size_of(version),
    ) as spark:
        yield registry, spark, root


def direct_root(version: "Version") -> Location | None:
    """Return where the workers of a cluster read a version that no folder of theirs holds.

    Args:
        version: The version.

    Returns:
        Its address in the object store; None where its folder does: for a lake in a folder, and
        where Spark runs on this machine, which fetches what is read.
    """
    master = Master.named()
    if master.is_local or master.is_loopback:
        return None
    direct = version.repository.direct(version.commit.id)
    return direct if is_remote(direct) else None


def size_of(version: "Version") -> int:
    """Return how many bytes of a version's tables Spark itself joins; 0 if that is not known.

    Args:
        version: The version; its pixels do not count, for Python's workers read them.
    """
    if is_remote(version.root):
        return 0
    there = set(version.tables_published())
    tables = [snapshot(version.root, name) for name in _JOINED if name in there]
    return sum(file.size for table in tables for file in table.files)


def table_frame(spark: "SparkSession", root: Location, table: str) -> "DataFrame":
    """Return a table's rows, wherever it lies.

    Args:
        spark: The session; it has to know the location if that is an object store.
        root: Where the version's tables lie.
        table: The table's name, such as ``splits/default``.
    """
    place = root.child(*table.split("/"))
    if is_remote(place):
        return spark.read.format("delta").load(spark_uri(place))
    lazy.ensure(*snapshot(root, table).paths())
    return spark.read.format("delta").load(f"file://{Path(place.uri).absolute()}")


def _need_java() -> None:
    if wrong := complaint(found()):
        problem, _, remedy = wrong.partition(": ")
        raise UnavailableError(problem, hint=remedy or "install a Java 17 runtime")


def _knock(master: Master) -> None:
    # At a master that does not answer, Spark itself would try for a minute.
    said = ""
    for host, port in master.endpoints:
        try:
            with socket.create_connection((host.strip("[]"), port), timeout=_KNOCK_SECONDS):
                return
        except OSError as error:
            said = error.strerror or str(error) or "no answer"
    if said:
        raise UnavailableError(
            f"Spark's master {master.address} does not answer: {said}",
            hint="start it, or name another in SPARK_MASTER; without one, Spark runs here",
        )


def _started(
    name: str, master: Master, settings: Mapping[str, str], remote: Iterable[Location]
) -> "SparkSession":
    try:
        import pyspark
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UnavailableError(
            "PySpark is not installed", hint="pip install 'eo-training-data-lab[spark]'"
        ) from error
    was_open = SparkSession.getActiveSession() is not None
    _set_environment(master, Path(pyspark.__file__).parent)
    builder = SparkSession.builder.appName(name).master(master.address)
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        _tell_of(spark, remote, was_open=was_open)
    except (Py4JError, PySparkException) as error:
        why = error_of(str(error))
        raise UnavailableError(
            f"Spark does not start at {master.address}: {why.problem}", hint=why.hint
        ) from error
    return spark


def _set_environment(master: Master, home: Path) -> None:
    # Another Spark on this machine has other jars; only what its owner configured is taken.
    other = os.environ.get("SPARK_HOME")
    if other and Path(other) != home and Path(other, "conf").is_dir():
        os.environ.setdefault("SPARK_CONF_DIR", str(Path(other, "conf")))
    os.environ["SPARK_HOME"] = str(home)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if master.is_local or master.is_loopback:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


def _tell_of(spark: "SparkSession", remote: Iterable[Location], *, was_open: bool) -> None:
    # Of object stores an open session is told: a command line would show keys to everybody.
    known = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001 — PySpark's only way
    for location in remote:
        said = {key.removeprefix(_HADOOP): value for key, value in spark_settings(location).items()}
        if was_open and any(known.get(key) != value for key, value in said.items()):
            # It may have no jars for them either.
            raise UnavailableError(
                f"the Spark session that is open cannot read {location.uri}",
                hint="stop it first, or open it with all the locations it is to read",
            )
        for key, value in said.items():
            known.set(key, value)


def _wait_for_workers(spark: "SparkSession", master: Master) -> None:
    # On a cluster that gives no worker, a job would wait for one without end.
    if master.is_local:
        return
    seconds = _patience(master)
    until = time.monotonic() + seconds
    context = spark.sparkContext._jsc.sc()  # noqa: SLF001 — PySpark's only way
    while context.getExecutorMemoryStatus().size() < 2:  # noqa: PLR2004 — the driver is one
        if context.isStopped() or time.monotonic() > until:
            _stop(spark)
            raise UnavailableError(
                f"{master.address} gave no worker within {seconds:g} seconds",
                hint="start workers, ask for less (EOLAB_SPARK_SETTINGS="
                "'spark.executor.memory=1g'), or let them reach this machine "
                "(spark.driver.host); EOLAB_SPARK_WAIT waits longer",
            )
        time.sleep(0.1)


def _patience(master: Master) -> float:
    usual = "60" if master.address.startswith("spark://") else "300"
    said = os.environ.get("EOLAB_SPARK_WAIT") or usual
    try:
        return float(said)
    except ValueError as error:
        raise InvalidInputError(
            f"EOLAB_SPARK_WAIT is {said!r}", hint="say seconds, such as 300"
        ) from error


def _stop(spark: "SparkSession") -> None:
    """Stop Spark, and end its Java where it does not stop by itself."""
    gateway = spark.sparkContext._gateway  # noqa: SLF001 — PySpark's only way
    java = gateway.proc if gateway is not None else None
    # From a thread of its own: an interrupt may have left this one's connection in mid-answer.
    stopping = threading.Thread(target=spark.stop, daemon=True)
    stopping.start()
    stopping.join(_STOP_SECONDS)
    if stopping.is_alive() and java is not None:
        java.kill()
