"""Files made to harm their reader: each is refused with the reason, and only its reader suffers."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from registry.curate.formats import child
from registry.curate.formats.listing import open_listing
from registry.curate.formats.raster import RasterJob, RasterPool

VRT = """<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename relativeToVRT="0">{target}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.fixture(scope="module")
def pool():
    with RasterPool(workers=1, memory=2 << 30, seconds=15) as pool:
        yield pool


@pytest.fixture
def read(pool, tmp_path):
    """Read files by name and content; return each one's row."""

    def run(files):
        for name, data in files.items():
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name).write_bytes(data)
        (tmp_path / "parts").mkdir(exist_ok=True)
        listing = open_listing(tmp_path / "set")
        jobs = [RasterJob(file=name, span=listing.span(name)) for name in files]
        rows = {}
        for table in pool.read(jobs, into=tmp_path / "parts"):
            rows.update((row["file"], row) for row in table.to_pylist())
        assert set(rows) == set(files)
        return rows

    return run


def chip(**options):
    """A small GeoTIFF whose pixels are all different."""
    array = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    profile = {"driver": "GTiff", "count": 3, "height": 40, "width": 50, "dtype": "uint16"}
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 10, 10)}
    with MemoryFile() as file:
        with file.open(**profile, **place, **options) as raster:
            raster.write(array)
        return file.read()


