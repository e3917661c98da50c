"""From one image a time step to one map: attention, difference of two dates, or all stacked."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError
from registry.learn.models.networks.encoding import Encoder, resized
from registry.learn.models.networks.reading import Seen

__all__ = ["Attended", "Differing", "OverTime", "Stacked"]

_YEAR = 365.25  # days


class OverTime(nn.Module):
    """How an encoder is used on what one asset of a batch holds: as it comes.

    Args:
        channels: Channels of each level that it gives.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)

    def forward(self, seen: Seen, encoder: Encoder) -> list[Tensor]:
        """Return the features of an asset without time steps, or whose encoder takes them.

        Args:
            seen: The asset.
            encoder: Of single images, or of as many frames as come.

        Returns:
            One tensor a level, finest first.

        Raises:
            InvalidInputError: The encoder takes another number of frames.
        """
        images = seen.images
        if encoder.frames is not None and images.shape[1] != encoder.frames:
            raise InvalidInputError(
                f"there are {images.shape[1]} time steps; the encoder takes {encoder.frames}",
                hint="give as many frames, or build the network with time: attention",
            )
        features: list[Tensor] = encoder(images)
        return features


class Attended(OverTime):
    """Each time step is encoded alone, then each place attends to some of them.

    The weights come from the coarsest level and are used on all, as in U-TAE. Padding gets none.
    Days of year are known to the attention where the batch has them, else the order of the steps.

    Args:
        channels: Channels of each level of the encoder.
        heads: Groups of channels with weights of their own.

    References:
        Garnot and Landrieu (2021), U-TAE, arXiv:2107.07933; Garnot and Landrieu (2020), L-TAE,
        arXiv:2007.00586.
    """

    def __init__(self, channels: Sequence[int], *, heads: int = 4) -> None:
        super().__init__(channels)
        deepest = channels[-1]
        self.heads = math.gcd(heads, *channels)
        self.when = nn.Linear(4, deepest)
        self.key = nn.Conv2d(deepest, self.heads, 1)

    def forward(self, seen: Seen, encoder: Encoder) -> list[Tensor]:
        """Return features of the whole series.

        Args:
            seen: The asset, with time steps.
            encoder: Of single images.

        Returns:
            One tensor a level, finest first.
        """
        count, steps = seen.images.shape[:2]
        features: list[Tensor] = encoder(seen.images.flatten(0, 1))  # (b*t, c, y, x)
        deepest = features[-1]
        told = self.when(_when(seen)).to(deepest.dtype)  # (b, t, c)
        scores = self.key(deepest + told.flatten(0, 1)[..., None, None])  # (b*t, head, y, x)
        scores = scores.reshape(count, steps, *scores.shape[1:]).float()  # (b, t, head, y, x)
        if seen.steps is not None:
            # a large number and no infinity: a sample of padding alone gives zeros, not NaN
            scores = scores + (seen.steps - 1)[:, :, None, None, None] * 1e4
        weights = torch.softmax(scores, dim=1).to(deepest.dtype)
        return [self._weighed(level, weights) for level in features]

    def _weighed(self, level: Tensor, weights: Tensor) -> Tensor:
        count, steps = weights.shape[:2]
        fine = resized(weights.flatten(0, 1), (level.shape[-2], level.shape[-1]))
        place = level.shape[-2:]
        fine = fine.reshape(count, steps, self.heads, 1, *place)
        groups = level.reshape(count, steps, self.heads, -1, *place)
        return torch.sum(fine * groups, dim=1).flatten(1, 2)  # (b, c, y, x)


class Differing(OverTime):
    """Two dates through the same encoder; what is given is made of both and their difference.

    Args:
        channels: Channels of the encoder's levels that are wanted, its coarsest last.

    References:
        Daudt et al. (2018), FC-Siam-diff, arXiv:1810.08462.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(channels)
        self.compare = nn.ModuleList(nn.Conv2d(2 * each, each, 1) for each in channels)

    def forward(self, seen: Seen, encoder: Encoder) -> list[Tensor]:
        """Return the differences between two dates.

        Args:
            seen: The asset, with two time steps.
            encoder: Of single images.

        Returns:
            One tensor a level, finest first.
        """
        count = seen.images.shape[0]
        features = encoder(seen.images.transpose(0, 1).flatten(0, 1))[-len(self.channels) :]
        dates = [level.reshape(2, count, *level.shape[1:]) for level in features]  # (date, b, …)
        return [
            compare(torch.cat([level[1] - level[0], level[1]], dim=1))
            for compare, level in zip(self.compare, dates, strict=True)
        ]


class Stacked(OverTime):
    """All time steps as channels of one image; padding is zeros."""

    def forward(self, seen: Seen, encoder: Encoder) -> list[Tensor]:
        """Return the features of all time steps as one image.

        Args:
            seen: The asset, with time steps.
            encoder: Of single images.

        Returns:
            One tensor a level, finest first.
        """
        features: list[Tensor] = encoder(seen.images.flatten(1, 2))
        return features


def _when(seen: Seen) -> Tensor:
    """Return waves of the year and of the series: ``(sample, time, 4)``."""
    count, steps = seen.images.shape[:2]
    order = torch.arange(steps, device=seen.images.device, dtype=torch.float32) / max(steps, 1)
    order = order.expand(count, steps)
    year = order * 0 if seen.days is None else seen.days.float() / _YEAR
    waves = [torch.sin(2 * math.pi * year), torch.cos(2 * math.pi * year)]
    return torch.stack([*waves, torch.sin(math.pi * order), torch.cos(math.pi * order)], dim=-1)
