"""Encoded pixels stream from the journal's parts into the table, in the table's order."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.errors import CorruptError
from registry.tables.schemas import PIXELS

__all__ = ["stream_pixels"]

_BATCH_BYTES: Final = 16 << 20
_OPEN_PARTS: Final = 256
_CUT: Final = "the part {part!r} is cut short at byte {offset:,}"


def stream_pixels(wanted: pa.Table, parts: Path) -> Iterator[pa.RecordBatch]:
    """Yield rows of ``pixels`` in the order wanted, holding some 16 MB at a time.

    Args:
        wanted: Columns ``sha256 codec part offset length``.
        parts: The folder where the parts lie.

    Raises:
        CorruptError: A part is shorter than its rows say.
    """
    lengths = wanted["length"].to_numpy()
    offsets = wanted["offset"].to_numpy()
    names = wanted["part"].to_pylist()
    schema = pa.schema([pa.field(field.name, field.type) for field in PIXELS.arrow])
    with _Parts(parts) as opened:
        for start, end in _windows(lengths):
            ends = np.concatenate([[0], np.cumsum(lengths[start:end])])
            if end - start == 1:
                buffer = opened.mapped(names[start], int(offsets[start]), int(ends[-1]))
            else:
                packed = np.empty(int(ends[-1]), np.uint8)
                for row in range(start, end):
                    first, last = ends[row - start], ends[row - start + 1]
                    opened.read_into(names[row], int(offsets[row]), packed[first:last])
                buffer = pa.py_buffer(packed)
            data = pa.BinaryArray.from_buffers(
                pa.binary(), end - start, [None, pa.py_buffer(ends.astype(np.int32)), buffer]
            )
            columns = [
                wanted[name]
                .slice(start, end - start)
                .combine_chunks()
                .cast(schema.field(name).type)
                for name in ("sha256", "codec")
            ]
            batch = pa.RecordBatch.from_arrays([*columns, data], schema=schema)
            del buffer, columns, data  # whoever takes the batch decides how long it lives
            yield batch
            del batch


def _windows(lengths: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    start, held = 0, 0
    for row, length in enumerate(lengths.tolist()):
        if held and held + length > _BATCH_BYTES:
            yield start, row
            start, held = row, 0
        held += length
    if start < len(lengths):
        yield start, len(lengths)


class _Parts:
    """Files of parts, few of them open at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[str, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def mapped(self, part: str, offset: int, length: int) -> pa.Buffer:
        """Return bytes of a part without a copy, because they may be many.

        Raises:
            CorruptError: It has fewer.
        """
        with pa.memory_map(str(self._folder / f"{part}.bin")) as file:
            file.seek(offset)
            buffer = file.read_buffer(length)
        if buffer.size != length:
            raise CorruptError(_CUT.format(part=part, offset=offset), hint="ingest again")
        return buffer

    def read_into(self, part: str, offset: int, out: npt.NDArray[np.uint8]) -> None:
        """Fill ``out`` with the part's bytes from ``offset`` on.

        Raises:
            CorruptError: It has fewer.
        """
        descriptor = self._open.get(part)
        if descriptor is None:
            descriptor = os.open(self._folder / f"{part}.bin", os.O_RDONLY)
            self._open[part] = descriptor
            if len(self._open) > _OPEN_PARTS:
                os.close(self._open.popitem(last=False)[1])
        if os.preadv(descriptor, [out.data], offset) != len(out):
            raise CorruptError(_CUT.format(part=part, offset=offset), hint="ingest again")
