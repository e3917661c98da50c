"""Backbones of torchvision, as encoders for every head; boxes are found by its FCOS."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder
from registry.learn.models.networks.pyramid import decoder_for

__all__ = ["NAMES", "kit"]

NAMES: Final = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnext50_32x4d", "wide_resnet50_2",
    "convnext_tiny", "convnext_small", "convnext_base", "efficientnet_b0", "efficientnet_b1",
    "efficientnet_b2", "efficientnet_v2_s", "mobilenet_v2", "mobilenet_v3_small",
    "mobilenet_v3_large",
)  # fmt: skip
"""What there is."""

_PROBE: Final = 64  # pixels


class _Stages(Encoder):
    """Blocks one after the other; the last of each size is a level."""

    def __init__(self, blocks: Sequence[nn.Module], bands: int) -> None:
        images = torch.zeros(1, bands, _PROBE, _PROBE)
        shapes: list[tuple[int, int]] = []
        with torch.no_grad():
            for block in blocks:
                block.eval()
                images = block(images)
                shapes.append((images.shape[1], _PROBE // images.shape[-1]))
                block.train()
        taken = [
            number
            for number, (_, stride) in enumerate(shapes)
            if number + 1 == len(shapes) or shapes[number + 1][1] != stride
        ]
        super().__init__(
            channels=[shapes[number][0] for number in taken],
            strides=[shapes[number][1] for number in taken],
        )
        self.taken = frozenset(taken)
        self.inner = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        found = []
        for number, block in enumerate(self.inner):
            images = block(images)
            if number in self.taken:
                found.append(images)
        return found


def kit(*, name: str = "resnet18", width: int = 32) -> Kit:
    """Return a backbone of torchvision with the lab's decoder.

    Args:
        name: One of :data:`NAMES`.
        width: Channels of the decoder's finest level.

    Returns:
        A kit for any number of bands.

    Raises:
        InvalidInputError: There is no such backbone, or the width lies outside its range.
    """
    import torchvision

    name = chosen(name, NAMES, what="backbone of torchvision")
    width = within(width, 4, 512, what="width")

    def encoder(stream: Stream) -> Encoder:
        whole: Any = torchvision.models.get_model(name, weights=None)
        blocks = (
            list(whole.features)
            if hasattr(whole, "features")
            else [
                nn.Sequential(whole.conv1, whole.bn1, whole.relu),
                nn.Sequential(whole.maxpool, whole.layer1),
                *(whole.layer2, whole.layer3, whole.layer4),
            ]
        )
        blocks[0][0] = _reading(blocks[0][0], stream.channels)
        return _Stages(blocks, stream.channels)

    def decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:
        return decoder_for(channels, strides, width)

    return Kit(encoder=encoder, decoder=decoder)


def _reading(first: nn.Conv2d, bands: int) -> nn.Conv2d:
    """Return a convolution like one that reads three bands, for another number."""
    made = nn.Conv2d(
        bands,
        first.out_channels,
        kernel_size=(first.kernel_size[0], first.kernel_size[1]),
        stride=(first.stride[0], first.stride[1]),
        padding=(int(first.padding[0]), int(first.padding[1])),
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made
