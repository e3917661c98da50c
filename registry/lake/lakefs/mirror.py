"""The embedded mirror of a repository on a server: what was read once is not asked for again.

A mirror is a folder of the embedded lake's own kind without refs. Commits keep the server's ids;
trees are written as Git trees, so that comparing, merging and laying views cost what differs;
objects lie in it by their hash when somebody has needed their bytes.

The history that people see is the logical one: a server cannot move a branch forward to a commit,
it can only make a merge. Such merges are *aliases* of the commit that they bring.
"""

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pygit2

from registry.errors import CorruptError, InvalidInputError, NotFoundError
from registry.lake.lakefs.answers import GoneError
from registry.lake.lakefs.names import OWN, is_hidden_key
from registry.lake.lakefs.objects import Bytes, Want
from registry.lake.lakefs.remote import Held, Remote, ServerCommit, is_commit_id
from registry.lake.local import ancestry, commits, disk, pointers, trees
from registry.lake.local.commits import RawCommit
from registry.lake.local.git import Batch, Git
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import EMPTY_SHA256, Pointer
from registry.lake.names import check_key, check_metadata, split_author
from registry.lake.records import Commit
from registry.lake.system import translated

__all__ = ["ALIAS", "ONTO", "Mirror", "folder_of", "metadata_of", "prepare"]

ALIAS = "eolab-commit"
"""On a merge that only moves a branch: the commit that the branch stands at."""

ONTO = "eolab-onto"
"""The first parent that a commit's own words hold for; a copy of it elsewhere says nothing."""

PARENTS = "eolab-parents"
AUTHOR = "eolab-author"
AT = "eolab-at"
MESSAGE = "eolab-message"
QUOTED = "eolab-key-"
"""Before keys of the user's metadata that begin like ours."""

AHEAD = 100
"""Commits that are read at once when one is asked for: its history is wanted next."""

