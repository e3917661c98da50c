"""Arrays come back as they were, are named by what they hold, and cannot lie about their size."""

import hashlib
import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numcodecs import blosc
from PIL import Image

from registry.errors import InvalidInputError
from registry.tables import pixels
from registry.tables.errors import UnsafeArrayError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "pixels.json").read_text())


def coordinates(shape, dtype):
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(dtype)


@pytest.mark.parametrize("codec", sorted(pixels.CODECS))
@pytest.mark.parametrize("dtype", sorted(pixels.DTYPES))
def test_an_array_of_any_dtype_comes_back_as_it_was(dtype, codec):
    chip = coordinates((2, 5, 7), dtype)
    row = pixels.encode(chip, codec)
    back = pixels.decode(row.data, codec=row.codec, dtype=row.dtype, shape=row.shape)
    assert back.dtype == chip.dtype
    np.testing.assert_array_equal(back, chip)


def test_nan_and_its_payload_survive():
    chip = np.array([[[0x7FC00001, 0x7F800000]]], np.uint32).view(np.float32)
    row = pixels.encode(chip)
    back = pixels.decode(row.data, codec=row.codec, dtype="float32", shape=chip.shape)
    assert back.tobytes() == chip.tobytes()


@pytest.mark.parametrize("vector", GOLDEN, ids=lambda vector: vector["name"])
def test_digests_never_change(vector):
    chip = np.array(vector["values"]).astype(vector["dtype"]).reshape(vector["shape"])
    assert pixels.pixel_digest(chip).hex() == vector["sha256"]
    assert pixels.encode(chip).sha256.hex() == vector["sha256"]


def test_a_digest_is_of_the_declared_head_and_the_little_endian_bytes():
    chip = coordinates((1, 2, 3), ">u2")
    head = b'{"dtype":"uint16","shape":[1,2,3]}\n'
    expected = hashlib.sha256(head + chip.astype("<u2").tobytes()).digest()
    assert pixels.pixel_digest(chip) == expected
    assert pixels.pixel_digest(np.asfortranarray(chip)) == expected


def test_arrays_of_equal_bytes_and_other_shape_or_type_have_other_names():
    chip = np.zeros((1, 4, 4), np.uint8)
    names = {
        pixels.pixel_digest(one)
        for one in (chip, chip.reshape(1, 2, 8), chip.view(np.int8), chip.view(np.uint16))
    }
    assert len(names) == 4


def test_a_chip_is_decoded_into_the_callers_own_memory():
    chip = coordinates((2, 4, 4), np.uint16)
    row = pixels.encode(chip)
    batch = np.zeros((3, 2, 4, 4), np.uint16)
    pixels.decode(row.data, codec=row.codec, dtype=row.dtype, shape=row.shape, out=batch[1])
    np.testing.assert_array_equal(batch[1], chip)
    assert not batch[0].any()
    with pytest.raises(InvalidInputError, match="out is"):
        pixels.decode(row.data, codec=row.codec, dtype=row.dtype, shape=row.shape, out=batch[0, 0])


@pytest.mark.parametrize(
    "chip",
    [
        np.array([["a"]]),
        np.array([[None]]),
        np.zeros((1, 1), "datetime64[s]"),
        np.zeros((1, 1), [("x", "u1")]),
        np.zeros((1, 1), np.longdouble),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(chip):
    with pytest.raises(InvalidInputError, match="cannot be held"):
        pixels.encode(chip)


@pytest.mark.parametrize("shape", [(), (0, 3, 3), (3, 0)])
def test_an_array_of_nothing_is_refused(shape):
    with pytest.raises(InvalidInputError, match="holds nothing"):
        pixels.encode(np.zeros(shape, np.uint8))


def test_an_array_over_the_limit_is_refused_before_it_is_touched():
    huge = np.broadcast_to(np.uint8(1), (1, 20_000, 20_000))
    with pytest.raises(InvalidInputError, match="256 MB"):
        pixels.encode(huge)


def test_a_chunk_that_would_inflate_to_more_than_its_row_says_is_refused():
    bomb = blosc.compress(np.zeros(2**28, np.uint8), b"lz4", 9, blosc.BITSHUFFLE)
    assert len(bomb) < 2**21
    with pytest.raises(UnsafeArrayError, match="unpacks to 268435456 bytes; its row says 16"):
        pixels.decode(bomb, codec=pixels.DEFAULT_CODEC, dtype="uint8", shape=(1, 4, 4))


def lies():
    good = pixels.encode(coordinates((1, 64, 64), np.uint16)).data
    yield "too short", good[:15]
    yield "truncated", good[:-1]
    yield "longer", good + b"\0"
    yield "other compressor", good[:2] + bytes([good[2] | 0x80]) + good[3:]
    yield "no version", b"\x63" + good[1:]
    yield "no typesize", good[:3] + b"\0" + good[4:]
    yield "huge block", good[:8] + struct.pack("<I", 2**31) + good[12:]
    yield "no block", good[:8] + struct.pack("<I", 0) + good[12:]
    yield "payload", good[:40] + bytes(255 - b for b in good[40:])
    yield "block offsets", good[:16] + b"\xff\xff\xff\x7f" + good[20:]


@pytest.mark.parametrize(
    ("what", "data"), list(lies()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_chunk_that_lies_is_refused_or_decodes_to_its_size(what, data):
    try:
        back = pixels.decode(data, codec=pixels.DEFAULT_CODEC, dtype="uint16", shape=(1, 64, 64))
    except UnsafeArrayError:
        return
    assert what == "payload"
    assert back.nbytes == 8192


def a_jpeg(mode="RGB", size=(6, 4)):
    file = io.BytesIO()
    Image.new(mode, size, color=127).save(file, "JPEG")
    return file.getvalue()


def test_a_jpeg_keeps_its_bytes_and_is_named_by_them():
    raw = a_jpeg()
    row = pixels.encode_jpeg(raw)
    assert (row.data, row.codec, row.shape) == (raw, "jpeg", (3, 4, 6))
    assert row.sha256 == hashlib.sha256(raw).digest()
    back = pixels.decode(raw, codec="jpeg", dtype="uint8", shape=(3, 4, 6))
    np.testing.assert_array_equal(back[0], np.asarray(Image.open(io.BytesIO(raw)))[:, :, 0])


def test_a_grey_jpeg_has_one_band():
    raw = a_jpeg("L")
    assert pixels.decode(raw, codec="jpeg", dtype="uint8", shape=(1, 4, 6)).shape == (1, 4, 6)


def test_a_jpeg_of_another_shape_than_its_row_is_refused():
    with pytest.raises(UnsafeArrayError, match="its row says"):
        pixels.decode(a_jpeg(), codec="jpeg", dtype="uint8", shape=(3, 6, 4))


@pytest.mark.parametrize("raw", [b"", b"\xff\xd8\xff", b"GIF89a" + bytes(100), a_jpeg()[:100]])
def test_what_is_no_jpeg_is_refused(raw):
    with pytest.raises(UnsafeArrayError):
        pixels.decode(raw, codec="jpeg", dtype="uint8", shape=(3, 4, 6))


@pytest.mark.parametrize("codec", ["zip", "", "blosc-zlib-bitshuffle"])
def test_a_codec_nobody_declared_is_refused(codec):
    with pytest.raises(UnsafeArrayError, match="no codec"):
        pixels.decode(b"", codec=codec, dtype="uint8", shape=(1, 1, 1))
