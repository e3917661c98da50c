"""Learning without labels: most of an image is hidden, and rebuilt from the rest."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from registry.learn.models.architecture import Head
from registry.learn.models.networks.encoding import cut, padded
from registry.learn.models.networks.network import stacked
from registry.learn.models.networks.reading import Read, Reader, Seen
from registry.learn.models.networks.transformer import Block, Transformer, positions

__all__ = ["Masked"]

_SMALLEST: Final = 1e-6  # of a patch's variance


class Masked(nn.Module):
    """A masked autoencoder over any number of bands, with gaps.

    Each time step is an image of its own. Pixels that were not observed count neither in what is
    to be rebuilt nor in a patch's mean and deviation: those that ``<asset>_observed`` denies, that
    are NaN, or, where nobody says, that are exactly zero in all bands, as normalising leaves
    nodata.

    Args:
        reader: Takes the assets; several are stacked.
        encoder: What is to learn.
        head: Names the output.
        width: Length of the decoder's tokens.
        depth: Number of the decoder's blocks.
        ratio: Share of the patches that are hidden, above 0 and below 1.

    References:
        He et al. (2022), Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377.
    """

    def __init__(
        self,
        reader: Reader,
        encoder: Transformer,
        head: Head,
        *,
        width: int = 64,
        depth: int = 2,
        ratio: float = 0.75,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.encoder = encoder
        self.heads = (head,)
        self.ratio = ratio
        self.bands = [len(one.bands) for one in reader.inputs]
        self.narrow = nn.Linear(encoder.width, width)
        self.hidden = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.normal_(self.hidden, std=0.02)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.paint = nn.Linear(width, encoder.patch**2 * sum(self.bands))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the images as the network rebuilds them with nothing hidden.

        Args:
            inputs: By asset.

        Returns:
            By name of the head: ``(sample, band, y, x)`` with the bands of all assets, or with
            time steps.
        """
        images, observed, size, steps = self._images(inputs)
        rebuilt = self._decoded(self.encoder.encoded(self._tokens(images))[-1], None, images)
        _, mean, deviation = self._wanted(images, observed)
        whole = self._pictures(rebuilt * deviation + mean, images)
        whole = cut(whole, size)
        if steps is not None:
            whole = whole.reshape(-1, steps, *whole.shape[1:])
        return {self.heads[0].name: whole}

    def losses(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Return how well hidden patches are rebuilt.

        Args:
            inputs: By asset.
            generator: Says what is hidden; on the processor.

        Returns:
            ``reconstruction``: mean squared error of the hidden pixels that were observed, each
            patch standardised.
        """
        images, observed, _, _ = self._images(inputs)
        tokens = self._tokens(images)
        count, length, _ = tokens.shape
        order = torch.rand(count, length, generator=generator).argsort(dim=1).to(tokens.device)
        kept = order[:, : max(1, round(length * (1 - self.ratio)))]
        seen = torch.gather(tokens, 1, kept.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
        rebuilt = self._decoded(self.encoder.encoded(seen)[-1], kept, images)
        wanted, _, _ = self._wanted(images, observed)
        hides = torch.ones(count, length, 1, device=tokens.device)
        hides = hides.scatter(1, kept.unsqueeze(2), 0.0)
        weight = self._patches(observed) * hides
        error = (rebuilt.float() - wanted).square() * weight
        return {"reconstruction": error.sum() / weight.sum().clamp(min=1)}

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one vector a sample: the mean of its tokens, and of its time steps.

        Args:
            inputs: By asset.

        Returns:
            ``(sample, channel)``.
        """
        images, _, _, steps = self._images(inputs)
        vectors = self.encoder.encoded(self._tokens(images))[-1].mean(dim=1)
        return vectors if steps is None else vectors.reshape(-1, steps, vectors.shape[1]).mean(1)

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the encoder's weights, to begin another network with.

        Returns:
            By name within the encoder.
        """
        return dict(self.encoder.state_dict())

    def _images(
        self, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, tuple[int, int], int | None]:
        """Return images as the encoder takes them, which pixels were observed, size and steps."""
        known = {name: torch.nan_to_num(values, nan=0.0) for name, values in inputs.items()}
        read: Read = self.reader(known)
        observed = self.reader({**known, **_observed(self.reader, inputs)})
        whole = padded(stacked(read.assets).images, self.encoder.patch)
        steps = whole.shape[1] if whole.ndim == 5 else None  # noqa: PLR2004 — with time
        masks = torch.cat([_spread(seen, steps) for seen in observed.assets], dim=-3)
        masks = torch.nn.functional.pad(
            masks, (0, whole.shape[-1] - masks.shape[-1], 0, whole.shape[-2] - masks.shape[-2])
        )
        if steps is not None:
            whole, masks = whole.flatten(0, 1), masks.flatten(0, 1)
        return whole, (masks > 0.5).float(), read.size, steps  # noqa: PLR2004 — half of a pixel

    def _tokens(self, images: Tensor) -> Tensor:
        return self.encoder.tokens(images)

    def _decoded(self, seen: Tensor, kept: Tensor | None, images: Tensor) -> Tensor:
        rows, columns = (side // self.encoder.patch for side in images.shape[-2:])
        tokens = self.narrow(seen)
        if kept is not None:
            whole = self.hidden.to(tokens.dtype).expand(len(tokens), rows * columns, -1)
            tokens = whole.scatter(1, kept.unsqueeze(2).expand_as(tokens), tokens)
        tokens = tokens + positions(rows, columns, tokens.shape[2], tokens.device).to(tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.paint(self.norm(tokens))  # (sample, token, band * patch * patch)
        return out

    def _wanted(self, images: Tensor, observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return each patch standardised by what was observed of it, with mean and deviation."""
        patches = self._patches(_without_masks(images, self.bands))
        weight = self._patches(observed)
        count = weight.sum(dim=2, keepdim=True).clamp(min=1)
        mean = (patches * weight).sum(dim=2, keepdim=True) / count
        spread = ((patches - mean).square() * weight).sum(dim=2, keepdim=True) / count
        deviation = (spread + _SMALLEST).sqrt()
        return (patches - mean) / deviation, mean, deviation

    def _patches(self, images: Tensor) -> Tensor:
        """Return ``(sample, token, band * patch * patch)``."""
        patch = self.encoder.patch
        count, bands, rows, columns = images.shape
        cells = images.reshape(count, bands, rows // patch, patch, columns // patch, patch)
        tokens = (rows // patch) * (columns // patch)
        return cells.permute(0, 2, 4, 1, 3, 5).reshape(count, tokens, bands * patch * patch)

    def _pictures(self, patches: Tensor, images: Tensor) -> Tensor:
        patch = self.encoder.patch
        rows, columns = (side // patch for side in images.shape[-2:])
        cells = patches.reshape(len(patches), rows, columns, -1, patch, patch)
        return cells.permute(0, 3, 1, 4, 2, 5).reshape(
            len(patches), -1, rows * patch, columns * patch
        )


def _observed(reader: Reader, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return one image a present asset: 1 where a pixel was observed, else 0."""
    found = {}
    for one in reader.inputs:
        if (images := inputs.get(one.asset)) is None:
            continue
        said = inputs.get(f"{one.asset}_observed")
        if said is None:
            seen = (torch.nan_to_num(images, nan=0.0) != 0).any(dim=-3, keepdim=True)
        else:
            seen = said.bool() if said.ndim == images.ndim else said.bool().unsqueeze(-3)
        here = seen & ~torch.isnan(images)
        found[one.asset] = here.to(images.dtype)
    return found


def _spread(seen: Seen, steps: int | None) -> Tensor:
    if steps is None or seen.steps is not None:
        return seen.images
    return seen.images.unsqueeze(1).expand(-1, steps, -1, -1, -1)


def _without_masks(images: Tensor, bands: Sequence[int]) -> Tensor:
    """Return images without the mask that follows each of several assets."""
    if len(bands) == 1:
        return images
    parts, start = [], 0
    for count in bands:
        parts.append(images[:, start : start + count])
        start += count + 1
    return torch.cat(parts, dim=1)
