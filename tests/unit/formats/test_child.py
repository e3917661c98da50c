"""What runs in the child, called here without its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from registry.curate.formats import tiff
from registry.curate.formats.decode import Decoder, sniff
from registry.curate.formats.decoded import UnreadableError


def encoded(array, **options):
    count, height, width = array.shape
    profile = {"count": count, "height": height, "width": width, "dtype": array.dtype.name}
    options = {"transform": from_origin(5, 50, 2, 1), "crs": "EPSG:32633"} | options
    with MemoryFile() as file:
        with file.open(driver="GTiff", **profile, **options) as raster:
            raster.write(array)
        return file.read()


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
    compress=st.sampled_from([None, "deflate"]),
    predictor=st.sampled_from([1, 2]),
    interleave=st.sampled_from(["pixel", "band"]),
    tiled=st.booleans(),
    order=st.sampled_from(["LITTLE", "BIG"]),
    rows=st.integers(1, 50),
)
def test_plain_tiffs_are_read_as_gdal_reads_them(
    shape, dtype, compress, predictor, interleave, tiled, order, rows
):
    array = np.random.default_rng(sum(shape)).integers(0, 200, shape).astype(dtype)
    options = {"interleave": interleave, "ENDIANNESS": order}
    if compress:
        options |= {"compress": compress, "predictor": predictor if dtype[0] != "f" else 1}
    options |= (
        {"tiled": True, "blockxsize": 16, "blockysize": 16} if tiled else {"blockysize": rows}
    )
    data = encoded(array, **options)
    layout = tiff.parse(data)
    assert layout is not None
    np.testing.assert_array_equal(tiff.read_pixels(data, layout), array)
    with MemoryFile(data) as file, file.open() as raster:
        assert layout.transform == tuple(raster.transform)[:6]


def test_a_file_built_like_one_before_is_read_without_gdal(monkeypatch):
    decoder = Decoder()
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 10, 10)}
    first = decoder.decode("a.tif", encoded(np.full((1, 8, 8), 1, np.uint8), **place))
    monkeypatch.setattr(decoder, "_gdal", None)
    moved = place | {"transform": from_origin(6e5, 5e6, 10, 10)}
    second = decoder.decode("b.tif", encoded(np.full((1, 8, 8), 2, np.uint8), **moved))
    assert second.header == first.header
    assert second.transform == (10, 0, 6e5, 0, -10, 5e6)
    assert int(second.array[0, 0, 0]) == 2


def test_a_file_that_is_built_otherwise_is_left_to_gdal():
    decoder = Decoder()
    decoder.decode("a.tif", encoded(np.ones((1, 8, 8), np.uint8)))
    other = decoder.decode("b.tif", encoded(np.ones((1, 8, 8), np.uint8), nodata=0))
    assert other.header.nodata == 0


def test_pixel_is_point_is_placed_as_gdal_places_it():
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", count=1, height=8, width=8, dtype="uint8", crs="EPSG:32633",
            transform=from_origin(5e5, 5e6, 10, 10),
        ) as raster:  # fmt: skip
            raster.update_tags(AREA_OR_POINT="Point")
            raster.write(np.ones((1, 8, 8), np.uint8))
        data = file.read()
        with file.open() as raster:
            expected = tuple(raster.transform)[:6]
    decoder = Decoder()
    assert [decoder.decode("a.tif", data).transform for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_parsing_what_is_cut_short_finds_nothing_rather_than_failing(cut):
    whole = encoded(np.ones((2, 8, 8), np.uint16), compress="deflate")
    data = whole[: min(cut, len(whole) - 1)]
    layout = tiff.parse(data)
    assert layout is None or tiff.read_pixels(data, layout) is None


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_known_raster_or_refused(data):
    try:
        found = sniff(data)
    except UnreadableError as error:
        found = error.message
    assert found


@given(tail=st.binary(max_size=400), order=st.sampled_from([b"II*\0", b"MM\0*"]))
def test_any_tiff_is_parsed_or_left_alone(tail, order):
    data = order + tail
    layout = tiff.parse(data)
    if layout is not None and layout.height * layout.width * layout.count < 1 << 20:
        tiff.read_pixels(data, layout)
