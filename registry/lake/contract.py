"""What every versioned object store must do; ``tests/contract/`` holds each one to it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from registry.lake.records import (
    Change,
    Commit,
    Damage,
    Entry,
    Location,
    MergePlan,
    RefUpdate,
    Statistics,
    Sweep,
)
from registry.progress import SILENT, Progress

__all__ = ["Lake", "Repository", "Transaction", "Workspace"]


class Transaction(Protocol):
    """Writes that become one commit, or nothing."""

    base: str
    """Commit whose tree the writes change."""

    commit: Commit | None
    """What it became; None until it has been closed without an error."""

    metadata: dict[str, str]
    """Commit metadata; may be added to until the transaction closes."""

    def put(self, path: str, data: bytes | BinaryIO) -> Entry:
        """Stage ``data`` at ``path``, replacing what is there."""
        ...

    def put_file(self, path: str, file: Path, *, move: bool = False) -> Entry:
        """Stage a file's bytes at ``path``; with ``move`` the file may be taken over."""
        ...

    def put_files(self, files: Mapping[str, Path], *, move: bool = False) -> list[Entry]:
        """Stage many files by path, several at once; the entries come in the given order."""
        ...

    def link(self, entry: Entry, *, path: str | None = None) -> None:
        """Stage an object that the repository already holds, without reading it."""
        ...

    def remove(self, path: str) -> None:
        """Stage the removal of one object, or of every object below ``path``.

        Raises:
            NotFoundError: There is nothing at or below ``path``.
        """
        ...


class Workspace(Protocol):
    """A writable view of a branch: a private folder whose changes become commits."""

    path: Path
    """The folder. Files below ``*/_delta_log`` or named by Delta are links that must not be
    written in place; every other file is the holder's own copy."""

    head: str
    """Commit that the folder was made from, or that it last became."""

    def commit(self, message: str, *, metadata: Mapping[str, str] | None = None) -> Commit:
        """Commit what differs from ``head`` by compare-and-swap on the branch.

        Returns:
            The new commit, or the head where nothing differs.

        Raises:
            ConflictError: The branch has moved since; nothing is lost, the folder stays.
        """
        ...


