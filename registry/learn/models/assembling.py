"""From a kit, a contract and heads to a network: which assets go together, and how time does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import nn

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract, Input
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.kits.kit import Kit, Stream, chosen
from registry.learn.models.networks.answering import DENSE
from registry.learn.models.networks.network import Averaged, Encoding, Network
from registry.learn.models.networks.reading import Reader
from registry.learn.models.networks.time import Attended, Differing, OverTime, Stacked

__all__ = ["COMMON", "Options", "assembled"]

COMMON: Final = ("fusion", "time", "modality_dropout", "dropout")
"""Arguments that every kit's networks take beside the kit's own."""

_FUSIONS: Final = ("early", "middle", "late")
_TIMES: Final = ("attention", "difference", "stack", "native")
_DATES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How assets and time steps come together."""

    fusion: str | None = None
    """``early``, ``middle`` or ``late``; None for early where the kit can."""

    time: str | None = None
    """``attention``, ``difference``, ``stack`` or ``native``; None for what fits."""

    modality_dropout: float = 0.1
    """Share of the samples that forget an asset while they train, in [0, 1)."""

    dropout: float = 0.0
    """Share of the embedding that heads of samples forget while they train, in [0, 1)."""

    def __post_init__(self) -> None:
        if self.fusion is not None:
            chosen(self.fusion, _FUSIONS, what="fusion")
        if self.time is not None:
            chosen(self.time, _TIMES, what="way of time")
        for name in ("modality_dropout", "dropout"):
            share = getattr(self, name)
            if not isinstance(share, int | float) or not 0 <= share < 1:
                raise InvalidInputError(f"{name} is {share}", hint="give a share from 0 up to 1")


def assembled(
    kit: Kit,
    *,
    contract: Contract,
    heads: Sequence[Head],
    size: tuple[int, int] | None,
    options: Mapping[str, Any],
) -> nn.Module:
    """Return a network made of a kit's parts.

    Args:
        kit: Makes encoders and decoders.
        contract: What the network reads.
        heads: What it answers.
        size: Height and width of chips, in pixels.
        options: Of :data:`COMMON`.

    Returns:
        The network, with random weights.

    Raises:
        InvalidInputError: The kit cannot fuse, or cannot take time, as asked.
    """
    said = Options(**options)
    fusion = _fusion(kit, contract, said.fusion)
    if fusion == "late":
        alone = [
            assembled(
                kit,
                contract=replace(contract, inputs=(one,)),
                heads=heads,
                size=size,
                options={**options, "fusion": None},
            )
            for one in contract.inputs
        ]
        reader = Reader(contract, dropout=said.modality_dropout)
        return Averaged([one for one in alone if isinstance(one, Network)], reader)
    together = fusion == "early"
    groups = [contract.inputs] if together else [(one,) for one in contract.inputs]
    ways = [_way(kit, group, heads, said.time) for group in groups]
    encoders = [
        kit.encoder(_stream(group, way, size)) for group, way in zip(groups, ways, strict=True)
    ]
    # Heads of samples look at the coarsest level alone: weights on the others would never learn,
    # and training on several devices would wait for them.
    dense = any(head.task in DENSE for head in heads)
    wanted = [encoder.channels if dense else encoder.channels[-1:] for encoder in encoders]
    times = [_over_time(way, channels) for way, channels in zip(ways, wanted, strict=True)]
    encoding = Encoding(
        reader=Reader(contract, dropout=said.modality_dropout),
        encoders=encoders,
        times=times,
        together=together,
    )
    decoder = kit.decoder(times[0].channels, encoders[0].strides) if dense else None
    return Network(encoding, heads=heads, decoder=decoder, dropout=said.dropout)


def _fusion(kit: Kit, contract: Contract, asked: str | None) -> str:
    if len(contract.inputs) == 1:
        return "early"
    lengths = {one.frames for one in contract.inputs if one.frames is not None}
    stackable = kit.stacks and len(lengths) <= 1
    if asked == "early" and not stackable:
        why = f"{len(lengths)} lengths of series" if kit.stacks else "fixed bands"
        raise InvalidInputError(
            f"assets with {why} cannot be stacked early", hint="say fusion: middle"
        )
    return asked or ("early" if stackable else "middle")


def _way(kit: Kit, group: Sequence[Input], heads: Sequence[Head], asked: str | None) -> str | None:
    # None where they have no time steps
    frames = next((one.frames for one in group if one.frames is not None), None)
    if frames is None:
        return None
    change = any(head.task is HeadTask.CHANGE for head in heads)
    way = asked or (
        "difference" if change and frames == _DATES else "native" if kit.frames else "attention"
    )
    if way == "native" and not kit.frames:
        raise InvalidInputError(
            "this encoder takes single images, no time steps", hint="say time: attention"
        )
    if way == "difference" and frames != _DATES:
        raise InvalidInputError(
            f"a difference is of two dates; there are {frames}",
            hint="say time: attention, or read two frames",
        )
    return way


def _stream(group: tuple[Input, ...], way: str | None, size: tuple[int, int] | None) -> Stream:
    channels = sum(len(one.bands) for one in group) + (len(group) if len(group) > 1 else 0)
    frames = next((one.frames for one in group if one.frames is not None), None)
    return Stream(
        inputs=group,
        channels=channels * (frames or 1) if way == "stack" else channels,
        frames=frames if way == "native" else None,
        size=size,
    )


def _over_time(way: str | None, channels: Sequence[int]) -> OverTime:
    if way == "attention":
        return Attended(channels)
    if way == "difference":
        return Differing(channels)
    return Stacked(channels) if way == "stack" else OverTime(channels)
