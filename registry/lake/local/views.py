"""Folders that show a commit: shared and read-only for engines, copies for people."""

import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from registry.errors import InvalidInputError
from registry.lake.local import disk, locks, objects
from registry.lake.local.git import Git
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.trees import walk

__all__ = ["home_outside", "lay", "leased", "locate", "mount"]


class _Lease(NamedTuple):
    """What one process reads of one repository."""

    file: Path
    handle: int
    views: set[str]


_leases: dict[tuple[int, Path], _Lease] = {}
"""By process and repository; held until the process ends."""

_leasing = threading.Lock()


def locate(git: Git, commit: str) -> Path:
    """Return the shared view of a commit, made if it is not there yet.

    The process leases it until it ends, so garbage collection leaves it alone.
    """
    tree = git.commit(commit).tree
    view = git.layout.views / tree.hex()
    with git.adding():
        try:
            _lease(git.layout, tree.hex())
        except OSError:  # a lake that may only be read
            return view if view.is_dir() else _outside(git, tree)
        if not view.is_dir():
            _make(git, tree, view, git.layout.temporary, share=True)
        return view


def _make(git: Git, tree: bytes, view: Path, temporary: Path, *, share: bool) -> None:
    half = temporary / f"view-{uuid.uuid4().hex}"
    half.mkdir(parents=True)
    try:
        copies = []
        for _, target, _ in lay(git, tree, half, share=lambda _: share):
            if target.stat().st_nlink == 1:
                copies.append(target)
        disk.make_durable(copies, ())
        half.rename(view)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
        if not view.is_dir():  # somebody else was faster
            raise
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _outside(git: Git, tree: bytes) -> Path:
    """Make a private view in the user's cache, for a lake that may only be read.

    Returns:
        The folder.
    """
    home = home_outside(git.layout)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    view = home / tree.hex()
    if not view.is_dir():
        _make(git, tree, view, home, share=False)
    return view


def home_outside(layout: Layout) -> Path:
    """Return where this user's private views of a repository lie, if there are any."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(str(layout.root).encode()).hexdigest()[:16]
    return cache / "eolab" / "views" / name


def lay(
    git: Git, tree: bytes, folder: Path, *, share: Callable[[str], bool]
) -> Iterator[tuple[str, Path, Pointer]]:
    """Lay the objects of a tree into a folder; yield path, file and pointer of each.

    Args:
        git: Reads the tree.
        tree: Its id.
        folder: An empty folder.
        share: Says of a path whether its file may be the stored object itself.

    Yields:
        Path, file and pointer of each object.
    """
    made: set[Path] = {folder}
    for path, oid in walk(git.tree, tree):
        pointer = git.pointer(oid)
        target = folder / path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        source = objects.find(git.layout, pointer)
        if share(path):
            disk.share(source, target)
        else:
            disk.copy(source, target)
        yield path, target, pointer


def mount(git: Git, commit: str, folder: Path) -> None:
    """Lay copies of a commit's files into an empty or new folder.

    Raises:
        InvalidInputError: The folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"{folder} is not empty", hint="name a new folder")
    half = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    half.mkdir(parents=True)
    try:
        with git.adding():
            for _ in lay(git, git.commit(commit).tree, half, share=lambda _: False):
                pass
        try:
            half.rename(folder)
        except OSError:  # a mount point or somebody's working directory stays where it is
            for child in half.iterdir():
                shutil.move(child, folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _lease(layout: Layout, view: str) -> None:
    key = (os.getpid(), layout.root)
    with _leasing:
        held = _leases.get(key)
        if held is None or not held.file.exists():
            file = layout.leases / uuid.uuid4().hex
            held = _leases[key] = _Lease(file, locks.hold(file), set())
        if view not in held.views:
            os.write(held.handle, f"{view}\n".encode())
            held.views.add(view)
    with suppress(OSError):
        os.utime(layout.views / view)


def leased(layout: Layout) -> set[str]:
    """Return the views that living processes read; forget the leases of dead ones."""
    found: set[str] = set()
    for file in layout.leases.iterdir():
        if locks.is_held(file):
            found.update(file.read_text().split())
        else:
            file.unlink(missing_ok=True)
    return found
