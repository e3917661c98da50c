"""From an address to a lake."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.lake.contract import Lake

__all__ = ["connect", "init"]

DEFAULT = ".eolab/lake"
"""Below the current directory, where no address is given."""


def connect(address: str | None = None) -> "Lake":
    """Open the lake at an address.

    Args:
        address: ``file:///absolute/path`` or a plain path; by default what ``EOLAB_LAKE`` says,
            else ``.eolab/lake`` below the current directory.

    Returns:
        The lake.

    Raises:
        NotFoundError: There is no lake.
        InvalidInputError: The address is of a kind that is not supported.

    Examples:
        >>> connect("lakefs://localhost:8000")
        Traceback (most recent call last):
        ...
        registry.errors.InvalidInputError: 'lakefs://localhost:8000' is no address of a lake here
          hint: give a folder: a path, or file:///absolute/path
    """
    from registry.lake.local.lake import open_lake

    return open_lake(_folder(address))


def init(address: str | None = None) -> "Lake":
    """Make a lake at an address, or open the one that is there.

    Args:
        address: As in :func:`connect`.

    Returns:
        The lake.

    Raises:
        InvalidInputError: The address is not supported, or its folder holds something else.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     init(folder).repositories()
        []
    """
    from registry.lake.local.lake import initialise

    return initialise(_folder(address))


def _folder(address: str | None) -> Path:
    stated = address if address is not None else os.environ.get("EOLAB_LAKE") or DEFAULT
    if "://" not in stated and not stated.startswith("file:"):
        return Path(stated).expanduser().absolute()
    parts = urlsplit(stated)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not parts.path:
        raise InvalidInputError(
            f"'{stated}' is no address of a lake here",
            hint="give a folder: a path, or file:///absolute/path",
        )
    return Path(unquote(parts.path)).absolute()
