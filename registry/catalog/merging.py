"""Merge of two branches of a dataset: tables by row, the card by key, other files whole.

A table that both sides wrote is never left to a merge of objects, because the log files of one
side would slip in behind the other's and silently lose its rows.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog import front
from registry.catalog.merged import MergeConflictError, Merged, RowCounts
from registry.catalog.trees import LOG, is_immutable, is_remade, table_of, tables_among
from registry.catalog.version import CARD
from registry.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.lake import Change, Entry, Location, Repository, Transaction, Workspace

__all__ = ["merge_branches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Three trees and what changed between them."""

    repository: "Repository"
    base: str | None
    ours: str
    theirs: str
    our_changes: "Mapping[str, Change]"
    their_changes: "Mapping[str, Change]"
    our_entries: "Mapping[str, Entry]"
    their_entries: "Mapping[str, Entry]"
    tables: frozenset[str]

    def unit_of(self, path: str) -> str:
        return table_of(path, self.tables) or path

    def below(self, changes: "Mapping[str, Change]", unit: str) -> "dict[str, Change]":
        return {path: change for path, change in changes.items() if self.unit_of(path) == unit}


def merge_branches(
    repository: "Repository", *, theirs: str, into: str, message: str, prefer: str | None = None
) -> Merged:
    """Merge a commit into a branch as one commit with two parents.

    Args:
        repository: The dataset's.
        theirs: Tag, branch or commit to merge.
        into: An unprotected branch.
        message: Why.
        prefer: ``ours`` or ``theirs`` where both changed the same; None refuses.

    Returns:
        What was merged; a branch with nothing of its own simply moves forward.

    Raises:
        ConflictError: Both changed the same (its ``conflicts`` is the table of it), or the branch
            moved meanwhile.
        InvalidInputError: ``prefer`` is something else.
    """
    if prefer not in {None, "ours", "theirs"}:
        raise InvalidInputError(
            f"no side of a merge is called {prefer!r}", hint="prefer 'ours' or 'theirs'"
        )
    ours, source = repository.resolve(into), repository.resolve(theirs)
    base = repository.merge_base(ours, source)
    if base == source:
        return Merged(commit=repository.commit(ours), moved=False)
    if base == ours:
        repository.advance(into, to=source, expected=ours, operation="merge")
        return Merged(commit=repository.commit(source), moved=True)
    sides = _compare(repository, base=base, ours=ours, theirs=source)
    with repository.workspace(into) as workspace:
        if workspace.head != ours:
            raise ConflictError(f"'{into}' moved during the merge", hint="merge again")
        return _Merge(sides=sides, workspace=workspace, prefer=prefer).run(into, message)


def _compare(repository: "Repository", *, base: str | None, ours: str, theirs: str) -> _Sides:
    start = base or [commit.id for commit in repository.log(ours)][-1]
    our_entries = {entry.path: entry for entry in repository.entries(ours)}
    their_entries = {entry.path: entry for entry in repository.entries(theirs)}
    our_changes = {change.path: change for change in repository.diff(start, ours)}
    their_changes = {change.path: change for change in repository.diff(start, theirs)}
    paths = {*our_entries, *their_entries, *our_changes, *their_changes}
    return _Sides(
        repository=repository,
        base=base,
        ours=ours,
        theirs=theirs,
        our_changes={p: c for p, c in our_changes.items() if not is_remade(p)},
        their_changes={p: c for p, c in their_changes.items() if not is_remade(p)},
        our_entries=our_entries,
        their_entries=their_entries,
        tables=tables_among(paths),
    )


