"""Everything a dataset's history holds: each commit once, each object once, and where it is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from registry.catalog.trees import LOG, table_of, tables_among
from registry.errors import CorruptError, NotFoundError
from registry.lake.records import Change, ChangeKind, Commit, Entry

if TYPE_CHECKING:
    from pathlib import Path

    from registry.lake import Repository

__all__ = ["Census", "Spot", "census"]

Spot = tuple[str, str]
"""An object at a path: the path, and the SHA-256 of its bytes."""

_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once
class Census:
    """A dataset's whole history as it stood when somebody looked."""

    repository: "Repository"
    """Where it is kept."""

    refs: Mapping[str, str]
    """Commits by ref: ``branch/main``, ``tag/v1``."""

    commits: tuple[Commit, ...]
    """Every commit behind a ref or a movement that can be taken back; parents come first."""

    changes: Mapping[str, tuple[Change, ...]]
    """What each commit changed against its first parent, by id."""

    spots: Mapping[Spot, tuple[Entry, str]]
    """Every object at every path, with its entry and a commit that has it."""

    tables: frozenset[str]
    """Every table that there ever was."""

    lost: tuple[str, ...]
    """Commits that only the reflog names and that are not whole any more."""

    def in_table(self, table: str) -> Iterator[Spot]:
        """Yield a table's data files, whether or not its log names them."""
        for path, sha256 in self.spots:
            inside = path.removeprefix(f"{table}/")
            plain = inside != path and inside.endswith(".parquet")
            if plain and not inside.startswith((f"{LOG}/", "_")) and self.table_of(path) == table:
                yield path, sha256

    def in_log(self, table: str) -> Iterator[Spot]:
        """Yield the files of a table's log."""
        home = f"{table}/{LOG}/"
        yield from (spot for spot in self.spots if spot[0].startswith(home))

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every path that an object ever had."""
        return frozenset(path for path, _ in self.spots)

    def table_of(self, path: str) -> str | None:
        """Return the table that a path belongs to."""
        return table_of(path, self.tables)

    def files(self, spots: Iterable[Spot]) -> Iterator[tuple[Spot, "Path"]]:
        """Yield objects with files that hold their bytes, some at a time."""
        waiting = list(spots)
        by_commit: dict[str, list[Spot]] = {}
        for spot in waiting:
            by_commit.setdefault(self.spots[spot][1], []).append(spot)
        for commit, group in by_commit.items():
            for start in range(0, len(group), _AT_ONCE):
                part = group[start : start + _AT_ONCE]
                found = self.repository.bring([self.spots[one][0] for one in part], at=commit)
                for one in part:
                    yield one, found[one[1]]

    def read(self, spot: Spot) -> bytes:
        """Return an object's bytes."""
        return self.repository.read(spot[0], at=self.spots[spot][1])


def census(repository: "Repository", *, reflog: bool = True) -> Census:
    """Walk every commit of a dataset: of branches, tags and movements that can be taken back.

    Each commit is compared with its first parent only, so it costs what was ever changed.

    Args:
        repository: The dataset's.
        reflog: Whether movements that can be taken back count.

    Returns:
        What there is.
    """
    refs = {f"branch/{name}": commit for name, commit in repository.branches().items()}
    refs |= {f"tag/{name}": commit for name, commit in repository.tags().items()}
    known: dict[str, Commit] = {}
    changes: dict[str, tuple[Change, ...]] = {}
    for head in refs.values():
        _add(repository, head, known, changes)
    lost = []
    movements = repository.reflog() if reflog else ()
    remembered = {end for move in movements for end in (move.before, move.after) if end}
    for head in sorted(remembered - known.keys()):
        try:
            _add(repository, head, known, changes, whole=True)
        except (NotFoundError, CorruptError):
            lost.append(head)
    spots: dict[Spot, tuple[Entry, str]] = {}
    for commit, found in changes.items():
        for change in found:
            if change.after is not None:
                spot = (change.path, change.after.sha256)
                spots.setdefault(spot, (change.after, commit))
    return Census(
        repository=repository,
        refs=refs,
        commits=tuple(known.values()),
        changes=changes,
        spots=spots,
        tables=tables_among(path for path, _ in spots),
        lost=tuple(lost),
    )


def _add(
    repository: "Repository",
    head: str,
    known: dict[str, Commit],
    changes: dict[str, tuple[Change, ...]],
    *,
    whole: bool = False,
) -> None:
    """Add a commit with all behind it; with ``whole`` only if every object of it is there.

    Raises:
        NotFoundError: A part of it has been swept.
    """
    fresh = _behind(repository, head, known)
    found = {one.id: tuple(_changes(repository, one)) for one in fresh.values()}
    if whole:
        needed = {c.after.sha256 for each in found.values() for c in each if c.after}
        empty = {
            c.after.sha256 for each in found.values() for c in each if c.after and not c.after.size
        }
        if needed - empty - repository.holds(needed):
            raise NotFoundError(f"a part of commit {head} has been swept", hint="leave it")
    known |= fresh
    changes |= found


def _behind(repository: "Repository", head: str, known: Mapping[str, Commit]) -> dict[str, Commit]:
    """Return a commit and all behind it that are not known yet, parents first."""
    found: dict[str, Commit] = {}
    read: dict[str, Commit] = {}
    waiting = [head]
    while waiting:
        id_ = waiting[-1]
        if id_ in known or id_ in found:
            waiting.pop()
            continue
        if id_ not in read:
            read[id_] = repository.commit(id_)
        missing = [p for p in read[id_].parents if p not in known and p not in found]
        if missing:
            waiting += missing
        else:
            found[id_] = read.pop(id_)
            waiting.pop()
    return found


def _changes(repository: "Repository", commit: Commit) -> Iterator[Change]:
    if commit.parents:
        yield from repository.diff(commit.parents[0], commit.id)
        return
    for entry in repository.entries(commit.id):
        yield Change(path=entry.path, kind=ChangeKind.ADDED, before=None, after=entry)
