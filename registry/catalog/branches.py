"""Branches: made where they are needed, and those that nobody writes to.

A protected branch moves to what was judged alone, as ``main`` does.
"""

from typing import TYPE_CHECKING

from registry.catalog.ref import DRAFT
from registry.catalog.shelf import TOMBSTONES
from registry.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.lake import Repository

__all__ = [
    "MAIN",
    "ensure_branch",
    "first_commit",
    "freshen",
    "protect",
    "protected",
    "refuse_protected",
]

MAIN = "main"
"""The branch that only publishing moves."""


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


def refuse_protected(repository: "Repository", branch: str) -> None:
    """Refuse to write to a branch that moves to what was judged alone.

    Raises:
        ForbiddenError: It is one.
    """
    if branch in {MAIN, TOMBSTONES}:
        hint = f"work on a draft or a branch, then: eolab publish {repository.name} -m 'why'"
    elif branch in repository.protected():
        hint = f"work on another, then: eolab merge {repository.name} BRANCH --into {branch}"
    else:
        return
    raise ForbiddenError(f"'{branch}' of '{repository.name}' is protected", hint=hint)


def ensure_branch(repository: "Repository", name: str, *, at: str) -> None:
    """Make a branch at a commit, unless it is there."""  # noqa: DOC501 — only passed on
    if name in repository.branches():
        return
    try:
        repository.create_branch(name, at=at)
    except ConflictError:
        if name not in repository.branches():
            raise


def first_commit(repository: "Repository") -> str:
    """Return the commit in which a dataset's history begins."""
    return [commit.id for commit in repository.log(MAIN)][-1]


def freshen(repository: "Repository", branch: str) -> None:
    """Make a draft from main, or bring one up to main that has nothing of its own."""
    main = repository.resolve(MAIN)
    head = repository.branches().get(branch)
    if head is None:
        ensure_branch(repository, branch, at=main)
    elif (
        head != main
        and _may_precede(repository, head, main)
        and (repository.merge_base(head, main) == head)
    ):
        repository.advance(branch, to=main, expected=head, operation="draft")


def _may_precede(repository: "Repository", head: str, main: str) -> bool:
    # No commit is older than its parents, so most drafts need no walk through their history.
    return repository.commit(head).at <= repository.commit(main).at
