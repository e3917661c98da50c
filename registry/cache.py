"""Where what can be made or fetched again is kept."""

import os
from pathlib import Path

__all__ = ["cache_folder", "user_cache"]


def cache_folder(*parts: str) -> Path:
    """Return a folder below ``EOLAB_CACHE``, or below the user's own cache where it is not set.

    Args:
        parts: Names of folders, the outermost first.

    Returns:
        The folder, absolute; perhaps not there yet.
    """
    stated = os.environ.get("EOLAB_CACHE")
    return Path(stated).expanduser().absolute().joinpath(*parts) if stated else user_cache(*parts)


def user_cache(*parts: str) -> Path:
    """Return a folder of the lab's below the user's cache, ``XDG_CACHE_HOME`` or ``~/.cache``.

    Args:
        parts: Names of folders, the outermost first.

    Returns:
        The folder; perhaps not there yet.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache").joinpath("eolab", *parts)
