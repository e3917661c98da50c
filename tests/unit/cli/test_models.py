"""Models by command: listed, shown, exported, added, withdrawn, moved."""

import json

import pytest
import torch

from registry.catalog import connect
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models import shelf, weights
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.card import Card, Learned, Lineage
from registry.learn.models.factory import build

ARCHITECTURE = Architecture(factory="lab", args={"name": "unet", "width": 4, "depth": 1})
CARD = Card(
    name="tiny-unet",
    architecture=ARCHITECTURE,
    heads=(Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "water")),),
    contract=Contract(
        inputs=(
            Input(
                asset="image",
                bands=(Band(name="B03", unit="reflectance", scale=1e-4, mean=0.1, std=0.05),),
                gsd=10.0,
                level="L2A",
            ),
        )
    ),
    size=(16, 16),
    lineage=Lineage(
        dataset="scenes@v1",
        content_id="ab",
        commit="cd",
        split="default",
        learned=(Learned(ref="more@v1", subsets="but-test", split="far"),),
    ),
    metrics={"iou": 0.75},
    licence="CC-BY-4.0",
    seed=1,
)


@pytest.fixture
def tiny(own_lake, monkeypatch):
    """A lake with one model; returns its folder."""
    monkeypatch.setenv("EOLAB_CACHE", str(own_lake / "cache"))
    torch.manual_seed(0)
    made = build(ARCHITECTURE, contract=CARD.contract, heads=CARD.heads, size=CARD.size)
    shelf.save(connect(None), CARD, made.state_dict(), message="first\n\nmore words")
    return own_lake


def test_an_empty_lake_says_how_to_get_a_model(own_lake, eolab):
    assert "eolab models add" in eolab("models", "list").out
    assert eolab("models", "list", "--json").document == []


def test_models_are_listed_and_datasets_are_not_among_them(tiny, eolab):
    said = eolab("models", "list")
    assert said.status == 0, said.err
    assert "tiny-unet" in said.out
    (row,) = eolab("models", "list", "--json").document
    assert (row["name"], row["version"], row["tasks"]) == ("tiny-unet", "v1", ["segmentation"])
    assert eolab("list", "--json").document == []


def test_a_model_is_shown_with_what_it_reads_and_gives(tiny, eolab):
    said = eolab("models", "show", "tiny-unet")
    for words in ("tiny-unet@v1", "image: B03; reflectance; 10 m; L2A", "land, water",
                  "scenes@v1, split default, without the tests of split far of more@v1",
                  "iou 0.75", "CC-BY-4.0", "16 by 16"):  # fmt: skip
        assert words in said.out, words
    shown = eolab("models", "show", "tiny-unet@v1", "--json").document
    assert shown["heads"][0]["classes"] == ["land", "water"]
    assert shown["contract"]["inputs"][0]["bands"][0]["name"] == "B03"
    assert shown["lineage"]["dataset"] == "scenes@v1"


def test_a_log_names_each_version_newest_first(tiny, eolab):
    shelf.save(connect(None), CARD, {"a": torch.ones(1)}, message="second")
    rows = eolab("models", "log", "tiny-unet", "--json").document
    assert [row["ref"] for row in rows] == ["tiny-unet@v2", "tiny-unet@v1"]
    assert [row["message"] for row in rows] == ["second", "first"]
    assert "second" in eolab("models", "log", "tiny-unet").out


def test_weights_go_out_and_come_back_as_another_model(tiny, eolab):
    file = tiny / "w.safetensors"
    assert eolab("models", "export", "tiny-unet", "--safetensors", file).status == 0
    digest = weights.digest(file)
    said = eolab("models", "add", file, "--name", "borrowed", "--like", "tiny-unet", "--sha256",
                 digest, "--licence", "MIT", "--json")  # fmt: skip
    assert said.status == 0, said.out
    assert said.document == {"ref": "borrowed@v1", "sha256": digest, "weights_sha256": digest}
    shown = eolab("models", "show", "borrowed", "--json").document
    assert (shown["metrics"], shown["licence"]) == ({}, "MIT")
    wrong = eolab("models", "add", file, "--name", "borrowed", "--sha256", "0" * 64, "--json")
    assert (wrong.status, wrong.document["error"]["code"]) == (5, "weights-changed")


