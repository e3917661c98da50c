"""One Spark session that reads and writes Delta tables, local unless a master is named.

The two Delta jars are fetched once, by the Ivy that PySpark brings, into the user's cache; those
for object stores, 687 MB of them, when a session is to read one. In a closed network, name a folder
that has them in ``EOLAB_SPARK_JARS``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import UnavailableError
from registry.lake import Location
from registry.lake.engines import is_remote, spark_settings
from spark_jobs.java import complaint, found

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["COORDINATES", "S3_COORDINATES", "delta_jars", "s3_jars", "session"]

COORDINATES = ("io.delta:delta-spark_4.2_2.13:4.4.0", "io.delta:delta-storage:4.4.0")
"""All that Delta needs beside PySpark's own jars; its full tree would bring older Hadoop's."""

S3_COORDINATES = (
    "org.apache.hadoop:hadoop-aws:3.5.0",
    "software.amazon.awssdk:bundle:2.35.4",
    "software.amazon.s3.analyticsaccelerator:analyticsaccelerator-s3:1.3.1",
)
"""All that ``s3a://`` needs beside them; of the version of the Hadoop that PySpark brings."""

_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


def session(
    name: str,
    *,
    master: str = "local[2]",
    settings: dict[str, str] | None = None,
    locations: Iterable[Location] = (),
) -> "SparkSession":
    """Open a Spark session, or return the one that is open.

    Of one branch on lakeFS, one session is the only writer: two of them, or one beside delta-rs,
    overwrite each other's Delta commits and nobody is told.

    Args:
        name: What the session is called in Spark's own listings.
        master: Spark's address: ``local[n]``, ``spark://…``, ``k8s://…``.
        settings: Further Spark settings, which win over the lab's.
        locations: What it is to open; needed for those that are not folders.

    Returns:
        The session; its caller stops it.

    Raises:
        UnavailableError: Java 17 or 21, PySpark or jars are missing, or the session that is open
            knows nothing of a location.
    """
    wrong = complaint(found())
    if wrong:
        problem, _, remedy = wrong.partition(": ")
        raise UnavailableError(problem, hint=remedy or "install a Java 17 runtime")
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UnavailableError(
            "PySpark is not installed", hint="pip install 'eo-training-data-lab[spark]'"
        ) from error
    remote = [location for location in locations if is_remote(location)]
    jars = ",".join(str(jar) for jar in delta_jars() + (s3_jars() if remote else []))
    scratch = tempfile.gettempdir()
    builder = SparkSession.builder.appName(name).master(master)
    own = {"spark.jars": jars, "spark.sql.warehouse.dir": f"{scratch}/eolab-spark-warehouse"}
    for location in remote:
        own |= spark_settings(location)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for key, value in (_SETTINGS | own | (settings or {})).items():
        builder = builder.config(key, value)
    opened = builder.getOrCreate()
    opened.sparkContext.setLogLevel("ERROR")
    _refuse_ignorant(opened, remote)
    return opened


def _refuse_ignorant(opened: "SparkSession", remote: Iterable[Location]) -> None:
    # A session that was open before takes neither jars nor what its file systems are told.
    known = opened.sparkContext.getConf()
    for location in remote:
        if any(known.get(key) != value for key, value in spark_settings(location).items()):
            raise UnavailableError(
                f"the Spark session that is open cannot read {location.uri}",
                hint="stop it first, or open it with all the locations it is to read",
            )


def delta_jars() -> list[Path]:
    """Return where Delta's jars lie, fetching them the first time.

    Raises:
        UnavailableError: They are not there and cannot be fetched.
    """
    return _jars(COORDINATES)


def s3_jars() -> list[Path]:
    """Return where the jars for ``s3a://`` lie, fetching them the first time: 687 MB.

    Raises:
        UnavailableError: They are not there and cannot be fetched.
    """
    return _jars(S3_COORDINATES)


def _jars(coordinates: tuple[str, ...]) -> list[Path]:
    given = os.environ.get("EOLAB_SPARK_JARS")
    folder = Path(given) if given else _cache()
    jars = [folder / _file_name(coordinate) for coordinate in coordinates]
    missing = [jar for jar in jars if not jar.is_file()]
    if missing and given:
        raise UnavailableError(
            f"EOLAB_SPARK_JARS is {given}, which has no {missing[0].name}",
            hint=f"put {' and '.join(coordinates)} there",
        )
    for coordinate, jar in zip(coordinates, jars, strict=True):
        if not jar.is_file():
            _fetch(coordinate, jar)
    return jars


def _file_name(coordinate: str) -> str:
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "eolab" / "spark-jars"


def _fetch(coordinate: str, jar: Path) -> None:
    # One jar, without what it depends on: PySpark brings all of that.
    import pyspark

    [ivy] = (Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar")
    jar.parent.mkdir(parents=True, exist_ok=True)
    # Into a folder of its own first: a jar that is there is whole.
    with tempfile.TemporaryDirectory(dir=jar.parent) as scratch:
        command = [_java(), f"-DIvy.default.ivy.user.dir={scratch}", "-jar", str(ivy)]
        command += ["-cache", f"{scratch}/cache", "-notransitive", "-confs", "default"]
        command += ["-dependency", *coordinate.split(":")]
        command += ["-retrieve", f"{scratch}/[artifact]-[revision].[ext]"]
        ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        fetched = Path(scratch) / jar.name
        if ran.returncode or not fetched.is_file():
            lines = (ran.stdout + ran.stderr).splitlines()
            said = next((line.strip() for line in lines if "not found" in line), "no answer")
            raise UnavailableError(
                f"{jar.name} cannot be fetched: {said[:200]}",
                hint=f"put {coordinate}, and what else Spark needs, into a folder and name it in "
                "EOLAB_SPARK_JARS",
            )
        fetched.replace(jar)


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java") or "java"
