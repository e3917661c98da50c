"""What becomes of each object when rows are forgotten: decided first, written when it is needed.

What becomes of an object depends on itself and on what becomes of its table's files, never on the
commit: so the change from one commit to the next is put through object by object.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from registry.catalog.forgetting.census import Census, Spot
from registry.catalog.forgetting.words import Words
from registry.catalog.trees import LOG
from registry.errors import CorruptError
from registry.lake.purges import PURGES
from registry.lake.records import Entry
from registry.progress import Progress
from registry.tables import purge, relogging
from registry.tables.chips import index_path, write_index
from registry.tables.errors import UnsafeTableError
from registry.tables.log import DataFile
from registry.tables.purge import Unwanted
from registry.tables.schemas import TableSchema, declared

__all__ = ["SLICES", "Cleansing", "Findings", "look", "schema_of", "told_of_files"]

SLICES = "slices/"
"""Folder of slices, which are made anew with their commit."""

_INDEX = "pixels/_index/"
_CHECKPOINT = ".checkpoint.parquet"
_TEXTS = (".md", ".json", ".txt", ".csv", ".geojson", ".yaml", ".yml", ".xml", ".html", ".cff")
_LONGEST_TEXT = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Where what shall be forgotten is."""

    unwanted: Unwanted
    """What goes."""

    words: Words
    """Names of what goes."""

    spots: Mapping[Spot, int]
    """Objects that change, with the rows that go; 0 where they are no rows."""

    gone: frozenset[Spot]
    """Objects among them that go whole."""

    rows: Mapping[str, int]
    """Rows that go, by table."""

    unheld: Mapping[str, frozenset[str]]
    """By table, files that its log tells of and no commit has, and that may have had such rows."""


def look(
    census: Census, *, samples: frozenset[str], annotations: frozenset[str],
    assets: frozenset[str], progress: Progress,
) -> Findings:  # fmt: skip
    """Find every object in a history that holds or speaks of what shall be forgotten.

    Args:
        census: The history.
        samples: Ids of samples.
        annotations: Ids of annotations.
        assets: Of the samples only these assets; none if they go whole.
        progress: Told how far it is.

    Returns:
        What is where.
    """
    if samples and not assets:
        annotations |= _annotations_of(census, samples)
    words = Words.of(() if assets else samples | annotations)
    unwanted = Unwanted(
        samples=samples, annotations=annotations, assets=assets, mentions=words.mentions
    )
    going, staying = _pointers(census, unwanted)
    only = going - staying
    pixels = frozenset(one for one in only if isinstance(one, bytes))
    unwanted = replace(unwanted, pixels=pixels)
    spots, rows = _count(census, unwanted, progress)
    gone = {spot for spot in census.spots if spot[0] in only}
    spots |= dict.fromkeys(gone, 0)
    unheld = {table: _unheld(census, table, unwanted) for table in census.tables}
    spots |= dict.fromkeys(_in_logs(census, spots, words, unheld), 0)
    for spot in census.spots:
        if spot not in spots and _speaks(census, spot, unwanted, words):
            spots[spot] = 0
    gone |= _beside(census, spots)
    spots |= dict.fromkeys(gone - spots.keys(), 0)
    return Findings(
        unwanted=unwanted, words=words, spots=spots, gone=frozenset(gone), rows=rows,
        unheld=unheld,
    )  # fmt: skip