class Repository(Protocol):
    """One dataset's objects with their history."""

    name: str
    """Its name in the lake."""

    # ------------------------------------------------------------------ refs
    def resolve(self, ref: str) -> str:
        """Return the commit id that a branch, a tag, an id or a unique prefix (≥ 7) names.

        Raises:
            NotFoundError: No such ref.
        """
        ...

    def branches(self, prefix: str = "") -> dict[str, str]:
        """Return branch names with the commits they name."""
        ...

    def tags(self, prefix: str = "") -> dict[str, str]:
        """Return tag names with the commits they name."""
        ...

    def create_branch(self, name: str, *, at: str) -> None:
        """Make a branch at a ref; ConflictError if there is one of that name."""
        ...

    def delete_branch(self, name: str) -> None:
        """Delete a branch; ForbiddenError if it is protected."""
        ...

    def create_tag(self, name: str, *, at: str, message: str = "") -> None:
        """Make a tag, which never moves; ConflictError if there is one of that name."""
        ...

    def tag_message(self, name: str) -> str:
        """Return what was said when a tag was made; empty where nothing was, or nothing is kept.

        Raises:
            NotFoundError: No such tag.
        """
        ...

    def protect(self, branch: str) -> None:
        """Refuse transactions, resets and deletion of this branch from now on.

        A protected branch moves by :meth:`advance` alone.
        """
        ...

    def protected(self) -> frozenset[str]:
        """Return the names of protected branches."""
        ...

    def advance(self, branch: str, *, to: str, expected: str, operation: str = "advance") -> None:
        """Move a branch, protected or not, forward to a commit that descends from it.

        Args:
            branch: The branch.
            to: The commit; must have ``expected`` among its ancestors.
            expected: Where the branch must stand now (compare-and-swap).
            operation: What the reflog says.

        Raises:
            ConflictError: The branch stands elsewhere, or ``to`` does not descend from it.
        """
        ...

    def reset(self, branch: str, *, to: str) -> None:
        """Move a branch to any commit; the reflog keeps where it was."""
        ...

    def reflog(self, ref: str | None = None) -> Iterator[RefUpdate]:
        """Yield movements of refs, newest first."""
        ...

    def undo(self, branch: str) -> RefUpdate:
        """Take back the last movement of a branch; an undo can be undone."""
        ...

    def move_refs(
        self,
        moves: Mapping[str, tuple[str | None, str | None]],
        *,
        operation: str,
        edit: Callable[[str], str] = str,
    ) -> None:
        """Move branches and tags, protected ones too, to any commits: all of them or none.

        A process that is killed in the middle has moved all or none as well, for whoever looks
        next; on lakeFS whoever opens the repository next finishes what was written down before.

        Args:
            moves: By ref, ``branch/<name>`` or ``tag/<name>``, the commit that it must name now
                (compare-and-swap) and the one that it names from then on; None is "not there".
            operation: What the reflog says.
            edit: Applied to the message of a tag that moves, where the backend keeps one.

        Raises:
            ConflictError: One of them stands elsewhere; none was moved.
            NotFoundError: A commit is not here, or not whole; none was moved.
        """
        ...

    # --------------------------------------------------------------- reading
    def commit(self, ref: str) -> Commit:
        """Return the commit that a ref names."""
        ...

    def log(self, at: str, *, path: str | None = None) -> Iterator[Commit]:
        """Yield commits behind a ref, newest first, children before their parents.

        Args:
            at: Branch, tag or commit id.
            path: Only commits that changed this path or something below it.
        """
        ...

    def entries(self, at: str, prefix: str = "") -> Iterator[Entry]:
        """Yield the objects of a tree at or below ``prefix``, sorted by path."""
        ...

    def entry(self, path: str, *, at: str) -> Entry:
        """Return one object's entry; NotFoundError if it is not there."""
        ...

    def read(self, path: str, *, at: str) -> bytes:
        """Return one object's bytes, whole."""
        ...

    def open(self, path: str, *, at: str) -> BinaryIO:
        """Open one object for reading; seekable."""
        ...

    def content_id(self, at: str, *prefixes: str) -> str:
        """Return the SHA-256 over the sorted ``path NUL sha256 LF`` lines of a tree, in hex.

        Args:
            at: Branch, tag or commit id.
            prefixes: Only what is at or below one of these; all if none is given.
        """
        ...

    def diff(self, before: str, after: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield the paths that differ between two refs, sorted by path."""
        ...

    # --------------------------------------------------------------- writing
    def transaction(
        self,
        branch: str,
        *,
        message: str,
        author: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expected: str | None = None,
        merging: str | None = None,
        allow_empty: bool = False,
    ) -> AbstractContextManager[Transaction]:
        """Open a transaction that commits on exit and leaves no trace on error.

        Args:
            branch: Where the commit goes. Another transaction that committed meanwhile is
                built upon if the two touched different paths.
            message: Why.
            author: ``Name <address>``; by default from ``EOLAB_AUTHOR``, else Git's, else the
                system's user.
            metadata: What programs want to say about it.
            expected: Commit the branch must stand at when the transaction closes; when given,
                any other is a ConflictError.
            merging: Ref whose head becomes the second parent. The tree is what the branch has
                plus what is staged: the caller stages the outcome of the merge.
            allow_empty: Commit even if the tree does not change.

        Raises:
            ConflictError: The branch moved in a way that cannot be built upon.
            ForbiddenError: The branch is protected.
            NotFoundError: No such branch.
        """
        ...

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """Return the best common ancestor of two refs, or None."""
        ...

    def plan_merge(self, theirs: str, *, into: str) -> MergePlan:
        """Compare two refs with their common ancestor; writes nothing."""
        ...

    def merge(
        self,
        theirs: str,
        *,
        into: str,
        message: str,
        author: str | None = None,
        metadata: Mapping[str, str] | None = None,
        resolve: Mapping[str, str] | None = None,
        side: str | None = None,
    ) -> Commit:
        """Merge a ref into a branch, object by object, as one commit with two parents.

        Args:
            theirs: What is merged.
            into: The branch.
            message: Why.
            author: As in :meth:`transaction`.
            metadata: As in :meth:`transaction`.
            resolve: ``"ours"``, ``"theirs"`` or ``"base"`` by conflicting path, or by a folder
                above some. A Delta table that both sides wrote is one conflict over all its files
                and is resolved as a whole.
            side: The same for every other conflicting path.

        Returns:
            The merge commit; theirs itself where the branch could move forward to it; the
            branch's head where there is nothing to merge.

        Raises:
            ConflictError: Paths conflict and nobody said which side to take; they are listed
                in its ``conflicts`` attribute.
        """
        ...

    def revert(self, commit: str, *, branch: str, message: str | None = None) -> Commit:
        """Commit the inverse of a commit's change; ConflictError if it was built upon.

        Raises:
            ConflictError: What the commit changed has been changed again since, or it touched
                a ``_delta_log`` and is not the newest to do so.
        """
        ...

    # ------------------------------------------------------- between lakes
    def holds(self, digests: Iterable[str]) -> set[str]:
        """Return which objects, by SHA-256 in hex, are stored here already."""
        ...

    def graft(
        self,
        commit: Commit,
        *,
        parents: Sequence[str],
        changes: Iterable[Change],
        fetch: Callable[[Entry], BinaryIO] | None = None,
    ) -> Commit:
        """Record a commit that was made elsewhere, as it was; no ref moves.

        Author, time, message and metadata are kept, so on the embedded lake the same commit with
        the same parents has the same id whoever brought it. Done twice, it is there once.

        Args:
            commit: What was made elsewhere.
            parents: Its parents here, in its order; none for the first of a history.
            changes: How its tree differs from its first parent's; from nothing if it has none.
            fetch: Opens the bytes of an object that is not stored here; they are hashed on
                arrival. Several threads may call it at once. None where all of them are stored
                or are to be fetched when touched.

        Returns:
            The commit here.

        Raises:
            CorruptError: Bytes arrived that are not what their hash says.
            NotFoundError: A parent is not here, or an object is not and nobody can fetch it.
        """
        ...

    def bring(self, entries: Iterable[Entry], *, at: str) -> dict[str, Path]:
        """Bring objects to this machine, those that are not here several at once.

        Args:
            entries: Which, as a commit has them.
            at: That commit.

        Returns:
            By SHA-256 in hex, a file that holds the object's bytes, which nobody may write to.

        Raises:
            CorruptError: Bytes arrived that are not what their hash says.
            NotFoundError: The commit is not here, or has them no more.
        """
        ...

    # ------------------------------------------------------------------ views
    def locate(self, at: str) -> Location:
        """Return where engines read a ref: an immutable view, made once for each commit.

        Views are shared and kept in the lake; on the embedded lake they are hard links,
        reflinks or copies, in this order of preference.
        """
        ...

    def direct(self, at: str) -> Location:
        """Return where engines of other programs read a ref without a copy of it on this machine.

        Returns:
            An ``s3://`` address with its storage options on lakeFS; the folder of
            :meth:`locate` on the embedded lake.
        """
        ...

    def mount(self, at: str, folder: Path) -> None:
        """Lay a ref's files into an empty or new folder for people: copies, never links."""
        ...

    def workspace(self, branch: str) -> AbstractContextManager[Workspace]:
        """Open a private writable view of a branch; what is not committed goes with it."""
        ...

    # ------------------------------------------------------------ maintenance
    def fsck(self, *, progress: Progress = SILENT) -> Iterator[Damage]:
        """Yield everything that is not as it was stored; nothing if all is well."""
        ...

    def gc(
        self,
        *,
        grace: timedelta = timedelta(days=14),
        dry_run: bool = False,
        keep: Iterable[str] = (),
    ) -> Sweep:
        """Remove objects that no branch, tag or young reflog entry reaches.

        Args:
            grace: What is younger stays, whoever needs it.
            dry_run: Only count.
            keep: Further commits that are roots.
        """
        ...

    def forget(
        self, objects: Iterable[str], *, commits: Mapping[str, str | None] | None = None
    ) -> Sweep:
        """Remove objects and commits at once: no grace, no reflog entry, no view keeps them.

        Views, caches and journals of this machine that show them go too, whoever reads them. The
        reflog speaks of what stands in for a commit from then on, or not at all. Done twice, it
        is done once. On lakeFS the objects stay on the server's store until its operator collects
        garbage, which the result says; nothing of ours leads to them any more.

        Args:
            objects: SHA-256 in hex of what goes; what is not here is passed over.
            commits: Ids of commits that go, each with the one that stands in for it, or None.

        Returns:
            What was removed, with whatever else nobody needed.

        Raises:
            ConflictError: A ref still reaches one of them, or a running process works on one;
                nothing was removed.
        """
        ...

    def statistics(self) -> Statistics:
        """Return how large the repository is."""
        ...


class Lake(Protocol):
    """A set of repositories under one address."""

    address: str
    """What :func:`registry.lake.connect` was given, normalised."""

    def create(
        self,
        name: str,
        *,
        prepare: Callable[[Repository], None] | None = None,
        resumes: str | None = None,
    ) -> Repository:
        """Make a repository with an empty first commit on ``main``.

        Args:
            name: Its name.
            prepare: Fills it before anybody else sees it, so that it is there whole or not at all;
                it goes by another name until then.
            resumes: What the preparation is about, such as where a copy comes from. Where one
                of the same name about the same was killed, or stopped because something was
                unavailable, ``prepare`` may be given what that one left.

        Raises:
            ConflictError: There is one of that name.
        """
        ...

    def repository(self, name: str) -> Repository:
        """Return a repository; NotFoundError if there is none of that name."""
        ...

    def repositories(self) -> list[str]:
        """Return the names of the repositories, sorted."""
        ...

    def delete(self, name: str, *, expected: Mapping[str, str] | None = None) -> None:
        """Remove a repository with its history.

        Args:
            name: Its name.
            expected: Its branches with the commits they must name (compare-and-swap); any will
                do if None.

        Raises:
            ConflictError: Its branches are others, or stand elsewhere.
            NotFoundError: There is none of that name.
        """
        ...
