"""What every encoder promises, and sizes that no stride divides."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Encoder", "cut", "padded", "pooled", "resized"]


class Encoder(nn.Module, ABC):
    """Features of images on some levels, finest first.

    ``forward`` takes images ``(sample, channel, y, x)`` whose sides are whole multiples of
    ``stride``, and gives one tensor ``(sample, channels[level], y / strides[level], …)`` a level.
    An encoder with ``frames`` takes ``(sample, time, channel, y, x)`` instead.

    Args:
        channels: Channels of each level.
        strides: Pixels of the image for one of the level, by level; they never fall.
        stride: What both sides of an image must be a multiple of, in pixels.
        side: The only height and width that it takes, in pixels; None for any.
        frames: Time steps that it takes at once; None for single images.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        strides: Sequence[int],
        stride: int | None = None,
        side: int | None = None,
        frames: int | None = None,
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.strides = tuple(strides)
        self.stride = stride or max(self.strides)
        self.side = side
        self.frames = frames

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images.

        Args:
            images: Normalised; ``(sample, channel, y, x)``, or with time where it takes frames.

        Returns:
            One tensor a level, finest first.
        """


def padded(images: Tensor, stride: int) -> Tensor:
    """Return images with rows and columns repeated at the lower right until the stride divides.

    Args:
        images: ``(…, y, x)`` with three dimensions or more.
        stride: In pixels, at least 1.

    Returns:
        The same images, or larger ones.

    Examples:
        >>> padded(torch.zeros(1, 3, 377, 380), 16).shape
        torch.Size([1, 3, 384, 384])
    """
    below, right = -images.shape[-2] % stride, -images.shape[-1] % stride
    if not below and not right:
        return images
    flat = images.reshape(-1, 1, *images.shape[-2:])  # (all, 1, y, x)
    wide = functional.pad(flat, (0, right, 0, below), mode="replicate")
    return wide.reshape(*images.shape[:-2], *wide.shape[-2:])


def cut(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the upper left part of images.

    Args:
        images: ``(…, y, x)``.
        size: Height and width in pixels.

    Returns:
        A view.
    """
    return images[..., : size[0], : size[1]]


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images ``(sample, channel, y, x)`` at another size, bilinear.

    Args:
        images: ``(sample, channel, y, x)``.
        size: Height and width in pixels.

    Returns:
        The same where the size is the same.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def pooled(features: Tensor) -> Tensor:
    """Return the mean of features over the image: ``(sample, channel)``.

    Args:
        features: ``(sample, channel, y, x)``.

    Returns:
        In the features' precision.
    """
    return torch.mean(features, dim=(-2, -1))
