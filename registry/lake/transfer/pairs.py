"""What was found out about two repositories before: pairs of commits that are one.

A cache: losing it costs time. It is only consulted for commits that agree in all they say.
"""

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Self

from registry.cache import cache_folder

__all__ = ["Pairs"]

_LINE = re.compile(r"([0-9a-f]{7,64}) ([0-9a-f]{7,64})")


class Pairs:
    """Commits of one repository with those of another, on disk."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, str] = {}
        self._fresh: dict[str, str] = {}

    @classmethod
    def between(cls, source: str, target: str) -> Self:
        """Open what is known about two repositories.

        Args:
            source: Address and name of the one.
            target: Of the other.

        Returns:
            The pairs.
        """
        name = hashlib.sha256(f"{source}\n{target}".encode()).hexdigest()[:32]
        pairs = cls(cache_folder("transfers", f"{name}.pairs"))
        pairs._read()
        return pairs

    def of(self, commit: str) -> str | None:
        """Return what a commit of the source was found to be, or None."""
        return self._known.get(commit)

    def add(self, commit: str, other: str) -> None:
        """Note that two commits are one."""
        if commit != other and self._known.get(commit) != other:
            self._known[commit] = self._fresh[commit] = other

    def save(self) -> None:
        """Write down what is new; a cache that cannot be written is none."""
        if not self._fresh or self._file is None:
            return
        lines = "".join(f"{one} {other}\n" for one, other in self._fresh.items())
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._file.open("a", encoding="ascii") as stream:
                stream.write(f"\n{lines}")
            self._fresh.clear()

    def _read(self) -> None:
        if self._file is None:
            return
        with suppress(OSError, UnicodeDecodeError):
            for line in self._file.read_text(encoding="ascii").split("\n"):
                parts = _LINE.fullmatch(line)
                if parts is not None:
                    self._known[parts[1]] = parts[2]
