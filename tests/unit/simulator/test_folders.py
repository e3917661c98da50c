"""Simulations can be written as other people's datasets lie."""

import json
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image

from registry.curate.formats import detect, open_listing, plan
from registry.curate.formats.contract import SourceOptions
from registry.curate.ingest.readme import read_card
from registry.curate.ingest.simulator import (
    TASKS,
    contact_sheet,
    simulate,
    true_colour,
    write_folder,
)
from registry.errors import InvalidInputError, NotFoundError, UnavailableError

BROKEN = ("lfs-pointer", "missing-pair", "wrong-crs")


def written(tmp_path, task, **options):
    asked = {"samples": 8, "seed": 3, "size": 32} | options
    return write_folder(task, tmp_path / "source", **asked)


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("task", "layout", "format_name"),
    [
        ("classification", None, "image-folder"),
        ("classification", "class-folder", "image-folder"),
        ("segmentation", None, "image-mask"),
        ("burn-scars", None, "image-mask"),
        ("regression", None, "image-mask"),
        ("time-series", None, "image-mask"),
        ("detection", None, "geotiff-sidecar"),
        ("detection", "coco", "coco"),
    ],
)
def test_what_is_written_is_recognised_and_planned_whole(tmp_path, task, layout, format_name):
    made = written(tmp_path, task, layout=layout)
    assert made.samples == 8
    listing = open_listing(made.path)
    options = SourceOptions()
    assert detect(listing, options).format.name == format_name
    found = plan(listing, options)
    assert found.samples.num_rows == 8
    assert [finding for finding in found.findings if finding.severity == "error"] == []
    if TASKS[task].kind == "detection":
        assert set(found.annotations["category"].to_pylist()) == {"Boat"}


@pytest.mark.parametrize("task", ["segmentation", "detection", "regression", "time-series"])
def test_geotiffs_hold_the_pixels_places_and_names_of_the_chips(tmp_path, task):
    made = written(tmp_path, task)
    for chip in simulate(task, samples=8, seed=3, size=32):
        path = next(
            path for path in made.path.rglob(f"{chip.id}.tif") if path.parent.name != "masks"
        )
        asset = next(iter(chip.assets.values()))
        with rasterio.open(path) as file:
            assert np.array_equal(file.read(), asset.array.reshape(-1, 32, 32))
            assert tuple(file.transform)[:6] == chip.grid.transform
            assert file.crs.to_string() == chip.grid.crs
            assert file.nodata == 0
            assert set(file.scales) == {0.0001}
            assert file.descriptions[0].split()[0] == asset.bands[0]


def test_truth_lies_beside_under_the_same_name(tmp_path):
    made = written(tmp_path, "segmentation")
    for chip in simulate("segmentation", samples=8, seed=3, size=32):
        with rasterio.open(made.path / "masks" / f"{chip.id}.tif") as file:
            assert np.array_equal(file.read(), chip.assets["mask"].array)
            assert file.nodata == 255


@pytest.mark.parametrize(
    ("task", "layout"),
    [
        ("classification", "image-folder"),
        ("classification", "class-folder"),
        ("segmentation", None),
        ("burn-scars", None),
        ("regression", None),
        ("time-series", None),
        ("detection", None),
        ("detection", "coco"),
    ],
)
def test_the_card_says_what_the_files_hold(tmp_path, task, layout):
    made = written(tmp_path, task, layout=layout, samples=4)
    listing = open_listing(made.path)
    card, problems = read_card(listing, "simulated")
    assert problems == ()
    assert (str(card.task), card.licence, card.classes) == (
        TASKS[task].kind, "CC0-1.0", TASKS[task].classes,
    )  # fmt: skip
    assert [provider.name for provider in card.providers] == ["simulator"]
    assert set(card.assets) == set(plan(listing, SourceOptions()).assets["asset"].to_pylist())
    if TASKS[task].kind == "segmentation":
        assert tuple(card.assets["mask"].values.values()) == TASKS[task].classes
        chips = simulate(task, samples=4, seed=3, size=32)
        masks = np.concatenate([chip.assets["mask"].array.ravel() for chip in chips])
        assert set(np.unique(masks).tolist()) <= {*card.assets["mask"].values, 255}
    assert len(files_of(made.path)) == made.files or layout == "image-folder"


