"""Foreign rasters read by limited processes, so that a hostile file harms none but its reader.

The process that calls this opens no raster. It hands spans of files to children, each under
limits of memory, processor time, file size and wall-clock time, without network; a child writes
encoded pixels to a *part* and what it learnt to a table beside it. A child that dies or hangs is
replaced, and the file it was at is a failure; nothing else is lost.
"""

import json
import mmap
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.spans import Packing, Span
from registry.errors import CorruptError, UnavailableError
from registry.lake.system import translated

__all__ = ["RASTERS", "RasterJob", "RasterPool", "read_part"]

RASTERS: Final = pa.schema([
    pa.field("file", pa.string(), nullable=False),  # path in the listing
    pa.field("stamp", pa.string(), nullable=False),  # of the file when it was read
    ("part", pa.string()),  # name of the file of pixels; null in a failure, as all of these
    ("offset", pa.int64()),  # where the encoded pixels begin in the part
    ("length", pa.int64()),  # bytes they take there
    ("sha256", pa.binary(32)),
    ("codec", pa.string()),
    ("shape", pa.list_(pa.int32())),
    ("dtype", pa.string()),
    ("crs", pa.string()),
    ("transform", pa.list_(pa.float64())),
    ("nodata", pa.float64()),
    ("times", pa.list_(pa.timestamp("us", "UTC"))),  # one a time step, or empty
    ("footprint", pa.binary()),  # WKB in OGC:CRS84
    ("said", pa.string()),  # JSON: driver, bands, scales, offsets, units, colours, tags, …
    ("warnings", pa.list_(pa.string())),  # "check: message"
    ("check", pa.string()),  # in a failure: which rule it breaks
    ("message", pa.string()),  # in a failure: what is wrong
    ("fix", pa.string()),  # in a failure: what would mend it
])
"""What is learnt of each file; a row has either pixels or a failure."""

PROGRESS: Final = "<qqq"
"""In memory shared with a child: batch, index of the file it is at, whether it waits its turn."""

_CHILD: Final = Path(__file__).with_name("child.py")
"""Run by path: the package around it loads what must come after the limits."""

_BATCH_FILES: Final = 128
_BATCH_BYTES: Final = 16 << 20
_TICK_SECONDS: Final = 0.2
_MOST_FAILED_STARTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterJob:
    """A file to read."""

    file: str
    """Its path in the listing, with the layer of it that is wanted, if it has several."""

    span: Span
    """Where its bytes lie."""

    stack: tuple[tuple[str, Span], ...] = ()
    """Further files by path, whose bands follow on the same grid."""

    @property
    def stamp(self) -> str:
        """Changes when one of the files does."""
        return "+".join(span.stamp for _, span in self.files())

    def files(self) -> tuple[tuple[str, Span], ...]:
        """Return every file by its path, in the order of their bands."""
        return ((self.file, self.span), *self.stack)


@dataclass(slots=True, kw_only=True)
class _Batch:
    number: int
    jobs: list[RasterJob]
    part: Path


