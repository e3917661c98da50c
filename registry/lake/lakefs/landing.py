"""How commits get onto a branch: made on a hidden branch of one's own, brought there by one merge.

A server compares nothing when a branch moves. Here every commit changes one hidden object,
:data:`MARKER`; two merges that were made from the same head both change it, so the server refuses
the second as a conflict, whatever else they touched. That is the compare-and-swap. It needs no
hook, which a source could lack or a server forbid, and holds against all that speak this protocol;
what others merge meanwhile shows in the first parent of our merge.
"""

import json
import random
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from registry.errors import ConflictError, RegistryError
from registry.lake.lakefs.answers import GoneError, RefusedError, TakenError
from registry.lake.lakefs.mirror import Mirror
from registry.lake.lakefs.names import HIDDEN, OWN, branch_on_server
from registry.lake.lakefs.remote import TOKEN, Remote
from registry.lake.lakefs.said import ServerCommit
from registry.lake.lakefs.words import ALIAS, ONTO, metadata_of
from registry.lake.local import locks
from registry.lake.records import Commit

__all__ = ["MARKER", "Copied", "DirtyError", "Landing", "LostRaceError", "Stage"]

MARKER = f"{HIDDEN[0]}head"
"""Holds the token of the commit that a tree belongs to."""

EXTRA = f"{HIDDEN[0]}side/"
"""Below it, what makes a merge bring something, where a server makes no empty ones."""

WORK = f"{OWN}tx-"
"""What the names of ephemeral branches begin with; seconds since 1970 follow."""

STRANGERS = "delta-tx-"
"""What the names of the branches begin with that delta-rs leaves when it is told ``lakefs://``."""

UPLOADERS = 8

STALE = timedelta(days=1)
"""Age at which an ephemeral branch was certainly left behind."""


class LostRaceError(ConflictError):
    """The branch moved between the look at it and the merge into it."""


class DirtyError(ConflictError):
    """Somebody staged objects on a branch itself, so the server lets nobody move it."""

    @classmethod
    def of(cls, branch: str) -> Self:
        """Return the error for a branch, as it is called here."""
        return cls(
            f"somebody staged objects on branch '{branch}' itself",
            hint="commit or reset them in lakeFS (lakectl branch reset), then retry",
        )


@dataclass(frozen=True, slots=True)
class Copied:
    """An object of some commit that is staged without going through this machine."""

    commit: str
    path: str


Stage = Mapping[str, "tuple[Path | Copied, str]"]
"""By path, where the bytes come from and their SHA-256 in hex."""


