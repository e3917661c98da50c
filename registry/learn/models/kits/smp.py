"""Networks of segmentation_models_pytorch: any of its architectures on any of its encoders."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError
from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder

__all__ = ["kit"]

_TIMM: Final = "tu-"  # how the library marks timm's encoders
_COARSEST: Final = 32
_LEVELS: Final = 5


class _Encoder(Encoder):
    def __init__(self, inner: nn.Module, *, stride: int) -> None:
        channels: list[int] = list(inner.out_channels)[1:]  # type: ignore[arg-type]
        coarsest = int(inner.output_stride)  # type: ignore[arg-type]
        strides = [min(2 ** (level + 1), coarsest) for level in range(len(channels))]
        super().__init__(channels=channels, strides=strides, stride=stride)
        self.inner = inner

    def forward(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.inner(images)
        return features[1:]  # the first is the image itself


class _Decoder(Decoder):
    def __init__(self, inner: nn.Module, channels: int) -> None:
        super().__init__(channels)
        self.inner = inner

    def forward(self, features: list[Tensor]) -> Tensor:
        out: Tensor = self.inner([features[0], *features])  # no decoder looks at the first
        return out


def kit(
    *,
    name: str = "Unet",
    encoder_name: str = "resnet18",
    encoder_depth: int | None = None,
    encoder_weights: None = None,
    **decoder: Any,  # noqa: ANN401 — each architecture has its own
) -> Kit:
    """Return one of the library's networks.

    Args:
        name: ``Unet``, ``UnetPlusPlus``, ``FPN``, ``DeepLabV3Plus``, ``UPerNet``, ``Segformer`` …
        encoder_name: Any encoder of the library, or ``tu-`` and a name of timm's.
        encoder_depth: How often the encoder halves images, 3 to 5; None for as often as the
            architecture asks.
        encoder_weights: None; weights are files that are put in afterwards.
        decoder: Arguments of the architecture that begin with ``decoder_``.

    Returns:
        A kit for any number of bands.

    Raises:
        InvalidInputError: There is no such architecture, encoder or argument.
    """
    if encoder_weights is not None:
        raise InvalidInputError(
            f"encoder_weights is {encoder_weights!r}; nothing is downloaded here",
            hint="leave it out, and begin with weights from a file (init)",
        )
    kind = _architecture(name)
    _check(name, encoder_name, decoder)
    if encoder_depth is not None:
        decoder["encoder_depth"] = within(encoder_depth, 3, _LEVELS, what="encoder_depth")

    def network(channels: int) -> Any:  # noqa: ANN401 — the library has no types
        return _built(kind, encoder_name, channels, decoder)

    def make_encoder(stream: Stream) -> Encoder:
        inner = network(stream.channels).encoder
        if len(inner.out_channels) <= _LEVELS:
            _rest(inner, stream.channels)
        # PAN halves the coarsest level twice more
        return _Encoder(inner, stride=4 * _COARSEST if kind.__name__ == "PAN" else _COARSEST)

    def make_decoder(*_: Sequence[int]) -> Decoder:
        whole = network(3)
        return _Decoder(whole.decoder, whole.segmentation_head[0].in_channels)

    return Kit(encoder=make_encoder, decoder=make_decoder)


def _architecture(name: str) -> Any:  # noqa: ANN401 — the library has no types
    import segmentation_models_pytorch as smp

    kinds = {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    del kinds["DPT"]  # for plain transformers alone, which the factory timm has
    kinds |= {each.lower(): kind for each, kind in kinds.items()}
    return kinds[chosen(name, kinds, what="architecture of smp")]


def _check(name: str, encoder: str, decoder: Mapping[str, Any]) -> None:
    """Refuse an encoder that there is not, and arguments that are not the decoder's.

    Raises:
        InvalidInputError: There is one.
    """
    import segmentation_models_pytorch as smp
    import timm

    encoders = [*smp.encoders.encoders, *(_TIMM + each for each in timm.list_models())]
    chosen(encoder, encoders, what="encoder of smp")
    for key in decoder:
        if not key.startswith("decoder_"):
            raise InvalidInputError(
                f"smp's {name} is not told '{key}' here", hint="give arguments of decoder_… alone"
            )


def _built(kind: Any, encoder: str, channels: int, said: Mapping[str, Any]) -> Any:  # noqa: ANN401 — the library has no types
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that the library means to change
            return kind(
                encoder_name=encoder, encoder_weights=None, in_channels=channels, classes=1, **said
            )
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise InvalidInputError(
            f"smp cannot build {kind.__name__} on {encoder}: {error}",
            hint="take another encoder, or fewer arguments",
        ) from error


def _rest(encoder: nn.Module, channels: int) -> None:
    """Keep still what a shallow encoder has but does not use: several devices would wait for it."""
    encoder.eval()
    image = torch.zeros(1, channels, 2 * _COARSEST, 2 * _COARSEST)
    torch.autograd.backward([level.sum() for level in encoder(image)[1:]])
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    encoder.train()
