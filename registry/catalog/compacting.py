"""Pixels that nothing on ``main`` points to, dropped: a commit that changes no data."""

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.catalog.merging.pending import PENDING
from registry.catalog.registry import MAIN
from registry.catalog.shelf import TOMBSTONES
from registry.errors import ForbiddenError
from registry.lake.purges import PURGES

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.lake import Repository

__all__ = ["Compacted", "OpenDraftsError", "compact"]

_CLOSED = frozenset({MAIN, TOMBSTONES, PURGES})
_DERIVED = "derived/"
_SOURCES = "source/"
_STAGING = "staging/"
_SHOWN = 5


class OpenDraftsError(ForbiddenError):
    """Somebody has a branch that is not merged, which may need what would be dropped."""

    code = "open-drafts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What compacting did."""

    dataset: str
    """The dataset's name."""

    rows: int
    """Rows of ``pixels`` that were dropped from ``main``; older versions keep theirs."""

    size: int
    """Bytes by which the data files of ``main`` became smaller."""

    commit: str | None
    """The commit; None if there was nothing to drop."""

    def to_text(self) -> str:
        """Return it for people."""
        if self.commit is None:
            return f"every row of pixels on '{self.dataset}@{MAIN}' is pointed to; nothing changed"
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return (
            f"dropped {rows} of pixels ({self.size:,} bytes) from "
            f"'{self.dataset}@{MAIN}' as {self.commit[:12]}; older versions keep theirs"
        )


def compact(registry: "Registry", dataset: str, *, message: str | None = None) -> Compacted:
    """Drop the rows of ``pixels`` that no asset on ``main`` points to.

    It is for ``main`` alone, while no draft is open: a draft may still point to what is dropped.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        message: Why; by default what was done.

    Returns:
        What went.

    Raises:
        OpenDraftsError: A branch holds something that ``main`` does not.
        ConflictError: ``main`` moved meanwhile; nothing was changed.
        RejectedError: An asset points to pixels that are not there.
    """
    from registry.tables import compact as tables

    repository = registry.lake.repository(dataset)
    main = repository.resolve(MAIN)
    _refuse_drafts(repository, main)
    staging = f"{_STAGING}{int(time.time())}-{uuid.uuid4().hex[:12]}"
    repository.create_branch(staging, at=main)
    try:
        with repository.workspace(staging) as workspace:
            if not (workspace.path / "pixels").is_dir():
                return Compacted(dataset=dataset, rows=0, size=0, commit=None)
            done = tables.compact(workspace.path)
            if not done.rows:
                return Compacted(dataset=dataset, rows=0, size=0, commit=None)
            said = message or f"drop {done.rows:,} rows of pixels that nothing points to"
            made = workspace.commit(said, metadata={"compacted": str(done.rows)})
        _refuse_drafts(repository, main)
        repository.advance(MAIN, to=made.id, expected=main, operation="compact")
    finally:
        repository.delete_branch(staging)
    return Compacted(dataset=dataset, rows=done.rows, size=done.size, commit=made.id)


def _refuse_drafts(repository: "Repository", main: str) -> None:
    """Refuse while a branch of people's holds what main does not.

    What was derived from a version reads that version's own pixels, and sources are merged by
    what they changed, so neither needs those of main.

    Raises:
        OpenDraftsError: There is one.
    """
    kept = (_DERIVED, _SOURCES, _STAGING)
    waiting = list(repository.branches(PENDING))
    waiting += [
        name
        for name, head in repository.branches().items()
        if name not in _CLOSED and not name.startswith((*kept, PENDING))
        and repository.merge_base(head, main) != head
    ]  # fmt: skip
    if waiting:
        shown = ", ".join(f"'{name}'" for name in waiting[:_SHOWN])
        raise OpenDraftsError(
            f"'{repository.name}' has {len(waiting):,} branches that are not merged: {shown}",
            hint="publish, merge or delete them first; they may need what would be dropped",
        )
