"""The jars that Spark needs beside PySpark's own: which exactly, where they lie, whether whole.

Each is fetched once, by the Ivy that PySpark brings, into the user's cache, and read there by its
SHA-256 before every use; afterwards no network is needed. In a closed network, name a folder that
has them in ``EOLAB_SPARK_JARS``.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry.cache import user_cache
from registry.errors import UnavailableError

__all__ = ["DELTA", "S3", "Jar", "ready"]

_FETCH_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One file that is known to the byte."""

    coordinate: str
    """``group:artifact:version``."""

    sha256: str
    """Of its bytes, in hex."""

    @property
    def name(self) -> str:
        """Its file's."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


DELTA: Final = (
    Jar(
        coordinate="io.delta:delta-spark_4.2_2.13:4.4.0",
        sha256="27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    ),
    Jar(
        coordinate="io.delta:delta-storage:4.4.0",
        sha256="c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    ),
)
"""All that Delta needs beside PySpark's own; its full tree would bring older Hadoop's."""

S3: Final = (
    Jar(
        coordinate="org.apache.hadoop:hadoop-aws:3.5.0",
        sha256="66bd9eefb938b1a1657487324b63c13df2d8b17164a1dd24e0ef37b905bc5baa",
    ),
    Jar(
        coordinate="software.amazon.awssdk:bundle:2.35.4",
        sha256="db4b55f24ad1b4e70f17eb1717a4de76a8dadc5a27d764be7c44ff67b2c1c677",
    ),
    Jar(
        coordinate="software.amazon.s3.analyticsaccelerator:analyticsaccelerator-s3:1.3.1",
        sha256="4959a9747cbb479c73c3ffbcd479bee5b014f8b2880994585a8693fb9d24675e",
    ),
)
"""All that ``s3a://`` needs beside them, 687 MB; of the version of the Hadoop in PySpark."""


def ready(jars: Sequence[Jar]) -> list[Path]:
    """Return where jars lie, whole; those that are not are fetched.

    Args:
        jars: Which.

    Raises:
        UnavailableError: One is not there and cannot be fetched, or is not what it should be.
    """
    given = os.environ.get("EOLAB_SPARK_JARS")
    if given:
        return [_checked(Path(given), jar, jars) for jar in jars]
    folder = _cache()
    paths = [folder / jar.name for jar in jars]
    if all(_whole(path, jar) for path, jar in zip(paths, jars, strict=True)):
        return paths
    with _alone(folder):
        for path, jar in zip(paths, jars, strict=True):
            if not _whole(path, jar):  # nobody else fetched it meanwhile
                _fetch(jar, path)
    return paths


def _checked(folder: Path, jar: Jar, jars: Sequence[Jar]) -> Path:
    path = folder / jar.name
    if not path.is_file():
        raise UnavailableError(
            f"EOLAB_SPARK_JARS is {folder}, which has no {jar.name}",
            hint=f"put {' and '.join(one.coordinate for one in jars)} there",
        )
    if not _whole(path, jar):
        raise UnavailableError(
            f"{path} is not {jar.coordinate}: its SHA-256 is not {jar.sha256}",
            hint="it was cut off or altered; put that jar there again",
        )
    return path


def _whole(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _cache() -> Path:
    return user_cache("spark-jars")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    # One process of this machine fetches at a time; the others find what it fetched.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("wb")
    except OSError as error:
        raise UnavailableError(
            f"jars cannot be kept in {folder}: {error.strerror}",
            hint="name another place in XDG_CACHE_HOME, or a folder with jars in EOLAB_SPARK_JARS",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(jar: Jar, path: Path) -> None:
    # One jar, without what it depends on: PySpark brings all of that.
    import pyspark

    [ivy] = (Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar")
    # Into a folder of its own first: a jar that is there is whole.
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        command = [_java(), f"-DIvy.default.ivy.user.dir={scratch}", "-jar", str(ivy)]
        command += ["-cache", f"{scratch}/cache", "-notransitive", "-confs", "default"]
        command += ["-dependency", *jar.coordinate.split(":")]
        command += ["-retrieve", f"{scratch}/[artifact]-[revision].[ext]"]
        said = _run(command, scratch)
        fetched = Path(scratch) / jar.name
        if not fetched.is_file():
            raise _unfetched(jar, said)
        if not _whole(fetched, jar):
            raise _unfetched(jar, f"what came has another SHA-256 than {jar.sha256}")
        fetched.replace(path)


def _run(command: list[str], folder: str) -> str:
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_FETCH_SECONDS} seconds"
    lines = (ran.stdout + ran.stderr).splitlines()
    telling = (line.strip() for line in lines if "not found" in line or "No space left" in line)
    return next(telling, "no answer")


def _unfetched(jar: Jar, why: str) -> UnavailableError:
    return UnavailableError(
        f"{jar.name} cannot be fetched: {why[:200]}",
        hint=f"put {jar.coordinate}, and what else Spark needs, into a folder and name it in "
        "EOLAB_SPARK_JARS",
    )


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java") or "java"
