"""A writable view of a branch: a private folder whose changes become commits."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from registry.errors import CorruptError, InvalidInputError
from registry.lake import lazy
from registry.lake.local import folders, objects, refs, views
from registry.lake.local.disk import translated
from registry.lake.local.git import Git
from registry.lake.local.pointers import Pointer
from registry.lake.local.sessions import Session
from registry.lake.local.transaction import LocalTransaction
from registry.lake.records import Commit

__all__ = ["LocalWorkspace"]


class _Known(NamedTuple):
    """A file as it was when the folder and ``head`` were last the same."""

    pointer: Pointer
    inode: int
    size: int
    changed: int
    shared: bool


Transact = Callable[..., AbstractContextManager[LocalTransaction]]
"""Opens a transaction on the workspace's branch."""


class LocalWorkspace:
    """A private folder made from a branch; lives as long as its session."""

    def __init__(self, git: Git, session: Session, *, branch: str, transact: Transact) -> None:
        self.path: Path = session.folder / "files"
        self.head: str
        self._git = git
        self._session = session
        self._branch = branch
        self._transact = transact
        self._known: dict[str, _Known] = {}
        self._lay()

    def _stands(self) -> str:
        return refs.existing(self._git.layout, self._branch)

    def _lay(self) -> None:
        self.path.mkdir()
        while not self._lay_at(self._stands()):
            pass  # the branch moved meanwhile

    def _lay_at(self, head: str) -> bool:
        raw = self._git.commit(head)
        left = views.lacking(self._git, raw.tree)
        with self._git.adding():
            if self._stands() != head:
                return False
            self.head = head
            self._session.pin(head)
            old = raw.commit.at.timestamp()
            share = _sharing(self._tables(raw.tree))
            views.leave(self._git, head, self.path, left)
            for path, file, pointer in views.lay(
                self._git, raw.tree, self.path, share=share, left=left
            ):
                shared = share(path)
                if not shared:  # any write from now on is later, even within the clock's tick
                    os.utime(file, (old, old))
                self._known[path] = _know(file, pointer, shared=shared)
        return True

    def _tables(self, tree: bytes) -> frozenset[str]:
        found = set()
        waiting = [("", tree)]
        while waiting:
            above, oid = waiting.pop()
            for name, node in self._git.tree(oid).items():
                if node.folder:
                    path = f"{above}/{name.decode()}".lstrip("/")
                    if name.decode() == folders.LOG:
                        found.add(above)
                    waiting.append((path, node.id))
        return frozenset(found)

    def commit(self, message: str, *, metadata: Mapping[str, str] | None = None) -> Commit:
        """Commit what differs from ``head`` by compare-and-swap on the branch.

        Returns:
            The new commit, or the head where nothing differs.

        Raises:
            ConflictError: The branch has moved since; nothing is lost, the folder stays.
            InvalidInputError: Something in the folder cannot be stored, such as a link.
            CorruptError: A stored object was written in place through the folder.
        """
        with translated("read the workspace"):
            found = dict(_files(self.path))
        tables = folders.tables_in(found)
        found = {p: f for p, f in found.items() if not folders.is_scratch(p, tables)}
        fresh = [path for path, file in found.items() if self._differs(path, file)]
        _refuse_placeholders(found[path] for path in fresh)
        gone = [path for path in self._known if path not in found]
        share = _sharing(tables)
        with self._transact(message=message, metadata=metadata, expected=self.head) as transaction:
            for path in gone:
                transaction.remove(path)
            entries = transaction.take_files(
                (path, Path(found[path]), "link" if share(path) else "copy") for path in fresh
            )
        made = transaction.commit
        if made is None:  # pragma: no cover — a closed transaction has its commit
            raise CorruptError("the transaction did not end", hint="report this")
        for path in gone:
            del self._known[path]
        for entry in entries:
            pointer, file = Pointer(entry.sha256, entry.size), Path(found[entry.path])
            self._known[entry.path] = (
                _know(file, pointer, shared=True) if share(entry.path) else _doubt(pointer)
            )
        self.head = made.id
        self._session.pin(self.head)
        return made

    def _differs(self, path: str, file: str) -> bool:
        known = self._known.get(path)
        if known is None:
            return True
        status = Path(file).stat()
        same = (status.st_ino, status.st_size, status.st_mtime_ns)
        if same == (known.inode, known.size, known.changed):
            return False
        if known.shared and status.st_ino == known.inode:
            self._refuse_damage(path, file, known)
        return not (known.shared and self._is_stored(file, known.pointer))

    def _is_stored(self, file: str, pointer: Pointer) -> bool:
        """Return whether a file that was left out has been filled since."""
        try:
            return Path(file).samefile(self._git.layout.object(pointer.sha256))
        except FileNotFoundError:
            return False

    def _refuse_damage(self, path: str, file: str, known: _Known) -> None:
        """A stored object's age changes when it is stored again; its bytes never may.

        Raises:
            CorruptError: They did.
        """
        if objects.digest(Path(file)) != known.pointer:
            raise CorruptError(
                f"'{path}' was written in place, and with it stored object {known.pointer.sha256}",
                hint="restore the object from a copy; write table files only under new names",
            )


def _refuse_placeholders(files: Iterable[str]) -> None:
    for file in files:
        if lazy.is_placeholder(file):
            raise InvalidInputError(
                f"{file} stands for a file that was not fetched, under a name that is not its own",
                hint="read the file before it is moved or linked: registry.lake.lazy.ensure",
            )


def _sharing(tables: frozenset[str]) -> Callable[[str], bool]:
    return lambda path: folders.is_immutable(path, tables)


def _doubt(pointer: Pointer) -> _Known:
    # A copy may have been written again while it was read, so the next commit reads it anew.
    return _Known(pointer, -1, pointer.size, -1, shared=False)


def _know(file: Path, pointer: Pointer, *, shared: bool) -> _Known:
    status = file.stat()
    return _Known(pointer, status.st_ino, status.st_size, status.st_mtime_ns, shared)


def _files(folder: Path, before: str = "") -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as found:
        for item in found:
            path = before + item.name
            if item.is_dir(follow_symlinks=False):
                yield from _files(Path(item.path), f"{path}/")
            elif item.is_file(follow_symlinks=False):
                yield path, item.path
            else:
                raise InvalidInputError(
                    f"'{path}' in the workspace is neither a file nor a folder",
                    hint="replace links and the like by plain files",
                )
