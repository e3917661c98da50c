"""Networks of TorchGeo: backbones whose weights it has from remote sensing, and its plain FCN."""

from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor, nn

from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.kits.timm import backbone
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder
from registry.learn.models.networks.pyramid import decoder_for

__all__ = ["NAMES", "kit"]

NAMES: Final = (
    "fcn", "resnet18", "resnet50", "resnet152", "vit_small_patch16_224", "vit_base_patch16_224",
    "vit_large_patch16_224",
)  # fmt: skip
"""What there is."""


class _Plain(Encoder):
    def __init__(self, inner: nn.Module, channels: int) -> None:
        super().__init__(channels=[channels], strides=[1])
        self.inner = inner

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.inner(images)]


def kit(*, name: str = "resnet18", width: int = 32) -> Kit:
    """Return a network of TorchGeo with the lab's decoder.

    Args:
        name: One of :data:`NAMES`.
        width: Channels of the decoder's finest level, and of the FCN.

    Returns:
        A kit for any number of bands.

    Raises:
        InvalidInputError: There is no such network, or the width lies outside its range.
    """
    import torchgeo.models

    name = chosen(name, NAMES, what="network of TorchGeo")
    width = within(width, 4, 512, what="width")

    def encoder(stream: Stream) -> Encoder:
        if name == "fcn":
            whole = torchgeo.models.FCN(stream.channels, 1, num_filters=width)
            return _Plain(whole.backbone, width)

        def make(**size: Any) -> nn.Module:  # noqa: ANN401 — the library's own
            inner: nn.Module = getattr(torchgeo.models, name)(
                weights=None, in_chans=stream.channels, features_only=True, **size
            )
            return inner

        return backbone(make, name, stream.size)

    def decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:
        return decoder_for(channels, strides, width)

    return Kit(encoder=encoder, decoder=decoder)
