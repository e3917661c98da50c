"""Git-LFS pointers: what a tree holds in place of an object's bytes.

References:
    Git LFS specification, ``docs/spec.md`` of github.com/git-lfs/git-lfs, version 1.
"""

import re
from typing import NamedTuple

from registry.errors import CorruptError

__all__ = ["EMPTY_SHA256", "Pointer", "decode", "encode"]

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing; Git-LFS stands for an empty file by an empty blob."""

_FORMAT = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size (0|[1-9][0-9]{0,18})\n"
)


class Pointer(NamedTuple):
    """Which object a path of a tree stands for."""

    sha256: str
    """SHA-256 of its bytes, in lower-case hex."""

    size: int
    """How many bytes it has."""


def encode(pointer: Pointer) -> bytes:
    """Return the blob that stands for an object.

    Examples:
        >>> print(encode(Pointer("ab" * 32, 7)).decode(), end="")
        version https://git-lfs.github.com/spec/v1
        oid sha256:abababababababababababababababababababababababababababababababab
        size 7
    """
    if pointer.size == 0:
        return b""
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize %d\n" % (
        pointer.sha256.encode(),
        pointer.size,
    )


def decode(blob: bytes) -> Pointer:
    """Return the object that a blob stands for.

    Raises:
        CorruptError: The blob is no pointer.
    """
    if not blob:
        return Pointer(EMPTY_SHA256, 0)
    match = _FORMAT.fullmatch(blob)
    if match is None:
        raise CorruptError(
            f"a file of the history is no Git-LFS pointer: {blob[:40]!r}",
            hint="add data by eolab, not by git",
        )
    return Pointer(match[1].decode(), int(match[2]))