@dataclass(slots=True, kw_only=True, eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    shared: mmap.mmap
    errors: IO[bytes]
    batch: _Batch | None = None
    ready: bool = False
    killed: bool = False
    seen: bytes = b""
    since: float = field(default_factory=time.monotonic)

    def at(self) -> int | None:
        """Return the index of the file it is at in its batch; None if at none yet."""
        number, index, _ = memoryview(self.shared).cast("q")[:3]
        return index if self.batch is not None and number == self.batch.number else None


class RasterPool:
    """Limited processes that read rasters; a context manager."""

    def __init__(
        self,
        *,
        workers: int | None = None,
        memory: int = 2 << 30,
        seconds: float = 20.0,
    ) -> None:
        """Set limits; processes start when they are needed, or by :meth:`start`.

        Args:
            workers: How many processes; None for one a processor.
            memory: Bytes of address space each may take.
            seconds: Wall-clock time and processor time that each may spend on one file.
        """
        self._workers = workers or len(os.sched_getaffinity(0))
        self._memory = memory
        self._seconds = seconds
        self._children: list[_Child] = []
        self._turn = tempfile.TemporaryFile()  # noqa: SIM115 — closed by __exit__
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Start the processes if they are not; they load while the caller goes on."""
        if not self._children:
            with translated("start the processes that read rasters"):
                self._children = [self._start() for _ in range(self._workers)]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes, at once."""
        while self._children:
            _end(self._children.pop())
        self._turn.close()

    def read(self, jobs: Iterable[RasterJob], *, into: Path) -> Iterator[pa.Table]:
        """Read files, in any order.

        Args:
            jobs: What to read; taken as it is needed.
            into: Folder for parts; each gets ``<part>.bin`` with encoded pixels and, when it is
                whole, ``<part>.arrow`` with its rows, which :func:`read_part` reads again.

        Yields:
            Rows of ``RASTERS``, one a file, as parts and failures become known.

        Raises:
            UnavailableError: The processes cannot be started, or the disk is full.
            CorruptError: A child answered nonsense.
        """
        self.start()
        try:
            yield from self._read(_batches(jobs, into), into)
        finally:
            for child in self._children:
                if child.batch is not None:  # the caller lost interest, or an error ended it
                    self._renew(child)

    def _read(self, fresh: Iterator[_Batch], into: Path) -> Iterator[pa.Table]:
        waiting: deque[_Batch] = deque()
        while True:
            for child in self._children:
                if child.batch is None and child.ready:
                    batch = waiting.popleft() if waiting else next(fresh, None)
                    if batch is not None:
                        _hand_over(child, batch)
            if not waiting and all(child.batch is None for child in self._children):
                batch = next(fresh, None)
                if batch is None:
                    return
                waiting.append(batch)
            for child in self._events():
                yield from self._settle(child, waiting, into)
            self._watch()

    # ------------------------------------------------------------- processes
    def _start(self) -> _Child:
        memory = os.memfd_create("eolab-progress")
        os.ftruncate(memory, 24)
        errors = tempfile.TemporaryFile()  # noqa: SIM115 — closed by _end
        limits = {
            "memory": self._memory,
            "seconds": self._seconds,
            "progress": memory,
            "turn": self._turn.fileno(),
            "parent": os.getpid(),
        }
        root = Path(__file__).parents[3]
        process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), json.dumps(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(root), **_QUIET},
            cwd=root,
            pass_fds=(memory, self._turn.fileno()),
            start_new_session=True,
        )
        shared = mmap.mmap(memory, 24, prot=mmap.PROT_READ)
        os.close(memory)
        return _Child(process=process, shared=shared, errors=errors)

    def _events(self) -> list[_Child]:
        """Return the children that said something, or died."""
        with selectors.DefaultSelector() as selector:
            for child in self._children:
                stdout = child.process.stdout
                if stdout is not None:
                    selector.register(stdout, selectors.EVENT_READ, child)
            return [key.data for key, _ in selector.select(_TICK_SECONDS)]

    def _watch(self) -> None:
        """Kill the children that have been at one file for too long."""
        now = time.monotonic()
        for child in self._children:
            seen = bytes(child.shared[:24])
            waits = child.ready and child.batch is not None and seen[16] != 0
            if seen != child.seen or waits or (child.ready and child.batch is None):
                child.seen, child.since = seen, now
            elif now - child.since > self._seconds + (0 if child.ready else 60):
                child.killed = True
                child.process.kill()

    def _settle(self, child: _Child, waiting: deque[_Batch], into: Path) -> Iterator[pa.Table]:
        """Take what a child said, or replace it if it is dead.

        Yields:
            Rows that became known by it.

        Raises:
            UnavailableError: It cannot write.
        """
        stdout = child.process.stdout
        said = os.read(stdout.fileno(), 1) if stdout is not None else b""
        if said == b"R":
            child.ready = True
            self._failed_starts = 0
        elif said == b"D" and child.batch is not None:
            batch, child.batch = child.batch, None
            yield read_part(batch.part)
        elif said == b"F":
            free = shutil.disk_usage(into).free if into.exists() else 0
            raise UnavailableError(
                f"what was read cannot be written to {str(into)!r}, which has {free:,} bytes free",
                hint="free some space or make the folder writable, then ingest again: it goes on",
            )
        else:
            yield from self._replace(child, waiting, into)

    def _replace(self, child: _Child, waiting: deque[_Batch], into: Path) -> Iterator[pa.Table]:
        child.process.wait()
        batch, at = child.batch, child.at()
        if not child.ready:
            self._failed_starts += 1
            if self._failed_starts > _MOST_FAILED_STARTS:
                raise UnavailableError(
                    f"the process that reads rasters cannot start: {_last_words(child)}",
                    hint="raise its memory limit, or reinstall the package",
                )
        if batch is not None:
            batch.part.with_suffix(".bin").unlink(missing_ok=True)
            first, rest = batch.jobs[: at or 0], batch.jobs[(at or 0) + (at is not None) :]
            waiting.extend(_batch(jobs, into) for jobs in (first, rest) if jobs)
            if at is not None:
                yield _failure(batch.jobs[at], child, self._seconds)
        self._renew(child)

    def _renew(self, child: _Child) -> None:
        _end(child)
        self._children[self._children.index(child)] = self._start()


