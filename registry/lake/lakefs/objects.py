"""Bringing objects from a server into the mirror: several at once, resumed, verified."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from registry.errors import CorruptError
from registry.lake.lakefs.answers import UnsureError
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.server import patiently
from registry.lake.local import disk, gate, objects
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import EMPTY_SHA256, Pointer
from registry.lake.system import translated

__all__ = ["FETCHERS", "Bytes", "Want"]

FETCHERS = 8
"""Threads that fetch and hash; most of their time they wait."""

CHUNK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """An object that is to be brought."""

    path: str
    """Where the commit has it."""

    sha256: str | None
    """What its bytes hash to; None where that is to be found out."""

    size: int
    """How many bytes it has."""


class Bytes:
    """Brings the bytes of one repository's objects; threads share it."""

    def __init__(self, layout: Layout, remote: Remote) -> None:
        self._layout = layout
        self._remote = remote

    def fetch(self, wanted: Sequence[Want], *, at: str) -> list[Pointer]:
        """Bring those of some objects that are not here.

        Args:
            wanted: Which.
            at: Id of a commit that has them at these paths.

        Returns:
            Hash and size of each, in order; their bytes lie in the mirror.

        Raises:
            CorruptError: Bytes arrived that are not what their hash says.
        """
        missing = {one.path: one for one in wanted if not self._is_here(one)}
        with translated("fetch objects into the cache"):
            if not all(one.size for one in wanted):
                self.empty()
            if len(missing) < 2:  # noqa: PLR2004 — one thread is enough for one
                found = {path: self._bring(one, at) for path, one in missing.items()}
            else:
                with ThreadPoolExecutor(FETCHERS) as pool:
                    waiting = {
                        path: pool.submit(self._bring, one, at) for path, one in missing.items()
                    }
                    try:
                        found = {path: one.result() for path, one in waiting.items()}
                    except BaseException:
                        pool.shutdown(cancel_futures=True)
                        raise
        return [
            found.get(one.path) or Pointer(one.sha256 or EMPTY_SHA256, one.size) for one in wanted
        ]

    def _is_here(self, one: Want) -> bool:
        if not one.size:
            return True
        known = one.sha256 is not None
        return known and objects.is_whole(self._layout, Pointer(str(one.sha256), one.size))

    def _bring(self, one: Want, at: str) -> Pointer:
        half = self._layout.temporary / f"{uuid.uuid4().hex}.arriving"
        try:
            pointer = self.download(one.path, half, at=at, size=one.size)
            if one.sha256 is not None and pointer != Pointer(one.sha256, one.size):
                raise CorruptError(
                    f"'{one.path}' arrived as {pointer.size:,} bytes of hash "
                    f"{pointer.sha256[:10]}; it should be {one.size:,} of hash {one.sha256[:10]}",
                    hint="somebody changed the object behind lakeFS; restore its storage",
                )
            self._place(half, pointer)
        finally:
            half.unlink(missing_ok=True)
        return pointer

    def empty(self) -> Path:
        """Return a file of this machine without a byte."""
        file = self._layout.object(EMPTY_SHA256)
        if not file.exists():
            half = self._layout.temporary / f"{uuid.uuid4().hex}.empty"
            half.touch()
            self._place(half, Pointer(EMPTY_SHA256, 0))
        return file

    def adopt(self, folder: Path, pointers: Iterable[Pointer]) -> None:
        """Take over what a session has staged and sent, so that nobody here fetches it again."""
        for pointer in pointers:
            staged = folder / pointer.sha256
            if staged.exists() and not objects.is_whole(self._layout, pointer):
                self._place(staged, pointer)

    def _place(self, half: Path, pointer: Pointer) -> None:
        target = self._layout.object(pointer.sha256)
        half.chmod(objects.READ_ONLY)
        with gate.adding(self._layout):
            disk.make_folder(target.parent)
            half.replace(target)

    def part(self, path: str, *, at: str, offset: int, length: int) -> bytes:
        """Return some bytes of one object, which only who knows what they hold can check.

        Args:
            path: Where the commit has it.
            at: Id of the commit.
            offset: Of the first byte.
            length: How many, at least 1.

        Raises:
            CorruptError: The server gives more, fewer, or no parts at all.
        """

        def once() -> bytes:
            with self._remote.server.request(
                f"read a part of '{path}'", "GET", self._remote.object_path(at),
                fields={"path": path},
                headers={"Range": f"bytes={offset}-{offset + length - 1}"},
            ) as answer:  # fmt: skip
                if answer.status != 206:  # noqa: PLR2004 — a part, as asked
                    raise CorruptError(
                        f"the server gives no parts of '{path}'", hint="fetch the whole object"
                    )
                data: bytes = answer.read(length + 1)
                return data

        found = patiently(once)
        if len(found) != length:
            raise CorruptError(
                f"the server gave {len(found):,} bytes of '{path}' where {length:,} were asked for",
                hint="do it again; if it stays so, restore the storage of lakeFS",
            )
        return found

    def download(self, path: str, target: Path, *, at: str, size: int) -> Pointer:
        """Write one object's bytes to a file, going on where a lost connection left off.

        Returns:
            Hash and size of what arrived.

        Raises:
            CorruptError: More arrived than the object is said to have.
            UnsureError: The server gives no more, however often it is asked.
        """
        digest, done = hashlib.sha256(), 0
        with target.open("wb") as stream:

            def once() -> None:
                nonlocal done
                headers = {"Range": f"bytes={done}-"} if done else {}
                before = done
                try:
                    with self._remote.server.request(
                        f"read '{path}'", "GET", self._remote.object_path(at),
                        fields={"path": path}, headers=headers,
                    ) as answer:  # fmt: skip
                        if done and answer.status != 206:  # noqa: PLR2004 — a part, as asked
                            raise CorruptError(
                                f"the server gives no parts of '{path}'", hint="do it again"
                            )
                        for chunk in answer.stream(CHUNK):
                            digest.update(chunk)
                            stream.write(chunk)
                            done += len(chunk)
                            if done > size:
                                raise CorruptError(
                                    f"'{path}' has more than its {size:,} bytes",
                                    hint="somebody changed the object behind lakeFS",
                                )
                except UnsureError:
                    if done > before:  # it goes on: begin to count anew
                        raise _Progress from None
                    raise

            while done < size:
                try:
                    patiently(once)
                except _Progress:
                    continue
                if done < size:
                    raise CorruptError(
                        f"'{path}' ends after {done:,} of its {size:,} bytes",
                        hint="somebody changed the object behind lakeFS; restore its storage",
                    )
        return Pointer(digest.hexdigest(), done)


class _Progress(Exception):  # noqa: N818 — says that asking once more is worth it
    """Some bytes arrived before the connection was lost."""
