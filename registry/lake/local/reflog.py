"""Every movement of every branch and tag, so that any of them can be taken back."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from registry.lake.local.layout import Layout
from registry.lake.records import RefUpdate

__all__ = ["append", "entries", "strike_unfinished", "unreadable"]

BLOCK = 1 << 16

_OID = re.compile(r"[0-9a-f]{40}")


def append(
    layout: Layout, *, ref: str, before: str | None, after: str | None, operation: str, author: str
) -> None:
    """Write down a movement that is about to be made; the caller holds the refs.

    Raises:
        OSError: It cannot be written whole; then nothing is.
    """
    line = json.dumps({
        "ref": ref, "before": before, "after": after, "operation": operation, "author": author,
        "at": datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
    })  # fmt: skip
    handle = os.open(layout.reflog, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        whole = not size or os.pread(handle, 1, size - 1) == b"\n"
        data = (b"" if whole else b"\n") + line.encode() + b"\n"
        try:
            if os.write(handle, data) != len(data):
                code = errno.ENOSPC
                raise OSError(code, os.strerror(code), str(layout.reflog))  # noqa: TRY301 — undone below
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def strike_unfinished(layout: Layout, where: Callable[[str], str | None]) -> None:
    """Cut off a last entry whose movement a killed process never made.

    Args:
        layout: The repository's.
        where: Gives what a Git ref names now.
    """
    try:
        handle = os.open(layout.reflog, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return
    try:
        size = os.fstat(handle).st_size
        tail = os.pread(handle, BLOCK, max(0, size - BLOCK))
        start = tail.rstrip(b"\n").rfind(b"\n") + 1
        entry = _parse(tail[start:])
        if entry is None:
            if tail and not tail.endswith(b"\n"):
                os.ftruncate(handle, size - len(tail) + start)
            return
        now = where(_git_ref(entry.ref))
        if now != entry.after and now == entry.before:
            os.ftruncate(handle, size - len(tail) + start)
    finally:
        os.close(handle)


def _git_ref(ref: str) -> str:
    return ref.replace("branch/", "refs/heads/", 1) if ref.startswith("branch/") else (
        ref.replace("tag/", "refs/tags/", 1)
    )  # fmt: skip


def entries(layout: Layout, ref: str | None = None) -> Iterator[RefUpdate]:
    """Yield movements, newest first, reading the file from its end.

    Args:
        layout: The repository's.
        ref: Only of this ref, such as ``branch/main``.
    """
    wanted = None if ref is None else json.dumps({"ref": ref})[1:-1].encode()
    for line in _lines_backwards(layout):
        if wanted is None or wanted in line:
            entry = _parse(line)
            if entry is not None and ref in {None, entry.ref}:
                yield entry


def unreadable(layout: Layout) -> int:
    """Return how many whole lines cannot be read."""
    try:
        lines = layout.reflog.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return 0
    return sum(_parse(line) is None for line in lines)


def _lines_backwards(layout: Layout) -> Iterator[bytes]:
    try:
        stream = layout.reflog.open("rb")
    except FileNotFoundError:
        return
    with stream:
        position = stream.seek(0, os.SEEK_END)
        rest = b""
        while position:
            step = min(BLOCK, position)
            position -= step
            stream.seek(position)
            first, *lines = (stream.read(step) + rest).split(b"\n")
            rest = first
            yield from reversed([line for line in lines if line])
        if rest:
            yield rest


def _parse(line: bytes) -> RefUpdate | None:
    with suppress(ValueError, KeyError, TypeError):
        fields: dict[str, Any] = json.loads(line)
        at = datetime.fromisoformat(fields["at"])
        words = [fields[name] for name in ("ref", "operation", "author")]
        ends = [end for end in (fields["before"], fields["after"]) if end is not None]
        known = all(isinstance(word, str) for word in words) and all(map(_OID.fullmatch, ends))
        if known and at.tzinfo is not None:
            return RefUpdate(
                ref=fields["ref"],
                before=fields["before"],
                after=fields["after"],
                operation=fields["operation"],
                author=fields["author"],
                at=at,
            )
    return None
