"""One foreign raster as an array with what its file says of it, or why it is none.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy.typing as npt

from registry.tables.pixels import MAX_ARRAY_BYTES

__all__ = [
    "LARGE",
    "MEMORY_PATH",
    "Decoded",
    "Header",
    "UnreadableError",
    "check_declared",
    "one_line",
]

LARGE: Final = 16 << 20
"""Bytes of an array that only one process may hold at a time."""

MEMORY_PATH: Final = "/vsimem/eolab/source"
"""What GDAL calls the file that it is given."""

_BOMBS: Final = ((16 << 20, 2000), (64 << 20, 200))  # a mask of zeros deflates 1,000:1


class UnreadableError(Exception):
    """A file that will not be read, and why; stays inside the child.

    Args:
        check: Which rule it breaks, as in ``reports/``.
        message: What is wrong.
        fix: What would mend it.
    """

    def __init__(self, check: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.check = check
        self.message = message
        self.fix = fix


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a raster says of itself, but for its place."""

    shape: tuple[int, ...]
    """Bands, rows, columns; before them time steps, if it is a series."""

    dtype: str
    """NumPy's name."""

    crs: str | None = None
    """``EPSG:n`` or WKT2; None if the file has none."""

    nodata: float | None = None
    """Value that stands for no data; None if there is none."""

    said: str = "{}"
    """Everything else, as JSON: ``driver`` and, where they are not as usual, ``bands``,
    ``scales``, ``offsets``, ``units``, ``colours``, ``tags``, ``band_tags``, ``domains``;
    ``lost`` names which of these, and which domains, are too long to keep."""

    times: tuple[datetime, ...] = ()
    """One a time step, UTC; empty if it is no series, or does not say."""

    warnings: tuple[str, ...] = ()
    """What is odd about it but harmless, ``check: message``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One raster."""

    header: Header
    """What it says of itself."""

    transform: tuple[float, ...] | None
    """Affine from pixel to CRS, rasterio's order; None if it has none."""

    array: npt.NDArray[Any] | None
    """Pixels, shape ``(band, y, x)`` or ``(time, band, y, x)``; None for a JPEG, which stays as
    it came."""


def check_declared(declared: int, size: int) -> None:
    """Refuse an array before any memory is taken for it.

    Args:
        declared: Bytes of pixels that a file says it has.
        size: Bytes that the file itself has.

    Raises:
        UnreadableError: They are too many, or too many for the file.
    """
    if declared > MAX_ARRAY_BYTES:
        raise UnreadableError(
            "too-large",
            f"declares {declared:,} bytes of pixels, more than {MAX_ARRAY_BYTES:,}",
            "cut it into chips",
        )
    if any(declared > least and declared > ratio * size for least, ratio in _BOMBS):
        raise UnreadableError(
            "too-large",
            f"declares {declared:,} bytes of pixels in a file of {size:,}",
            "do not trust the file; cut it into chips if you know it",
        )


def one_line(error: BaseException) -> str:
    """Return what a library says is wrong, short and without paths of this machine."""
    text = " ".join(str(error).replace(MEMORY_PATH, "the file").split())
    return "".join(letter for letter in text if letter.isprintable())[:200] or type(error).__name__
