"""Foreign rasters become parts: encoded pixels in one file, what was learnt of them in another.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).
"""

import fcntl
import mmap
import os
import resource
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa

from registry.curate.formats.decode import Decoder
from registry.curate.formats.decoded import Decoded, UnreadableError
from registry.curate.formats.raster import PROGRESS, RASTERS, span_of
from registry.curate.formats.spans import read_span
from registry.curate.formats.stacking import stacked
from registry.errors import InvalidInputError, RejectedError
from registry.geo import Grid, footprints
from registry.tables.pixels import encode, encode_jpeg

__all__ = ["PartWriter", "Turn", "allow_seconds"]

_LARGEST_FILE: Final = 300 << 20
_LARGE: Final = 16 << 20
_WAITS: Final = 16


def allow_seconds(seconds: float) -> None:
    """Let this process use so much more processor time, then be killed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, most))


class Turn:
    """A lock between children: only one may hold a large array."""

    def __init__(self, lock: int, shared: mmap.mmap) -> None:
        # A lock belongs to the open file, so each child opens it anew.
        self._lock = os.open(f"/proc/self/fd/{lock}", os.O_RDWR)
        self._shared = shared
        self._taken = False

    def take(self) -> None:
        """Wait until no other child holds a large array."""
        if not self._taken:
            struct.pack_into("<q", self._shared, _WAITS, 1)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            struct.pack_into("<q", self._shared, _WAITS, 0)
            self._taken = True

    def give_back(self) -> None:
        """Let another child hold one."""
        if self._taken:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._taken = False


class PartWriter:
    """Reads what a message names and writes it as one part."""

    def __init__(self, turn: Turn, shared: mmap.mmap, *, seconds: float) -> None:
        self._decoder = Decoder(wait_for_turn=turn.take)
        self._shared = shared
        self._turn = turn
        self._seconds = seconds

    def write(self, message: dict[str, Any]) -> None:
        """Write a part: pixels first, then the rows, by a rename."""
        part = Path(message["part"])
        rows = []
        with part.with_suffix(".bin").open("wb", buffering=1 << 20) as pixels:
            for index, (file, stamp, files) in enumerate(message["jobs"]):
                struct.pack_into(PROGRESS, self._shared, 0, message["number"], index, 0)
                allow_seconds(self._seconds)
                row = {"file": file, "stamp": stamp}
                rows.append(self._read(row, files, part.name, pixels))
                self._turn.give_back()
            pixels.flush()
            os.fdatasync(pixels.fileno())
        _write_rows(rows, part)

    def _read(
        self, row: dict[str, Any], files: list[Any], part: str, pixels: BinaryIO
    ) -> dict[str, Any]:
        try:
            (path, span), *further = files
            decoded, data = self._decoded(path, span)
            if further:
                decoded = stacked([(path, decoded), *(self._beside(*each) for each in further)])
            return {**row, **_described(decoded), **_stored(decoded, data, part, pixels)}
        except UnreadableError as error:
            return {**row, "check": error.check, "message": error.message, "fix": error.fix}
        except RejectedError as error:
            return {**row, "check": "unreadable", "message": error.problem, "fix": error.hint}
        except MemoryError:
            return {
                **row,
                "check": "too-large",
                "message": "needs more memory than a chip may take",
                "fix": "cut it into chips",
            }

    def _decoded(self, path: str, span: list[Any]) -> tuple[Decoded, bytes]:
        """Return what a file holds, and its bytes if they are to be kept."""
        where = span_of(span)
        if where.size > _LARGE:
            self._turn.take()
        data = read_span(where, limit=_LARGEST_FILE)
        decoded = self._decoder.decode(path, data)
        # the file's bytes and the packed ones need not be held at once
        return decoded, data if decoded.array is None else b""

    def _beside(self, path: str, span: list[Any]) -> tuple[str, Decoded]:
        """Return a further file of a stack.

        Raises:
            UnreadableError: It cannot be read; says which it is.
        """
        try:
            return path, self._decoded(path, span)[0]
        except UnreadableError as error:
            message = f"cannot be stacked with {path!r}, which {error.message}"
            raise UnreadableError(error.check, message, error.fix) from error


def _described(decoded: Decoded) -> dict[str, Any]:
    header = decoded.header
    return {
        "shape": header.shape,
        "dtype": header.dtype,
        "crs": header.crs,
        "transform": decoded.transform,
        "nodata": header.nodata,
        "times": header.times,
        "said": header.said,
        "warnings": header.warnings,
    }


def _stored(decoded: Decoded, data: bytes, part: str, pixels: BinaryIO) -> dict[str, Any]:
    encoded = encode_jpeg(data) if decoded.array is None else encode(decoded.array)
    offset = pixels.tell()
    pixels.write(encoded.data)
    return {
        "part": part,
        "offset": offset,
        "length": len(encoded.data),
        "sha256": encoded.sha256,
        "codec": encoded.codec,
    }


def _write_rows(rows: list[dict[str, Any]], part: Path) -> None:
    table = _with_footprints(pa.Table.from_pylist(rows, schema=RASTERS))
    path = part.with_suffix(".arrow.new")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, RASTERS) as writer:
        writer.write_table(table)
    with path.open("rb") as written:
        os.fdatasync(written.fileno())
    path.rename(part.with_suffix(".arrow"))


def _with_footprints(table: pa.Table) -> pa.Table:
    columns = (table[name].to_pylist() for name in ("crs", "transform", "shape"))
    grids: list[Grid | None] = []
    for crs, transform, shape in zip(*columns, strict=True):
        grid = None
        if crs is not None and transform is not None:
            with suppress(InvalidInputError):
                grid = Grid(crs=crs, transform=tuple(transform), height=shape[-2], width=shape[-1])
        grids.append(grid)
    index = table.schema.get_field_index("footprint")
    return table.set_column(index, "footprint", pa.array(footprints(grids), pa.binary()))
