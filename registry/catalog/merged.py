"""The outcome of a merge: what it brought, or what both sides changed differently."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from registry.errors import ConflictError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.lake import Commit

__all__ = ["MergeConflictError", "Merged", "RowCounts"]


class MergeConflictError(ConflictError):
    """Both sides of a merge changed the same, differently."""

    code = "merge-conflict"

    conflicts: "pa.Table | None" = None
    """One row a conflict: ``table, key, columns, base, ours, theirs``; a file outside tables is
    its own table. None where the error has crossed a process border, which only words do."""

    def __init__(self, problem: str, *, hint: str, conflicts: "pa.Table | None" = None) -> None:
        super().__init__(problem, hint=hint)
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """What a merge brought into a table."""

    inserted: int
    """Rows added."""

    updated: int
    """Rows changed."""

    deleted: int
    """Rows removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The outcome of a merge."""

    commit: "Commit"
    """Where the branch stands now."""

    moved: bool
    """False if there was nothing to merge."""

    tables: Mapping[str, RowCounts] = field(default_factory=lambda: MappingProxyType({}))
    """Tables that both sides had changed, merged by key."""

    paths: tuple[str, ...] = ()
    """Tables and files taken as theirs has them, because only theirs changed."""

    duplicates: "pa.Table | None" = None
    """Annotations of both sides that are probably one object: ``sample, category, ours, theirs,
    iou``; None if only one side drew any."""

    def to_text(self) -> str:
        """Return it for people."""
        if not self.moved:
            return "nothing to merge"
        lines = [f"merged as {self.commit.id[:12]}"]
        lines += [
            f"  {name}: {count.inserted:,} inserted, {count.updated:,} updated, "
            f"{count.deleted:,} deleted"
            for name, count in self.tables.items()
        ]
        lines += [f"  {path}: as theirs" for path in self.paths]
        if self.duplicates is not None and self.duplicates.num_rows:
            lines.append(f"  {self.duplicates.num_rows:,} annotations were probably drawn twice")
        return "\n".join(lines)