def tiff(tags, *, order="<", extra=b"", after=0):
    """A classic TIFF of one directory with inline values."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    body = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        body += struct.pack(f"{order}HHII", tag, kind, count, value)
    return head + body + struct.pack(f"{order}I", after) + extra


def declaring(width, height, *, bits=8, samples=1, **more):
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, more.get("compression", 1)),
        (262, 3, 1, 1),
        (273, 4, 1, more.get("offset", 200)),
        (277, 3, 1, samples),
        (278, 4, 1, more.get("rows", height)),
        (279, 4, 1, more.get("bytes", 100)),
    ]
    return tiff(tags, extra=more.get("extra", bytes(200)))


def half_a_terabyte():
    """7 MB of strip offsets that declare 480 GB of pixels."""
    strips = 880_000
    end = 8 + 2 + 12 * 8 + 4
    tags = [
        (256, 4, 1, 550_000),
        (257, 4, 1, strips),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, strips, end),
        (278, 4, 1, 1),
        (279, 4, strips, end + 4 * strips),
    ]
    return tiff(tags, extra=np.full(2 * strips, 8, "<u4").tobytes())


def inflating(size, side):
    """A deflated strip of zeros that is far larger than the file."""
    packed = zlib.compress(bytes(size), 9)
    return declaring(side, size // side, compression=8, offset=150, bytes=len(packed),
                     extra=bytes(150 - 122) + packed)  # fmt: skip


NOT_RASTERS = {
    "empty.tif": (b"", "is empty"),
    "pointer.tif": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "Git-LFS pointer",
    ),
    "passwd.vrt": (VRT.format(target="/etc/passwd").encode(), "is a VRT"),
    "passwd.tif": (VRT.format(target="/etc/passwd").encode(), "is a VRT"),
    "spaced.tif": (b"\xef\xbb\xbf \n<!-- x -->" + VRT.format(target="a.tif").encode(), "is a VRT"),
    "network.tif": (VRT.format(target="/vsicurl/http://127.0.0.1/a.tif").encode(), "is a VRT"),
    "page.tif": (b"<!DOCTYPE html><html>404</html>", "XML or HTML"),
    "wms.tif": (b"<GDAL_WMS><Service name='TMS'/></GDAL_WMS>", "XML or HTML"),
    "hdf5.tif": (b"\x89HDF\r\n\x1a\n" + bytes(500), "HDF5"),
    "netcdf.tif": (b"CDF\x01" + bytes(500), "netCDF"),
    "hdf4.tif": (b"\x0e\x03\x13\x01" + bytes(500), "HDF 4"),
    "grib.tif": (b"GRIB" + bytes(500), "GRIB"),
    "gif.tif": (b"GIF89a" + bytes(500), "GIF"),
    "bmp.tif": (b"BM" + bytes(500), "BMP"),
    "webp.tif": (b"RIFF" + bytes(500), "RIFF"),
    "pdf.tif": (b"%PDF-1.4" + bytes(500), "PDF"),
    "zip.tif": (b"PK\x03\x04" + bytes(500), "zip archive"),
    "envi.hdr": (b"ENVI\nsamples = 10\n", "ENVI"),
    "text.tif": (b"just words", "is no raster"),
    "zeros.tif": (bytes(1000), "is no raster"),
    "noise.tif": (bytes(range(1, 256)), "is no raster"),
    "pickle.tif": (b"\x80\x04\x95cos\nsystem\n", "is no raster"),
    "elf.tif": (b"\x7fELF" + bytes(200), "is no raster"),
    "path.tif": (b"/vsicurl/http://127.0.0.1/a.tif", "is no raster"),
}


def test_what_is_no_raster_is_refused_by_its_first_bytes(read):
    rows = read({name: data for name, (data, _) in NOT_RASTERS.items()})
    for name, (_, reason) in NOT_RASTERS.items():
        assert reason in rows[name]["message"], name
        assert rows[name]["fix"], name
        assert rows[name]["sha256"] is None, name


BOMBS = {
    "half-a-terabyte.tif": (half_a_terabyte, "too-large"),
    "billions-wide.tif": (lambda: declaring(4_000_000_000, 4_000_000_000), None),
    "gigabytes.tif": (lambda: declaring(60_000, 60_000), "too-large"),
    "many-bands.tif": (lambda: declaring(4_000, 4_000, samples=60_000), None),
    "doubles.tif": (lambda: declaring(20_000, 20_000, bits=64), None),
    "sparse.tif": (lambda: declaring(16_000, 16_000, offset=0, bytes=0), "too-large"),
    "inflating.tif": (lambda: inflating(200 << 20, 16_384), None),
    "no-columns.tif": (lambda: declaring(0, 100), "unreadable"),
    "no-rows.tif": (lambda: declaring(100, 0), "unreadable"),
    "beyond-the-end.tif": (lambda: declaring(100, 100, offset=9_000_000, bytes=10_000), None),
    "odd-bits.tif": (lambda: declaring(100, 100, bits=77), "unreadable"),
    "unknown-packing.tif": (lambda: declaring(10, 10, compression=60_000), "unreadable"),
    "loop.tif": (lambda: tiff([(256, 4, 1, 10), (257, 4, 1, 10)], after=8), "unreadable"),
    "no-tags.tif": (lambda: tiff([]), "unreadable"),
    "tags-beyond.tif": (lambda: b"II*\0" + struct.pack("<I", 1 << 31), "unreadable"),
    "many-tags.tif": (
        lambda: b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + bytes(900),
        "unreadable",
    ),
    "big-tiff-lies.tif": (
        lambda: b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + struct.pack("<Q", 1 << 60),
        "unreadable",
    ),
    "huge.png": (
        lambda: b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
        + (ihdr := struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, 6, 0, 0, 0))
        + struct.pack(">I", zlib.crc32(b"IHDR" + ihdr)),
        None,
    ),
    "huge.jpg": (
        lambda: b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03"
        b"\x01\x11\x00\x02\x11\x01\x03\x11\x01\xff\xd9",
        None,
    ),
    "cut.jpg": (lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF", "unreadable"),
    "cut.png": (lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "unreadable"),
    "cut.jp2": (lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20), "unreadable"),
    "cut.j2k": (lambda: b"\xff\x4f\xff\x51" + bytes(20), "unreadable"),
}  # fmt: skip


def test_bombs_and_malformed_headers_are_refused_before_they_are_read(read):
    rows = read({name: make() for name, (make, _) in BOMBS.items()})
    for name, (_, check) in BOMBS.items():
        assert rows[name]["sha256"] is None, name
        assert check is None or rows[name]["check"] == check, (name, rows[name])
        assert rows[name]["message"], name


MEASURE = """
import resource, sys
from pathlib import Path
from registry.curate.formats.listing import open_listing
from registry.curate.formats.raster import RasterJob, RasterPool

