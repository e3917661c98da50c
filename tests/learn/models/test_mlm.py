"""A model's item is STAC with what the model extension asks of it, checked without a network."""

import hashlib
import json

import pystac
import pytest
import torch

from registry.learn.models import shelf
from registry.learn.models.mlm import MLM, Learned
from registry.learn.models.mlm import item as item_of
from registry.stac.validation import EXTENSIONS, validate

TASKS = {
    "regression", "classification", "scene-classification", "detection", "object-detection",
    "segmentation", "semantic-segmentation", "instance-segmentation", "panoptic-segmentation",
    "similarity-search", "generative", "image-captioning", "super-resolution", "downscaling",
}  # fmt: skip


@pytest.fixture
def model(lake, parts, lineage, tmp_path):
    (tmp_path / "curves.png").write_bytes(b"\x89PNG")
    card = parts.card(
        parts.segments, parts.many, parts.height, parts.boxes, lineage=lineage, licence="MIT",
        recipe={"name": "water", "optimiser": {"lr": 0.001}}, seed=3, metrics={"iou": 0.5},
    )  # fmt: skip
    return shelf.save(
        lake, card, {"a": torch.ones(2, 3)}, files={"curves.png": tmp_path / "curves.png"},
        message="first",
    )  # fmt: skip


@pytest.fixture
def item(model):
    return json.loads(model.path("item.json").read_text("utf-8"))


def test_it_is_a_valid_item(item):
    problems = [one for one in validate(item) if "not at hand" not in one]
    assert problems == []
    read = pystac.Item.from_dict(item)
    assert read.id == "small-net"


def test_it_holds_what_the_extension_requires(item):
    said = item["properties"]
    assert MLM in item["stac_extensions"]
    for name in ("name", "architecture", "tasks", "input", "output"):
        assert said[f"mlm:{name}"], name
    assert set(said["mlm:tasks"]) <= TASKS
    assert len(said["mlm:tasks"]) == len(set(said["mlm:tasks"]))
    assert "mlm:artifact_type" not in said
    assert said["mlm:total_parameters"] == 6
    assert said["mlm:hyperparameters"]["optimiser.lr"] == 0.001


def test_pystacs_own_reader_of_the_extension_understands_it(item):
    from pystac.extensions.mlm import MLMExtension

    said = json.loads(json.dumps(item).replace(MLM, MLMExtension.get_schema_uri()))
    read = MLMExtension.ext(pystac.Item.from_dict(said))
    assert read.mlm_name == "small-net"
    assert [one.name for one in read.input] == ["image"]
    assert [one.name for one in read.output] == ["mask", "labels", "height", "boxes"]


def test_its_scaling_takes_stored_values(item, parts):
    (one,) = item["properties"]["mlm:input"]
    assert one["bands"] == ["B03", "B08"]
    assert one["input"]["dim_order"] == ["batch", "bands", "height", "width"]
    assert one["input"]["shape"] == [-1, 2, 16, 16]
    scaling = one["value_scaling"]
    assert [each["type"] for each in scaling] == ["z-score", "z-score"]
    stored = 1234
    band = parts.card().contract.inputs[0].bands[1]
    true = (stored * band.scale + band.offset - band.mean) / band.std
    assert (stored - scaling[1]["mean"]) / scaling[1]["stddev"] == pytest.approx(true)


def test_a_series_says_its_time_steps(lake, parts):
    card = parts.card(contract=parts.reads("B03", frames=4), name="series")
    model = shelf.save(lake, card, {"a": torch.ones(1)}, message="first")
    (one,) = json.loads(model.path("item.json").read_text())["properties"]["mlm:input"]
    assert one["input"]["dim_order"] == ["batch", "time", "bands", "height", "width"]
    assert one["input"]["shape"] == [-1, 4, 1, 16, 16]


def test_assets_are_the_files_with_their_hashes_and_one_is_the_model(item, model):
    for name, asset in item["assets"].items():
        data = model.path(name).read_bytes()
        assert asset["file:size"] == len(data)
        assert asset["file:checksum"] == f"1220{hashlib.sha256(data).hexdigest()}"
        is_model = "mlm:model" in asset["roles"]
        assert is_model == (name == "model.safetensors")
        assert ("mlm:artifact_type" in asset) == is_model
    bands = item["assets"]["model.safetensors"]["raster:bands"]
    assert [one["name"] for one in bands] == ["B03", "B08"]
    assert item["assets"]["curves.png"]["roles"] == ["overview"]
    assert EXTENSIONS["file"] in item["stac_extensions"]


def test_links_lead_to_the_dataset_the_parent_and_what_it_was_pretrained_on(item):
    found = {one["href"]: one for one in item["links"]}
    assert {one["rel"] for one in item["links"]} == {"derived_from"}
    assert set(found) == {"eolab:scenes@v2", "eolab:mae-hls@v3", "eolab:raw@v1"}
    assert found["eolab:mae-hls@v3"]["mlm:name"] == "mae-hls"
    assert found["eolab:scenes@v2"]["eolab:split"] == "default"


@pytest.mark.parametrize("name", ["3d-net", "net", "a--b"])
def test_its_name_is_one_that_the_extension_takes(lake, parts, name):
    import re

    model = shelf.save(lake, parts.card(name=name), {"a": torch.ones(1)}, message="first")
    said = json.loads(model.path("item.json").read_text())["properties"]["mlm:name"]
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", said)


def test_several_datasets_are_several_links(lake, parts, lineage):
    from dataclasses import replace

    card = parts.card(lineage=replace(lineage, dataset="a-b@v1,c-d@v2", parent="weights old.pt"))
    model = shelf.save(lake, card, {"a": torch.ones(1)}, message="first")
    hrefs = [one["href"] for one in json.loads(model.path("item.json").read_text())["links"]]
    assert hrefs[:3] == ["eolab:a-b@v1", "eolab:c-d@v2", "eolab:weights%20old.pt"]


@pytest.mark.parametrize(
    ("bbox", "kind"), [((10.0, 40.0, 11.0, 41.0), "Polygon"), ((170, -5, -170, 5), "MultiPolygon")]
)
def test_its_outline_is_where_it_learned(model, bbox, kind):
    files = {name: model.path(name) for name in model.files}
    said = item_of(
        model.card,
        files,
        Learned(bbox=bbox, start="2020-01-01T00:00:00Z", end="2021-01-01T00:00:00Z"),
    )
    assert said["geometry"]["type"] == kind
    assert said["bbox"] == list(bbox)
    assert said["properties"]["start_datetime"] == "2020-01-01T00:00:00Z"
    assert [one for one in validate(said) if "not at hand" not in one] == []


def test_a_dataset_that_is_not_at_hand_leaves_the_whole_world(item):
    assert item["bbox"] == [-180, -90, 180, 90]
