"""Foundation models by TerraTorch: Prithvi, TerraMind, DOFA, Clay; built with random weights."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Input
from registry.learn.models.kits.kit import Kit, Stream, chosen, within
from registry.learn.models.kits.spectral import MODALITIES, PRITHVI, ordered, told
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder
from registry.learn.models.networks.transformer import Transformer, positions

__all__ = ["BACKBONES", "kit"]

_TWELFTH: Final = (2, 5, 8, 11)
_PRITHVI: Final = {
    "prithvi_eo_tiny": (0, 1, 2, 3),
    "prithvi_eo_v1_100": _TWELFTH,
    "prithvi_eo_v2_tiny_tl": _TWELFTH,
    "prithvi_eo_v2_100_tl": _TWELFTH,
    "prithvi_eo_v2_300": (5, 11, 17, 23),
    "prithvi_eo_v2_300_tl": (5, 11, 17, 23),
    "prithvi_eo_v2_600": (7, 15, 23, 31),
    "prithvi_eo_v2_600_tl": (7, 15, 23, 31),
}
_TERRAMIND: Final = {
    "terramind_v1_tiny": _TWELFTH,
    "terramind_v1_small": _TWELFTH,
    "terramind_v1_base": _TWELFTH,
    "terramind_v1_large": (5, 11, 17, 23),
}
_DOFA: Final = {
    "dofa_small_patch16_224": _TWELFTH,
    "dofa_base_patch16_224": _TWELFTH,
    "dofa_large_patch16_224": (5, 11, 17, 23),
}
_CLAY: Final = {"clay_v1_base": _TWELFTH}

BACKBONES: Final = {**_PRITHVI, **_TERRAMIND, **_DOFA, **_CLAY}
"""What there is, with the blocks whose features are taken, as their authors do."""

_DECODERS: Final = ("UNetDecoder", "UperNetDecoder", "FCNDecoder")
_SIDES: Final = {"dofa": 224, "clay": 256}  # pixels that these were made for
_LARGEST: Final = 4096  # pixels: positions of every patch are kept
_METRES: Final = 10.0  # of Sentinel-2's finest bands
_LEVELS: Final = 4
_BESIDE: Final = 128  # length of the tokens of a network beside Prithvi

_Bands = Sequence[str] | Mapping[str, Sequence[str]] | None


def kit(
    *,
    backbone: str = "prithvi_eo_tiny",
    bands: _Bands = None,
    modalities: Mapping[str, str] | None = None,
    others: str | None = None,
    decoder: str = "UNetDecoder",
    decoder_channels: Sequence[int] | int | None = None,
) -> Kit:
    """Return a foundation model with a decoder of TerraTorch.

    Args:
        backbone: One of :data:`BACKBONES`.
        bands: Names of the bands as they come, for one asset or by asset, where their own do not
            tell.
        modalities: What an asset is to TerraMind, such as ``S1RTC``, where its bands do not tell.
        others: ``vit`` to give assets of which Prithvi knows no band, such as radar, a small
            transformer of the lab's; None to refuse them.
        decoder: ``UNetDecoder``, ``UperNetDecoder`` or ``FCNDecoder``.
        decoder_channels: Four numbers for a U-Net, one for the others.

    Returns:
        A kit for the bands that the model knows.

    Raises:
        InvalidInputError: There is no such backbone or decoder.
    """
    backbone = chosen(backbone, BACKBONES, what="backbone of TerraTorch")
    decoder = chosen(decoder, _DECODERS, what="decoder of TerraTorch")
    if others is not None:
        chosen(others, ("vit",), what="network for other assets")

    def encoder(stream: Stream) -> Encoder:
        if backbone in _PRITHVI:
            names = told(stream.inputs[0], bands)
            if others and not {"NIR_BROAD", *PRITHVI} & set(names):
                return _other(backbone, stream)
            return _prithvi(backbone, stream, names)
        if backbone in _TERRAMIND:
            return _terramind(backbone, stream, bands, modalities or {})
        return _by_wavelength(backbone, stream, told(stream.inputs[0], bands))

    def make_decoder(channels: Sequence[int], strides: Sequence[int]) -> Decoder:  # noqa: ARG001 — all alike
        return _Decoder(decoder, channels, decoder_channels)

    return Kit(
        encoder=encoder,
        decoder=make_decoder,
        stacks=backbone in _TERRAMIND,
        frames=backbone in _PRITHVI,
    )


class _Tokens(Encoder):
    """A transformer that gives tokens after each block."""

    def __init__(
        self, inner: nn.Module, *, width: int, patch: int, taken: Sequence[int], **how: int | None
    ) -> None:
        frames = how.get("frames")
        channels = [width * (frames or 1)] * len(taken)
        strides = [patch] * len(taken)
        super().__init__(channels=channels, strides=strides, side=how.get("side"), frames=frames)
        self.inner = inner
        self.taken = tuple(taken)
        self.selects: dict[str, tuple[tuple[int, ...], int]] = {}
        """By the name of a layer that reads bands: which of the weights' bands, of how many."""

    def _pictures(self, features: Sequence[Tensor], images: Tensor) -> list[Tensor]:
        rows, columns = (side // self.strides[0] for side in images.shape[-2:])
        steps = self.frames or 1
        found = []
        for level in features:
            tokens = level[:, level.shape[1] - steps * rows * columns :]  # without the first
            cells = tokens.reshape(len(tokens), steps, rows, columns, -1).permute(0, 1, 4, 2, 3)
            found.append(cells.reshape(len(tokens), -1, rows, columns))  # (b, time * width, y, x)
        return found


class _Prithvi(_Tokens):
    def __init__(self, inner: nn.Module, order: Sequence[int], **shape: Any) -> None:  # noqa: ANN401 — see _Tokens
        super().__init__(inner, **shape)
        self.order = sorted(range(len(order)), key=order.__getitem__)
        self.selects = {"inner.patch_embed": (tuple(sorted(order)), len(PRITHVI))}

    def forward(self, images: Tensor) -> list[Tensor]:
        series = images.transpose(1, 2) if self.frames else images.unsqueeze(2)
        every = self.inner.forward_features(series[:, self.order])  # type: ignore[operator]
        return self._pictures([every[block] for block in self.taken], images)


class _TerraMind(_Tokens):
    def __init__(
        self,
        inner: nn.Module,
        orders: Mapping[str, Sequence[int]],
        **shape: Any,  # noqa: ANN401 — see _Tokens
    ) -> None:
        super().__init__(inner, **shape)
        self.orders = {
            name: sorted(range(len(order)), key=order.__getitem__) for name, order in orders.items()
        }
        layers: Mapping[str, str] = inner.mod_name_mapping  # type: ignore[assignment]
        self.selects = {
            f"inner.encoder_embeddings.{layers[name]}.proj": (
                tuple(sorted(order)),
                len(MODALITIES[name]),
            )
            for name, order in orders.items()
        }

    def forward(self, images: Tensor) -> list[Tensor]:
        parts, present, start = {}, [], 0
        for modality, order in self.orders.items():
            parts[modality] = images[:, [start + band for band in order]]
            start += len(order)
            if len(self.orders) > 1:  # a mask follows the bands of each of several assets
                present.append((images[:, start].mean(dim=(-2, -1)) > 0).float())
                start += 1
        every = self.inner(parts)
        return self._pictures([_merged(every[block], present) for block in self.taken], images)


class _Clay(_Tokens):
    def __init__(self, inner: nn.Module, metres: float, **shape: Any) -> None:  # noqa: ANN401 — see _Tokens
        super().__init__(inner, **shape)
        self.metres = metres

    def forward(self, images: Tensor) -> list[Tensor]:
        every = self.inner.forward_features(images, gsd=self.metres)  # type: ignore[operator]
        return self._pictures([every[block] for block in self.taken], images)


class _Dofa(_Tokens):
    def forward(self, images: Tensor) -> list[Tensor]:
        features: Sequence[Tensor] = self.inner(images)
        return self._pictures(features, images)


class _Decoder(Decoder):
    """TerraTorch's pyramid of a plain transformer's levels, then its decoder."""

    def __init__(
        self, name: str, channels: Sequence[int], width: Sequence[int] | int | None
    ) -> None:
        from terratorch.models.necks import LearnedInterpolateToPyramidal
        from terratorch.registry import DECODER_REGISTRY

        single = name == "FCNDecoder"
        neck = None if single else LearnedInterpolateToPyramidal(list(channels))
        levels = list(channels) if neck is None else neck.process_channel_list(list(channels))
        usual = [max(8, channels[-1] // 2**level) for level in range(1, _LEVELS + 1)]
        wide = width or (usual if name == "UNetDecoder" else max(8, min(256, channels[-1] // 2)))
        try:
            inner = DECODER_REGISTRY.build(name, levels, channels=wide)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"{name} cannot be built with decoder_channels {str(width)[:60]}: {error}",
                hint="give four numbers to a U-Net, one to the others, or none",
            ) from error
        super().__init__(int(inner.out_channels))
        self.neck = neck
        self.inner = inner

    def forward(self, features: list[Tensor]) -> Tensor:
        levels = features if self.neck is None else self.neck(features)
        out: Tensor = self.inner(levels)
        return out


def _other(name: str, stream: Stream) -> Encoder:
    """Return a small encoder whose levels lie where the foundation model's do.

    Raises:
        InvalidInputError: It would have to take time steps by itself.
    """
    if stream.frames is not None:
        raise InvalidInputError(
            f"the network beside Prithvi takes single images, not {stream.frames} time steps",
            hint="say time: attention",
        )
    patch = 14 if "_600" in name else 16
    return Transformer(stream.channels, patch=patch, width=_BESIDE, depth=_LEVELS, heads=4)


def _prithvi(name: str, stream: Stream, bands: tuple[str, ...]) -> Encoder:
    order = ordered(bands, PRITHVI, what="Prithvi")
    # nobody tells the model place and time here: parts that would read them would never learn
    inner = _built(
        name,
        bands=[PRITHVI[band] for band in sorted(order)],
        num_frames=stream.frames or 1,
        coords_encoding=[],
    )
    del inner.forward  # TerraTorch ties it to this very module, so that copies would share weights
    return _Prithvi(
        inner,
        order,
        width=int(inner.embed_dim),
        patch=int(inner.patch_embed.patch_size[-1]),
        taken=BACKBONES[name],
        frames=stream.frames,
    )


def _terramind(name: str, stream: Stream, bands: _Bands, modalities: Mapping[str, str]) -> Encoder:
    orders: dict[str, tuple[int, ...]] = {}
    for one in stream.inputs:
        names = told(one, bands)
        modality = chosen(
            modalities.get(one.asset) or _modality(one, names), MODALITIES, what="modality"
        )
        if modality in orders:
            raise InvalidInputError(
                f"two assets are {modality} to TerraMind",
                hint="say fusion: middle, or args: {modalities: {asset: S1RTC}}",
            )
        orders[modality] = ordered(names, MODALITIES[modality], what=f"TerraMind's {modality}")
    cut = {
        modality: [MODALITIES[modality][band] for band in sorted(order)]
        for modality, order in orders.items()
        if len(order) < len(MODALITIES[modality])
    }
    inner = _built(name, modalities=list(orders), merge_method=None, bands=cut or None)
    width = int(inner.out_channels[0])
    return _TerraMind(inner, orders, width=width, patch=16, taken=BACKBONES[name])


def _modality(one: Input, names: Sequence[str]) -> str:
    if set(names) <= {"VV", "VH"}:
        return "S1RTC" if "RTC" in (one.level or "").upper() else "S1GRD"
    if set(names) == {"DEM"}:
        return "DEM"
    return "S2L1C" if "L1C" in (one.level or "").upper() else "S2L2A"


def _by_wavelength(name: str, stream: Stream, bands: tuple[str, ...]) -> Encoder:
    patch = 8 if name in _CLAY else 16
    usual = _SIDES["clay" if name in _CLAY else "dofa"]
    side = -(-max(stream.size or (usual,)) // patch) * patch
    within(side, 1, _LARGEST, what="the side of chips")
    shape: dict[str, Any] = {"width": 768, "patch": patch, "taken": BACKBONES[name], "side": side}
    if name in _CLAY:
        import terratorch.models.backbones.clay_v1.embedder  # noqa: F401 — timm learns its name
        import timm
        from terratorch.models.backbones.clay_v1.modules import WAVELENGTHS

        _heard(bands, WAVELENGTHS, what="Clay")
        # TerraTorch's factory of Clay makes it so
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a speed that its layers do not have
            inner = timm.create_model(
                name, pretrained=False, bands=list(bands), img_size=side, features_only=True
            )
        del inner.forward
        return _Clay(inner, stream.inputs[0].gsd or _METRES, **shape)
    from terratorch.models.backbones.dofa_vit import waves_list

    _heard(bands, waves_list, what="DOFA")
    inner = _built(name, model_bands=list(bands), img_size=side, out_indices=list(BACKBONES[name]))
    shape["width"] = int(inner.out_channels[0])
    model = inner.dofa_model
    for part in ("norm", "fc_norm", "head"):  # not used for features
        getattr(model, part, nn.Identity()).requires_grad_(requires_grad=False)
    grid = positions(side // patch, side // patch, shape["width"], model.pos_embed.device)
    model.pos_embed.data[0, 1:] = grid  # it has none of its own without weights
    return _Dofa(inner, **shape)


def _heard(bands: Sequence[str], waves: Mapping[str, float], *, what: str) -> None:
    for band in bands:
        if band not in waves:
            raise InvalidInputError(
                f"{what} is told wavelengths, and nobody knows that of {band}",
                hint="leave the band out (data: bands:), or take Prithvi or TerraMind",
            )


def _merged(tokens: Tensor, present: Sequence[Tensor]) -> Tensor:
    """Return the mean of the tokens of the modalities that a sample has."""
    if not present:
        return tokens
    each = tokens.reshape(len(tokens), len(present), -1, tokens.shape[-1])
    weight = torch.stack(list(present), dim=1)[:, :, None, None].to(tokens.dtype)
    return torch.sum(each * weight, dim=1) / weight.sum(dim=1).clamp(min=1)


def _built(name: str, **how: Any) -> Any:  # noqa: ANN401 — the library has no types
    import terratorch.models.backbones  # noqa: F401 — the registry is filled by it
    from terratorch.registry import TERRATORCH_BACKBONE_REGISTRY

    return TERRATORCH_BACKBONE_REGISTRY.build(name, pretrained=False, **how)
