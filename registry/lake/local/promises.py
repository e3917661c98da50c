"""Objects that are not stored here but at the origin, and are fetched when they are touched."""

import itertools
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from registry.errors import CorruptError, NotFoundError, UnavailableError
from registry.lake.local import disk, objects
from registry.lake.local.layout import Layout
from registry.lake.local.pointers import Pointer
from registry.lake.local.sessions import Session
from registry.lake.records import Entry

__all__ = [
    "Origin",
    "Promise",
    "is_promised",
    "keep",
    "load",
    "origin",
    "receive_all",
    "redeem",
    "remember",
]

FETCHERS = 4
"""Threads that fetch and hash objects; most of their time they wait."""

_LINE = re.compile(r"([0-9a-f]{64}) ([0-9]{1,19}) ([0-9a-f]{7,64}) (.+)")

CHUNK = 512
"""Objects that are put in place together: what a killed transfer loses at most."""

Adding = Callable[[], AbstractContextManager[None]]
"""Opens the gate for whoever adds objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a repository came from, and what of it is fetched at once."""

    address: str
    """Of the lake, as :func:`registry.lake.connect` takes it."""

    name: str
    """The repository there."""

    tables: tuple[str, ...] | None = None
    """Delta tables whose data files are fetched at once; all if None."""

    without: tuple[str, ...] = ()
    """Delta tables whose data files are left out all the same."""

    def leaves(self, table: str) -> bool:
        """Return whether a table's data files are left at the origin until they are touched."""
        return table in self.without or (self.tables is not None and table not in self.tables)


class Promise(NamedTuple):
    """Where the origin has an object."""

    size: int
    commit: str
    path: str


def origin(layout: Layout) -> Origin | None:
    """Return where a repository came from; None if it was made here.

    Raises:
        CorruptError: It is written down, but cannot be read.
    """
    try:
        said = json.loads(layout.origin.read_bytes())
        tables = said["tables"]
        return Origin(
            address=str(said["address"]),
            name=str(said["name"]),
            tables=None if tables is None else tuple(map(str, tables)),
            without=tuple(map(str, said["without"])),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(
            f"{layout.origin} cannot be read",
            hint="say again where it came from: eolab pull --from",
        ) from error


def remember(layout: Layout, came_from: Origin) -> None:
    """Write down where a repository came from."""
    said = {
        "address": came_from.address, "name": came_from.name,
        "tables": came_from.tables, "without": came_from.without,
    }  # fmt: skip
    half = layout.temporary / f"{uuid.uuid4().hex}.origin"
    disk.write_atomically(layout.origin, json.dumps(said).encode() + b"\n", temporary=half)


_loaded: dict[Layout, tuple[tuple[int, int, int], dict[str, Promise]]] = {}
"""What was read of each repository's promises, and of which state of their file."""


def load(layout: Layout) -> Mapping[str, Promise]:
    """Return what the origin has promised, by SHA-256; also what has been fetched since."""
    try:
        facts = layout.promised.stat()
    except FileNotFoundError:
        return {}
    state = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    known = _loaded.get(layout)
    if known is None or known[0] != state:
        found = {}
        for line in layout.promised.read_text(encoding="utf-8").split("\n"):
            parts = _LINE.fullmatch(line)
            if parts is not None:  # else a killed process did not write it whole
                found[parts[1]] = Promise(int(parts[2]), parts[3], parts[4])
        known = _loaded[layout] = (state, found)
    return known[1]


def keep(layout: Layout, commit: str, entries: Iterable[Entry]) -> None:
    """Write down what the origin has and this lake has not, before a commit here needs it.

    Args:
        layout: The repository's.
        commit: The origin's commit that has them.
        entries: What it has.
    """
    known = load(layout)
    fresh = {one.sha256: one for one in entries if one.sha256 not in known}
    if not fresh:
        return
    lines = (f"{sha256} {one.size} {commit} {one.path}\n" for sha256, one in fresh.items())
    with layout.promised.open("ab") as stream:  # a new line first: the last may be torn
        stream.write(b"\n" + "".join(lines).encode())
        stream.flush()
        os.fsync(stream.fileno())
    disk.sync_folder(layout.promised.parent)


def is_promised(layout: Layout, pointer: Pointer) -> bool:
    """Return whether an object may be missing here."""
    promise = load(layout).get(pointer.sha256)
    return promise is not None and promise.size == pointer.size


def redeem(layout: Layout, session: Session, adding: Adding, pointers: Iterable[Pointer]) -> None:
    """Fetch promised objects from the origin, verify them and put them in place.

    Raises:
        UnavailableError: The origin does not answer, or has them no more.
        CorruptError: An object is missing that nobody promised.
    """
    promised = load(layout)
    wanted: dict[Pointer, Entry] = {}
    for pointer in pointers:
        promise = promised.get(pointer.sha256)
        if promise is None:
            objects.find(layout, pointer)
        elif not objects.is_whole(layout, pointer):
            wanted[pointer] = Entry(path=promise.path, sha256=pointer.sha256, size=pointer.size)
    if not wanted:
        return
    came_from = origin(layout)
    if came_from is None:
        raise CorruptError(
            f"{len(wanted):,} objects are at an origin that nothing names",
            hint=f"say where it came from: eolab pull {layout.root.name} --from ADDRESS",
        )
    from registry.lake.addresses import connect  # late: it opens lakes of this kind too

    try:
        there = connect(came_from.address).repository(came_from.name)

        def fetch(entry: Entry) -> BinaryIO:
            return there.open(entry.path, at=promised[entry.sha256].commit)

        receive_all(layout, session, adding, wanted, fetch)
        with adding():
            objects.place(layout, session.folder, wanted)
    except (NotFoundError, UnavailableError) as error:
        raise UnavailableError(
            f"'{layout.root.name}' has left {len(wanted):,} objects at {came_from.address}, which "
            f"does not give them: {error.problem}",
            hint="see that the origin is there and still holds the dataset",
        ) from error


def receive_all(
    layout: Layout,
    session: Session,
    adding: Adding,
    wanted: Mapping[Pointer, Entry],
    fetch: Callable[[Entry], BinaryIO],
) -> None:
    """Fetch objects several at once, verify them, and put them in place as they come.

    Whoever is killed loses the last few alone; the session holds those in place, so nothing sweeps
    them meanwhile. They are not flushed: the caller places them again before anything needs them.

    Raises:
        CorruptError: Bytes arrived that are not what their hash says.
    """

    def receive(pointer: Pointer) -> None:
        _receive(fetch, wanted[pointer], pointer, session)

    with ThreadPoolExecutor(FETCHERS) as pool:
        try:
            for chunk in _chunks(wanted):
                for _ in pool.map(receive, chunk):
                    pass
                with adding():
                    objects.place(layout, session.folder, chunk, arriving=True)
                    session.hold(one.sha256 for one in chunk)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _chunks(wanted: Iterable[Pointer]) -> Iterator[list[Pointer]]:
    waiting = iter(wanted)
    while chunk := list(itertools.islice(waiting, CHUNK)):
        yield chunk


def _receive(
    fetch: Callable[[Entry], BinaryIO], entry: Entry, pointer: Pointer, session: Session
) -> None:
    with fetch(entry) as stream:
        arrived = objects.stage_expected(stream, session.folder, pointer)
    if arrived != pointer:
        raise CorruptError(
            f"'{entry.path}' arrived as {arrived.size:,} bytes of hash {arrived.sha256[:10]}; it "
            f"should be {pointer.size:,} of hash {pointer.sha256[:10]}",
            hint="run eolab fsck where it comes from",
        )
