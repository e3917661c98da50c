"""Two histories side by side: which commit of the one is which of the other."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from registry.lake.records import Change, ChangeKind, Commit

if TYPE_CHECKING:
    from registry.lake.contract import Repository
    from registry.lake.transfer.pairs import Pairs

__all__ = ["changes_of", "history", "match", "seconds"]


def history(repository: "Repository", heads: Iterable[str]) -> dict[str, Commit]:
    """Return the commits behind some commits, by id, parents before their children."""
    found: dict[str, Commit] = {}
    for head in dict.fromkeys(heads):
        if head in found:
            continue
        expected = {head}  # a log gives children first, so nothing else can be new once it is empty
        for commit in repository.log(head):
            expected.discard(commit.id)
            if commit.id not in found:
                found[commit.id] = commit
                expected.update(parent for parent in commit.parents if parent not in found)
            if not expected:
                break
    return _parents_first(found)


def _parents_first(found: Mapping[str, Commit]) -> dict[str, Commit]:
    waiting = {id_: sum(parent in found for parent in set(c.parents)) for id_, c in found.items()}
    children = defaultdict(list)
    for id_, commit in found.items():
        for parent in set(commit.parents):
            children[parent].append(id_)
    ready = sorted((id_ for id_, count in waiting.items() if not count), reverse=True)
    ordered: dict[str, Commit] = {}
    while ready:
        id_ = ready.pop()
        ordered[id_] = found[id_]
        for child in children[id_]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return ordered


def changes_of(repository: "Repository", commit: Commit) -> Iterator[Change]:
    """Yield how a commit's tree differs from its first parent's; from nothing if it has none."""
    if commit.parents:
        yield from repository.diff(commit.parents[0], commit.id)
        return
    for entry in repository.entries(commit.id):
        yield Change(path=entry.path, kind=ChangeKind.ADDED, before=None, after=entry)


def seconds(commits: Mapping[str, Commit]) -> dict[str, int]:
    """Return when each commit counts as made, in seconds since 1970: never before its parents.

    A lake that keeps commits in this order says the second of the newest parent for one whose
    clock was behind.

    Args:
        commits: Parents before their children.
    """
    found: dict[str, int] = {}
    for id_, commit in commits.items():
        before = (found[parent] for parent in commit.parents if parent in found)
        found[id_] = max([int(commit.at.timestamp()), *before])
    return found


def match(
    source: "Repository",
    target: "Repository",
    theirs: Mapping[str, Commit],
    ours: Mapping[str, Commit],
    known: "Pairs",
) -> dict[str, str]:
    """Find out which commits of the source the target has, under whatever id.

    Two commits are one if their parents are, and they say the same and changed the same.

    Args:
        source: The one repository.
        target: The other.
        theirs: The source's commits by id, parents before their children.
        ours: The target's, likewise.
        known: What was found out before; grows.

    Returns:
        The target's ids by the source's.
    """
    their_second, our_second = seconds(theirs), seconds(ours)
    alike: dict[object, list[str]] = defaultdict(list)
    for id_, commit in ours.items():
        alike[_signature(commit, commit.parents, our_second[id_])].append(id_)
    found: dict[str, str] = {}
    for id_, commit in theirs.items():
        if any(parent not in found for parent in commit.parents):
            continue
        parents = tuple(found[parent] for parent in commit.parents)
        same = alike.get(_signature(commit, parents, their_second[id_]), [])
        for candidate in sorted(same, key=lambda one: (one != id_, one != known.of(id_))):
            if candidate in {id_, known.of(id_)} or _changed_alike(
                source, commit, target, ours[candidate]
            ):
                found[id_] = candidate
                known.add(id_, candidate)
                break
    return found


def _signature(commit: Commit, parents: tuple[str, ...], second: int) -> object:
    said = tuple(sorted(commit.metadata.items()))
    return parents, commit.message.strip("\n"), commit.author, second, said


def _changed_alike(source: "Repository", one: Commit, target: "Repository", other: Commit) -> bool:
    return _digest(changes_of(source, one)) == _digest(changes_of(target, other))


def _digest(changes: Iterable[Change]) -> str:
    lines = sorted(
        f"{change.path}\0{change.after.sha256 if change.after else ''}\n" for change in changes
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