LAST_SECOND = 253_402_300_799
"""Of the year 9999, the last that Python knows."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TREE = re.compile(r"[0-9a-f]{40}")


def folder_of(*about: str) -> Path:
    """Return where the mirror of a repository lies, below ``EOLAB_CACHE`` or the user's cache.

    Args:
        about: What tells this repository from all others.
    """
    import hashlib

    stated = os.environ.get("EOLAB_CACHE")
    general = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eolab"
    home = Path(stated).expanduser().absolute() if stated else general
    name = hashlib.sha256("\x00".join(about).encode()).hexdigest()[:20]
    return home / "lakefs" / name


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


def metadata_of(commit: Commit, *, token: str, onto: str) -> dict[str, str]:
    """Return what the server is told about a commit besides its message.

    Args:
        commit: Its id does not matter.
        token: By which the write is recognised.
        onto: The head of the branch of the server that it is committed on.
    """
    said = {QUOTED + key if key.startswith(OWN) else key: v for key, v in commit.metadata.items()}
    return {
        **said,
        "eolab-id": token,
        ONTO: onto,
        PARENTS: " ".join(commit.parents),
        AUTHOR: commit.author,
        AT: str(int(commit.at.timestamp())),
    }


class Mirror(Git):
    """Reads commits, trees and objects of one repository; threads may share it."""

    def __init__(self, layout: Layout, remote: Remote, *, lake: str, name: str) -> None:
        super().__init__(layout)
        self.remote = remote
        self._found_at = (lake, name)
        self._having: dict[bytes, str] = {}
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
        found = self.physical(commit)
        alias = found.metadata.get(ALIAS, "")
        if is_commit_id(alias) and _holds(found):
            return alias
        return commit

    def light(self, oid: str) -> RawCommit:
        """Return a commit without its tree, which costs a listing the first time."""
        known = self._logical.get(oid)
        if known is None:
            known = self._logical[oid] = RawCommit(self._spoken(self.physical(oid)), b"")
        return known

    def _spoken(self, found: ServerCommit) -> Commit:
        told = found.metadata
        parents = told.get(PARENTS, "?").split()
        ours = _holds(found) and all(is_commit_id(parent) for parent in parents)
        if not ours:
            return _foreign(found, tuple(dict.fromkeys(self.logical(p) for p in found.parents)))
        try:
            name, address = split_author(told.get(AUTHOR, ""))
            metadata = check_metadata({
                key.removeprefix(QUOTED): value
                for key, value in told.items()
                if not key.startswith((OWN, ".")) or key.startswith(QUOTED)
            })
            at = datetime.fromtimestamp(int(told.get(AT, "")), tz=UTC)
        except (InvalidInputError, ValueError, OverflowError) as error:
            raise CorruptError(
                f"commit {found.id[:10]} cannot be read", hint="run eolab fsck"
            ) from error
        return Commit(
            id=found.id, parents=tuple(parents), message=found.message,
            author=f"{name} <{address}>", at=at, metadata=metadata,
        )  # fmt: skip

    def commit(self, oid: str) -> RawCommit:
        """Return a commit with its tree, which is listed on the server if nobody has done so.

        Returns:
            Both.
        """
        light = self.light(oid)
        known = self._commits.get(oid)
        if known is None:
            known = self._commits[oid] = replace(light, tree=self._tree_of(oid))
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
        try:
            text = self._tree_file(commit).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            text = ""
        if _TREE.fullmatch(text):
            tree = bytes.fromhex(text)
            with suppress(CorruptError):  # the cache was emptied in part
                self.tree(tree)
                return tree
        return self._list_tree(commit)

    def _list_tree(self, commit: str) -> bytes:
        """Write down the tree that the server lists.

        Returns:
            Its id in the mirror.

        Raises:
            CorruptError: It holds a key that no file system can.
        """
        edits, batch = trees.Edits(), Batch(self)
        unknown: list[Held] = []
        for held in self.remote.listing(commit):
            if is_hidden_key(held.path):
                continue
            _check(held)
            pointer = self._pointer_of(held)
            if pointer is None:
                unknown.append(held)
            else:
                edits.put(held.path, pointers.encode(pointer))
        for held, pointer in zip(unknown, self._hash(commit, unknown), strict=True):
            edits.put(held.path, pointers.encode(pointer))
        try:
            tree = trees.apply(batch.tree, batch.add, None, edits)
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

    def _pointer_of(self, held: Held) -> Pointer | None:
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


def _holds(found: ServerCommit) -> bool:
    """Return whether what a commit says of itself was said where it lies now."""
    return found.metadata.get(ONTO) == (found.parents[0] if found.parents else "")


def _check(held: Held) -> None:
    """Refuse what must not become a path on this machine, whoever committed it.

    Raises:
        CorruptError: No lake can hold it.
    """
    try:
        check_key(held.path)
    except InvalidInputError as error:
        raise CorruptError(
            f"the repository holds a key that none may have: {error.problem}",
            hint="remove the object in lakeFS, and commit",
        ) from error
    if held.size < 0:
        raise CorruptError(
            f"'{held.path}' is said to have {held.size} bytes", hint="look at it in lakeFS"
        )


def _foreign(found: ServerCommit, parents: tuple[str, ...]) -> Commit:
    """Return a commit that another program made, in words that can be kept."""
    who = re.sub(r"[<>\s]+", " ", _line(found.committer)).strip() or "lakefs"
    metadata: dict[str, str] = {}
    for key, value in found.metadata.items():
        if key.startswith((OWN, ".")):
            continue
        with suppress(InvalidInputError):
            metadata |= check_metadata({key: _line(value)})
    message = "\n".join(_line(line) for line in found.message.split("\n")).strip("\n")
    return Commit(
        id=found.id, parents=parents, message=message if message.strip() else "(no message)",
        author=f"{who} <{who.replace(' ', '.')}@lakefs>",
        at=datetime.fromtimestamp(min(max(found.at, 0), LAST_SECOND), tz=UTC),
        metadata=metadata,
    )  # fmt: skip


def _line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
