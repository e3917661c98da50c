"""Networks of somebody's own: classes that are named by their path, and factories of packages."""

import pytest
from torch import nn

from registry.errors import InvalidInputError
from registry.learn.models.architecture import Architecture
from registry.learn.models.factory import build, factories
from registry.learn.models.foreign import UntrustedClassError
from tests.learn.models.networks import BIOMASS, LABEL, MASK, images, made, reads


class Wide(nn.Conv2d):
    """Knows nothing of the lab."""

    def __init__(self, in_channels, num_classes, size=1):
        super().__init__(in_channels, num_classes, 1)


class Whole(nn.Module):
    """Follows the lab's interface."""

    def __init__(self, contract, heads, depth):
        super().__init__()
        self.depth, self.heads, self.asset = depth, heads, contract.inputs[0].asset

    def forward(self, inputs):
        return {head.name: inputs[self.asset].mean(dim=(-2, -1)) for head in self.heads}

    def embed(self, inputs):
        return inputs[self.asset].mean(dim=(-2, -1))

    def encoder_state(self):
        return {}


def of_class(name, *heads, trust=True, **args):
    path = name if "." in name else f"{__name__}.{name}"
    architecture = Architecture(factory="class", args={"class_path": path, **args})
    return build(
        architecture, contract=reads(image=3, radar=2), heads=heads or (MASK,), trust=trust
    )


def test_a_class_of_your_own_is_told_channels_and_outputs():
    network = of_class("Wide")
    batch = {"image": images(2, 3, 9, 9)}
    assert network(batch)["mask"].shape == (2, 3, 9, 9)
    assert network.embed(batch).shape == (2, 3)
    assert set(network.encoder_state()) == {"weight", "bias"}


def test_a_class_that_has_heads_of_its_own_is_taken_as_it_is():
    network = of_class("Whole", LABEL, BIOMASS, depth=3)
    assert isinstance(network, Whole)
    assert network.depth == 3


def test_a_class_from_elsewhere_is_not_even_imported(tmp_path, monkeypatch):
    canary = tmp_path / "touched"
    (tmp_path / "evil_network.py").write_text(f"open({str(canary)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UntrustedClassError, match=r"evil_network\.Net"):
        of_class("evil_network.Net", trust=False)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("nowhere.at.All", {}, "cannot be imported"),
        ("torch.nn.Conv3000d", {}, "no class 'Conv3000d'"),
        ("../etc/passwd", {}, "class path"),
        ("Wide", {"colour": "red"}, "cannot be made"),
        ("builtins.dict", {}, "no class that makes a torch module"),
        ("collections.Counter", {}, "no torch module"),
    ],
)
def test_classes_that_cannot_be_used_are_named(name, args, said):
    with pytest.raises(InvalidInputError, match=said):
        of_class(name, **args)


def test_a_class_that_answers_in_another_shape_is_told_so():
    network = of_class("Wide", LABEL)
    with pytest.raises(InvalidInputError, match="answers") as raised:
        network({"image": images(1, 3, 9, 9)})
    assert "2 dimensions" in raised.value.hint


def test_an_installed_package_brings_its_own_factory(monkeypatch):
    class Point:
        name = "mine"

        def load(self):
            return Whole

    monkeypatch.setattr(
        "registry.learn.models.factory.entry_points",
        lambda name=None, **_: [Point()] if name in {None, "mine"} else [],
    )
    assert "mine" in factories()
    assert isinstance(made(reads(image=3), factory="mine", depth=2), Whole)
