"""What the lake writes down on the server for all its users: movements, grafts, what was swept.

Notes are objects that are staged on a hidden branch and never committed: one upload each, seen by
everybody at once, never rewritten. What a note says travels in the listing, as metadata.
"""

import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from registry.errors import CorruptError
from registry.lake.lakefs.names import OWN
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.said import is_commit_id, packed, unpacked
from registry.lake.records import RefUpdate

__all__ = ["BRANCH", "Notes"]

BRANCH = f"{OWN}notes"
"""The hidden branch."""

LONGEST = 3000
"""Characters of a note that travel in a header; proxies allow 4 to 8 thousand."""

ENDLESS = 10**19
"""Movements are named by the nanoseconds left until then, so a listing begins with the newest."""

_NAME = re.compile(r"[A-Za-z0-9._/-]{1,200}")


class Notes:
    """The notes of one repository; threads share them."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._lock = threading.Lock()
        self._last = 0

    def write(self, name: str, said: object) -> None:
        """Write a note; its name must be new, or the note the same as before."""
        text = packed(said)
        told = {"said": text} if len(text) <= LONGEST else {"long": "true"}
        self._remote.put(BRANCH, name, text.encode(), told)

    def read(self, folder: str) -> Iterator[tuple[str, Any]]:
        """Yield names and contents of the notes in a folder, sorted by name.

        Raises:
            CorruptError: Somebody else wrote there.
        """  # noqa: DOC501 — made by the function that says so
        for held in self._remote.listing(BRANCH, folder):
            text = held.metadata.get("said", "")
            if "long" in held.metadata:
                text = self._remote.content(BRANCH, held.path).decode(errors="replace")
            said = unpacked(text)
            if said is None or not _NAME.fullmatch(held.path):
                raise _unreadable(held.path)
            yield held.path.removeprefix(folder), said

    def strike(self, *names: str) -> None:
        """Remove notes."""
        self._remote.delete(BRANCH, names)

    # --------------------------------------------------------------- movements
    def moved(
        self, ref: str, *, before: str | None, after: str | None, operation: str, author: str
    ) -> RefUpdate:
        """Write down a movement that has been made.

        Returns:
            The movement.
        """
        with self._lock:
            self._last = now = max(time.time_ns(), self._last + 1)
        at = datetime.fromtimestamp(now // 1_000_000 / 1000, tz=UTC)
        said = {
            "ref": ref, "before": before, "after": after, "operation": operation,
            "author": author, "at": at.isoformat(timespec="milliseconds"),
        }  # fmt: skip
        self.write(f"moved/{ENDLESS - now:019d}-{uuid.uuid4().hex[:8]}", said)
        return RefUpdate(
            ref=ref, before=before, after=after, operation=operation, author=author, at=at
        )

    def movements(self, ref: str | None = None) -> Iterator[RefUpdate]:
        """Yield movements, newest first.

        Args:
            ref: Only of ``branch/<name>`` or ``tag/<name>``.
        """
        for _, said in _latest(self.read("moved/")):
            update = _update(said)
            if ref in {None, update.ref}:
                yield update

    def replace(self, commits: Mapping[str, str | None]) -> None:
        """Let no movement speak of some commits, but of what stands in for them, if anything.

        It is written anew before it is struck: a kill loses no movement, and repeating it finishes.
        """
        there = list(self.read("moved/"))
        latest = dict(_latest(there))
        self.strike(*(f"moved/{name}" for name, _ in there if name not in latest))
        for name, said in latest.items():
            ends = {end: said.get(end) for end in ("before", "after")}
            if not any(end in commits for end in ends.values()):
                continue
            stand_ins = {end: commits.get(was, was) for end, was in ends.items()}
            lost = any(was is not None and stand_ins[end] is None for end, was in ends.items())
            if not lost and stand_ins["before"] != stand_ins["after"]:
                self.write(f"moved/{_anew(name)}", {**said, **stand_ins})
            self.strike(f"moved/{name}")
        for name, said in list(self.read("grafted/")):
            if said.get("commit") in commits:
                self.strike(f"grafted/{name}")

    # ------------------------------------------------------------------ grafts
    def grafted(self, fingerprint: str) -> str | None:
        """Return the commit that was recorded of one with this fingerprint, if it was."""
        for _, said in self.read(f"grafted/{fingerprint}"):
            made = said.get("commit")
            return made if isinstance(made, str) and is_commit_id(made) else None
        return None

    def grafts(self) -> Iterator[tuple[str, datetime]]:
        """Yield the commits that were recorded, and when.

        Raises:
            CorruptError: A note cannot be read.
        """  # noqa: DOC501 — as above
        for name, said in self.read("grafted/"):
            try:
                made, at = said["commit"], datetime.fromisoformat(said["at"])
                fits = is_commit_id(made) and at.tzinfo is not None
            except (ValueError, KeyError, TypeError):
                fits = False
            if not fits:
                raise _unreadable(f"grafted/{name}")
            yield made, at

    def graft(self, fingerprint: str, commit: str) -> None:
        """Write down which commit was recorded of one with this fingerprint."""
        said = {"commit": commit, "at": datetime.now(tz=UTC).isoformat(timespec="seconds")}
        self.write(f"grafted/{fingerprint}", said)


def _latest(moved: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield each movement as it was told last.

    One that is told anew has two notes for a moment, or after a kill for longer; their names
    differ in a number at the end, so they follow each other.
    """
    last: tuple[str, Any] | None = None
    for name, said in moved:
        if last is not None and _stem(last[0]) != _stem(name):
            yield last
        last = name, said
    if last is not None:
        yield last


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _anew(name: str) -> str:
    """Return what the note of a movement is called when it is told once more.

    Examples:
        >>> _anew("0817-ab"), _anew("0817-ab.000001")
        ('0817-ab.000001', '0817-ab.000002')
    """
    stem, _, count = name.partition(".")
    return f"{stem}.{(int(count) if count.isdecimal() else 0) + 1:06d}"


def _unreadable(name: str) -> CorruptError:
    return CorruptError(
        f"note {name[:80]!r} cannot be read", hint=f"remove it from branch '{BRANCH}' in lakeFS"
    )


def _update(said: Any) -> RefUpdate:  # noqa: ANN401 — JSON
    try:
        ends = [said["before"], said["after"]]
        words = [said["ref"], said["operation"], said["author"]]
        at = datetime.fromisoformat(said["at"])
        fits = all(isinstance(word, str) for word in words) and at.tzinfo is not None
        if not fits or not all(end is None or is_commit_id(end) for end in ends):
            raise ValueError(said)  # noqa: TRY301 — one place says what is wrong
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(
            f"a movement cannot be read: {str(said)[:80]!r}",
            hint=f"remove it from branch '{BRANCH}' in lakeFS",
        ) from error
    return RefUpdate(
        ref=said["ref"], before=said["before"], after=said["after"],
        operation=said["operation"], author=said["author"], at=at,
    )  # fmt: skip
