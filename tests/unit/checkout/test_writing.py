import io
import json

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image

from registry.catalog import AssetSpec, Task
from registry.curate.checkout import checkout
from registry.curate.checkout.sidecars import facts
from registry.curate.formats import SourceOptions, detect, open_listing
from registry.errors import InvalidInputError, RegistryError
from registry.tables import encode, encode_jpeg

TRANSFORM = [10.0, 0.0, 500_000.0, 0.0, -10.0, 6_200_000.0]


def chip(bands=3, height=4, width=5, dtype="uint16"):
    return np.arange(bands * height * width, dtype=dtype).reshape(bands, height, width)


def asset(sample, name, array, **said):
    """Return a row of assets and its pixels."""
    packed = encode(array)
    row = {
        "sample": sample, "asset": name, "pixels": packed.sha256, "shape": list(packed.shape),
        "dtype": packed.dtype, "crs": "EPSG:32632", "transform": TRANSFORM, "times": [],
    }  # fmt: skip
    tags = said.pop("tags", None)
    return row | said | ({"tags": json.dumps(tags)} if tags else {}), packed


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_raster_comes_back_with_all_that_its_file_said(version_of, tmp_path):
    said = {
        "driver": "GTiff", "bands": ["B02", "B03", "B04"], "scales": [1e-4] * 3,
        "offsets": [-0.1, 0.0, 0.1], "units": ["1", "1", "1"],
        "tags": {"AREA_OR_POINT": "Area", "season": "dry"}, "band_tags": {"2": {"gain": "high"}},
        "domains": {"MINE": {"a": "b"}},
    }  # fmt: skip
    array = chip()
    row, packed = asset("a", "image", array, nodata=7.0, tags=said)
    version = version_of(samples=[{"id": "a"}], assets=[row], pixels=[packed])
    report = checkout(version, tmp_path / "out")
    with rasterio.open(tmp_path / "out/images/a.tif") as file:
        assert (file.read() == array).all()
        assert file.crs == "EPSG:32632"
        assert list(file.transform)[:6] == TRANSFORM
        assert file.nodata == 7
        assert file.descriptions == ("B02", "B03", "B04")
        assert file.scales == (1e-4,) * 3
        assert file.offsets == (-0.1, 0.0, 0.1)
        assert file.tags()["season"] == "dry"
        assert file.tags(2)["gain"] == "high"
        assert file.tags(ns="MINE") == {"a": "b"}
    assert report.lost_tags == ()
    assert tree(tmp_path / "out") == ["README.md", "images/a.json", "images/a.tif"]
    assert (report.files, report.rasters) == (3, 1)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("float64", float("nan")), ("int16", -9999.0), ("uint8", 255.0),
                          ("complex64", None), ("int64", -1.0), ("int8", -1.0)]
)  # fmt: skip
def test_pixels_of_every_type_come_back(version_of, tmp_path, dtype, nodata):
    array = chip(dtype=dtype)
    row, packed = asset("a", "image", array, nodata=nodata)
    version = version_of(samples=[{"id": "a"}], assets=[row], pixels=[packed])
    assert checkout(version, tmp_path / "out").lost_tags == ()
    with rasterio.open(tmp_path / "out/images/a.tif") as file:
        assert file.dtypes[0] == dtype
        assert (file.read() == array).all()
        assert str(file.nodata) == str(nodata)


def test_what_a_geotiff_cannot_hold_is_listed(version_of, tmp_path):
    said = {"driver": "PNG", "lost": ["xml:XMP"], "tags": {"TIFFTAG_RESOLUTIONUNIT": "furlong"}}
    row, packed = asset("a", "image", chip(dtype="uint8"), nodata=-1.0, tags=said)
    version = version_of(samples=[{"id": "a"}], assets=[row], pixels=[packed])
    lost = checkout(version, tmp_path / "out").lost_tags
    assert [one.split(": ")[:2] for one in lost] == [
        ["images/a.tif", "TIFFTAG_RESOLUTIONUNIT"],
        ["images/a.tif", "driver"],
        ["images/a.tif", "nodata"],
        ["images/a.tif", "xml:XMP"],
    ]


def test_colours_stay_as_they_were(version_of, tmp_path):
    rows, packed = zip(
        asset("a", "image", chip(4, dtype="uint8"),
              tags={"colours": ["red", "green", "blue", "alpha"]}),
        asset("b", "image", chip(3, dtype="uint8")),
        strict=True,
    )  # fmt: skip
    version = version_of(samples=[{"id": "a"}, {"id": "b"}], assets=rows, pixels=packed)
    assert checkout(version, tmp_path / "out").lost_tags == ()
    with rasterio.open(tmp_path / "out/images/b.tif") as file:
        assert [one.name for one in file.colorinterp] == ["gray", "undefined", "undefined"]


def jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def test_jpegs_come_back_byte_by_byte_in_the_folder_of_their_class(version_of, tmp_path):
    originals = {"Forest_1": jpeg(1), "River_1": jpeg(2)}
    packed = [encode_jpeg(data) for data in originals.values()]
    rows = [
        {"sample": name, "asset": "image", "pixels": one.sha256, "shape": list(one.shape),
         "dtype": one.dtype, "times": []}
        for name, one in zip(originals, packed, strict=True)
    ]  # fmt: skip
    samples = [{"id": name, "label": [name.split("_")[0]]} for name in originals]
    version = version_of(samples=samples, assets=rows, pixels=packed, task=Task.CLASSIFICATION)
    checkout(version, tmp_path / "out")
    for name, data in originals.items():
        assert (tmp_path / f"out/{name.split('_')[0]}/{name}.jpg").read_bytes() == data
    assert tree(tmp_path / "out") == [
        "Forest/Forest_1.jpg", "README.md", "River/River_1.jpg", "metadata.json",
    ]  # fmt: skip
    source = open_listing(tmp_path / "out")
    found = detect(source, SourceOptions(format="image-folder"))
    assert found.format.plan(source, SourceOptions()).classes == ("Forest", "River")


def outlined(**more):
    shape = shapely.Polygon([(500_010, 6_199_990), (500_030, 6_199_990), (500_030, 6_199_970)])
    return {"id": "a-1", "sample": "a", "geometry": shapely.to_wkb(shape), "frame": "crs",
            "category": "ship"} | more  # fmt: skip


def test_images_masks_and_labels_are_read_back_as_they_were(version_of, tmp_path):
    image, pixels = asset("a", "s2", chip())
    mask, zeros = asset("a", "mask", chip(1, dtype="uint8"))
    version = version_of(
        samples=[{"id": "a", "group": "north"}], assets=[image, mask], pixels=[pixels, zeros],
        annotations=[outlined(method="manual")], classes=("ship", "buoy"),
    )  # fmt: skip
    checkout(version, tmp_path / "out")
    assert tree(tmp_path / "out") == [
        "README.md", "images/a.json", "images/a.tif", "labels.json", "labels/a.geojson",
        "masks/a.tif",
    ]  # fmt: skip
    source = open_listing(tmp_path / "out")
    found = detect(source, SourceOptions())
    assert found.format.name == "image-mask"
    (row,) = found.format.plan(source, SourceOptions()).annotations.to_pylist()
    assert (row["crs"], row["category"], row["method"]) == ("EPSG:32632", "ship", "manual")
    assert row["geometry"] == outlined()["geometry"]


def test_coco_says_the_same_in_pixels(version_of, tmp_path):
    image, pixels = asset("a", "s2", chip(height=40, width=50))
    version = version_of(
        samples=[{"id": "a"}], assets=[image], pixels=[pixels], classes=("buoy", "ship"),
        annotations=[outlined(), outlined(id="a-2", isbox=True, category="buoy")],
    )  # fmt: skip
    checkout(version, tmp_path / "out", as_="coco")
    said = json.loads((tmp_path / "out/annotations/instances.json").read_bytes())
    assert said["images"] == [{"id": 1, "file_name": "a.tif", "width": 50, "height": 40}]
    assert [one["name"] for one in said["categories"]] == ["buoy", "ship"]
    first, second = said["annotations"]
    assert first["segmentation"] == [[1, 1, 3, 1, 3, 3]]
    assert (first["bbox"], first["area"], first["category_id"]) == ([1, 1, 2, 2], 2, 2)
    assert "segmentation" not in second


def test_assets_by_reference_are_listed_and_not_made_up(version_of, tmp_path):
    row = {"sample": "a", "asset": "B04", "href": "https://example.com/B04.tif", "size": 7}
    report = checkout(version_of(samples=[{"id": "a"}], assets=[row]), tmp_path / "out")
    assert (report.rasters, report.by_reference) == (0, 1)
    assert (tmp_path / "out/references.csv").read_text().splitlines() == [
        "sample,asset,href,checksum,size", "a,B04,https://example.com/B04.tif,,7",
    ]  # fmt: skip


@pytest.mark.parametrize("hostile", ["../../escape", "/etc/passwd", "a\nb", "..", "A" * 400])
def test_no_name_in_a_table_leads_out_of_the_folder(version_of, tmp_path, hostile):
    rows, packed = zip(asset(hostile, "image", chip()), asset(hostile, hostile, chip()),
                       strict=True)  # fmt: skip
    version = version_of(
        samples=[{"id": hostile, "label": [hostile]}], assets=rows, pixels=packed[:1],
        annotations=[outlined(sample=hostile)],
    )  # fmt: skip
    before = set(tmp_path.iterdir())
    checkout(version, tmp_path / "out")
    assert set(tmp_path.iterdir()) - before == {tmp_path / "out"}
    assert len(list((tmp_path / "out").rglob("*.tif"))) == 2


def test_ids_that_differ_by_case_alone_get_files_of_their_own(version_of, tmp_path):
    rows, packed = zip(asset("a", "image", chip()), asset("A", "image", chip()), strict=True)
    version = version_of(samples=[{"id": "a"}, {"id": "A"}], assets=rows, pixels=packed[:1])
    checkout(version, tmp_path / "out")
    names = {path.name.casefold() for path in (tmp_path / "out/images").glob("*.tif")}
    assert len(names) == 2


