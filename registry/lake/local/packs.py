"""Git objects on disk, as the lake writes them: one by one or many in a pack.

libgit2 reads both; it has no call that writes ten thousand small objects without ten thousand
files, so the lake writes the two formats itself and the tests hold them to ``git fsck``.

References:
    Git's ``gitformat-pack(5)``: pack version 2, index version 2. RFC 1950 and RFC 1951 for zlib.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

__all__ = [
    "deflate_stored",
    "git_id",
    "index",
    "indexed_ids",
    "loose_file",
    "loose_problem",
    "pack",
    "read_loose",
]

KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
LONGEST_BLOCK = 65535


def git_id(kind: str, data: bytes) -> bytes:
    """Return the object id that Git gives to content, 20 bytes.

    Examples:
        >>> git_id("blob", b"").hex()
        'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(
        b"%b %d\x00" % (kind.encode(), len(data)) + data, usedforsecurity=False
    ).digest()


def deflate_stored(data: bytes) -> bytes:
    """Return a zlib stream that holds data as they are.

    Only one stream stands for given data, so a flip of any bit can be found by comparing.
    """
    parts = [b"\x78\x01"]
    for start in range(0, max(len(data), 1), LONGEST_BLOCK):
        block = data[start : start + LONGEST_BLOCK]
        last = start + LONGEST_BLOCK >= len(data)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    parts.append(struct.pack(">I", zlib.adler32(data)))
    return b"".join(parts)


def loose_file(kind: str, data: bytes) -> bytes:
    """Return the bytes of the file that holds one object."""
    return deflate_stored(b"%b %d\x00" % (kind.encode(), len(data)) + data)


def read_loose(oid: str, stored: bytes) -> tuple[str, bytes]:
    """Return the kind and content of an object from the bytes of its file.

    Args:
        oid: Its id in hex.
        stored: What the file holds.

    Returns:
        Kind and content.

    Raises:
        ValueError: They are damaged.
    """
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(stored)
    except zlib.error as error:
        raise ValueError(f"it cannot be inflated: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise ValueError("it is cut short, or longer than it says")
    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != oid:
        raise ValueError("its content has another hash")
    head, _, data = content.partition(b"\x00")
    return head.partition(b" ")[0].decode(), data


def loose_problem(oid: str, stored: bytes) -> str | None:
    """Say what is wrong with the file of an object, even if it can still be read.

    Args:
        oid: Its id in hex.
        stored: What the file holds.

    Returns:
        The problem; None if there is none.
    """
    try:
        kind, data = read_loose(oid, stored)
    except ValueError as error:
        return str(error)
    # the lake's own are stored, in one way only, so that spare bits are seen to change too
    was_stored = not stored[2] & 0b110
    if was_stored and stored != loose_file(kind, data):
        return "spare bits of its file have changed"
    return None


def pack(objects: Mapping[bytes, tuple[str, bytes]], file: Path) -> list[tuple[bytes, int, int]]:
    """Write objects into a pack.

    Args:
        objects: Kind and content by object id.
        file: Where; overwritten.

    Returns:
        Id, CRC-32 and offset of each object, and last the pack's own checksum with zeros.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    places: list[tuple[bytes, int, int]] = []
    with file.open("wb") as stream:
        header = b"PACK" + struct.pack(">II", 2, len(objects))
        stream.write(header)
        digest.update(header)
        offset = len(header)
        for oid, (kind, data) in objects.items():
            entry = _entry_header(KINDS[kind], len(data)) + zlib.compress(data, 1)
            places.append((oid, zlib.crc32(entry), offset))
            stream.write(entry)
            digest.update(entry)
            offset += len(entry)
        stream.write(digest.digest())
    return [*places, (digest.digest(), 0, 0)]


def _entry_header(kind: int, size: int) -> bytes:
    first, size = (kind << 4) | (size & 15), size >> 4
    header = bytearray()
    while size:
        header.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    header.append(first)
    return bytes(header)


def index(places: list[tuple[bytes, int, int]]) -> bytes:
    """Return the index that belongs to a pack.

    Args:
        places: What :func:`pack` returned.
    """
    *entries, (checksum, _, _) = places
    entries.sort()
    fanout = [0] * 256
    for oid, _, _ in entries:
        fanout[oid[0]] += 1
    for first in range(1, 256):
        fanout[first] += fanout[first - 1]
    wide = [offset for _, _, offset in entries if offset >= 1 << 31]
    short = [
        offset if offset < 1 << 31 else (1 << 31) | wide.index(offset) for _, _, offset in entries
    ]
    body = b"".join([
        b"\xfftOc",
        struct.pack(">I", 2),
        struct.pack(">256I", *fanout),
        b"".join(oid for oid, _, _ in entries),
        struct.pack(f">{len(entries)}I", *(crc for _, crc, _ in entries)),
        struct.pack(f">{len(entries)}I", *short),
        struct.pack(f">{len(wide)}Q", *wide),
        checksum,
    ])
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def indexed_ids(file: Path) -> set[bytes]:
    """Return the ids of the objects in a pack, from its index."""
    data = file.read_bytes()
    (count,) = struct.unpack_from(">I", data, 8 + 255 * 4)
    start = 8 + 256 * 4
    return {data[start + 20 * place : start + 20 * (place + 1)] for place in range(count)}
