"""Levels of one size, as plain transformers give, become a pyramid for a decoder."""

from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn

from registry.learn.models.networks.convolution import Decoder, UNetDecoder

__all__ = ["Enlarged", "Pyramid", "decoder_for"]

_MOST: Final = 3  # times that a level is doubled


class Enlarged(nn.Module):
    """Levels of one stride become a pyramid: the deepest stays, each before it is twice as fine.

    Args:
        channels: Channels of each level.
        strides: Pixels of the image for one of the level.
        width: The least channels that a level gives.

    References:
        Li et al. (2022), ViTDet, arXiv:2203.16527: levels of a plain transformer by deconvolution.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, width: int) -> None:
        super().__init__()
        times = [min(len(channels) - 1 - level, _MOST) for level in range(len(channels))]
        self.channels = tuple(
            max(width, each // 2**doubled) for each, doubled in zip(channels, times, strict=True)
        )
        self.strides = tuple(
            max(1, each // 2**doubled) for each, doubled in zip(strides, times, strict=True)
        )
        self.levels = nn.ModuleList(
            _enlarging(before, after, doubled)
            for before, after, doubled in zip(channels, self.channels, times, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first.

        Args:
            features: One tensor a level, shallowest first, all of one size.

        Returns:
            One tensor a level.
        """
        return [enlarge(level) for enlarge, level in zip(self.levels, features, strict=True)]


class Pyramid(Decoder):
    """Enlarges the shallow levels, then decodes as a U-Net does.

    Args:
        channels: Channels of each level, all of one stride.
        strides: Pixels of the image for one of the level.
        width: Channels of what it gives.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, width: int) -> None:
        super().__init__(width)
        self.enlarge = Enlarged(channels, strides, width=width)
        self.decode = UNetDecoder(self.enlarge.channels, width=width)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return one map, finer than the features where there are several levels.

        Args:
            features: One tensor a level, shallowest first, all of one size.

        Returns:
            ``(sample, width, y, x)``.
        """
        out: Tensor = self.decode(self.enlarge(features))
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
        return Pyramid(channels, strides, width=width)
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
