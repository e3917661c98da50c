"""What names a slice: the content that it was cut from and the samples that it holds."""

import hashlib
from collections.abc import Iterable

__all__ = ["slice_id"]

_DIGITS = 32


def slice_id(content_id: str, ids: Iterable[str]) -> str:
    """Return the id of a slice.

    Args:
        content_id: Of the version, 64 hex digits.
        ids: Sample ids, sorted by code point, each once.

    Returns:
        The first 32 hex digits of the SHA-256 of this text in UTF-8: the content id, a line
        feed, then every id followed by a line feed.

    Examples:
        >>> slice_id("0" * 64, ("Forest_1", "Forest_2"))
        '2c38033339a600a2df1c0c843fe5c495'
    """
    digest = hashlib.sha256(f"{content_id}\n".encode())
    for one in ids:
        digest.update(f"{one}\n".encode())
    return digest.hexdigest()[:_DIGITS]
