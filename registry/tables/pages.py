"""Where the values of an uncompressed, plain Parquet column lie in their file.

Only as much of Parquet's page headers is read as says how many values a page has and where they
begin; payloads themselves are stepped over.

References:
    Apache Parquet, "PageHeader" in parquet.thrift and "Plain encoding" in Encodings.md;
    Apache Thrift, "Thrift compact protocol encoding".
"""

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import Any

import pyarrow.parquet as pq

__all__ = ["locate_values"]

_PLAIN = 0
_DATA_PAGE = 0
_LENGTH = struct.Struct("<I")
_BOOLEAN_TRUE, _BOOLEAN_FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = (
    1,
    2,
    3,
    7,
    8,
    9,
    10,
    12,
)
_MAX_DEPTH = 8
_MORE = 0x80  # set in every byte of a number but its last
_BITS = 64


def locate_values(
    data: mmap, chunk: pq.ColumnChunkMetaData, *, required: bool
) -> list[tuple[int, int]] | None:
    """Return the offset and length of every value of one column chunk of byte arrays.

    Args:
        data: The whole file.
        chunk: The column chunk's metadata.
        required: Whether the column is declared as never null.

    Returns:
        One pair a value, in order; None where values do not lie plain in the file, so that they
        must be read through Parquet.
    """
    if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page or not required:
        return None
    found: list[tuple[int, int]] = []
    at, end = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
    if not 0 <= at <= end <= len(data):
        return None
    try:
        while at < end:
            header, at = _struct(data, at, 0)
            page = header.get(5)
            if header.get(1) != _DATA_PAGE or page is None or page.get(2) != _PLAIN:
                return None
            found.extend(_values(data, at, page[1], min(at + header[3], end)))
            at += header[3]
    except (IndexError, KeyError, struct.error, TypeError, ValueError):
        return None
    return found if len(found) == chunk.num_values else None


def _values(data: mmap, at: int, count: int, end: int) -> Iterator[tuple[int, int]]:
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(data, at)
        if at + 4 + length > end:
            raise ValueError
        yield at + 4, length
        at += 4 + length


def _varint(data: mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, at
        shift += 7
        if shift >= _BITS:
            raise ValueError


def _struct(data: mmap, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return one struct of Thrift's compact protocol: its fields by id, and where it ends.

    Raises:
        ValueError: It is nested deeper than any page header.
    """
    if depth > _MAX_DEPTH:
        raise ValueError
    fields: dict[int, Any] = {}
    last = 0
    while (head := data[at]) != 0:
        at += 1
        kind, step = head & 0x0F, head >> 4
        if step:
            last += step
        else:
            raw, at = _varint(data, at)
            last = (raw >> 1) ^ -(raw & 1)
        fields[last], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: mmap, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in {_BOOLEAN_TRUE, _BOOLEAN_FALSE}:
        return kind == _BOOLEAN_TRUE, at
    if kind == _BYTE:
        return data[at], at + 1
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        length, at = _varint(data, at)
        return None, at + length
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    if kind in {_LIST, _SET}:
        raise ValueError  # no page header of ours has one
    raw, at = _varint(data, at)
    return (raw >> 1) ^ -(raw & 1), at
