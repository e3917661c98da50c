"""A table's log, read by the lab itself before any engine may open the table.

delta-rs, Spark and an unlocked DuckDB follow whatever path a log names, to other people's files
too. So every action of every log file is read here first: paths must be plain, relative, and
files of this very table; what the lab does not know is refused.

References:
    Delta Transaction Log Protocol, https://github.com/delta-io/delta/blob/master/PROTOCOL.md.
"""

import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from registry.errors import InvalidInputError
from registry.lake.records import Location
from registry.tables.actions import LOG, checked, mapping, unsafe
from registry.tables.errors import TableNotFoundError
from registry.tables.types import arrow_schema

__all__ = [
    "LOG",
    "UNPLACED",
    "DataFile",
    "Root",
    "Snapshot",
    "checkpoint_actions",
    "entry_actions",
    "folder_of",
    "snapshot",
    "table_folder",
    "verify_log",
]

Root = str | Path | Location
"""A dataset's folder: the path of a view or workspace, or its location."""

UNPLACED = "~"
"""Order of a file of which the log does not say where it stands; sorts last."""

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_BESIDE = re.compile(r"\d{20}\.crc|\.[\w.-]+\.crc|_last_checkpoint")
_UNREAD = re.compile(
    r"\d{20}\.checkpoint\.(?:(?P<v2>[0-9a-f-]{36}\.(?:json|parquet))|(?P<parts>[\d.]+parquet))"
    r"|(?P<packed>\d{20}\.\d{20}\.compacted\.json)"
)
_PARTS = MappingProxyType({
    "v2": "a v2 checkpoint",
    "parts": "a checkpoint of several parts",
    "packed": "compacted entries",
})
_EMPTY = frozenset({"_staged_commits", "_commits", "_sidecars"})  # Spark makes them, unused
_TABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,119})?")
_MAX_LOG_FILE = 256 * 2**20
_MAX_LOG_FILES = 50_000
_MAX_DATA_FILE = 64 * 2**30
_MAX_ROWS = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One Parquet file of a table; it never changes."""

    path: str
    """Relative to the table's folder."""

    size: int
    """Bytes it has."""

    rows: int | None = None
    """Rows it has, where the log says so."""

    stats: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Delta's statistics: ``minValues``, ``maxValues``, ``nullCount`` of small columns."""

    order: str = UNPLACED
    """Where its rows stand among other files'; the lab alone says it of what it writes."""

    added: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """The log's own action, to be said again elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a table is made of at the end of its log, after every check."""

    name: str
    """The table's name below the dataset's root."""

    folder: Path
    """The table's folder."""

    version: int
    """Number of the last log entry; of no meaning outside the log."""

    files: tuple[DataFile, ...]
    """Active data files, in the order of their rows."""

    arrow: pa.Schema
    """Columns, as the log states them."""

    metadata: Mapping[str, Any]
    """The log's ``metaData`` action."""

    protocol: Mapping[str, Any]
    """The log's ``protocol`` action."""

    @property
    def configuration(self) -> Mapping[str, str]:
        """What the table says about itself as a whole."""
        return self.metadata.get("configuration") or {}

    def paths(self, files: Iterable[DataFile] | None = None) -> list[str]:
        """Return where data files lie; all of them unless some are given."""
        return [str(self.folder / one.path) for one in (self.files if files is None else files)]


def folder_of(root: Root) -> Path:
    """Return a dataset root as a folder on this machine.

    Raises:
        InvalidInputError: It is somewhere else.
    """
    uri = root.uri if isinstance(root, Location) else str(root)
    if "://" in uri and not uri.startswith("file://"):
        raise InvalidInputError(
            f"tables at {uri.split('://')[0]}:// cannot be opened",
            hint="give the folder of a view or workspace",
        )
    return Path(uri.removeprefix("file://"))


def table_folder(root: Root, name: str) -> Path:
    """Return where a table lies, whether or not it is there.

    Raises:
        InvalidInputError: The name cannot be a table's.
    """
    if not _TABLE.fullmatch(name) or ".." in name:
        raise InvalidInputError(
            f"{name!r} cannot name a table",
            hint="use letters, digits, _ . - and at most one /, as in splits/default",
        )
    return folder_of(root) / name


