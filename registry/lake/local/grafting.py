"""Commits that were made elsewhere, recorded here as they were."""

import re
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO

from registry.errors import InvalidInputError, NotFoundError
from registry.lake import lazy
from registry.lake.local import commits, folders, objects, pointers, promises, sessions, trees
from registry.lake.local.disk import translated
from registry.lake.local.git import Batch, Git
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.sessions import Session
from registry.lake.local.transaction import check_message
from registry.lake.names import check_key, check_metadata, split_author
from registry.lake.records import Change, Commit, Entry

__all__ = ["Pins", "checked_message", "edits_of", "graft", "holds"]

_SHA256 = re.compile(r"[0-9a-f]{64}")

Fetch = Callable[[Entry], BinaryIO]


class Pins:
    """Commits that no ref names yet, kept from garbage collection while this process lives."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._session: Session | None = None
        self._tips: set[str] = set()
        self._lock = threading.Lock()

    def add(self, commit: str, parents: Iterable[str]) -> None:
        """Keep a commit; its parents are kept by it."""
        with self._lock:
            if self._session is None:
                self._session = Session(self._layout)
                closing = weakref.finalize(self, self._session.close)
                closing.atexit = False  # a forked child's end is not this process's
            self._tips -= set(parents)
            self._tips.add(commit)
            self._session.pin(*sorted(self._tips))

    def let_go(self, commits: Iterable[str]) -> None:
        """Keep commits no longer that this process itself wants to be forgotten."""
        with self._lock:
            self._tips -= set(commits)
            if self._session is not None:
                self._session.pin(*sorted(self._tips))


def holds(layout: Layout, digests: Iterable[str]) -> set[str]:
    """Return which objects are stored; what is no SHA-256 in hex never is."""
    with translated("look for objects"):
        return {one for one in digests if _SHA256.fullmatch(one) and layout.object(one).exists()}


def graft(
    git: Git,
    pins: Pins,
    commit: Commit,
    *,
    parents: Sequence[str],
    changes: Iterable[Change],
    fetch: Fetch | None,
    leaving: bool,
) -> Commit:
    """Record a commit that was made elsewhere, as the contract says.

    Nothing that the other side says is believed: names are checked as those of a transaction,
    and bytes are hashed on arrival. With ``leaving``, what the origin was said to keep for later
    is only written down.

    Returns:
        The commit here.
    """
    message = checked_message(commit)
    name, address = split_author(commit.author)
    metadata = check_metadata(commit.metadata)
    edits, needed = edits_of(changes)
    with translated(f"record commit {commit.id[:10]}"), sessions.opened(git.layout) as session:
        git.catch_up()
        before = [_parent(git, parent) for parent in parents]
        root = git.commit(before[0].id).tree if before else None
        left = _left_out(git, root, needed) if leaving else {}
        promises.keep(git.layout, commit.id, left.values())
        brought = {pointer: one for pointer, one in needed.items() if pointer not in left}
        _bring(git, session, brought, fetch)
        with git.adding():
            objects.place(git.layout, session.folder, brought)
            batch = Batch(git)
            tree = trees.apply(batch.tree, batch.add, root, edits)
            data = commits.encode(
                tree=batch.add("tree", b"") if tree is None else tree,
                parents=tuple(parents),
                message=message,
                author=f"{name} <{address}>",
                at=max(_second(one) for one in (commit, *before)),
                metadata=metadata,
            )
            made = batch.add("commit", data).hex()
            batch.write()
            pins.add(made, parents)
        git.tidy()
    return git.commit(made).commit


def checked_message(commit: Commit) -> str:
    """Return the message of a commit that was made elsewhere, if it can be kept.

    Raises:
        InvalidInputError: It cannot, or the commit is older than time.
    """
    message = check_message(commit.message)
    if _second(commit) < 0:
        raise InvalidInputError(
            f"commit {commit.id[:10]} says that it was made in {commit.at.year}",
            hint="look at the history that it comes from",
        )
    return message


def _second(commit: Commit) -> int:
    return int(commit.at.timestamp())


def _parent(git: Git, oid: str) -> Commit:
    if not git.has_commit(oid):
        raise NotFoundError(
            f"commit {oid[:10]}, on which another is to be recorded, is not here",
            hint="send the parents first",
        )
    return git.commit(oid).commit


def edits_of(changes: Iterable[Change]) -> tuple[trees.Edits, dict[Pointer, Entry]]:
    """Return what to do to the tree, and which objects that needs."""
    edits = trees.Edits()
    needed: dict[Pointer, Entry] = {}
    for change in (ordered := list(changes)):
        check_key(change.path)
        if change.after is None:
            edits.remove(change.path)
    for change in ordered:
        if change.after is not None:
            pointer = _pointer(change.after)
            edits.put(change.path, pointers.encode(pointer))
            needed.setdefault(pointer, replace(change.after, path=change.path))
    return edits, needed


def _pointer(entry: Entry) -> Pointer:
    empty = entry.sha256 == pointers.EMPTY_SHA256
    if not _SHA256.fullmatch(entry.sha256) or entry.size < 0 or empty != (entry.size == 0):
        raise InvalidInputError(
            f"'{entry.path}' is said to have {entry.size} bytes of hash {entry.sha256[:70]!r}",
            hint="look at the lake that it comes from: eolab fsck",
        )
    return Pointer(entry.sha256, entry.size)


def _bring(git: Git, session: Session, needed: dict[Pointer, Entry], fetch: Fetch | None) -> None:
    """Lay every needed object into the session's folder: what is stored, or what arrives.

    Raises:
        NotFoundError: Something is not stored and nobody can fetch it.
    """
    missing, stored = {}, []
    with git.adding():
        for pointer, entry in needed.items():
            if not pointer.size:
                objects.stage_bytes(b"", session.folder, name="empty")
            elif objects.is_whole(git.layout, pointer):
                stored.append(pointer.sha256)
            else:
                missing[pointer] = entry
        session.hold(stored)
    if missing and fetch is None:
        first = next(iter(missing.values()))
        raise NotFoundError(
            f"{len(missing):,} objects are not stored here, '{first.path}' the first of them",
            hint="send them with the commit",
        )
    if missing and fetch is not None:
        promises.receive_all(git.layout, session, git.adding, missing, fetch)


def _left_out(git: Git, root: bytes | None, needed: dict[Pointer, Entry]) -> dict[Pointer, Entry]:
    """Return what stays at the origin until somebody touches it."""
    came_from = promises.origin(git.layout)
    if came_from is None:
        return {}
    written = folders.tables_in(entry.path for entry in needed.values())
    left = {}
    for pointer, entry in needed.items():
        table = folders.inside(entry.path, written) or _table_above(git, root, entry.path)
        if table is None or objects.is_whole(git.layout, pointer):
            continue
        if came_from.leaves(table) and lazy.may_wait(entry.path, frozenset({table})):
            left[pointer] = entry
    return left


def _table_above(git: Git, root: bytes | None, path: str) -> str | None:
    while root is not None and (path := path.rpartition("/")[0]):
        if trees.find(git.tree, root, f"{path}/{folders.LOG}") is not None:
            return path
    return None
