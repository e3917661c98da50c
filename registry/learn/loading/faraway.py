"""Chips of data files that are not here: fetched one by one, kept in a bounded folder."""

import os
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry.cache import cache_folder
from registry.errors import UnavailableError
from registry.lake.lakefs.cache import limit

__all__ = ["Faraway"]

_LOW: Final = 0.8  # how full the folder is after it was emptied


class Faraway:
    """Parts of files elsewhere; threads share it, and processes its folder."""

    def __init__(self, folder: Path | None = None, *, most: int | None = None) -> None:
        self._folder = cache_folder("chips") if folder is None else folder
        self._most = limit() if most is None else most
        self._lock = threading.Lock()
        self._size: int | None = None

    def get(
        self, path: Path, offset: int, length: int, fetch: Callable[[int, int], bytes]
    ) -> bytes:
        """Return some bytes of a file, from the folder where they were fetched before.

        Args:
            path: A data file; its name is a hash of what it holds, so it never changes.
            offset: Of the first byte.
            length: How many.
            fetch: What brings them, by offset and length.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        kept = self._folder / path.stem[:2] / f"{path.stem}-{offset}-{length}"
        with suppress(OSError):
            data = kept.read_bytes()
            if len(data) == length:
                return data
        data = fetch(offset, length)
        half = kept.with_name(f".{uuid.uuid4().hex}.half")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(data)
            half.replace(kept)
        except OSError as error:
            raise UnavailableError(
                f"the cache at {self._folder} cannot be written: {error.strerror}",
                hint="free some space, or name another folder by EOLAB_CACHE",
            ) from error
        self._count(length)
        return data

    def _count(self, length: int) -> None:
        with self._lock:
            if self._size is None:
                self._size = sum(size for _, size, _ in self._listed())
            else:
                self._size += length
            if self._size > self._most:
                self._size = self._emptied()

    def _emptied(self) -> int:
        """Drop what was fetched first.

        Returns:
            How many bytes are left.
        """
        found = sorted(self._listed())
        left = sum(size for _, size, _ in found)
        for _, size, file in found:
            if left <= _LOW * self._most:
                break
            with suppress(FileNotFoundError):
                file.unlink()
            left -= size
        return left

    def _listed(self) -> list[tuple[float, int, Path]]:
        found = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with suppress(FileNotFoundError):
                    facts = (file := Path(folder, name)).stat()
                    found.append((facts.st_mtime, facts.st_size, file))
        return found
