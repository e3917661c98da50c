"""A network: assets in, encoders, time, fusion, decoder, one answer a head."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from registry.learn.models.architecture import Head
from registry.learn.models.networks.answering import DENSE, OfPixels, OfSamples, outputs
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder, cut, padded, pooled, resized
from registry.learn.models.networks.fusing import Merged, average
from registry.learn.models.networks.reading import Reader, Seen
from registry.learn.models.networks.time import OverTime

__all__ = ["Around", "Averaged", "Encoding", "Features", "Network", "dated", "stacked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the encoders made of a batch."""

    levels: list[Tensor]
    """One tensor a level, finest first."""

    size: tuple[int, int]
    """Height and width of the images, in pixels."""

    inner: tuple[int, int]
    """Height and width to which they were padded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """The parts that make features of assets."""

    reader: Reader
    """Takes the assets from a batch."""

    encoders: Sequence[Encoder]
    """One for all assets together, or one an asset."""

    times: Sequence[OverTime]
    """One an encoder."""

    joined: Callable[[Sequence[Seen]], Seen] | None
    """Makes one of all assets for one encoder; None where each has its own."""


class Network(nn.Module):
    """Encoders of assets, and heads on what they find.

    Args:
        encoding: The parts that make features.
        heads: What it answers; none for a network that only embeds.
        decoder: For heads that answer for each pixel.
        dropout: Share of the embedding that heads of samples forget while they train.
    """

    def __init__(
        self,
        encoding: Encoding,
        *,
        heads: Sequence[Head] = (),
        decoder: Decoder | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.reader = encoding.reader
        self.joined = encoding.joined
        self.encoder = nn.ModuleList(encoding.encoders)
        self.time = nn.ModuleList(encoding.times)
        several = len(encoding.times) > 1
        self.merge = Merged([time.channels for time in encoding.times]) if several else None
        self.channels = encoding.times[0].channels
        self.strides = encoding.encoders[0].strides
        self.stride = math.lcm(*(one.stride for one in encoding.encoders if one.side is None))
        self.heads = tuple(heads)
        self.decoder = decoder
        self.answers = nn.ModuleList(
            OfPixels(decoder.channels, outputs(head))
            if head.task in DENSE and decoder is not None
            else OfSamples(self.channels[-1], outputs(head), dropout=dropout)
            for head in self.heads
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what each head answers.

        Args:
            inputs: By asset ``(sample, band, y, x)`` or ``(sample, time, band, y, x)``,
                normalised; an asset that is absent is a missing modality.

        Returns:
            By name of the head: ``(sample, output)`` or ``(sample, output, y, x)``.
        """
        return self.answered(self.features(inputs))

    def answered(self, features: Features) -> dict[str, Tensor]:
        """Return what each head answers to features.

        Args:
            features: Of a batch.

        Returns:
            By name of the head.
        """
        decoded = features.levels[-1] if self.decoder is None else self.decoder(features.levels)
        embedding = pooled(features.levels[-1])
        return {
            head.name: cut(answer(decoded, features.inner), features.size)
            if head.task in DENSE
            else answer(embedding)
            for head, answer in zip(self.heads, self.answers, strict=True)
        }

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one vector a sample: the mean of the coarsest features.

        Args:
            inputs: As :meth:`forward` takes them.

        Returns:
            ``(sample, channel)``.
        """
        return pooled(self.features(inputs).levels[-1])

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the encoder's weights, to begin another network with.

        Returns:
            By name within the encoder; where there are several, its number comes first.
        """
        one: nn.Module = self.encoder[0] if len(self.encoder) == 1 else self.encoder
        return dict(one.state_dict())

    def features(self, inputs: Mapping[str, Tensor]) -> Features:
        """Return the features of a batch, merged over time and assets.

        Args:
            inputs: As :meth:`forward` takes them.

        Returns:
            On all levels.
        """
        read = self.reader(inputs)
        assets = (self.joined(read.assets),) if self.joined else read.assets
        inner, found = read.size, []
        encoders = cast("list[Encoder]", self.encoder)
        for encoder, time, seen in zip(encoders, self.time, assets, strict=True):
            images = padded(seen.images, self._multiple(seen.images))
            inner = (images.shape[-2], images.shape[-1])
            levels = time(replace(seen, images=_square(images, encoder.side)), encoder)
            found.append(levels[-len(self.channels) :])
        if self.merge is None:
            return Features(levels=found[0], size=read.size, inner=inner)
        sizes = [(level.shape[-2], level.shape[-1]) for level in found[0]]
        alike = [
            [resized(level, size) for level, size in zip(one, sizes, strict=True)] for one in found
        ]
        merged = self.merge(alike, [seen.present for seen in assets])
        return Features(levels=merged, size=read.size, inner=inner)

    def _multiple(self, images: Tensor) -> int:
        # a lone sample of one coarse pixel has no spread to be normalised by
        lone = self.training and len(images) == 1 and max(images.shape[-2:]) <= self.stride
        return 2 * self.stride if lone else self.stride


