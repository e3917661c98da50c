"""Classic netCDF, read from its published format: a header, then big-endian numbers.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).

References:
    Unidata, "NetCDF Classic Format Specification": CDF-1, CDF-2 (64-bit offset) and CDF-5.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.formats.containers import MOST_VARIABLES, Container, Variable
from registry.curate.formats.decoded import UnreadableError, check_declared

__all__ = ["open_netcdf3"]

_TYPES: Final = {
    1: ">i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8",
    7: ">u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8",
}  # fmt: skip
_TEXT: Final = 2
_LONGEST_NAME: Final = 1024
_LONGEST_ATTRIBUTE: Final = 1 << 16
_LARGE_OFFSETS: Final = (2, 5)
_LARGE_COUNTS: Final = 5
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 0x0A, 0x0B, 0x0C


@dataclass(slots=True)
class _Cursor:
    """Reads a header from front to back, and never beyond the file's end."""

    data: bytes
    at: int
    count_code: str = ">I"
    offset_code: str = ">I"

    def unpack(self, code: str) -> int:
        size = struct.calcsize(code)
        if self.at + size > len(self.data):
            raise _damaged("its header is cut short")
        value = struct.unpack_from(code, self.data, self.at)[0]
        self.at += size
        return int(value)

    def count(self, most: int, what: str) -> int:
        value = self.unpack(self.count_code)
        if value > most:
            raise _damaged(f"it says that it has {value:,} {what}")
        return value

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise _damaged("its header is cut short")
        taken = self.data[self.at : self.at + size]
        self.at += -(-size // 4) * 4
        return taken

    def name(self) -> str:
        text = self.take(self.count(_LONGEST_NAME, "letters in a name")).decode("utf-8", "replace")
        return "".join(letter if letter.isprintable() else " " for letter in text)

    def entries(self, tag: int, what: str) -> int:
        found, number = self.unpack(">I"), self.count(MOST_VARIABLES, what)
        if number and found != tag:
            raise _damaged(f"its header is not in order where its {what} begin")
        return number


def _damaged(what: str) -> UnreadableError:
    return UnreadableError("unreadable", f"cannot be read: {what}", "fetch the file again")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A variable as the header describes it."""

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    kind: int
    attributes: dict[str, object]
    begin: int
    is_record: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(_TYPES[self.kind])

    @property
    def slab(self) -> int:
        """Bytes of one record, or of the whole."""
        return math.prod(self.shape[self.is_record :]) * self.dtype.itemsize


def open_netcdf3(data: bytes) -> Container:
    """Return what a file holds.

    Args:
        data: The whole file.

    Raises:
        UnreadableError: It is damaged, or of a version that is not known.
    """
    version = data[3] if len(data) > 3 else 0  # noqa: PLR2004 — CDF and a byte
    if version not in {1, 2, 5}:
        raise UnreadableError(
            "format-refused", f"is netCDF of version {version}", "convert it: nccopy -k nc4"
        )
    cursor = _Cursor(data, 4)
    cursor.count_code = ">Q" if version == _LARGE_COUNTS else ">I"
    cursor.offset_code = ">Q" if version in _LARGE_OFFSETS else ">I"
    records = cursor.unpack(cursor.count_code)
    dimensions = [
        (cursor.name(), cursor.unpack(cursor.count_code))
        for _ in range(cursor.entries(_DIMENSIONS, "dimensions"))
    ]
    attributes = _attributes(cursor)
    described = [
        _variable(cursor, dimensions, records)
        for _ in range(cursor.entries(_VARIABLES, "variables"))
    ]
    step = _record_size([each for each in described if each.is_record])
    return Container(
        driver="netCDF",
        variables={each.name: _readable(each, data, step) for each in described},
        attributes=attributes,
    )


def _attributes(cursor: _Cursor) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(cursor.entries(_ATTRIBUTES, "attributes")):
        name, kind = cursor.name(), _kind(cursor)
        dtype = np.dtype(_TYPES[kind])
        number = cursor.count(_LONGEST_ATTRIBUTE // dtype.itemsize, "values in an attribute")
        raw = cursor.take(number * dtype.itemsize)
        if kind == _TEXT:
            found[name] = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
        elif number:
            values = np.frombuffer(raw, dtype).tolist()
            found[name] = values[0] if number == 1 else tuple(values)
    return found


def _kind(cursor: _Cursor) -> int:
    kind = cursor.unpack(">I")
    if kind not in _TYPES:
        raise _damaged(f"it has values of a type {kind}")
    return kind


def _variable(cursor: _Cursor, dimensions: list[tuple[str, int]], records: int) -> _Described:
    name = cursor.name()
    places = [cursor.unpack(cursor.count_code) for _ in range(cursor.count(32, "axes"))]
    if any(place >= len(dimensions) for place in places):
        raise _damaged(f"its {name!r} has an axis that it does not describe")
    attributes, kind = _attributes(cursor), _kind(cursor)
    cursor.unpack(cursor.count_code)  # its size, which may overflow and so counts for nothing
    begin = cursor.unpack(cursor.offset_code)
    sides = [dimensions[place][1] for place in places]
    is_record = bool(sides) and sides[0] == 0
    return _Described(
        name=name,
        axes=tuple(dimensions[place][0] for place in places),
        shape=(records, *sides[1:]) if is_record else tuple(sides),
        kind=kind,
        attributes=attributes,
        begin=begin,
        is_record=is_record,
    )


def _record_size(records: list[_Described]) -> int:
    """Return the bytes from one record to the next; a lone variable's are not padded."""
    if len(records) == 1:
        return records[0].slab
    return sum(-(-each.slab // 4) * 4 for each in records)


def _readable(each: _Described, data: bytes, step: int) -> Variable:
    dtype = each.dtype

    def read() -> npt.NDArray[Any]:
        declared = math.prod(each.shape) * dtype.itemsize
        check_declared(declared, len(data))
        stride = step if each.is_record else each.slab
        count = each.shape[0] if each.is_record else 1
        if declared and each.begin + stride * (count - 1) + each.slab > len(data):
            raise _damaged(f"its {each.name!r} is cut short")
        if not declared:
            return np.empty(each.shape, dtype)
        record = np.dtype((dtype, each.shape[each.is_record :]))
        values = np.ndarray((count,), record, data, each.begin, (stride,))
        return values if each.is_record else values[0]

    return Variable(
        name=each.name,
        axes=each.axes,
        shape=each.shape,
        dtype=None if each.kind == _TEXT else dtype,
        attributes=each.attributes,
        read=read,
    )
