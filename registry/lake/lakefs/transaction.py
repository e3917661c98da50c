"""Writes that become one commit on a server, or nothing."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from registry.errors import ConflictError, CorruptError
from registry.lake.lakefs.landing import Copied, Landing, LostRaceError, Stage, pause
from registry.lake.lakefs.mirror import Mirror
from registry.lake.lakefs.refs import Refs
from registry.lake.local import objects, trees
from registry.lake.local.disk import translated
from registry.lake.local.git import Batch
from registry.lake.local.pointers import Pointer
from registry.lake.local.sessions import Session
from registry.lake.local.transaction import Intent, LocalTransaction
from registry.lake.names import check_key, check_metadata
from registry.lake.records import Commit, Entry

__all__ = ["LakefsTransaction"]

ROUNDS = 60
"""How often a commit is made anew because writers on other machines were faster."""


class LakefsTransaction(LocalTransaction):
    """Stages objects in a session's folder and commits them at once; threads may share it."""

    def __init__(
        self,
        mirror: Mirror,
        session: Session,
        intent: Intent,
        metadata: Mapping[str, str],
        *,
        refs: Refs,
        landing: Landing,
    ) -> None:
        self._mirror = mirror
        self._refs = refs
        self._landing = landing
        self._known: dict[Pointer, Copied] = {}
        super().__init__(mirror, session, intent, metadata)

    def _stands(self) -> str:
        return self._refs.head(self._intent.branch)

    def link(self, entry: Entry, *, path: str | None = None) -> None:
        """Stage an object that the repository already holds, without reading it.

        Raises:
            CorruptError: The repository does not hold it.
        """
        target = check_key(entry.path if path is None else path)
        pointer = Pointer(entry.sha256, entry.size)
        if pointer.size and pointer not in self._staged.values():
            near = [self.base, self._intent.merging]
            place = self._refs.where(pointer, near=near, path=entry.path)
            if place is not None:
                self._known[pointer] = place
            elif objects.is_whole(self._git.layout, pointer):
                with translated(f"link {target}"), self._git.adding():
                    objects.keep(self._git.layout, pointer, self._folder)
            else:
                raise CorruptError(
                    f"object {pointer.sha256} is not in the repository",
                    hint="put its bytes instead of linking it",
                )
        self._put(target, pointer)

    def close(self) -> Commit:
        """Commit what is staged.

        Objects go to a hidden branch of this transaction's own; one merge brings all of them to
        the branch, so a kill at any point leaves the old state or the new one.

        Returns:
            The new commit; the branch's head where nothing differs.
        """
        check_metadata(self.metadata)
        branch = self._intent.branch
        with translated(f"commit to '{branch}'"):
            onto = self._refs.physical_head(branch)
            head, tree = self._foreseen(onto)
            made = head if tree is None else self._write(branch, onto, head, tree)
            self._mirror.bytes.adopt(self._folder, self._held)
            self._mirror.tidy()
        self.commit = self._mirror.light(made).commit
        return self.commit

    def _foreseen(self, onto: str) -> tuple[str, bytes | None]:
        """Return where a branch stands and the tree it gets; None if there is nothing to do."""
        head = self._standing(self._mirror.logical(onto))
        before = self._mirror.commit(head).tree
        batch = Batch(self._git)
        made = trees.apply(batch.tree, batch.add, before, self._edits)
        tree = batch.add("tree", b"") if made is None else made
        if tree == before and not self._intent.merging and not self._intent.allow_empty:
            return head, None
        with self._git.adding():
            batch.write()
        return head, tree

    def _write(self, branch: str, onto: str, head: str, tree: bytes) -> str:
        """Bring a tree onto the branch, again and again while others are faster.

        Returns:
            Where the branch stands then.

        Raises:
            ConflictError: Others were faster all the time.
        """
        with self._landing.own_branch(onto) as first:
            puts, gone = self._changes(head, tree)
            self._landing.stage(first, puts, gone)
            with self._landing.alone(branch):
                for attempt in range(ROUNDS):
                    now = self._refs.physical_head(branch)
                    if now != onto:
                        head, wanted = self._foreseen(now)
                        if wanted is None:
                            return head
                        with self._landing.own_branch(now) as fresh:
                            stands = self._landing.carry(first, onto, fresh)
                            # What the server made of it is asked of the server.
                            done = self._attempt(branch, fresh, stands, now, head, None)
                    else:
                        done = self._attempt(branch, first, onto, onto, head, tree)
                    if done is not None:
                        return done
                    pause(attempt)
        raise ConflictError(
            f"others moved branch '{branch}' {ROUNDS} times while this was to be committed",
            hint="do it again when there is less to do on it",
        )

    def _attempt(
        self, branch: str, work: str, stands: str, onto: str, head: str, tree: bytes | None
    ) -> str | None:
        """Commit and merge.

        Args:
            branch: Where to.
            work: One's own branch, with what is to be committed.
            stands: Where that stands.
            onto: Where the branch stands on the server.
            head: Where it stands in the logical history.
            tree: What the branch gets; None if that is not known for certain.

        Returns:
            Where the branch stands then; None if somebody was faster.

        Raises:
            LostRaceError: Somebody was, and the caller forbade to build on that.
        """
        merging = self._intent.merging
        parents = (head, merging) if merging else (head,)
        seconds = [int(self._mirror.light(p).commit.at.timestamp()) for p in parents]
        said = Commit(
            id="", parents=parents, message=self._intent.message, author=self._intent.author,
            at=datetime.fromtimestamp(max(int(time.time()), *seconds), tz=UTC),
            metadata=self.metadata,
        )  # fmt: skip
        made = self._landing.commit(work, said, onto=stands)
        if tree is not None:
            self._mirror.keep_tree(made.id, tree)
        source = self._landing.join(work, made, merging) if merging else made.id
        try:
            stands = self._landing.land(
                source, branch, commit=made.id, onto=onto, message=self._intent.message
            )
        except LostRaceError:
            if self._intent.expected is not None:
                raise
            return None
        self._refs.notes.moved(
            f"branch/{branch}", before=head, after=stands, operation=self._intent.operation,
            author=self._intent.author,
        )  # fmt: skip
        return stands

    def _changes(self, head: str, tree: bytes) -> tuple[Stage, list[str]]:
        """Return what to stage: where each object comes from, and what goes.

        Raises:
            CorruptError: The bytes of something staged are gone.
        """
        puts: dict[str, tuple[Path | Copied, str]] = {}
        gone = []
        before = self._mirror.commit(head).tree
        for path, _, oid in trees.differences(self._mirror.tree, before, tree):
            if oid is None:
                gone.append(path)
                continue
            pointer = self._mirror.pointer(oid)
            puts[path] = (self._source(pointer), pointer.sha256)
        return puts, gone

    def _source(self, pointer: Pointer) -> Path | Copied:
        staged = self._folder / pointer.sha256
        if staged.exists():
            return staged
        if pointer in self._known:
            return self._known[pointer]
        if not pointer.size:
            staged.touch()
            return staged
        return objects.find(self._git.layout, pointer)
