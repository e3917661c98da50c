"""Learning without labels: two views of a sample should look alike, and unlike all others."""

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.learn.models.architecture import Head
from registry.learn.models.networks.network import Around, Averaged, Network

__all__ = ["Contrasted"]

_LEAST_CROP: Final = 0.5  # side of the smallest crop, as a share
_JITTER: Final = 0.2  # in standard deviations, and as a share of contrast
_NOISE: Final = 0.1  # in standard deviations
_IMAGE: Final = 4  # dimensions: sample, band, y, x


class Contrasted(Around):
    """Compares samples by two random views of each.

    A view is a crop, turned and mirrored, of other brightness and contrast in each band, with
    noise. Pixels without data stay so. Only the samples of one batch, on one device, are
    compared: let it be large.

    Args:
        network: Its encoder is what is to learn.
        head: Names the output.
        channels: Length of the network's embedding.
        width: Length of the vectors that are compared.
        temperature: Of the softmax over all samples, above 0.

    References:
        Chen et al. (2020), SimCLR, arXiv:2002.05709.
    """

    def __init__(
        self,
        network: Network | Averaged,
        head: Head,
        *,
        channels: int,
        width: int = 64,
        temperature: float = 0.2,
    ) -> None:
        super().__init__(network)
        self.heads = (head,)
        self.temperature = temperature
        self.project = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, width)
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the vectors that are compared, of length 1.

        Args:
            inputs: By asset.

        Returns:
            By name of the head: ``(sample, width)``.
        """
        vectors = self.project(self.network.embed(inputs))
        return {self.heads[0].name: functional.normalize(vectors, dim=1)}

    def losses(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Return how badly the two views of each sample find each other.

        Args:
            inputs: By asset, two samples or more.
            generator: Makes the views; on the processor.

        Returns:
            ``contrastive``: normalised, temperature-scaled cross entropy.
        """
        both = _joined(_view(inputs, generator), _view(inputs, generator))
        vectors = self.forward(both)[self.heads[0].name].float()
        likeness = vectors @ vectors.T / self.temperature
        count = len(vectors) // 2
        itself = torch.eye(2 * count, dtype=torch.bool, device=vectors.device)
        likeness = likeness.masked_fill(itself, -math.inf)
        other = torch.arange(2 * count, device=vectors.device).roll(count)
        return {"contrastive": functional.cross_entropy(likeness, other)}


def _joined(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.cat([values, two[name]]) for name, values in one.items()}


def _view(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Return a random view: one place of each sample in all its assets and time steps."""
    images = {name: one for name, one in inputs.items() if one.ndim >= _IMAGE}
    count = len(next(iter(images.values())))
    where = _placed(count, generator)
    view = {name: one for name, one in inputs.items() if name not in images}
    for name, one in images.items():
        if name.endswith("_observed"):
            continue
        flat = one if one.ndim == _IMAGE else one.flatten(1, 2)  # (sample, [time *] band, y, x)
        moved = _moved(torch.nan_to_num(flat, nan=0.0).float(), where)
        seen = (moved != 0).to(moved.dtype)
        contrast = 1 + _JITTER * _normal((count, moved.shape[1], 1, 1), generator, moved.device)
        bright = _JITTER * _normal((count, moved.shape[1], 1, 1), generator, moved.device)
        noise = _NOISE * _normal(tuple(moved.shape), generator, moved.device)
        view[name] = ((moved * contrast + bright + noise) * seen).reshape(one.shape)
    return view


def _placed(count: int, generator: torch.Generator) -> Tensor:
    """Return affine matrices ``(sample, 2, 3)``: a crop, turned by right angles, mirrored."""
    side = _LEAST_CROP + (1 - _LEAST_CROP) * torch.rand(count, generator=generator)
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * (1 - side)[:, None]
    turn = torch.randint(0, 4, (count,), generator=generator) * (math.pi / 2)
    mirror = 2.0 * torch.randint(0, 2, (count,), generator=generator) - 1
    cosine, sine = turn.cos().round(), turn.sin().round()
    first = torch.stack([cosine * mirror, -sine], dim=1)
    second = torch.stack([sine * mirror, cosine], dim=1)
    turned = torch.stack([first, second], dim=1) * side[:, None, None]
    return torch.cat([turned, shift[:, :, None]], dim=2)


def _moved(images: Tensor, where: Tensor) -> Tensor:
    shape = [*images.shape]
    grid = functional.affine_grid(where.to(images.device), shape, align_corners=False)
    # the nearest pixel: between a gap and its neighbour there is no value
    return functional.grid_sample(
        images, grid, mode="nearest", padding_mode="border", align_corners=False
    )


def _normal(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randn(shape, generator=generator).to(device)