class Averaged(nn.Module):
    """Late fusion: one network an asset, and the mean of their answers over those that are there.

    Args:
        networks: One an asset, in the order of the contract, each reading that asset alone.
        reader: Takes all assets.
    """

    def __init__(self, networks: Sequence[Network], reader: Reader) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.reader = reader
        self.heads = networks[0].heads

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean of what the networks answer.

        Args:
            inputs: By asset; one that is absent does not count.

        Returns:
            By name of the head.
        """
        alone, present = self._apart(inputs)
        answers = [network(one) for network, one in zip(self.networks, alone, strict=True)]
        return {
            head.name: average([answer[head.name] for answer in answers], present)
            for head in self.heads
        }

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the networks' vectors one after the other; zeros for an asset that is missing.

        Args:
            inputs: By asset.

        Returns:
            ``(sample, channel)``.
        """
        alone, present = self._apart(inputs)
        vectors = [
            network.embed(one) * here.unsqueeze(1)
            for network, one, here in zip(self.parts(), alone, present, strict=True)
        ]
        return torch.cat(vectors, dim=1)

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the encoders' weights, to begin another network with.

        Returns:
            By number of the asset, then by name within the encoder.
        """
        return {
            f"{number}.{name}": weight
            for number, network in enumerate(self.parts())
            for name, weight in network.encoder_state().items()
        }

    def parts(self) -> list[Network]:
        """Return the networks, one an asset.

        Returns:
            In the order of the contract.
        """
        return cast("list[Network]", self.networks)

    def _apart(self, inputs: Mapping[str, Tensor]) -> tuple[list[dict[str, Tensor]], list[Tensor]]:
        read = self.reader(inputs)
        alone = []
        for one, seen in zip(self.reader.inputs, read.assets, strict=True):
            mine = {one.asset: seen.images}
            if seen.steps is not None:
                mine[f"{one.asset}_valid"] = seen.steps
            if seen.days is not None:
                mine[f"{one.asset}_day"] = seen.days
            alone.append(mine)
        return alone, [seen.present for seen in read.assets]


class Around(nn.Module):
    """What answers by a network inside: its vectors and its encoder are the network's.

    Args:
        network: The one inside.
    """

    def __init__(self, network: Network | Averaged) -> None:
        super().__init__()
        self.network = network

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one vector a sample.

        Args:
            inputs: By asset.

        Returns:
            ``(sample, channel)``.
        """
        return self.network.embed(inputs)

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the encoder's weights, to begin another network with.

        Returns:
            By name within the encoder.
        """
        return self.network.encoder_state()


def _square(images: Tensor, side: int | None) -> Tensor:
    if side is None or tuple(images.shape[-2:]) == (side, side):
        return images
    flat = images.reshape(-1, *images.shape[-3:])
    return resized(flat, (side, side)).reshape(*images.shape[:-2], side, side)


def dated(assets: Sequence[Seen]) -> Seen:
    """Return two assets as two time steps of one.

    Args:
        assets: Of the same bands and size, the earlier first.

    Returns:
        A series of two.
    """
    return Seen(
        images=torch.stack([seen.images for seen in assets], dim=1),
        present=torch.stack([seen.present for seen in assets]).amax(dim=0),
        steps=torch.stack([seen.present for seen in assets], dim=1),
    )


def stacked(assets: Sequence[Seen]) -> Seen:
    """Return all assets as one, side by side; where they are several, each with its mask.

    Args:
        assets: At least one, all of one size.

    Returns:
        Bands and mask of the first, then of the second, and so on; padding of series where every
        one has padding.
    """
    if len(assets) == 1:
        return assets[0]
    series = [seen for seen in assets if seen.steps is not None]
    steps = series[0].images.shape[1] if series else None
    bands = []
    for seen in assets:
        images = seen.images
        if steps is not None and seen.steps is None:
            images = images.unsqueeze(1).expand(-1, steps, -1, -1, -1)
        mask = seen.present.to(images.dtype).reshape(-1, *(1,) * (images.ndim - 1))
        bands += [images, mask.expand_as(images[..., :1, :, :])]
    together = torch.cat(bands, dim=-3)  # (sample, [time,] band and mask of each, y, x)
    present = torch.stack([seen.present for seen in assets]).amax(dim=0)
    valid = [seen.steps for seen in series if seen.steps is not None]
    return Seen(
        images=together,
        present=present,
        steps=torch.stack(valid).amax(dim=0) if valid else None,
        days=next((seen.days for seen in series if seen.days is not None), None),
    )
