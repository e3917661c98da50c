"""What a server says: commits, objects and fields of its answers, checked on arrival."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.errors import CorruptError

__all__ = [
    "Held",
    "ServerCommit",
    "commit_of",
    "field",
    "held_of",
    "id_of",
    "is_commit_id",
    "nonsense",
    "packed",
    "unpacked",
]

_COMMIT = re.compile(r"[0-9a-f]{64}")


def is_commit_id(text: str) -> bool:
    """Return whether a text could be the full id of a commit."""
    return _COMMIT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommit:
    """A commit as the server has it."""

    id: str
    parents: tuple[str, ...]
    message: str
    committer: str
    at: int
    metarange: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An object in a listing; nothing of it is checked but its kinds."""

    path: str
    size: int
    checksum: str
    physical: str
    metadata: Mapping[str, str]
    changed: int


def packed(said: object) -> str:
    """Return JSON that fits into a header."""
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def unpacked(text: str) -> Any:  # noqa: ANN401 — JSON
    """Return what :func:`packed` packed; None if it cannot be read."""
    try:
        return json.loads(base64.urlsafe_b64decode(text.encode()))
    except ValueError:
        return None


def commit_of(said: object) -> ServerCommit:
    """Return the commit that an answer describes."""
    metadata = said.get("metadata") if isinstance(said, dict) else None
    return ServerCommit(
        id=id_of(field(said, "id", str)),
        parents=tuple(id_of(parent) for parent in field(said, "parents", list)),
        message=field(said, "message", str),
        committer=field(said, "committer", str),
        at=field(said, "creation_date", int),
        metarange=field(said, "meta_range_id", str),
        metadata=_texts(metadata),
    )


def held_of(said: object) -> Held:
    """Return the object that an answer describes."""
    metadata = said.get("metadata") if isinstance(said, dict) else None
    return Held(
        path=field(said, "path", str),
        size=field(said, "size_bytes", int),
        checksum=field(said, "checksum", str),
        physical=field(said, "physical_address", str),
        changed=field(said, "mtime", int),
        metadata={name.lower(): value for name, value in _texts(metadata).items()},
    )


def _texts(said: object) -> dict[str, str]:
    found = said if isinstance(said, dict) else {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}


def field(said: object, name: str, kind: type) -> Any:  # noqa: ANN401 — of that kind
    """Return a field of an answer, of the kind that it must have."""  # noqa: DOC501 — made by the function that says so
    value = said.get(name) if isinstance(said, dict) else None
    if not isinstance(value, kind):
        raise nonsense(f"'{name}'", value)
    return value


def id_of(text: object) -> str:
    """Return a commit's id if it is one."""  # noqa: DOC501 — made by the function that says so
    if not isinstance(text, str) or not is_commit_id(text):
        raise nonsense("a commit's id", text)
    return text


def nonsense(what: str, said: object) -> CorruptError:
    """Return the error that an answer stands for which no lakeFS server would give."""
    return CorruptError(
        f"the lakeFS server gives {str(said)[:60]!r} for {what}",
        hint="see that the address is that of a lakeFS server",
    )
