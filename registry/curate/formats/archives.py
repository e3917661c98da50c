"""What zip and tar archives say they hold, checked before anything is read."""

import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from registry.curate.formats.spans import (
    Packing,
    Span,
    UnsafeSourceError,
    check_name,
    check_unique,
    is_clutter,
    shown,
)
from registry.errors import RejectedError

__all__ = ["tar_spans", "zip_spans"]

_BOMB_SIZE: Final = 16 << 20
_BOMB_RATIO: Final = 200
_LARGEST_ARCHIVE: Final = 4 << 40
_TAR_ESCAPES: Final = (OSError, EOFError, ValueError, OverflowError, RecursionError)
"""What tarfile lets through of headers that lie: numbers that are none, headers of headers."""


# --------------------------------------------------------------------- zips
def zip_spans(root: Path) -> dict[str, Span]:
    """Return where each file of a zip lies, by its path.

    Raises:
        UnsafeSourceError: A name, link or declared size is hostile.
        RejectedError: The archive is damaged, encrypted or packed in an unknown way.
    """
    entries = _zip_entries(root)
    for entry in entries:
        check_name(entry.orig_filename.removesuffix("/"))
        _check_entry(root, entry)
    files = [entry for entry in entries if not entry.is_dir() and not is_clutter(entry.filename)]
    check_unique(entry.filename for entry in files)
    _check_layout(root, entries)
    return {
        entry.filename: Span(
            file=str(root),
            packing=Packing.DEFLATED if entry.compress_type else Packing.STORED,
            offset=entry.header_offset,
            packed=entry.compress_size,
            size=entry.file_size,
            crc=entry.CRC,
            stamp=f"{entry.file_size}-{entry.CRC:08x}",
        )
        for entry in files
    }


def _zip_entries(root: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(root, metadata_encoding="utf-8") as archive:
            return archive.infolist()
    except UnicodeDecodeError as error:
        raise UnsafeSourceError(
            f"the archive {root.name!r} has a name that is not UTF-8: {error.object[:60]!r}",
            hint="repack it with UTF-8 names",
        ) from error
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise RejectedError(
            f"the archive {root.name!r} is damaged or cut short: {error}", hint="fetch it again"
        ) from error


def _check_entry(root: Path, entry: zipfile.ZipInfo) -> None:
    where = f"{shown(entry.filename)} in {root.name!r}"
    if entry.flag_bits & 0x1:
        raise RejectedError(f"{where} is encrypted", hint="decrypt the archive first")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise RejectedError(
            f"{where} is packed by method {entry.compress_type}",
            hint="repack it with deflate, or unpack it and ingest the folder",
        )
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise UnsafeSourceError(
            f"{where} is a link or device", hint="repack the archive with the file in its place"
        )
    if entry.file_size > _BOMB_SIZE and entry.file_size > _BOMB_RATIO * entry.compress_size:
        raise UnsafeSourceError(
            f"{where} declares {entry.file_size:,} bytes in {entry.compress_size:,}",
            hint="do not trust this source; unpack it yourself if you know it",
        )


def _check_layout(root: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse entries that share bytes, which is how small archives declare petabytes.

    Raises:
        UnsafeSourceError: Two entries overlap, or they declare far more than the archive holds.
        RejectedError: An entry ends after the archive.

    References:
        Fifield (2019), A better zip bomb, WOOT '19.
    """
    if not entries:
        return
    size = root.stat().st_size
    # In Python's own numbers: a zip may declare more than 63 bits.
    if any(not 0 <= each.header_offset <= size - each.compress_size for each in entries):
        raise RejectedError(f"the archive {root.name!r} is cut short", hint="fetch it again")
    starts = np.array([entry.header_offset for entry in entries], np.int64)
    packed = np.array([entry.compress_size for entry in entries], np.int64)
    order = np.argsort(starts, kind="stable")
    ends = (starts + packed)[order]
    if (ends[:-1] > starts[order][1:]).any() or (np.diff(starts[order]) == 0).any():
        raise UnsafeSourceError(
            f"entries of {root.name!r} lie over each other", hint="do not trust this source"
        )
    _check_total(root, sum(entry.file_size for entry in entries), size)


def _check_total(root: Path, declared: int, size: int) -> None:
    if declared > _LARGEST_ARCHIVE or (declared > 1 << 30 and declared > _BOMB_RATIO * size):
        raise UnsafeSourceError(
            f"the archive {root.name!r} declares {declared:,} bytes in {size:,}",
            hint="do not trust this source; unpack it yourself if you know it",
        )


# --------------------------------------------------------------------- tars
def tar_spans(root: Path) -> dict[str, Span]:
    """Return where each file of an uncompressed tar lies, by its path.

    Raises:
        UnsafeSourceError: A name or link is hostile.
        RejectedError: The archive is damaged.
    """
    size = root.stat().st_size
    spans: dict[str, Span] = {}
    try:
        with tarfile.open(root, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                path = member.name.removeprefix("./").removesuffix("/")
                if not (member.isdir() and path in {"", "."}):
                    check_name(path)
                if member.isdir() or is_clutter(path):
                    continue
                _check_member(root, member, path, size)
                if path in spans:
                    raise UnsafeSourceError(
                        f"{root.name!r} holds {shown(path)} twice", hint="repack the archive"
                    )
                spans[path] = _tar_span(root, member)
    except (tarfile.TarError, *_TAR_ESCAPES) as error:
        raise RejectedError(
            f"the archive {root.name!r} is damaged or cut short: {error}", hint="fetch it again"
        ) from error
    check_unique(spans)
    return spans


def _check_member(root: Path, member: tarfile.TarInfo, path: str, size: int) -> None:
    if not member.isreg() or member.issparse():
        raise UnsafeSourceError(
            f"{shown(path)} in {root.name!r} is a link, device or sparse file",
            hint="repack the archive with the file in its place",
        )
    if member.size < 0 or member.offset_data + member.size > size:
        raise RejectedError(f"the archive {root.name!r} is cut short", hint="fetch it again")


def _tar_span(root: Path, member: tarfile.TarInfo) -> Span:
    return Span(
        file=str(root),
        packing=Packing.STORED,
        offset=member.offset_data,
        packed=member.size,
        size=member.size,
        crc=None,
        stamp=f"{member.size}-{member.mtime}-{root.stat().st_mtime_ns:x}",
    )
