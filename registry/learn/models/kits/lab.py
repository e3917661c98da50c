"""The lab's own networks: small, quick on a processor, any number of bands."""

from collections.abc import Sequence

from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.networks.convolution import Convolutions, Decoder
from registry.learn.models.networks.encoding import Encoder
from registry.learn.models.networks.pyramid import decoder_for

__all__ = ["NAMES", "kit"]

NAMES = ("cnn", "unet")
"""What there is."""


def kit(*, name: str = "unet", width: int = 32, depth: int = 4) -> Kit:
    """Return one of the lab's networks.

    Args:
        name: ``unet``, or ``cnn`` for its residual encoder.
        width: Channels of the finest level.
        depth: How often images are halved.

    Returns:
        A kit for any number of bands.

    Raises:
        InvalidInputError: There is no such network, or a number lies outside its range.
    """
    name = chosen(name, NAMES, what="network of the lab")
    width = within(width, 4, 512, what="width")
    depth = within(depth, 1, 6, what="depth")

    def encoder(stream: Stream) -> Encoder:
        return Convolutions(stream.channels, width=width, depth=depth, residual=name == "cnn")

    def decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:
        return decoder_for(channels, strides, width)

    return Kit(encoder=encoder, decoder=decoder)
