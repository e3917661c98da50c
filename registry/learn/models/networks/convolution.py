"""The lab's own convolutional encoder and the decoder of a U-Net."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from registry.learn.models.networks.encoding import Encoder, resized

__all__ = ["Convolutions", "Decoder", "UNetDecoder"]


class Decoder(nn.Module, ABC):
    """Features of some levels become features of every pixel, or of every few.

    Args:
        channels: Channels of what it gives.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Tensor:
        """Return one map ``(sample, channels, y, x)`` of features that come finest first.

        Args:
            features: One tensor a level.

        Returns:
            At the finest level's size, or another that heads resize.
        """


class Convolutions(Encoder):
    """Two convolutions a level, halved between levels; residual where asked.

    Args:
        bands: Channels of its images.
        width: Channels of the finest level; each level has twice as many, up to 16 times.
        depth: How often the image is halved.
        residual: Whether each level adds what came in to what it gives, which trains deeper
            networks for classification.
        stem: Stride of the first convolution: 2 leaves a quarter of the pixels to work on.

    References:
        Ronneberger et al. (2015), U-Net, arXiv:1505.04597; He et al. (2016), arXiv:1512.03385.
    """

    def __init__(
        self, bands: int, *, width: int, depth: int, residual: bool = False, stem: int = 1
    ) -> None:
        channels = [width * min(2**level, 16) for level in range(depth + 1)]
        super().__init__(channels=channels, strides=[stem * 2**level for level in range(depth + 1)])
        self.levels = nn.ModuleList(
            _Level(before, after, residual=residual, stride=1 if level else stem)
            for level, (before, after) in enumerate(pairwise([bands, *channels]))
        )
        self.halve = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images, finest first.

        Args:
            images: ``(sample, channel, y, x)``.

        Returns:
            One tensor a level, the first at full size without a stem.
        """
        features: list[Tensor] = []
        for level in self.levels:
            images = level(self.halve(images) if features else images)
            features.append(images)
        return features


class UNetDecoder(Decoder):
    """From the coarsest level up: enlarge, join the finer level, convolve twice.

    Args:
        channels: Channels of each level, finest first.
        width: Channels of what it gives; None for those of the finest level.
    """

    def __init__(self, channels: Sequence[int], *, width: int | None = None) -> None:
        gives = [width or channels[0], *channels[1:]]
        super().__init__(gives[0])
        coarser = [*gives[1:-1], channels[-1]]
        self.levels = nn.ModuleList(
            _Level(coarser[level] + channels[level], gives[level])
            for level in reversed(range(len(channels) - 1))
        )
        self.alone = _Level(channels[0], gives[0]) if len(channels) == 1 else nn.Identity()

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return features at the finest level's size.

        Args:
            features: One tensor a level, finest first.

        Returns:
            ``(sample, channels, y, x)``.
        """
        image = features[-1]
        for level, finer in zip(self.levels, reversed(features[:-1]), strict=True):
            image = level(
                torch.cat([resized(image, (finer.shape[-2], finer.shape[-1])), finer], dim=1)
            )
        out: Tensor = self.alone(image)
        return out


class _Level(nn.Module):
    def __init__(self, before: int, after: int, *, residual: bool = False, stride: int = 1) -> None:
        super().__init__()
        # normalised over the batch: over the window, a scene's windows would not meet
        self.convolve = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.around = nn.Conv2d(before, after, 1, stride, bias=False) if residual else None
        self.rectify = nn.ReLU(inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        deep: Tensor = self.convolve(image)
        if self.around is not None:
            deep = deep + self.around(image)
        out: Tensor = self.rectify(deep)
        return out
