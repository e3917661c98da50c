"""Commits and objects on their way: oldest first, only what the other side lacks."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from registry.errors import CorruptError
from registry.lake.records import Change, Commit, Entry
from registry.lake.transfer.histories import changes_of
from registry.progress import Progress

if TYPE_CHECKING:
    from registry.lake.contract import Repository

__all__ = ["Load", "prove", "send", "weigh"]

REMEMBERED = 100_000
"""Changes that are kept between weighing and sending; what is beyond is read again."""


@dataclass(slots=True)
class Load:
    """What is to be sent."""

    commits: list[Commit]
    """Parents before their children."""

    lacking: dict[str, int] = field(default_factory=dict)
    """Objects that the other side lacks: bytes by SHA-256."""

    held: int = 0
    """How many of the objects it has already."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    """Of some commits, by id."""


def weigh(source: "Repository", target: "Repository", commits: Iterable[Commit]) -> Load:
    """Find out which objects of some commits the other side lacks.

    Returns:
        The load.
    """
    load = Load(list(commits))
    found: dict[str, int] = {}
    remembered = 0
    for commit in load.commits:
        changes = list(changes_of(source, commit))
        remembered += len(changes)
        if remembered <= REMEMBERED:
            load.changes[commit.id] = changes
        found |= {one.after.sha256: one.after.size for one in changes if one.after is not None}
    there = target.holds(found)
    load.held = len(there)
    load.lacking = {one: size for one, size in found.items() if one not in there}
    return load


def send(
    source: "Repository",
    target: "Repository",
    load: Load,
    *,
    arrived: dict[str, str],
    progress: Progress,
) -> "Sent":
    """Graft commits on the other side, oldest first.

    Args:
        source: Where they are.
        target: Where they go.
        load: What is sent.
        arrived: The target's ids by the source's of what it has; grows.
        progress: Told of each byte.

    Returns:
        What was sent.
    """
    progress.stage("copying", total=sum(load.lacking.values()), unit="bytes")
    sent = Sent(progress)
    for commit in load.commits:
        changes = load.changes.pop(commit.id, None)
        made = target.graft(
            commit,
            parents=[arrived[parent] for parent in commit.parents],
            changes=changes_of(source, commit) if changes is None else changes,
            fetch=_opener(source, commit.id, sent),
        )
        arrived[commit.id] = made.id
        sent.commits += 1
    return sent


class Sent:
    """Counts what travels; threads share it."""

    def __init__(self, progress: Progress) -> None:
        self.commits = self.objects = self.size = 0
        self._progress = progress
        self._lock = threading.Lock()

    def read(self, size: int) -> None:
        """Count bytes."""
        with self._lock:
            self.size += size
            self._progress.advance(size)

    def done(self) -> None:
        """Count an object."""
        with self._lock:
            self.objects += 1


class _Counted:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: BinaryIO, sent: Sent) -> None:
        self._stream = stream
        self._sent = sent

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` more bytes."""
        data = self._stream.read(size)
        self._sent.read(len(data))
        return data

    def fileno(self) -> int:
        """Return the file's number, where there is one."""
        return self._stream.fileno()

    def seekable(self) -> bool:
        """Return whether it can be read again."""
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Return where it stands after going elsewhere in it."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return where it stands."""
        return self._stream.tell()

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(1 << 20):
            yield data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._sent.done()


def _opener(source: "Repository", commit: str, sent: Sent) -> Callable[[Entry], BinaryIO]:
    def fetch(entry: Entry) -> BinaryIO:
        return cast("BinaryIO", _Counted(source.open(entry.path, at=commit), sent))

    return fetch


def prove(
    source: "Repository", target: "Repository", arrived: Mapping[str, str], heads: Iterable[str]
) -> None:
    """Compare the trees of commits on both sides, object by object.

    Raises:
        CorruptError: One is another tree there.
    """
    for head in dict.fromkeys(heads):
        if source.content_id(head) != target.content_id(arrived[head]):
            raise CorruptError(
                f"commit {head[:10]} of '{source.name}' arrived as another tree; no branch or tag "
                "was moved",
                hint="run eolab fsck on both lakes, then try again",
            )
