"""Folders that show a commit: shared and read-only for engines, copies for people."""

import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from registry.cache import user_cache
from registry.errors import InvalidInputError
from registry.lake import lazy
from registry.lake.local import disk, folders, locks, objects
from registry.lake.local.git import Git
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.trees import walk
from registry.lake.records import Entry

__all__ = [
    "home_outside",
    "lacking",
    "lay",
    "leased",
    "leave",
    "locate",
    "mount",
]


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
    left = {} if view.is_dir() else lacking(git, tree)
    with git.adding():
        try:
            _lease(git.layout, tree.hex())
        except OSError:  # a lake that may only be read
            return view if view.is_dir() else _outside(git, commit, left)
        if not view.is_dir():
            _make(git, commit, view, git.layout.temporary, share=True, left=left)
        return view


def lacking(git: Git, tree: bytes) -> dict[str, Entry]:
    """Return what of a tree is still at the origin and may stay there, by path.

    What may not wait is fetched; so the gate must not be held.
    """
    if not git.may_lack():
        return {}
    found = {path: git.pointer(oid) for path, oid in walk(git.tree, tree)}
    absent = {p: one for p, one in found.items() if not objects.is_whole(git.layout, one)}
    tables = folders.tables_in(found)
    left = {p for p, one in absent.items() if one.size and lazy.may_wait(p, tables)}
    git.fetch({path: one for path, one in absent.items() if path not in left}, tree)
    return {p: Entry(path=p, sha256=absent[p].sha256, size=absent[p].size) for p in sorted(left)}


def _make(
    git: Git, commit: str, view: Path, temporary: Path, *, share: bool, left: Mapping[str, Entry]
) -> None:
    half = temporary / f"view-{uuid.uuid4().hex}"
    half.mkdir(parents=True)
    try:
        copies = []
        leave(git, commit, half, left, beside=view)
        for _, target, _ in lay(
            git, git.commit(commit).tree, half, share=lambda _: share, left=left
        ):
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


def leave(
    git: Git, commit: str, folder: Path, left: Mapping[str, Entry], *, beside: Path | None = None
) -> None:
    """Lay placeholders for what stays at the origin; the arguments are those of ``lazy``."""
    address, name = git.found_at()
    lazy.leave_out(
        folder, left.values(), address=address, repository=name, commit=commit, beside=beside
    )


def _outside(git: Git, commit: str, left: Mapping[str, Entry]) -> Path:
    """Make a private view in the user's cache, for a lake that may only be read.

    Returns:
        The folder.
    """
    home = home_outside(git.layout)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    view = home / git.commit(commit).tree.hex()
    if not view.is_dir():
        _make(git, commit, view, home, share=False, left=left)
    return view


def home_outside(layout: Layout) -> Path:
    """Return where this user's private views of a repository lie, if there are any."""
    name = hashlib.sha256(str(layout.root).encode()).hexdigest()[:16]
    return user_cache("views", name)


def lay(
    git: Git,
    tree: bytes,
    folder: Path,
    *,
    share: Callable[[str], bool],
    left: Mapping[str, Entry],
) -> Iterator[tuple[str, Path, Pointer]]:
    """Lay the objects of a tree into a folder; yield path, file and pointer of each.

    Args:
        git: Reads the tree.
        tree: Its id.
        folder: A folder, empty but for placeholders.
        share: Says of a path whether its file may be the stored object itself.
        left: What is not laid, for its placeholders lie there already.

    Yields:
        Path, file and pointer of each object.
    """
    made: set[Path] = {folder}
    for path, oid in walk(git.tree, tree):
        pointer = git.pointer(oid)
        target = folder / path
        if path in left:
            yield path, target, pointer
            continue
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
    tree = git.commit(commit).tree
    if git.may_lack():
        git.fetch({path: git.pointer(oid) for path, oid in walk(git.tree, tree)}, tree)
    half.mkdir(parents=True)
    try:
        with git.adding():
            for _ in lay(git, tree, half, share=lambda _: False, left={}):
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
