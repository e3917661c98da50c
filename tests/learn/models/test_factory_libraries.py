"""Networks of other libraries behave as the lab's own do."""

import pytest
import torch

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.factory import build

MASK = Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "water", "snow"))
LABEL = Head(name="label", task=HeadTask.CLASSIFICATION, classes=("a", "b"))
CHANGE = Head(name="change", task=HeadTask.CHANGE, classes=("same", "burnt"))
SHIPS = Head(name="detection", task=HeadTask.DETECTION, classes=("ship",))


def reads(bands=5, frames=None, assets=("image",)):
    named = tuple(Band(name=f"b{number}") for number in range(bands))
    return Contract(inputs=tuple(Input(asset=one, bands=named, frames=frames) for one in assets))


def made(factory, *heads, contract=None, size=None, **args):
    torch.manual_seed(0)
    architecture = Architecture(factory=factory, args=args)
    return build(architecture, contract=contract or reads(), heads=heads or (MASK,), size=size)


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def learns(network):
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def taught(network):
    return {name for name, weight in network.named_parameters() if weight.grad is not None}


BACKBONES = [
    ("smp", {"name": "Unet", "encoder_name": "resnet18"}),
    ("smp", {"name": "fpn", "encoder_name": "tu-resnet18"}),
    ("smp", {"name": "PSPNet", "encoder_name": "resnet18"}),
    ("smp", {"name": "PAN", "encoder_name": "resnet18"}),
    ("smp", {"name": "Segformer", "encoder_name": "mobilenet_v2"}),
    ("timm", {"name": "resnet18"}),
    ("timm", {"name": "vit_tiny_patch16_224"}),
    ("timm", {"name": "swin_tiny_patch4_window7_224"}),
    ("timm", {"name": "mixer_s16_224"}),
    ("torchvision", {"name": "resnet18"}),
    ("torchvision", {"name": "mobilenet_v3_small"}),
    ("torchgeo", {"name": "resnet18"}),
    ("torchgeo", {"name": "fcn"}),
]


@pytest.mark.parametrize(("factory", "args"), BACKBONES, ids=lambda one: str(one)[:60])
def test_each_reads_any_bands_at_any_size_and_all_its_weights_learn(factory, args):
    batch = {"image": images(2, 5, 33, 47)}
    network = made(factory, MASK, size=(33, 47), **args)
    answer = network(batch)["mask"]
    assert answer.shape == (2, 3, 33, 47)
    answer.square().mean().backward()
    assert taught(network) == learns(network)
    assert network.embed(batch).shape[0] == 2


@pytest.mark.parametrize(
    ("factory", "args"), BACKBONES[:1] + BACKBONES[5:7], ids=["smp", "timm", "transformer"]
)
def test_classifiers_learn_with_all_their_weights(factory, args):
    network = made(factory, LABEL, **args)
    network({"image": images(2, 5, 32, 32)})["label"].square().mean().backward()
    assert taught(network) == learns(network)


@pytest.mark.parametrize("factory", ["smp", "timm", "torchvision", "torchgeo"])
def test_each_compares_dates_fuses_and_finds_boxes(factory):
    dates = made(factory, CHANGE, contract=reads(frames=2))
    assert dates({"image": images(2, 2, 5, 32, 32)})["change"].shape == (2, 2, 32, 32)
    fused = made(factory, MASK, contract=reads(assets=("a", "b")), fusion="middle").eval()
    assert fused({"a": images(1, 5, 32, 32)})["mask"].shape == (1, 3, 32, 32)
    boxes = made(factory, SHIPS).eval()
    assert "scores" in boxes({"image": images(1, 5, 64, 64)})["detection"][0]


@pytest.mark.parametrize(
    ("factory", "args", "said", "hint"),
    [
        ("smp", {"name": "Unnet"}, "no architecture of smp 'Unnet'", "Unet"),
        ("smp", {"encoder_name": "resnet81"}, "no encoder of smp", "resnet18"),
        ("smp", {"encoder_name": "tu-hf-hub:evil/model"}, "no encoder of smp", "take"),
        ("smp", {"encoder_weights": "imagenet"}, "nothing is downloaded", "init"),
        ("smp", {"aux_params": {"classes": 3}}, "not told 'aux_params'", "decoder_"),
        ("smp", {"decoder_channels": [1, 2]}, "cannot build", "fewer arguments"),
        ("smp", {"decoder_channels": [10**9] * 5}, "is 1000000000", "up to 4096"),
        ("timm", {"name": "resnet81"}, "no backbone of timm", "resnet"),
        ("timm", {"name": "hf-hub:evil/model"}, "no backbone of timm", "take"),
        ("timm", {"name": "local-dir:/etc"}, "no backbone of timm", "take"),
        ("timm", {"checkpoint_path": "evil.pt"}, "no argument 'checkpoint_path'", "take"),
        ("timm", {"pretrained": True}, "no argument 'pretrained'", "take"),
        ("torchvision", {"name": "resnet19"}, "no backbone of torchvision", "resnet18"),
        ("torchvision", {"width": -1}, "width is -1", "from 4 to 512"),
        ("torchgeo", {"name": "rcf"}, "no network of TorchGeo", "fcn"),
    ],
)
def test_what_cannot_be_built_or_would_be_fetched_is_refused(factory, args, said, hint):
    with pytest.raises(InvalidInputError, match=said) as raised:
        made(factory, **args)
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("factory", "args", "more"),
    [
        ("lab", {"name": "unet", "time": "stack"}, {"contract": reads(frames=10**9)}),
        ("timm", {"name": "mixer_s16_224"}, {"size": (10**9, 10**9)}),
    ],
)
def test_a_card_whose_numbers_would_fill_the_memory_is_refused(factory, args, more):
    with pytest.raises(InvalidInputError, match="is 1000000"):
        made(factory, **more, **args)
