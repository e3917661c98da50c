"""Writes that become one commit, or nothing."""

import itertools
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.lake import lazy
from registry.lake.local import commits, folders, objects, pointers, promises, refs, trees
from registry.lake.local.disk import translated
from registry.lake.local.git import Batch, Git
from registry.lake.local.pointers import Pointer
from registry.lake.local.sessions import Session
from registry.lake.names import check_key, check_metadata
from registry.lake.records import Commit, Entry

__all__ = ["Intent", "LocalTransaction", "write_commit"]

HASHERS = 4
"""Threads that read and hash files; hashing runs outside the interpreter lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What the holder of a transaction said when opening it."""

    branch: str
    """Where the commit goes."""

    message: str
    """Why."""

    author: str
    """``Name <address>``."""

    expected: str | None = None
    """Commit the branch must stand at in the end; None if it may move."""

    merging: str | None = None
    """Second parent."""

    allow_empty: bool = False
    """Commit even if no object changes."""

    operation: str = "commit"
    """What the reflog says."""


class LocalTransaction:
    """Stages objects in a session's folder and commits them at once; threads may share it."""

    def __init__(
        self, git: Git, session: Session, intent: Intent, metadata: Mapping[str, str]
    ) -> None:
        self._git = git
        self._intent = intent
        base = self._stands()
        _refuse_unexpected(intent, base)  # else what is staged would be judged against its tree
        self.base: str = base
        self.commit: Commit | None = None
        self.metadata: dict[str, str] = check_metadata(metadata)
        self._folder = session.folder
        self._names = itertools.count()
        self._edits = trees.Edits()
        self._staged: dict[str, Pointer] = {}
        self._held: set[Pointer] = set()
        self._touched: set[str] = set()
        self._writing = threading.Lock()
        session.pin(base, *([intent.merging] if intent.merging else []))

    def _stands(self) -> str:
        return refs.existing(self._git.layout, self._intent.branch)

    # ------------------------------------------------------------------ staging
    def put(self, path: str, data: bytes | BinaryIO) -> Entry:
        """Stage ``data`` at ``path``, replacing what is there.

        Returns:
            Path, hash and size.
        """
        check_key(path)
        with translated(f"store {path}"):
            if isinstance(data, bytes | bytearray | memoryview):
                pointer = objects.stage_bytes(data, self._folder, name=self._name())
            else:
                pointer = objects.stage_stream(data, self._folder, name=self._name())
        return self._put(path, pointer)

    def put_file(self, path: str, file: Path, *, move: bool = False) -> Entry:
        """Stage a file's bytes at ``path``; with ``move`` the file may be taken over.

        Returns:
            Path, hash and size.
        """
        return self.take_file(path, file, take="move" if move else "copy")

    def put_files(self, files: Mapping[str, Path], *, move: bool = False) -> list[Entry]:
        """Stage many files, hashing several at once; the entries come in the given order.

        Returns:
            Path, hash and size of each.
        """
        take = "move" if move else "copy"
        return self.take_files((path, file, take) for path, file in files.items())

    def take_files(self, files: Iterable[tuple[str, Path, str]]) -> list[Entry]:
        """Stage many files, each in its own way as :func:`objects.stage_file` says.

        Returns:
            Path, hash and size of each, in the given order.
        """
        with ThreadPoolExecutor(HASHERS) as pool:
            return list(pool.map(lambda one: self.take_file(one[0], one[1], take=one[2]), files))

    def take_file(self, path: str, file: Path, *, take: str) -> Entry:
        """Stage a file as :func:`objects.stage_file` says.

        Returns:
            Path, hash and size.
        """
        check_key(path)
        _check_file(file)
        lazy.ensure(file)
        with translated(f"store {file} as {path}"):
            pointer = objects.stage_file(file, self._folder, name=self._name(), take=take)
        return self._put(path, pointer)

    def link(self, entry: Entry, *, path: str | None = None) -> None:
        """Stage an object that the repository already holds, without reading it."""
        target = check_key(entry.path if path is None else path)
        pointer = Pointer(entry.sha256, entry.size)
        layout = self._git.layout
        with translated(f"link {target}"), self._git.adding():
            here = objects.is_whole(layout, pointer)
            if here or not promises.is_promised(layout, pointer):
                objects.keep(layout, pointer, self._folder)
                here = True
        self._put(target, pointer, held=here)

    def remove(self, path: str) -> None:
        """Stage the removal of one object, or of every object below ``path``.

        Raises:
            NotFoundError: There is nothing at or below ``path``.
        """
        path = check_key(path.removesuffix("/"))
        with self._writing:
            below = [name for name in self._staged if name == path or name.startswith(f"{path}/")]
            root = self._git.commit(self.base).tree
            if not below and trees.find(self._git.tree, root, path) is None:
                raise NotFoundError(f"there is no '{path}' to remove", hint="list what there is")
            for name in below:
                del self._staged[name]
            self._edits.remove(path)
            self._touched.add(path)

    def _put(self, path: str, pointer: Pointer, *, held: bool = True) -> Entry:
        with self._writing:
            self._edits.put(path, pointers.encode(pointer))
            self._staged[path] = pointer
            if held:  # else it stays where it was promised
                self._held.add(pointer)
            self._touched.add(path)
        return Entry(path=path, sha256=pointer.sha256, size=pointer.size)

    def _name(self) -> str:
        return str(next(self._names))

    # ---------------------------------------------------------------- committing
    def close(self) -> Commit:
        """Commit what is staged.

        Objects, then Git's objects, then the ref: each is on disk before the next is written, so
        a kill at any point leaves the old state or the new one.

        Returns:
            The new commit; the branch's head where nothing differs.

        Raises:
            ConflictError: The branch moved in a way that cannot be built upon.
            ForbiddenError: The branch is protected.
            NotFoundError: The branch is gone.
        """
        check_metadata(self.metadata)
        layout, ref = self._git.layout, refs.branch(self._intent.branch)
        with translated(f"commit to '{self._intent.branch}'"):
            with self._git.adding():
                objects.place(layout, self._folder, self._held)
                head = self._standing(refs.get(layout, ref))
                made = self._write_onto(head)
                with refs.locked(layout) as held:
                    held.refuse_protected(self._intent.branch, "commit to")
                    now = self._standing(held.get(ref))
                    if now != head:
                        head, made = now, self._write_onto(now)
                    if made != head:
                        held.move(
                            ref, expected=head, to=made, operation=self._intent.operation,
                            author=self._intent.author,
                        )  # fmt: skip
            self._git.tidy()
        self.commit = self._git.commit(made).commit
        return self.commit

    def _standing(self, head: str | None) -> str:
        """Return where the branch stands, if that can be built upon.

        Raises:
            ConflictError: It stands where it is not expected.
            NotFoundError: It is gone.
        """
        branch = self._intent.branch
        if head is None:
            raise NotFoundError(
                f"branch '{branch}' was deleted meanwhile", hint="make it again, then retry"
            )
        _refuse_unexpected(self._intent, head)
        if head != self.base:
            self._refuse_overlap(head)
        return head

    def _refuse_overlap(self, head: str) -> None:
        before, after = self._git.commit(self.base).tree, self._git.commit(head).tree
        above = {parent for path in self._touched for parent in _parents(path)}
        tables = folders.tables_in(self._touched)
        for path, _, theirs in trees.differences(self._git.tree, before, after):
            ours = self._staged.get(path)
            if ours is not None and theirs is not None and self._git.pointer(theirs) == ours:
                continue
            if (
                path in self._touched
                or path in above
                or not self._touched.isdisjoint(_parents(path))
                or folders.table_of(path) in tables
            ):
                raise ConflictError(
                    f"'{path}' was changed on '{self._intent.branch}' meanwhile, by {head[:10]}",
                    hint="read it again, then retry",
                )

    def _write_onto(self, head: str) -> str:
        """Write the trees and the commit that follow ``head``; return what the branch becomes.

        Returns:
            Id of the new commit; ``head`` itself where nothing differs.
        """
        batch = Batch(self._git)
        before = self._git.commit(head).tree
        tree = trees.apply(batch.tree, batch.add, before, self._edits)
        if tree is None:
            tree = batch.add("tree", b"")
        if tree == before and not self._intent.merging and not self._intent.allow_empty:
            return head
        parents = (head, self._intent.merging) if self._intent.merging else (head,)
        return write_commit(
            self._git, batch, tree=tree, parents=parents, message=self._intent.message,
            author=self._intent.author, metadata=self.metadata,
        )  # fmt: skip


