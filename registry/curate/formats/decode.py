"""One foreign raster's bytes become an array with what the file says of it.

Runs in the limited child alone (:mod:`registry.curate.formats.child`). A file's kind is seen from
its first bytes; GDAL is asked with the one driver for that kind, on bytes in memory.
"""

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image, UnidentifiedImageError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile

from registry.curate.formats import tiff
from registry.curate.formats.decoded import (
    LARGE,
    Decoded,
    Header,
    UnreadableError,
    check_declared,
    one_line,
)
from registry.curate.formats.layers import Layer, split_layer
from registry.curate.formats.unplaced import unplaced_allowed
from registry.errors import InvalidInputError
from registry.geo import normalise_crs
from registry.tables.pixels import DTYPES

__all__ = ["Decoder", "sniff"]

_MEMORY: Final = {"dirname": "eolab", "filename": "source"}
_LONGEST_DOMAINS: Final = 2048
_LONGEST_SAID: Final = 128 << 10  # of JSON; 400 bands with their wavelengths take half of it
_MOST_LAYOUTS: Final = 512
_SUFFIXES: Final = {
    "GTiff": (".tif", ".tiff", ".gtiff", ".geotiff"),
    "JPEG": (".jpg", ".jpeg", ".jpe"),
    "PNG": (".png",),
    "JP2OpenJPEG": (".jp2", ".j2k", ".jpx", ".j2c"),
}
_OWN_DOMAINS: Final = frozenset({"", "IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS"})
_MAGIC: Final = (
    (b"II*\0", "GTiff"),
    (b"MM\0*", "GTiff"),
    (b"II+\0", "GTiff"),
    (b"MM\0+", "GTiff"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
)
_LAYERED: Final = (b"\x89HDF\r\n\x1a\n", b"CDF", b"\x93NUMPY")
_MOST_BANDS: Final = 4096
_REFUSED: Final = (
    (b"\x89HDF\r\n", "is HDF5 or netCDF 4"),
    (b"CDF", "is netCDF"),
    (b"\x0e\x03\x13\x01", "is HDF 4"),
    (b"GRIB", "is GRIB"),
    (b"GIF8", "is GIF"),
    (b"BM", "is BMP"),
    (b"RIFF", "is WebP or another RIFF file"),
    (b"%PDF", "is PDF"),
    (b"PK\x03\x04", "is a zip archive"),
    (b"ENVI", "is an ENVI header"),
)


def sniff(data: bytes) -> str:
    """Return the GDAL driver for a file's first bytes.

    Args:
        data: At least the first 512 bytes.

    Raises:
        UnreadableError: No raster of a kind that is read here.
    """
    for magic, driver in _MAGIC:
        if data.startswith(magic):
            return driver
    if not data:
        raise UnreadableError("unreadable", "is empty", "fetch the file again")
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        raise UnreadableError(
            "lfs-pointer", "is a Git-LFS pointer in place of data", "run git lfs pull"
        )
    text = data[:512].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if text.startswith(b"<vrtdataset") or b"<vrtdataset" in text:
        raise UnreadableError(
            "format-refused",
            "is a VRT, which may lead to any file or address",
            "write it out with gdal_translate, and ingest that",
        )
    if text.startswith(b"<"):
        raise UnreadableError("unreadable", "is XML or HTML, no raster", "fetch the file again")
    for magic, what in _REFUSED:
        if data.startswith(magic):
            raise UnreadableError(
                "format-refused", f"{what}, which is not read", "convert it to GeoTIFF"
            )
    raise UnreadableError(
        "unreadable", f"is no raster; it begins with {data[:8]!r}", "fetch the file again"
    )


class Decoder:
    """Reads rasters, and remembers how those of a set are built."""

    def __init__(self, *, wait_for_turn: Callable[[], None] = lambda: None) -> None:
        """Begin with nothing remembered.

        Args:
            wait_for_turn: Called before an array is made that is so large that only one process
                may hold one.
        """
        self._known: dict[tuple[object, ...], Header | None] = {}
        self._crs: dict[str, str | None] = {}
        self._wait_for_turn = wait_for_turn

    def decode(self, name: str, data: bytes) -> Decoded:
        """Return what a file holds.

        Args:
            name: Path in the source, for its suffix and for the layer that it names.
            data: The whole file.

        Raises:
            UnreadableError: It is damaged, too large, or of a kind that is not read.
        """
        _, layer = split_layer(name)
        if layer is not None and data.startswith(_LAYERED):
            return self._layer(layer, data)
        driver = sniff(data)
        decoded = self._jpeg(data) if driver == "JPEG" else self._raster(driver, data)
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 — a name, ten thousand times
        if suffix in _SUFFIXES[driver] or not suffix:
            return decoded
        note = f"wrong-suffix: ends in {suffix} but is {driver}"
        header = replace(decoded.header, warnings=(*decoded.header.warnings, note))
        return replace(decoded, header=header)

    def _layer(self, text: str, data: bytes) -> Decoded:
        from registry.curate.formats.opening import open_container  # late: few files have layers
        from registry.curate.formats.stacks import read_stack

        try:
            return read_stack(
                open_container(data),
                Layer.parse(text),
                size=len(data),
                wait_for_turn=self._wait_for_turn,
            )
        except InvalidInputError as error:
            raise UnreadableError("unreadable", error.problem, "check the --format") from error
        except MemoryError as error:
            raise UnreadableError(
                "too-large", "needs more memory than a chip may take", "cut it into chips"
            ) from error

    def _raster(self, driver: str, data: bytes) -> Decoded:
        layout = tiff.parse(data) if driver == "GTiff" else None
        known = self._known.get(layout.key) if layout is not None else None
        if layout is not None and known is not None:
            pixels = tiff.read_pixels(data, layout)
            if pixels is not None:
                return Decoded(header=known, transform=layout.transform, array=pixels)
        decoded = self._gdal(driver, data)
        if layout is not None and layout.key not in self._known:
            if len(self._known) >= _MOST_LAYOUTS:
                self._known.clear()
            self._known[layout.key] = decoded.header if _agrees(data, layout, decoded) else None
        return decoded

    def _gdal(self, driver: str, data: bytes) -> Decoded:
        try:
            with (
                unplaced_allowed(),
                MemoryFile(data, **_MEMORY) as file,
                file.open(driver=driver, sharing=False) as raster,
            ):
                return self._read(raster, len(data))
        except (RasterioError, ValueError, OSError, UnicodeDecodeError) as error:
            raise UnreadableError(
                "unreadable", f"cannot be read: {one_line(error)}", "fetch the file again"
            ) from error
        except MemoryError as error:
            raise UnreadableError(
                "too-large", "needs more memory than a chip may take", "cut it into chips"
            ) from error

    def _read(self, raster: DatasetReader, size: int) -> Decoded:
        header = self._header(raster)
        declared = int(np.prod(header.shape, dtype=object)) * np.dtype(header.dtype).itemsize
        check_declared(declared, size)
        if declared > LARGE:
            self._wait_for_turn()
        transform = tuple(raster.transform)[:6]
        placed = header.crs is not None or not raster.transform.is_identity
        return Decoded(
            header=header,
            transform=transform if placed else None,
            array=np.ascontiguousarray(raster.read()),
        )

    def _header(self, raster: DatasetReader) -> Header:
        if raster.count > _MOST_BANDS:  # each costs time to describe, however small the image
            raise UnreadableError(
                "bands",
                f"has {raster.count:,} bands",
                f"split it into files of at most {_MOST_BANDS:,} bands",
            )
        dtypes = set(raster.dtypes)
        if len(dtypes) != 1 or not dtypes <= DTYPES:
            raise UnreadableError(
                "dtype",
                f"has bands of type {', '.join(sorted(dtypes))}",
                "convert all bands to one plain number type",
            )
        count = raster.count
        return Header(
            shape=(count, raster.height, raster.width),
            dtype=dtypes.pop(),
            crs=self._normalised(raster),
            nodata=raster.nodata,
            said=_said(raster),
            warnings=tuple(_oddities(raster)),
        )

    def _normalised(self, raster: DatasetReader) -> str | None:
        if raster.crs is None:
            return None
        wkt = raster.crs.to_wkt()
        if wkt not in self._crs:
            try:
                self._crs[wkt] = normalise_crs(wkt) if wkt else None
            except InvalidInputError as error:
                raise UnreadableError("crs", error.problem, "mend the file's CRS") from error
        return self._crs[wkt]

    def _jpeg(self, data: bytes) -> Decoded:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(BytesIO(data), formats=("JPEG",)) as image:
                    bands = len(image.getbands())
                    width, height = image.size
                    check_declared(bands * width * height, len(data))
                    mode = image.mode
                    image.load()
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise UnreadableError(
                "unreadable", f"cannot be read: {one_line(error)}", "fetch the file again"
            ) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
            raise UnreadableError(
                "too-large", f"is too large: {one_line(error)}", "cut it into chips"
            ) from error
        if mode not in {"L", "RGB"}:
            raise UnreadableError(
                "format-refused", f"is a JPEG in {mode} colours", "convert it to RGB"
            )
        header = Header(shape=(bands, height, width), dtype="uint8", said='{"driver": "JPEG"}')
        return Decoded(header=header, transform=None, array=None)


def _agrees(data: bytes, layout: tiff.Layout, decoded: Decoded) -> bool:
    """Return whether this module's reading of a file equals GDAL's, bit by bit."""
    header, array = decoded.header, decoded.array
    shape = (layout.count, layout.height, layout.width)
    if array is None or header.shape != shape or layout.transform != decoded.transform:
        return False
    if layout.dtype.newbyteorder("=") != array.dtype or array.nbytes > LARGE:
        return False
    pixels = tiff.read_pixels(data, layout)
    return pixels is not None and pixels.tobytes() == array.tobytes()


def _said(raster: DatasetReader) -> str:
    """Return as JSON what a file says besides shape and place, where it is not as usual."""
    usual = {
        "bands": ("",),
        "scales": (1.0,),
        "offsets": (0.0,),
        "units": ("",),
        "colours": ("gray", "undefined"),
    }
    said: dict[str, Any] = {
        "bands": [name or "" for name in raster.descriptions],
        "scales": list(raster.scales),
        "offsets": list(raster.offsets),
        "units": [unit or "" for unit in raster.units],
        "colours": [colour.name for colour in raster.colorinterp],
    }
    said = {name: values for name, values in said.items() if not set(values) <= set(usual[name])}
    said |= {
        "tags": raster.tags(),
        "band_tags": {str(band): own for band in raster.indexes if (own := raster.tags(band))},
    }
    lost = [name for name, values in said.items() if len(json.dumps(values)) > _LONGEST_SAID]
    domains = {
        domain: own
        for domain in raster.tag_namespaces()
        if domain not in _OWN_DOMAINS and (own := raster.tags(ns=domain))
    }
    if len(json.dumps(domains)) <= _LONGEST_DOMAINS:
        said["domains"] = domains
    else:
        lost += domains
    said = {name: values for name, values in said.items() if values and name not in lost}
    if lost:
        said["lost"] = sorted(lost)
    return json.dumps({"driver": raster.driver, **said}, sort_keys=True, ensure_ascii=False)


def _oddities(raster: DatasetReader) -> list[str]:
    odd = []
    if raster.subdatasets:
        odd.append(f"pages: has {len(raster.subdatasets)} images, of which the first is read")
    if raster.crs is None and raster.gcps[0]:
        odd.append("gcps: is placed by ground control points, which are not kept")
    if raster.rpcs is not None:
        odd.append("rpcs: is placed by rational polynomials, which are not kept")
    if raster.colorinterp[0].name == "palette":
        odd.append("colour-table: has a colour table, which is not kept")
    return odd
