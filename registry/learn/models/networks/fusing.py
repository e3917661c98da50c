"""From encoders of several assets to one set of features, whichever of them are there."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["Merged", "average"]


def average(values: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
    """Return the mean of what is there.

    Args:
        values: One tensor ``(sample, …)`` an asset, all of one shape.
        present: 1 where a sample has the asset, else 0; ``(sample,)`` each.

    Returns:
        Like one of the values; zeros where a sample has none.

    Examples:
        >>> there, gone = torch.ones(1), torch.zeros(1)
        >>> average([torch.full((1, 2), 4.0), torch.full((1, 2), 9.0)], [there, gone])
        tensor([[4., 4.]])
    """
    shape = (-1,) + (1,) * (values[0].ndim - 1)
    weights = [one.to(values[0].dtype).reshape(shape) for one in present]
    total = torch.stack([one * weight for one, weight in zip(values, weights, strict=True)]).sum(0)
    return total / torch.stack(weights).sum(0).clamp(min=1)


class Merged(nn.Module):
    """Features of several assets, level by level: each through a convolution, then their mean.

    Args:
        channels: Channels of each level, by asset.
    """

    def __init__(self, channels: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.channels = tuple(channels[0])
        self.align = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(before, after, 1)
                for before, after in zip(one, self.channels, strict=True)
            )
            for one in channels
        )

    def forward(self, features: list[list[Tensor]], present: list[Tensor]) -> list[Tensor]:
        """Return the merged features.

        Args:
            features: By asset, then by level.
            present: By asset, ``(sample,)``.

        Returns:
            One tensor a level, finest first.
        """
        aligned = [
            [convolve(level) for convolve, level in zip(align, one, strict=True)]
            for align, one in zip(cast("list[nn.ModuleList]", self.align), features, strict=True)
        ]
        return [average(level, present) for level in zip(*aligned, strict=True)]
