"""Maps as cloud-optimised GeoTIFFs, written strip by strip and named when they are whole.

References:
    OGC 21-026 (2023), Cloud Optimized GeoTIFF Standard 1.0.
    GDAL's persistent auxiliary metadata (``.aux.xml``), for names of classes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from registry.curate.formats.unplaced import unplaced_allowed
from registry.errors import InvalidInputError, UnavailableError
from registry.learn.inference.anonymous import Unnamed
from registry.learn.inference.rasters import Placement
from registry.learn.models.colours import colours

__all__ = ["FRACTION_NODATA", "FRACTION_SCALE", "Layout", "MapWriter", "class_layout"]

FRACTION_SCALE: Final = 1e-4
"""Step of stored probabilities and uncertainties."""

FRACTION_NODATA: Final = 65535
"""Stored where there is none."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_BLOCK: Final = 512
_SETTINGS: Final = {
    "GDAL_CACHEMAX": 128,  # MB
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
}
_FEW: Final = 255  # classes that one byte tells apart, and one value for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What one map file holds."""

    bands: tuple[str, ...]
    """Descriptions, at least one."""

    dtype: str
    """NumPy's name."""

    nodata: float
    """Stored where nothing is known."""

    classes: tuple[str, ...] = ()
    """What each value means, from 0; empty for quantities."""

    scale: float = 1.0
    """Factor from stored to physical values."""

    unit: str | None = None
    """Of the physical values."""

    tags: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """What made it."""


def class_layout(classes: Sequence[str], tags: Mapping[str, str]) -> Layout:
    """Return how a map of classes is stored."""
    small = len(classes) <= _FEW
    return Layout(
        bands=("class",), dtype="uint8" if small else "uint16", nodata=255 if small else 65535,
        classes=tuple(classes), tags=tags,
    )  # fmt: skip


class MapWriter:
    """One map while it is written; a context manager. Left before :meth:`finish`, it never was."""

    def __init__(self, path: Path, placement: Placement, layout: Layout) -> None:
        """Begin.

        Args:
            path: Where it will be.
            placement: Its grid.
            layout: What it holds.

        Raises:
            InvalidInputError: The path is a folder, or its folder does not exist.
            UnavailableError: The folder cannot be written to.
        """
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise InvalidInputError(
                f"'{path}' cannot be a map", hint="name a file in a folder that exists: -o map.tif"
            )
        self.path, self._placement, self._layout = path.absolute(), placement, layout
        self._work = Unnamed(self.path.parent)
        self._raster: Any = None
        try:
            with _gdal(self.path):
                self._raster = self._created(self._work.path)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let everything go that has no name."""
        self._close()

    def _close(self) -> None:
        try:
            if self._raster is not None:
                with _gdal(self.path):
                    self._raster.close()
        finally:
            self._raster = None
            self._work.__exit__(None, None, None)

    def _created(self, where: str) -> Any:  # noqa: ANN401 — rasterio has no types
        import rasterio
        from rasterio.crs import CRS

        one, to = self._placement, self._layout
        raster = rasterio.open(
            where, "w", driver="GTiff", height=one.height, width=one.width, count=len(to.bands),
            dtype=to.dtype, nodata=to.nodata, tiled=True, blockxsize=_BLOCK, blockysize=_BLOCK,
            interleave="band", bigtiff="IF_SAFER", sparse_ok=True,
            crs=None if one.crs is None else CRS.from_wkt(one.crs),
            transform=None if one.transform is None else rasterio.Affine(*one.transform),
            **({"photometric": "palette"} if to.classes and to.dtype == "uint8" else {}),
        )  # fmt: skip
        for number, name in enumerate(to.bands, 1):
            raster.set_band_description(number, name)
        if to.scale != 1:
            raster.scales = (to.scale,) * len(to.bands)
        if to.unit is not None:
            raster.units = (to.unit,) * len(to.bands)
        if to.classes and to.dtype == "uint8":
            table = {n: (*rgb, 255) for n, rgb in enumerate(colours(len(to.classes)))}
            raster.write_colormap(1, table | {int(to.nodata): (0, 0, 0, 0)})
        said = {"eolab_classes": json.dumps(to.classes)} if to.classes else {}
        raster.update_tags(**said, **to.tags)
        return raster

    def write(self, top: int, rows: npt.NDArray[np.generic]) -> None:
        """Write rows of all bands.

        Args:
            top: The first row's number.
            rows: ``(band, y, x)``, as they are stored.

        Raises:
            UnavailableError: The disk is full.
        """
        from rasterio.windows import Window

        with _gdal(self.path):
            self._raster.write(rows, window=Window(0, top, rows.shape[2], rows.shape[1]))

    def finish(self) -> Path:
        """Make it a cloud-optimised GeoTIFF, and give it its name.

        Returns:
            Its path; beside it lies ``.aux.xml`` with the names of classes, if it has some.

        Raises:
            UnavailableError: The disk is full.
        """
        import rasterio
        from rasterio.enums import Resampling
        from rasterio.shutil import copy

        resampling = Resampling.mode if self._layout.classes else Resampling.average
        with _gdal(self.path), Unnamed(self.path.parent) as whole:
            self._raster.close()
            self._raster = None
            if factors := self._factors():
                with rasterio.open(self._work.path, "r+", driver="GTiff") as work:
                    work.build_overviews(factors, resampling)
            copy(
                self._work.path, whole.path, driver="COG", compress="DEFLATE", blocksize=_BLOCK,
                predictor="YES" if self._layout.dtype != "uint8" else "NO",
                overviews="FORCE_USE_EXISTING" if factors else "NONE", bigtiff="IF_SAFER",
            )  # fmt: skip
            beside = self.path.with_name(self.path.name + ".aux.xml")
            if self._layout.classes:
                with Unnamed(self.path.parent) as names:
                    Path(names.path).write_text(_names_of(self._layout.classes), "utf-8")
                    whole.name(self.path)
                    names.name(beside)
            else:
                beside.unlink(missing_ok=True)  # of a map that was here before
                whole.name(self.path)
        return self.path

    def _factors(self) -> list[int]:
        longer = max(self._placement.height, self._placement.width)
        return [2**n for n in range(1, 20) if longer / 2 ** (n - 1) > _BLOCK]


def _names_of(classes: Sequence[str]) -> str:
    names = "".join(f"      <Category>{escape(name)}</Category>\n" for name in classes)
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{names}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )


@contextmanager
def _gdal(path: Path) -> Iterator[None]:
    """Let GDAL work here, and say in our words what it cannot.

    Yields:
        Nothing.

    Raises:
        UnavailableError: It cannot write.
    """
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with unplaced_allowed(), rasterio.Env(**_SETTINGS):
            yield
    except (RasterioError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise UnavailableError(
            f"'{path}' cannot be written: {said}",
            hint=f"see whether the disk is full: df {path.parent}",
        ) from error
