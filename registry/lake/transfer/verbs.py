"""Copy, push, pull and clone: one movement between two lakes, in four directions of thought."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.lake.local import folders
from registry.lake.local.promises import Origin
from registry.lake.names import check_repository
from registry.lake.purges import refuse_forgotten
from registry.lake.transfer import refs
from registry.lake.transfer.histories import history, match
from registry.lake.transfer.pairs import Pairs
from registry.lake.transfer.refs import MAIN, Wanted
from registry.lake.transfer.sending import prove, send, weigh
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.lake.contract import Lake, Repository
    from registry.lake.local.repository import LocalRepository

__all__ = ["Part", "Transferred", "clone", "copy", "origin_of", "pull", "push"]


DECLARED = frozenset({"pixels"})
"""Tables that may be left out whether or not a dataset has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What of a dataset is cloned at once; the rest is fetched when somebody touches it."""

    tables: tuple[str, ...] | None = None
    """Tables whose rows come along; all if None. What is no table's data always does."""

    without: tuple[str, ...] = ()
    """Tables whose rows stay where they are all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What went from one lake to another."""

    dataset: str
    """The dataset's name."""

    source: str
    """Address of the lake that it came from."""

    target: str
    """Address of the lake that it went to."""

    commits: int
    """How many commits the target lacked."""

    objects: int
    """How many objects travelled."""

    size: int
    """Their bytes."""

    held: int
    """How many objects of these commits the target had already."""

    branches: Mapping[str, tuple[str | None, str]]
    """Branches that moved, with the target's commits before and after."""

    tags: tuple[str, ...]
    """Tags that arrived."""

    left: int = 0
    """Bytes that stay where they are until somebody touches them."""

    def __bool__(self) -> bool:
        """Return whether anything changed."""
        return bool(self.commits or self.branches or self.tags)


def copy(
    lake: "Lake", dataset: str, *, to: "Lake", at: str | None = None, progress: Progress = SILENT
) -> Transferred:
    """Bring a dataset to another lake, as it was at a version, with its history and tags.

    Args:
        lake: Where it is.
        dataset: Its name.
        to: Where it goes; it is made there if it is not there yet.
        at: Tag or commit on ``main`` that ``main`` becomes there, with all behind it; all of
            ``main`` if None.
        progress: Told how far it is.

    Returns:
        What went.

    Raises:
        DivergedError: The other lake has it with other work on it; nothing was moved.
        ConflictError: A tag names something else there; nothing was moved.
        CorruptError: Something arrived that is not what its hash says; nothing was moved.
        InvalidInputError: ``at`` is not on ``main``.
    """
    source = lake.repository(dataset)
    if at is None:
        return push(lake, dataset, to=to, progress=progress)
    head = source.resolve(at)
    if source.merge_base(head, MAIN) != head:
        raise InvalidInputError(
            f"'{at}' of '{dataset}' is not on '{MAIN}', and cannot be what that becomes there",
            hint=f"publish it first, or send the branch: eolab push {dataset} --branch {at}",
        )
    wanted = refs.up_to(source, head, history(source, [head]))
    return _bring(lake, to, dataset, wanted, _How("copy"), progress)


def push(
    lake: "Lake",
    dataset: str,
    *,
    to: "Lake",
    branches: Iterable[str] = (),
    progress: Progress = SILENT,
) -> Transferred:
    """Send what another lake lacks of a dataset: ``main``, versions, and branches that are named.

    Args:
        lake: Where it is.
        dataset: Its name.
        to: Where it goes; it is made there if it is not there yet.
        branches: Further branches, such as a draft.
        progress: Told how far it is.

    Returns:
        What went.

    Raises:
        DivergedError: The other lake has what this one lacks; nothing was moved.
        ConflictError: A tag names something else there; nothing was moved.
    """
    wanted = refs.chosen(lake.repository(dataset), branches)
    return _bring(lake, to, dataset, wanted, _How("push"), progress)


def pull(
    lake: "Lake",
    dataset: str,
    *,
    origin: "Lake",
    branches: Iterable[str] = (),
    aside: bool = False,
    progress: Progress = SILENT,
) -> Transferred:
    """Fetch what this lake lacks of a dataset: ``main``, versions, and branches that are named.

    Args:
        lake: Where it goes.
        dataset: Its name.
        origin: Where it comes from.
        branches: Further branches.
        aside: Bring branches that have diverged beside one's own, as ``theirs/main``, so that
            they can be merged.
        progress: Told how far it is.

    Returns:
        What came.

    Raises:
        DivergedError: Both lakes have what the other lacks; nothing was moved.
        ConflictError: A tag names something else here; nothing was moved.
        NotFoundError: It is not here yet: clone it.
    """
    _existing(lake, dataset)
    wanted = refs.chosen(origin.repository(dataset), branches)
    return _bring(origin, lake, dataset, wanted, _How("pull", aside=aside), progress)


def clone(
    origin: "Lake",
    dataset: str,
    *,
    into: "Lake",
    part: Part | None = None,
    progress: Progress = SILENT,
) -> Transferred:
    """Make a dataset of another lake in this one, and remember where it came from.

    Args:
        origin: Where it comes from.
        dataset: Its name.
        into: Where it is made.
        part: What is fetched at once; the rest when somebody touches it. Everything if None.
        progress: Told how far it is.

    Returns:
        What came.

    Raises:
        ConflictError: There is one of that name here.
        InvalidInputError: Only a part is asked for, and the lake it goes to keeps none.
        NotFoundError: There is no such dataset or table.
    """
    wanted = refs.chosen(origin.repository(dataset))
    if dataset in into.repositories():
        raise ConflictError(
            f"there is a dataset '{dataset}' here already",
            hint=f"bring it up to date: eolab pull {dataset} --from {origin.address}",
        )
    if part is not None:
        _check_tables(origin.repository(dataset), (*(part.tables or ()), *part.without))
    came_from = Origin(
        address=origin.address,
        name=dataset,
        tables=part.tables if part is not None else None,
        without=part.without if part is not None else (),
    )
    return _bring(origin, into, dataset, wanted, _How("clone", origin=came_from), progress)


