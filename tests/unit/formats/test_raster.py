import json
import os
import zipfile

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from registry.curate.formats.listing import open_listing
from registry.curate.formats.raster import RASTERS, RasterJob, RasterPool, read_part
from registry.errors import CorruptError, UnavailableError
from registry.tables.pixels import decode, pixel_digest


def chip(path, number=0, **options):
    """Write a GeoTIFF whose pixels say where they are; return them."""
    band, y, x = np.mgrid[0:3, 0:20, 0:30]
    array = (number * 10_000 + band * 1_000 + y * 30 + x).astype("uint16")
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 3, "height": 20, "width": 30, "dtype": "uint16"}
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5 + number, 5e6, 10, 10)}
    with rasterio.open(path, "w", **profile, **place, **options) as raster:
        raster.write(array)
    return array


def stored(row, folder):
    """Decode a row's pixels from its part."""
    data = (folder / f"{row['part']}.bin").read_bytes()[row["offset"] :][: row["length"]]
    return decode(data, codec=row["codec"], dtype=row["dtype"], shape=row["shape"])


@pytest.fixture(scope="module")
def pool():
    with RasterPool(workers=2, seconds=20) as pool:
        yield pool


@pytest.fixture
def read(pool, tmp_path):
    def run(source, with_pool=pool):
        listing = open_listing(source)
        jobs = [RasterJob(file=name, span=listing.span(name)) for name in listing.files]
        folder = tmp_path / "parts"
        folder.mkdir(exist_ok=True)
        tables = list(with_pool.read(jobs, into=folder))
        rows = [row for table in tables for row in table.to_pylist()]
        assert all(table.schema.equals(RASTERS) for table in tables)
        assert sorted(row["file"] for row in rows) == sorted(listing.files)
        return {row["file"]: row for row in rows}

    return run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compress": "deflate"},
        {"compress": "deflate", "predictor": 2},
        {"compress": "lzw"},
        {"compress": "zstd", "predictor": 2},
        {"interleave": "band"},
        {"interleave": "band", "compress": "deflate", "predictor": 2},
        {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
        {"blockysize": 7, "compress": "deflate"},
        {"ENDIANNESS": "BIG"},
        {"BIGTIFF": "YES"},
    ],
    ids=str,
)
def test_pixels_equal_what_was_written_in_every_layout(read, tmp_path, options):
    written = {f"{n}.tif": chip(tmp_path / "set" / f"{n}.tif", n, **options) for n in range(4)}
    rows = read(tmp_path / "set")
    for name, array in written.items():
        np.testing.assert_array_equal(stored(rows[name], tmp_path / "parts"), array)
        assert rows[name]["sha256"] == pixel_digest(array)
        assert rows[name]["crs"] == "EPSG:32633"
        assert rows[name]["transform"] == [10, 0, 5e5 + int(name[0]), 0, -10, 5e6]


def test_what_a_file_says_of_its_bands_is_kept(read, tmp_path):
    chip(tmp_path / "set" / "a.tif", nodata=7)
    with rasterio.open(tmp_path / "set" / "a.tif", "r+") as raster:
        raster.descriptions = ("blue", "green", "red")
        raster.scales = (0.1, 0.1, 0.1)
        raster.offsets = (-1.0, -1.0, -1.0)
        raster.update_tags(MISSION="test")
        raster.update_tags(2, WAVELENGTH="0.56")
    row = read(tmp_path / "set")["a.tif"]
    assert row["nodata"] == 7
    said = json.loads(row["said"])
    assert said["bands"] == ["blue", "green", "red"]
    assert said["scales"] == [0.1] * 3
    assert said["offsets"] == [-1.0] * 3
    assert said["tags"]["MISSION"] == "test"
    assert said["band_tags"] == {"2": {"WAVELENGTH": "0.56"}}


def test_two_files_that_differ_in_a_tag_alone_keep_their_own(read, tmp_path):
    for number in range(3):
        chip(tmp_path / "set" / f"{number}.tif", nodata=number)
    rows = read(tmp_path / "set")
    assert [rows[f"{number}.tif"]["nodata"] for number in range(3)] == [0, 1, 2]


def test_tags_as_large_as_an_image_are_left_out_by_name(read, tmp_path):
    chip(tmp_path / "set" / "a.tif")
    with rasterio.open(tmp_path / "set" / "a.tif", "r+") as raster:
        raster.scales = (0.1, 0.1, 0.1)
        raster.update_tags(NOVEL="x" * 200_000)

    said = json.loads(read(tmp_path / "set")["a.tif"]["said"])

    assert "tags" not in said
    assert said["lost"] == ["tags"]
    assert said["scales"] == [0.1] * 3


def test_a_jpeg_keeps_the_bytes_it_came_with(read, tmp_path):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (8, 5), (200, 10, 10)).save(tmp_path / "set" / "a.jpg")
    raw = (tmp_path / "set" / "a.jpg").read_bytes()
    row = read(tmp_path / "set")["a.jpg"]
    assert (row["codec"], row["shape"], row["length"]) == ("jpeg", [3, 5, 8], len(raw))
    assert (tmp_path / "parts" / f"{row['part']}.bin").read_bytes() == raw


