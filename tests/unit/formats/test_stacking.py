"""Files of single bands are read as one array, if they lie on one grid."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from registry.curate.formats.listing import open_listing
from registry.curate.formats.raster import RasterJob, RasterPool
from registry.tables.pixels import decode

PLACE = from_origin(5e5, 5e6, 10, 10)


def band(path, number, *, height=20, width=30, dtype="uint16", tags=None, name=None, **said):
    """Write one band whose pixels say which it is and where they are; return them."""
    y, x = np.mgrid[0:height, 0:width]
    array = (number * 1_000 + y * width + x).astype(dtype)
    profile = {"driver": "GTiff", "count": 1, "height": height, "width": width, "dtype": dtype}
    place = {"crs": "EPSG:32633", "transform": PLACE} | said
    with rasterio.open(path, "w", **profile, **place) as raster:
        raster.write(array, 1)
        raster.update_tags(**(tags or {}))
        if name:
            raster.set_band_description(1, name)
    return array


@pytest.fixture(scope="module")
def pool():
    with RasterPool(workers=1, seconds=20) as pool:
        yield pool


@pytest.fixture
def read(pool, tmp_path):
    def run(first, *others):
        listing = open_listing(tmp_path)
        stack = tuple((name, listing.span(name)) for name in others)
        job = RasterJob(file=first, span=listing.span(first), stack=stack)
        parts = tmp_path / ".parts"
        parts.mkdir(exist_ok=True)
        (row,) = [row for table in pool.read([job], into=parts) for row in table.to_pylist()]
        assert row["stamp"] == job.stamp
        if row["sha256"] is not None:
            data = (parts / f"{row['part']}.bin").read_bytes()[row["offset"] :][: row["length"]]
            array = decode(data, codec=row["codec"], dtype=row["dtype"], shape=row["shape"])
            return row, array
        return row, None

    return run


def test_bands_come_in_the_order_of_the_files(read, tmp_path):
    bands = {name: band(tmp_path / f"{name}.tif", number) for number, name in enumerate("bca")}
    row, array = read("b.tif", "c.tif", "a.tif")
    np.testing.assert_array_equal(array, np.stack(list(bands.values())))
    assert (row["shape"], row["crs"]) == ([3, 20, 30], "EPSG:32633")
    assert tuple(row["transform"]) == tuple(PLACE)[:6]


def test_what_all_files_say_is_said_of_the_whole_and_the_rest_of_its_bands(read, tmp_path):
    band(tmp_path / "a.tif", 1, tags={"BY": "us", "ORBIT": "22"}, name="red")
    band(tmp_path / "b.tif", 2, tags={"BY": "us", "ORBIT": "23"})
    row, _ = read("a.tif", "b.tif")
    said = json.loads(row["said"])
    assert said["bands"] == ["red", ""]
    assert said["tags"] == {"AREA_OR_POINT": "Area", "BY": "us"}
    assert said["band_tags"] == {"1": {"ORBIT": "22"}, "2": {"ORBIT": "23"}}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"height": 10}, "30 x 10 pixels, not 30 x 20"),
        ({"dtype": "float32"}, "holds float32, not uint16"),
        ({"transform": from_origin(5e5 + 10, 5e6, 10, 10)}, "lies elsewhere"),
        ({"crs": "EPSG:32634"}, "lies elsewhere"),
        ({"nodata": 0}, "nodata value 0.0, not None"),
    ],
)
def test_files_that_do_not_go_together_are_named(read, tmp_path, said, problem):
    band(tmp_path / "a.tif", 1)
    band(tmp_path / "b.tif", 2, **said)
    row, _ = read("a.tif", "b.tif")
    assert (row["check"], row["part"]) == ("bands-differ", None)
    assert "'b.tif'" in row["message"]
    assert problem in row["message"]


@pytest.mark.parametrize("content", [b"", b"II*\0 and then nothing", b"<VRTDataset/>"])
def test_a_file_of_a_stack_that_cannot_be_read_is_named(read, tmp_path, content):
    band(tmp_path / "a.tif", 1)
    (tmp_path / "b.tif").write_bytes(content)
    row, _ = read("a.tif", "b.tif")
    assert row["check"] in {"unreadable", "format-refused"}
    assert "'b.tif'" in row["message"]


def test_a_stack_that_is_too_large_together_is_refused(monkeypatch):
    from registry.curate.formats import stacking
    from registry.curate.formats.decoded import Decoded, Header, UnreadableError

    monkeypatch.setattr(stacking, "MAX_ARRAY_BYTES", 5_000)
    array = np.zeros((1, 40, 50), np.uint8)
    file = Decoded(header=Header(shape=array.shape, dtype="uint8"), transform=None, array=array)
    stacking.stacked([("a.tif", file), ("b.tif", file)])
    with pytest.raises(UnreadableError, match="more than 5,000 bytes"):
        stacking.stacked([(f"{name}.tif", file) for name in "abc"])
