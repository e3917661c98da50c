"""A small vision transformer, which a masked autoencoder can train without labels."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.learn.models.networks.encoding import Encoder

__all__ = ["Block", "Transformer", "positions"]

_LEVELS = 4


class Block(nn.Module):
    """Attention, then two linear layers, each beside what came in.

    Args:
        width: Length of a token.
        heads: Of the attention; they divide the width.

    References:
        Dosovitskiy et al. (2021), ViT, arXiv:2010.11929.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens after attention.

        Args:
            tokens: ``(sample, token, width)``.

        Returns:
            Of the same shape.
        """
        count, length, width = tokens.shape
        asked = self.ask(self.before(tokens)).reshape(count, length, 3, self.heads, -1)
        query, key, value = asked.permute(2, 0, 3, 1, 4)  # (sample, head, token, width / heads)
        heard = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.answer(heard.transpose(1, 2).reshape(count, length, width))
        out: Tensor = tokens + self.think(self.between(tokens))
        return out


class Transformer(Encoder):
    """A plain vision transformer for images of any size.

    Args:
        bands: Channels of its images.
        patch: Height and width of a patch, in pixels.
        width: Length of a token, a multiple of 4 and of ``heads``.
        depth: Number of blocks.
        heads: Of the attention.
    """

    def __init__(self, bands: int, *, patch: int, width: int, depth: int, heads: int) -> None:
        levels = min(_LEVELS, depth)
        super().__init__(channels=[width] * levels, strides=[patch] * levels)
        self.patch = patch
        self.width = width
        self.taken = [depth * (level + 1) // levels - 1 for level in range(levels)]
        self.embed = nn.Conv2d(bands, width, patch, stride=patch)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features after some of the blocks, all of one size.

        Args:
            images: ``(sample, channel, y, x)``; the patch divides both sides.

        Returns:
            One tensor a level, shallowest first.
        """
        size = (images.shape[-2] // self.patch, images.shape[-1] // self.patch)
        found = self.encoded(self.tokens(images))
        return [level.transpose(1, 2).reshape(len(images), -1, *size) for level in found]

    def tokens(self, images: Tensor) -> Tensor:
        """Return one token a patch, that knows where it is.

        Args:
            images: ``(sample, channel, y, x)``.

        Returns:
            ``(sample, token, width)``, row by row.
        """
        embedded = self.embed(images)
        place = positions(embedded.shape[-2], embedded.shape[-1], self.width, embedded.device)
        tokens: Tensor = embedded.flatten(2).transpose(1, 2) + place.to(embedded.dtype)
        return tokens

    def encoded(self, tokens: Tensor) -> list[Tensor]:
        """Return the tokens after some of the blocks, the last of them normalised.

        Args:
            tokens: ``(sample, token, width)``, all patches or some.

        Returns:
            One tensor a level, like the tokens.
        """
        found = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in self.taken:
                found.append(tokens)
        found[-1] = self.norm(found[-1])
        return found


def positions(rows: int, columns: int, width: int, device: torch.device) -> Tensor:
    """Return sines and cosines that say where a patch is: half of them its row, half its column.

    Args:
        rows: Patches from top to bottom.
        columns: Patches from left to right.
        width: Length of a token, a multiple of 4.
        device: Where they are wanted.

    Returns:
        ``(token, width)``, row by row.

    References:
        Vaswani et al. (2017), arXiv:1706.03762; in two dimensions as in He et al. (2022), MAE,
        arXiv:2111.06377.

    Examples:
        >>> positions(2, 3, 8, torch.device("cpu")).shape
        torch.Size([6, 8])
    """
    rate = torch.arange(width // 4, device=device) / (width // 4)
    rate = torch.exp(-math.log(10_000.0) * rate)
    down = torch.arange(rows, device=device).float()[:, None] * rate
    right = torch.arange(columns, device=device).float()[:, None] * rate
    down = torch.cat([down.sin(), down.cos()], dim=1)[:, None].expand(-1, columns, -1)
    right = torch.cat([right.sin(), right.cos()], dim=1)[None].expand(rows, -1, -1)
    return torch.cat([down, right], dim=2).reshape(rows * columns, -1)
