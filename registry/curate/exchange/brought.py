"""What comes of a file that is brought back, and why it may be refused."""

from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from registry.errors import ConflictError

__all__ = ["Brought", "EditedMeanwhileError"]

_SHORT: Final = 12
_SHOWN: Final = 1_000


class EditedMeanwhileError(ConflictError):
    """A file edits what somebody else has edited since it was exported."""

    code = "edited-meanwhile"

    def __init__(self, problem: str, *, hint: str, conflicts: pa.Table | None = None) -> None:
        """Make the error.

        Args:
            problem: What is wrong.
            hint: What to do next.
            conflicts: Key columns, ``columns``, and ``base``, ``ours``, ``theirs``.
        """
        super().__init__(problem, hint=hint)
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came of a file's edits."""

    ref: str
    """The branch."""

    table: str
    """The table."""

    file: str
    """The file's name."""

    base: str
    """The commit that it was compared with."""

    inserted: int
    """Rows that are new."""

    updated: int
    """Rows of which a value changed."""

    deleted: int
    """Rows that are gone."""

    unchanged: int
    """Rows of the file in which nothing was edited."""

    missing: int
    """Rows that the file should have and has not, which were left as they are."""

    notes: tuple[str, ...]
    """What else there is to know."""

    changes: pa.Table = field(repr=False)
    """One row a changed key, as :class:`registry.tables.changes.TableDiff` tells it."""

    lines: tuple[str, ...] = field(repr=False)
    """The changed rows for people, as ``eolab diff --rows`` tells them."""

    commit: str | None = None
    """The commit that holds the edits; None while there is none."""

    @property
    def differs(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.changes.num_rows)

    def to_text(self) -> str:
        """Return it for people: what changes, what was let be, and the commit."""
        lines = [*self.notes]
        if self.missing:
            few = "1 row is" if self.missing == 1 else f"{self.missing:,} rows are"
            lines.append(f"{few} not in the file and left as before; --delete-missing deletes")
        if not self.differs:
            return "\n".join([*lines, f"nothing differs between {self.file} and {self.ref}"])
        lines += self.lines[:_SHOWN]
        if len(self.lines) > _SHOWN:
            lines.append(f"  … and {len(self.lines) - _SHOWN:,} more; --json lists them all")
        if self.commit is not None:
            lines.append(f"committed on {self.ref} as {self.commit[:_SHORT]}")
        return "\n".join(lines)
