"""From an address to a lake."""

import os
from importlib.util import find_spec
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
        address: ``file:///absolute/path`` or a plain path, or ``lakefs://host:port``; by default
            what ``EOLAB_LAKE`` says, else ``.eolab/lake`` below the current directory.

    Returns:
        The lake.

    Raises:
        NotFoundError: There is no lake.
        InvalidInputError: The address is of a kind that is not supported.

    Examples:
        >>> connect("ftp://localhost/lake")
        Traceback (most recent call last):
        ...
        registry.errors.InvalidInputError: 'ftp://localhost/lake' is no address of a lake here
          hint: give a folder: a path, file:///absolute/path, or lakefs://host:port
    """
    stated = _stated(address)
    if _is_lakefs(stated):
        return _on_lakefs(stated)
    from registry.lake.local.lake import open_lake

    return open_lake(_folder(stated))


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
    stated = _stated(address)
    if _is_lakefs(stated):  # a server's lake is there as soon as the server is
        return _on_lakefs(stated)
    from registry.lake.local.lake import initialise

    return initialise(_folder(stated))


def _stated(address: str | None) -> str:
    return address if address is not None else os.environ.get("EOLAB_LAKE") or DEFAULT


def _is_lakefs(address: str) -> bool:
    # With one slash or none it is a server's address, written wrongly, not a folder 'lakefs:'.
    return address.partition(":")[0] in {"lakefs", "lakefs+http", "lakefs+https"} and (
        ":" in address
    )


def _on_lakefs(address: str) -> "Lake":
    if find_spec("lakefs_sdk") is None:
        raise InvalidInputError(
            f"'{address}' needs a part of eolab that is not installed",
            hint="install it: pip install 'eo-training-data-lab[lakefs]'",
        )
    from registry.lake.lakefs import lake, place

    return lake.open_lake(place.find(address))


def _folder(stated: str) -> Path:
    if "://" not in stated and not stated.startswith("file:"):
        return Path(stated).expanduser().absolute()
    parts = urlsplit(stated)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not parts.path:
        raise InvalidInputError(
            f"'{stated}' is no address of a lake here",
            hint="give a folder: a path, file:///absolute/path, or lakefs://host:port",
        )
    return Path(unquote(parts.path)).absolute()
