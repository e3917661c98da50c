"""The embedded mirror of a repository on a server: what was read once is not asked for again.

A mirror is a folder of the embedded lake's own kind without refs. Commits keep the server's ids;
trees are written as Git trees, so that comparing, merging and laying views cost what differs;
objects lie in it by their hash when somebody has needed their bytes.

The history that people see is the logical one: a server cannot move a branch forward to a commit,
it can only make a merge. Such merges are *aliases* of the commit that they bring.
"""

import itertools
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pygit2

from registry.cache import cache_folder
from registry.errors import CorruptError, InvalidInputError, NotFoundError
from registry.lake.lakefs.answers import GoneError
from registry.lake.lakefs.names import is_hidden_key
from registry.lake.lakefs.objects import FETCHERS, Bytes, Want
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.said import Held, ServerCommit, is_commit_id
from registry.lake.lakefs.words import alias_of, spoken
from registry.lake.local import ancestry, commits, disk, pointers, trees
from registry.lake.local.commits import RawCommit
from registry.lake.local.git import Batch, Git
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import EMPTY_SHA256, Pointer
from registry.lake.names import check_key
from registry.lake.system import translated

__all__ = ["Mirror", "folder_of", "prepare"]

AHEAD = 100
"""Commits that are read at once when one is asked for: its history is wanted next."""

