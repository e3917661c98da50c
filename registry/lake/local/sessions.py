"""Private folders of open transactions and workspaces, with what they pin.

A session is a folder and a lock file beside it. Whoever finds the lock free knows that its
process has ended, however it ended, and may sweep the folder.
"""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.lake.local import locks
from registry.lake.local.disk import translated
from registry.lake.local.layout import Layout

__all__ = ["Session", "held", "opened", "pinned", "sweep"]

HELD = "held"
"""File in a session's folder that names the stored objects it needs."""


class Session:
    """A private folder in the lake that lasts as long as its process at most."""

    def __init__(self, layout: Layout) -> None:
        name = uuid.uuid4().hex
        self.folder = layout.sessions / name
        """Where the session's files lie; on the file system of the stored objects."""
        self._lock = layout.sessions / f"{name}.lock"
        self._handle = locks.hold(self._lock)
        self.folder.mkdir()

    def pin(self, *commits: str) -> None:
        """Keep commits, and what they reach, from garbage collection; replaces earlier pins."""
        data = "".join(f"{commit}\n" for commit in commits).encode()
        with translated("pin a commit"):
            os.pwrite(self._handle, data, 0)
            os.ftruncate(self._handle, len(data))

    def hold(self, objects: Iterable[str]) -> None:
        """Keep stored objects, by SHA-256 in hex, from garbage collection too."""
        with translated("hold objects"), (self.folder / HELD).open("a") as stream:
            stream.writelines(f"{one}\n" for one in objects)

    def close(self) -> None:
        """Remove the folder and end the session."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.unlink(missing_ok=True)
        os.close(self._handle)


@contextmanager
def opened(layout: Layout) -> Iterator[Session]:
    """Open a session, first sweeping those whose processes were killed.

    Yields:
        The session.
    """
    with translated("open a session in the lake"):
        sweep(layout)
        session = Session(layout)
    try:
        yield session
    finally:
        session.close()


def sweep(layout: Layout) -> int:
    """Remove what killed processes left; return how many sessions that were.

    Returns:
        How many.
    """
    swept = 0
    for lock in _locks(layout):
        try:
            with locks.try_exclusive(lock) as had:
                if had:
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)
                    swept += 1
        except FileNotFoundError:
            continue
    return swept


def pinned(layout: Layout) -> set[str]:
    """Return the commits that sessions of living processes pin."""
    found: set[str] = set()
    for lock in _locks(layout):
        if locks.is_held(lock):
            found.update(lock.read_text().split())
    return found


def held(layout: Layout) -> set[str]:
    """Return the objects that sessions of living processes hold, by SHA-256 in hex."""
    found: set[str] = set()
    for lock in _locks(layout):
        if locks.is_held(lock):
            with suppress(FileNotFoundError):
                found.update((lock.with_suffix("") / HELD).read_text().split())
    return found


def _locks(layout: Layout) -> list[Path]:
    return list(layout.sessions.glob("*.lock"))
