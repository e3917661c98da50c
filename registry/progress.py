"""How long work tells whoever waits for it how far it is."""

from typing import Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """Told by a verb what it does; doors draw it."""

    def stage(self, what: str, *, total: int | None, unit: str) -> None:
        """Begin a stage, ending the one before.

        Args:
            what: What happens now, such as ``"reading chips"``.
            total: How many units there are, or None where nobody knows yet.
            unit: What is counted, such as ``"files"`` or ``"bytes"``.
        """
        ...

    def advance(self, count: int = 1) -> None:
        """Say that ``count`` more units of the stage are done."""
        ...


class _Silent:
    def stage(self, what: str, *, total: int | None, unit: str) -> None:
        """Say nothing."""

    def advance(self, count: int = 1) -> None:
        """Say nothing."""


SILENT: Progress = _Silent()
"""For callers who do not watch."""
