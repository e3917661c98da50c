"""Garbage collection: remove what nothing needs and what is old enough."""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from registry.errors import InvalidInputError
from registry.lake.local import disk, gate, packs, reach, sessions, views
from registry.lake.local.git import Git, loose_files
from registry.lake.local.layout import Layout
from registry.lake.records import Sweep

__all__ = ["collect", "empty", "sweep_git", "sweep_objects", "tell"]


def collect(git: Git, *, grace: timedelta, dry_run: bool, keep: Iterable[str]) -> Sweep:
    """Remove objects that no branch, tag, young reflog entry or open session reaches.

    Nobody adds meanwhile; readers go on, for a view holds its files by names of its own.

    Args:
        git: The repository.
        grace: What is younger stays.
        dry_run: Only count.
        keep: Further commits that are roots.

    Returns:
        What was removed, or would be.

    Raises:
        InvalidInputError: ``grace`` is negative.
    """
    if grace < timedelta():
        raise InvalidInputError(f"a grace of {grace} is negative", hint="use 0 or more days")
    cutoff = time.time() - grace.total_seconds()
    fresh = Git(git.layout)
    with gate.sweeping(git.layout):
        needed = reach.needed(fresh, young_since=cutoff, keep=keep)
        if not dry_run:
            tell(git.layout)
        held = {pointer.sha256 for pointer in needed.objects} | sessions.held(git.layout)
        outcome = sweep_objects(git.layout, held, cutoff, dry_run=dry_run)
        if not dry_run:
            sessions.sweep(git.layout)
            sweep_git(fresh, needed.git, cutoff)
            _sweep_views(git.layout, cutoff)
            empty(git.layout.temporary)
            tell(git.layout)
    git.catch_up()
    return outcome


def tell(layout: Layout) -> None:
    """Let others forget what they read; said first too, lest this process be killed."""
    half = layout.temporary / "swept"
    disk.write_atomically(layout.swept, b"", temporary=half, durable=False)


def sweep_objects(layout: Layout, needed: set[str], cutoff: float, *, dry_run: bool) -> Sweep:
    """Remove stored objects, or count them.

    Args:
        layout: The repository's; nobody adds to it meanwhile.
        needed: Those that stay, by SHA-256 in hex.
        cutoff: What was stored since this time (seconds since 1970) stays too.
        dry_run: Only count.

    Returns:
        What was removed, or would be.
    """
    objects = size = young = 0
    for file in _files(layout.objects):
        if file.name in needed:
            continue
        status = file.stat()
        if status.st_mtime > cutoff:
            young += 1
            continue
        objects += 1
        size += status.st_size
        if not dry_run:
            file.unlink()
            with suppress(OSError):  # other objects are in that folder
                file.parent.rmdir()
                file.parent.parent.rmdir()
    return Sweep(objects=objects, size=size, kept_by_grace=young)


def _files(folder: Path) -> Iterator[Path]:
    for above, _, names in os.walk(folder):
        for name in names:
            yield Path(above, name)


def sweep_git(git: Git, needed: set[bytes], cutoff: float) -> None:
    """Remove Git's objects other than ``needed`` and those written since ``cutoff``."""
    for oid, file in loose_files(git.layout):
        if bytes.fromhex(oid) not in needed and file.stat().st_mtime <= cutoff:
            file.unlink()
    stale, kept = [], set()
    for pack in (git.layout.git_objects / "pack").glob("*.pack"):
        index = pack.with_suffix(".idx")
        if not index.exists():  # a process was killed between the two
            pack.unlink()
            continue
        held = packs.indexed_ids(index)
        if pack.stat().st_mtime <= cutoff and not held <= needed:
            stale.append(pack)
            kept |= held & needed
    if stale:
        git.repack(loose=(), old=stale, wanted=sorted(oid.hex() for oid in kept))


def _sweep_views(layout: Layout, cutoff: float) -> None:
    leased = views.leased(layout)
    for view in sorted(layout.views.iterdir()):  # a view before what was left out of it
        if view.suffix:
            used = view.with_suffix("").exists()
        else:
            used = view.name in leased or view.stat().st_mtime > cutoff
        if not used:
            # A half-removed view would be taken for a whole one. The name is new each time: what
            # a killed sweep left under an old one would be in the way.
            gone = layout.temporary / f"{view.name}.{uuid.uuid4().hex}"
            view.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def empty(folder: Path) -> None:
    """Remove what killed processes left: whoever writes here shares the gate."""
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
