"""What points across tables after a merge: pixels brought back, orphans decided on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from registry.tables import edit, references, store

if TYPE_CHECKING:
    from registry.lake import Location

__all__ = ["Mended", "mend"]


@dataclass(slots=True, kw_only=True)
class Mended:
    """What was done to keep tables consistent, and what is left to decide."""

    tables: set[str] = field(default_factory=set)
    """Tables that were written."""

    orphans: list[dict[str, object]] = field(default_factory=list)
    """Rows of one side whose sample the other deleted: ``table``, ``key``, ``value``."""


def mend(root: Path, *, ours: "Location", theirs: "Location", prefer: str | None) -> Mended:
    """Make a merged folder consistent across its tables.

    Pixels that a pointer needs and a compaction dropped come back from either side. A row whose
    sample only the other side deleted is a conflict; with ``prefer``, the sample comes back if
    that side has it, else the row goes too.

    Args:
        root: The merged folder; writable.
        ours: The side that was merged into.
        theirs: The side that was merged.
        prefer: ``ours``, ``theirs`` or None.

    Returns:
        What was written, and the conflicts.
    """
    done = Mended()
    orphans = _new_orphans(root, ours, theirs)
    if orphans and prefer is None:
        done.orphans = orphans
        return done
    if orphans:
        _bring_back(root, theirs if prefer == "theirs" else ours, orphans, done)
        for row in _new_orphans(root, ours, theirs):
            _drop(root, row, done)
    if references.restore_pixels(root, [theirs.path, ours.path]):
        done.tables.add("pixels")
    return done


def _new_orphans(root: Path, ours: "Location", theirs: "Location") -> list[dict[str, object]]:
    """Return orphans that the merge made; those of one side alone are the checks' business."""
    found = references.foreign_key_conflicts(root).to_pylist()
    if not found:
        return []
    known = {
        tuple(row.values())
        for side in (ours, theirs)
        for row in references.foreign_key_conflicts(side).to_pylist()
    }
    return [row for row in found if tuple(row.values()) not in known]


def _bring_back(
    root: Path, side: "Location", orphans: list[dict[str, object]], done: Mended
) -> None:
    wanted = pa.array(sorted({str(row["value"]) for row in orphans}))
    for name, column in (("samples", "id"), ("assets", "sample")):
        if store.exists(side, name):
            rows = store.read(side, name, filter=pc.is_in(pc.field(column), wanted))
            if rows.num_rows:
                edit.upsert(root, store.schema_of(side, name), rows)
                done.tables.add(name)


def _drop(root: Path, row: dict[str, object], done: Mended) -> None:
    name = str(row["table"])
    sample = str(row["value"]).replace("'", "''")
    edit.delete(root, name, where=f"sample = '{sample}'")
    done.tables.add(name)
