"""How many rows of a table differ between two trees; from its log alone where that suffices."""

from typing import TYPE_CHECKING

from registry.catalog.merging.merged import RowCounts

if TYPE_CHECKING:
    from registry.lake import Location

__all__ = ["changed_rows"]


def changed_rows(before: "Location | None", after: "Location | None", name: str) -> RowCounts:
    """Return how many rows of a table were inserted, updated and deleted.

    Args:
        before: Where the dataset was; None if it was not.
        after: Where it is now.
        name: The table; a side without it counts as empty.
    """
    from registry.tables.diff import DELETED, INSERTED, UPDATED, compare, snapshot_or_none

    was, now = snapshot_or_none(before, name), snapshot_or_none(after, name)
    if was is None and now is None:
        return RowCounts(inserted=0, updated=0, deleted=0)
    there = {file.path for file in (was.files if was else ())}
    here = {file.path: file.rows for file in (now.files if now else ())}
    come = [rows for path, rows in here.items() if path not in there]
    if there <= here.keys() and None not in come:
        return RowCounts(inserted=sum(rows or 0 for rows in come), updated=0, deleted=0)
    found = compare(was, now, name)
    counts = [int(found.is_change(kind).sum()) for kind in (INSERTED, UPDATED, DELETED)]
    return RowCounts(inserted=counts[0], updated=counts[1], deleted=counts[2])
