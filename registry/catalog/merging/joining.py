"""What is asked of a branch: to take in another, or to undo or repeat one commit of a history."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.lake import Commit, Repository

__all__ = ["Joining", "Trees", "Way", "trees_of"]


class Way(StrEnum):
    """Which two trees are compared to say what changes."""

    MERGE = "merge"
    """From where the two sides parted to theirs."""

    REVERT = "revert"
    """From a commit back to its parent."""

    CHERRY_PICK = "cherry-pick"
    """From a commit's parent to the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """A merge, a revert or a cherry-pick that somebody asked for."""

    way: Way
    """Which of them."""

    into: str
    """The branch that gets the change."""

    name: str
    """What was named: a branch, a tag or a commit."""

    commit: str
    """The commit that it named then."""

    message: str
    """Why."""

    def asks_as(self, other: "Joining") -> bool:
        """Return whether another asks for the same, be it of a newer state of a branch."""
        mine, yours = ((one.way, one.into, one.name) for one in (self, other))
        return mine == yours or (self.way, self.into, self.commit) == (
            other.way,
            other.into,
            other.commit,
        )

    @property
    def metadata(self) -> "Mapping[str, str]":
        """What its commit says besides; a merge says it by its parents."""
        if self.way is Way.MERGE:
            return {}
        return {"reverts" if self.way is Way.REVERT else "picks": self.commit}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """Three commits: what changed between the first and the last comes to the middle one."""

    base: str | None
    """Where the sides parted; None if they never met."""

    ours: str
    """The head of the branch."""

    theirs: str
    """What is brought in."""


def trees_of(repository: "Repository", joining: Joining, *, ours: str) -> Trees:
    """Return the three trees that a joining compares.

    Args:
        repository: The dataset's.
        joining: What was asked for.
        ours: Commit that the branch stands at.

    Returns:
        The three.

    Raises:
        InvalidInputError: A commit to undo or to repeat has no parent, or is not in the history
            of the branch that shall undo it.
    """
    if joining.way is Way.MERGE:
        base = repository.merge_base(ours, joining.commit)
        return Trees(base=base, ours=ours, theirs=joining.commit)
    commit = repository.commit(joining.commit)
    parent = _parent(commit)
    if joining.way is Way.CHERRY_PICK:
        return Trees(base=parent, ours=ours, theirs=commit.id)
    if repository.merge_base(ours, commit.id) != commit.id:
        raise InvalidInputError(
            f"commit {commit.id[:12]} is not in the history of '{joining.into}'",
            hint=f"choose one of: eolab log {repository.name}@{joining.into}",
        )
    return Trees(base=commit.id, ours=ours, theirs=parent)


def _parent(commit: "Commit") -> str:
    # Of a merge it is the one of its own branch: undoing it takes back what the merge brought.
    if not commit.parents:
        raise InvalidInputError(
            f"commit {commit.id[:12]} is the first of its history and changed nothing",
            hint="choose a later one",
        )
    return commit.parents[0]
