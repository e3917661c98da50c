"""Locks that vanish with the process that held them, however it ended."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exclusive", "hold", "is_held", "shared", "try_exclusive"]


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold a lock alone, waiting for it."""
    handle = _open(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(file: Path) -> Iterator[None]:
    """Hold a lock together with others who share it, waiting for whoever holds it alone."""
    handle = _open(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def try_exclusive(file: Path) -> Iterator[bool]:
    """Hold a lock alone if nobody has it; yield whether it was had.

    Yields:
        Whether it was had.
    """
    handle = _open(file)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def hold(file: Path) -> int:
    """Make a file and hold its lock until the returned handle is closed.

    A sweeper may take a file that was just made for one that was left behind; so the lock counts
    only if the name still belongs to the locked file.

    Returns:
        The handle; closing it, or the end of the process, lets the lock go.
    """
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if file.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def is_held(file: Path) -> bool:
    """Return whether somebody alive holds the lock; False if the file is gone."""
    try:
        with try_exclusive(file) as had:
            return not had
    except FileNotFoundError:
        return False


def _open(file: Path) -> int:
    return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
