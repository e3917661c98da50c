"""Pixels that nothing points to any more, dropped; the only thing that rewrites pixels."""

from dataclasses import dataclass

import numpy as np

from registry.errors import RejectedError
from registry.tables.chips import ChipIndex, entries_of, write_index
from registry.tables.log import Root, snapshot
from registry.tables.references import check_pointers
from registry.tables.rewrite import FileEdit, drop_files, rewrite
from registry.tables.store import scan, schema_at

__all__ = ["Compaction", "compact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What compacting did."""

    rows: int
    """Rows of ``pixels`` that were dropped."""

    size: int
    """Bytes by which the data files became smaller."""


def compact(root: Root) -> Compaction:
    """Drop the rows of ``pixels`` that no asset points to.

    Older versions keep theirs. It is for ``main`` alone, while no draft is open: a draft may
    still point to what is dropped.

    Args:
        root: The dataset's folder; must be writable.

    Returns:
        What went.

    Raises:
        RejectedError: An asset points to pixels that are not there; that is mended first.
    """
    missing = check_pointers(root).num_rows
    if missing:
        raise RejectedError(
            f"{missing} assets point to pixels that are not there",
            hint="restore them from an older version first",
        )
    before = snapshot(root, "pixels")
    index = ChipIndex.of(before)
    wanted = [np.zeros(len(entries), dtype=bool) for _, entries in index.files]
    for batch in scan(root, "assets", ["pixels"]):
        digests = np.array(batch.column("pixels").drop_null().to_pylist(), dtype="S32")
        for (_, entries), mask in zip(index.files, wanted, strict=True):
            places = np.searchsorted(entries["sha256"], digests)
            inside = places[places < len(entries)]
            hits = entries["sha256"][inside] == digests[places < len(entries)]
            mask[inside[hits]] = True
    edits, dropped = {}, []
    for number, (file, mask) in enumerate(zip(before.files, wanted, strict=True)):
        if not mask.any():
            dropped.append(file)
        elif not mask.all():
            edits[number] = FileEdit(dropped=_rows(entries_of(before.folder, file), ~mask))
    if not edits and not dropped:
        return Compaction(rows=0, size=0)
    done = rewrite(before, schema_at(before), edits, dropped=dropped, data=False)
    for one in done.added:
        write_index(before.folder, one)
    drop_files(before, done.removed)
    return Compaction(
        rows=int(sum((~mask).sum() for mask in wanted)),
        size=sum(one.size for one in done.removed) - sum(one.size for one in done.added),
    )


def _rows(entries: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return entries' rows counted through their whole file, ascending."""
    groups = entries["group"].astype(np.int64)
    sizes = np.bincount(groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.asarray(np.sort((starts[groups] + entries["row"])[mask]))
