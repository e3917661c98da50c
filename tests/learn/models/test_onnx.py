"""What is exported answers what the model answers, or is not there."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from registry.errors import InvalidInputError
from registry.learn.models import onnx as exporting
from registry.learn.models import shelf
from registry.learn.models.architecture import Architecture
from registry.learn.models.factory import build
from registry.learn.models.onnx import TOLERANCE, ExportDiffersError, export
from registry.learn.models.predicting import Predictor

UNET = Architecture(factory="lab", args={"name": "unet", "width": 4, "depth": 1})


def kept(lake, card):
    torch.manual_seed(3)
    made = build(card.architecture, contract=card.contract, heads=card.heads, size=card.size)
    return shelf.save(lake, card, made.state_dict(), message="first")


def test_a_unet_takes_stored_values_of_any_size_and_says_what_the_model_says(lake, parts, tmp_path):
    card = replace(
        parts.card(parts.segments, parts.biomass, lineage=None, licence="MIT"), architecture=UNET
    )
    model = kept(lake, card)
    made = export(model, tmp_path / "unet.onnx")
    assert made.inputs == {"image": ("batch", 2, "height", "width")}
    assert made.outputs == ("mask", "biomass")
    assert made.differs <= 1
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []

    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    ask = Predictor(model, given=card.contract)
    for shape in ((1, 2, 32, 32), (3, 2, 24, 40), (2, 2, 23, 19)):
        if any(side % made.multiple_of for side in shape[2:]):
            continue
        stored = parts.values(*shape)
        said = session.run(None, {"image": stored.astype(np.float32)})
        true = ask({"image": stored})
        np.testing.assert_allclose(said[0], true["mask"], rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(said[1], true["biomass"], rtol=TOLERANCE, atol=30 * TOLERANCE)

    properties = {one.key: one.value for one in onnx.load(made.path).metadata_props}
    assert properties["eolab:model"] == "small-net@v1"
    assert '"B08"' in properties["eolab:contract"]
    assert properties["eolab:licence"] == "MIT"


def test_an_export_that_differs_is_not_written(lake, parts, tmp_path, monkeypatch):
    model = kept(lake, replace(parts.card(parts.classes), architecture=UNET))
    (tmp_path / "a.onnx").write_bytes(b"what was there")
    monkeypatch.setattr(exporting, "_difference", lambda *_: 2.0)
    ways = list(exporting._ways(model, torch.nn.Identity()))
    monkeypatch.setattr(exporting, "_ways", lambda *_: ways[-1:])
    with pytest.raises(ExportDiffersError, match=r"differ by 0\.0002"):
        export(model, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == b"what was there"


def test_boxes_are_not_exported(lake, parts, tmp_path):
    card = parts.card(parts.boxes)
    model = shelf.save(lake, card, parts.network(card).state_dict(), message="first")
    with pytest.raises(InvalidInputError, match="boxes"):
        export(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
