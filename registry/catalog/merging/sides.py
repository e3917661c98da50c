"""Three trees side by side: what each of two did since the third, unit by unit.

A table is one unit, since its log and its files say something only together; any other file is a
unit of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.catalog.merging.joining import Trees
from registry.catalog.trees import is_remade, table_of, tables_among

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.lake import Change, Entry, Location, Repository

__all__ = ["Sides"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Three trees and what changed between them."""

    repository: "Repository"
    """Where they are kept."""

    trees: Trees
    """The three commits."""

    our_changes: "Mapping[str, Change]"
    """What ours did since base, by path; without what is made again."""

    their_changes: "Mapping[str, Change]"
    """What theirs did."""

    our_entries: "Mapping[str, Entry]"
    """Every object of ours, by path."""

    their_entries: "Mapping[str, Entry]"
    """Every object of theirs."""

    tables: frozenset[str]
    """Names of the tables that any side has."""

    @classmethod
    def of(cls, repository: "Repository", trees: Trees) -> "Sides":
        """Compare three trees; no object is read.

        Returns:
            The trees with what changed between them.
        """
        start = trees.base or [commit.id for commit in repository.log(trees.ours)][-1]
        our_entries = {entry.path: entry for entry in repository.entries(trees.ours)}
        their_entries = {entry.path: entry for entry in repository.entries(trees.theirs)}
        our_changes = {change.path: change for change in repository.diff(start, trees.ours)}
        their_changes = {change.path: change for change in repository.diff(start, trees.theirs)}
        paths = {*our_entries, *their_entries, *our_changes, *their_changes}
        return cls(
            repository=repository,
            trees=trees,
            our_changes={p: c for p, c in our_changes.items() if not is_remade(p)},
            their_changes={p: c for p, c in their_changes.items() if not is_remade(p)},
            our_entries=our_entries,
            their_entries=their_entries,
            tables=tables_among(paths),
        )

    def unit_of(self, path: str) -> str:
        """Return the table that a path belongs to; the path itself if it is a file of its own."""
        return table_of(path, self.tables) or path

    def by_unit(self, changes: "Mapping[str, Change]") -> "dict[str, dict[str, Change]]":
        """Return changes by the unit that they are of, sorted."""
        units: dict[str, dict[str, Change]] = {}
        for path, change in changes.items():
            units.setdefault(self.unit_of(path), {})[path] = change
        return dict(sorted(units.items()))

    def view(self, side: str) -> "Location | None":
        """Return where engines read ``base``, ``ours`` or ``theirs``; None if there is no base."""
        commit = getattr(self.trees, side)
        return None if commit is None else self.repository.locate(commit)

    def whole(self, unit: str) -> "dict[str, Change]":
        """Return the changes that make of ours' unit what theirs has."""
        from registry.lake import Change, ChangeKind

        found: dict[str, Change] = {}
        for path in {*self.our_entries, *self.their_entries}:
            before, after = self.our_entries.get(path), self.their_entries.get(path)
            if before != after and self.unit_of(path) == unit:
                found[path] = Change(path=path, kind=ChangeKind.CHANGED, before=before, after=after)
        return found