@dataclass(slots=True, kw_only=True)
class _Merge:
    """One merge under way, written in a private folder and then staged as one commit."""

    sides: _Sides
    workspace: "Workspace"
    prefer: str | None
    taken: list[str] = field(default_factory=list)
    merged: dict[str, RowCounts] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    duplicates: "pa.Table | None" = None
    conflicts: list[dict[str, object]] = field(default_factory=list)

    def run(self, into: str, message: str) -> Merged:
        self._drop_remade()
        units = sorted({self.sides.unit_of(path) for path in self.sides.their_changes})
        for unit in units:
            self._merge_unit(unit)
        self._mend()
        if self.conflicts:
            raise self._refusal()
        repository = self.sides.repository
        with repository.transaction(
            into,
            message=message,
            expected=self.sides.ours,
            merging=self.sides.theirs,
            allow_empty=True,
        ) as transaction:
            self._stage(transaction)
        commit = repository.commit(into)
        return Merged(
            commit=commit,
            moved=True,
            tables=self.merged,
            paths=tuple(self.taken),
            duplicates=self.duplicates,
        )

    def _drop_remade(self) -> None:
        for path in filter(is_remade, self.sides.our_entries):
            _unlink(self.workspace.path, path)

    def _merge_unit(self, unit: str) -> None:
        mine = self.sides.below(self.sides.our_changes, unit)
        yours = self.sides.below(self.sides.their_changes, unit)
        if not mine:
            self._take(unit, yours)
        elif self._same_outcome(mine, yours):
            return
        elif unit in self.sides.tables:
            self._merge_table(unit, yours)
        elif unit == CARD:
            self._merge_card(yours)
        else:
            self._disagree(unit, yours)

    def _same_outcome(self, mine: "dict[str, Change]", yours: "dict[str, Change]") -> bool:
        return {p: c.after and c.after.sha256 for p, c in mine.items()} == {
            p: c.after and c.after.sha256 for p, c in yours.items()
        }

    def _take(self, unit: str, yours: "dict[str, Change]") -> None:
        """Lay theirs into the folder; they are staged as links to stored objects later."""
        view = self.sides.repository.locate(self.sides.theirs).path
        for path, change in yours.items():
            target = self.workspace.path / path
            _unlink(self.workspace.path, path)
            if change.after is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                _lay(view / path, target)
        self.taken.append(unit)

    def _merge_table(self, name: str, yours: "dict[str, Change]") -> None:
        from registry.tables import merge

        repository, sides = self.sides.repository, self.sides
        log = f"{name}/{LOG}"
        if not (_holds(sides.our_entries, log) and _holds(sides.their_entries, log)):
            # one side removed the whole table, the other wrote into it
            self._disagree(name, yours)
            return
        theirs = repository.locate(sides.theirs)
        if name == "pixels":
            outcome = merge.merge_pixels(theirs, into=self.workspace.path)
        else:
            outcome = merge.merge_table(
                None if sides.base is None else repository.locate(sides.base),
                repository.locate(sides.ours),
                theirs,
                into=self.workspace.path,
                name=name,
                prefer="theirs" if name.startswith("reports/") else self.prefer,
            )
        self.conflicts += [_row_conflict(name, row) for row in outcome.conflicts.to_pylist()]
        self.merged[name] = RowCounts(
            inserted=outcome.inserted, updated=outcome.updated, deleted=outcome.deleted
        )
        self.rewritten.add(name)

    def _merge_card(self, yours: "dict[str, Change]") -> None:
        repository, sides = self.sides.repository, self.sides
        commits = (sides.base, sides.ours, sides.theirs)
        texts = [_text(repository, commit) for commit in commits]
        merged, keys = front.merge(*texts)
        if keys and self.prefer == "theirs":
            self._take(CARD, yours)
            return
        if keys and self.prefer is None:
            values = [front.split(text)[0] | {"body": front.split(text)[1]} for text in texts]
            self.conflicts += [
                _conflict(CARD, key, *(repr(side.get(key)) for side in values)) for key in keys
            ]
        (self.workspace.path / CARD).write_text(merged, encoding="utf-8", newline="")
        self.rewritten.add(CARD)

    def _disagree(self, unit: str, yours: "dict[str, Change]") -> None:
        if self.prefer == "theirs":
            self._take(unit, self._whole(unit) | yours)
        elif self.prefer is None:
            entries = (self.sides.our_entries, self.sides.their_entries)
            ours, theirs = ("changed" if _holds(side, unit) else "removed" for side in entries)
            self.conflicts.append(_conflict(unit, unit, None, ours, theirs))

    def _whole(self, unit: str) -> "dict[str, Change]":
        """Return changes that undo what ours did to a unit."""
        from registry.lake import Change, ChangeKind

        sides = self.sides
        return {
            path: Change(
                path=path,
                kind=ChangeKind.CHANGED,
                before=change.after,
                after=sides.their_entries.get(path),
            )
            for path, change in sides.below(sides.our_changes, unit).items()
        }

    def _mend(self) -> None:
        """Keep pointers and foreign keys whole across tables."""
        if self.conflicts or not (self.taken or self.merged):
            return
        from registry.catalog.relations import mend

        locate, sides = self.sides.repository.locate, self.sides
        ours, theirs = locate(sides.ours), locate(sides.theirs)
        done = mend(self.workspace.path, ours=ours, theirs=theirs, prefer=self.prefer)
        self.rewritten |= done.tables
        self.conflicts += [
            _conflict(
                str(row["table"]),
                str(row["key"]),
                None,
                f"sample {row['value']} is deleted on one side",
                "and used on the other",
            )
            for row in done.orphans
        ]
        if "annotations" in self.merged:
            self._find_duplicates(ours, theirs)

    def _find_duplicates(self, ours: "Location", theirs: "Location") -> None:
        from registry.tables.references import probable_duplicates

        base = self.sides.base and self.sides.repository.locate(self.sides.base)
        self.duplicates = probable_duplicates(base or None, ours, theirs)

    def _refusal(self) -> MergeConflictError:
        import pyarrow as pa

        names = ("table", "key", "columns", "base", "ours", "theirs")
        rows = [{name: row.get(name) for name in names} for row in self.conflicts]
        first = rows[0]
        return MergeConflictError(
            f"{len(rows)} conflicts: both sides changed the same, first in "
            f"'{first['table']}' at {first['key']}",
            hint="decide for all with --prefer ours or --prefer theirs, or change one side",
            conflicts=pa.Table.from_pylist(rows),
        )

    def _stage(self, transaction: "Transaction") -> None:
        """Stage how the folder differs from ours; what theirs has already is linked, not read."""
        sides = self.sides
        found = dict(_files(self.workspace.path))
        for path in sides.our_entries:
            if path not in found:
                transaction.remove(path)
        for path, file in found.items():
            unit = sides.unit_of(path)
            if unit not in {*self.taken, *self.rewritten}:
                continue
            mine, yours = sides.our_entries.get(path), sides.their_entries.get(path)
            if mine is not None and is_immutable(path) and unit not in self.taken:
                continue
            as_theirs = unit in self.taken and unit not in self.rewritten
            if yours is not None and (as_theirs or _same_data(path, yours, file)):
                transaction.link(yours)
            else:
                transaction.put_file(path, file)