listing, parts = open_listing(Path(sys.argv[1])), Path(sys.argv[2])
with RasterPool(workers=1, memory=2 << 30, seconds=15) as pool:
    jobs = [RasterJob(file=name, span=listing.span(name)) for name in sys.argv[3:]]
    print(sum(table.num_rows for table in pool.read(jobs, into=parts)))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_no_reader_grew_large(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "parts").mkdir()
    for name, (make, _) in BOMBS.items():
        (tmp_path / "set" / name).write_bytes(make())
    # in a process of its own, whose only children are the readers
    said = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "set", tmp_path / "parts", *BOMBS],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    read, largest = map(int, said.stdout.split())
    assert read == len(BOMBS)
    assert largest < 1 << 20  # kilobytes: 1 GB


@pytest.mark.parametrize("packing", [{}, {"compress": "deflate", "predictor": 2}, {"tiled": True}])
def test_a_raster_that_is_cut_short_is_refused_wherever_it_is_cut(read, packing):
    blocks = {"blockxsize": 16, "blockysize": 16} if packing.get("tiled") else {}
    whole = chip(**packing, **blocks)
    cuts = {f"{at}.tif": whole[: len(whole) * at // 12] for at in range(12)}
    rows = read({"whole.tif": whole, **cuts})
    assert rows.pop("whole.tif")["sha256"] is not None
    assert all(row["sha256"] is None and row["message"] for row in rows.values())


def test_flipped_bytes_are_read_or_refused_and_never_stop_the_rest(read):
    whole = chip(compress="deflate")
    rng = np.random.default_rng(7)
    files = {}
    for number in range(60):
        broken = bytearray(whole)
        for at in rng.integers(4, min(len(whole), 600), size=4):
            broken[at] ^= int(rng.integers(1, 256))
        files[f"{number}.tif"] = bytes(broken)
    rows = read({**files, "good.tif": whole})
    assert rows["good.tif"]["sha256"] is not None
    assert all((row["sha256"] is None) != (row["message"] is None) for row in rows.values())


def test_a_wrong_suffix_is_read_for_what_it_is_and_noted(read):
    row = read({"chip.png": chip()})["chip.png"]
    assert row["sha256"] is not None
    assert row["warnings"] == ["wrong-suffix: ends in .png but is GTiff"]


def test_files_beside_a_raster_are_not_read_with_it(read, tmp_path):
    outside = tmp_path / "outside.tif"
    outside.write_bytes(chip())
    sidecar = b"<PAMDataset><Metadata><MDI key='stolen'>yes</MDI></Metadata></PAMDataset>"
    rows = read({
        "chip.tif": chip(),
        "other.tif": chip(),
        "chip.tif.ovr": VRT.format(target=outside).encode(),
    })
    (tmp_path / "set" / "chip.tif.aux.xml").write_bytes(sidecar)
    again = read({"chip.tif": chip()})
    assert "stolen" not in again["chip.tif"]["said"]
    assert rows["chip.tif"]["sha256"] == again["chip.tif"]["sha256"]


def test_a_reader_has_no_network():
    allowed = subprocess.run(["unshare", "--user", "--net", "true"], check=False)
    if allowed.returncode:
        pytest.skip("the system gives no namespaces")
    code = (
        f"import runpy, socket; runpy.run_path({child.__file__!r})['confine'](1 << 31);"
        "print(*(name for _, name in socket.if_nameindex()))"
    )
    confined = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert confined.stdout.split() in ([], [b"lo"])


def test_secrets_of_the_environment_do_not_reach_a_reader(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    with RasterPool(workers=1) as pool:
        pool.start()
        process = pool._children[0].process.pid
        environment = Path(f"/proc/{process}/environ").read_bytes()
    assert b"do-not-tell" not in environment


def test_an_image_of_countless_bands_is_refused_before_they_are_described(read):
    profile = {"driver": "GTiff", "count": 5000, "height": 1, "width": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 10, 10)}
    with MemoryFile() as file:
        with file.open(**profile, **place, interleave="pixel") as raster:
            raster.write(np.zeros((5000, 1, 1), np.uint8))
        data = file.read()

    [row] = read({"bands.tif": data}).values()

    assert "5,000 bands" in str(row)
