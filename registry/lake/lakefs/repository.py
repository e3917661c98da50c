"""One dataset's history on a lakeFS server: refs and bytes there, all comparing in the mirror.

What does not ask where refs and bytes are is the embedded lake's own: reading trees, planning and
deciding merges, inverting commits.
"""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, ClassVar

from registry.errors import ForbiddenError, UnavailableError
from registry.lake.lakefs import cache, grafting, maintenance, moving
from registry.lake.lakefs.landing import Landing
from registry.lake.lakefs.mirror import Mirror, folder_of, prepare
from registry.lake.lakefs.notes import Notes
from registry.lake.lakefs.objects import Want
from registry.lake.lakefs.refs import Refs
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.transaction import LakefsTransaction
from registry.lake.local import objects, sessions, trees, views
from registry.lake.local.disk import translated
from registry.lake.local.pointers import Pointer
from registry.lake.local.repository import LocalRepository
from registry.lake.local.transaction import Intent, check_message
from registry.lake.local.workspace import LocalWorkspace
from registry.lake.names import default_author, split_author
from registry.lake.records import (
    Change,
    Commit,
    Damage,
    Entry,
    Location,
    RefUpdate,
    Statistics,
    Sweep,
)
from registry.lake.system import translated_if_full
from registry.progress import SILENT, Progress

__all__ = ["LakefsRepository"]

DAY = 24 * 3600
"""Seconds between two sweeps of what killed processes left."""