def test_a_folder_with_something_in_it_is_left_alone(version_of, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("keep")
    with pytest.raises(InvalidInputError, match="not empty"):
        checkout(version_of(samples=[{"id": "a"}]), tmp_path / "out")
    assert tree(tmp_path / "out") == ["mine.txt"]


def test_a_checkout_that_fails_leaves_nothing(version_of, tmp_path):
    row, packed = asset("a", "image", chip())
    version = version_of(samples=[{"id": "a"}], assets=[row | {"dtype": "float64"}],
                         pixels=[packed])  # fmt: skip
    before = set(tmp_path.iterdir())
    with pytest.raises(RegistryError, match="unpacks to 120 bytes"):
        checkout(version, tmp_path / "out")
    assert set(tmp_path.iterdir()) == before


def test_an_unknown_layout_is_refused(version_of, tmp_path):
    with pytest.raises(InvalidInputError, match="'voc'"):
        checkout(version_of(samples=[{"id": "a"}]), tmp_path / "out", as_="voc")


def test_the_card_names_the_bands_of_arrays_that_came_as_no_file(version_of, tmp_path):
    row, packed = asset("a", "s2", chip())
    version = version_of(
        samples=[{"id": "a"}], assets=[row], pixels=[packed],
        assets_spec={"s2": AssetSpec(bands=("B02", "B03", "B04"), scale=1e-4)},
    )  # fmt: skip
    checkout(version, tmp_path / "out")
    with rasterio.open(tmp_path / "out/images/a.tif") as file:
        assert file.descriptions == ("B02", "B03", "B04")
        assert file.scales == (1e-4,) * 3


def test_a_time_series_is_one_file_a_step(version_of, tmp_path):
    array = np.arange(120, dtype="int16").reshape(2, 3, 4, 5)
    row, packed = asset("a", "s2", array)
    version = version_of(samples=[{"id": "a"}], assets=[row], pixels=[packed])
    checkout(version, tmp_path / "out")
    for number, step in enumerate(array):
        with rasterio.open(tmp_path / f"out/images/a/{number:04}.tif") as file:
            assert (file.read() == step).all()


def test_labels_are_placed_by_the_asset_that_has_a_crs(version_of, tmp_path):
    image, pixels = asset("a", "image", chip(), crs=None, transform=None)
    mask, zeros = asset("a", "mask", chip(1, dtype="uint8"))
    version = version_of(
        samples=[{"id": "a"}], assets=[image, mask], pixels=[pixels, zeros],
        annotations=[outlined()],
    )  # fmt: skip
    checkout(version, tmp_path / "out")
    said = json.loads((tmp_path / "out/labels/a.geojson").read_bytes())
    assert said["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32632"


def test_facts_lie_beside_the_data_and_not_beside_a_map_of_labels(version_of, tmp_path):
    label, zeros = asset("a", "reference_map", chip(1, dtype="uint8"))
    image, pixels = asset("a", "s2", chip())
    version = version_of(
        samples=[{"id": "a"}], assets=[label, image], pixels=[zeros, pixels],
        assets_spec={"reference_map": AssetSpec(role="labels"), "s2": AssetSpec(role="data")},
    )  # fmt: skip
    checkout(version, tmp_path / "out")
    assert tree(tmp_path / "out") == ["README.md", "reference_map/a.tif", "s2/a.json", "s2/a.tif"]


def test_labels_are_said_in_the_system_that_they_are_kept_in(version_of, tmp_path):
    other, pixels = asset("a", "dem", chip(1), crs="EPSG:32633")
    image, zeros = asset("a", "image", chip())
    version = version_of(
        samples=[{"id": "a"}], assets=[image, other], pixels=[pixels, zeros],
        annotations=[outlined()],
    )  # fmt: skip
    checkout(version, tmp_path / "out")
    said = json.loads((tmp_path / "out/labels/a.geojson").read_bytes())
    assert said["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"


def test_what_coco_cannot_say_is_listed(version_of, tmp_path):
    image, pixels = asset("a", "image", chip())
    bare, _ = asset("b", "image", chip(), crs=None, transform=None)
    point = shapely.to_wkb(shapely.Point(500_010, 6_199_990))
    version = version_of(
        samples=[{"id": "a"}, {"id": "b"}], assets=[image, bare], pixels=[pixels],
        annotations=[outlined(geometry=point), outlined(id="b-1", sample="b")],
    )  # fmt: skip
    assert checkout(version, tmp_path / "out", as_="coco").lost_tags == (
        "annotations/instances.json: a-1: COCO has no points or lines",
        "annotations/instances.json: b-1: its image has no transform",
    )


def test_a_property_does_not_pass_for_a_fact():
    said = facts({"id": "a", "properties": {"id": "b", "cloud": 3, "rain": None}})
    assert said == {"id": "a", "cloud": 3}
