"""Where a foreign file's bytes lie, by a name that is harmless, and how they are read."""

import os
import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

from registry.errors import RejectedError

__all__ = [
    "Packing",
    "Span",
    "UnsafeSourceError",
    "check_name",
    "check_unique",
    "is_clutter",
    "read_span",
    "shown",
]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE: Final = re.compile(r"^[A-Za-z]:")
_LONGEST_NAME: Final = 1024


class UnsafeSourceError(RejectedError):
    """A source has names, links or declared sizes that could harm whoever reads it."""

    code: ClassVar[str] = "unsafe-source"


class Packing(StrEnum):
    """How a file's bytes lie where they are."""

    PLAIN = "plain"
    """A file of its own."""

    STORED = "stored"
    """Inside an archive, as they are."""

    DEFLATED = "deflated"
    """Inside a zip, deflated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a file's bytes lie on this machine."""

    file: str
    """Absolute path of the file, or of the archive that holds it."""

    packing: Packing
    """How they lie there."""

    offset: int
    """Where they begin; in a zip, where the entry's local header begins."""

    packed: int
    """Bytes they take there."""

    size: int
    """Bytes they have, unpacked, as declared."""

    crc: int | None
    """CRC-32 they must have; None if nothing says it."""

    stamp: str
    """Changes when the content does: size and CRC-32 in a zip, else size and time."""


def check_name(name: str) -> str:
    r"""Return the name if it is harmless, else say what is wrong with it.

    Args:
        name: Path of a file inside a source, with forward slashes.

    Returns:
        The name, unchanged.

    Raises:
        UnsafeSourceError: It is absolute, dotted, empty or too long, or holds a backslash, a
            control character or bytes that are no UTF-8.

    Examples:
        >>> check_name("2750/Forest/Forest_12.jpg")
        '2750/Forest/Forest_12.jpg'
        >>> check_name("../../etc/passwd")
        Traceback (most recent call last):
        ...
        registry.curate.formats.spans.UnsafeSourceError: the source names '../../etc/passwd',...
          hint: ...
    """
    if problem := _problem_of(name):
        raise UnsafeSourceError(
            f"the source names {shown(name)}, which {problem}",
            hint="do not trust this source; ask its provider for a clean one, or rename the file",
        )
    return name


def _problem_of(name: str) -> str | None:
    parts = name.split("/")
    checks = (
        (not name, "is empty"),
        (not _is_utf8(name), "is not UTF-8"),
        (_CONTROL.search(name) is not None, "holds a control character"),
        (len(name) > _LONGEST_NAME, f"is longer than {_LONGEST_NAME} characters"),
        ("\\" in name, "holds a backslash"),
        (name.startswith("/") or _DRIVE.match(name) is not None, "is absolute"),
        (".." in parts, "climbs out of it"),
        ("" in parts or "." in parts, "has an empty or dotted part"),
    )
    return next((problem for wrong, problem in checks if wrong), None)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_clutter(path: str) -> bool:
    """Return whether a path is something that desktops and tools leave behind."""
    parts = path.split("/")
    return any(part.startswith(".") or part in {"__MACOSX", "Thumbs.db"} for part in parts)


def shown(name: str) -> str:
    """Return a name as one printable line of at most 100 characters."""
    text = ascii(name)
    return text if len(text) <= 100 else f"{text[:96]}…'"  # noqa: PLR2004 — a line's width


def check_unique(names: Iterable[str]) -> None:
    """Refuse names that are one file on systems where case or composition do not count.

    Raises:
        UnsafeSourceError: Two names are equal under case folding and composition.
    """
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFC", name.casefold())
        if (other := seen.setdefault(folded, name)) is not name:
            raise UnsafeSourceError(
                f"the source names both {shown(other)} and {shown(name)}, which are one file "
                f"where case does not count",
                hint="rename one of them",
            )


_ZIP_HEADER: Final = 30


def read_span(span: Span, *, limit: int) -> bytes:
    """Return a file's bytes, whole and checked.

    Args:
        span: Where they lie.
        limit: Bytes there may be at most.

    Raises:
        RejectedError: There are more or fewer than declared, or they are not what was packed.
    """
    if span.size > limit:
        raise RejectedError(
            f"{span.file!r} declares {span.size:,} bytes, more than the {limit:,} allowed",
            hint="split the file",
        )
    try:
        return _unpack(span)
    except (OSError, zlib.error) as error:
        raise RejectedError(
            f"{span.file!r} is damaged at byte {span.offset:,}: {error}", hint="fetch it again"
        ) from error


def _unpack(span: Span) -> bytes:
    with Path(span.file).open("rb", buffering=0) as file:
        if span.packing is Packing.PLAIN:
            return _whole(span, file.read(span.size + 1))
        descriptor = file.fileno()
        start = span.offset
        if span.crc is not None:
            header = os.pread(descriptor, _ZIP_HEADER, span.offset)
            if header[:4] != b"PK\x03\x04" or len(header) < _ZIP_HEADER:
                raise OSError("no entry begins there")
            start += (
                _ZIP_HEADER
                + int.from_bytes(header[26:28], "little")
                + int.from_bytes(header[28:30], "little")
            )
        data = os.pread(descriptor, span.packed, start)
    if span.packing is Packing.DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, span.size + 1)
    data = _whole(span, data)
    if span.crc is not None and zlib.crc32(data) != span.crc:
        raise OSError("the checksum is wrong")
    return data


def _whole(span: Span, data: bytes) -> bytes:
    if len(data) != span.size:
        raise OSError(f"{span.size:,} bytes are declared, {len(data):,} are there")
    return data