def test_labels_of_ships_lie_on_their_images_in_degrees(tmp_path):
    made = written(tmp_path, "detection")
    for chip in simulate("detection", samples=8, seed=3, size=32):
        text = (made.path / f"{chip.id}_labels.geojson").read_text()
        shapes = [
            shapely.geometry.shape(feature["geometry"]) for feature in json.loads(text)["features"]
        ]
        around = chip.grid.footprint().buffer(1e-6)
        assert len(shapes) == len(chip.annotations)
        assert all(around.covers(shape) for shape in shapes)


def test_boxes_in_coco_are_pixels_of_the_image(tmp_path):
    made = written(tmp_path, "detection", layout="coco")
    document = json.loads((made.path / "annotations.json").read_text())
    assert len(document["images"]) == 8
    for thing in document["annotations"]:
        x, y, width, height = thing["bbox"]
        assert min(x, y) > -0.01
        assert max(x + width, y + height) < 32.01
        assert thing["area"] <= width * height + 0.01


def test_the_same_seed_writes_the_same_archive(tmp_path):
    one, other = (
        write_folder("classification", tmp_path / name, samples=6, seed=1, size=32)
        for name in ("one", "other")
    )
    assert one.path.read_bytes() == other.path.read_bytes()
    with ZipFile(one.path) as archive:
        card, *images = archive.namelist()
        assert card == "classification/README.md"
        for name in images:
            label = name.split("/")[1]
            assert label in TASKS["classification"].classes
            with archive.open(name) as file:
                assert Image.open(file).size == (32, 32)


def test_defects_are_in_the_files_and_in_the_list(tmp_path):
    made = written(tmp_path, "segmentation", samples=12, defects=BROKEN)
    sample_of = {names[0]: sample for sample, names in made.defects.items()}
    assert sorted(sample_of) == sorted(BROKEN)
    pointer = made.path / "images" / f"{sample_of['lfs-pointer']}.tif"
    assert pointer.read_bytes().startswith(b"version https://git-lfs.github.com/spec/v1\n")
    assert not (made.path / "masks" / f"{sample_of['missing-pair']}.tif").exists()
    with rasterio.open(made.path / "images" / f"{sample_of['wrong-crs']}.tif") as file:
        assert file.crs.to_epsg() == 4326
        assert file.bounds.right == 32
    assert len(files_of(made.path)) == made.files == 24


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="not empty"):
        written(tmp_path, "segmentation")
    assert files_of(tmp_path / "source")[0].name == "mine.txt"


def test_a_folder_that_cannot_be_made_is_said_to_be_unavailable(tmp_path):
    (tmp_path / "source").write_text("a file")
    with pytest.raises(UnavailableError):
        written(tmp_path, "segmentation")


@pytest.mark.parametrize(
    ("task", "layout", "error"),
    [
        ("segmentation", "image-folder", InvalidInputError),
        ("detection", "image-mask", InvalidInputError),
        ("segmentation", "coco", InvalidInputError),
        ("segmentation", "papyrus", NotFoundError),
    ],
)
def test_a_layout_that_cannot_hold_the_task_is_refused(tmp_path, task, layout, error):
    with pytest.raises(error):
        written(tmp_path, task, layout=layout)
    assert not (tmp_path / "source").exists()


def test_a_contact_sheet_shows_colours(tmp_path):
    path = contact_sheet(tmp_path / "sheet.png", tasks=["burn-scars"], columns=2, size=32)
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert len(sheet.getcolors(1 << 20)) > 500


def test_true_colour_needs_three_colours():
    with pytest.raises(InvalidInputError, match="RED"):
        true_colour(np.zeros((2, 4, 4), np.uint16), ["BLUE", "GREEN"])


def test_true_colour_of_bright_is_white_and_of_dark_is_black():
    counts = np.array([[[0, 10_000]]] * 3, np.uint16)
    shown = true_colour(counts, ["BLUE", "GREEN", "RED"])
    assert shown.tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_a_sidecars_box_goes_over_the_antimeridian_not_round_the_globe(tmp_path):
    import json

    written = write_folder("detection", tmp_path / "ships", samples=48, seed=1)
    boxes = [
        json.loads(path.read_text("utf-8"))["bounding-box"]
        for path in written.path.glob("taveuni*.json")
    ]

    assert boxes
    assert all((east - west) % 360 < 1 for west, _, east, _ in boxes)
