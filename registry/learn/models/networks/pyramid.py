"""Levels of one size, as plain transformers give, become a pyramid for a decoder."""

from collections.abc import Sequence

from torch import Tensor, nn

from registry.learn.models.networks.convolution import Decoder, UNetDecoder

__all__ = ["Pyramid", "decoder_for"]


class Pyramid(Decoder):
    """Enlarges the shallow levels, then decodes as a U-Net does.

    Args:
        channels: Channels of each level, all of one stride.
        width: Channels of what it gives.

    References:
        Li et al. (2022), ViTDet, arXiv:2203.16527: levels of a plain transformer by deconvolution.
    """

    def __init__(self, channels: Sequence[int], *, width: int) -> None:
        super().__init__(width)
        # the deepest stays as it is; each before it is twice as fine, up to 8 times
        times = [min(len(channels) - 1 - level, 3) for level in range(len(channels))]
        gives = [
            max(width, each // 2**doubled) for each, doubled in zip(channels, times, strict=True)
        ]
        self.enlarge = nn.ModuleList(
            _enlarging(before, after, doubled)
            for before, after, doubled in zip(channels, gives, times, strict=True)
        )
        self.decode = UNetDecoder(gives, width=width)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return one map, finer than the features where there are several levels.

        Args:
            features: One tensor a level, shallowest first, all of one size.

        Returns:
            ``(sample, width, y, x)``.
        """
        fine = [enlarge(level) for enlarge, level in zip(self.enlarge, features, strict=True)]
        out: Tensor = self.decode(fine)
        return out


def decoder_for(channels: Sequence[int], strides: Sequence[int], width: int) -> Decoder:
    """Return the lab's decoder for features of any encoder.

    Args:
        channels: Channels of each level.
        strides: Pixels of the image for one of the level.
        width: Channels of what it gives.

    Returns:
        A U-Net's, with a pyramid before it where all levels are of one size.
    """
    if len(channels) > 1 and len(set(strides)) == 1:
        return Pyramid(channels, width=width)
    return UNetDecoder(channels, width=width)


def _enlarging(before: int, after: int, doubled: int) -> nn.Module:
    steps: list[nn.Module] = []
    for step in range(doubled):
        steps += [
            nn.ConvTranspose2d(before if step == 0 else after, after, 2, stride=2, bias=False),
            nn.BatchNorm2d(after),
            nn.GELU(),
        ]
    return nn.Sequential(*steps) if steps else nn.Conv2d(before, after, 1)