def _check_tables(source: "Repository", names: Iterable[str]) -> None:
    there = folders.tables_in(entry.path for entry in source.entries(MAIN))
    for name in names:
        if name not in there and name not in DECLARED:
            raise NotFoundError(
                f"'{source.name}' has no table '{name}'",
                hint=f"it has: {', '.join(sorted(there)) or 'none'}",
            )


def origin_of(lake: "Lake", dataset: str) -> Origin | None:
    """Return where a dataset came from; None if it was made here, or its lake does not say."""
    keeping = _keeping_parts(_existing(lake, dataset))
    return None if keeping is None else keeping.origin


def _keeping_parts(repository: "Repository") -> "LocalRepository | None":
    """Return a repository if it may hold a part of a dataset; those on a server inherit how."""
    from registry.lake.local.repository import LocalRepository

    if isinstance(repository, LocalRepository) and repository.keeps_parts:
        return repository
    return None


def _existing(lake: "Lake", dataset: str) -> "Repository":
    try:
        return lake.repository(dataset)
    except NotFoundError as error:
        raise NotFoundError(
            error.problem, hint=f"bring it here first: eolab clone ADDRESS {dataset}"
        ) from error


@dataclass(frozen=True, slots=True)
class _How:
    """What distinguishes the four."""

    operation: str
    aside: bool = False
    origin: Origin | None = None


def _bring(
    origin: "Lake",
    lake: "Lake",
    dataset: str,
    wanted: Wanted,
    how: _How,
    progress: Progress,
) -> Transferred:
    """Bring a dataset up to date, or make it whole where it is not there yet.

    Returns:
        What went.

    Raises:
        ConflictError: Something is in the way there.
    """
    check_repository(dataset)
    source = origin.repository(dataset)
    if dataset in lake.repositories():
        return _transfer(origin, source, lake, lake.repository(dataset), wanted, how, progress)
    found: list[Transferred] = []

    def prepare(half: "Repository") -> None:
        found.append(_transfer(origin, source, lake, half, wanted, how, progress, fresh=True))

    try:
        lake.create(dataset, prepare=prepare, resumes=origin.address)
    except ConflictError:
        if dataset not in lake.repositories():
            raise
        return _transfer(origin, source, lake, lake.repository(dataset), wanted, how, progress)
    return found[-1]


def _transfer(
    origin: "Lake",
    source: "Repository",
    lake: "Lake",
    target: "Repository",
    wanted: Wanted,
    how: _How,
    progress: Progress,
    *,
    fresh: bool = False,
) -> Transferred:
    progress.stage("comparing histories", total=None, unit="commits")
    theirs = history(source, wanted.heads)
    ours = history(target, [*target.branches().values(), *target.tags().values()])
    here = f"{lake.address} {source.name}"
    pairs = Pairs.between(f"{origin.address} {source.name}", here)
    arrived = match(source, target, theirs, ours, pairs)
    with refs.telling_of_purges(source, target, origin=origin.address, goal=lake.address):
        moves = refs.plan(source, target, wanted, arrived, fresh=fresh, aside=how.aside)
        load = weigh(source, target, (c for id_, c in theirs.items() if id_ not in arrived))
        refuse_forgotten(target, commits=(c.id for c in load.commits), objects=load.lacking)
    with _leaving(target, how, origin):
        sent = send(source, target, load, arrived=arrived, progress=progress)
    for commit in load.commits:
        pairs.add(commit.id, arrived[commit.id])
    heads = [head for _, head in moves.branches.values()]
    prove(source, target, arrived, [*heads, *moves.merges.values(), *moves.tags.values()])
    moved = refs.apply(source, target, moves, arrived, operation=how.operation)
    if fresh:
        for name in source.protected() & wanted.branches.keys():
            target.protect(name)
    pairs.save()
    return Transferred(
        dataset=source.name,
        source=origin.address,
        target=lake.address,
        commits=sent.commits,
        objects=sent.objects,
        size=sent.size,
        held=load.held,
        branches=moved,
        tags=tuple(moves.tags),
        left=max(0, sum(load.lacking.values()) - sent.size),
    )


@contextmanager
def _leaving(target: "Repository", how: _How, origin: "Lake") -> Iterator[None]:
    """Leave behind what a partial clone does without; only its own origin keeps it for later.

    Raises:
        InvalidInputError: The target is of a kind that keeps no parts.
    """
    keeping = _keeping_parts(target)
    if keeping is None:
        if how.origin is not None and (how.origin.tables is not None or how.origin.without):
            raise InvalidInputError(
                f"the lake of '{target.name}' keeps no parts of datasets",
                hint="clone all of it, or a part of it into a folder",
            )
        yield
        return
    if how.origin is not None:
        keeping.came_from(how.origin)
    elif keeping.origin is None and how.operation == "pull":
        keeping.came_from(Origin(address=origin.address, name=target.name))
    if keeping.origin is None or keeping.origin.address != origin.address:
        yield
        return
    with keeping.leaving():
        yield
