"""Common GeoTIFFs read without GDAL, once GDAL has read one that is built the same.

Chips of one set differ in their pixels and their place, hardly ever in anything else. So GDAL
reads the first, at 0.5 ms each; whatever has the same tags but for those of place and layout is
then read here, and only if this module's pixels and place of the first equal GDAL's.

References:
    TIFF Revision 6.0 (Adobe, 1992); OGC GeoTIFF 1.1 (OGC 19-008r4), 7.5 on raster to model space.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Layout", "parse", "read_pixels"]

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_INTEGERS: Final = {1: "B", 3: "H", 4: "I"}
_KINDS: Final = {1: "u", 2: "i", 3: "f"}
_WIDTHS: Final = {"u": {8, 16, 32, 64}, "i": {8, 16, 32, 64}, "f": {32, 64}}
_TIEPOINT: Final = 33922
_PIXEL_SCALE: Final = 33550
_TILE_WIDTH: Final = 322
_PLACES: Final = frozenset({273, 279, 324, 325})
_LONGEST_VALUE: Final = 1 << 20
_MOST_TAGS: Final = 256
_BOMB_RATIO: Final = 5000

_Value = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a plain TIFF's blocks lie and how they are packed."""

    key: tuple[object, ...]
    """Equal for files that differ in pixels and place alone."""

    order: str
    """Byte order: ``<`` or ``>``."""

    height: int
    """Rows."""

    width: int
    """Columns."""

    count: int
    """Bands."""

    dtype: np.dtype[np.generic]
    """Of the samples as they lie in the file."""

    planar: bool
    """Whether each band lies by itself."""

    deflated: bool
    """Whether blocks are deflated; they are plain if not."""

    differenced: bool
    """Whether samples are differences to their left neighbours (predictor 2)."""

    block: tuple[int, int]
    """Rows and columns of a block; strips are as wide as the image."""

    tiled: bool
    """Whether blocks are tiles, all of one size, rather than strips."""

    offsets: tuple[int, ...]
    """Where each block begins."""

    sizes: tuple[int, ...]
    """Bytes each block takes."""

    transform: tuple[float, ...] | None
    """Affine from tie point and pixel scale, rasterio's order; None if they do not give one."""


def parse(data: bytes) -> Layout | None:
    """Return the layout of a plain TIFF of one image, or None for anything unusual.

    Args:
        data: The whole file.
    """
    try:
        return _parse(data)
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return None