_QUIET: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _batches(jobs: Iterable[RasterJob], into: Path) -> Iterator[_Batch]:
    taken: list[RasterJob] = []
    size = 0
    for job in jobs:
        taken.append(job)
        size += sum(span.size for _, span in job.files())
        if len(taken) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield _batch(taken, into)
            taken, size = [], 0
    if taken:
        yield _batch(taken, into)


def _batch(jobs: list[RasterJob], into: Path) -> _Batch:
    number = secrets.randbits(62)
    return _Batch(number=number, jobs=jobs, part=into / f"part-{number:016x}")


def _hand_over(child: _Child, batch: _Batch) -> None:
    message = {
        "number": batch.number,
        "part": str(batch.part),
        "jobs": [
            (job.file, job.stamp, [(path, _fields(span)) for path, span in job.files()])
            for job in batch.jobs
        ],
    }  # fmt: skip
    child.batch = batch
    child.since = time.monotonic()
    if (stdin := child.process.stdin) is not None:
        with suppress(BrokenPipeError):  # its death shows when it is next listened to
            stdin.write(json.dumps(message).encode() + b"\n")


def _fields(span: Span) -> tuple[object, ...]:
    return (
        span.file, span.packing, span.offset, span.packed, span.size, span.crc, span.stamp,
    )  # fmt: skip


def span_of(fields: list[object]) -> Span:
    """Return the span that a message to a child names; the inverse of what the pool sends."""
    file, packing, offset, packed, size, crc, stamp = fields
    return Span(
        file=str(file),
        packing=Packing(str(packing)),
        offset=int(str(offset)),
        packed=int(str(packed)),
        size=int(str(size)),
        crc=None if crc is None else int(str(crc)),
        stamp=str(stamp),
    )


def read_part(part: Path) -> pa.Table:
    """Return the rows of a part.

    Args:
        part: Its path without suffix.

    Returns:
        Rows of ``RASTERS``.

    Raises:
        CorruptError: They are not what a child writes, or the pixels are cut short.
    """
    path = part.with_suffix(".arrow")
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
        size = part.with_suffix(".bin").stat().st_size
    except (OSError, pa.ArrowException) as error:
        raise CorruptError(
            f"the part {path.name!r} cannot be read: {error}", hint="remove it and ingest again"
        ) from error
    ends = pc.max(pc.add(table["offset"], table["length"])).as_py() or 0
    if not table.schema.equals(RASTERS) or ends > size:
        raise CorruptError(
            f"the part {path.name!r} is not what was written", hint="remove it and ingest again"
        )
    return table


def _failure(job: RasterJob, child: _Child, seconds: float) -> pa.Table:
    code = child.process.returncode
    if child.killed or code == -24:  # noqa: PLR2004 — SIGXCPU
        check, what = "timeout", f"takes longer than {seconds:g} s to read"
    else:
        check, what = "unreadable", f"stops the process that reads it (status {code})"
    row = {
        "file": job.file,
        "stamp": job.stamp,
        "check": check,
        "message": what,
        "fix": "do not trust the file; convert it to a plain GeoTIFF if you know it",
    }
    return pa.Table.from_pylist([row], schema=RASTERS)


def _end(child: _Child) -> None:
    child.process.kill()
    child.process.wait()
    for stream in (child.process.stdin, child.process.stdout, child.errors):
        if stream is not None:
            stream.close()
    child.shared.close()


def _last_words(child: _Child) -> str:
    child.errors.seek(0)
    words = child.errors.read()[-2000:].decode(errors="replace").strip()
    return words.splitlines()[-1] if words else f"status {child.process.returncode}"
