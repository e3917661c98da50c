"""Payloads of chips from data files, each by a read of its own bytes; threads share a reader."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from registry.errors import UnavailableError
from registry.lake import lazy
from registry.learn.loading.faraway import Faraway
from registry.tables.errors import UnsafeArrayError

__all__ = ["Reader", "Scratch", "reader_of"]

Part: TypeAlias = Callable[[int, int], bytes]
"""Reads some bytes of a file that is elsewhere: from where, and how many."""

_NONE: Mapping[int, Part] = MappingProxyType({})
_WORTH: Final = 0.25  # share of a file that must be wanted, for it to be fetched as a whole
_OPEN_FILES: Final = 64
_GROUPS: Final = 4  # row groups kept of tables that are packed by others


class Scratch:
    """Memory of one thread that grows to the largest payload it has seen."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray(1 << 16)

    def of(self, size: int) -> memoryview:
        """Return memory of so many bytes; what was returned before is overwritten."""
        if len(self._bytes) < size:
            self._bytes = bytearray(size + size // 4)
        return memoryview(self._bytes)[:size]


class _Descriptor:
    """An open file that is closed when nobody reads it any more."""

    __slots__ = ("number",)

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if hasattr(os, "posix_fadvise"):  # reads are scattered: the kernel need not read ahead
            os.posix_fadvise(self.number, 0, 0, os.POSIX_FADV_RANDOM)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def reader_of(files: Sequence[Path], wanted: npt.NDArray[np.int64]) -> "Reader":
    """Return a reader of data files, of which those elsewhere are fetched whole or in parts.

    Args:
        files: The data files.
        wanted: Bytes that are wanted of each.
    """
    apart: dict[int, Part] = {}
    for file in np.flatnonzero(wanted).tolist():
        path = files[file]
        if lazy.is_placeholder(path) and wanted[file] < _WORTH * path.stat().st_size:
            part = lazy.parts(path)
            if part is not None:
                apart[file] = part
    return Reader(files, apart=apart)


class Reader:
    """The data files of a table of pixels, a bounded number of them open at once."""

    def __init__(self, files: Sequence[Path], *, apart: Mapping[int, Part] = _NONE) -> None:
        self._files = tuple(files)
        self.apart = apart
        """Files elsewhere that are read chip by chip, because few of their chips are wanted."""

        self._faraway = Faraway() if apart else None
        self._open: OrderedDict[int, _Descriptor] = OrderedDict()
        self._groups: OrderedDict[tuple[int, int], pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()
        self._coming = tuple(threading.Lock() for _ in self._files)
        self._slow = threading.Lock()

    def read(self, file: int, offset: int, length: int, scratch: Scratch) -> memoryview:
        """Return the bytes of a payload that lies plain in its file.

        Args:
            file: Which file, by its place.
            offset: Of the first byte.
            length: How many bytes.
            scratch: The thread's own memory, which the result lies in.

        Raises:
            UnsafeArrayError: The file ends too early, or the disk gives an error.
        """
        if file in self.apart:
            return memoryview(self._fetched(file, offset, length))
        target = scratch.of(length)
        descriptor = self._descriptor(file)
        done = 0
        try:
            while done < length:
                got = os.preadv(descriptor.number, [target[done:]], offset + done)
                if not got:
                    raise UnsafeArrayError(
                        f"data file {self._files[file].name} of pixels ends too early",
                        hint="eolab fsck finds out more",
                    )
                done += got
        except OSError as error:
            raise self._unreadable(file, error) from error
        return target

    def read_through_parquet(self, file: int, group: int, row: int) -> bytes:
        """Return a payload that does not lie plain in its file.

        Raises:
            UnsafeArrayError: The row group cannot be read, or has no such row.
        """
        with self._slow:
            column = self._groups.get((file, group))
            if column is None:
                column = self._column(file, group)
                self._groups[file, group] = column
                if len(self._groups) > _GROUPS:
                    self._groups.popitem(last=False)
        if not 0 <= row < len(column) or not column[row].is_valid:
            raise UnsafeArrayError(
                f"row group {group} of {self._files[file].name} has no row {row}",
                hint="eolab fsck finds out more",
            )
        return bytes(column[row].as_py())

    def expect(self, file: int, offset: int, length: int) -> None:
        """Bring bytes near that will be read soon: into the page cache, or from far away."""
        if file in self.apart:
            self._fetched(file, offset, length)
            return
        descriptor = self._descriptor(file)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor.number, offset, length, os.POSIX_FADV_WILLNEED)

    def is_away(self, file: int) -> bool:
        """Return whether a file that is read as a whole was not fetched yet."""
        return file not in self.apart and lazy.is_placeholder(self._files[file])

    def bring(self, file: int) -> None:
        """Fetch a whole file that is not here; of several threads that want it one does."""
        with self._coming[file]:
            lazy.ensure(self._files[file])

    def _fetched(self, file: int, offset: int, length: int) -> bytes:
        faraway = self._faraway or Faraway()
        return faraway.get(self._files[file], offset, length, self.apart[file])

    def _column(self, file: int, group: int) -> pa.ChunkedArray:
        path = self._files[file]
        self.bring(file)
        try:
            with pq.ParquetFile(path) as parquet:
                if not 0 <= group < parquet.num_row_groups:
                    raise UnsafeArrayError(
                        f"{path.name} has no row group {group}", hint="eolab fsck finds out more"
                    )
                return parquet.read_row_group(group, columns=["data"]).column("data")
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(file, error) from error

    def _descriptor(self, file: int) -> _Descriptor:
        with self._lock:
            found = self._open.get(file)
            if found is not None:
                self._open.move_to_end(file)
                return found
        self.bring(file)
        try:
            made = _Descriptor(self._files[file])  # outside the lock: it may be far away
        except OSError as error:
            raise UnavailableError(
                f"data file {self._files[file].name} of pixels cannot be opened: {error.strerror}",
                hint="run eolab fsck, or allow more open files: ulimit -n",
            ) from error
        with self._lock:
            kept = self._open.setdefault(file, made)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
            return kept

    def _unreadable(self, file: int, error: Exception) -> UnsafeArrayError:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        return UnsafeArrayError(
            f"data file {self._files[file].name} of pixels cannot be read: {said}",
            hint="eolab fsck finds out more",
        )
