"""The process that a query runs in: limited by the kernel, locked by the engine, then read.

It is started by :mod:`registry.query.execution`, reads one job as JSON from its standard input,
writes the rows as an Arrow stream to its standard output, and one error as JSON to its standard
error. Nobody else starts it.
"""

import json
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

import duckdb
import pyarrow as pa

from registry.errors import (
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    RegistryError,
    RejectedError,
    UnavailableError,
)
from registry.query import engine, functions
from registry.query.translation import translated
from registry.query.views import View, create_views, folders_of

__all__ = ["KINDS", "main"]

KINDS: Final[Mapping[str, type[RegistryError]]] = {
    kind.code: kind
    for kind in (CorruptError, ForbiddenError, InvalidInputError, RejectedError, UnavailableError)
}
"""Errors that cross from this process, by their code."""

ADDRESS_SPACE_MB: Final = 1536
"""What a process takes beside its data: code, stacks, Arrow's buffers."""

WIDE_ROWS: Final = 64
"""Rows sent at once where a row can be large."""

NARROW_ROWS: Final = 16_384
"""Rows sent at once otherwise."""

_FAILURES: Final = (duckdb.Error, pa.ArrowException, OSError)  # the last: in the middle of rows


def main() -> None:
    """Run the job that standard input holds."""
    job = json.load(sys.stdin.buffer)
    threading.Thread(target=_end_with, args=(job["asker"],), daemon=True).start()
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not fall into the stream
    try:
        _limit(job)
        _run(job, sink)
    except RegistryError as error:
        _report(error)
    except BrokenPipeError:  # the reader has seen enough
        os._exit(0)
    except (duckdb.Error, MemoryError, pa.ArrowException, OSError) as error:
        names = {view["folder"]: f"{view['ref']}/{view['table']}" for view in job["views"]}
        _report(translated(error, memory_mb=job["memory_mb"], names=names))


def _end_with(asker: int) -> None:
    """End at once when the process that asks has ended, however it did."""
    while os.getppid() == asker:
        time.sleep(0.5)
    os._exit(1)


def _report(error: RegistryError) -> None:
    said = {"kind": error.code, "problem": error.problem, "hint": error.hint}
    os.write(2, b"\n" + json.dumps(said).encode())
    os._exit(1)


def _limit(job: Mapping[str, Any]) -> None:
    space = (job["memory_mb"] + ADDRESS_SPACE_MB) * 2**20
    seconds = int(job["seconds"] * job["threads"]) + 5
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _run(job: Mapping[str, Any], sink: BinaryIO) -> None:
    connection = _opened(job, threads=job["threads"])
    try:
        reader = _asked(connection, job["text"])
        with pa.ipc.new_stream(sink, reader.schema) as stream:
            for batch in _counted(reader, job["rows"]):
                stream.write_batch(batch)
    except BrokenPipeError:
        raise
    except _FAILURES as error:
        connection.close()
        raise _cause(job, error) from error
    sink.close()
    os._exit(0)  # nothing to tidy up; a slow teardown would only keep the reader waiting


def _opened(job: Mapping[str, Any], *, threads: int) -> duckdb.DuckDBPyConnection:
    connection = engine.open_engine(memory_mb=job["memory_mb"], threads=threads)
    if job["decodes"]:
        functions.register(connection)
    views = [View.from_json(view) for view in job["views"]]
    _show(connection, views)
    engine.lock(connection, folders_of(views))
    return connection


def _asked(connection: duckdb.DuckDBPyConnection, text: str) -> pa.RecordBatchReader:
    connection.execute(text)
    return connection.to_arrow_reader(_batch_rows(connection.description))


def _cause(job: Mapping[str, Any], error: Exception) -> Exception:
    """Return why a query failed: a stopped thread may be heard before the one that erred.

    One thread has no other to stop, so asking it again says the cause.
    """
    if "INTERRUPT" in str(error):
        try:
            for _ in _asked(_opened(job, threads=1), job["text"]):
                pass
        except _FAILURES as again:
            return again
    return error


def _show(connection: duckdb.DuckDBPyConnection, views: list[View]) -> None:
    try:
        create_views(connection, views)
    except duckdb.Error as error:  # these texts are the lab's own, so the files must be at fault
        problem = str(error).splitlines()[0]
        for view in views:
            problem = problem.replace(view.folder, f"{view.ref}/{view.table}")
        raise CorruptError(
            f"a table cannot be read: {problem}", hint="find damage by eolab fsck"
        ) from error


def _batch_rows(columns: Any) -> int:  # noqa: ANN401 — DB-API's tuples
    wide = any(re.search(r"BLOB|\[|STRUCT|MAP|GEOMETRY", str(column[1])) for column in columns)
    return WIDE_ROWS if wide else NARROW_ROWS


def _counted(reader: pa.RecordBatchReader, most: int | None) -> Iterator[pa.RecordBatch]:
    count = 0
    for batch in reader:
        count += batch.num_rows
        if most is not None and count > most:
            raise RejectedError(
                f"the result has more than {most:,} rows",
                hint="add WHERE or LIMIT, or allow more rows",
            )
        yield batch


if __name__ == "__main__":
    main()
