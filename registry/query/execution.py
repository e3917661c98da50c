"""Run a query over refs in a process of its own, and stream its rows back."""

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, Final

import pyarrow as pa

from registry.catalog.registry import Registry
from registry.errors import RegistryError, UnavailableError
from registry.query.limits import Limits
from registry.query.parsing import parse
from registry.query.sources import Resolve, folders_of_version, resolved, views_of
from registry.query.views import View

__all__ = ["run", "sql"]

MOST_ERROR_BYTES: Final = 64 * 1024
"""What is read of a process's last words."""

DECODERS: Final = ("chip_bytes", "chip_stats", "chip_value", "chip_values")


def sql(registry: Registry, text: str, *, limits: Limits | None = None) -> pa.RecordBatchReader:
    """Ask the datasets of a lake a question in SQL.

    Tables are written ``"name@ref".table``; one query may join several refs. It runs in a process
    of its own, which sees those tables and nothing else: no file, no network, no setting.

    Args:
        registry: Where refs are looked up.
        text: One ``SELECT``; the dialect is DuckDB's, with its spatial functions.
        limits: Time, memory, threads and rows that it may use; 60 seconds and 2 GiB by default.

    Returns:
        The rows, as they come. Geometries are GeoArrow's WKB.

    Raises:
        InvalidInputError: Not a query, or one that the engine cannot make sense of.
        ForbiddenError: It reaches for files, network or settings.
        NotFoundError: No such dataset, version, branch or table.
        RejectedError: More rows or memory than the limits allow.
        UnavailableError: Out of time.
    """
    return run(text, lambda ref: folders_of_version(resolved(registry, ref)), limits)


def run(text: str, resolve: Resolve, limits: Limits | None = None) -> pa.RecordBatchReader:
    """Run one SELECT over refs.

    Args:
        text: The query; tables are written ``"name@ref".table``.
        resolve: Says in which folders a ref's tables are.
        limits: What it may use; by default :class:`Limits`'s own.

    Returns:
        The rows, as they come. The process ends with the last row, when the reader is closed or
        when it is forgotten; an error on the way is raised by the read that meets it.

    Raises:
        InvalidInputError: Not a query, or one that the engine cannot make sense of.
        ForbiddenError: It reaches for files, network or settings.
        NotFoundError: No such ref or table.
        RejectedError: More rows or memory than the limits allow.
        UnavailableError: Out of time.
    """
    limits = limits or Limits()
    statement = parse(text)
    views = views_of(statement.tables, resolve)
    job = {
        "asker": os.getpid(),
        "text": text,
        "views": [view.to_json() for view in views],
        "decodes": not statement.functions.isdisjoint(DECODERS),
        "memory_mb": limits.memory_mb,
        "seconds": limits.seconds,
        "threads": limits.threads,
        "rows": limits.rows,
    }
    return _Child(job, limits, views).reader()


class _Child:
    """One query's process, from its start to its end."""

    def __init__(self, job: dict[str, Any], limits: Limits, views: list[View]) -> None:
        self.views = views  # the located folders must stay while the query runs
        self.limits = limits
        self.late = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "registry.query.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        timer = threading.Timer(limits.seconds, _out_of_time, (self.process, self.late))
        timer.daemon = True
        timer.start()
        # Also when a reader is forgotten before its first row was asked for.
        self._close = weakref.finalize(self, _end, self.process, timer)
        with suppress(BrokenPipeError), self._pipe(self.process.stdin) as stdin:
            stdin.write(json.dumps(job).encode())

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None:
            raise UnavailableError("the query's process has no pipe", hint="ask again")
        return pipe

    def reader(self) -> pa.RecordBatchReader:
        """Return the rows; the schema has been read, so a query that cannot start raises here."""
        try:
            stream = pa.ipc.open_stream(self._pipe(self.process.stdout))
        except (pa.ArrowException, OSError) as error:
            raise self._ended() from error
        return pa.RecordBatchReader.from_batches(stream.schema, self._batches(stream))

    def _batches(self, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            while (batch := self._next(stream)) is not None:
                yield batch
            if error := self._failure():
                raise error
        finally:
            self._close()

    def _next(self, stream: pa.RecordBatchReader) -> pa.RecordBatch | None:
        try:
            return stream.read_next_batch()
        except StopIteration:
            return None
        except (pa.ArrowException, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> RegistryError:
        error = self._failure() or UnavailableError(
            "the query's process ended without an answer", hint="ask again"
        )
        self._close()
        return error

    def _failure(self) -> RegistryError | None:
        # waits for the end, then says what went wrong, if anything did
        said = self._pipe(self.process.stderr).read(MOST_ERROR_BYTES)
        status = self.process.wait()
        if self.late.is_set():
            return UnavailableError(
                f"the query took longer than {self.limits.seconds:g} seconds",
                hint="ask less at once, or allow more time",
            )
        if status == 0:
            return None
        return _reported(said) or _died(status, self.limits)


def _out_of_time(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _end(process: subprocess.Popen[bytes], timer: threading.Timer) -> None:
    timer.cancel()
    process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()


def _environment() -> dict[str, str]:
    """Return the little that the process is told: where Python's modules are, nothing else."""
    return {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONSAFEPATH": "1",
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def _reported(said: bytes) -> RegistryError | None:
    from registry.query.child import KINDS

    lines = said.decode("utf-8", "replace").splitlines()
    with suppress(ValueError, KeyError, TypeError, IndexError):
        report = json.loads(lines[-1])
        return KINDS[report["kind"]](report["problem"], hint=report["hint"])
    return None


def _died(status: int, limits: Limits) -> RegistryError:
    return UnavailableError(
        f"the query's process was ended ({_cause(status)}); it may use {limits.memory_mb:,} MiB",
        hint="ask fewer rows or columns at once, or allow more memory and time",
    )


def _cause(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
