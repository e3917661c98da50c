"""Prove that everything is as it was stored: refs, history, pointers and every byte."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from registry.errors import CorruptError
from registry.lake import lazy
from registry.lake.local import locks, objects, packs, promises, reflog, refs
from registry.lake.local.git import Git, loose_files
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.trees import walk
from registry.lake.records import Damage
from registry.progress import Progress

__all__ = ["damages"]

STALE = 24 * 3600
"""Seconds after which a temporary file was certainly left behind."""

RESTORE = "copy it from another lake or a backup"

_SHA256 = re.compile(r"[0-9a-f]{64}")


def damages(git: Git, progress: Progress) -> Iterator[Damage]:
    """Yield everything that is not as it was stored.

    Args:
        git: The repository.
        progress: Told how far it is.
    """
    layout, fresh = git.layout, Git(git.layout)
    with fresh.adding():
        found = [*_refs(fresh), *_loose(layout, progress), *_packs(layout, progress)]
    yield from found
    with fresh.adding():
        needed: dict[Pointer, str] = {}
        found = list(_history(fresh, needed, progress))
        found += _objects(layout, needed, progress)
        found += _views(fresh)
    yield from found
    yield from _leftovers(layout)


# ---------------------------------------------------------------------------- refs
def _refs(git: Git) -> Iterator[Damage]:
    for ref in refs.names(git.layout):
        try:
            oid = refs.get(git.layout, ref)
            if oid is not None and not git.has_commit(git.peel(oid)):
                raise CorruptError(f"{refs.spoken(ref)} names no commit: {oid}", hint="")  # noqa: TRY301 — one place says what a bad ref is
        except CorruptError as error:
            yield Damage(
                what=refs.spoken(ref), problem=error.problem, fix="reset it to what eolab log says"
            )
    try:
        refs.protected(git.layout)
    except CorruptError as error:
        yield Damage(what="protected branches", problem=error.problem, fix=error.hint)
    lines = reflog.unreadable(git.layout)
    if lines:
        yield Damage(
            what="reflog", problem=f"{lines} lines cannot be read", fix="the rest works; no need"
        )


# ---------------------------------------------------------------------- git objects
def _loose(layout: Layout, progress: Progress) -> Iterator[Damage]:
    files = loose_files(layout)
    progress.stage("checking the history's objects", total=len(files), unit="objects")
    for oid, file in files:
        problem = packs.loose_problem(oid, file.read_bytes())
        progress.advance()
        if problem is not None:
            yield Damage(what=f"git object {oid}", problem=problem, fix=RESTORE)


def _packs(layout: Layout, progress: Progress) -> Iterator[Damage]:
    files = sorted((layout.git_objects / "pack").glob("*.idx"))
    progress.stage("checking the history's packs", total=len(files), unit="packs")
    for index in files:
        pack = index.with_suffix(".pack")
        checksum = _trailer(pack)
        if checksum is None:
            yield Damage(what=pack.name, problem="its checksum does not match", fix=RESTORE)
        if _trailer(index) is None or (checksum is not None and checksum not in _tail(index)):
            yield Damage(
                what=index.name,
                problem="its checksum does not match",
                fix="make it again: git index-pack on the pack beside it",
            )
        progress.advance()


def _trailer(file: Path) -> bytes | None:
    """Return the SHA-1 at the end of a file if it is that of all before it."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        left = file.stat().st_size - digest.digest_size
        with file.open("rb") as stream:
            while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
                digest.update(chunk)
                left -= len(chunk)
            trailer = stream.read()
    except FileNotFoundError:
        return None
    return trailer if trailer == digest.digest() else None


def _tail(index: Path) -> bytes:
    return index.read_bytes()[-40:]


# -------------------------------------------------------------------------- history
def _history(git: Git, needed: dict[Pointer, str], progress: Progress) -> Iterator[Damage]:
    """Walk all commits and trees; fill in which objects are needed, and where.

    Yields:
        What cannot be read.
    """
    progress.stage("checking the history", total=None, unit="commits")
    seen: set[str | bytes] = set()
    for ref in refs.names(git.layout):
        try:
            oid = refs.get(git.layout, ref)
            waiting = [] if oid is None else [git.peel(oid)]
        except CorruptError:
            continue  # said already
        while waiting:
            commit = waiting.pop()
            if commit in seen:
                continue
            seen.add(commit)
            progress.advance()
            try:
                raw = git.commit(commit)
            except CorruptError as error:
                yield Damage(what=f"commit {commit}", problem=error.problem, fix=RESTORE)
                continue
            waiting.extend(raw.commit.parents)
            yield from _tree(git, raw.tree, f"{commit[:10]}:", seen, needed)


