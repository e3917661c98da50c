"""Merges from being asked for to their end: with what was decided before, kept while it is open."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from registry.catalog.merging.conflicts import Decisions
from registry.catalog.merging.joining import Joining, Way
from registry.catalog.merging.merged import Merged, Undecided
from registry.catalog.merging.pending import DECIDED, Pending, drop, keep, pending
from registry.catalog.ref import Ref
from registry.catalog.shelf import Shelf
from registry.errors import NotFoundError
from registry.lake import MergeConflictError

if TYPE_CHECKING:
    from registry.lake import Repository

__all__ = ["Run", "as_it_stands", "bring", "refusal"]

Run = Callable[[Decisions, Mapping[str, str]], Merged | Undecided]
"""Does a merge with decisions, and with metadata for its commit."""


def bring(repository: "Repository", joining: Joining, run: Run) -> Merged | Pending:
    """Do a merge with what was decided about it before; keep it if anything is open.

    Args:
        repository: The dataset's.
        joining: What is asked for.
        run: Does it.

    Returns:
        What was merged, or the merge that waits for decisions.

    Raises:
        ConflictError: The branch moved meanwhile, or another merge into it waits for decisions
            while this one has conflicts too.
    """
    known = pending(repository, joining.into)
    again = known is not None and known.joining.asks_as(joining)
    decisions = known.decisions if known is not None and again else {}
    metadata = {DECIDED: known.commit} if known is not None and again else {}
    outcome = run(decisions, metadata)
    if isinstance(outcome, Undecided):
        return keep(repository, outcome, known=known)
    if again:
        drop(repository, joining.into)
    return outcome


def as_it_stands(repository: "Repository", joining: Joining) -> Joining:
    """Return what was asked for with the newest commit of the branch that it names.

    A branch that was deleted meanwhile counts as it stood.
    """
    if joining.way is not Way.MERGE:
        return joining
    try:
        newest = Shelf.of(repository).where(Ref(dataset=repository.name, at=joining.name))
    except NotFoundError:
        return joining
    return replace(joining, commit=newest)


def refusal(repository: "Repository", waiting: Pending) -> MergeConflictError:
    """Return the error that says what waits for decisions, and how to decide."""
    undecided = Undecided(joining=waiting.joining, trees=waiting.trees, clashes=waiting.clashes)
    name = repository.name
    return undecided.refusal(
        hint=f"see them: eolab conflicts {name}; decide: eolab resolve {name} --ours or --theirs; "
        f"or drop the {waiting.joining.way}: eolab merge {name} --abort"
    )
