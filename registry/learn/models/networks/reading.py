"""What comes in by asset becomes images of one size, and what is missing becomes a mask."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract, Input
from registry.learn.models.networks.encoding import resized

__all__ = ["Read", "Reader", "Seen"]

_IMAGE = 4  # dimensions: sample, band, y, x
_SERIES = 5  # dimensions: sample, time, band, y, x


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One asset of a batch."""

    images: Tensor
    """``(sample, band, y, x)``, or ``(sample, time, band, y, x)``; zeros where it is missing."""

    present: Tensor
    """1 where a sample has the asset, else 0; ``(sample,)``."""

    steps: Tensor | None = None
    """1 for time steps that are no padding, else 0; ``(sample, time)``; None without time."""

    days: Tensor | None = None
    """Day of year of each time step, ``(sample, time)``; None where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A batch as a network takes it."""

    assets: tuple[Seen, ...]
    """In the order of the contract."""

    size: tuple[int, int]
    """Height and width of all images, in pixels."""


class Reader(nn.Module):
    """Takes the assets of a contract from a batch.

    A key that is absent, and a sample whose ``<asset>_valid`` is false, become zeros with a mask.
    While it trains, it forgets whole assets of samples at random, so that the network learns to do
    without; one is always left.

    Args:
        contract: What comes in.
        dropout: Share of the samples that forget an asset, in [0, 1).
    """

    def __init__(self, contract: Contract, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.inputs = contract.inputs
        self.dropout = dropout if len(contract.inputs) > 1 else 0.0
        spacing = [one.gsd for one in contract.inputs]
        known = [gsd for gsd in spacing if gsd]
        finest = min(known) if len(known) == len(spacing) else None
        self.enlarged = tuple(gsd / finest if finest and gsd else 1.0 for gsd in spacing)

    def forward(self, inputs: Mapping[str, Tensor]) -> Read:
        """Return the assets of a batch.

        Args:
            inputs: By asset ``(sample, band, y, x)`` or ``(sample, time, band, y, x)``,
                normalised; ``<asset>_valid`` beside it ``(sample,)`` or ``(sample, time)``, and
                ``<asset>_day`` with days of year.

        Returns:
            All assets at the size of the finest.

        Raises:
            InvalidInputError: No asset is there, or one has other bands or dimensions.
        """
        given = {one.asset: _checked(one, inputs) for one in self.inputs if one.asset in inputs}
        if not given:
            wanted = ", ".join(one.asset for one in self.inputs)
            raise InvalidInputError(
                f"the batch has no asset of the network; it has {', '.join(inputs) or 'nothing'}",
                hint=f"give at least one of {wanted}",
            )
        size = self._size(given)
        like = next(iter(given.values()))
        count = like.shape[0]
        present = torch.stack([_present(one, inputs, count, like) for one in self.inputs])
        present = self._forget(present)  # (asset, sample)
        return Read(
            assets=tuple(
                _seen(one, inputs, given.get(one.asset, like), size, here)
                for one, here in zip(self.inputs, present, strict=True)
            ),
            size=size,
        )

    def _size(self, given: Mapping[str, Tensor]) -> tuple[int, int]:
        sides = [
            tuple(
                side if factor == 1 else round(side * factor)  # what is exported knows no rounding
                for side in given[one.asset].shape[-2:]
            )
            for one, factor in zip(self.inputs, self.enlarged, strict=True)
            if one.asset in given
        ]
        return max(side[0] for side in sides), max(side[1] for side in sides)

    def _forget(self, present: Tensor) -> Tensor:
        if not self.training or not self.dropout:
            return present
        chance = torch.rand(present.shape, device=present.device)
        # the luckiest asset that a sample has is kept, whatever its number
        luckiest = torch.argmax(chance * present, dim=0, keepdim=True)
        kept = (chance >= self.dropout).to(present.dtype).scatter(0, luckiest, 1.0)
        return present * kept


def _checked(one: Input, inputs: Mapping[str, Tensor]) -> Tensor:
    images = inputs[one.asset]
    if images.ndim not in {_IMAGE, _SERIES}:
        raise InvalidInputError(
            f"asset '{one.asset}' has shape {tuple(images.shape)}",
            hint="give (sample, band, y, x) or (sample, time, band, y, x)",
        )
    if images.shape[-3] != len(one.bands):
        names = ", ".join(band.name for band in one.bands)
        raise InvalidInputError(
            f"asset '{one.asset}' has {images.shape[-3]} bands; the network reads {len(one.bands)}",
            hint=f"give {names}, in this order",
        )
    if images.ndim == _SERIES and one.frames is None and images.shape[1] != 1:
        raise InvalidInputError(
            f"asset '{one.asset}' has {images.shape[1]} time steps; the network reads one image",
            hint="build the network with frames in its contract, or choose one time step",
        )
    return images


def _present(one: Input, inputs: Mapping[str, Tensor], count: int, like: Tensor) -> Tensor:
    if one.asset not in inputs:
        return torch.zeros(count, device=like.device)
    valid = inputs.get(f"{one.asset}_valid")
    if valid is None:
        return torch.ones(count, device=like.device)
    return valid.reshape(count, -1).to(torch.float32).amax(dim=1)


def _seen(
    one: Input, inputs: Mapping[str, Tensor], like: Tensor, size: tuple[int, int], present: Tensor
) -> Seen:
    count, bands = like.shape[0], len(one.bands)
    images = inputs.get(one.asset)
    if images is None:
        images = like.new_zeros(count, one.frames or 1, bands, *size)
    if images.ndim == _IMAGE:
        images = images.unsqueeze(1)
    steps = images.shape[1]
    images = resized(images.flatten(0, 1), size).reshape(count, steps, bands, *size)
    images = torch.where(present.reshape(count, 1, 1, 1, 1) > 0, images, 0)
    if one.frames is None:
        return Seen(images=images.squeeze(1), present=present)
    valid = inputs.get(f"{one.asset}_valid")
    if valid is None or valid.ndim == 1:
        valid = images.new_ones(count, steps)
    valid = valid.to(torch.float32)
    images = torch.where(valid.reshape(count, steps, 1, 1, 1) > 0, images, 0)
    return Seen(images=images, present=present, steps=valid, days=inputs.get(f"{one.asset}_day"))
