"""Write tables beside a version, or into a draft, as one commit that others may delay."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.catalog.branches import MAIN
from registry.catalog.ref import is_tag, like_commit
from registry.errors import ConflictError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Draft, Version

__all__ = ["beside", "stands_apart"]

_TRIES: Final = 5


def beside(
    registry: "Registry",
    version: "Version",
    message: str,
    write: Callable[[Path], None],
    *,
    metadata: Mapping[str, str] | None = None,
    unless: Callable[[], bool] = lambda: False,
) -> None:
    """Write tables beside a published version, or into the draft or branch that it is.

    Args:
        registry: Where the version is.
        version: Beside which.
        message: Why, for the history.
        write: Writes into a view that it is given; may be called again after others wrote.
        metadata: What programs want to say about the commit.
        unless: Asked before each try; nothing is written once it is so.

    Raises:
        ConflictError: Others kept moving the branch.
        ForbiddenError: The branch is protected, and its tip is no published version.
        InvalidInputError: It is a commit that is no published version.
    """
    for turn in range(_TRIES):
        if unless():
            return
        try:
            with _home(registry, version).edit(message, metadata) as root:
                write(root)
        except ConflictError:
            if turn == _TRIES - 1:
                raise
        else:
            return


def stands_apart(version: "Version") -> bool:
    """Return whether tables are written beside a version, whose own then stay as they are.

    If not, they are written into the draft or branch that it was named by. A protected branch takes
    nothing; where its tip is a published version, that is what is meant.
    """
    at = version.ref.at
    if at is None or is_tag(at) or like_commit(at):
        return True
    takes_nothing = at == MAIN or at in version.repository.protected()
    return takes_nothing and version.tag is not None


def _home(registry: "Registry", version: "Version") -> "Draft":
    if stands_apart(version):
        return registry.derive(version)
    return registry.draft(version.dataset, version.ref.at)
