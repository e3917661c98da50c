"""Merge of three trees of a dataset: tables by row, the card by key, other files whole.

One engine serves merge, revert and cherry-pick: what changed from a base to theirs comes to ours.
A table that both sides wrote is never left to a merge of objects, because the log files of one
side would slip in behind the other's and silently lose its rows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.catalog.card import front
from registry.catalog.merging.conflicts import OURS, SET, SIDES, THEIRS, Clash, ClashKind, Decisions
from registry.catalog.merging.joining import Joining, Trees, Way, trees_of
from registry.catalog.merging.laying import stage, take, unlink
from registry.catalog.merging.merged import Merged, RowCounts, Undecided
from registry.catalog.merging.rowwise import merge_rows
from registry.catalog.merging.sides import Sides
from registry.catalog.merging.telling import message_of, metadata_of
from registry.catalog.trees import LOG, is_remade, table_of, tables_among
from registry.catalog.version import CARD
from registry.errors import ConflictError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.lake import Change, Commit, Entry, Repository, Workspace

__all__ = ["join"]

_NOTHING: Decisions = {}


def join(
    repository: "Repository",
    joining: Joining,
    *,
    branch: str | None = None,
    prefer: str | None = None,
    decisions: Decisions = _NOTHING,
    metadata: Mapping[str, str] | None = None,
    counting: bool = False,
) -> Merged | Undecided:
    """Bring a change into a branch as one commit; a merge has two parents.

    Args:
        repository: The dataset's.
        joining: Which change, and why.
        branch: An unprotected branch that the commit is made on; ``joining.into`` by default.
        prefer: ``ours`` or ``theirs`` where both changed the same and ``decisions`` say nothing;
            None leaves it open.
        decisions: What was decided about conflicts.
        metadata: What programs want to say about the commit.
        counting: Count the rows that came into tables which only theirs had changed, too.

    Returns:
        What was merged, where a branch with nothing of its own simply moves forward; or what both
        changed differently, if any of it is open, and then nothing was written.

    Raises:
        ConflictError: The branch moved meanwhile.
        InvalidInputError: ``prefer`` is something else, or the commit cannot be undone or repeated.
    """
    if prefer not in {None, *SIDES}:
        raise InvalidInputError(
            f"no side of a merge is called {prefer!r}", hint="prefer 'ours' or 'theirs'"
        )
    target = branch or joining.into
    trees = trees_of(repository, joining, ours=repository.resolve(target))
    if joining.way is Way.MERGE and trees.base == trees.theirs:
        return Merged(commit=repository.commit(trees.ours), joining=joining, moved=False)
    if joining.way is Way.MERGE and trees.base == trees.ours:
        repository.advance(target, to=trees.theirs, expected=trees.ours, operation="merge")
        came = _came(repository, trees) if counting else {}
        return Merged(
            commit=repository.commit(trees.theirs),
            joining=joining,
            moved=True,
            paths=tuple(came),
            taken={name: counts for name, counts in came.items() if counts is not None},
            authors=_authors(repository, joining, trees.base),
        )
    sides = Sides.of(repository, trees)
    with repository.workspace(target) as workspace:
        if workspace.head != trees.ours:
            raise ConflictError(f"'{target}' moved during the merge", hint="merge again")
        work = _Merge(sides=sides, workspace=workspace, prefer=prefer, decisions=decisions)
        work.run(remaking=joining.way is Way.MERGE)
        if any(clash.decision is None for clash in work.clashes):
            return Undecided(joining=joining, trees=trees, clashes=tuple(work.clashes))
        commit = work.commit(joining, target, metadata or {})
    return Merged(
        commit=commit,
        joining=joining,
        moved=commit.id != trees.ours,
        tables=work.merged,
        paths=tuple(work.taken),
        taken=_counts(repository, trees, sides.tables & set(work.taken)) if counting else {},
        duplicates=work.duplicates,
        decided=tuple(work.clashes),
        authors=_authors(repository, joining, trees.base),
    )


def _came(repository: "Repository", trees: Trees) -> dict[str, RowCounts | None]:
    """Return what came with a branch that had nothing of its own: tables with their rows, files."""
    paths = [c.path for c in repository.diff(trees.ours, trees.theirs) if not is_remade(c.path)]
    tables = tables_among(entry.path for entry in repository.entries(trees.theirs))
    units = {table_of(path, tables) or path for path in paths}
    counts = _counts(repository, trees, tables & units)
    return {unit: counts.get(unit) for unit in sorted(units)}


def _counts(repository: "Repository", trees: Trees, names: Iterable[str]) -> dict[str, RowCounts]:
    from registry.catalog.counting import changed_rows

    before = None if trees.base is None else repository.locate(trees.base)
    after = repository.locate(trees.theirs)
    return {name: changed_rows(before, after, name) for name in sorted(names)}


def _authors(repository: "Repository", joining: Joining, base: str | None) -> tuple[str, ...]:
    """Return who made what was brought in, newest first."""
    if joining.way is not Way.MERGE:
        return (repository.commit(joining.commit).author,)
    found: dict[str, None] = {}
    for number, commit in enumerate(repository.log(joining.commit)):
        if commit.id == base or number == _LOOKED_AT:
            break
        found[commit.author] = None
    return tuple(found)


_LOOKED_AT = 1_000
"""Commits that are asked for their author, at most."""


@dataclass(slots=True, kw_only=True)
class _Merge:
    """One merge under way, written in a private folder and then staged as one commit."""

    sides: Sides
    workspace: "Workspace"
    prefer: str | None
    decisions: Decisions
    taken: list[str] = field(default_factory=list)
    merged: dict[str, RowCounts] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    duplicates: "pa.Table | None" = None
    clashes: list[Clash] = field(default_factory=list)

    def run(self, *, remaking: bool) -> None:
        """Put the outcome together in the folder; what is open stands as ours for now.

        Args:
            remaking: Whether what is made again of a tree goes, as after a merge.
        """
        for path in filter(is_remade, self.sides.our_entries if remaking else ()):
            unlink(self.workspace.path, path)
        ours = self.sides.by_unit(self.sides.our_changes)
        theirs = self.sides.by_unit(self.sides.their_changes)
        if not remaking:  # a log that was cut or files that were joined are nothing to repeat
            theirs = {unit: yours for unit, yours in theirs.items() if not self._is_idle(unit)}
        for unit, yours in theirs.items():
            self._merge_unit(unit, ours.get(unit, {}), yours)
        self._mend({*ours, *theirs})

    def commit(self, joining: Joining, branch: str, metadata: Mapping[str, str]) -> "Commit":
        """Commit the folder on the branch that it was made from.

        Returns:
            The commit; the branch's head if nothing has changed.
        """
        trees, repository = self.sides.trees, self.sides.repository
        is_merge = joining.way is Way.MERGE
        with repository.transaction(
            branch,
            message=message_of(joining.message, self.clashes),
            metadata={**joining.metadata, **metadata, **metadata_of(self.clashes)},
            expected=trees.ours,
            merging=trees.theirs if is_merge else None,
            allow_empty=is_merge,
        ) as transaction:
            taken = set(self.taken)
            stage(self.workspace.path, self.sides, transaction, taken=taken, written=self.written)
        return transaction.commit or repository.commit(branch)

    def _merge_unit(self, unit: str, mine: "dict[str, Change]", yours: "dict[str, Change]") -> None:
        if not mine and not self._blocked(unit):
            self._take(unit, yours)
        elif mine and _outcome(mine) == _outcome(yours):
            return
        elif unit in self.sides.tables:
            self._merge_table(unit)
        elif unit == CARD:
            self._merge_card()
        else:
            self._disagree(unit, ClashKind.FILE)

    def _is_idle(self, unit: str) -> bool:
        """Return whether a table was written without a row or a column being another."""
        from registry.tables import store
        from registry.tables.errors import DuplicateKeyError

        views = [view for side in ("base", THEIRS) if (view := self.sides.view(side)) is not None]
        tables = unit in self.sides.tables and all(store.exists(view, unit) for view in views)
        if not tables or len(views) < 2:  # noqa: PLR2004 — both sides
            return False
        before, after = (store.schema_of(view, unit).arrow for view in views)
        if not before.equals(after, check_metadata=True):
            return False
        try:
            return not _counts(self.sides.repository, self.sides.trees, [unit])[unit]
        except DuplicateKeyError:
            return False

    def _blocked(self, unit: str) -> bool:
        """Return whether ours has a file where theirs has a folder, or a folder for its file."""
        above = unit
        while above := above.rpartition("/")[0]:
            if above in self.sides.our_entries and above not in self.sides.their_changes:
                return True
        is_file = unit in self.sides.their_entries
        return is_file and any(path.startswith(f"{unit}/") for path in self.sides.our_changes)

    def _take(self, unit: str, changes: "Mapping[str, Change]") -> None:
        take(self.workspace.path, self.sides, changes.values())
        self.taken.append(unit)

    def _decided(self, clash: Clash) -> Clash:
        return clash.decided(self.decisions, self.prefer)

    def _merge_table(self, name: str) -> None:
        log = f"{name}/{LOG}"
        sides = (self.sides.our_entries, self.sides.their_entries)
        if not all(_holds(entries, log) for entries in sides):
            self._disagree(name, ClashKind.TABLE)
            return
        prefer = THEIRS if name.startswith("reports/") else self.prefer
        done = merge_rows(
            self.workspace.path, self.sides, name, prefer=prefer, decisions=self.decisions
        )
        self.clashes += done.clashes
        self.merged[name] = done.counts
        self.written.add(name)

    def _merge_card(self) -> None:
        trees, repository = self.sides.trees, self.sides.repository
        texts = [_text(repository, at) for at in (trees.base, trees.ours, trees.theirs)]
        merged, keys = front.merge(*texts)
        cards = [front.split(text)[0] | {"body": front.split(text)[1]} for text in texts]
        chosen: dict[str, object] = {}
        for key in keys:
            base, ours, theirs = (_said(card, key) for card in cards)
            clash = Clash(
                kind=ClashKind.CARD, table=CARD, key=key, base=base, ours=ours, theirs=theirs
            )
            clash = self._decided(clash)
            self.clashes.append(clash)
            if clash.decision is not None and clash.decision.side == THEIRS:
                chosen[key] = cards[2].get(key)
            elif clash.decision is not None and clash.decision.side == SET:
                chosen[key] = front.value(clash.decision.values[key])
        text = front.changed(merged, chosen) if chosen else merged
        (self.workspace.path / CARD).write_text(text, encoding="utf-8", newline="")
        self.written.add(CARD)

    def _disagree(self, unit: str, kind: ClashKind) -> None:
        trees, sides = self.sides.trees, self.sides
        base = [] if trees.base is None else sides.repository.entries(trees.base, unit)
        clash = Clash(
            kind=kind,
            table=unit,
            key=unit,
            base=_summary(base, unit),
            ours=_summary(sides.our_entries.values(), unit),
            theirs=_summary(sides.their_entries.values(), unit),
        )
        clash = self._decided(clash)
        self.clashes.append(clash)
        if clash.decision is not None and clash.decision.side == THEIRS:
            self._clear(unit)
            self._take(unit, sides.whole(unit))

    def _clear(self, unit: str) -> None:
        """Make room where ours has a file in the place of a folder, or the other way round."""
        above = [unit[:end] for end in range(len(unit)) if unit[end] == "/"]
        for path in self.sides.our_entries:
            if path in above or path.startswith(f"{unit}/"):
                unlink(self.workspace.path, path)

    def _mend(self, touched: set[str]) -> None:
        """Keep pointers and foreign keys whole across tables."""
        if not (self.taken or self.merged):
            return
        from registry.catalog.merging import relations

        root = self.workspace.path
        locate, trees = self.sides.repository.locate, self.sides.trees
        sides = {OURS: locate(trees.ours), THEIRS: locate(trees.theirs)}
        deletions = [
            clash
            for clash in self.clashes
            if clash.table == "samples" and clash.kind is ClashKind.DELETED
        ]
        for side in SIDES:
            kept = [clash.key for clash in deletions if clash.keeper == side and _stays(clash)]
            self.written |= relations.bring_back(root, sides[side], kept)
        if deletions or ("samples" in touched and self._loses_samples()):
            gone = [clash.key for clash in deletions if not _stays(clash)]
            done = relations.mend_samples(root, sides=sides, decided=self._decided, gone=gone)
            self.clashes += done.clashes
            self.written |= done.tables
        if touched & {"assets", "pixels"} or self.written & {"assets"}:
            self.written |= relations.mend_pixels(root, ours=sides[OURS], theirs=sides[THEIRS])
        if "annotations" in self.merged:
            from registry.tables.references import probable_duplicates

            self.duplicates = probable_duplicates(self.sides.view("base"), *sides.values())

    def _loses_samples(self) -> bool:
        """Return whether a side deleted samples, so that the other may speak of what is gone."""
        from registry.tables.diff import DELETED, compare, snapshot_or_none

        base = snapshot_or_none(self.sides.view("base"), "samples")
        for side in SIDES:
            after = snapshot_or_none(self.sides.view(side), "samples")
            if base is not None and compare(base, after, "samples").is_change(DELETED).any():
                return True
        return False


def _stays(clash: Clash) -> bool:
    """Return whether a row that one side deleted is kept."""
    side = clash.decision.side if clash.decision is not None else OURS
    return side in {SET, clash.keeper}


def _outcome(changes: "Mapping[str, Change]") -> dict[str, str]:
    return {path: change.after.sha256 if change.after else "" for path, change in changes.items()}


def _holds(entries: "Mapping[str, Entry]", unit: str) -> bool:
    return unit in entries or any(path.startswith(f"{unit}/") for path in entries)


def _summary(entries: "Iterable[Entry]", unit: str) -> str | None:
    """Return what a side has of a unit, as JSON text; None if nothing."""
    found = [entry for entry in entries if entry.path == unit or entry.path.startswith(f"{unit}/")]
    if not found:
        return None
    if [entry.path for entry in found] == [unit]:
        return json.dumps({"size": found[0].size, "sha256": found[0].sha256})
    return json.dumps({"files": len(found), "size": sum(entry.size for entry in found)})


def _said(card: Mapping[str, Any], key: str) -> str | None:
    value = card.get(key)
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _text(repository: "Repository", commit: str | None) -> str:
    if commit is None:
        return ""
    try:
        return repository.read(CARD, at=commit).decode("utf-8", "replace")
    except NotFoundError:
        return ""