class LakefsRepository(LocalRepository):
    """One repository on a lakeFS server; threads may share it."""

    keeps_parts: ClassVar[bool] = False  # a cache is one machine's: others would miss the rest

    def __init__(self, remote: Remote, *, name: str, namespace: str, address: str) -> None:
        endpoint = remote.server.place.endpoint
        super().__init__(prepare(folder_of(endpoint, remote.name, namespace)).root)
        self.name = name
        self._remote = remote
        self._git: Mirror = Mirror(self._layout, remote, lake=address, name=name)
        self._landing = Landing(self._git)
        self._notes = Notes(remote)
        self._refs = Refs(self._git, self._landing, self._notes)

    def finish(self) -> None:
        """Finish what somebody was killed at; once a day, sweep and shrink the cache."""
        moving.finish(self._refs)
        stamp = self._layout.own / "tidied"
        with translated("tidy the cache"):
            if stamp.exists() and stamp.stat().st_mtime > time.time() - DAY:
                return
            stamp.touch()
            cache.shrink(self._layout, cache.limit())
        with suppress(UnavailableError, ForbiddenError):  # the next day will do
            self._landing.sweep()

    # ------------------------------------------------------------------ refs
    def resolve(self, ref: str) -> str:
        """Return the commit id that a branch, a tag, an id or a unique prefix (≥ 7) names."""
        return self._refs.resolve(ref, repository=self.name)

    def branches(self, prefix: str = "") -> dict[str, str]:
        """Return branch names with the commits they name."""
        return self._refs.branches(prefix)

    def tags(self, prefix: str = "") -> dict[str, str]:
        """Return tag names with the commits they name."""
        return self._refs.tags(prefix)

    def create_branch(self, name: str, *, at: str) -> None:
        """Make a branch at a ref; ConflictError if there is one of that name."""
        self._refs.create_branch(name, self.resolve(at))

    def create_tag(self, name: str, *, at: str, message: str = "") -> None:
        """Make a tag, which never moves; ConflictError if there is one of that name."""
        self._refs.create_tag(name, self.resolve(at), message=message)

    def tag_message(self, name: str) -> str:
        """Return what was said when a tag was made; empty where nothing was."""
        return self._refs.tag_message(name)

    def delete_branch(self, name: str) -> None:
        """Delete a branch; ForbiddenError if it is protected."""
        self._refs.delete_branch(name)

    def protect(self, branch: str) -> None:
        """Refuse transactions, resets and deletion of this branch from now on."""
        self._refs.physical_head(branch)
        self._refs.protection.protect(branch)

    def protected(self) -> frozenset[str]:
        """Return the names of protected branches."""
        return self._refs.protection.names()

    def advance(self, branch: str, *, to: str, expected: str, operation: str = "advance") -> None:
        """Move a branch, protected or not, forward to a commit that descends from it."""
        target, stands = self.resolve(to), self.resolve(expected)
        self._refs.advance(branch, to=target, expected=stands, operation=operation)

    def reset(self, branch: str, *, to: str) -> None:
        """Move a branch to any commit; the reflog keeps where it was."""
        self._refs.protection.refuse(branch, "reset")
        self._refs.move(branch, to=self.resolve(to), expected=None, operation="reset")

    def reflog(self, ref: str | None = None) -> Iterator[RefUpdate]:
        """Return movements of refs, newest first."""
        return self._refs.movements(ref)

    def undo(self, branch: str) -> RefUpdate:
        """Take back the last movement of a branch; an undo can be undone.

        Returns:
            The movement that did.
        """
        return self._refs.undo(branch)

    def move_refs(
        self,
        moves: Mapping[str, tuple[str | None, str | None]],
        *,
        operation: str,
        edit: Callable[[str], str] = str,
    ) -> None:
        """Move branches and tags, protected ones too, to any commits: all of them or none."""
        moving.move_refs(self._refs, moves, operation=operation, edit=edit)

    def _head(self, branch: str) -> str:
        return self._refs.head(branch)

    def _refuse_protected(self, branch: str, doing: str) -> None:
        self._refs.protection.refuse(branch, doing)

    # --------------------------------------------------------------- reading
    def commit(self, ref: str) -> Commit:
        """Return the commit that a ref names."""
        return self._git.light(self.resolve(ref)).commit

    def log(self, at: str, *, path: str | None = None) -> Iterator[Commit]:
        """Yield commits behind a ref, newest first, children before their parents.

        Args:
            at: Branch, tag or commit id.
            path: Only commits that changed this path or something below it; a merge counts if
                its outcome differs from every parent's.
        """
        path = None if path is None else path.strip("/")
        for raw in self._git.walk(self.resolve(at)):
            if not path or self._changed(raw.commit, path):
                yield raw.commit

    def _changed(self, commit: Commit, path: str) -> bool:
        def find(one: str) -> trees.Node | None:
            return trees.find(self._git.tree, self._git.commit(one).tree, path)

        after = find(commit.id)
        before = [find(parent) for parent in commit.parents]
        return all(node != after for node in before) if before else after is not None

    def open(self, path: str, *, at: str) -> BinaryIO:
        """Open one object for reading; seekable.

        Returns:
            A stream of its bytes.
        """
        commit = self.resolve(at)
        entry = self.entry(path, at=commit)
        if not entry.size:
            return io.BytesIO()
        self._fetch([entry], at=commit)
        with translated(f"read {path}"):
            return objects.find(self._layout, Pointer(entry.sha256, entry.size)).open("rb")

    def bring(self, entries: Iterable[Entry], *, at: str) -> dict[str, Path]:
        """Bring objects to this machine.

        Returns:
            Their files by SHA-256 in hex.
        """
        wanted = list(entries)
        self._fetch(wanted, at=self.resolve(at))
        with translated("bring objects"):
            pointers = {Pointer(entry.sha256, entry.size) for entry in wanted}
            return {
                one.sha256: objects.find(self._layout, one) if one.size else self._git.bytes.empty()
                for one in pointers
            }

    def part(self, path: str, *, at: str, offset: int, length: int) -> bytes:
        """Return some bytes of one object without bringing the rest; their hash is not checked."""
        return self._git.bytes.part(path, at=self.resolve(at), offset=offset, length=length)

    def _fetch(self, entries: Iterable[Entry], *, at: str) -> None:
        wanted = {one.sha256: one for one in entries if one.size}
        self._git.bytes.fetch(
            [Want(path=one.path, sha256=one.sha256, size=one.size) for one in wanted.values()],
            at=at,
        )

    # --------------------------------------------------------------- writing
    @contextmanager
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
        operation: str = "commit",
    ) -> Iterator[LakefsTransaction]:
        """Open a transaction that commits on exit and leaves no trace on error.

        Yields:
            The transaction; its ``commit`` is set when the block has ended.
        """
        name, address = split_author(default_author() if author is None else author)
        intent = Intent(
            branch=branch,
            message=check_message(message),
            author=f"{name} <{address}>",
            expected=None if expected is None else self.resolve(expected),
            merging=None if merging is None else self.resolve(merging),
            allow_empty=allow_empty,
            operation=operation,
        )
        self._refuse_protected(branch, "commit to")
        with sessions.opened(self._layout) as session:
            transaction = LakefsTransaction(
                self._git, session, intent, metadata or {},
                refs=self._refs, landing=self._landing,
            )  # fmt: skip
            yield transaction
            self._refuse_protected(branch, "commit to")
            transaction.close()

    # ---------------------------------------------------------- between lakes
    def holds(self, digests: Iterable[str]) -> set[str]:
        """Return which objects, by SHA-256 in hex, some branch or tag has."""
        return grafting.holds(self._refs, digests)

    def graft(
        self,
        commit: Commit,
        *,
        parents: Sequence[str],
        changes: Iterable[Change],
        fetch: Callable[[Entry], BinaryIO] | None = None,
    ) -> Commit:
        """Record a commit that was made elsewhere, as it was; no ref moves.

        Returns:
            The commit here.
        """
        return grafting.graft(
            self._refs, self._landing, self._pins, commit,
            parents=parents, changes=changes, fetch=fetch,
        )  # fmt: skip

    # ------------------------------------------------------------------ views
    def locate(self, at: str) -> Location:
        """Return where engines read a ref: an immutable view in the cache of this machine."""
        commit = self.resolve(at)
        with translated(f"lay out {self.name}@{at}"):
            return Location(uri=str(views.locate(self._git, commit)))

    def direct(self, at: str) -> Location:
        """Return where other programs' engines read a ref: the server's S3 gateway."""
        place = self._remote.server.place
        options = {
            "AWS_ENDPOINT_URL": place.endpoint,
            "AWS_ACCESS_KEY_ID": place.key,
            "AWS_SECRET_ACCESS_KEY": place.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true" if place.endpoint.startswith("http://") else "false",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        }
        return Location(uri=f"s3://{self._remote.name}/{self.resolve(at)}", storage_options=options)

    def mount(self, at: str, folder: Path) -> None:
        """Lay a ref's files into an empty or new folder for people: copies, never links."""
        commit = self.resolve(at)
        with translated(f"write to {folder}"):
            views.mount(self._git, commit, Path(folder).absolute())

    @contextmanager
    def workspace(self, branch: str) -> Iterator["LakefsWorkspace"]:
        """Open a private writable view of a branch; what is not committed goes with it.

        Yields:
            The workspace.
        """

        def transact(
            *, message: str, metadata: Mapping[str, str] | None, expected: str
        ) -> AbstractContextManager[LakefsTransaction]:
            return self.transaction(branch, message=message, metadata=metadata, expected=expected)

        head = self._head(branch)
        with sessions.opened(self._layout) as session:
            with translated(f"open a workspace of '{branch}'"):
                workspace = LakefsWorkspace(
                    self._git, session, branch=branch, transact=transact, head=head
                )
            with translated_if_full(f"write into a workspace of '{branch}'"):
                yield workspace

    # ------------------------------------------------------------ maintenance
    def fsck(self, *, progress: Progress = SILENT) -> Iterator[Damage]:
        """Return everything that is not as it was stored; reads every object on the server."""
        return maintenance.damages(self._refs, progress)

    def gc(
        self,
        *,
        grace: timedelta = timedelta(days=14),
        dry_run: bool = False,
        keep: Iterable[str] = (),
    ) -> Sweep:
        """Give up what no branch, tag or young reflog entry reaches, and sweep what is left over.

        The bytes stay on the server until its own collection of garbage runs.

        Returns:
            What nothing leads to any more.
        """
        roots = [self.resolve(ref) for ref in keep]
        return maintenance.collect(
            self._refs, self._landing, grace=grace, dry_run=dry_run, keep=roots
        )

    def forget(
        self, objects: Iterable[str], *, commits: Mapping[str, str | None] | None = None
    ) -> Sweep:
        """Let nothing of ours lead to objects and commits; their bytes are the server's.

        Returns:
            What was removed from this machine.
        """
        self._pins.let_go(commits or ())
        return maintenance.forget(self._refs, objects, commits=commits or {})

    def statistics(self) -> Statistics:
        """Return how large the repository is."""
        return maintenance.measure(self._refs)


class LakefsWorkspace(LocalWorkspace):
    """A private folder made from a branch on a server; lives as long as its session."""

    def __init__(
        self,
        git: Mirror,
        session: sessions.Session,
        *,
        branch: str,
        transact: Callable[..., AbstractContextManager[LakefsTransaction]],
        head: str,
    ) -> None:
        self._stood = head
        super().__init__(git, session, branch=branch, transact=transact)

    def _stands(self) -> str:
        return self._stood
