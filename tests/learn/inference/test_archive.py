"""A STAC API that somebody else wrote, over files made from the real series beside the project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask
from rasterio.warp import Resampling, reproject, transform_bounds, transform_geom

from registry.errors import InvalidInputError, NotFoundError, RejectedError, UnavailableError
from registry.geo import parse_interval
from registry.learn.inference import archive_reader, asking
from registry.learn.inference.archive import Search, _day, fetch, search
from registry.learn.inference.asked_area import area_of
from registry.learn.inference.limited import UnreadableSceneError
from registry.learn.inference.meaning import WrongBandsError
from registry.learn.inference.presets import preset_named
from registry.learn.inference.scenes import open_files
from registry.learn.inference.web import UnsafeAddressError, check_api, check_file, check_href
from registry.learn.inference.windows import Region
from registry.learn.loading.contract import Band, Contract, Input
from tests.learn.inference.stac_api import Running

REAL = Path(__file__).parents[4] / "shared/data/eotdl-s2-boadella-water"
NAMES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
EARTH_SEARCH = {"B02": "blue", "B04": "red", "B11": "swir16", "B8A": "nir08"}
UTM = "EPSG:32631"
DAYS = ("2020-01-13", "2020-06-21")
SIDE = 200


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    with Running(folder) as api:
        api.collect("sentinel-2-l2a")
        for number, day in enumerate(DAYS):
            files = laid(folder, day)
            bbox = transform_bounds(UTM, "OGC:CRS84", *bounds())
            api.add(
                "sentinel-2-l2a", f"S2_{day}", bbox=bbox, day=day,
                hrefs={key: f"{api.address}/files/{name}" for key, name in files.items()},
                **{"eo:cloud_cover": 5.0 + 60 * number, "proj:epsg": 32631,
                   "s2:processing_baseline": ("02.13", "05.09")[number]},
            )  # fmt: skip
        yield api


def bounds():
    return 483_000, 4_686_000, 483_000 + 10 * SIDE, 4_686_000 + 10 * SIDE


def laid(folder, day):
    """Write each band of a day as Sentinel-2 has it: UTM, 10 or 20 m, unsigned, nodata 0."""
    found = {}
    for band, key in {**EARTH_SEARCH, "SCL": "scl"}.items():
        size = 10 if band in {"B02", "B04"} else 20
        side = SIDE * 10 // size
        place = rasterio.Affine(size, 0, bounds()[0], 0, -size, bounds()[3])
        values = np.zeros((side, side), np.uint16)
        if band == "SCL":
            values[...] = 6
            values[: side // 4] = 9  # clouds over the northern quarter
        elif (REAL / f"Boadella_{day}.tif").exists():
            with rasterio.open(REAL / f"Boadella_{day}.tif") as real:
                reproject(
                    real.read(NAMES.index(band) + 1).clip(1).astype(np.uint16), values,
                    src_transform=real.transform, src_crs=real.crs, dst_transform=place,
                    dst_crs=UTM, resampling=Resampling.nearest, src_nodata=0, dst_nodata=0,
                )  # fmt: skip
        else:
            rows, columns = np.mgrid[:side, :side]
            values[...] = 500 + 3 * rows + columns + len(band)
        name = f"{day}-{key}.tif"
        with rasterio.open(
            folder / name, "w", driver="COG", height=side, width=side, count=1, crs=UTM,
            dtype="uint8" if band == "SCL" else "uint16", nodata=0, transform=place,
        ) as file:  # fmt: skip
            file.write(values.astype(file.dtypes[0]), 1)
        found[key] = name
    return found


def wanted(archive, **more):
    asked = {
        "preset": preset_named("sentinel-2-l2a"), "api": archive.address,
        "area": area_of("2.80,42.333,2.81,42.341"), "interval": parse_interval("2020"),
    }  # fmt: skip
    return Search(**asked | more)


def reads(*names, gsd=10.0):
    bands = tuple(Band(name=name, unit="reflectance", scale=1e-4) for name in names)
    return Input(asset="image", bands=bands, gsd=gsd, level="L2A")


def test_days_are_found_with_their_clouds_and_their_offset(archive):
    found = search(wanted(archive))
    assert [(one.day, one.cloud, one.offset) for one in found] == [
        ("2020-01-13", 5.0, 0.0), ("2020-06-21", 65.0, -0.1),
    ]  # fmt: skip
    assert [one.day for one in search(wanted(archive, max_cloud=20))] == ["2020-01-13"]
    june = search(wanted(archive, interval=parse_interval("2020-06-01/2020-07-01")))
    assert [one.day for one in june] == ["2020-06-21"]


def test_a_day_comes_as_a_file_that_says_all_about_itself(archive, tmp_path):
    asked = wanted(archive)
    (day, later) = search(asked)
    share = fetch(day, asked, reads("B04", "B02"), tmp_path / "day.tif")
    fetch(later, asked, reads("B04"), tmp_path / "later.tif")
    with rasterio.open(tmp_path / "day.tif") as file:
        assert file.descriptions == ("B04", "B02")
        assert file.scales == (1e-4, 1e-4)
        assert file.offsets == (0, 0)
        assert file.nodata == 0
        assert file.crs.to_epsg() == 32631
        assert file.transform.a == 10
        assert file.transform.c % 10 == 0
        array = file.read()
        place = file.transform
    with rasterio.open(tmp_path / "later.tif") as file:
        assert file.offsets == (-0.1,)
    left, top = (place.c - bounds()[0]) / 10, (bounds()[3] - place.f) / 10
    source = archive_pixels(archive, "2020-01-13", "red")
    rows = np.arange(array.shape[1]) + int(top)
    columns = np.arange(array.shape[2]) + int(left)
    same = source[np.ix_(rows, columns)]
    cloudy = rows < SIDE // 4
    assert (array[0][~cloudy] == same[~cloudy]).all()
    assert (array[:, cloudy] == 0).all()
    assert share == pytest.approx((array != 0).all(0).mean())


def test_of_a_polygon_only_what_lies_within_is_counted(archive, tmp_path):
    asked = wanted(archive, area=shapely.Polygon([(2.80, 42.33), (2.81, 42.33), (2.80, 42.341)]))
    (day, _) = search(asked)
    share = fetch(day, asked, reads("B04"), tmp_path / "day.tif")
    with rasterio.open(tmp_path / "day.tif") as file:
        there = transform_geom("OGC:CRS84", file.crs, shapely.geometry.mapping(asked.area))
        inside = geometry_mask([there], file.shape, file.transform, invert=True)
        clear = file.read(1) != 0
    assert share == pytest.approx(clear[inside].mean(), abs=1e-3)
    assert clear[~inside].any()  # what surrounds the area helps at its edge


def archive_pixels(archive, day, key):
    with rasterio.open(archive_folder(archive) / f"{day}-{key}.tif") as file:
        return file.read(1)


def test_bands_of_20_m_come_in_pixels_of_the_model(archive, tmp_path, tell):
    asked = wanted(archive)
    day = search(asked)[0]
    fetch(day, asked, reads("B11", "B8A", gsd=20.0), tmp_path / "day.tif", keep_clouds=True)
    with open_files(
        Contract(inputs=(reads("B11", "B8A", gsd=20.0),)), {"image": [tmp_path / "day.tif"]}
    ) as scene:
        assert scene.placement.transform[0] == 20
        _, observed = scene.read(Region(top=0, left=0, height=scene.height, width=scene.width))
        assert observed.all()


def test_what_the_archive_does_not_have_is_said(archive, tmp_path):
    asked = wanted(archive)
    with pytest.raises(WrongBandsError, match="the model reads VV"):
        fetch(search(asked)[0], asked, reads("VV"), tmp_path / "day.tif")
    with pytest.raises(WrongBandsError, match="items of the archive have no B12"):
        fetch(search(asked)[0], asked, reads("B12"), tmp_path / "day.tif")
    with pytest.raises(NotFoundError, match="has nothing of sentinel-2-l2a"):
        search(wanted(archive, area=area_of("10,10,11,11")))
    with pytest.raises(NotFoundError, match=r"has no HLSS30_2.0"):
        search(wanted(archive, preset=preset_named("hls-s30")))
    with pytest.raises(NotFoundError, match="there is no archive 'modis'"):
        preset_named("modis")
    with pytest.raises(InvalidInputError, match="the area has"):
        fetch(search(asked)[0], wanted(archive, area=area_of("-50,0,50,60")), reads("B04"),
              tmp_path / "day.tif")  # fmt: skip


def test_an_archive_that_is_not_there_is_said(archive):
    with pytest.raises(UnavailableError, match="does not answer as a STAC API"):
        search(wanted(archive, api="http://127.0.0.1:9"))


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd", "/etc/passwd", "s3://bucket/a.tif", "/vsicurl/https://a.example/a.tif",
        "http://a.example/a.tif", "https://127.0.0.1/a.tif", "https://169.254.169.254/a.tif",
        "https://user@a.example/a.tif", "https://10.0.0.1/a.tif", "https://[::1]/a.tif",
        "https://a.example/a b.tif", "vrt://https://a.example/a.tif",
    ],
)  # fmt: skip
def test_addresses_that_lead_elsewhere_are_not_followed(archive, href):
    with pytest.raises(UnsafeAddressError):
        check_href(href, api="https://earth.example/v1")
    archive.collect("hostile")
    archive.add(
        "hostile", "one", bbox=(2.7, 42.3, 2.9, 42.4), day="2020-03-01", hrefs={"red": href}
    )
    item = archive.shelf.items.pop()
    archive.shelf.items.append({**item, "collection": "sentinel-2-l2a"})
    try:
        with pytest.raises(UnsafeAddressError):
            search(wanted(archive, interval=parse_interval("2020-03")))
    finally:
        archive.shelf.items.pop()


def test_a_date_that_is_none_becomes_no_name_of_a_file(archive):
    archive.add(
        "sentinel-2-l2a", "one", bbox=(2.7, 42.3, 2.9, 42.4), day="2020-03-01",
        hrefs={"red": f"{archive.address}/files/2020-01-13-red.tif"},
    )  # fmt: skip
    asked = wanted(archive, interval=parse_interval("2020-03"))
    assert [one.day for one in search(asked)] == ["2020-03-01"]
    item = archive.shelf.items.pop()
    with pytest.raises(RejectedError, match="has the date"):
        _day(item, {"datetime": "../../../etc/passwd"})


ITEM = {
    "id": "one", "collection": "sentinel-2-l2a", "geometry": {}, "assets": {},
    "properties": {"datetime": "2020-01-13T00:00:00Z"},
}  # fmt: skip


def of_items(monkeypatch, *items):
    monkeypatch.setattr(asking, "items", lambda *_, **__: list(items))
    return search(Search(
        preset=preset_named("sentinel-2-l2a"), area=area_of("2,42,3,43"), max_cloud=50,
        interval=parse_interval("2020"),
    ))  # fmt: skip


@pytest.mark.parametrize("said", ["text", ["datetime"], 7])
def test_an_item_whose_properties_are_none_is_refused(monkeypatch, said):
    with pytest.raises(RejectedError, match="'one' of the archive has no object as its properties"):
        of_items(monkeypatch, {**ITEM, "properties": said})


@pytest.mark.parametrize("cloud", [float("nan"), float("inf"), -1, 101, 10**400, "10", None])
def test_clouds_that_are_no_share_are_not_counted(monkeypatch, cloud):
    odd = {**ITEM, "properties": {**ITEM["properties"], "eo:cloud_cover": cloud}}
    sure = {**ITEM, "properties": {**ITEM["properties"], "eo:cloud_cover": 20}}
    (day,) = of_items(monkeypatch, odd, sure)
    assert (day.cloud, len(day.items)) == (20, 2)


def test_an_archives_file_that_is_a_vrt_is_refused(archive, tmp_path):
    folder = tmp_path
    secret = folder / "secret.tif"
    with rasterio.open(
        secret, "w", driver="GTiff", height=20, width=20, count=1, dtype="uint16", crs=UTM,
        transform=rasterio.Affine(10, 0, 483_000, 0, -10, 4_688_000),
    ) as file:  # fmt: skip
        file.write(np.full((1, 20, 20), 7, np.uint16))
    text = (
        '<VRTDataset rasterXSize="20" rasterYSize="20"><SRS>EPSG:32631</SRS>'
        "<GeoTransform>483000,10,0,4688000,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    served = archive_folder(archive) / "trap.tif"
    served.write_text(text)
    archive.add(
        "sentinel-2-l2a", "trap", bbox=(2.7, 42.3, 2.9, 42.4), day="2020-03-01",
        hrefs={"red": f"{archive.address}/files/trap.tif"}, **{"proj:epsg": 32631},
    )  # fmt: skip
    try:
        asked = wanted(archive, interval=parse_interval("2020-03"))
        with pytest.raises(UnreadableSceneError):
            fetch(search(asked)[0], asked, reads("B04"), tmp_path / "day.tif", keep_clouds=True)
    finally:
        archive.shelf.items.pop()


def archive_folder(archive):
    return Path(archive.folder)


def test_an_api_is_asked_over_https_or_on_this_machine():
    assert check_api("http://localhost:8080") == "http://localhost:8080"
    for bad in ("http://earth.example", "ftp://earth.example", "https://u:p@earth.example", "x"):
        with pytest.raises(InvalidInputError):
            check_api(bad)
    with pytest.raises(UnsafeAddressError, match="named like no GeoTIFF"):
        check_file("https://203.0.113.5.example/a.vrt", api="https://earth.example")


def test_the_reader_keeps_to_a_limit_that_is_lower_than_its_own():
    script = Path(archive_reader.__file__)
    limits = json.dumps({"memory": 6 << 30, "parent": os.getpid()})
    words = f'ulimit -v {4 << 20} && exec "$0" -P "$1" "$2"'  # KiB
    done = subprocess.run(
        ["bash", "-c", words, sys.executable, str(script), limits], stdin=subprocess.DEVNULL,
        env={"PATH": os.defpath, "PYTHONPATH": str(script.parents[3]), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ValueError" not in done.stderr
    assert done.returncode == 0, done.stderr
