"""The stored bytes: one immutable file for each SHA-256, in Git-LFS's own layout."""

import hashlib
import io
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from registry.errors import CorruptError
from registry.lake.local import disk
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer

__all__ = [
    "digest",
    "find",
    "is_whole",
    "keep",
    "place",
    "stage_bytes",
    "stage_expected",
    "stage_file",
    "stage_stream",
]

CHUNK = 1 << 20
READ_ONLY = 0o444


def stage_bytes(data: bytes | bytearray | memoryview, folder: Path, *, name: str) -> Pointer:
    """Write bytes into a session's folder under their own hash.

    Args:
        data: The bytes.
        folder: The session's folder.
        name: A name in that folder that nobody else uses.

    Returns:
        Their hash and size.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    target = folder / sha256
    if not target.exists():
        half = folder / f"{name}.half"
        with half.open("wb") as stream:
            stream.write(data)
        half.replace(target)
    return Pointer(sha256, len(data))


def stage_expected(stream: BinaryIO, folder: Path, expected: Pointer) -> Pointer:
    """Write a stream into a session's folder under the hash that it should have.

    It is hashed on the way, and no more is read than shows that it is too long.

    Args:
        stream: What is read.
        folder: The session's folder, where nobody else stages the same.
        expected: What it should be; nothing is left in the folder if it is not.

    Returns:
        What it is.
    """
    digest, size = hashlib.sha256(), 0
    target = f"{folder}/{expected.sha256}"
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READ_ONLY)
    arrived = None
    try:
        os.fchmod(handle, READ_ONLY)  # whatever the user's mask: others read the lake too
        with open(handle, "wb", buffering=0) as write:  # noqa: PTH123 — a handle has no path
            while size <= expected.size and (chunk := stream.read(CHUNK)):
                digest.update(chunk)
                size += len(chunk)
                _write_whole(write, chunk)
        arrived = Pointer(digest.hexdigest(), size)
    finally:
        if arrived != expected:
            Path(target).unlink()
    return arrived


def _write_whole(stream: io.RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[stream.write(left) or 0 :]


def stage_stream(stream: BinaryIO, folder: Path, *, name: str) -> Pointer:
    """Write a stream into a session's folder under its own hash, reading it once.

    Args:
        stream: What is read to its end.
        folder: The session's folder.
        name: A name in that folder that nobody else uses.

    Returns:
        Their hash and size.
    """
    digest, size = hashlib.sha256(), 0
    half = folder / f"{name}.half"
    try:
        with half.open("wb") as write:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                write.write(chunk)
                size += len(chunk)
        half.replace(folder / digest.hexdigest())
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return Pointer(digest.hexdigest(), size)


def stage_file(file: Path, folder: Path, *, name: str, take: str = "copy") -> Pointer:
    """Bring a file into a session's folder under its own hash.

    Args:
        file: What is brought.
        folder: The session's folder.
        name: A name in that folder that nobody else uses.
        take: ``"copy"`` leaves the file alone; ``"move"`` takes it over; ``"link"`` makes it and
            the stored object one file, which must not be written to from then on.

    Returns:
        Its hash and size.
    """
    if take == "copy":
        with file.open("rb") as stream:
            return stage_stream(stream, folder, name=name)
    if take == "link":
        half = folder / f"{name}.half"
        if disk.share(file, half):
            return _adopt(half, folder)
        half.unlink()
        return stage_file(file, folder, name=name)
    half = folder / f"{name}.half"
    try:
        file.replace(half)
    except OSError:  # another file system, or a folder that gives nothing away
        pointer = stage_file(file, folder, name=name)
        with suppress(OSError):
            file.unlink()
        return pointer
    return _adopt(half, folder)


def _adopt(half: Path, folder: Path) -> Pointer:
    pointer = digest(half)
    half.replace(folder / pointer.sha256)
    return pointer


def digest(file: Path) -> Pointer:
    """Return the hash and size of a file."""
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return Pointer(sha256, os.fstat(stream.fileno()).st_size)


def keep(layout: Layout, pointer: Pointer, folder: Path) -> None:
    """Hold a stored object in a session's folder, so that nothing sweeps it meanwhile.

    Raises:
        CorruptError: The lake does not hold it.
    """
    target = folder / pointer.sha256
    if target.exists():
        return
    source = find(layout, pointer)
    disk.share(source, target)


def place(
    layout: Layout, folder: Path, pointers: Iterable[Pointer], *, arriving: bool = False
) -> None:
    """Move staged objects to their place for good and flush them to disk.

    The caller holds the gate, so nothing is swept meanwhile. An object that is there already is
    made young again and flushed too: whoever stored it may not have come that far.

    Args:
        layout: The repository's.
        folder: Where they are staged under their hashes.
        pointers: Which.
        arriving: Whether all were just written, for good and read-only; they are placed again,
            and flushed by that, before a commit.
    """
    folders: set[Path] = set()
    for pointer in set(pointers):
        target = layout.object(pointer.sha256)
        staged = folder / pointer.sha256
        if is_whole(layout, pointer):
            with suppress(PermissionError):  # another user's object; its age is his
                os.utime(target)
            continue
        if target.parent not in folders:
            folders |= {target.parent, *disk.make_folder(target.parent)}
        if not arriving:
            staged.chmod(READ_ONLY)
            os.utime(staged)
        staged.replace(target)
    if not arriving:
        disk.make_durable((layout.object(p.sha256) for p in set(pointers)), folders)


def is_whole(layout: Layout, pointer: Pointer) -> bool:
    """Return whether an object is stored whole; one that was cut short is to be replaced."""
    try:
        return layout.object(pointer.sha256).stat().st_size == pointer.size
    except FileNotFoundError:
        return False


def find(layout: Layout, pointer: Pointer) -> Path:
    """Return the file with an object's bytes.

    Raises:
        CorruptError: It is missing or has another size.
    """
    file = layout.object(pointer.sha256)
    try:
        size = file.stat().st_size
    except FileNotFoundError as error:
        raise CorruptError(
            f"object {pointer.sha256} is missing", hint="run eolab fsck; restore it from a copy"
        ) from error
    if size != pointer.size:
        raise CorruptError(
            f"object {pointer.sha256} has {size:,} bytes instead of {pointer.size:,}",
            hint="run eolab fsck; restore it from a copy",
        )
    return file
