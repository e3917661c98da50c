"""One step of a table's history: which data files a commit brought, and which of some rows differ.

Nothing is laid out for engines: a step reads the log entries that a commit added, and of the few
data files it touched the key columns, then only columns of which the bytes differ.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.lake.records import ChangeKind
from registry.tables.conform import conform
from registry.tables.equality import differing_cells
from registry.tables.errors import SchemaMismatchError, UnsafeTableError
from registry.tables.log import LOG, checkpoint_actions, entry_actions
from registry.tables.rows import cells_of
from registry.tables.schemas import TableSchema

if TYPE_CHECKING:
    from registry.lake import Entry, Repository

__all__ = ["Key", "Place", "Step", "TableHistory"]

_ENTRY: Final = re.compile(r"\d{20}\.json")
_CHECKPOINT: Final = re.compile(r"\d{20}\.checkpoint\.parquet")
_FEW: Final = 10_000  # keys up to which each file is asked for them, rather than read through
_FILES: Final = 64  # data files that are held open

Key = tuple[object, ...]
"""Values of a row's key columns."""

Place = tuple[str, int]
"""Data file, and row in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a commit did to the data files of a table, beside one of its parents."""

    came: frozenset[str]
    """Files that only the commit has."""

    went: frozenset[str]
    """Files that only the parent has."""


@dataclass(slots=True, kw_only=True)
class _File:
    """A data file in memory."""

    data: pa.Buffer
    parquet: pq.ParquetFile
    chunks: dict[str, bytes]
    """Digests of the bytes of each column."""

    columns: dict[str, pa.ChunkedArray] = field(default_factory=dict)
    """Those that were decoded."""