def _annotations_of(census: Census, samples: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    if "annotations" in census.tables:
        for _, path in census.files(census.in_table("annotations")):
            found |= purge.annotations_of(path, samples)
    return frozenset(found)


def _pointers(census: Census, unwanted: Unwanted) -> tuple[set[object], set[object]]:
    going: set[object] = set()
    staying: set[object] = set()
    if unwanted.samples and "assets" in census.tables:
        for _, path in census.files(census.in_table("assets")):
            left, right = purge.pointers(path, unwanted)
            going |= left
            staying |= right
    return going, staying


def _count(
    census: Census, unwanted: Unwanted, progress: Progress
) -> tuple[dict[Spot, int], dict[str, int]]:
    spots: dict[Spot, int] = {}
    rows: dict[str, int] = {}
    work = {table: list(census.in_table(table)) for table in sorted(census.tables)}
    progress.stage("looking for rows", total=sum(map(len, work.values())), unit="files")
    for table, files in work.items():
        for spot, path in census.files(files):
            found = purge.count_gone(path, table, unwanted)
            if found:
                spots[spot] = found
                rows[table] = rows.get(table, 0) + found
                if table == "pixels":
                    index = _INDEX + Path(spot[0]).stem + ".npy"
                    spots |= {one: 0 for one in census.spots if one[0] == index}
            progress.advance()
    return spots, rows


def _unheld(census: Census, table: str, unwanted: Unwanted) -> frozenset[str]:
    """Return files that a log tells of and no commit has, and that may have had rows that go.

    A merge that was decided writes such: what one entry adds, the next one of its commit removes.
    """
    said = told_of_files(census, table)
    found = {one.get("path", "") for one in said if purge.may_have_had(table, one, unwanted)}
    return frozenset(one for one in found if f"{table}/{one}" not in census.paths)


def told_of_files(census: Census, table: str) -> Iterator[Mapping[str, Any]]:
    """Yield what a table's log ever said of files that it adds or removes."""
    for spot, path in census.files(census.in_log(table)):
        if spot[0].endswith(".json"):
            yield from relogging.about_files(path.read_bytes())
        elif spot[0].endswith(_CHECKPOINT):
            yield from relogging.about_files_in_checkpoint(path)


def _in_logs(
    census: Census,
    spots: Mapping[Spot, int],
    words: Words,
    unheld: Mapping[str, frozenset[str]],
) -> list[Spot]:
    """Return log files that name a data file that changes or goes unsaid, or a name that goes."""
    found = []
    for table in census.tables:
        inside = f"{table}/"
        changing = {path.removeprefix(inside): () for path, _ in spots if path.startswith(inside)}
        for spot in census.in_log(table):
            if spot[0].endswith(".json"):
                data = census.read(spot)
                if relogging.rewrite_entry(data, changing, words.unsaid, unheld[table]) != data:
                    found.append(spot)
            elif spot[0].endswith(_CHECKPOINT) and (changing or unheld[table]):
                ((_, path),) = census.files([spot])
                if relogging.rewrite_checkpoint(path, changing, unheld[table]) is not None:
                    found.append(spot)
    return found


def _beside(census: Census, spots: Mapping[Spot, int]) -> set[Spot]:
    """Return checksums that engines laid beside what changes; nobody needs them.

    Of a log's own (``N.crc``) those go that were written when the table had a file that changes.
    """
    found = set()
    changed = {path for path, _ in spots}
    tables = {census.table_of(path) for path in changed}
    for spot in census.spots:
        if spot[0].endswith(".crc"):
            folder, _, name = spot[0].rpartition("/")
            table = census.table_of(spot[0])
            if name.startswith("."):
                gone = f"{folder}/{name[1:].removesuffix('.crc')}" in changed
            else:
                there = table in tables and folder.endswith(f"/{LOG}")
                gone = there and _has_any(census, table or "", census.spots[spot][1], spots)
            if gone:
                found.add(spot)
    return found


def _has_any(census: Census, table: str, commit: str, spots: Mapping[Spot, int]) -> bool:
    entries = census.repository.entries(commit, table)
    return any((entry.path, entry.sha256) in spots for entry in entries)


def _speaks(census: Census, spot: Spot, unwanted: Unwanted, words: Words) -> bool:
    """Return whether an object that is no table's holds or speaks of what goes."""
    path = spot[0]
    if census.table_of(path) is not None or path.startswith((SLICES, f"{PURGES}/")):
        return False
    if path.endswith(".parquet"):
        ((_, file),) = census.files([spot])
        return _rows_without(file, unwanted) is not None
    if path.endswith(_TEXTS) and census.spots[spot][0].size <= _LONGEST_TEXT and words.telling:
        text = _text(census.read(spot))
        return text is not None and words.mentions(text)
    return False


def _rows_without(file: Path, unwanted: Unwanted) -> bytes | None:
    try:
        return purge.rewrite_rows(file, unwanted)
    except UnsafeTableError:  # whatever it is, it holds no rows
        return None


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once
class Cleansing:
    """Makes the objects that stand for those that change, each once."""

    census: Census
    """The history."""

    findings: Findings
    """What changes in it."""

    folder: Path
    """Where the new objects are written; nobody else's."""

    made: dict[Spot, tuple[Entry, ...]] = field(default_factory=dict)
    """What has been made so far."""

    files: dict[str, Path] = field(default_factory=dict)
    """Files that hold the new objects, by SHA-256 in hex."""

    _renamed: dict[str, dict[str, list[DataFile]]] = field(default_factory=dict)

    def of(self, spot: Spot) -> tuple[Entry, ...]:
        """Return what stands for an object: itself, another, several, or nothing."""
        if spot not in self.findings.spots:
            return (self.census.spots[spot][0],)
        if spot not in self.made:
            self.made[spot] = () if spot in self.findings.gone else tuple(self._make(spot))
        return self.made[spot]

    def fetch(self, entry: Entry) -> BinaryIO:
        """Open the bytes of a new object, or of one that only older commits have.

        Returns:
            A stream of them.
        """
        made = self.files.get(entry.sha256)
        if made is not None:
            return made.open("rb")
        _, commit = self.census.spots[entry.path, entry.sha256]
        return self.census.repository.open(entry.path, at=commit)

    def keep(self, path: str, data: bytes) -> Entry:
        """Keep a new object's bytes for when they are fetched.

        Returns:
            Its entry.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        file = self.folder / sha256
        file.write_bytes(data)
        self.files[sha256] = file
        return Entry(path=path, sha256=sha256, size=len(data))

    def _make(self, spot: Spot) -> list[Entry]:
        path, table = spot[0], self.census.table_of(spot[0])
        if table is None:
            return [self.keep(path, self._file(spot))]
        inside = path.removeprefix(f"{table}/")
        if path.startswith(_INDEX):
            return self._indexes(Path(path).stem)
        if not inside.startswith(f"{LOG}/"):
            return [self._adopt(f"{table}/{one.path}", self._home(table) / one.path)
                    for one in self._of_table(table)[inside]]  # fmt: skip
        renamed, words = self._of_table(table), self.findings.words
        unheld = self.findings.unheld[table]
        if path.endswith(".json"):
            data = self.census.read(spot)
            return [self.keep(path, relogging.rewrite_entry(data, renamed, words.unsaid, unheld))]
        ((_, file),) = self.census.files([spot])
        made = relogging.rewrite_checkpoint(file, renamed, unheld)
        return [self.keep(path, file.read_bytes() if made is None else made)]

    def _file(self, spot: Spot) -> bytes:
        ((_, file),) = self.census.files([spot])
        if spot[0].endswith(".parquet"):
            made = purge.rewrite_rows(file, self.findings.unwanted)
            return file.read_bytes() if made is None else made
        return self.findings.words.without(self.census.read(spot).decode()).encode()

    def _home(self, table: str) -> Path:
        home = self.folder / "tables" / table
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _of_table(self, table: str) -> dict[str, list[DataFile]]:
        """Return what stands for each data file of a table that changes, written once.

        Raises:
            CorruptError: Two files of a table had one name.
        """
        if table not in self._renamed:
            renamed: dict[str, list[DataFile]] = {}
            spots = [s for s in self.census.in_table(table) if s in self.findings.spots]
            schema = self._schema(table)
            for spot, path in self.census.files(spots):
                name = spot[0].removeprefix(f"{table}/")
                if name in renamed:
                    raise CorruptError(
                        f"'{spot[0]}' has not been the same at all times, as a data file should",
                        hint="write the table anew, then do it again",
                    )
                renamed[name] = purge.rewrite_file(
                    path, self._home(table), schema, self.findings.unwanted, name=name
                )
            self._renamed[table] = renamed
        return self._renamed[table]

    def _schema(self, table: str) -> TableSchema:
        return schema_of(self.census, table)

    def _indexes(self, stem: str) -> list[Entry]:
        home = self._home("pixels")
        found = []
        for one in self._of_table("pixels").get(f"{stem}.parquet", []):
            write_index(home, one)
            file = index_path(home, one)
            found.append(self._adopt(_INDEX + file.name, file))
        return found

    def _adopt(self, path: str, file: Path) -> Entry:
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        self.files[sha256] = file
        return Entry(path=path, sha256=sha256, size=file.stat().st_size)

    @cached_property
    def objects(self) -> frozenset[str]:
        """SHA-256 in hex of what nothing holds any more once all is made."""
        changed = self.findings.spots.keys() | self.made.keys()
        kept = {spot[1] for spot in self.census.spots if spot not in changed}
        kept |= {entry.sha256 for entries in self.made.values() for entry in entries}
        return frozenset(sha256 for _, sha256 in changed) - kept


def schema_of(census: Census, table: str) -> TableSchema:
    """Return a table with every column that it ever had."""
    entries = (census.read(spot) for spot in census.in_log(table) if spot[0].endswith(".json"))
    arrow = relogging.columns_in_logs(entries)
    known = declared(table)
    for spot in census.in_log(table):
        if spot[0].endswith(_CHECKPOINT):
            ((_, path),) = census.files([spot])
            stated = relogging.columns_in_checkpoint(path)
            arrow = pa.schema([*arrow, *(one for one in stated if one.name not in arrow.names)])
    key = tuple(name for name in (known.key if known else ()) if name in arrow.names)
    return TableSchema(name=table, arrow=arrow, key=key)
