"""The Git half of a repository: reading objects through libgit2, writing them durably."""

import itertools
import os
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pygit2

from registry.errors import CorruptError
from registry.lake.local import (
    ancestry,
    commits,
    disk,
    gate,
    locks,
    objects,
    packs,
    pointers,
    promises,
    sessions,
    trees,
)
from registry.lake.local.commits import RawCommit
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.trees import Tree

__all__ = ["Batch", "Git"]

FEW = 24
"""Up to this many objects of one commit are written as files of their own."""

LOOSE_SAMPLE = 8
"""Loose objects whose id begins with one given byte; this many mean some 2,000 in all."""

MANY_PACKS = 24
"""More packs than this are made one."""

REMEMBERED_TREES = 4_000
REMEMBERED_POINTERS = 100_000
REMEMBERED_COMMITS = 20_000

_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
"""By libgit2's numbers."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

# A lake belongs to whoever opens it by address, often a group; libgit2 runs nothing in it.
pygit2.settings.owner_validation = False


class Git:
    """Reads the Git objects of one repository; any number of threads may share it."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._local = threading.local()
        self._swept = (0, 0)
        self._trees: dict[bytes, Tree] = {}
        self._pointers: dict[bytes, Pointer] = {}
        self._commits: dict[str, RawCommit] = {}

    @property
    def repository(self) -> pygit2.Repository:
        """libgit2's handle, one for each thread and process; a new one after each sweep."""
        if getattr(self._local, "opened", None) != (os.getpid(), self._swept):
            self._reopen()
        handle: pygit2.Repository = self._local.handle
        return handle

    def _reopen(self) -> None:
        opened = (os.getpid(), self._swept)
        try:
            self._local.handle = pygit2.Repository(
                str(self.layout.root), pygit2.enums.RepositoryOpenFlag.BARE
            )
        except pygit2.GitError as error:
            raise CorruptError(
                f"the repository at {self.layout.root} cannot be opened: {error}",
                hint="restore it from a copy",
            ) from error
        self._local.opened = opened

    def read(self, oid: bytes | str) -> tuple[str, bytes]:
        """Return the kind and content of an object.

        Args:
            oid: Its id, as 20 bytes or in hex.

        Returns:
            ``"commit"``, ``"tree"``, ``"blob"`` or ``"tag"``, and the content.

        Raises:
            CorruptError: It is missing or damaged.
        """  # noqa: DOC501 — made by the function below
        name = oid if isinstance(oid, str) else oid.hex()
        try:
            stored = (self.layout.git_objects / name[:2] / name[2:]).read_bytes()
        except FileNotFoundError:
            return self._read_packed(name)
        try:
            return packs.read_loose(name, stored)
        except ValueError as error:
            raise _unreadable(name, error) from error

    def _read_packed(self, name: str) -> tuple[str, bytes]:
        try:
            kind, data = self.repository.odb.read(name)
        except (KeyError, pygit2.GitError):
            self._reopen()  # its pack was merged into another since
            try:
                kind, data = self.repository.odb.read(name)
            except (KeyError, pygit2.GitError) as error:
                raise _unreadable(name, error) from error
        return _KINDS[int(kind)], bytes(data)

    def is_stored(self, oid: str) -> bool:
        """Return whether there is an object of that full id."""
        return oid in self.repository.odb

    def has_commit(self, oid: str) -> bool:
        """Return whether a commit of that full id is stored."""
        if not self.is_stored(oid):
            return False
        try:
            return self.read(oid)[0] == "commit"
        except CorruptError:
            return False

    def commit(self, oid: str) -> RawCommit:
        """Return a commit by its full id.

        Raises:
            CorruptError: It is missing, or no commit.
        """
        known = self._commits.get(oid)
        if known is None:
            kind, data = self.read(oid)
            if kind != "commit":
                raise CorruptError(f"git object {oid} is no commit", hint="run eolab fsck")
            known = commits.decode(oid, data)
            _remember(self._commits, oid, known, REMEMBERED_COMMITS)
        return known

    def tree(self, oid: bytes) -> Tree:
        """Return a folder by its tree's id; not to be changed."""
        known = self._trees.get(oid)
        if known is None:
            known = trees.parse(self.read(oid)[1])
            _remember(self._trees, oid, known, REMEMBERED_TREES)
        return known

    def pointer(self, oid: bytes) -> Pointer:
        """Return the object that a blob stands for."""
        known = self._pointers.get(oid)
        if known is None:
            known = pointers.decode(self.read(oid)[1])
            _remember(self._pointers, oid, known, REMEMBERED_POINTERS)
        return known

    def peel(self, oid: str) -> str:
        """Return the commit that a ref's object id leads to, through an annotated tag if any."""
        if oid in self._commits:
            return oid
        kind, data = self.read(oid)
        if kind == "tag":
            return self.peel(data[7:47].decode())
        return oid

    def expand(self, prefix: str) -> list[str]:
        """Return the commits whose ids begin with some hex digits; two at most."""
        found = (str(oid) for oid in self.repository.odb if str(oid).startswith(prefix))
        return list(itertools.islice((oid for oid in found if self.has_commit(oid)), 2))

    def may_lack(self) -> bool:
        """Return whether some objects may be missing here because somebody else holds them."""
        return bool(promises.load(self.layout))

    def fetch(self, wanted: Mapping[str, Pointer], tree: bytes) -> None:  # noqa: ARG002 — objects go by their hash here
        """Bring objects that are not here; the gate must not be held.

        Args:
            wanted: Which, by path.
            tree: Id of a tree that has them at these paths.
        """
        missing = [one for one in wanted.values() if not objects.is_whole(self.layout, one)]
        if missing:
            with sessions.opened(self.layout) as session:
                promises.redeem(self.layout, session, self.adding, missing)

    def found_at(self) -> tuple[str, str]:
        """Return the lake's address, and the repository's name in it."""
        return self.layout.root.parent.parent.as_uri(), self.layout.root.name

    def descends(self, commit: str, ancestor: str) -> bool:
        """Return whether a commit is another or has it behind it."""
        return ancestry.descends(self.commit, commit, ancestor)

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """Return the best common ancestor of two commits, or None."""
        return ancestry.merge_base(self.commit, ours, theirs)

    def beyond(self, commit: str, known: Iterable[str]) -> list[str]:
        """Return a commit and those behind it that no known commit has behind it."""
        return ancestry.beyond(self.commit, commit, known)

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Add objects, refs or views while nothing is removed; not to be nested."""
        with gate.adding(self.layout):
            self.catch_up()
            yield

    def walk(self, head: str) -> Iterator[RawCommit]:
        """Return a commit and all behind it, children before parents."""
        return commits.walk(self.commit, head)

    def catch_up(self) -> None:
        """Forget what was read if anybody's garbage collection has removed something since."""
        try:
            status = self.layout.swept.stat()
        except FileNotFoundError:
            return
        last = (status.st_ino, status.st_mtime_ns)
        if last != self._swept:
            self._trees.clear()
            self._pointers.clear()
            self._commits.clear()
            self._swept = last

    def tidy(self) -> None:
        """Pack loose objects, or packs, when they have become many; else do next to nothing.

        It comes after a commit that stands already, so a failure here is nobody's: what is not
        packed now is packed later.
        """
        if any(self._untidy()):
            with suppress(OSError, pygit2.GitError, CorruptError):
                self._tidy()

    def _tidy(self) -> None:
        with locks.try_exclusive(self.layout.packing) as had, self.adding():
            many_loose, many_packs = self._untidy()
            if not had or not (many_loose or many_packs):
                return
            loose = [
                (oid, file)
                for oid, file in loose_files(self.layout)
                if packs.loose_problem(oid, file.read_bytes()) is None  # libgit2 would not end
            ]
            old = sorted((self.layout.git_objects / "pack").glob("*.pack")) if many_packs else []
            packed = [oid.hex() for pack in old for oid in _ids_in(pack)]
            self.repack(loose=loose, old=old, wanted=[*packed, *(oid for oid, _ in loose)])

    def _untidy(self) -> tuple[bool, bool]:
        objects = self.layout.git_objects
        loose = 0
        with suppress(FileNotFoundError):
            loose = sum(1 for _ in (objects / "17").iterdir())
        packed = sum(1 for _ in (objects / "pack").glob("*.idx"))
        return loose >= LOOSE_SAMPLE, packed > MANY_PACKS

    def repack(
        self, *, loose: Iterable[tuple[str, Path]], old: list[Path], wanted: Iterable[str]
    ) -> None:
        """Write objects into one pack, then remove the files that held them.

        The pack is as young as the youngest of them, so that repacking prolongs no grace.

        Args:
            loose: Ids and files of objects that lie alone.
            old: Packs.
            wanted: Ids of the objects in either that are kept.
        """
        loose = list(loose)
        files = [*(file for _, file in loose), *old]
        if not files:
            return
        youngest = max(file.stat().st_mtime for file in files)
        self._reopen()
        builder = pygit2.PackBuilder(self.repository)
        for oid in wanted:
            builder.add(pygit2.Oid(hex=oid))
        made = self._write_pack(builder, youngest) if len(builder) else None
        for _, file in loose:
            file.unlink(missing_ok=True)
        for pack in old:
            if pack.stem != made:
                for suffix in (".idx", ".rev", ".pack"):  # without its index it is not seen
                    pack.with_suffix(suffix).unlink(missing_ok=True)
        self._reopen()

    def _write_pack(self, builder: pygit2.PackBuilder, changed: float) -> str:
        folder = self.layout.temporary / f"pack-{uuid.uuid4().hex}"
        folder.mkdir()
        builder.write(str(folder))
        (made,) = folder.glob("*.pack")
        os.utime(made, (changed, changed))
        _publish_pack(made, self.layout.git_objects / "pack")
        folder.rmdir()
        return made.stem


