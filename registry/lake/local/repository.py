"""One dataset's history in the embedded lake: the contract's words, each handed to its module."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, ClassVar

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.lake.local import (
    forgetting,
    fsck,
    gc,
    grafting,
    history,
    merge,
    objects,
    promises,
    reach,
    refs,
    sessions,
    statistics,
    trees,
    views,
)
from registry.lake.local.disk import translated
from registry.lake.local.git import Batch, Git
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.promises import Origin
from registry.lake.local.transaction import Intent, LocalTransaction, check_message
from registry.lake.local.workspace import LocalWorkspace
from registry.lake.names import check_branch, check_tag, default_author, split_author
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
from registry.lake.system import translated_if_full
from registry.progress import SILENT, Progress

__all__ = ["LocalRepository"]


class LocalRepository:
    """One repository of an embedded lake; threads may share it."""

    keeps_parts: ClassVar[bool] = True
    """Whether it may hold a part of a dataset, and remembers from where the rest comes."""

    def __init__(self, root: Path) -> None:
        self.name: str = root.name
        self._layout = Layout(root)
        self._git = Git(self._layout)
        self._pins = grafting.Pins(self._layout)
        self._leaving = False

    # ------------------------------------------------------------------ refs
    def resolve(self, ref: str) -> str:
        """Return the commit id that a branch, a tag, an id or a unique prefix (≥ 7) names."""
        return history.resolve(self._git, ref)

    def branches(self, prefix: str = "") -> dict[str, str]:
        """Return branch names with the commits they name."""
        found = refs.in_folder(self._layout, "refs/heads/")
        names = ((ref.removeprefix("refs/heads/"), oid) for ref, oid in found.items())
        return {name: oid for name, oid in names if name.startswith(prefix)}

    def tags(self, prefix: str = "") -> dict[str, str]:
        """Return tag names with the commits they name."""
        found = refs.in_folder(self._layout, "refs/tags/")
        names = ((ref.removeprefix("refs/tags/"), oid) for ref, oid in found.items())
        return {name: self._git.peel(oid) for name, oid in names if name.startswith(prefix)}

    def create_branch(self, name: str, *, at: str) -> None:
        """Make a branch at a ref; ConflictError if there is one of that name."""
        check_branch(name)
        self._make_ref(refs.branch(name), self.resolve(at), "branch")

    def create_tag(self, name: str, *, at: str, message: str = "") -> None:
        """Make a tag, which never moves; ConflictError if there is one of that name."""
        check_tag(name)
        target = self.resolve(at)
        author = default_author()
        with translated(f"make tag '{name}'"), self._git.adding():
            reach.require(self._git, target)
            if message:
                batch = Batch(self._git)
                tag = history.annotated_tag(name, target, message, author)
                target = batch.add("tag", tag).hex()
                batch.write()
            with refs.locked(self._layout) as held:
                held.move(refs.tag(name), expected=None, to=target, operation="tag", author=author)

    def _make_ref(self, ref: str, target: str, operation: str) -> None:
        with (
            translated(f"make {refs.spoken(ref)}"),
            self._git.adding(),
            refs.locked(self._layout) as held,
        ):
            reach.require(self._git, target)
            held.move(ref, expected=None, to=target, operation=operation, author=default_author())

    def delete_branch(self, name: str) -> None:
        """Delete a branch; ForbiddenError if it is protected."""
        with (
            translated(f"delete branch '{name}'"),
            self._git.adding(),
            refs.locked(self._layout) as held,
        ):
            held.refuse_protected(name, "delete")
            head = refs.existing(self._layout, name)
            held.move(
                refs.branch(name), expected=head, to=None, operation="delete",
                author=default_author(),
            )  # fmt: skip

    def tag_message(self, name: str) -> str:
        """Return what was said when a tag was made; empty where nothing was."""
        return history.tag_message(self._git, name)

    def protect(self, branch: str) -> None:
        """Refuse transactions, resets and deletion of this branch from now on."""
        refs.existing(self._layout, branch)
        with translated(f"protect branch '{branch}'"), self._git.adding():
            refs.protect(self._layout, branch)

    def protected(self) -> frozenset[str]:
        """Return the names of protected branches."""
        return refs.protected(self._layout)

    def advance(self, branch: str, *, to: str, expected: str, operation: str = "advance") -> None:
        """Move a branch, protected or not, forward to a commit that descends from it.

        Raises:
            ConflictError: The branch stands elsewhere, or ``to`` does not descend from there.
        """
        target, stands = self.resolve(to), self.resolve(expected)
        refs.existing(self._layout, branch)
        if not self._git.descends(target, stands):
            raise ConflictError(
                f"{target[:10]} does not descend from {stands[:10]}, where '{branch}' should stand",
                hint="merge first, then advance to the merge",
            )
        with (
            translated(f"advance '{branch}'"),
            self._git.adding(),
            refs.locked(self._layout) as held,
        ):
            reach.require(self._git, target)
            held.move(
                refs.branch(branch), expected=stands, to=target, operation=operation,
                author=default_author(),
            )  # fmt: skip

    def reset(self, branch: str, *, to: str) -> None:
        """Move a branch to any commit; the reflog keeps where it was."""
        target = self.resolve(to)
        with (
            translated(f"reset '{branch}'"),
            self._git.adding(),
            refs.locked(self._layout) as held,
        ):
            held.refuse_protected(branch, "reset")
            reach.require(self._git, target)
            head = refs.existing(self._layout, branch)
            held.move(
                refs.branch(branch), expected=head, to=target, operation="reset",
                author=default_author(),
            )  # fmt: skip

    def reflog(self, ref: str | None = None) -> Iterator[RefUpdate]:
        """Return movements of refs, newest first."""
        return history.movements(self._git, ref)

    def undo(self, branch: str) -> RefUpdate:
        """Take back the last movement of a branch; an undo can be undone.

        Returns:
            The movement that took it back.
        """
        with translated(f"undo on '{branch}'"), self._git.adding():
            return history.undo(self._git, check_branch(branch))

    def move_refs(
        self,
        moves: Mapping[str, tuple[str | None, str | None]],
        *,
        operation: str,
        edit: Callable[[str], str] = str,
    ) -> None:
        """Move branches and tags, protected ones too, to any commits: all of them or none."""
        with translated("move refs"):
            forgetting.move_refs(self._git, moves, operation=operation, edit=edit)

    # --------------------------------------------------------------- reading
    def commit(self, ref: str) -> Commit:
        """Return the commit that a ref names."""
        return self._git.commit(self.resolve(ref)).commit

    def log(self, at: str, *, path: str | None = None) -> Iterator[Commit]:
        """Return commits behind a ref, newest first, children before their parents."""
        return history.log(self._git, self.resolve(at), path)

    def entries(self, at: str, prefix: str = "") -> Iterator[Entry]:
        """Yield the objects of a tree at or below ``prefix``, sorted by path."""
        for path, oid in trees.walk(self._git.tree, self._tree(at), prefix):
            pointer = self._git.pointer(oid)
            yield Entry(path=path, sha256=pointer.sha256, size=pointer.size)

    def entry(self, path: str, *, at: str) -> Entry:
        """Return one object's entry; NotFoundError if it is not there.

        Raises:
            NotFoundError: It is not there.
        """
        node = trees.find(self._git.tree, self._tree(at), path) if path else None
        if node is None or node.folder:
            what = "a folder" if node is not None else "not there"
            raise NotFoundError(
                f"'{path}' is {what} at {self.name}@{at}", hint="list what there is"
            )
        pointer = self._git.pointer(node.id)
        return Entry(path=path, sha256=pointer.sha256, size=pointer.size)

    def read(self, path: str, *, at: str) -> bytes:
        """Return one object's bytes, whole."""
        with self.open(path, at=at) as stream:
            return stream.read()

    def open(self, path: str, *, at: str) -> BinaryIO:
        """Open one object for reading; seekable.

        Returns:
            A stream of its bytes.
        """
        entry = self.entry(path, at=at)
        if not entry.size:
            return io.BytesIO()
        pointer = Pointer(entry.sha256, entry.size)
        with translated(f"read {path}"):
            self._git.fetch({path: pointer}, b"")
            return objects.find(self._layout, pointer).open("rb")

    def content_id(self, at: str, *prefixes: str) -> str:
        """Return the SHA-256 over the sorted ``path NUL sha256 LF`` lines of a tree, in hex."""
        lines = {
            entry.path.encode(): entry.sha256.encode()
            for prefix in prefixes or ("",)
            for entry in self.entries(at, prefix)
        }
        digest = sha256()
        for path, content in sorted(lines.items()):
            digest.update(path + b"\x00" + content + b"\n")
        return digest.hexdigest()

    def diff(self, before: str, after: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield the paths that differ between two refs, sorted by path.

        Returns:
            The changes.
        """
        return merge.changes(self._git, self._tree(before), self._tree(after), prefix)

    def _tree(self, at: str) -> bytes:
        return self._git.commit(self.resolve(at)).tree

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
    ) -> Iterator[LocalTransaction]:
        """Open a transaction that commits on exit and leaves no trace on error.

        Yields:
            The transaction; its ``commit`` is set when the block has ended.
        """
        intent = Intent(
            branch=branch,
            message=check_message(message),
            author=_author(author),
            expected=None if expected is None else self.resolve(expected),
            merging=None if merging is None else self.resolve(merging),
            allow_empty=allow_empty,
            operation=operation,
        )
        self._refuse_protected(branch, "commit to")
        with sessions.opened(self._layout) as session:
            transaction = LocalTransaction(self._git, session, intent, metadata or {})
            yield transaction
            transaction.close()

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """Return the best common ancestor of two refs, or None."""
        return self._git.merge_base(self.resolve(ours), self.resolve(theirs))

    def plan_merge(self, theirs: str, *, into: str) -> MergePlan:
        """Compare two refs with their common ancestor; writes nothing.

        Returns:
            What a merge would do.
        """
        left, right = self.resolve(into), self.resolve(theirs)
        return merge.plan(
            self._git, base=self._git.merge_base(left, right), ours=left, theirs=right
        )

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

        Returns:
            The merge commit; ``theirs`` itself where the branch could move forward to it; the
            branch's head where there is nothing to merge.
        """
        head, source = self._head(into), self.resolve(theirs)
        self._refuse_protected(into, "merge into")
        base = self._git.merge_base(head, source)
        if base == source:
            return self.commit(head)
        if base == head:
            self.advance(into, to=source, expected=head, operation="merge")
            return self.commit(source)
        merging = merge.plan(self._git, base=base, ours=head, theirs=source)
        writes = merge.decide(merging, resolve=resolve or {}, side=side)
        with self.transaction(
            into, message=message, author=author, metadata=metadata, expected=head,
            merging=source, operation="merge",
        ) as transaction:  # fmt: skip
            _apply(transaction, writes)
        return self.commit(into) if transaction.commit is None else transaction.commit

    def revert(self, commit: str, *, branch: str, message: str | None = None) -> Commit:
        """Commit the inverse of a commit's change; ConflictError if it was built upon.

        Returns:
            The new commit.

        Raises:
            ConflictError: What it changed has been changed again, or it is not behind the branch.
            InvalidInputError: It has no parent, or two.
        """
        undone, head = self.commit(commit), self._head(branch)
        if len(undone.parents) != 1:
            raise InvalidInputError(
                f"{undone.id[:10]} has {len(undone.parents)} parents; what it changed is not clear",
                hint="revert a commit with one parent, or reset the branch",
            )
        if not self._git.descends(head, undone.id):
            raise ConflictError(
                f"{undone.id[:10]} is not in the history of '{branch}'", hint="see eolab log"
            )
        changed = merge.changes(
            self._git, self._git.commit(undone.parents[0]).tree, self._git.commit(undone.id).tree
        )
        writes = merge.refuse_stale_inverse(self._git, undone.id, head, changed)
        summary = message or f"Revert: {undone.message.splitlines()[0]}"
        with self.transaction(
            branch, message=summary, metadata={"reverts": undone.id}, expected=head,
            operation="revert",
        ) as transaction:  # fmt: skip
            _apply(transaction, writes)
        return self.commit(branch) if transaction.commit is None else transaction.commit

    def _head(self, branch: str) -> str:
        return refs.existing(self._layout, branch)

    def _refuse_protected(self, branch: str, doing: str) -> None:
        refs.Locked(self._layout).refuse_protected(branch, doing)

    # ---------------------------------------------------------- between lakes
    def holds(self, digests: Iterable[str]) -> set[str]:
        """Return which objects, by SHA-256 in hex, are stored here already."""
        return grafting.holds(self._layout, digests)

    def graft(
        self,
        commit: Commit,
        *,
        parents: Sequence[str],
        changes: Iterable[Change],
        fetch: Callable[[Entry], BinaryIO] | None = None,
    ) -> Commit:
        """Record a commit that was made elsewhere, as it was; no ref moves.

        While this repository is in use, what was grafted is kept from garbage collection.

        Returns:
            The commit here.
        """
        return grafting.graft(
            self._git, self._pins, commit, parents=parents, changes=changes, fetch=fetch,
            leaving=self._leaving,
        )  # fmt: skip

    @property
    def origin(self) -> Origin | None:
        """Where it came from; None if it was made here."""
        return promises.origin(self._layout)

    def came_from(self, origin: Origin) -> None:
        """Remember where it came from."""
        with translated("write down where the dataset came from"):
            promises.remember(self._layout, origin)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Leave what is grafted meanwhile at the origin, as far as the origin's record says so."""
        self._leaving = True
        try:
            yield
        finally:
            self._leaving = False

    def bring(self, entries: Iterable[Entry], *, at: str) -> dict[str, Path]:  # noqa: ARG002 — objects go by their hash here
        """Return the stored files of objects by SHA-256; nobody may write to them."""
        pointers = {Pointer(entry.sha256, entry.size) for entry in entries}
        with translated("bring objects"):
            self._git.fetch({one.sha256: one for one in pointers}, b"")
            return {one.sha256: objects.find(self._layout, one) for one in pointers}

    # ------------------------------------------------------------------ views
    def locate(self, at: str) -> Location:
        """Return where engines read a ref: an immutable view, made once for each commit."""
        with translated(f"lay out {self.name}@{at}"):
            return Location(uri=str(views.locate(self._git, self.resolve(at))))

    def direct(self, at: str) -> Location:
        """Return where other programs' engines read a ref: the view's folder."""
        return self.locate(at)

    def mount(self, at: str, folder: Path) -> None:
        """Lay a ref's files into an empty or new folder for people: copies, never links."""
        with translated(f"write to {folder}"):
            views.mount(self._git, self.resolve(at), Path(folder).absolute())

    @contextmanager
    def workspace(self, branch: str) -> Iterator[LocalWorkspace]:
        """Open a private writable view of a branch; what is not committed goes with it.

        Yields:
            The workspace.
        """

        def transact(
            *, message: str, metadata: Mapping[str, str] | None, expected: str
        ) -> AbstractContextManager[LocalTransaction]:
            return self.transaction(branch, message=message, metadata=metadata, expected=expected)

        with sessions.opened(self._layout) as session:
            with translated(f"open a workspace of '{branch}'"):
                workspace = LocalWorkspace(self._git, session, branch=branch, transact=transact)
            with translated_if_full(f"write into a workspace of '{branch}'"):
                yield workspace

    # ------------------------------------------------------------ maintenance
    def fsck(self, *, progress: Progress = SILENT) -> Iterator[Damage]:
        """Yield everything that is not as it was stored; nothing if all is well.

        Returns:
            What is wrong.
        """
        return fsck.damages(self._git, progress)

    def gc(
        self,
        *,
        grace: timedelta = timedelta(days=14),
        dry_run: bool = False,
        keep: Iterable[str] = (),
    ) -> Sweep:
        """Remove objects that no branch, tag or young reflog entry reaches.

        Returns:
            What was removed, or would be.
        """
        roots = [self.resolve(ref) for ref in keep]
        with translated("collect garbage"):
            return gc.collect(self._git, grace=grace, dry_run=dry_run, keep=roots)

    def forget(
        self, objects: Iterable[str], *, commits: Mapping[str, str | None] | None = None
    ) -> Sweep:
        """Remove objects and commits at once: no grace, no reflog entry, no view keeps them.

        Returns:
            What was removed.
        """
        self._pins.let_go(commits or ())
        with translated("forget objects"):
            return forgetting.forget(self._git, objects, commits=commits or {})

    def statistics(self) -> Statistics:
        """Return how large the repository is."""
        with translated("measure the repository"):
            return statistics.measure(self._git)


def _author(stated: str | None) -> str:
    name, address = split_author(default_author() if stated is None else stated)
    return f"{name} <{address}>"


def _apply(transaction: LocalTransaction, writes: Iterable[tuple[str, Entry | None]]) -> None:
    """Stage removals first, so that an object may take the place of a folder."""
    ordered = sorted(writes, key=lambda write: write[1] is not None)
    for path, entry in ordered:
        if entry is None:
            transaction.remove(path)
        else:
            transaction.link(entry, path=path)
