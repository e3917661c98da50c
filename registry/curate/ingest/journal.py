"""What an ingest has read so far, kept where the next attempt finds it.

A journal belongs to one source of one dataset. It holds the parts that were read, each made whole
before it gets its name, and after a success the record of what every file held. Losing it costs
time, never data.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from registry.cache import user_cache
from registry.curate.formats.raster import RASTERS, read_part
from registry.errors import ConflictError, CorruptError
from registry.lake.system import translated

__all__ = ["Journal", "open_journal"]

_RECORD: Final = "record.arrow"
_FORGOTTEN_AFTER: Final = 14 * 24 * 3600
_DOING: Final = "keep what is read beside the lake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A folder that this process alone writes to."""

    folder: Path
    """Where it lies."""

    @property
    def parts(self) -> Path:
        """The folder of parts."""
        return self.folder / "parts"

    @property
    def is_new(self) -> bool:
        """Whether nothing of the source was read before."""
        return not (self.folder / _RECORD).exists() and not any(self.parts.iterdir())

    def read_before(self) -> pa.Table:
        """Return what earlier attempts read: rows of ``RASTERS`` without failures.

        Parts that are damaged or not whole are removed.
        """
        tables = []
        for path in sorted(self.parts.glob("*")):
            part = path.with_suffix("")
            if path.suffix != ".arrow":
                if not part.with_suffix(".arrow").exists():
                    path.unlink(missing_ok=True)
                continue
            try:
                tables.append(read_part(part))
            except CorruptError:
                path.unlink(missing_ok=True)
        rows = pa.concat_tables([RASTERS.empty_table(), *tables])
        return rows.filter(pc.is_valid(rows["sha256"]))

    def recorded(self) -> pa.Table:
        """Return what the last success read: rows of ``RASTERS`` without parts."""
        try:
            with pa.memory_map(str(self.folder / _RECORD)) as source:
                table = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowException):
            return RASTERS.empty_table()
        return table if table.schema.equals(RASTERS) else RASTERS.empty_table()

    def record(self, rows: pa.Table) -> None:
        """Keep what a success read, and drop the parts."""
        index = RASTERS.get_field_index("part")
        rows = rows.set_column(index, RASTERS.field("part"), pa.nulls(len(rows), pa.string()))
        new = self.folder / f"{_RECORD}.new"
        try:
            with pa.OSFile(str(new), "wb") as sink, pa.ipc.new_file(sink, RASTERS) as writer:
                writer.write_table(rows)
            new.replace(self.folder / _RECORD)
        except OSError:  # the disk is full; the parts stay, and nothing but time is lost
            return
        shutil.rmtree(self.parts, ignore_errors=True)


@contextmanager
def open_journal(address: str, *, dataset: str, source: str) -> Iterator[Journal]:
    """Open the journal of one source of one dataset.

    Args:
        address: The lake's.
        dataset: The dataset's name.
        source: What the source is: its absolute path.

    Yields:
        The journal; nobody else has it open.

    Raises:
        ConflictError: Another process ingests the same source.
    """
    home = _home(address)
    key = hashlib.sha256(f"{address}\0{dataset}\0{source}".encode()).hexdigest()[:32]
    journal = Journal(folder=home / key)
    with translated(_DOING):
        home.mkdir(parents=True, exist_ok=True)
        _forget_old(home)
        journal.parts.mkdir(parents=True, exist_ok=True)
        lock = os.open(journal.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"{source!r} is being ingested into {dataset!r} by another process",
                hint="wait for it to end",
            ) from error
        os.utime(journal.folder)
        yield journal
    finally:
        os.close(lock)


def _home(address: str) -> Path:
    """Return where journals lie: in the lake's own folder, else in the user's cache."""
    parts = urlsplit(address)
    if parts.scheme in {"", "file"}:
        return Path(unquote(parts.path)) / ".ingest"
    return user_cache("ingest")


def _forget_old(home: Path) -> None:
    oldest = time.time() - _FORGOTTEN_AFTER
    for folder in home.iterdir():
        with suppress(OSError):  # another process may be at the same clean-up
            if folder.stat().st_mtime < oldest and not _is_held(folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)


def _is_held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
