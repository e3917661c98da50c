"""Names of rows in texts: found, and taken out.

A name counts as telling if it has six characters, a digit and a letter among them, as in
``boat_17``: shorter ones and plain words stand for other things too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["PURGED", "Words"]

PURGED = "[purged]"
"""What stands where a name was."""

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_QUOTED = re.compile(r"""(['"`])([^'"`\n]{1,255})\1""")
_TELLING = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z]).{6,}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Names that no text shall have."""

    names: frozenset[str]
    """The names."""

    telling: frozenset[str]
    """Those that mean nothing else."""

    @classmethod
    def of(cls, names: Iterable[str]) -> "Words":
        """Return names as words to look for."""
        found = frozenset(names)
        return cls(names=found, telling=frozenset(filter(_TELLING.fullmatch, found)))

    def mentions(self, text: str) -> bool:
        """Return whether a text has a telling name.

        Examples:
            >>> words = Words.of(["boat_17"])
            >>> words.mentions("see images/boat_17.tif"), words.mentions("see boat_172")
            (True, False)
        """
        return bool(self.telling) and self.without(text) != text

    def without(self, text: str) -> str:
        """Return a text without telling names; a file's name keeps its suffix.

        Examples:
            >>> Words.of(["boat_17"]).without("boat_17.tif overlaps boat_18")
            '[purged].tif overlaps boat_18'
        """
        return _TOKEN.sub(self._token, text) if self.telling else text

    def unsaid(self, text: str) -> str:
        """Return a message without telling names, and without any name in quotes.

        Examples:
            >>> Words.of(["7"]).unsaid("delete id = '7' of 7")
            "delete id = '[purged]' of 7"
        """
        return self.without(_QUOTED.sub(self._quoted, text)) if self.names else text

    def _token(self, found: re.Match[str]) -> str:
        token = found[0]
        ends = [len(token), *(dot.start() for dot in re.finditer(r"\.", token))]
        for end in ends:
            if token[:end] in self.telling:
                return PURGED + token[end:]
        return token

    def _quoted(self, found: re.Match[str]) -> str:
        return f"{found[1]}{PURGED}{found[1]}" if found[2] in self.names else found[0]