def _refuse_unexpected(intent: Intent, head: str) -> None:
    expected = intent.expected
    if expected is not None and head != expected:
        raise ConflictError(
            f"branch '{intent.branch}' stands at {head[:10]}, not at {expected[:10]} as expected",
            hint="read it again, then retry",
        )


def write_commit(
    git: Git,
    batch: Batch,
    *,
    tree: bytes,
    parents: tuple[str, ...],
    message: str,
    author: str,
    metadata: Mapping[str, str],
) -> str:
    """Write a commit and the objects it needs; return its id.

    It is never older than its parents, so a clock that goes backwards does not turn history over.

    Returns:
        Its id in hex.
    """
    parent_times = (int(git.commit(parent).commit.at.timestamp()) for parent in parents)
    at = max([int(time.time()), *parent_times])
    data = commits.encode(
        tree=tree, parents=parents, message=message, author=author, at=at, metadata=metadata
    )
    oid = batch.add("commit", data)
    batch.write()
    return oid.hex()


def check_message(message: str) -> str:
    """Return a commit's message if it says something.

    Raises:
        InvalidInputError: It is empty or cannot be stored.
    """
    if not message.strip():
        raise InvalidInputError("the commit message is empty", hint="say why, in one line")
    if "\x00" in message or "\r" in message or not message.isprintable():
        plain = message.replace("\n", "").replace("\t", "")
        if not plain.isprintable():
            raise InvalidInputError(
                f"the commit message has unprintable characters: {message[:40]!r}",
                hint="write it in plain text",
            )
    return message.strip("\n")


def _parents(path: str) -> list[str]:
    found = []
    while "/" in path:
        path = path.rpartition("/")[0]
        found.append(path)
    return found


def _check_file(file: Path) -> None:
    if file.is_symlink() or not file.is_file():
        what = "a link" if file.is_symlink() else "no file"
        raise InvalidInputError(f"{file} is {what}", hint="give plain files only")
