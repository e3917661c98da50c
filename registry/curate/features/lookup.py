"""One sample's features at once: a sorted copy of the table in the cache, mapped into memory.

``features/<content id>/`` below ``EOLAB_CACHE`` holds ``rows.arrow``, sorted by sample in blocks of
1,024 rows, and ``blocks.arrow`` with each block's first key and check sum. A folder is made under
another name and renamed, so makers do not disturb each other; a block is checked when it is first
read, and a damaged folder is made again.
"""

import shutil
import uuid
import zlib
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from registry.cache import cache_folder
from registry.catalog.version import Version
from registry.curate.features.getting import home_of
from registry.curate.features.inputs import answers, engine, source
from registry.curate.features.records import INPUTS, PROBLEM, table_name
from registry.errors import CorruptError, NotFoundError, UnavailableError

__all__ = ["Lookup", "SampleNotFoundError", "lookup"]

_BLOCK_ROWS: Final = 1024
_KEPT: Final = 32
_ROWS, _BLOCKS = "rows.arrow", "blocks.arrow"


class SampleNotFoundError(NotFoundError):
    """No sample has this id."""

    code = "sample-not-found"


class _DamagedError(CorruptError):
    """What is cached is not what was written."""


@dataclass(kw_only=True)
class Lookup:
    """A set's rows by sample; may be asked by several threads."""

    version: Version
    """The version."""

    name: str
    """The set."""

    _opened: "_Opened | None" = field(default=None, repr=False)

    def get(self, sample: str) -> dict[str, Any]:
        """Return a sample's features by name; ``_problem`` says why it has none.

        Raises:
            SampleNotFoundError: There is no such sample.
        """
        try:
            found = self._open().row(sample)
        except _DamagedError:
            self._remade()
            found = self._open().row(sample)
        if found is None:
            raise SampleNotFoundError(
                f"{self.version.ref} has no sample '{sample}'",
                hint=f"see which there are: eolab sql, table samples of {self.version.ref}",
            )
        return found

    def _open(self) -> "_Opened":
        if self._opened is None:
            folder = _folder(self.version, self.name)
            if not folder.is_dir():
                _make(self.version, self.name, folder)
            try:
                self._opened = _Opened.at(folder)
            except _DamagedError:
                self._remade()
                self._opened = _Opened.at(folder)
        return self._opened

    def _remade(self) -> None:
        self._opened = None
        folder = _folder(self.version, self.name)
        aside = folder.with_name(f".{uuid.uuid4().hex}.damaged")
        with suppress(FileNotFoundError):  # somebody else was faster
            folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        if not folder.is_dir():
            _make(self.version, self.name, folder)


def lookup(version: Version, name: str) -> Lookup:
    """Return a set's rows by sample, opened once and asked often.

    Args:
        version: A version on which the set was computed.
        name: The set.

    Raises:
        FeaturesMissingError: It was not computed on it.
    """
    home_of(version, name)
    return Lookup(version=version, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    reader: Any
    firsts: list[str]
    sums: list[int]
    checked: dict[int, pa.RecordBatch]

    @classmethod
    def at(cls, folder: Path) -> "_Opened":
        try:
            with pa.ipc.open_file(folder / _BLOCKS) as index:
                blocks = index.read_all()
            reader = pa.ipc.open_file(pa.memory_map(str(folder / _ROWS)))
            firsts, sums = blocks.column("first").to_pylist(), blocks.column("sum").to_pylist()
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise _damaged(folder) from error
        if reader.num_record_batches != len(firsts):
            raise _damaged(folder)
        return cls(reader=reader, firsts=firsts, sums=sums, checked={})

    def row(self, sample: str) -> dict[str, Any] | None:
        number = bisect_right(self.firsts, sample) - 1
        if number < 0:
            return None
        block = self._block(number)
        keys = block.column(0)
        place = bisect_right(_Keys(keys), sample) - 1
        if place < 0 or keys[place].as_py() != sample:
            return None
        found = {
            name: block.column(at)[place].as_py()
            for at, name in enumerate(block.schema.names)
            if at
        }
        if found.get(PROBLEM) is None:
            found.pop(PROBLEM, None)
        return found

    def _block(self, number: int) -> pa.RecordBatch:
        if number not in self.checked:
            try:
                block = self.reader.get_batch(number)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(None) from error
            if _sum(block) != self.sums[number]:
                raise _damaged(None)
            self.checked[number] = block
        return self.checked[number]


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys of a block as bisect takes them."""

    array: pa.Array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, place: int) -> str:
        return str(self.array[place].as_py())


def _damaged(folder: Path | None) -> _DamagedError:
    return _DamagedError(
        f"the cache of features{f' in {folder}' if folder else ''} is damaged",
        hint="remove it; it is made again",
    )


def _sum(block: pa.RecordBatch) -> int:
    total = 0
    for column in block.columns:
        for part in column.buffers():
            if part is not None:
                total = zlib.crc32(part, total)
    return total


# -------------------------------------------------------------------------------------- making
def _folder(version: Version, name: str) -> Path:
    return cache_folder("features", f"{name}-{version.data_id_of(table_name(name))}")


def _make(version: Version, name: str, folder: Path) -> None:
    half = folder.with_name(f".{uuid.uuid4().hex}.half")
    try:
        half.mkdir(parents=True, mode=0o700)
        _write(version, name, half)
        with suppress(OSError):  # it is there: somebody else was faster, and made the same
            half.rename(folder)
    except OSError as error:
        raise UnavailableError(
            f"features cannot be cached in {folder.parent}: {error.strerror}",
            hint="make room there, or name another folder in EOLAB_CACHE",
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    _forget_old(folder)


def _write(version: Version, name: str, half: Path) -> None:
    firsts: list[str] = []
    sums: list[int] = []
    home = home_of(version, name)
    with engine() as connection:
        rows = source(connection, home, table_name(name))
        query = f"SELECT sample, * EXCLUDE (sample, {INPUTS}) FROM {rows} ORDER BY encode(sample)"  # noqa: S608 — paths are quoted
        reader = answers(connection, query, _BLOCK_ROWS)
        with pa.ipc.new_file(str(half / _ROWS), reader.schema) as out:
            for batch in reader:
                for start in range(0, batch.num_rows, _BLOCK_ROWS):
                    block = batch.slice(start, _BLOCK_ROWS)
                    out.write_batch(block)
                    firsts.append(block.column(0)[0].as_py())
    with pa.ipc.open_file(pa.memory_map(str(half / _ROWS))) as written:
        sums = [_sum(written.get_batch(n)) for n in range(written.num_record_batches)]
    blocks = pa.table({"first": pa.array(firsts, pa.string()), "sum": pa.array(sums, pa.int64())})
    with pa.ipc.new_file(str(half / _BLOCKS), blocks.schema) as out:
        out.write_table(blocks)


def _forget_old(folder: Path) -> None:
    with suppress(OSError):
        there = sorted(
            (one for one in folder.parent.iterdir() if one.is_dir() and one != folder),
            key=lambda one: one.stat().st_mtime,
        )
        for old in there[: max(0, len(there) - _KEPT + 1)]:
            shutil.rmtree(old, ignore_errors=True)