def _ids_in(pack: Path) -> set[bytes]:
    index = pack.with_suffix(".idx")
    return packs.indexed_ids(index) if index.exists() else set()


def _publish_pack(made: Path, home: Path) -> None:
    """Move a finished pack to where Git looks; a pack without its index is not seen."""
    parts = [made, made.with_suffix(".idx")]
    disk.make_durable(parts, ())
    for part in parts:
        part.chmod(0o444)
        part.replace(home / part.name)
    disk.sync_folder(home)


def _unreadable(name: str, error: Exception) -> CorruptError:
    return CorruptError(
        f"git object {name} cannot be read: {error}",
        hint="run eolab fsck; restore it from a copy",
    )


def loose_files(layout: Layout) -> list[tuple[str, Path]]:
    """Return id and file of each Git object that lies alone."""
    found = []
    for folder in layout.git_objects.iterdir():
        if len(folder.name) == 2:  # noqa: PLR2004 — the first byte of an id in hex
            found += [
                (folder.name + file.name, file)
                for file in folder.iterdir()
                if len(file.name) == 38  # noqa: PLR2004 — the other nineteen
            ]
    return found


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[key] = value


class Batch:
    """Git objects that are written together, durably, before a ref names them."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._objects: dict[bytes, tuple[str, bytes]] = {}

    def add(self, kind: str, data: bytes) -> bytes:
        """Take an object; return its id.

        Returns:
            Its id, 20 bytes.
        """
        oid = packs.git_id(kind, data)
        self._objects[oid] = (kind, data)
        return oid

    def tree(self, oid: bytes) -> Tree:
        """Return a folder that was added or that is stored."""
        added = self._objects.get(oid)
        return self._git.tree(oid) if added is None else trees.parse(added[1])

    def write(self) -> None:
        """Put all on disk."""
        if len(self._objects) <= FEW:
            self._write_loose()
        else:
            self._write_pack()
        self._objects.clear()

    def _write_loose(self) -> None:
        layout = self._git.layout
        halves: dict[Path, Path] = {}
        folders: set[Path] = set()
        for oid, (kind, data) in self._objects.items():
            name = oid.hex()
            target = layout.git_objects / name[:2] / name[2:]
            half = layout.temporary / f"{uuid.uuid4().hex}.object"
            half.write_bytes(packs.loose_file(kind, data))
            halves[half] = target
            folders |= {target.parent, *disk.make_folder(target.parent)}
        disk.make_durable(halves, ())  # under its own name somebody may pack and remove it at once
        for half, target in halves.items():
            half.replace(target)
        disk.make_durable((), folders)

    def _write_pack(self) -> None:
        layout = self._git.layout
        half = layout.temporary / f"{uuid.uuid4().hex}.pack"
        places = packs.pack(self._objects, half)
        made = half.with_name(f"pack-{places[-1][0].hex()}.pack")
        made.with_suffix(".idx").write_bytes(packs.index(places))
        half.replace(made)
        _publish_pack(made, layout.git_objects / "pack")
