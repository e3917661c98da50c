"""The outcome of a merge: what it brought, or what both sides changed differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from registry.catalog.merging.conflicts import Clash, table_of_clashes
from registry.catalog.merging.joining import Joining, Trees, Way
from registry.lake import MergeConflictError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.lake import Commit

__all__ = ["Merged", "RowCounts", "Undecided"]

_PAST = {Way.MERGE: "merged", Way.REVERT: "reverted", Way.CHERRY_PICK: "picked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """What a merge brought into a table."""

    inserted: int
    """Rows added."""

    updated: int
    """Rows changed."""

    deleted: int
    """Rows removed."""

    kept: int | None = None
    """Rows that only ours had changed, or both; None where nobody had to look."""

    same: int | None = None
    """Rows that both had changed to the same; None where a conflict was decided."""

    def __bool__(self) -> bool:
        return bool(self.inserted or self.updated or self.deleted)

    def to_text(self, *, ours: str, theirs: str) -> str:
        """Return it for people.

        Examples:
            >>> RowCounts(inserted=0, updated=2, deleted=0).to_text(ours="main", theirs="b")
            '0 inserted, 2 updated, 0 deleted by b'
            >>> RowCounts(inserted=0, updated=0, deleted=0, kept=3).to_text(ours="a", theirs="b")
            'no row changed by b; 3 changed on a'
        """
        done = (("inserted", self.inserted), ("updated", self.updated), ("deleted", self.deleted))
        rows = ", ".join(f"{rows:,} {what}" for what, rows in done) if self else "no row changed"
        said = [f"{rows} by {theirs}"]
        if self.kept is not None:
            said.append(f"{self.kept:,} changed on {ours}")
        if self.same:
            said.append(f"{self.same:,} the same on both")
        return "; ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The outcome of a merge, a revert or a cherry-pick."""

    commit: "Commit"
    """Where the branch stands now."""

    joining: Joining
    """What was asked for."""

    moved: bool
    """False if there was nothing to bring."""

    tables: Mapping[str, RowCounts] = field(default_factory=lambda: MappingProxyType({}))
    """Tables that both sides had changed, merged by key."""

    paths: tuple[str, ...] = ()
    """Tables and files taken as theirs has them, because only theirs changed."""

    taken: Mapping[str, RowCounts] = field(default_factory=lambda: MappingProxyType({}))
    """What that brought, for the tables among them; empty if nobody asked for it."""

    duplicates: "pa.Table | None" = None
    """Annotations of both sides that are probably one object: ``sample, category, ours, theirs,
    iou``; None if only one side drew any."""

    decided: tuple[Clash, ...] = ()
    """What both sides had changed differently, and what was decided."""

    authors: tuple[str, ...] = ()
    """Who made what was brought, newest first."""

    def to_text(self) -> str:
        """Return it for people."""
        asked = self.joining
        if not self.moved:
            return f"nothing to {asked.way.replace('-', ' ')}"
        lines = [f"{_PAST[asked.way]} {asked.name} into {asked.into} as {self.commit.id[:12]}"]
        lines += [
            f"  {name}: {counts.to_text(ours=asked.into, theirs=asked.name)}"
            for name, counts in self.tables.items()
        ]
        for path in self.paths:
            counts = self.taken.get(path)
            if counts is None:
                lines.append(f"  {path}: as {asked.name}")
            elif counts:  # else only its log or its files are others
                lines.append(f"  {path}: {counts.to_text(ours=asked.into, theirs=asked.name)}")
        if self.decided:
            lines.append(f"  {_tally(self.decided)}")
        if self.duplicates is not None and self.duplicates.num_rows:
            lines.append(f"  {self.duplicates.num_rows:,} annotations were probably drawn twice")
        if self.authors:
            lines.append(f"  by {', '.join(who.partition(' <')[0] for who in self.authors)}")
        return "\n".join(lines)


def _tally(clashes: Sequence[Clash]) -> str:
    sides = [clash.decision.side for clash in clashes if clash.decision is not None]
    counts = ", ".join(f"{sides.count(side):,} {side}" for side in dict.fromkeys(sides))
    return f"{len(sides):,} conflict{'' if len(sides) == 1 else 's'} decided: {counts}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A merge, revert or cherry-pick that wrote nothing, because conflicts are open."""

    joining: Joining
    """What was asked for."""

    trees: Trees
    """What was compared."""

    clashes: tuple[Clash, ...]
    """What both sides changed differently, decided or not; one at least is not."""

    def refusal(self, hint: str) -> MergeConflictError:
        """Return the error that names what is open."""
        left = [clash for clash in self.clashes if clash.decision is None]
        first = left[0]
        where = f"'{first.table}'" + (f" at {first.key}" if first.key != first.table else "")
        many = "1 conflict" if len(left) == 1 else f"{len(left):,} conflicts"
        return MergeConflictError(
            f"{many} between '{self.joining.into}' and '{self.joining.name}': both changed the "
            f"same, first in {where}",
            hint=hint,
            conflicts=table_of_clashes(self.clashes),
        )
