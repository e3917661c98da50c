"""What Spark is told: the lab's settings for a master, a machine and an amount of data.

Every number here is stated in ``docs/how-to/spark.md``; the user's own settings win over all.
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry.curate.jobs import settings_of
from registry.errors import InvalidInputError

__all__ = ["Master", "lab_settings", "loggable", "merged", "of_user", "partitions"]

_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_BYTES_A_PARTITION: Final = 128 * _MIB
_CLUSTER_PARTITIONS: Final = 200
_MOST_PARTITIONS: Final = 20_000
_SMALL: Final = 64 * _MIB
_TELLING: Final = re.compile(
    r"spark\.(?:(?:driver|executor)\.(?:memory|memoryOverhead|cores|instances)|task\.cpus)"
)
"""The user's settings whose values no key can hide in."""
_LOCAL: Final = re.compile(r"local(?:\[(\*|[1-9]\d*)(?:,([1-9]\d*))?\])?")
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:/\[\]]+):(\d{1,5})")
_LOOPBACK: Final = ("127.", "localhost", "[::1]")
_ADDED: Final = ("spark.jars", "spark.sql.extensions")
"""Settings whose values are lists, to which the user's are added."""

_ALWAYS: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.adaptive.enabled": "true",
    # What travels to Python at once: rows of samples are small, rows of pixels are not.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",
    "spark.sql.execution.arrow.maxBytesPerBatch": "64m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.python.worker.faulthandler.enabled": "true",
    # Tasks share the cores already: a library that starts threads of its own only slows them.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.MKL_NUM_THREADS": "1",
    # No module of a worker's current folder takes the place of one of the lab's.
    "spark.executorEnv.PYTHONSAFEPATH": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """Where Spark runs."""

    address: str
    """As Spark takes it."""

    @classmethod
    def named(cls, address: str | None = None) -> "Master":
        """Return the master of this name, else that of ``SPARK_MASTER``, else this machine.

        Raises:
            InvalidInputError: It is no master's address.
        """
        said = (address or os.environ.get("SPARK_MASTER") or "local[*]").strip()
        if local := _LOCAL.fullmatch(said):
            # Four attempts at a task, as a cluster has; Spark's own local mode has one.
            return cls(address=f"local[{local[1] or 1},{local[2] or 4}]")
        if said == "yarn" or said.startswith("k8s://") or _standalone(said):
            return cls(address=said)
        raise InvalidInputError(
            f"{said!r} is no Spark master's address",
            hint="name one in SPARK_MASTER: local[*], spark://host:7077, k8s://https://host:6443 "
            "or yarn",
        )

    @property
    def is_local(self) -> bool:
        """Whether it is this process's own machine, with no cluster."""
        return self.address.startswith("local")

    @property
    def is_loopback(self) -> bool:
        """Whether it is a cluster that this machine alone can reach."""
        hosts = [host for host, _ in self.endpoints]
        return bool(hosts) and all(host.startswith(_LOOPBACK) for host in hosts)

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of which one has to answer; none where Spark finds them itself."""
        if self.is_local or self.address == "yarn":
            return ()
        if self.address.startswith("k8s://"):
            rest = self.address.removeprefix("k8s://")
            plain = rest.startswith("http://")
            place = rest.partition("://")[2] or rest
            host, _, port = place.partition("/")[0].rpartition(":")
            return ((host, int(port)),) if host else ((port, 80 if plain else 443),)
        return tuple((host, int(port)) for host, port in _standalone(self.address))

    @property
    def cores(self) -> int | None:
        """How many tasks run at once; None where a cluster decides."""
        local = _LOCAL.fullmatch(self.address)
        if local is None:
            return None
        return len(os.sched_getaffinity(0)) if local[1] == "*" else int(local[1] or 1)


def _standalone(address: str) -> list[tuple[str, str]]:
    if not address.startswith("spark://"):
        return []
    found = [_HOST.fullmatch(one) for one in address.removeprefix("spark://").split(",")]
    return [(one[1], one[2]) for one in found if one] if all(found) else []


def partitions(master: Master, size: int) -> int:
    """Return into how many parts a shuffle falls before Spark joins the small ones.

    Args:
        master: Where it runs.
        size: Bytes that are shuffled, as far as is known; 0 if not.

    Examples:
        >>> partitions(Master.named("local[2]"), 0)
        2
        >>> partitions(Master.named("spark://host:7077"), 100 << 30)
        800
    """
    wanted = -(-size // _BYTES_A_PARTITION)
    return min(_MOST_PARTITIONS, max(master.cores or _CLUSTER_PARTITIONS, wanted))


def lab_settings(master: Master, *, size: int = 0) -> dict[str, str]:
    """Return the lab's settings.

    Args:
        master: Where it runs.
        size: Bytes that will be shuffled, as far as is known; 0 if not.
    """
    parts = str(partitions(master, size))
    own = {
        "spark.sql.shuffle.partitions": parts,
        "spark.sql.warehouse.dir": f"{tempfile.gettempdir()}/eolab-spark-warehouse",
        "spark.driver.memory": _driver_memory(master),
        "spark.pyspark.driver.python": sys.executable,
        # The same path on every machine of a cluster, unless the user names another.
        "spark.pyspark.python": os.environ.get("PYSPARK_PYTHON") or sys.executable,
    }
    if master.cores is not None:
        few = str(master.cores)
        own |= {
            "spark.default.parallelism": few,
            "spark.databricks.delta.snapshotPartitions": few,
        }
    if master.is_local and 0 < size <= _SMALL:
        # Java is over before its better compiler would have paid for itself.
        own["spark.driver.extraJavaOptions"] = "-XX:TieredStopAtLevel=1"
    if master.is_local or master.is_loopback:
        own |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return _ALWAYS | own


def _driver_memory(master: Master) -> str:
    # A quarter of this machine's, where it does all the work; else an eighth.
    share, most = (4, 16 * _GIB) if master.is_local else (8, 4 * _GIB)
    wanted = min(most, max(_GIB, _memory() // share))
    return f"{wanted // _MIB}m"


def _memory() -> int:
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:  # a container may have less
        return min(own, int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    except (OSError, ValueError):
        return own


def of_user(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return the user's own settings: those of ``EOLAB_SPARK_SETTINGS``, then those given.

    Raises:
        InvalidInputError: One is none, or says where Spark runs.
    """
    try:
        words = shlex.split(os.environ.get("EOLAB_SPARK_SETTINGS", ""))
    except ValueError as error:
        raise InvalidInputError(
            f"EOLAB_SPARK_SETTINGS cannot be read: {error}",
            hint="write key=value, with spaces between and quotes around what has spaces",
        ) from error
    found = settings_of(words) | dict(given or {})
    if "spark.master" in found:
        raise InvalidInputError(
            f"the setting spark.master is {found['spark.master']!r}",
            hint="name the master in SPARK_MASTER instead",
        )
    return found


def merged(lab: Mapping[str, str], user: Mapping[str, str]) -> dict[str, str]:
    """Return the lab's settings with the user's in their place, or added to a list's."""
    both = {key: f"{lab[key]},{user[key]}" for key in _ADDED if lab.get(key) and user.get(key)}
    return {**lab, **user, **both}


def loggable(lab: Mapping[str, str], user: Mapping[str, str]) -> str:
    """Return settings as a log may have them: of the user's own, values only where no key can be.

    Examples:
        >>> loggable({"spark.a": "1"}, {"spark.executor.memory": "8g", "spark.secret": "k"})
        'spark.a=1 spark.executor.memory=8g spark.secret=(not shown)'
    """
    shown = lab | {
        key: value if _TELLING.fullmatch(key) else "(not shown)" for key, value in user.items()
    }
    return " ".join(f"{key}={shown[key]}" for key in sorted(shown))
