"""Contracts, heads and small networks that tests share."""

import torch

from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.factory import build

MASK = Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "water", "snow"))
LABEL = Head(name="label", task=HeadTask.CLASSIFICATION, classes=("a", "b"))
MANY = Head(name="labels", task=HeadTask.MULTILABEL, classes=("a", "b", "c", "d"))
CHANGE = Head(name="change", task=HeadTask.CHANGE, classes=("same", "burnt"))
HEIGHT = Head(name="height", task=HeadTask.PIXEL_REGRESSION, unit="m")
BIOMASS = Head(name="biomass", task=HeadTask.REGRESSION, unit="t/ha")
SHIPS = Head(name="detection", task=HeadTask.DETECTION, classes=("ship",))
HIDDEN = Head(name="reconstruction", task=HeadTask.RECONSTRUCTION)

STEM = {"name": "unet", "width": 8, "depth": 2, "stem": 2}
UNET = {"name": "unet", "width": 8, "depth": 2}
CNN = {"name": "cnn", "width": 8, "depth": 2}
VIT = {"name": "vit", "width": 32, "depth": 2, "patch": 4, "heads": 2}


def reads(**assets):
    """A contract: by asset the number of bands, or of bands and frames, or of those and metres."""
    inputs = []
    for asset, said in assets.items():
        bands, frames, gsd = (
            (*said, None, None)[:3] if isinstance(said, tuple) else (said, None, None)
        )
        named = tuple(Band(name=f"b{number}") for number in range(bands))
        inputs.append(Input(asset=asset, bands=named, frames=frames, gsd=gsd))
    return Contract(inputs=tuple(inputs))


def made(contract, *heads, factory="lab", seed=0, size=None, **args):
    torch.manual_seed(seed)
    architecture = Architecture(factory=factory, args=args or UNET)
    return build(architecture, contract=contract, heads=heads or (MASK,), size=size).eval()


def images(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