def test_a_png_is_read_by_its_bands(read, tmp_path):
    (tmp_path / "set").mkdir()
    array = np.arange(40, dtype=np.uint8).reshape(5, 8)
    Image.fromarray(array).save(tmp_path / "set" / "a.png")
    row = read(tmp_path / "set")["a.png"]
    np.testing.assert_array_equal(stored(row, tmp_path / "parts")[0], array)
    assert row["crs"] is None
    assert row["transform"] is None


def test_files_inside_a_zip_are_read_without_unpacking_it(read, tmp_path):
    arrays = {f"a/{n}.tif": chip(tmp_path / "loose" / f"{n}.tif", n) for n in range(3)}
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in arrays:
            archive.write(tmp_path / "loose" / name.removeprefix("a/"), name)
    rows = read(tmp_path / "set.zip")
    for name, array in arrays.items():
        np.testing.assert_array_equal(stored(rows[name], tmp_path / "parts"), array)


def test_footprints_are_in_degrees(read, tmp_path):
    import shapely

    chip(tmp_path / "set" / "a.tif")
    west, south, east, north = shapely.from_wkb(read(tmp_path / "set")["a.tif"]["footprint"]).bounds
    assert (round(west, 2), round(north, 2)) == (15.0, 45.15)
    assert west < east
    assert south < north


def test_pixel_coordinates_under_a_geographic_system_have_no_footprint(read, tmp_path):
    (tmp_path / "set").mkdir()
    profile = {"driver": "GTiff", "count": 1, "height": 512, "width": 512, "dtype": "uint8"}
    with rasterio.open(
        tmp_path / "set" / "a.tif", "w", **profile, crs="EPSG:4326",
        transform=from_origin(0, 512, 1, 1),
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 512, 512), np.uint8))
    row = read(tmp_path / "set")["a.tif"]
    assert row["crs"] == "EPSG:4326"
    assert row["footprint"] is None


def test_a_file_that_hangs_its_reader_is_given_up_and_the_others_are_read(read, tmp_path):
    arrays = {f"{n}.tif": chip(tmp_path / "set" / f"{n}.tif", n) for n in range(6)}
    listing = open_listing(tmp_path / "set")
    (tmp_path / "set" / "3.tif").unlink()
    os.mkfifo(tmp_path / "set" / "3.tif")  # opening it waits for a writer that never comes
    folder = tmp_path / "hanging"
    folder.mkdir()
    jobs = [RasterJob(file=name, span=listing.span(name)) for name in listing.files]
    with RasterPool(workers=1, seconds=2) as pool:
        rows = {
            row["file"]: row for table in pool.read(jobs, into=folder) for row in table.to_pylist()
        }
    assert set(rows) == set(arrays)
    assert rows["3.tif"]["check"] == "timeout"
    assert all(rows[name]["sha256"] for name in arrays if name != "3.tif")


def test_a_reader_that_dies_takes_nothing_with_it(tmp_path):
    arrays = {f"{n}.tif": chip(tmp_path / "set" / f"{n}.tif", n) for n in range(4)}
    listing = open_listing(tmp_path / "set")
    jobs = [RasterJob(file=name, span=listing.span(name)) for name in listing.files]
    folder = tmp_path / "parts"
    folder.mkdir()
    with RasterPool(workers=1) as pool:
        pool.start()
        pool._children[0].process.kill()
        rows = {
            row["file"]: row for table in pool.read(jobs, into=folder) for row in table.to_pylist()
        }
    assert {name for name, row in rows.items() if row["sha256"]} == set(arrays)


def test_a_part_that_was_cut_short_is_not_believed(read, tmp_path):
    chip(tmp_path / "set" / "a.tif")
    row = read(tmp_path / "set")["a.tif"]
    part = tmp_path / "parts" / row["part"]
    assert len(read_part(part)) == 1
    data = part.with_suffix(".bin").read_bytes()
    part.with_suffix(".bin").write_bytes(data[:-1])
    with pytest.raises(CorruptError, match="is not what was written"):
        read_part(part)
    part.with_suffix(".arrow").write_bytes(b"nonsense")
    with pytest.raises(CorruptError, match="cannot be read"):
        read_part(part)


def test_a_folder_that_cannot_be_written_is_said_to_be_so(pool, tmp_path):
    chip(tmp_path / "set" / "a.tif")
    span = open_listing(tmp_path / "set").span("a.tif")
    with pytest.raises(UnavailableError, match="cannot be written"):
        list(pool.read([RasterJob(file="a.tif", span=span)], into=tmp_path / "absent"))


def test_nothing_to_read_yields_nothing(pool, tmp_path):
    assert list(pool.read([], into=tmp_path)) == []
