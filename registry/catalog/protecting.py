"""Branches that nobody writes to: they move to what was judged, as ``main`` does."""

from typing import TYPE_CHECKING

from registry.catalog.ref import DRAFT
from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["protect", "protected"]


def protect(registry: "Registry", dataset: str, branch: str) -> None:
    """Protect a branch: from now on it moves by merges that pass the checks, and is not deleted.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        branch: The branch.

    Raises:
        InvalidInputError: It is a draft, or a source's: the lab itself writes to those.
        NotFoundError: There is no such branch.
    """
    if branch == DRAFT or branch.startswith((f"{DRAFT}/", "source/", "run/")):
        raise InvalidInputError(
            f"'{branch}' is there to be written to", hint="protect a branch that work goes into"
        )
    if branch not in registry.branches(dataset):
        raise NotFoundError(
            f"dataset '{dataset}' has no branch '{branch}'",
            hint=f"make it: eolab branch {dataset} {branch}",
        )
    registry.lake.repository(dataset).protect(branch)


def protected(registry: "Registry", dataset: str) -> frozenset[str]:
    """Return the names of the branches that nobody writes to."""
    known = registry.lake.repository(dataset).protected()
    return frozenset(known & registry.branches(dataset).keys())