def _tree(
    git: Git, oid: bytes, at: str, seen: set[str | bytes], needed: dict[Pointer, str]
) -> Iterator[Damage]:
    if oid in seen:
        return
    seen.add(oid)
    try:
        nodes = git.tree(oid).items()
    except CorruptError as error:
        yield Damage(what=at, problem=error.problem, fix=RESTORE)
        return
    for name, node in nodes:
        path = f"{at}{name.decode(errors='replace')}"
        if node.folder:
            yield from _tree(git, node.id, f"{path}/", seen, needed)
        elif node.id not in seen:
            seen.add(node.id)
            try:
                needed.setdefault(git.pointer(node.id), path)
            except CorruptError as error:
                yield Damage(what=path, problem=error.problem, fix=RESTORE)


# -------------------------------------------------------------------------- objects
def _objects(layout: Layout, needed: dict[Pointer, str], progress: Progress) -> Iterator[Damage]:
    files = {
        name: Path(above, name) for above, _, names in os.walk(layout.objects) for name in names
    }
    total = sum(file.stat().st_size for file in files.values())
    progress.stage("checking every byte", total=total, unit="bytes")
    broken = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, size, problem in pool.map(_object_problem, files.values()):
            progress.advance(size)
            if problem is not None:
                broken.add(file.name)
                yield Damage(what=f"object {file.name}", problem=problem, fix=RESTORE)
    for pointer, path in needed.items():
        if not pointer.size or pointer.sha256 in broken:
            continue
        file_or_none = files.get(pointer.sha256)
        if file_or_none is None and promises.is_promised(layout, pointer):
            continue  # it is at the origin, and is fetched when somebody touches it
        if file_or_none is None:
            yield Damage(
                what=f"object {pointer.sha256}",
                problem=f"it is missing; {path} needs it",
                fix=RESTORE,
            )
        elif file_or_none.stat().st_size != pointer.size:
            yield Damage(
                what=path, problem=f"its pointer says {pointer.size:,} bytes, wrongly", fix=RESTORE
            )


def _object_problem(file: Path) -> tuple[Path, int, str | None]:
    if not _SHA256.fullmatch(file.name) or file.parts[-3:-1] != (file.name[:2], file.name[2:4]):
        return file, 0, "no object belongs here"
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return file, 0, f"it cannot be read: {error.strerror}"
    return file, size, None if digest == file.name else "its content has another hash"


# ---------------------------------------------------------------------------- views
def _views(git: Git) -> Iterator[Damage]:
    # Only copies are looked at; the other files of a view are the stored objects themselves.
    for view in sorted(git.layout.views.iterdir()):
        try:
            files = [(p, git.pointer(oid)) for p, oid in walk(git.tree, bytes.fromhex(view.name))]
        except (CorruptError, ValueError):  # the tree is said already, or it is no view
            continue
        for path, pointer in files:
            if not _shows(view / path, git.layout.object(pointer.sha256), pointer):
                yield Damage(
                    what=f"view {view.name[:10]}:{path}",
                    problem="it is not what was stored",
                    fix=f"remove {view} while nobody reads it; it is made again",
                )


def _shows(file: Path, stored: Path, pointer: Pointer) -> bool:
    if lazy.is_placeholder(file):
        return file.stat().st_size == pointer.size
    try:
        return (stored.exists() and file.samefile(stored)) or objects.digest(file) == pointer
    except OSError:
        return False


# ------------------------------------------------------------------------ leftovers
def _leftovers(layout: Layout) -> Iterator[Damage]:
    long_ago = time.time() - STALE
    left = [lock for lock in layout.sessions.glob("*.lock") if not locks.is_held(lock)]
    left += layout.temporary.iterdir()
    for file in left:
        try:
            old = file.stat().st_mtime < long_ago
        except FileNotFoundError:
            continue
        if old:
            yield Damage(
                what=f"temporary {file.name}",
                problem="a process that was killed left it",
                fix="run eolab gc",
            )
