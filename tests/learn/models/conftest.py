"""A lake, and small models with and without tasks."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from registry.catalog.registry import Registry
from registry.lake import init
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.card import Card, Learned, Lineage


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """A registry on an empty lake of the test's own."""
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EOLAB_AUTHOR", "Ada <ada@example.org>")
    return Registry(lake=init(str(tmp_path / "lake")))


def reads(*bands, asset="image", nodata=0.0, frames=None, gsd=10.0):
    """A contract of 16-bit reflectance."""
    made = tuple(
        Band(name=name, unit="reflectance", scale=1e-4, mean=0.1 + 0.01 * place, std=0.05)
        for place, name in enumerate(bands)
    )
    one = Input(asset=asset, bands=made, nodata=nodata, frames=frames, gsd=gsd)
    return Contract(inputs=(one,))


SEGMENTS = Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "water"))
CLASSES = Head(name="label", task=HeadTask.CLASSIFICATION, classes=("a", "b", "c"))
MANY = Head(name="labels", task=HeadTask.MULTILABEL, classes=("a", "b", "c"))
HEIGHT = Head(name="height", task=HeadTask.PIXEL_REGRESSION, unit="m", mean=20.0, std=5.0)
BIOMASS = Head(name="biomass", task=HeadTask.REGRESSION, unit="t/ha", mean=100.0, std=30.0)
BOXES = Head(name="boxes", task=HeadTask.DETECTION, classes=("ship",))


class Small(torch.nn.Module):
    """A class of somebody's own: 1 by 1 convolutions, all heads."""

    stride = 1

    def __init__(self, contract, heads):
        super().__init__()
        self.heads = heads
        self.asset = contract.inputs[0].asset
        bands = len(contract.inputs[0].bands)
        self.encoder = torch.nn.Conv2d(bands, 8, 1)
        self.answers = torch.nn.ModuleDict({
            head.name: torch.nn.Conv2d(8, max(1, len(head.classes)), 1)
            for head in heads
            if head.task is not HeadTask.DETECTION
        })

    def features(self, inputs):
        return torch.relu(self.encoder(inputs[self.asset]))

    def forward(self, inputs):
        found = self.features(inputs)
        answers = {}
        for head in self.heads:
            if head.task is HeadTask.DETECTION:
                answers[head.name] = [_boxes(one) for one in found]
                continue
            answer = self.answers[head.name](found)
            dense = head.task in {HeadTask.SEGMENTATION, HeadTask.PIXEL_REGRESSION}
            answers[head.name] = answer if dense else answer.mean((-2, -1))
        return answers

    def embed(self, inputs):
        return self.features(inputs).mean((-2, -1))

    def encoder_state(self):
        return self.encoder.state_dict()


def _boxes(one):
    scores = torch.tensor([0.25, 0.75]) + one.mean() * 0
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 4.0, 5.0]])
    return {"boxes": boxes, "scores": scores, "labels": torch.tensor([0, 0])}


SMALL = Architecture(factory="class", args={"class_path": "own_networks.Small"})


@pytest.fixture
def parts(monkeypatch):
    """What cards and networks of the tests are made of."""
    own = ModuleType("own_networks")
    own.Small = Small
    monkeypatch.setitem(sys.modules, "own_networks", own)
    monkeypatch.setenv("EOLAB_TRUST_CLASSES", SMALL.args["class_path"])
    return SimpleNamespace(
        segments=SEGMENTS, classes=CLASSES, many=MANY, height=HEIGHT, biomass=BIOMASS, boxes=BOXES,
        small=SMALL, reads=reads, network=small_network, card=card_of, values=values,
    )  # fmt: skip


def card_of(*heads, name="small-net", contract=None, **said):
    """A card of :class:`Small`."""
    return Card(
        name=name,
        architecture=said.pop("architecture", SMALL),
        heads=heads or (SEGMENTS,),
        contract=contract or reads("B03", "B08"),
        size=said.pop("size", (16, 16)),
        **said,
    )


def small_network(card, seed=0):
    """The network of a card with weights by a seed."""
    torch.manual_seed(seed)
    return Small(card.contract, card.heads).eval()


def values(*shape, seed=0):
    """Stored values, a few of them not observed."""
    made = np.random.default_rng(seed).integers(1, 5000, shape, dtype=np.uint16)
    made[..., 0, 0] = 0
    return made


@pytest.fixture
def lineage():
    return Lineage(
        dataset="scenes@v2", content_id="ab" * 32, commit="cd" * 20, split="default",
        parent="mae-hls@v3", pretrained_on=("raw@v1",),
        learned_before=(Learned(ref="raw@v1", subsets="but-test", split="default"),),
    )  # fmt: skip
