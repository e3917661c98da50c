"""What refs, sessions and the like still need."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from registry.errors import CorruptError, NotFoundError
from registry.lake.local import objects, packs, promises, reflog, refs, sessions
from registry.lake.local.git import Git, loose_files
from registry.lake.local.pointers import Pointer

__all__ = ["Reached", "needed", "reach", "reach_tree", "require", "young"]


@dataclass(slots=True)
class Reached:
    """What some commits and tags need."""

    git: set[bytes] = field(default_factory=set)
    """Ids of Git objects."""

    objects: set[Pointer] = field(default_factory=set)
    """Stored objects."""


def _roots(git: Git, *, young_since: float, keep: Iterable[str]) -> set[str]:
    """Return the ids of commits and tags that are kept with all they need.

    Args:
        git: The repository.
        young_since: Movements since this time (seconds since 1970) can still be taken back.
        keep: Further commits.
    """
    found = {*keep, *sessions.pinned(git.layout)}
    since = datetime.fromtimestamp(young_since, tz=UTC)
    for entry in reflog.entries(git.layout):
        if entry.at > since:
            found.update(oid for oid in (entry.before, entry.after) if oid is not None)
    return {oid for oid in found if git.is_stored(oid)}


def needed(git: Git, *, young_since: float, keep: Iterable[str]) -> Reached:
    """Return all that must be kept.

    Args:
        git: The repository.
        young_since: Movements since this time (seconds since 1970) can still be taken back.
        keep: Further commits.

    Returns:
        What branches and tags need, and what is there of what others need.

    Raises:
        CorruptError: Something that a branch or a tag needs is missing, so nothing may be removed.
    """
    reached = Reached()
    reach(git, refs.in_folder(git.layout, "refs/").values(), reached)
    others = _roots(git, young_since=young_since, keep=keep)
    for oid in (*others, *young(git, young_since)):
        with suppress(CorruptError):  # an older part of it is swept already
            reach(git, [oid], reached)
    return reached


def reach(git: Git, start: Iterable[str], reached: Reached) -> None:
    """Add all that some commits and tags need.

    Args:
        git: The repository.
        start: Ids of commits and annotated tags.
        reached: What is reached already; grows.

    Raises:
        CorruptError: Something of it is missing, so nothing may be removed.
    """
    waiting = []
    for oid in start:
        waiting.append(git.peel(oid))
        if waiting[-1] != oid:
            reached.git.add(bytes.fromhex(oid))
    while waiting:
        oid = waiting.pop()
        if bytes.fromhex(oid) not in reached.git:
            reached.git.add(bytes.fromhex(oid))
            raw = git.commit(oid)
            waiting.extend(raw.commit.parents)
            reach_tree(git, raw.tree, reached)


def young(git: Git, since: float) -> Iterator[str]:
    """Yield young commits that perhaps no ref names: whoever holds their ids may use them."""
    young = [oid for oid, file in loose_files(git.layout) if file.stat().st_mtime > since]
    for index in (git.layout.git_objects / "pack").glob("*.idx"):
        if index.with_suffix(".pack").stat().st_mtime > since:
            young += [oid.hex() for oid in packs.indexed_ids(index)]
    yield from (oid for oid in young if git.has_commit(oid))


def require(git: Git, commit: str) -> None:
    """Refuse to build on a commit that is not stored whole.

    What a branch or a tag reaches is whole; of anything else garbage collection may have removed
    a part, the rest being too young or its process having been killed.

    Raises:
        NotFoundError: It, or something that it needs, has been swept.
    """
    heads = {git.peel(oid) for oid in refs.in_folder(git.layout, "refs/").values()}
    if commit in heads:
        return
    try:
        reached = Reached()
        for oid in git.beyond(commit, heads):
            reach_tree(git, git.commit(oid).tree, reached)
        for pointer in reached.objects:
            if not promises.is_promised(git.layout, pointer):
                objects.find(git.layout, pointer)
    except CorruptError as error:
        raise NotFoundError(
            f"commit {commit[:10]} has been swept, or a part of it: {error.problem}",
            hint="keep more by a longer grace of eolab gc",
        ) from error


def reach_tree(git: Git, root: bytes, reached: Reached) -> None:
    """Add all that a tree needs."""
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
