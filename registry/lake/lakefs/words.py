"""How commits of the logical history are written into a server's commits, and read again."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from registry.errors import CorruptError, InvalidInputError
from registry.lake.lakefs.names import OWN
from registry.lake.lakefs.said import ServerCommit, is_commit_id
from registry.lake.names import check_metadata, split_author
from registry.lake.records import Commit

__all__ = ["ALIAS", "ONTO", "alias_of", "metadata_of", "spoken"]

ALIAS = "eolab-commit"
"""On a merge that only moves a branch: the commit that the branch stands at."""

ONTO = "eolab-onto"
"""The first parent that a commit's own words hold for; a copy of it elsewhere says nothing."""

PARENTS = "eolab-parents"
AUTHOR = "eolab-author"
AT = "eolab-at"
QUOTED = "eolab-key-"
"""Before keys of the user's metadata that begin like ours."""

LAST_SECOND = 253_402_300_799
"""Of the year 9999, the last that Python knows."""


def metadata_of(commit: Commit, *, token: str, onto: str) -> dict[str, str]:
    """Return what the server is told about a commit besides its message.

    Args:
        commit: Its id does not matter.
        token: By which the write is recognised.
        onto: The head of the branch of the server that it is committed on.
    """
    said = {QUOTED + key if key.startswith(OWN) else key: v for key, v in commit.metadata.items()}
    return {
        **said,
        "eolab-id": token,
        ONTO: onto,
        PARENTS: " ".join(commit.parents),
        AUTHOR: commit.author,
        AT: str(int(commit.at.timestamp())),
    }


def alias_of(found: ServerCommit) -> str | None:
    """Return the commit that a merge stands for which only moves a branch; None for others."""
    alias = found.metadata.get(ALIAS, "")
    return alias if is_commit_id(alias) and _holds(found) else None


def spoken(found: ServerCommit, logical: Callable[[str], str]) -> Commit:
    """Return the commit of the logical history that a commit of the server is.

    Args:
        found: What the server has.
        logical: Gives the commit that a commit of the server stands for.

    Raises:
        CorruptError: It is one of ours, but cannot be read.
    """
    told = found.metadata
    parents = told.get(PARENTS, "?").split()
    ours = _holds(found) and all(is_commit_id(parent) for parent in parents)
    if not ours:
        return _foreign(found, tuple(dict.fromkeys(logical(p) for p in found.parents)))
    try:
        name, address = split_author(told.get(AUTHOR, ""))
        metadata = check_metadata({
            key.removeprefix(QUOTED): value
            for key, value in told.items()
            if not key.startswith((OWN, ".")) or key.startswith(QUOTED)
        })
        at = datetime.fromtimestamp(int(told.get(AT, "")), tz=UTC)
    except (InvalidInputError, ValueError, OverflowError) as error:
        raise CorruptError(
            f"commit {found.id[:10]} cannot be read", hint="run eolab fsck"
        ) from error
    return Commit(
        id=found.id, parents=tuple(parents), message=found.message,
        author=f"{name} <{address}>", at=at, metadata=metadata,
    )  # fmt: skip


def _holds(found: ServerCommit) -> bool:
    """Return whether what a commit says of itself was said where it lies now."""
    return found.metadata.get(ONTO) == (found.parents[0] if found.parents else "")


def _foreign(found: ServerCommit, parents: tuple[str, ...]) -> Commit:
    """Return a commit that another program made, in words that can be kept."""
    who = re.sub(r"[<>\s]+", " ", _line(found.committer)).strip() or "lakefs"
    metadata: dict[str, str] = {}
    for key, value in found.metadata.items():
        if key.startswith((OWN, ".")):
            continue
        with suppress(InvalidInputError):
            metadata |= check_metadata({key: _line(value)})
    message = "\n".join(_line(line) for line in found.message.split("\n")).strip("\n")
    return Commit(
        id=found.id, parents=parents, message=message if message.strip() else "(no message)",
        author=f"{who} <{who.replace(' ', '.')}@lakefs>",
        at=datetime.fromtimestamp(min(max(found.at, 0), LAST_SECOND), tz=UTC),
        metadata=metadata,
    )  # fmt: skip


def _line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