def verify_log(root: Root, name: str) -> None:
    """Check a table's log, so that any engine may open the table afterwards.

    Raises:
        TableNotFoundError: There is no such table.
        UnsafeTableError: The log names a file that is not the table's own, or says something
            that the lab does not know.
    """
    snapshot(root, name)


def snapshot(root: Root, name: str) -> Snapshot:
    """Return what a table is made of, after its log was read and checked.

    Raises:
        TableNotFoundError: There is no such table.
        UnsafeTableError: As for :func:`verify_log`.
    """  # noqa: DOC501 — a function makes the error
    folder = table_folder(root, name)
    base = folder_of(root)
    for part in (folder, *folder.parents):
        if part == base:
            break
        if part.is_symlink():
            raise unsafe(f"table {name!r} lies behind a symbolic link")
    if not (folder / LOG).is_dir():
        raise TableNotFoundError(
            f"there is no table {name!r} in this version", hint="list them: eolab show"
        )
    if (folder / LOG).is_symlink():
        raise unsafe(f"the log of table {name!r} is a symbolic link")
    found = _read(folder, name, _listing(folder / LOG))
    for one in found.files:
        _check_present(folder, one.path, one.size)
    return found


def _listing(log: Path) -> tuple[tuple[str, int, int, int], ...]:
    found = []
    with os.scandir(log) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            if entry.name in _EMPTY and stat.S_ISDIR(facts.st_mode):
                if any(Path(entry.path).iterdir()):
                    raise unsafe(f"a table's log has commits waiting in {entry.name}")
                continue
            known = any(p.fullmatch(entry.name) for p in (_ENTRY, _CHECKPOINT, _BESIDE))
            if not known and (part := _UNREAD.fullmatch(entry.name)):
                raise unsafe(f"a table's log has {_PARTS[part.lastgroup or '']} ({entry.name:.80})")
            if not stat.S_ISREG(facts.st_mode) or not known:
                raise unsafe(f"a table's log holds {entry.name!r:.80}, which belongs to no log")
            if facts.st_size > _MAX_LOG_FILE:
                raise unsafe(f"log file {entry.name} has {facts.st_size} bytes")
            found.append((entry.name, facts.st_size, facts.st_mtime_ns, facts.st_ino))
    if len(found) > _MAX_LOG_FILES:
        raise unsafe(f"a table's log has {len(found)} files; {_MAX_LOG_FILES} is the limit")
    return tuple(sorted(found))


# A log that was read once is not read again while its files stay the same.
@functools.lru_cache(maxsize=256)
def _read(folder: Path, table: str, listing: tuple[tuple[str, int, int, int], ...]) -> Snapshot:
    log = folder / LOG
    names = [name for name, *_ in listing]
    entries = sorted(int(m[1]) for m in map(_ENTRY.fullmatch, names) if m)
    checkpoints = sorted(int(m[1]) for m in map(_CHECKPOINT.fullmatch, names) if m)
    for name in names:
        if name.endswith(".crc") and not name.startswith("."):
            _check_sums(log / name)
    for version in checkpoints[:-1]:
        _consume(_checkpoint_actions(log, version))
    start = checkpoints[-1] if checkpoints else -1
    for version in entries:
        if version <= start:
            _consume(_entry_actions(log, version))
    later = [version for version in entries if version > start]
    if later != list(range(start + 1, start + 1 + len(later))) or (not later and start < 0):
        raise unsafe(f"the log of {folder.name!r} has a gap: its entries are {later[:5]}…")
    first = _checkpoint_actions(log, start) if start >= 0 else iter(())
    rest = (action for version in later for action in _entry_actions(log, version))
    return _replay(folder, table, start + len(later), (*first, *rest))


def _consume(actions: Iterator[tuple[str, Any]]) -> None:
    for _ in actions:
        pass