def test_a_folder_of_a_model_has_all_its_files_and_a_card_that_can_be_added_with(tiny, eolab):
    out = tiny / "out"
    assert eolab("models", "export", "tiny-unet", "--folder", out).status == 0
    assert {"README.md", "card.json", "item.json", "model.safetensors"} <= {
        one.name for one in out.iterdir()
    }
    assert json.loads((out / "item.json").read_text())["id"] == "tiny-unet"
    again = eolab("models", "add", out / "model.safetensors", "--name", "again", "--card",
                  out / "card.json")  # fmt: skip
    assert again.status == 0, again.err


def test_an_export_says_what_it_takes(tiny, eolab):
    said = eolab("models", "export", "tiny-unet", "--onnx", tiny / "m.onnx", "--json")
    assert said.status == 0, said.out
    assert said.document["inputs"]["image"][:2] == ["batch", 1]
    assert said.document["outputs"] == ["mask"]
    assert (tiny / "m.onnx").stat().st_size > 1000
    assert eolab("models", "export", "tiny-unet").status == 2


def test_a_hostile_checkpoint_is_refused_by_command(tiny, eolab):
    import os
    import pickle

    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tiny / 'canary'}",)

    (tiny / "bad.pt").write_bytes(pickle.dumps({"a": Runs()}, 2))
    said = eolab("models", "add", tiny / "bad.pt", "--name", "bad-net")
    assert said.status == 5
    assert "would run code" in said.err
    assert not (tiny / "canary").exists()
    assert eolab("models", "show", "bad-net").status == 3


def test_a_withdrawn_version_says_why(tiny, eolab):
    assert eolab("models", "withdraw", "tiny-unet@v1", "--reason", "wrong labels").status == 0
    assert "wrong labels" in eolab("models", "show", "tiny-unet@v1").out
    assert "withdrawn" in eolab("models", "list").out
    assert eolab("models", "show", "tiny-unet").status == 3
    assert eolab("models", "withdraw", "tiny-unet", "--reason", "x").status == 2


def test_a_model_travels_between_lakes(tiny, eolab, monkeypatch):
    other = tiny / "other"
    assert eolab("init", other).status == 0
    said = eolab("models", "push", "tiny-unet", "--to", other)
    assert said.status == 0, said.err
    assert said.out.startswith("tiny-unet: ")
    shelf.save(connect(str(other)), CARD, {"a": torch.ones(1)}, message="theirs")
    assert eolab("models", "pull", "tiny-unet", "--from", other).status == 0
    assert eolab("models", "show", "tiny-unet", "--json").document["ref"] == "tiny-unet@v2"
    third = tiny / "third"
    assert eolab("init", third).status == 0
    assert eolab("models", "copy", "tiny-unet@v1", "--to", third).status == 0
    assert shelf.resolve(connect(str(third)), "tiny-unet").tag == "v1"
    monkeypatch.setenv("EOLAB_LAKE", str(tiny / "fourth"))
    assert eolab("models", "clone", other, "tiny-unet").status == 0
    assert eolab("models", "pull", "tiny-unet").status == 0
    assert eolab("fsck").status == 0
    assert eolab("models", "pull", "nothing-here", "--from", other).status == 3


def test_listing_models_loads_no_torch(tiny, process):
    program = (
        "import sys; from registry.cli.app import run; run(['models', 'list']); "
        "run(['models', 'show', 'tiny-unet']); sys.exit('torch' in sys.modules)"
    )
    import subprocess
    import sys

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