def _same_data(path: str, entry: "Entry", file: Path) -> bool:
    # A data file's name is unique to its bytes; a log's is not: both sides have a version 7.
    return (
        path.endswith(".parquet") and f"/{LOG}/" not in path and (entry.size == file.stat().st_size)
    )


def _holds(entries: "Mapping[str, Entry]", unit: str) -> bool:
    return unit in entries or any(path.startswith(f"{unit}/") for path in entries)


def _row_conflict(table: str, row: dict[str, object]) -> dict[str, object]:
    said = {"columns", "base", "ours", "theirs"}
    key = "/".join(str(value) for name, value in row.items() if name not in said)
    return {"table": table, "key": key} | {name: row[name] for name in said}


def _conflict(unit: str, key: str, base: object, ours: object, theirs: object) -> dict[str, object]:
    return {"table": unit, "key": key, "columns": [], "base": base, "ours": ours, "theirs": theirs}


def _text(repository: "Repository", commit: str | None) -> str:
    from registry.errors import NotFoundError

    if commit is None:
        return ""
    try:
        return repository.read(CARD, at=commit).decode("utf-8", "replace")
    except NotFoundError:
        return ""


def _unlink(root: Path, path: str) -> None:
    file = root / path
    file.unlink(missing_ok=True)
    for folder in file.parents:  # a log's folder left empty would look like a damaged table
        if folder == root or not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def _lay(source: Path, target: Path) -> None:
    from registry.lake import lazy

    if is_immutable(source.as_posix()):
        lazy.ensure(source)
        try:
            os.link(source, target)
        except OSError:  # another file system, or too many links: a copy does as well
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path
