"""The lab's own networks: small, quick on a processor, any number of bands."""

from collections.abc import Sequence

from registry.errors import InvalidInputError
from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.networks.convolution import Convolutions, Decoder
from registry.learn.models.networks.encoding import Encoder
from registry.learn.models.networks.pyramid import decoder_for
from registry.learn.models.networks.transformer import Transformer

__all__ = ["NAMES", "kit"]

NAMES = ("cnn", "unet", "vit")
"""What there is."""

_STEMS = (1, 2, 4)
_DECODED = 32  # channels of the finest level of a transformer's decoder


def kit(
    *,
    name: str = "unet",
    width: int | None = None,
    depth: int | None = None,
    stem: int = 1,
    patch: int = 8,
    heads: int = 4,
) -> Kit:
    """Return one of the lab's networks.

    Args:
        name: ``unet``, ``cnn`` for a residual encoder, or ``vit`` for a transformer.
        width: Channels of the finest level, 32 if not said; of a transformer the length of a
            token, 128.
        depth: How often images are halved, 4 if not said; of a transformer its blocks, 6.
        stem: Of the convolutional ones, how many pixels of a side the first convolution takes for
            one: 1, 2 or 4.
        patch: Side of a transformer's patches, in pixels.
        heads: Of a transformer's attention; four times as many divide the width.

    Returns:
        A kit for any number of bands.

    Raises:
        InvalidInputError: There is no such network, or a number lies outside its range.
    """
    name = chosen(name, NAMES, what="network of the lab")
    if name == "vit":
        return _transformer(
            patch=within(patch, 1, 64, what="patch"),
            width=within(128 if width is None else width, 16, 2048, what="width"),
            depth=within(6 if depth is None else depth, 1, 64, what="depth"),
            heads=within(heads, 1, 64, what="heads"),
        )
    wide = within(32 if width is None else width, 4, 512, what="width")
    deep = within(4 if depth is None else depth, 1, 6, what="depth")
    if stem not in _STEMS:
        raise InvalidInputError(
            f"a stem of {stem!r} pixels is none of 1, 2 and 4", hint="leave it out for full size"
        )

    def encoder(stream: Stream) -> Encoder:
        return Convolutions(
            stream.channels, width=wide, depth=deep, residual=name == "cnn", stem=stem
        )

    def decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:
        return decoder_for(channels, strides, wide)

    return Kit(encoder=encoder, decoder=decoder)


def _transformer(*, patch: int, width: int, depth: int, heads: int) -> Kit:
    if width % (4 * heads):
        raise InvalidInputError(
            f"a token of length {width} cannot be shared by {heads} heads",
            hint=f"give a width that {4 * heads} divides",
        )

    def encoder(stream: Stream) -> Encoder:
        return Transformer(stream.channels, patch=patch, width=width, depth=depth, heads=heads)

    def decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:
        return decoder_for(channels, strides, _DECODED)

    return Kit(encoder=encoder, decoder=decoder, masks=True)
