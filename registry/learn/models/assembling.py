"""From a kit, a contract and heads to a network: which assets go together, and how time does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from torch import nn

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract, Input
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.networks.answering import DENSE
from registry.learn.models.networks.contrasting import Contrasted
from registry.learn.models.networks.masking import Masked
from registry.learn.models.networks.network import Averaged, Encoding, Network, dated, stacked
from registry.learn.models.networks.reading import Reader
from registry.learn.models.networks.time import Attended, Differing, OverTime, Stacked
from registry.learn.models.networks.transformer import Transformer

__all__ = ["COMMON", "Options", "assembled"]

_FUSIONS: Final = ("early", "middle", "late", "dates")
_TIMES: Final = ("attention", "difference", "stack", "native")
_DATES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every kit's networks are told beside the kit's own arguments."""

    fusion: str | None = None
    """How several assets come together: ``early`` as bands of one image, ``middle`` as features
    of an encoder each, ``late`` as answers of a network each, or ``dates`` for two assets that are
    one place at two times. None for early where the kit can, and for dates where the head is
    change."""

    time: str | None = None
    """How time steps come together: ``attention``, ``difference`` of two, ``stack`` as bands, or
    ``native`` where the encoder takes them. None for what fits."""

    modality_dropout: float = 0.1
    """Share of the samples that forget an asset while they train, in [0, 1)."""

    dropout: float = 0.0
    """Share of the embedding that heads of samples forget while they train, in [0, 1)."""

    mask_ratio: float = 0.75
    """Share of the patches that a masked autoencoder hides, in (0, 1)."""

    temperature: float = 0.2
    """Of the softmax over samples in contrastive learning, in (0, 10)."""

    score: float = 0.05
    """The least score of a box that is given, in [0, 1)."""

    overlap: float = 0.5
    """Intersection over union above which the weaker of two boxes is dropped, in (0, 1)."""

    finest: int = 4
    """Pixels of an image for one of the finest level that objects are looked for on, 1 to 32."""

    def __post_init__(self) -> None:
        if self.fusion is not None:
            chosen(self.fusion, _FUSIONS, what="fusion")
        if self.time is not None:
            chosen(self.time, _TIMES, what="way of time")
        for name in ("modality_dropout", "dropout", "score"):
            _between(name, getattr(self, name), 0, 1)
        for name, most in (("mask_ratio", 1), ("overlap", 1), ("temperature", 10)):
            _between(name, getattr(self, name), 1e-6, most)
        within(self.finest, 1, 32, what="finest")


COMMON: Final = tuple(Options.__dataclass_fields__)
"""Names of the options."""


def assembled(
    kit: Kit,
    *,
    contract: Contract,
    heads: Sequence[Head],
    size: tuple[int, int] | None,
    options: Options,
) -> nn.Module:
    """Return a network made of a kit's parts.

    Args:
        kit: Makes encoders and decoders.
        contract: What the network reads.
        heads: What it answers.
        size: Height and width of chips, in pixels.
        options: How the parts come together.

    Returns:
        The network, with random weights.

    Raises:
        InvalidInputError: The kit cannot do what is asked.
    """
    special = [head for head in heads if head.task in _SPECIAL]
    rest = tuple(head for head in heads if head.task not in _SPECIAL)
    if not special:
        return _answering(kit, contract, rest, size, options)
    head = special[0]
    if len(special) > 1 or (rest and head.task is not HeadTask.DETECTION):
        names = ", ".join(each.name for each in heads)
        raise InvalidInputError(
            f"heads {names} cannot be in one network",
            hint=f"leave '{head.name}' alone, and begin the next network with its weights",
        )
    if head.task is HeadTask.RECONSTRUCTION:
        return _masked(kit, contract, head, size, options)
    network = _answering(kit, contract, rest, size, options, levels=head.task is HeadTask.DETECTION)
    if head.task is HeadTask.CONTRASTIVE:
        parts = network.parts() if isinstance(network, Averaged) else [network]
        channels = sum(part.channels[-1] for part in parts)
        return Contrasted(network, head, channels=channels, temperature=options.temperature)
    from registry.learn.models.networks.detecting import Detector  # needs torchvision

    if isinstance(network, Averaged):
        raise InvalidInputError("boxes cannot be fused late", hint="say fusion: middle")
    return Detector(
        network, head, score=options.score, overlap=options.overlap, finest=options.finest
    )


_SPECIAL: Final = frozenset({HeadTask.DETECTION, HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE})


def _between(name: str, share: object, low: float, high: float) -> None:
    if not isinstance(share, int | float) or not low <= share < high:
        raise InvalidInputError(
            f"{name} is {str(share)[:40]}", hint=f"give a number from {low:g} up to {high:g}"
        )


def _masked(
    kit: Kit, contract: Contract, head: Head, size: tuple[int, int] | None, options: Options
) -> nn.Module:
    encoder = kit.encoder(_stream(contract.inputs, None, size)) if kit.masks else None
    if not isinstance(encoder, Transformer):
        raise InvalidInputError(
            "a masked autoencoder needs the lab's transformer",
            hint="say factory: lab, args: {name: vit}",
        )
    return Masked(Reader(contract), encoder, head, ratio=options.mask_ratio)


def _answering(
    kit: Kit,
    contract: Contract,
    heads: Sequence[Head],
    size: tuple[int, int] | None,
    options: Options,
    *,
    levels: bool = False,
) -> Network | Averaged:
    fusion = _fusion(kit, contract, heads, options.fusion)
    if fusion == "late":
        alone = replace(options, fusion=None)
        parts = [
            _answering(kit, replace(contract, inputs=(one,)), heads, size, alone)
            for one in contract.inputs
        ]
        reader = Reader(contract, dropout=options.modality_dropout)
        return Averaged([part for part in parts if isinstance(part, Network)], reader)
    groups = [contract.inputs] if fusion == "early" else [(one,) for one in contract.inputs]
    if fusion == "dates":
        groups = [(replace(contract.inputs[0], frames=_DATES),)]
    ways = [_way(kit, group, heads, options.time) for group in groups]
    encoders = [
        kit.encoder(_stream(group, way, size)) for group, way in zip(groups, ways, strict=True)
    ]
    # Heads of samples look at the coarsest level alone: weights on the others would never learn,
    # and training on several devices would wait for them.
    dense = any(head.task in DENSE for head in heads)
    wanted = [one.channels if dense or levels else one.channels[-1:] for one in encoders]
    times = [_over_time(way, channels) for way, channels in zip(ways, wanted, strict=True)]
    # of two dates none can be forgotten
    dropout = 0.0 if fusion == "dates" else options.modality_dropout
    encoding = Encoding(
        reader=Reader(contract, dropout=dropout),
        encoders=encoders,
        times=times,
        joined={"early": stacked, "dates": dated}.get(fusion),
    )
    decoder = kit.decoder(times[0].channels, encoders[0].strides) if dense else None
    return Network(encoding, heads=heads, decoder=decoder, dropout=options.dropout)


def _fusion(kit: Kit, contract: Contract, heads: Sequence[Head], asked: str | None) -> str:
    if len(contract.inputs) == 1:
        return "early"
    alike = len({len(one.bands) for one in contract.inputs}) == 1
    still = all(one.frames is None for one in contract.inputs)
    dates = len(contract.inputs) == _DATES and alike and still
    if asked == "dates" and not dates:
        raise InvalidInputError(
            f"{len(contract.inputs)} assets are not one place at two times",
            hint="read two assets of the same bands, or one with two frames",
        )
    if asked is None and dates and any(head.task is HeadTask.CHANGE for head in heads):
        return "dates"
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
