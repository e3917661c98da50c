"""COCO's run lengths: masks as counts of zeros and ones, down columns, plain or packed in text.

References:
    Lin et al. (2014), Microsoft COCO, arXiv:1405.0312; its mask API (the packing).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from registry.errors import RejectedError

__all__ = ["check", "pack", "unpack"]

_LARGEST: Final = 1 << 32
_HINT: Final = "write it again with pycocotools"


def unpack(text: str) -> list[int]:
    """Return the counts of a packed text.

    Args:
        text: As pycocotools writes ``counts``: six bits a character, differences to the count
            but one before.

    Returns:
        Counts of zeros and ones in turn, zeros first.

    Raises:
        RejectedError: It holds other characters, or ends within a number.

    Examples:
        >>> unpack(pack([3, 2, 100, 7, 1]))
        [3, 2, 100, 7, 1]
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 60:  # noqa: PLR2004 — six bits; no count is that long
            raise RejectedError(f"its run lengths hold {letter!r}", hint=_HINT)
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))  # noqa: PLR2004 — its rule
        value = shift = 0
    if shift:
        raise RejectedError("its run lengths end within a number", hint=_HINT)
    return counts


def pack(counts: Sequence[int]) -> str:
    """Return counts as the packed text of :func:`unpack`."""
    letters: list[str] = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count  # noqa: PLR2004 — its rule
        more = True
        while more:
            code = value & 0x1F
            value >>= 5
            more = value != (-1 if code & 0x10 else 0)
            letters.append(chr((code | 0x20 if more else code) + 48))
    return "".join(letters)


def check(rle: Mapping[str, object], *, height: int | None, width: int | None) -> None:
    """Check that run lengths describe a mask of an image's size.

    Args:
        rle: ``size`` (height, width) and ``counts``, a list or packed text.
        height: Rows of the image; None if unknown.
        width: Columns of the image; None if unknown.

    Raises:
        RejectedError: They do not.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)):  # noqa: PLR2004 — rows, columns
        raise RejectedError(f"its run lengths have the size {size!r:.40}", hint=_HINT)
    if any(
        known not in {None, stated} for known, stated in zip((height, width), size, strict=True)
    ):
        raise RejectedError(
            f"its run lengths are of {size[0]} by {size[1]} pixels, "
            f"the image of {height} by {width}",
            hint=_HINT,
        )
    if isinstance(counts, str):
        counts = unpack(counts)
    if not isinstance(counts, list) or any(type(n) is not int or n < 0 for n in counts):
        raise RejectedError("its run lengths are no counts", hint=_HINT)
    if sum(counts) != size[0] * size[1] or sum(counts) > _LARGEST:
        raise RejectedError(
            f"its run lengths cover {sum(counts):,} of {size[0] * size[1]:,} pixels", hint=_HINT
        )
