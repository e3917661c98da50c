"""Backbones of timm, as encoders for every head."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from torch import Tensor, nn

from registry.errors import InvalidInputError
from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder
from registry.learn.models.networks.pyramid import decoder_for

__all__ = ["Backbone", "backbone", "kit"]

_PLAIN: Final = (224, 224)  # what most transformers are built for
_COARSEST: Final = 32
_LARGEST: Final = 4096  # pixels: positions of every patch are kept


class Backbone(Encoder):
    """A backbone of timm that gives features on some levels.

    Args:
        inner: Made with ``features_only``.
        channels: Channels of each level.
        strides: Pixels of the image for one of the level.
        side: The only height and width that it takes, in pixels; None for any.
    """

    def __init__(
        self,
        inner: nn.Module,
        *,
        channels: Sequence[int],
        strides: Sequence[int],
        side: int | None = None,
    ) -> None:
        super().__init__(channels=channels, strides=strides, side=side)
        self.inner = inner

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the backbone's features.

        Args:
            images: ``(sample, channel, y, x)``.

        Returns:
            One tensor a level, finest first.
        """
        features: list[Tensor] = self.inner(images)
        # swin and its kin keep channels last
        return [
            level if level.shape[1] == channels else level.permute(0, 3, 1, 2).contiguous()
            for level, channels in zip(features, self.channels, strict=True)
        ]


def kit(*, name: str = "resnet18", width: int = 32, drop_path_rate: float | None = None) -> Kit:
    """Return a backbone of timm with the lab's decoder.

    Args:
        name: Any architecture that timm lists.
        width: Channels of the decoder's finest level.
        drop_path_rate: Share of the blocks that training skips, in [0, 1), where it has them.

    Returns:
        A kit for any number of bands.

    Raises:
        InvalidInputError: There is no such backbone, or it gives no features.
    """
    import timm

    # a name with a colon would open a folder or the network
    chosen(name, timm.list_models(), what="backbone of timm")
    more: dict[str, Any] = {}
    if drop_path_rate is not None:
        more["drop_path_rate"] = drop_path_rate

    def encoder(stream: Stream) -> Encoder:
        def make(**size: Any) -> nn.Module:  # noqa: ANN401 — the library's own
            inner: nn.Module = timm.create_model(
                name,
                pretrained=False,
                in_chans=stream.channels,
                features_only=True,
                **size,
                **more,
            )
            return inner

        return backbone(make, name, stream.size)

    def decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:
        return decoder_for(channels, strides, width)

    return Kit(encoder=encoder, decoder=decoder)


def backbone(make: Callable[..., nn.Module], name: str, size: tuple[int, int] | None) -> Backbone:
    """Return a backbone of timm for images of any size, or where it has to be, of one size.

    Args:
        make: Makes it, told ``dynamic_img_size``, ``img_size`` or nothing.
        name: What it is called, for messages.
        size: Height and width of chips, in pixels, where known.

    Returns:
        An encoder.

    Raises:
        InvalidInputError: It gives no features, or chips are too large for it.
    """
    side = -(-max(size or _PLAIN) // _COARSEST) * _COARSEST
    for said in ({"dynamic_img_size": True}, {"img_size": side}, {}):
        if "img_size" in said:
            within(side, 1, _LARGEST, what="the side of chips")
        try:
            inner: Any = make(**said)
        except TypeError as error:
            wrong: Exception = error  # it does not know how to be told
            continue
        except (ValueError, RuntimeError, AttributeError, AssertionError) as error:
            wrong = error
            break
        info = inner.feature_info
        return Backbone(
            inner,
            channels=info.channels(),
            strides=info.reduction(),
            side=side if "img_size" in said else None,
        )
    raise InvalidInputError(
        f"timm cannot give features of '{name}': {wrong}",
        hint="take another backbone, such as resnet18 or convnext_tiny",
    ) from wrong
