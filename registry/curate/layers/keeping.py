"""What is costly to make of a layer's source: made once, kept in the cache, checked when opened.

A folder ``layers/<name>-<key>`` below ``EOLAB_CACHE`` holds arrays as NumPy files and a list of
their digests. It appears whole or not at all; one process makes it while others wait; what is
damaged is made again.
"""

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.cache import cache_folder
from registry.errors import UnavailableError

__all__ = ["kept"]

_LIST: Final = "digests.json"
_OPENED: Final[dict[tuple[Path, str], npt.NDArray[Any]]] = {}

Make = Callable[[Path], None]
"""Writes ``<array>.npy`` files into a folder that is empty."""


def kept(name: str, key: str, make: Make, array: str) -> npt.NDArray[Any]:
    """Return one array of a product, mapped into memory read-only; it is made if need be.

    Args:
        name: The product's.
        key: What it is made from and how, as text; another key is another product.
        make: How all of its arrays are made.
        array: Which one is wanted.

    Returns:
        The array, read-only; its bytes were compared with their digest when this process first
        opened it.

    Raises:
        UnavailableError: The cache cannot be written.
    """
    folder = _home() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if (folder, array) not in _OPENED:
        found = _open(folder, array)
        _OPENED[folder, array] = _make_and_open(folder, array, make) if found is None else found
    return _OPENED[folder, array]


def _home() -> Path:
    return cache_folder("layers")


def _open(folder: Path, array: str) -> npt.NDArray[Any] | None:
    """Return an array, or None if it is not there or not what was written."""
    try:
        digests = json.loads((folder / _LIST).read_bytes())
        path = folder / f"{array}.npy"
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != digests[array]:
                return None
        mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mapped


def _make_and_open(folder: Path, array: str, make: Make) -> npt.NDArray[Any]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder.with_suffix(".lock")):
            found = _open(folder, array)  # somebody else made it while this one waited
            if found is None:
                _replace(folder, make)
                found = _open(folder, array)
    except OSError as error:
        raise UnavailableError(
            f"what layers are made of cannot be kept at {folder.parent}: {error}",
            hint="name a folder with 1 GB to spare in EOLAB_CACHE",
        ) from error
    if found is None:
        raise UnavailableError(
            f"{folder} changes while it is being written",
            hint="name another folder in EOLAB_CACHE",
        )
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # dies with its process
        yield


def _replace(folder: Path, make: Make) -> None:
    for left in folder.parent.glob(f".{folder.name}-*"):  # by makers that were killed
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(fresh)
        _write_digests(fresh)
        if folder.exists():  # damaged: readers of its arrays keep the files that they mapped
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_digests(folder: Path) -> None:
    digests: Mapping[str, str] = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.npy"))
    }
    (folder / _LIST).write_text(json.dumps(digests), encoding="ascii")
