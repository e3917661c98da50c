"""A raster file that somebody else made, read region by region by a limited process."""

import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from registry.errors import CorruptError, InvalidInputError, NotFoundError
from registry.learn.inference.limited import Limited, UnreadableSceneError
from registry.learn.inference.windows import Mask, Region

__all__ = ["Header", "Placement", "RasterFile", "header_of"]

_TRANSFORM: Final = 6
_LONGEST_CRS: Final = 16 << 10
_PLAIN: Final = "do not trust the file; convert it to a plain GeoTIFF if you know it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The grid of a scene, where it has a place and where it has none."""

    height: int
    """Rows, at least 1."""

    width: int
    """Columns, at least 1."""

    crs: str | None
    """WKT; None where the scene does not say."""

    transform: tuple[float, ...] | None
    """Pixel corners to coordinates, rasterio's order; None where the scene does not say."""

    def pixel_area_m2(self) -> float | None:
        """Return the ground that a pixel covers where the grid is projected; None elsewhere."""
        if self.crs is None or self.transform is None:
            return None
        from rasterio.crs import CRS

        crs = CRS.from_wkt(self.crs)
        if not crs.is_projected:
            return None
        a, b, _, d, e, _ = self.transform
        return float(abs(a * e - b * d) * crs.linear_units_factor[1] ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a raster says of itself."""

    bands: tuple[str, ...]
    """Descriptions, empty where a band has none; without a transparency band."""

    dtype: str
    """NumPy's name."""

    placement: Placement
    """Its grid."""

    nodata: float | None
    """Stored value that means that nothing was observed."""

    scales: tuple[float, ...]
    """Factor to physical values, one a band."""

    offsets: tuple[float, ...]
    """Added after scaling, one a band."""

    units: tuple[str, ...]
    """As the file has them; empty where it does not say."""

    masked: bool
    """Whether a mask in the file says what was observed."""

    numbers: tuple[int, ...]
    """GDAL's number of each band, from 1."""


class RasterFile:
    """One file, open in a limited process of its own; a context manager."""

    def __init__(self, path: Path, *, memory: int = 3 << 30, seconds: float = 120.0) -> None:
        """Open it.

        Args:
            path: A GeoTIFF, or a JPEG 2000, PNG or JPEG.
            memory: Bytes of address space that its reader may take.
            seconds: Time that one region may take.

        Raises:
            NotFoundError: There is no such file.
            UnreadableSceneError: It is empty, damaged, hostile, or of a kind that is not read.
        """
        self.path = path
        _check_file(path)
        self._child = Limited("file_reader.py", name=path.name, memory=memory, seconds=seconds)
        try:
            said = self._child.ask(do="open", path=str(path.absolute()))
            self.header = header_of(said, path.name)
        except BaseException:
            self._child.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End its process."""
        self.close()

    def close(self) -> None:
        """End its process."""
        self._child.close()

    def align(
        self, onto: Placement, *, resampling: str = "bilinear", nodata: float | None = None
    ) -> None:
        """Read it on another grid from now on, warped in memory.

        Args:
            onto: The grid.
            resampling: As rasterio names it.
            nodata: What stands for nothing, there and beyond its edges; None for what it says, or
                the largest number of its type, which the header then has.

        Raises:
            InvalidInputError: It, or the grid, has no place.
        """
        mine = self.header.placement
        if onto == mine:
            return
        if mine.crs is None or mine.transform is None or onto.crs is None or onto.transform is None:
            if (mine.height, mine.width) == (onto.height, onto.width):
                return  # the same pixels, as far as anybody can tell
            raise InvalidInputError(
                f"{self.path.name} is {mine.height} by {mine.width} pixels without a place, the "
                f"first input {onto.height} by {onto.width}",
                hint="give files of one grid, or files with CRS and transform",
            )
        said = self._child.ask(
            do="grid", crs=onto.crs, transform=list(onto.transform), height=onto.height,
            width=onto.width, resampling=resampling, nodata=nodata,
        )  # fmt: skip
        self.header = header_of(said, self.path.name)

    def read(
        self, numbers: Sequence[int], region: Region
    ) -> tuple[npt.NDArray[np.generic], Mask | None]:
        """Return bands of a region as they are stored, and the file's mask where it has one.

        Args:
            numbers: GDAL's numbers of bands.
            region: Which part.

        Returns:
            ``(band, y, x)``; and ``(y, x)``, true where something was observed, or None.

        Raises:
            CorruptError: The process answers nonsense.
        """
        dtype = np.dtype(self.header.dtype)
        shape = (len(numbers), region.height, region.width)
        size = math.prod(shape) * dtype.itemsize
        masked = self.header.masked
        self._child.array(size + math.prod(shape[1:]))
        box = [region.top, region.left, region.height, region.width]
        said = self._child.ask(do="read", bands=list(numbers), box=box, masked=masked)
        if said.get("dtype") != dtype.name or said.get("shape") != list(shape):
            raise CorruptError(
                f"the process that reads {self.path.name} gives {said} in place of "
                f"{shape} {dtype.name}",
                hint=_PLAIN,
            )
        array = self._child.taken(dtype, shape)
        if not masked:
            return array, None
        return array, self._child.taken(np.dtype(np.uint8), shape[1:], size) != 0


def _check_file(path: Path) -> None:
    """Refuse what is no file with something in it.

    Raises:
        NotFoundError: There is none.
        UnreadableSceneError: It is a folder, a pipe or a device, or empty.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 — its errors are told apart here
    except OSError as error:
        raise NotFoundError(
            f"there is no scene '{path}': {error.strerror}", hint="look for it with ls"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableSceneError(f"'{path}' is no file", hint="give a GeoTIFF")
    if found.st_size == 0:
        raise UnreadableSceneError(f"'{path}' is empty", hint="fetch the file again")


def header_of(said: Mapping[str, Any], name: str) -> Header:
    """Return what a limited process says of a raster, every type and size of it checked.

    Raises:
        CorruptError: It is nonsense.
    """
    try:
        height, width = (int(one) for one in said["shape"])
        dtype = np.dtype(str(said["dtype"]))
        transform = tuple(float(one) for one in said["transform"])
        crs = None if said["crs"] is None else str(said["crs"])
        nodata = None if said["nodata"] is None else float(said["nodata"])
        kept = [n for n in range(len(said["bands"])) if n + 1 not in said["alpha"]]
        header = Header(
            bands=tuple(_plain(said["bands"][n]) for n in kept),
            dtype=dtype.name,
            placement=Placement(
                height=height, width=width, crs=crs,
                transform=transform if said["placed"] else None,
            ),
            nodata=nodata,
            scales=tuple(float(said["scales"][n]) for n in kept),
            offsets=tuple(float(said["offsets"][n]) for n in kept),
            units=tuple(_plain(said["units"][n]) for n in kept),
            masked=bool(said["masked"]),
            numbers=tuple(n + 1 for n in kept),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CorruptError(f"what {name} says of itself is nonsense", hint=_PLAIN) from error
    usable = len(transform) == _TRANSFORM and all(map(math.isfinite, transform))
    usable &= dtype.kind in "iuf" and len(crs or "") <= _LONGEST_CRS
    if not usable or min(height, width) < 1 or not header.numbers:
        raise CorruptError(f"what {name} says of itself is nonsense", hint=_PLAIN)
    return header


def _plain(text: object) -> str:
    return "".join(letter for letter in str(text) if letter.isprintable()).strip()
