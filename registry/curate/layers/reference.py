"""Where what a layer says comes from."""

from dataclasses import dataclass

__all__ = ["Reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A source of facts about places, exactly enough to find it again."""

    name: str
    """Short, as reports say it: ``climate``, ``land``, ``countries``."""

    title: str
    """For people, in one line."""

    version: str
    """Of what it was read from: a package with its version, or a dataset at a commit."""

    source: str
    """Who made it: a paper with its DOI, or an address."""

    licence: str
    """As its source states it."""

    digest: str
    """SHA-256, in hex, of the bytes that it was read from."""

    note: str = ""
    """Resolution, and what it does not know."""

    def __str__(self) -> str:
        return f"{self.title} ({self.version}, {self.digest[:12]})"
