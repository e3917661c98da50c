"""What refs, sessions and the like still need."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from registry.lake.local import reflog, refs, sessions
from registry.lake.local.git import Git
from registry.lake.local.pointers import Pointer

__all__ = ["Reached", "reach", "roots"]


@dataclass(slots=True)
class Reached:
    """What some commits and tags need."""

    git: set[bytes] = field(default_factory=set)
    """Ids of Git objects."""

    objects: set[Pointer] = field(default_factory=set)
    """Stored objects."""


def roots(git: Git, *, young_since: float, keep: Iterable[str]) -> set[str]:
    """Return the ids of commits and tags that must be kept with all they need.

    Args:
        git: The repository.
        young_since: Movements since this time (seconds since 1970) can still be taken back.
        keep: Further commits.
    """
    found = {*keep, *sessions.pinned(git.layout)}
    found.update(refs.in_folder(git.layout, "refs/").values())
    since = datetime.fromtimestamp(young_since, tz=UTC)
    for entry in reflog.entries(git.layout):
        if entry.at > since:
            found.update(oid for oid in (entry.before, entry.after) if oid is not None)
    return {oid for oid in found if git.is_stored(oid)}


def reach(git: Git, start: Iterable[str]) -> Reached:
    """Return all that some commits and tags need.

    Raises:
        CorruptError: Something of it is missing, so nothing may be removed.
    """
    reached = Reached()
    waiting = []
    for oid in start:
        reached.git.add(bytes.fromhex(oid))
        waiting.append(git.peel(oid))
    seen: set[str] = set()
    while waiting:
        oid = waiting.pop()
        if oid not in seen:
            seen.add(oid)
            reached.git.add(bytes.fromhex(oid))
            raw = git.commit(oid)
            waiting.extend(raw.commit.parents)
            _reach_tree(git, raw.tree, reached)
    return reached


def _reach_tree(git: Git, root: bytes, reached: Reached) -> None:
    waiting = [root]
    while waiting:
        oid = waiting.pop()
        if oid in reached.git:
            continue
        reached.git.add(oid)
        for node in git.tree(oid).values():
            if node.folder:
                waiting.append(node.id)
            elif node.id not in reached.git:
                reached.git.add(node.id)
                reached.objects.add(git.pointer(node.id))
