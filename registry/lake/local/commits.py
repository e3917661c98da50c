"""Commits as Git writes them, with the lake's metadata in the message, and walking them."""

import heapq
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from registry.errors import CorruptError
from registry.lake.names import split_author
from registry.lake.records import Commit

__all__ = ["RawCommit", "decode", "encode", "walk"]

_MARK = "Eolab-Metadata"
_BLOCK = re.compile(rf"(?s)(?P<message>.*)\n\n{_MARK}: (?P<count>\d+)(?P<lines>(\n[^\n]+)*)")


@dataclass(frozen=True, slots=True)
class RawCommit:
    """A commit with what only the embedded lake knows of it."""

    commit: Commit
    """What everybody sees."""

    tree: bytes
    """Git id of its tree, 20 bytes."""


def encode(
    *,
    tree: bytes,
    parents: tuple[str, ...],
    message: str,
    author: str,
    at: int,
    metadata: Mapping[str, str],
) -> bytes:
    """Return the Git commit object.

    Args:
        tree: Git id of its tree.
        parents: Ids in hex.
        message: Why; the metadata follow it as trailers.
        author: ``Name <address>``.
        at: Seconds since 1970, UTC.
        metadata: What programs say; written in the order of their keys, so that the same commit
            has the same id wherever it has been.
    """
    name, address = split_author(author)
    lines = [f"tree {tree.hex()}", *(f"parent {parent}" for parent in parents)]
    lines += [f"{role} {name} <{address}> {at} +0000" for role in ("author", "committer")]
    return "\n".join([*lines, "", _with_trailers(message, metadata), ""]).encode()


def _with_trailers(message: str, metadata: Mapping[str, str]) -> str:
    message = message.strip("\n")
    if not metadata and not _BLOCK.fullmatch(message):
        return message
    trailers = "".join(f"\n{key}: {value}" for key, value in sorted(metadata.items()))
    return f"{message}\n\n{_MARK}: {len(metadata)}{trailers}"


def decode(oid: str, data: bytes) -> RawCommit:
    """Return the commit that a Git object holds.

    Raises:
        CorruptError: It cannot be read.
    """
    try:
        return _decode(oid, data)
    except (ValueError, OverflowError) as error:
        raise CorruptError(f"commit {oid} cannot be read", hint="run eolab fsck") from error


def _decode(oid: str, data: bytes) -> RawCommit:
    head, _, body = data.decode(errors="replace").partition("\n\n")
    tree, parents, author, at = b"", [], "", 0
    for line in head.split("\n"):
        key, _, value = line.partition(" ")
        if key == "tree":
            tree = bytes.fromhex(value)
        elif key == "parent":
            parents.append(bytes.fromhex(value).hex())
        elif key == "author":
            author, _, when = value.rpartition("> ")
            at = int(when.split(" ")[0])
    if len(tree) != 20 or any(len(parent) != 40 for parent in parents) or not author:  # noqa: PLR2004 — the length of a SHA-1
        raise ValueError(oid)
    message, metadata = _without_trailers(body.removesuffix("\n"))
    commit = Commit(
        id=oid,
        parents=tuple(parents),
        message=message,
        author=f"{author}>",
        at=datetime.fromtimestamp(at, tz=UTC),
        metadata=metadata,
    )
    return RawCommit(commit, tree)


def _without_trailers(body: str) -> tuple[str, dict[str, str]]:
    match = _BLOCK.fullmatch(body)
    if match is None:
        return body, {}
    lines = match["lines"].split("\n")[1:]
    if len(lines) != int(match["count"]):
        return body, {}
    pairs = (line.partition(": ") for line in lines)
    return match["message"], {key: value for key, _, value in pairs}


def walk(load: Callable[[str], RawCommit], head: str) -> Iterator[RawCommit]:
    """Yield a commit and all behind it, newest first and children before their parents.

    A commit is never older than its parents (the lake writes it so, whatever the clock does), so
    a queue by time suffices and only what is asked for is read; commits of one second are put
    into order among themselves.
    """
    queued = {head}
    first = load(head)
    queue = [(-_second(first), head, first)]
    while queue:
        second = queue[0][0]
        group: dict[str, RawCommit] = {}
        while queue and queue[0][0] == second:
            _, oid, raw = heapq.heappop(queue)
            group[oid] = raw
            for parent in raw.commit.parents:
                if parent not in queued:
                    queued.add(parent)
                    older = load(parent)
                    # a foreign tool's child may claim to be older than its parent
                    heapq.heappush(queue, (max(second, -_second(older)), parent, older))
        yield from _children_first(group)


def _second(raw: RawCommit) -> int:
    return int(raw.commit.at.timestamp())


def _children_first(group: dict[str, RawCommit]) -> Iterator[RawCommit]:
    waiting = dict.fromkeys(group, 0)
    for raw in group.values():
        for parent in raw.commit.parents:
            if parent in waiting:
                waiting[parent] += 1
    ready = [oid for oid, children in waiting.items() if not children]
    while ready:
        raw = group[ready.pop()]
        yield raw
        for parent in raw.commit.parents:
            if parent in waiting:
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)
