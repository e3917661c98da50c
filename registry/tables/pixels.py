"""Arrays as rows: how they are packed, named by their content, and unpacked without surprises.

References:
    Alted, F. (2010), Blosc: "c-blosc/README_HEADER.rst" (the 16-byte header).
    Zarr v2 specification, blosc codec, https://zarr-specs.readthedocs.io.
"""

import hashlib
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numcodecs import blosc

from registry.errors import InvalidInputError
from registry.tables.errors import UnsafeArrayError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "DTYPES",
    "JPEG",
    "MAX_ARRAY_BYTES",
    "EncodedArray",
    "decode",
    "encode",
    "encode_jpeg",
    "pixel_digest",
]

MAX_ARRAY_BYTES = 256 * 2**20
"""Larger arrays are split, or stay scenes."""

DEFAULT_CODEC = "blosc-lz4-bitshuffle"
"""Fast both ways; what a draft is written with."""

JPEG = "jpeg"
"""Lossy originals, kept as they came."""

CODECS = MappingProxyType({DEFAULT_CODEC: ("lz4", 5), "blosc-zstd-bitshuffle": ("zstd", 5)})
"""Blosc compressor and level of each codec that packs arrays."""

DTYPES = frozenset({
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
})
"""NumPy names of what a pixel may be."""

_BLOSC_HEADER = struct.Struct("<BBBBIII")  # version, codec version, flags, typesize, 3 sizes
_BLOSC_VERSIONS = (1, 2)
_BLOSC_COMPRESSORS = {0: "blosclz", 1: "lz4", 2: "snappy", 3: "zlib", 4: "zstd"}
_MEMCPYED = 0x02

# One chip a thread: Blosc's own threads are locked against each other, ours are not.
blosc.use_threads = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedArray:
    """A row of ``pixels``, with what ``assets`` says about it."""

    sha256: bytes
    """Digest of the array, 32 bytes."""

    codec: str
    """How ``data`` are packed."""

    data: bytes
    """The packed bytes."""

    dtype: str
    """NumPy's name."""

    shape: tuple[int, ...]
    """``(band, y, x)`` or ``(time, band, y, x)``."""


def pixel_digest(array: np.ndarray) -> bytes:
    """Return the SHA-256 that names an array by what it holds.

    It is taken over canonical JSON ``{"dtype":…,"shape":…}``, a newline, and the array's bytes
    in C order, little endian.

    Args:
        array: Stored values, unitless, of a dtype of ``DTYPES``; shape ``(band, y, x)`` or any
            other of at least one element.

    Raises:
        InvalidInputError: The dtype cannot be held, or the array is empty or too large.

    Examples:
        >>> pixel_digest(np.zeros((1, 2, 2), np.uint8)).hex()[:16]
        'e981681e312f8abd'
    """
    return _digest(_canonical(array))


def encode(array: np.ndarray, codec: str = DEFAULT_CODEC) -> EncodedArray:
    """Return an array packed as a row of ``pixels``; other threads run meanwhile.

    Args:
        array: Stored values, unitless; shape ``(band, y, x)`` or ``(time, band, y, x)``; at most
            256 MB.
        codec: One of ``CODECS``.

    Raises:
        InvalidInputError: No such codec, or an array that cannot be held.

    Examples:
        >>> chip = np.arange(12, dtype=np.uint16).reshape(3, 2, 2)
        >>> row = encode(chip)
        >>> back = decode(row.data, codec=row.codec, dtype=row.dtype, shape=row.shape)
        >>> bool((back == chip).all())
        True
    """
    if codec not in CODECS:
        raise InvalidInputError(
            f"{codec!r} is no codec for arrays", hint=f"use one of {', '.join(CODECS)}"
        )
    whole = _canonical(array)
    compressor, level = CODECS[codec]
    data = blosc.compress(whole, compressor.encode(), level, blosc.BITSHUFFLE)
    return EncodedArray(
        sha256=_digest(whole), codec=codec, data=data, dtype=whole.dtype.name, shape=whole.shape
    )


def encode_jpeg(raw: bytes) -> EncodedArray:
    """Return a JPEG file's bytes as a row of ``pixels``; only its header is read.

    Its digest is that of the encoded bytes, because decoders differ.

    Args:
        raw: A whole JPEG file.

    Raises:
        UnsafeArrayError: It is no JPEG, or decodes to more than 256 MB.
    """
    with _open_jpeg(raw) as image:
        shape = (len(image.getbands()), image.height, image.width)
    if int(np.prod(shape)) > MAX_ARRAY_BYTES:
        raise UnsafeArrayError(
            f"a JPEG of {shape[2]} by {shape[1]} pixels is larger than 256 MB decoded",
            hint="cut it into chips",
        )
    digest = hashlib.sha256(raw).digest()
    return EncodedArray(sha256=digest, codec=JPEG, data=raw, dtype="uint8", shape=shape)