def _replay(folder: Path, table: str, version: int, actions: Iterable[tuple[str, Any]]) -> Snapshot:
    files: dict[str, Any] = {}
    metadata: Any = None
    protocol: Any = None
    for kind, body in actions:
        if kind == "add":
            files[body["path"]] = body
        elif kind == "remove":
            files.pop(body["path"], None)
        elif kind == "metaData":
            metadata = body
        elif kind == "protocol":
            protocol = body
    if metadata is None or protocol is None:
        raise unsafe(f"the log of {folder.name!r} states no schema or no protocol")
    active = (_data_file(body) for body in files.values())
    return Snapshot(
        name=table,
        folder=folder,
        version=version,
        files=tuple(sorted(active, key=lambda one: (one.order, one.path))),
        arrow=arrow_schema(metadata["schemaString"]),
        metadata=metadata,
        protocol=protocol,
    )


def _entry_actions(log: Path, version: int) -> Iterator[tuple[str, Any]]:
    return entry_actions((log / f"{version:020d}.json").read_bytes())


def entry_actions(entry: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the actions of one entry of a log, each checked: its kind and what it says.

    Raises:
        UnsafeTableError: As for :func:`verify_log`.
    """  # noqa: DOC501 — a function makes the error
    for line in entry.splitlines():
        if line.strip():
            try:
                action = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise unsafe("a log entry is not JSON") from error
            yield checked(action)


def _checkpoint_actions(log: Path, version: int) -> Iterator[tuple[str, Any]]:
    return checkpoint_actions(log / f"{version:020d}.checkpoint.parquet")


def checkpoint_actions(checkpoint: Path | pa.NativeFile) -> Iterator[tuple[str, Any]]:
    """Yield the actions of a checkpoint of a log, each checked: its kind and what it says.

    Raises:
        UnsafeTableError: As for :func:`verify_log`.
    """  # noqa: DOC501 — a function makes the error
    try:
        with pq.ParquetFile(checkpoint) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist(maps_as_pydicts="lossy"):
                    stated = {kind: body for kind, body in row.items() if body is not None}
                    if stated:
                        yield checked(stated)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unsafe("a checkpoint cannot be read") from error


def _check_sums(file: Path) -> None:
    try:
        stated = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise unsafe(f"{file.name} is not JSON") from error
    for body in stated.get("allFiles") or [] if isinstance(stated, dict) else []:
        checked({"add": body})


def _data_file(body: Mapping[str, Any]) -> DataFile:
    path, size = body["path"], body.get("size")
    if type(size) is not int or not 0 < size <= _MAX_DATA_FILE:
        raise unsafe(f"a log says that {path!r:.120} has {size!r:.40} bytes")
    stats = _statistics(body.get("stats"))
    rows = stats.get("numRecords")
    if rows is not None and (type(rows) is not int or not 0 <= rows <= _MAX_ROWS):
        raise unsafe(f"a log says that {path!r:.120} has {rows!r:.40} rows")
    order = mapping(body.get("tags")).get("order")
    made = DataFile(path=path, size=size, rows=rows, stats=stats, added=body)
    return replace(made, order=order) if isinstance(order, str) else made


def _check_present(folder: Path, path: str, size: int) -> None:
    inner = folder
    for part in path.split("/"):
        inner /= part
        try:
            facts = inner.lstat()
        except OSError as error:
            raise unsafe(f"a log names {path!r:.120}, which is not there") from error
        if stat.S_ISLNK(facts.st_mode):
            raise unsafe(f"{path!r:.120} lies behind a symbolic link")
    if not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
        raise unsafe(f"a log says that {path!r:.120} has {size} bytes; it has {facts.st_size}")


def _statistics(text: Any) -> dict[str, Any]:  # noqa: ANN401 — any value, checked by its kind
    if not isinstance(text, str) or not text:
        return {}
    try:
        stats = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise unsafe("a log's statistics are not JSON") from error
    if not isinstance(stats, dict):
        return {}
    maps = ("minValues", "maxValues", "nullCount")
    return stats | {name: stats[name] if isinstance(stats.get(name), dict) else {} for name in maps}