@dataclass(slots=True, kw_only=True)
class TableHistory:
    """Reads a table at the commits of a history; what was read once is not read again."""

    repository: "Repository"
    """Where it is kept."""

    schema: TableSchema
    """What its columns are now."""

    _files: dict[str, _File] = field(default_factory=dict)
    _entries: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    _located: dict[tuple[bytes, ...], tuple[Collection[Key], dict[Key, int]]] = field(
        default_factory=dict
    )

    def step(self, parent: str, commit: str) -> Step | None:
        """Return how a commit changed the table's files beside a parent; None if it did not."""
        log = f"{self.schema.name}/{LOG}/"
        changes = list(self.repository.diff(parent, commit, prefix=log.rstrip("/")))
        if not changes:
            return None
        added = [c.after for c in changes if c.kind is ChangeKind.ADDED and c.after is not None]
        entries = [entry for entry in added if _ENTRY.fullmatch(entry.path.removeprefix(log))]
        if len(entries) == len(changes):
            step = self._of_entries(commit, sorted(entries, key=lambda entry: entry.path))
            if not self._there(parent, step.came):
                return step
        now, was = self._active(commit), self._active(parent)
        return Step(came=now - was, went=was - now)

    def locate(self, files: Collection[str], at: str, keys: Collection[Key]) -> dict[Key, Place]:
        """Return where rows stand in some data files.

        Args:
            files: Paths relative to the table's folder.
            at: A commit that has them.
            keys: Keys of the rows; those that are not there are left out.
        """
        found: dict[Key, Place] = {}
        wanted = frozenset(keys)
        for path in sorted(files):
            if len(found) == len(wanted):
                break
            rows = self._rows(path, at, wanted)
            found |= {key: (path, row) for key, row in rows.items() if key in wanted}
        return found

    def differing(
        self, now: Sequence[Place], was: Sequence[Place], *, commit: str, parent: str
    ) -> dict[str, np.ndarray]:
        """Return, for each cell, in which of some rows it differs.

        Args:
            now: Where each row stands in the commit.
            was: Where it stands in the parent.
            commit: The commit.
            parent: The parent.

        Returns:
            Boolean masks, one value a row; cells that differ in none are left out.
        """
        masks: dict[str, np.ndarray] = {}
        pairs: dict[tuple[str, str], list[int]] = {}
        for at, (one, other) in enumerate(zip(now, was, strict=True)):
            pairs.setdefault((one[0], other[0]), []).append(at)
        for (new, old), members in pairs.items():
            names = self._suspects(self._open(new, commit), self._open(old, parent))
            if not names:
                continue
            places = [[side[at][1] for at in members] for side in (now, was)]
            left = self._take(self._open(new, commit), names, places[0])
            right = self._take(self._open(old, parent), names, places[1])
            for cell, mask in differing_cells(left, right, cells_of(left.schema)).items():
                if mask.any():
                    whole = masks.setdefault(cell, np.zeros(len(now), dtype=bool))
                    whole[np.array(members)[mask]] = True
        return masks

    # ------------------------------------------------------------------- logs
    def _of_entries(self, commit: str, entries: "Sequence[Entry]") -> Step:
        came: set[str] = set()
        went: set[str] = set()
        for entry in entries:
            for added, path in self._actions(entry, commit):
                onto, off = (came, went) if added else (went, came)
                if path in off:
                    off.discard(path)
                else:
                    onto.add(path)
        return Step(came=frozenset(came), went=frozenset(went))

    def _actions(self, entry: "Entry", at: str) -> list[tuple[bool, str]]:
        """Return which files an entry of the log adds (True) and removes (False), in order."""
        if entry.sha256 not in self._entries:
            data = self.repository.read(entry.path, at=at)
            stated = (
                entry_actions(data)
                if entry.path.endswith(".json")
                else checkpoint_actions(pa.BufferReader(data))
            )
            self._entries[entry.sha256] = [
                (kind == "add", body["path"]) for kind, body in stated if kind in {"add", "remove"}
            ]
        return self._entries[entry.sha256]

    def _there(self, commit: str, files: Collection[str]) -> bool:
        """Return whether a commit has one of some files, be it left over from an older state."""
        if not files:
            return False
        name = self.schema.name
        held = {entry.path for entry in self.repository.entries(commit, name)}
        return any(f"{name}/{path}" in held for path in files)

    def _active(self, commit: str) -> frozenset[str]:
        """Return the data files that a whole log states: its last checkpoint and what follows."""
        log = f"{self.schema.name}/{LOG}/"
        held = {
            entry.path.removeprefix(log): entry
            for entry in self.repository.entries(commit, log.rstrip("/"))
        }
        checkpoints = sorted(filter(_CHECKPOINT.fullmatch, held))
        start = checkpoints[-1:] or [""]
        later = [n for n in sorted(filter(_ENTRY.fullmatch, held)) if n[:20] > start[0][:20]]
        files: dict[str, None] = {}
        for name in filter(None, [*start, *later]):
            for added, path in self._actions(held[name], commit):
                if added:
                    files[path] = None
                else:
                    files.pop(path, None)
        return frozenset(files)

    # ------------------------------------------------------------- data files
    def _open(self, path: str, at: str) -> _File:
        if path not in self._files:
            while len(self._files) >= _FILES:
                self._files.pop(next(iter(self._files))).parquet.close()
            data = pa.py_buffer(self.repository.read(f"{self.schema.name}/{path}", at=at))
            try:
                parquet = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
            except pa.ArrowException as error:
                raise UnsafeTableError(
                    f"data file {path} of table {self.schema.name!r} cannot be read at {at[:12]}",
                    hint="eolab fsck finds out more",
                ) from error
            missing = set(self.schema.key) - set(parquet.schema_arrow.names)
            if missing:
                raise SchemaMismatchError(
                    f"table {self.schema.name!r} had no column {min(missing)!r} at {at[:12]}",
                    hint="its rows went by another key then",
                )
            self._files[path] = _File(data=data, parquet=parquet, chunks=_chunks(data, parquet))
        return self._files[path]

    def _rows(self, path: str, at: str, wanted: frozenset[Key]) -> dict[Key, int]:
        """Return in which rows of a file keys stand; files of the same keys share the answer."""
        file = self._open(path, at)
        mark = tuple(file.chunks[name] for name in self.schema.key)
        known = self._located.get(mark)
        if known is None or not (known[0] is wanted or wanted <= known[0]):  # type: ignore[operator]
            known = (wanted, self._read_rows(file, wanted))
            self._located[mark] = known
        return known[1]

    def _read_rows(self, file: _File, wanted: frozenset[Key]) -> dict[Key, int]:
        names = list(self.schema.key)
        keys = self._read(file, names)
        places = np.arange(keys.num_rows)
        if len(wanted) <= min(_FEW, keys.num_rows):
            first = pa.array([key[0] for key in wanted], self.schema.arrow.field(names[0]).type)
            places = np.flatnonzero(pc.is_in(keys.column(0), value_set=first))
            keys = keys.take(pa.array(places))
        listed = zip(*(column.to_pylist() for column in keys.columns), strict=True)
        pairs = zip(listed, places.tolist(), strict=True)
        return {key: place for key, place in pairs if key in wanted}

    def _suspects(self, new: _File, old: _File) -> list[str]:
        """Return columns of which two files do not have the same bytes for the same rows."""
        names = [n for n in self.schema.arrow.names if n not in self.schema.key]
        same_keys = all(new.chunks[key] == old.chunks[key] for key in self.schema.key)
        if not same_keys or set(new.chunks) != set(old.chunks):
            return names
        return [n for n in names if n in new.chunks and new.chunks[n] != old.chunks[n]]

    def _take(self, file: _File, names: Sequence[str], rows: Sequence[int]) -> pa.Table:
        missing = [name for name in names if name not in file.columns]
        if missing:
            read = self._read(file, missing)
            file.columns |= {name: read.column(name) for name in missing}
        places = pa.array(rows, pa.int64())
        return pa.table({name: file.columns[name].take(places) for name in names})

    def _read(self, file: _File, names: Sequence[str]) -> pa.Table:
        """Return columns as they are declared now; null where the file has none of that name."""
        fields = [pa.field(name, self.schema.arrow.field(name).type) for name in names]
        there = [name for name in names if name in file.parquet.schema_arrow.names]
        rows = file.parquet.read(columns=there, use_threads=False)
        if not there:
            rows = pa.table({names[0]: pa.nulls(file.parquet.metadata.num_rows, fields[0].type)})
        return conform(rows, TableSchema(name=self.schema.name, arrow=pa.schema(fields), key=()))


def _chunks(data: pa.Buffer, parquet: pq.ParquetFile) -> dict[str, bytes]:
    """Return digests of the bytes of each column of a file, all its row groups together."""
    view, metadata = memoryview(data), parquet.metadata
    columns = set(parquet.schema_arrow.names)
    found = {name: hashlib.blake2b(digest_size=16) for name in columns}
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        for leaf in range(metadata.num_columns):
            chunk = rows.column(leaf)
            start = chunk.data_page_offset
            if chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            name = chunk.path_in_schema
            seen = found[name if name in columns else name.partition(".")[0]]
            seen.update(f"{name} {rows.num_rows} ".encode())
            seen.update(view[start : start + chunk.total_compressed_size])
    return {name: seen.digest() for name, seen in found.items()}
