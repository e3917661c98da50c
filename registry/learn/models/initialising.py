"""Weights from elsewhere into a network: names adapted, the patch embedding cut to its bands."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.errors import InvalidInputError

__all__ = ["freeze", "initialise"]

_CONVOLUTION: Final = 4  # dimensions of its weights: output, input, y, x
_TOKENS: Final = 3  # dimensions of positions: 1, token, width
_LINEAR: Final = 2
_DEPTH_MINE: Final = 5  # how deep an encoder may lie in a network,
_DEPTH_GIVEN: Final = 4  # and in what was saved


def initialise(
    network: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put weights into a network, the whole of it or its encoder alone.

    Names are compared from their ends, so that ``encoder.blocks.0.norm1.weight`` of a masked
    autoencoder finds the block wherever the network keeps it. Where a layer that reads
    images has fewer bands than its weights, those of its bands are taken where the encoder knows
    them by name, and the first ones otherwise. Learnt positions are stretched to another size.

    Args:
        network: Filled in place.
        state: Tensors by name.
        strict: Whether every tensor of the network must be found.

    Returns:
        Names of the network's tensors that were loaded, and of those that were not.

    Raises:
        InvalidInputError: Nothing fits, or, when strict, something is missing.
    """
    mine = network.state_dict()
    found = _matched(network, state)
    missing = tuple(name for name in mine if name not in found)
    if not found or (strict and missing):
        raise InvalidInputError(
            f"of {len(mine)} tensors of the network, the weights have {len(found)}",
            hint=f"take weights of this architecture; missing is {(*missing, '?')[0]}",
        )
    with torch.no_grad():
        for name, tensor in found.items():
            mine[name].copy_(tensor)
    return tuple(found), missing


def freeze(network: nn.Module, part: str = "encoder") -> tuple[str, ...]:
    """Keep a part of a network as it is while the rest learns.

    Normalisation over the batch inside it stays at what it learned, too.

    Args:
        network: Changed in place.
        part: Name of a submodule at any depth.

    Returns:
        Names of the parameters that no longer learn.

    Raises:
        InvalidInputError: It has no such part.
    """
    parts = [
        (path, module) for path, module in network.named_modules() if part in path.split(".")[-1:]
    ]
    if not parts:
        names = ", ".join(name for name, _ in network.named_children())
        raise InvalidInputError(f"the network has no part '{part}'", hint=f"take one of {names}")
    frozen = []
    for path, module in parts:
        module.requires_grad_(requires_grad=False)
        _stay(module)
        frozen += [f"{path}.{name}" for name, _ in module.named_parameters()]
    return tuple(dict.fromkeys(frozen))


def _stay(module: nn.Module) -> None:
    # a list of modules is never called itself
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        for child in module.children():
            _stay(child)
    else:
        module.register_forward_pre_hook(_evaluated)


def _evaluated(module: nn.Module, _: object) -> None:
    # whoever lets it learn again need not know of this
    if module.training and not any(one.requires_grad for one in module.parameters()):
        module.eval()


def _matched(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that fit, by the network's names."""
    mine = network.state_dict()
    selected = {
        f"{path}.{layer}.": picks
        for path, module in network.named_modules()
        for layer, picks in (getattr(module, "selects", None) or {}).items()
    }
    learnt = {name for name, _ in network.named_parameters()}
    ends: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in state:
        for front, end in _split(name, _DEPTH_GIVEN):
            ends[end].append((front, name))
    pairs: dict[tuple[str, str], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in mine.items():
        picks = next((picks for path, picks in selected.items() if name.startswith(path)), None)
        placed = name.endswith("pos_embed") and name in learnt
        for front, end in _split(name, _DEPTH_MINE):
            for theirs, given in ends.get(end, ()):
                fitting = _fitting(tensor, state[given], picks, placed=placed)
                if fitting is not None:
                    pairs[front, theirs][name] = fitting
    return _best(pairs)


def _best(pairs: Mapping[tuple[str, str], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what the two prefixes give under which most tensors fit."""
    if not pairs:
        return {}
    front, theirs = max(pairs, key=lambda pair: (len(pairs[pair]), -len(pair[0]), -len(pair[1])))
    # one encoder an asset: each begins with the same weights
    alike = re.escape(front)
    if one := re.fullmatch(r"(.*?encoder\.)\d+((?:\..*)?)", front):
        alike = re.escape(one[1]) + r"\d+" + re.escape(one[2])
    found: dict[str, Tensor] = {}
    for (mine, given), tensors in pairs.items():
        if given == theirs and re.fullmatch(alike, mine):
            found |= tensors
    return found


def _split(name: str, depth: int) -> Iterator[tuple[str, str]]:
    # timm writes stages_0 for stages.0 where it gives features
    parts = re.sub(r"_(\d+)(?=\.)", r".\1", name).split(".")
    for front in range(min(depth, len(parts) - 1) + 1):
        yield ".".join(parts[:front]), ".".join(parts[front:])


def _fitting(
    mine: Tensor, given: Tensor, picks: tuple[tuple[int, ...], int] | None, *, placed: bool
) -> Tensor | None:
    """Return weights in the shape that is wanted; None where they are of something else."""
    if mine.shape == given.shape:
        return given
    if mine.ndim != given.ndim:
        return None
    if placed:
        return _stretched(mine, given)
    if mine.ndim >= _CONVOLUTION:
        # weights of a cut model do not say which bands they kept
        bands, of = picks or (tuple(range(mine.shape[1])), given.shape[1])
        alike = mine.shape[:1] + mine.shape[2:] == given.shape[:1] + given.shape[2:]
        fits = alike and len(bands) == mine.shape[1] < of == given.shape[1]
        return given[:, list(bands)] if fits else None
    if mine.ndim == _LINEAR and picks and given.shape[1] % picks[1] == 0:
        bands, of = picks
        pixels = given.shape[1] // of  # bands lie innermost
        if mine.shape == (given.shape[0], pixels * len(bands)):
            return given.reshape(-1, pixels, of)[:, :, list(bands)].reshape(mine.shape)
    return None


def _stretched(mine: Tensor, given: Tensor) -> Tensor | None:
    """Return positions for another grid of patches: the first token as it is, others between."""
    before, after = (math.isqrt(one.shape[1] - 1) for one in (given, mine))
    square = before**2 == given.shape[1] - 1 and after**2 == mine.shape[1] - 1
    if mine.ndim != _TOKENS or mine.shape[2] != given.shape[2] or not square:
        return None
    grid = given[:, 1:].reshape(1, before, before, -1).permute(0, 3, 1, 2).float()
    size = (after, after)
    grid = functional.interpolate(grid, size=size, mode="bicubic", align_corners=False)
    return torch.cat([given[:, :1].float(), grid.flatten(2).transpose(1, 2)], dim=1)
