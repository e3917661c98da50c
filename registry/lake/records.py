"""What a lake speaks of: commits, entries, changes, conflicts, movements, places."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from registry.errors import ConflictError

__all__ = [
    "Change",
    "ChangeKind",
    "Commit",
    "Conflict",
    "Damage",
    "Entry",
    "Location",
    "MergeConflictError",
    "MergePlan",
    "RefUpdate",
    "Statistics",
    "Sweep",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A point in one repository's history that never changes."""

    id: str
    """The backend's own identifier; a Git object id on the embedded lake."""

    parents: tuple[str, ...]
    """Ids of the commits it was made from; two for a merge, ours first."""

    message: str
    """Why the change was made; the first line is a summary."""

    author: str
    """Who made it, as ``Name <address>``."""

    at: datetime
    """When it was made, in UTC."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    """What programs said about it; keys are kebab-case, values one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object in the tree of a commit."""

    path: str
    """Relative to the repository's root, with forward slashes."""

    sha256: str
    """SHA-256 of its bytes, in lower-case hex."""

    size: int
    """How many bytes it has."""


class ChangeKind(StrEnum):
    """What happened to a path between two trees."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A path that differs between two trees."""

    path: str
    """The path."""

    kind: ChangeKind
    """What happened to it."""

    before: Entry | None
    """What was there; None if it was added."""

    after: Entry | None
    """What is there now; None if it was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A path that both sides of a merge changed differently; None is 'not there'."""

    path: str
    """The path."""

    base: Entry | None
    """What was there when the two sides parted."""

    ours: Entry | None
    """What the branch that is merged into has."""

    theirs: Entry | None
    """What the branch that is merged has."""


class MergeConflictError(ConflictError):
    """Both sides of a merge changed the same, differently."""

    code = "merge-conflict"

    conflicts: Any = None
    """What they changed: each path as a :class:`Conflict`, or a dataset's table of conflicts. None
    where the error has crossed a process border, which only words do."""

    def __init__(self, problem: str, *, hint: str, conflicts: object = None) -> None:
        super().__init__(problem, hint=hint)
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePlan:
    """What a three-way merge of two trees would do, object by object."""

    base: str | None
    """Commit where the sides parted; None if they share no history."""

    ours: str
    """Head of the side that is merged into."""

    theirs: str
    """Head of the side that is merged."""

    changes: tuple[Change, ...]
    """What theirs changed and ours did not: applied to ours without a question."""

    conflicts: tuple[Conflict, ...]
    """What both changed, differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefUpdate:
    """One movement of a branch or tag, as the reflog keeps it."""

    ref: str
    """``branch/<name>`` or ``tag/<name>``."""

    before: str | None
    """Commit it named before; None if it was made."""

    after: str | None
    """Commit it names now; None if it was deleted."""

    operation: str
    """What moved it: ``commit``, ``merge``, ``branch``, ``reset``, ``undo``, …"""

    author: str
    """Who moved it."""

    at: datetime
    """When, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where an engine finds the files of a ref; read-only by agreement."""

    uri: str
    """A folder: a plain absolute path on the embedded lake, ``s3://…`` on lakeFS."""

    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What delta-rs needs to open it; empty for a local folder."""

    @property
    def path(self) -> Path:
        """The folder, where it is one on this machine."""
        return Path(self.uri)

    def child(self, *parts: str) -> "Location":
        """Return the location of something inside, such as a table."""
        return Location(uri="/".join((self.uri, *parts)), storage_options=self.storage_options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that ``fsck`` found wrong."""

    what: str
    """The object, path or ref."""

    problem: str
    """What is wrong with it."""

    fix: str
    """What mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What garbage collection removed, or would remove."""

    objects: int
    """How many objects."""

    size: int
    """How many bytes they take."""

    kept_by_grace: int
    """How many unreachable objects are too young to be removed."""

    left_on_server: int = 0
    """How many objects nothing leads to any more, though a server keeps their bytes until its
    operator collects garbage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How large a repository is."""

    commits: int
    """Reachable from any branch or tag."""

    branches: int
    """How many."""

    tags: int
    """How many."""

    objects: int
    """Distinct stored objects."""

    size: int
    """Bytes they take."""
