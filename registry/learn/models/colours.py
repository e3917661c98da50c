"""Colours of classes, the same in a map and in pictures of answers."""

import colorsys
from typing import Final

__all__ = ["colours"]

_OKABE_ITO: Final = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (86, 180, 233), (204, 121, 167),
    (240, 228, 66), (90, 90, 90),
)  # fmt: skip


def colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return colours that are told apart, the first eight by colour-blind people too.

    Args:
        count: How many.

    Returns:
        Red, green and blue of each, in [0, 255].

    References:
        Okabe and Ito (2008), Color Universal Design.

    Examples:
        >>> colours(2)
        ((0, 114, 178), (230, 159, 0))
    """
    more = (colorsys.hls_to_rgb(n * 0.618034 % 1, 0.35 + n % 3 * 0.15, 0.65) for n in range(count))
    further = tuple(tuple(round(255 * part) for part in one) for one in more)
    return (*_OKABE_ITO, *further)[:count]  # type: ignore[return-value]
