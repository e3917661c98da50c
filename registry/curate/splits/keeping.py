"""Write a split, or what leaks, beside a version or into a draft, as one commit."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.errors import ConflictError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["beside"]

_TRIES: Final = 5


def beside(
    registry: "Registry", version: "Version", message: str, write: Callable[[Path], None]
) -> None:
    """Write tables beside a published version, or into the draft or branch that it is.

    Args:
        registry: Where the version is.
        version: Beside which.
        message: Why, for the history.
        write: Writes into a view that it is given; may be called again after others wrote.

    Raises:
        ConflictError: Others kept moving the branch.
    """
    for turn in range(_TRIES):
        home = (
            registry.draft(version.dataset, version.ref.at)
            if version.tag is None
            else registry.derive(version)
        )
        try:
            with home.edit(message) as root:
                write(root)
        except ConflictError:
            if turn == _TRIES - 1:
                raise
        else:
            return