FEW = 300
"""Up to this many objects that differ from a near commit are asked for one by one."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TREE = re.compile(r"[0-9a-f]{40}")


def folder_of(*about: str) -> Path:
    """Return where the mirror of a repository lies, below ``EOLAB_CACHE`` or the user's cache.

    Args:
        about: What tells this repository from all others.
    """
    import hashlib

    name = hashlib.sha256("\x00".join(about).encode()).hexdigest()[:20]
    return cache_folder("lakefs", name)


def prepare(root: Path) -> Layout:
    """Make the folder of a mirror, or use the one that is there; any number may do so at once.

    Returns:
        Where things lie in it.

    Raises:
        CorruptError: Something else is in the way.
    """
    layout = Layout(root)
    if (layout.own / "ready").exists():
        return layout
    with translated(f"make a cache at {root}"):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            pygit2.init_repository(
                str(root), bare=True, initial_head="main",
                flags=pygit2.enums.RepositoryInitFlag.BARE
                | pygit2.enums.RepositoryInitFlag.MKPATH,
            )  # fmt: skip
        except pygit2.GitError as error:
            if not (root / "HEAD").exists():
                raise CorruptError(
                    f"no cache can be made at {root}: {error}", hint="name another EOLAB_CACHE"
                ) from error
        for folder in (
            layout.objects, layout.sessions, layout.views, layout.leases, layout.temporary,
            layout.git_objects / "pack", root / "refs" / "tags", layout.own / "commits",
            layout.own / "trees", layout.own / "hashes", layout.own / "locks",
        ):  # fmt: skip
            folder.mkdir(parents=True, exist_ok=True)
        for lock in (layout.refs_lock, layout.gate, layout.turnstile, layout.packing):
            lock.touch()
        (layout.own / "ready").touch()
    return layout


class Mirror(Git):
    """Reads commits, trees and objects of one repository; threads may share it."""

    def __init__(self, layout: Layout, remote: Remote, *, lake: str, name: str) -> None:
        super().__init__(layout)
        self.remote = remote
        self._found_at = (lake, name)
        self._having: dict[bytes, str] = {}
        self._child: dict[str, str] = {}
        self.bytes = Bytes(layout, remote)
        self._physical: dict[str, ServerCommit] = {}
        self._logical: dict[str, RawCommit] = {}

    # ----------------------------------------------------------------- commits
    def physical(self, commit: str) -> ServerCommit:
        """Return a commit as the server has it.

        Raises:
            NotFoundError: It has none of that id.
            CorruptError: It answers with another one.
        """
        known = self._physical.get(commit) or self._recall(commit)
        if known is None:
            try:
                found = self.remote.log(commit, amount=AHEAD)
            except GoneError as error:
                raise NotFoundError(
                    f"there is no commit {commit[:10]}", hint="see eolab log"
                ) from error
            for one in found:
                self.remember(one)
            known = self._physical.get(commit)
        if known is None:
            raise CorruptError(
                f"the lakeFS server's log of {commit[:10]} begins with another commit",
                hint="see that the address is that of a lakeFS server",
            )
        return known

    def remember(self, commit: ServerCommit) -> None:
        """Take note of a commit, which never changes."""
        if commit.id in self._physical:
            return
        file = self._commit_file(commit.id)
        if not file.exists():
            said = {name: getattr(commit, name) for name in ServerCommit.__slots__}
            self._write(file, json.dumps({**said, "metadata": dict(commit.metadata)}).encode())
        self._physical[commit.id] = commit

    def _recall(self, commit: str) -> ServerCommit | None:
        try:
            said: dict[str, Any] = json.loads(self._commit_file(commit).read_bytes())
            known = ServerCommit(**{**said, "parents": tuple(said["parents"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        self._physical[commit] = known
        return known

    def logical(self, commit: str) -> str:
        """Return the commit that a commit of the server stands for: itself, unless an alias."""
        return alias_of(self.physical(commit)) or commit

    def light(self, oid: str) -> RawCommit:
        """Return a commit without its tree, which costs a listing the first time."""
        known = self._logical.get(oid)
        if known is None:
            known = self._logical[oid] = RawCommit(spoken(self.physical(oid), self.logical), b"")
        return known

    def commit(self, oid: str) -> RawCommit:
        """Return a commit with its tree, which is listed on the server if nobody has done so.

        Returns:
            Both.
        """
        light = self.light(oid)
        known = self._commits.get(oid)
        if known is None:
            known = self._commits[oid] = replace(light, tree=self._tree_of(oid))
            self._child.update(dict.fromkeys(light.commit.parents, oid))
        self._having[known.tree] = oid
        return known

    def may_lack(self) -> bool:
        """Say that objects are fetched when somebody needs them.

        Returns:
            True: the server holds them.
        """
        return True

    def fetch(self, wanted: Mapping[str, Pointer], tree: bytes) -> None:
        """Bring objects from the server.

        Args:
            wanted: Which, by path.
            tree: Id of a tree that has them at these paths; its commit was read before.
        """
        wants = [Want(path=p, sha256=one.sha256, size=one.size) for p, one in wanted.items()]
        self.bytes.fetch(wants, at=self._having[tree])

    def found_at(self) -> tuple[str, str]:
        """Return the lake's address, and the repository's name in it."""
        return self._found_at

    def has_commit(self, oid: str) -> bool:
        """Return whether the server has a commit of that full id."""
        try:
            return is_commit_id(oid) and bool(self.physical(oid))
        except NotFoundError:
            return False

    def is_stored(self, oid: str) -> bool:
        """Return whether there is a commit of that full id."""
        return self.has_commit(oid)

    def peel(self, oid: str) -> str:
        """Return the commit that a ref names: on a server, tags name commits."""
        return oid

    def descends(self, commit: str, ancestor: str) -> bool:
        """Return whether a commit is another or has it behind it."""
        return ancestry.descends(self.light, commit, ancestor)

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """Return the best common ancestor of two commits, or None."""
        return ancestry.merge_base(self.light, ours, theirs)

    def beyond(self, commit: str, known: Iterable[str]) -> list[str]:
        """Return a commit and those behind it that no known commit has behind it."""
        return ancestry.beyond(self.light, commit, known)

    def walk(self, head: str) -> Iterator[RawCommit]:
        """Return a commit and all behind it without their trees, children before parents."""
        return commits.walk(self.light, head)

    # ------------------------------------------------------------------- trees
    def keep_tree(self, commit: str, tree: bytes) -> None:
        """Take note of the tree of a commit that was just made here."""
        self._write(self._tree_file(commit), tree.hex().encode())

    def _tree_of(self, commit: str) -> bytes:
        known = self._known_tree(commit)
        if known is not None:
            return known
        near = (*self.light(commit).commit.parents, self._child.get(commit))
        for other in filter(None, near):
            base = self._known_tree(other)
            found = None if base is None else self._compare(other, base, commit)
            if found is not None:
                return found
        edits = trees.Edits()
        self._add(edits, commit, (held for _, held in self.listed(commit)))
        return self._grow(commit, None, edits)

    def listed(self, commit: str) -> Iterator[tuple[str, Held]]:
        """Yield what the server lists of a commit, by path; each could be a path here."""
        for held in self.remote.listing(commit):
            if not is_hidden_key(held.path):
                yield _checked(held.path), held

    def _known_tree(self, commit: str) -> bytes | None:
        try:
            text = self._tree_file(commit).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None
        if _TREE.fullmatch(text):
            tree = bytes.fromhex(text)
            with suppress(CorruptError):  # the cache was emptied in part
                self.tree(tree)
                return tree
        return None

    def _compare(self, other: str, base: bytes, commit: str) -> bytes | None:
        """Make a commit's tree from that of a near one, asking only for what differs.

        Returns:
            The tree; None if so much differs that listing is cheaper.
        """
        differing = list(itertools.islice(self.remote.differing(other, commit), FEW + 1))
        if len(differing) > FEW:
            return None
        edits = trees.Edits()
        shown = [(kind, path) for kind, path in differing if not is_hidden_key(path)]
        for _, path in shown:
            edits.remove(_checked(path))
        there = [path for kind, path in shown if kind != "removed"]
        with ThreadPoolExecutor(FETCHERS) as pool:
            self._add(edits, commit, pool.map(lambda path: self.remote.stat(commit, path), there))
        return self._grow(commit, base, edits)

    def _add(self, edits: trees.Edits, commit: str, listed: Iterable[Held]) -> None:
        """Take note of what the server tells of objects.

        Raises:
            CorruptError: One has a key that no file system can hold.
        """
        unknown: list[Held] = []
        for held in listed:
            _checked(held.path)
            if held.size < 0:
                raise CorruptError(
                    f"'{held.path}' is said to have {held.size} bytes", hint="look at it in lakeFS"
                )
            pointer = self.pointer_of(held)
            if pointer is None:
                unknown.append(held)
            else:
                edits.put(held.path, pointers.encode(pointer))
        for held, pointer in zip(unknown, self._hash(commit, unknown), strict=True):
            edits.put(held.path, pointers.encode(pointer))

    def _grow(self, commit: str, base: bytes | None, edits: trees.Edits) -> bytes:
        """Write down the tree of a commit.

        Returns:
            Its id in the mirror.

        Raises:
            CorruptError: An object is a folder too.
        """
        batch = Batch(self)
        try:
            tree = trees.apply(batch.tree, batch.add, base, edits)
        except InvalidInputError as error:
            raise CorruptError(
                f"commit {commit[:10]}: {error.problem}",
                hint="remove one of the two objects in lakeFS, and commit",
            ) from error
        made = batch.add("tree", b"") if tree is None else tree
        with translated("write to the cache"), self.adding():
            batch.write()
        self.keep_tree(commit, made)
        return made

    def pointer_of(self, held: Held) -> Pointer | None:
        """Return hash and size; None for what another program wrote and nobody has hashed."""
        if not held.size:
            return Pointer(EMPTY_SHA256, 0)
        said = held.metadata.get("sha256", "")
        if not _SHA256.fullmatch(said):
            try:
                said = self._hash_file(held).read_text(encoding="ascii")
            except (OSError, UnicodeDecodeError):
                return None
        return Pointer(said, held.size) if _SHA256.fullmatch(said) else None

    def _hash(self, commit: str, unknown: list[Held]) -> list[Pointer]:
        wants = [Want(path=one.path, sha256=None, size=one.size) for one in unknown]
        found = self.bytes.fetch(wants, at=commit)
        for held, pointer in zip(unknown, found, strict=True):
            self._write(self._hash_file(held), pointer.sha256.encode())
        return found

    # ----------------------------------------------------------------- private
    def _commit_file(self, commit: str) -> Path:
        if not is_commit_id(commit):
            raise NotFoundError(f"'{commit}' is no commit's id", hint="see eolab log")
        return self.layout.own / "commits" / commit[:2] / commit

    def _tree_file(self, commit: str) -> Path:
        return self.layout.own / "trees" / self._commit_file(commit).name

    def _hash_file(self, held: Held) -> Path:
        import hashlib

        about = f"{held.physical}\x00{held.checksum}\x00{held.size}\x00{held.changed}"
        return self.layout.own / "hashes" / hashlib.sha256(about.encode()).hexdigest()

    def _write(self, file: Path, data: bytes) -> None:
        temporary = self.layout.temporary / f"{uuid.uuid4().hex}.note"
        with translated("write to the cache"), self.adding():
            file.parent.mkdir(parents=True, exist_ok=True)
            disk.write_atomically(file, data, temporary=temporary, durable=False)


def _checked(path: str) -> str:
    """Refuse what must not become a path on this machine, whoever committed it.

    Returns:
        The path.

    Raises:
        CorruptError: No lake can hold it.
    """
    try:
        return check_key(path)
    except InvalidInputError as error:
        raise CorruptError(
            f"the repository holds a key that none may have: {error.problem}",
            hint="remove the object in lakeFS, and commit",
        ) from error