def _parse(data: bytes) -> Layout | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    tags = _tags(data, order)
    if tags is None:
        return None
    key = [order]
    for tag, (kind, count, value) in tags.items():
        varies = tag in _PLACES or tag == _TIEPOINT
        key.append((tag, kind, count) if varies else (tag, kind, count, value))  # type: ignore[arg-type]

    def numbers(tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        if tag not in tags:
            return default
        kind, count, value = tags[tag]
        return struct.unpack(f"{order}{count}{_INTEGERS[kind]}", value)

    count = numbers(277, (1,))[0]
    bits, formats = set(numbers(258, (1,))), set(numbers(339, (1,)))
    compression, predictor = numbers(259, (1,))[0], numbers(317, (1,))[0]
    if len(bits) != 1 or len(formats) != 1 or compression not in {1, 8, 32946}:
        return None
    letter, width_bits = _KINDS[formats.pop()], bits.pop()
    if width_bits not in _WIDTHS[letter]:
        return None
    dtype = np.dtype(f"{order}{letter}{width_bits // 8}")
    if predictor not in {1, 2} or (predictor == 2 and dtype.kind == "f"):  # noqa: PLR2004 — TIFF's
        return None
    height, width = numbers(257)[0], numbers(256)[0]
    tiled = _TILE_WIDTH in tags
    block = (
        (numbers(323)[0], numbers(_TILE_WIDTH)[0])
        if tiled
        else (min(numbers(278, (height,))[0], height), width)
    )
    return Layout(
        key=tuple(key),
        order=order,
        height=height,
        width=width,
        count=count,
        dtype=dtype,
        planar=count > 1 and numbers(284, (1,))[0] == 2,  # noqa: PLR2004 — TIFF's
        deflated=compression != 1,
        differenced=predictor == 2,  # noqa: PLR2004 — TIFF's
        block=block,
        tiled=tiled,
        offsets=numbers(324 if tiled else 273),
        sizes=numbers(325 if tiled else 279),
        transform=_transform(tags, order),
    )


def _tags(data: bytes, order: str) -> dict[int, _Value] | None:
    """Return the first directory's raw tags; None if there are more directories."""
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    end = start + 2 + 12 * entries
    if entries > _MOST_TAGS or struct.unpack_from(f"{order}I", data, end)[0] != 0:
        return None
    tags: dict[int, _Value] = {}
    for tag, kind, count, inline in struct.iter_unpack(f"{order}HHI4s", data[start + 2 : end]):
        size = _SIZES[kind] * count
        if size <= len(inline):
            value = inline[:size]
        else:
            (offset,) = struct.unpack(f"{order}I", inline)
            value = data[offset : offset + size]
        if size > _LONGEST_VALUE or len(value) != size or tag in tags:
            return None
        tags[tag] = (kind, count, value)
    return tags


def _transform(tags: dict[int, _Value], order: str) -> tuple[float, ...] | None:
    scale, tie = tags.get(_PIXEL_SCALE), tags.get(_TIEPOINT)
    if scale is None or tie is None or scale[:2] != (12, 3) or tie[:2] != (12, 6):
        return None
    sx, sy, _ = struct.unpack(f"{order}3d", scale[2])
    column, row, _, x, y, _ = struct.unpack(f"{order}6d", tie[2])
    return (sx, 0.0, x - column * sx, 0.0, -sy, y + row * sy)


def read_pixels(data: bytes, layout: Layout) -> npt.NDArray[np.generic] | None:
    """Return the pixels, or None where a block is not what the layout says.

    Args:
        data: The whole file.
        layout: What :func:`parse` returned for it.

    Returns:
        Array of shape ``(band, y, x)``, native byte order, C order.
    """
    layout = _as_one_strip(layout)
    rows, columns = layout.block
    planes = layout.count if layout.planar else 1
    samples = 1 if layout.planar else layout.count
    down, across = -(-layout.height // rows), -(-layout.width // columns)
    if not len(layout.offsets) == len(layout.sizes) == planes * down * across:
        return None
    out = np.empty((planes, layout.height, layout.width, samples), layout.dtype.newbyteorder("="))
    blocks = zip(layout.offsets, layout.sizes, strict=True)
    for index, (offset, size) in enumerate(blocks):
        plane, place = divmod(index, down * across)
        top, left = (place // across) * rows, (place % across) * columns
        height = rows if layout.tiled else min(rows, layout.height - top)
        shape = (height, columns, samples)
        pixels = _block(data, offset, size, layout, shape)
        if pixels is None:
            return None
        here = out[plane, top : top + height, left : left + columns]
        here[...] = pixels[: here.shape[0], : here.shape[1]]
    if layout.planar:
        return out[..., 0]
    return np.ascontiguousarray(out[0].transpose(2, 0, 1))


def _as_one_strip(layout: Layout) -> Layout:
    """Take plain strips that follow each other as one, which is how most writers lay them.

    Returns:
        The same pixels in fewer blocks, or the layout as it was.
    """
    if layout.tiled or layout.deflated or layout.planar or len(layout.offsets) < 2:  # noqa: PLR2004 — strips
        return layout
    ends = [offset + size for offset, size in zip(layout.offsets, layout.sizes, strict=True)]
    if tuple(ends[:-1]) != layout.offsets[1:]:
        return layout
    return replace(
        layout,
        block=(layout.height, layout.width),
        offsets=layout.offsets[:1],
        sizes=(sum(layout.sizes),),
    )


def _block(
    data: bytes, offset: int, size: int, layout: Layout, shape: tuple[int, int, int]
) -> npt.NDArray[np.generic] | None:
    expected = shape[0] * shape[1] * shape[2] * layout.dtype.itemsize
    raw = memoryview(data)[offset : offset + size]
    if len(raw) != size or expected > _BOMB_RATIO * max(size, 1):
        return None
    if layout.deflated:
        try:
            raw = memoryview(zlib.decompressobj().decompress(raw, expected + 1))
        except zlib.error:
            return None
    if len(raw) != expected:
        return None
    pixels = np.frombuffer(raw, layout.dtype).reshape(shape)
    if layout.differenced:
        native = layout.dtype.newbyteorder("=")
        return np.cumsum(pixels, axis=1, dtype=native)
    return pixels