class Landing:
    """Writes of one repository."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._remote: Remote = mirror.remote

    @contextmanager
    def own_branch(self, source: str) -> Iterator[str]:
        """Make a hidden branch at a commit for as long as the block lasts.

        Yields:
            Its name on the server.
        """
        name = f"{WORK}{int(time.time()):x}-{uuid.uuid4().hex}"
        self._remote.create_branch(name, source, hidden=True)
        try:
            yield name
        finally:
            with suppress(RegistryError):  # whoever sweeps finds it
                self._remote.delete_branch(name)

    @contextmanager
    def alone(self, branch: str) -> Iterator[None]:
        """Queue with this machine's other writers to a branch; those elsewhere are found out."""
        file = self._mirror.layout.own / "locks" / branch_on_server(branch)
        file.touch()
        with locks.exclusive(file):
            yield

    def stage(self, work: str, puts: Stage, gone: Iterable[str]) -> None:
        """Stage objects and removals on one's own branch, several at once."""
        self._remote.delete(work, list(gone))
        with ThreadPoolExecutor(UPLOADERS) as pool:
            waiting = [pool.submit(self._put, work, path, *put) for path, put in puts.items()]
            try:
                for one in waiting:
                    one.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _put(self, work: str, path: str, source: Path | Copied, sha256: str) -> None:
        if isinstance(source, Path):
            self._remote.upload(work, path, source, sha256=sha256)
        else:
            self._remote.copy(work, path, source=source.commit, source_path=source.path)

    def commit(self, work: str, commit: Commit, *, onto: str) -> ServerCommit:
        """Commit what is staged on one's own branch as a commit of the logical history.

        Args:
            work: The branch.
            commit: All but its id.
            onto: Where the branch stands.

        Returns:
            The commit.
        """
        token = uuid.uuid4().hex
        self._remote.put(work, MARKER, token.encode(), {"token": token})
        made = self._remote.commit(
            work, message=commit.message, metadata=metadata_of(commit, token=token, onto=onto),
            at=int(commit.at.timestamp()), allow_empty=True,
        )  # fmt: skip
        self._mirror.remember(made)
        return made

    def join(self, work: str, made: ServerCommit, other: str) -> str:
        """Make another commit an ancestor of one's own branch, whose tree stays as it is.

        So the server's own collection of garbage and its picture of the history know of it.

        Args:
            work: One's own branch.
            made: The commit that it stands at, or an alias of which it stands at.
            other: The commit that becomes an ancestor.

        Returns:
            Where the branch stands then.
        """  # noqa: DOC501 — passed on
        with self.own_branch(other) as side:
            token = uuid.uuid4().hex
            twin = self._adopt(side, made, {TOKEN: token, **_alias(made.id, other)})
            told = {TOKEN: uuid.uuid4().hex, **_alias(made.id, made.id)}
            try:
                joined = self._remote.merge(twin.id, work, message=made.message, metadata=told)
            except RefusedError as error:
                if not error.changes_nothing:
                    raise
                self._remote.put(side, f"{EXTRA}{token}", token.encode(), {"token": token})
                more = {TOKEN: uuid.uuid4().hex, **_alias(made.id, twin.id)}
                marked = self._remote.commit(side, message=made.message, metadata=more)
                joined = self._remote.merge(marked.id, work, message=made.message, metadata=told)
            return joined.id

    def _adopt(self, work: str, tree: ServerCommit, metadata: Mapping[str, str]) -> ServerCommit:
        """Commit another commit's tree, whole, on a branch without staged objects.

        Returns:
            The commit.
        """
        if tree.metarange:
            return self._remote.commit(
                work, message=tree.message or "Move", metadata=metadata, source=tree.metarange,
                allow_empty=True,
            )  # fmt: skip
        self._remote.delete(work, [held.path for held in self._remote.listing(work)])
        return self._remote.commit(
            work, message=tree.message or "Move", metadata=metadata, allow_empty=True
        )

    def land(self, source: str, branch: str, *, commit: str, onto: str, message: str) -> str:
        """Bring what was made on one's own branch onto another by one merge.

        Args:
            source: Where one's own branch stands.
            branch: The other, as it is called here.
            commit: What the other stands at from then on.
            onto: Where it stands on the server; one's own branch was made from there.
            message: Of the merge.

        Returns:
            The commit that the branch stands at: ``commit``, or the merge itself where somebody
            who does not speak this protocol moved the branch at the same moment.

        Raises:
            LostRaceError: It stands elsewhere.
            DirtyError: Somebody staged objects on the branch itself.
        """  # noqa: DOC501 — passed on
        told = {TOKEN: uuid.uuid4().hex, **_alias(commit, onto)}
        try:
            made = self._remote.merge(
                source, branch_on_server(branch), message=message, metadata=told, onto=onto
            )
        except TakenError as error:
            raise LostRaceError(
                f"branch '{branch}' was moved by somebody else at the same moment",
                hint="read it again, then retry",
            ) from error
        except RefusedError as error:
            if error.finds_dirt:
                raise DirtyError.of(branch) from error
            raise
        self._mirror.remember(made)
        return self._mirror.logical(made.id)

    def carry(self, work: str, onto: str, new: str) -> str:
        """Bring what one's own branch changed onto a fresh one, made from where others got to.

        Args:
            work: One's own branch, with what it changed staged, or committed with its marker.
            onto: The commit of the server that ``work`` was made from.
            new: The fresh branch.

        Returns:
            Where the fresh branch stands then.

        Raises:
            ConflictError: Others changed the same objects.
        """
        self._unmark(work, onto)
        with _nothing_to_do():
            self._remote.commit(work, message="Carry over", metadata={TOKEN: uuid.uuid4().hex})
        try:
            with _nothing_to_do():
                self._remote.merge(
                    self._remote.head(work), new, message="Carry over",
                    metadata={TOKEN: uuid.uuid4().hex},
                )  # fmt: skip
        except TakenError as error:
            raise ConflictError(
                "somebody else changed the same objects meanwhile", hint="read it again, then retry"
            ) from error
        return self._remote.head(new)

    def _unmark(self, work: str, onto: str) -> None:
        """Let the marker be what it was, so that it does not conflict with the others'."""
        try:
            before = self._remote.stat(onto, MARKER).metadata.get("token", "")
        except GoneError:
            self._remote.delete(work, [MARKER])
        else:
            self._remote.put(work, MARKER, before.encode(), {"token": before})

    def move(self, branch: str, *, to: str, onto: str, message: str) -> None:
        """Let a branch stand at any commit, whatever it stood at.

        Args:
            branch: As it is called here.
            to: The commit.
            onto: Where the branch stands on the server now.
            message: Of the merge that does it.

        Raises:
            LostRaceError: It stands elsewhere.
            ConflictError: Somebody who does not speak this protocol merged into it meanwhile.
        """
        target = self._mirror.physical(to)
        with self.own_branch(onto) as work:
            made = self._adopt(work, target, {TOKEN: uuid.uuid4().hex, **_alias(to, onto)})
            source = made.id
            if target.parents:
                told = {TOKEN: uuid.uuid4().hex, **_alias(to, made.id)}
                with suppress(RefusedError, TakenError):  # only the server's picture lacks it then
                    source = self._remote.merge(to, work, message=message, metadata=told).id
            stands = self.land(source, branch, commit=to, onto=onto, message=message)
            if stands != to:
                raise ConflictError(
                    f"somebody merged into branch '{branch}' in lakeFS at the same moment",
                    hint=f"look at it: eolab log, at {stands[:10]}",
                )

    def sweep(self, *, older_than: timedelta = STALE) -> int:
        """Delete the ephemeral branches of processes that were killed, and those of delta-rs.

        Returns:
            How many.
        """
        swept = self._sweep_strangers(older_than)
        for name in self._remote.branches(WORK, hidden=True):
            match = re.fullmatch(rf"{WORK}([0-9a-f]{{1,12}})-[0-9a-f]{{32}}", name)
            if match and int(match[1], 16) < time.time() - older_than.total_seconds():
                with suppress(GoneError):
                    self._remote.delete_branch(name)
                    swept += 1
        return swept

    def _sweep_strangers(self, older_than: timedelta) -> int:
        """Delete what delta-rs leaves; its names tell no age, so it is counted from first sight.

        Returns:
            How many.
        """
        notes = self._mirror.layout.own / "strangers.json"
        seen: dict[str, float] = {}
        with suppress(OSError, ValueError):
            seen = {str(name): float(at) for name, at in json.loads(notes.read_text()).items()}
        now, swept = time.time(), 0
        there = self._remote.branches(STRANGERS, hidden=True)
        seen = {name: seen.get(name, now) for name in there}
        for name, at in list(seen.items()):
            if at <= now - older_than.total_seconds():
                with suppress(GoneError):
                    self._remote.delete_branch(name)
                    swept += 1
        notes.write_text(json.dumps(seen))
        return swept


def pause(attempt: int) -> None:
    """Let the others go on for a while, each another while."""
    time.sleep(random.uniform(0.01, 0.05) * min(attempt + 1, 20))  # noqa: S311 — jitter


@contextmanager
def _nothing_to_do() -> Iterator[None]:
    """Pass where the server says that there is nothing to commit or to merge."""  # noqa: DOC501
    try:
        yield
    except RefusedError as error:
        if not error.changes_nothing:
            raise


def _alias(commit: str, onto: str) -> dict[str, str]:
    return {ALIAS: commit, ONTO: onto}
