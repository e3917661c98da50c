"""Colours that people with and without colour vision can tell apart."""

import colorsys
from typing import Final

__all__ = ["class_colour", "hexadecimal"]

Colour = tuple[int, int, int]
"""Red, green and blue, each in [0, 255]."""

_FIRST: Final[tuple[Colour, ...]] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN: Final = 0.618033988749895


def class_colour(number: int) -> Colour:
    """Return the colour of a class.

    Args:
        number: Its place in the list of classes, from 0.

    References:
        Okabe and Ito (2008), Color Universal Design, for the first seven; further hues follow
        the golden section.
    """
    if number < len(_FIRST):
        return _FIRST[number]
    hue = (number * _GOLDEN) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55 if number % 2 else 0.7, 0.65)
    return round(red * 255), round(green * 255), round(blue * 255)


def hexadecimal(colour: Colour) -> str:
    """Return a colour as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
