"""Files on disk: durable, atomic, shared where they can be."""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from registry.lake.system import translated

__all__ = [
    "copy",
    "is_network",
    "make_durable",
    "make_folder",
    "share",
    "sync_folder",
    "translated",
    "write_atomically",
]

FICLONE = 0x40049409
"""Linux's ioctl that makes a file share another's blocks until either is written."""

MANY_FILES = 400
"""From this many files on, one flush of the file system is cheaper than one of each file."""

_CANNOT_LINK = {
    errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL,
}  # fmt: skip
_NETWORK = {
    "9p", "afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs",
    "fuse.rclone", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs",
}  # fmt: skip


def write_atomically(file: Path, data: bytes, *, temporary: Path, durable: bool = True) -> None:
    """Put ``data`` at ``file`` so that any reader sees the old bytes or the new ones.

    Args:
        file: Where; its folder must exist.
        data: What.
        temporary: A name on the same file system that nobody else uses.
        durable: Whether it must outlive a power cut from here on.
    """
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        if durable:
            os.fsync(stream.fileno())
    temporary.replace(file)
    if durable:
        sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> set[Path]:
    """Make a folder with those above it.

    Returns:
        The folders that got a new name by that.
    """
    if folder.is_dir():
        return set()
    changed = make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    return {*changed, folder.parent}


def make_durable(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Make files, then the names in folders, outlive a power cut.

    A few are flushed one by one; many are flushed by one call for the whole file system, which
    costs as much as there is unwritten data instead of as much as there are files.
    """
    paths = [*files, *folders]
    if not paths:
        return
    if len(paths) >= MANY_FILES and _sync_file_system(paths[0]):
        return
    if len(paths) < 8:  # noqa: PLR2004 — below this a pool costs more than it saves
        for path in paths:
            _sync(path)
        return
    with ThreadPoolExecutor(8) as pool:  # flushes that wait together share a journal commit
        for _ in pool.map(_sync, paths):
            pass


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_file_system(path: Path) -> bool:
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        if syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(handle)
    return True


def share(source: Path, target: Path) -> bool:
    """Lay an immutable file at another name: a hard link, else a reflink, else a copy.

    Returns:
        Whether the two names are one file.

    Raises:
        OSError: Neither works.
    """
    if not _on_network(target.parent):
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _CANNOT_LINK or not source.exists():
                raise
        else:
            return True
    copy(source, target)
    return False


def copy(source: Path, target: Path, *, mode: int = 0o644) -> None:
    """Lay a private copy of a file at a new name, sharing blocks where the disk can."""
    with source.open("rb") as read:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as write:
            try:
                fcntl.ioctl(write.fileno(), FICLONE, read.fileno())
            except OSError:
                shutil.copyfileobj(read, write, 1 << 20)


_network_devices: dict[int, bool] = {}
"""What is known of mounted file systems, by device number."""


def _on_network(folder: Path) -> bool:
    device = folder.stat().st_dev
    if device not in _network_devices:
        _network_devices[device] = is_network(str(folder))
    return _network_devices[device]


def is_network(folder: str) -> bool:
    """Return whether a folder lies on a network file system, where links are not relied on."""
    best, kind = "", ""
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            point = before.split(" ")[4].encode().decode("unicode_escape")
            inside = folder == point or folder.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, after.split(" ")[0]
    return kind in _NETWORK
