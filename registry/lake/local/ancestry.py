"""Who descends from whom, read no further back than the answer needs.

The lake writes no commit that is older than its parents, so painting from the newest down finds
every answer; commits of one second are painted through before it is given.

libgit2 could answer too, but loops for ever over a loose object that was cut short.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator

from registry.lake.local.commits import RawCommit

__all__ = ["beyond", "descends", "merge_base"]

OURS, THEIRS, SHARED = 1, 2, 4

Load = Callable[[str], RawCommit]
"""Gives a commit by its id."""


class _Paint:
    """Marks that flow from commits to their parents, newest first."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._queue: list[tuple[float, str]] = []
        self.marks: dict[str, int] = {}

    def add(self, oid: str, marks: int) -> None:
        """Mark a commit; it is looked at again if a mark is new to it."""
        before = self.marks.get(oid, 0)
        if before | marks != before:
            self.marks[oid] = before | marks
            heapq.heappush(self._queue, (-self.second(oid), oid))

    def second(self, oid: str) -> float:
        """Return when a commit was made."""
        return self._load(oid).commit.at.timestamp()

    def flow(self) -> Iterator[str]:
        """Yield commits, newest first, when their marks have flowed to their parents."""
        while self._queue:
            _, oid = heapq.heappop(self._queue)
            for parent in self._load(oid).commit.parents:
                self.add(parent, self.marks[oid])
            yield oid

    def ends(self, open_marks: Callable[[int], bool], oldest: float) -> bool:
        """Say whether nothing that waits can change the answer any more.

        Args:
            open_marks: Whether a waiting commit's marks leave it open.
            oldest: Second of the oldest commit in the answer so far.

        Returns:
            True if the answer stands.
        """
        if self._queue and -self._queue[0][0] >= oldest:
            return False
        return not any(open_marks(self.marks[oid]) for _, oid in self._queue)


def merge_base(load: Load, ours: str, theirs: str) -> str | None:
    """Return the best common ancestor of two commits: the newest, if there are several.

    Args:
        load: Gives a commit by its id.
        ours: A commit.
        theirs: Another.

    Returns:
        Its id; None if they share no history.
    """
    paint = _Paint(load)
    paint.add(ours, OURS)
    paint.add(theirs, THEIRS)
    found: dict[str, float] = {}
    for oid in paint.flow():
        marks = paint.marks[oid]
        if marks == OURS | THEIRS:
            found[oid] = paint.second(oid)
            for parent in load(oid).commit.parents:
                paint.add(parent, marks | SHARED)
        if found and paint.ends(lambda marks: not marks & SHARED, min(found.values())):
            break
    best = [(second, oid) for oid, second in found.items() if not paint.marks[oid] & SHARED]
    return max(best)[1] if best else None


def descends(load: Load, commit: str, ancestor: str) -> bool:
    """Return whether a commit is another or has it behind it."""
    return commit == ancestor or merge_base(load, commit, ancestor) == ancestor


def beyond(load: Load, commit: str, known: Iterable[str]) -> list[str]:
    """Return a commit and those behind it that none of some known commits has behind it.

    Args:
        load: Gives a commit by its id.
        commit: Where to begin.
        known: Where to stop, with all behind them.

    Returns:
        Their ids; none if ``commit`` is behind one of ``known``.
    """
    paint = _Paint(load)
    for oid in known:
        paint.add(oid, THEIRS)
    paint.add(commit, OURS)
    oldest = paint.second(commit)
    for oid in paint.flow():
        if paint.marks[oid] == OURS:
            oldest = min(oldest, paint.second(oid))
        if paint.ends(lambda marks: marks == OURS, oldest):
            break
    return [oid for oid, marks in paint.marks.items() if marks == OURS]