def decode(
    data: bytes | memoryview,
    *,
    codec: str,
    dtype: str,
    shape: Sequence[int],
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Unpack one array; its declared size is checked before a byte is inflated.

    Args:
        data: What ``encode`` packed, or a JPEG file.
        codec: A codec of ``CODECS``, or ``jpeg``.
        dtype: NumPy's name, from ``assets``.
        shape: From ``assets``.
        out: Where to put the stored values, unitless: C-contiguous, of that dtype, and
            shape ``(band, y, x)`` or what ``shape`` says; made if None.

    Returns:
        The array, ``out`` where it was given.

    Raises:
        UnsafeArrayError: The bytes are not what the row says.
        InvalidInputError: The row says what no array can be, or ``out`` does not fit.
    """
    extent = tuple(int(side) for side in shape)
    size = _declared_size(dtype, extent)
    if codec not in CODECS and codec != JPEG:
        raise UnsafeArrayError(
            f"{codec!r} is no codec of the lab", hint="the table was written by something else"
        )
    array = _target(out, dtype, extent)
    if codec == JPEG:
        _decode_jpeg(data, array)
    else:
        _check_blosc(data, codec, size)
        try:
            blosc.decompress(data, array.reshape(-1).view(np.uint8))
        except (RuntimeError, ValueError) as error:
            raise UnsafeArrayError(
                "packed bytes do not unpack: they are damaged", hint="eolab fsck finds out more"
            ) from error
    return array


def _digest(whole: np.ndarray) -> bytes:
    head = {"dtype": whole.dtype.name, "shape": list(whole.shape)}
    digest = hashlib.sha256(json.dumps(head, separators=(",", ":"), sort_keys=True).encode())
    digest.update(b"\n")
    digest.update(whole.reshape(-1).view(np.uint8).data)
    return digest.digest()


def _canonical(array: np.ndarray) -> np.ndarray:
    _declared_size(array.dtype.name, array.shape)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _declared_size(dtype: str, shape: tuple[int, ...]) -> int:
    if dtype not in DTYPES:
        raise InvalidInputError(
            f"an array of {dtype!r} cannot be held",
            hint=f"convert it to {', '.join(sorted(DTYPES))}",
        )
    if not shape or min(shape) < 1:
        raise InvalidInputError(
            f"an array of shape {shape} holds nothing", hint="every side must be at least 1"
        )
    size = np.dtype(dtype).itemsize
    for side in shape:
        size *= side
    if size > MAX_ARRAY_BYTES:
        raise InvalidInputError(
            f"an array of shape {shape} and {dtype} takes {size} bytes; 256 MB is the limit",
            hint="split it, or keep it as a scene by reference",
        )
    return size


def _target(out: np.ndarray | None, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if out is None:
        return np.empty(shape, np.dtype(dtype))
    if out.shape != shape or out.dtype != np.dtype(dtype) or not out.flags.c_contiguous:
        raise InvalidInputError(
            f"out is {out.dtype} of shape {out.shape}; the array is {dtype} of shape {shape}",
            hint="give a C-contiguous array of the row's own dtype and shape",
        )
    return out


def _check_blosc(data: bytes | memoryview, codec: str, size: int) -> None:
    if len(data) < _BLOSC_HEADER.size:
        raise _lying(f"{len(data)} bytes are too few for a Blosc chunk")
    version, _, flags, typesize, nbytes, blocksize, cbytes = _BLOSC_HEADER.unpack_from(data)
    compressor = _BLOSC_COMPRESSORS.get(flags >> 5)
    if version not in _BLOSC_VERSIONS or compressor is None or not typesize:
        raise _lying("the bytes do not begin with a Blosc header")
    if nbytes != size:
        raise _lying(f"a chunk says it unpacks to {nbytes} bytes; its row says {size}")
    if cbytes != len(data):
        raise _lying(f"a chunk says it has {cbytes} bytes; it has {len(data)}")
    if not flags & _MEMCPYED and compressor != CODECS[codec][0]:
        raise _lying(f"a chunk is packed by {compressor}; its row says {codec}")
    if not 0 < blocksize <= max(nbytes, typesize):
        raise _lying(f"a chunk says its blocks have {blocksize} bytes; the whole has {nbytes}")


def _lying(problem: str) -> UnsafeArrayError:
    return UnsafeArrayError(problem, hint="do not use this row; eolab fsck finds out more")


def _open_jpeg(raw: bytes | memoryview) -> "Image":
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(raw), formats=["JPEG"])
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise _lying("the bytes are not a JPEG file that can be read") from error


def _decode_jpeg(raw: bytes | memoryview, array: np.ndarray) -> None:
    with _open_jpeg(raw) as image:
        found = (len(image.getbands()), image.height, image.width)
        if found != array.shape or array.dtype != np.uint8:
            raise _lying(f"a JPEG is {found} of uint8; its row says {array.shape} of {array.dtype}")
        try:
            decoded = np.asarray(image)
        except (OSError, SyntaxError) as error:
            raise _lying("a JPEG ends too early or is damaged") from error
    array[...] = decoded.reshape(found[1], found[2], found[0]).transpose(2, 0, 1)
