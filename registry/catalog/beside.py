"""Write tables beside a version, or into a draft, as one commit that others may delay."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.catalog.ref import is_tag, like_commit
from registry.errors import ConflictError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Draft, Version

__all__ = ["beside"]

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


def _home(registry: "Registry", version: "Version") -> "Draft":
    at = version.ref.at
    names_a_branch = at is not None and not is_tag(at) and not like_commit(at)
    if names_a_branch or version.tag is None:
        return registry.draft(version.dataset, at)
    return registry.derive(version)
