"""Log entries: how new files become part of a table, all at once."""

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from registry.errors import ConflictError, UnavailableError
from registry.tables.errors import UnsafeTableError
from registry.tables.log import LOG, DataFile, Snapshot, snapshot, table_folder
from registry.tables.schemas import TableSchema
from registry.tables.types import delta_schema

__all__ = [
    "Change",
    "append_entry",
    "check_writable",
    "create_log",
    "cut_log",
    "retract_entry",
]

_NAMESPACE = uuid.UUID("6f0c2f86-9d0b-5c53-9e0d-3a1f7c1b7f55")
_WRITABLE = frozenset({"appendOnly", "invariants"})
_STANDS_FOR: Mapping[object, str] = MappingProxyType({
    3: "checkConstraints",
    4: "changeDataFeed, generatedColumns",
    5: "columnMapping",
    6: "identityColumns",
})  # what a version below 7 means where no features are listed
_ORDER = re.compile(r"\d{10}(\.\d{4})*")
_OLD = re.compile(r"(\d{20})\.(json|checkpoint\.parquet|crc)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one log entry does to a table."""

    added: Sequence[DataFile] = ()
    """Files that become part of it."""

    removed: Sequence[DataFile] = ()
    """Files that no longer are."""

    arrow: pa.Schema | None = None
    """The table's columns from now on, if they change."""

    data: bool = True
    """Whether rows change for a reader; False where they only lie elsewhere."""


def create_log(folder: Path, schema: TableSchema) -> None:
    """Write the first entry of a new table's log.

    Its id and times follow from the name, so that equal tables are equal bytes.

    Raises:
        ConflictError: There is a table already.
    """
    actions = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": _metadata(schema)},
    ]
    (folder / LOG).mkdir(parents=True, exist_ok=True)
    _publish(folder, 0, actions)


def append_entry(before: Snapshot, change: Change) -> None:
    """Write the entry that follows a snapshot.

    Raises:
        ConflictError: Another entry came first.
        UnsafeTableError: The table asks writers for something that the lab does not do.
    """
    check_writable(before)
    actions: list[dict[str, Any]] = []
    if change.arrow is not None and not change.arrow.equals(before.arrow, check_metadata=True):
        stated = {**before.metadata, "schemaString": delta_schema(change.arrow)}
        actions.append({"metaData": stated})
    actions += [{"remove": _remove(one) | {"dataChange": change.data}} for one in change.removed]
    first = 1 + max((int(one.order[:10]) for one in before.files if _placed(one)), default=-1)
    actions += [
        {"add": _add(one, first + i) | {"dataChange": change.data}}
        for i, one in enumerate(change.added)
    ]
    if actions:
        _publish(before.folder, before.version + 1, actions)


def cut_log(folder: Path, name: str, *, after: int = 0) -> None:
    """Replace a table's log by one checkpoint of where it stands.

    The lake keeps history; a log that only says what is there opens in the same time for ever.
    Safe to be interrupted: the checkpoint is complete before an older entry is removed.

    Args:
        folder: The dataset's root.
        name: The table.
        after: Do nothing while the log has at most this many entries.
    """
    table = table_folder(folder, name)
    entries = [m for path in (table / LOG).iterdir() if (m := _OLD.fullmatch(path.name))]
    if len(entries) <= max(after, 1) and not (after == 0 and len(entries) == 1):
        return
    before = snapshot(folder, name)
    newest = f"{before.version:020d}"
    if not (table / LOG / f"{newest}.checkpoint.parquet").exists():
        _write_checkpoint(table)
    for match in sorted(entries, key=lambda m: m[0]):
        if match[1] != newest:
            (table / LOG / match[0]).unlink()


def _write_checkpoint(table: Path) -> None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable(table).create_checkpoint()
    except (DeltaError, OSError) as error:
        raise UnavailableError(
            f"the log of {table.name!r} cannot be cut: {error}",
            hint="free some space or make the folder writable, then run it again",
        ) from error


def _metadata(schema: TableSchema) -> dict[str, Any]:
    said = dict(schema.properties) | {"eolab.key": ",".join(schema.key)}
    return {
        "id": str(uuid.uuid5(_NAMESPACE, schema.name)),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": delta_schema(schema.arrow),
        "partitionColumns": [],
        # Old versions need old log entries; what is old is the lake's to say.
        "configuration": {"delta.enableExpiredLogCleanup": "false", **said},
        "createdTime": 0,
    }


def _add(one: DataFile, order: int) -> dict[str, Any]:
    stats = json.dumps(one.stats, separators=(",", ":"), ensure_ascii=False)
    tags = {"order": one.order if _placed(one) else f"{order:010d}"}
    return {
        "path": one.path,
        "partitionValues": {},
        "size": one.size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": stats,
        "tags": tags,
    }


def _placed(one: DataFile) -> bool:
    return _ORDER.fullmatch(one.order) is not None


def _remove(one: DataFile) -> dict[str, Any]:
    return {"path": one.path, "deletionTimestamp": 0, "dataChange": True, "size": one.size}


def check_writable(before: Snapshot) -> None:
    """Refuse a table of which the log asks writers for more than the lab does.

    Raises:
        UnsafeTableError: It asks for a feature, such as check constraints or identity columns.
    """
    features = before.protocol.get("writerFeatures") or []
    version = before.protocol.get("minWriterVersion")
    known = all(isinstance(feature, str) and feature in _WRITABLE for feature in features)
    if type(version) is not int or version not in {1, 2, 7} or not known:
        asked = (
            f"with {features!r:.200}" if features else f"({_STANDS_FOR.get(version, 'unknown')})"
        )
        raise UnsafeTableError(
            f"table {before.name!r} asks for writer version {version} {asked}",
            hint="write it with the program that made it, or copy it into a new table",
        )


def _publish(folder: Path, version: int, actions: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(a, separators=(",", ":"), ensure_ascii=False) + "\n" for a in actions)
    entry = folder / LOG / f"{version:020d}.json"
    try:
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix=".entry-", suffix=".tmp", delete=False
        ) as file:
            file.write(text.encode())
        scratch = Path(file.name)
        try:
            scratch.chmod(0o644)
            _put_if_absent(scratch, entry)
        finally:
            scratch.unlink()
    except FileExistsError as error:
        raise ConflictError(
            f"table {folder.name!r} was changed by somebody else meanwhile",
            hint="read it again, then retry",
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"the log of {folder.name!r} cannot be written: {error.strerror or error}",
            hint="free some space or make the folder writable, then run it again",
        ) from error


def _put_if_absent(source: Path, target: Path) -> None:
    """Make ``target`` whole at once; of two writers one wins, where a rename would replace.

    Raises:
        FileExistsError: The other won.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: not whole at once, but still only one
        with target.open("xb") as out:
            out.write(source.read_bytes())


def retract_entry(after: Snapshot) -> None:
    """Take back the newest log entry, in a folder that is nobody else's."""
    (after.folder / LOG / f"{after.version:020d}.json").unlink()
