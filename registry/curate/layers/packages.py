"""Files that come with packages, found without running any code of those packages."""

import hashlib
from functools import cache
from importlib import metadata, util
from pathlib import Path

from registry.errors import UnavailableError

__all__ = ["package_file", "package_version", "sha256_of"]


def package_file(package: str, *parts: str, remedy: str) -> Path:
    """Return where a file of an installed package lies; the package is not imported.

    Args:
        package: Its top-level import name.
        parts: Path below it.
        remedy: What to do if it is not there, in the imperative.

    Raises:
        UnavailableError: The package or the file is not there.
    """
    try:
        spec = util.find_spec(package)
    except (ImportError, ValueError):  # a half-removed package, or a stand-in without a spec
        spec = None
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root).joinpath(*parts)
        if path.is_file():
            return path
    missing = f"its file {'/'.join(parts)}" if spec else "the package"
    raise UnavailableError(f"{missing} of {package} is not installed here", hint=remedy)


@cache
def package_version(distribution: str) -> str:
    """Return ``name version`` of an installed distribution."""
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return f"{distribution} (version unknown)"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; a file is read once a process while it stays as is."""
    facts = path.stat()
    return _digest(path, facts.st_size, facts.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
