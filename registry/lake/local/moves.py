"""Movements of several refs at once: written down as one, so that all are made or none.

The file that lists them is what decides: from the moment it is there every reader sees where the
refs go, and whoever next takes the refs' lock brings their own files up to it.
"""

import json
import uuid
from typing import NamedTuple

from registry.errors import CorruptError
from registry.lake.local import disk
from registry.lake.local.layout import Layout

__all__ = ["Move", "announce", "conclude", "pending"]


class Move(NamedTuple):
    """One movement that belongs to others."""

    ref: str
    """Git's name of the ref."""

    before: str | None
    """Object that it named; None if it is made."""

    after: str | None
    """Object that it names; None if it is deleted."""

    operation: str
    """What the reflog says."""

    author: str
    """Who moved it."""


def pending(layout: Layout) -> dict[str, Move]:
    """Return the movements that are decided and not made yet, by ref.

    Raises:
        CorruptError: The file that lists them cannot be read.
    """
    try:
        text = layout.moves.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        listed = [Move(*row) for row in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise CorruptError(
            f"{layout.moves} cannot be read", hint="restore the repository from a copy"
        ) from error
    return {move.ref: move for move in listed}


def announce(layout: Layout, moves: list[Move]) -> None:
    """Decide that refs move; the caller holds them."""
    temporary = layout.temporary / f"{uuid.uuid4().hex}.moves"
    disk.write_atomically(layout.moves, json.dumps(moves).encode(), temporary=temporary)


def conclude(layout: Layout) -> None:
    """Forget movements that have all been made."""
    layout.moves.unlink(missing_ok=True)
    disk.sync_folder(layout.moves.parent)
