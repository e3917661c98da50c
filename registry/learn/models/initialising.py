"""Weights from elsewhere into a network: names adapted, the patch embedding cut to its bands."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError

__all__ = ["freeze", "initialise"]

_CONVOLUTION: Final = 4  # dimensions of its weights: output, input, y, x
_DEPTH_MINE: Final = 5  # how deep an encoder may lie in a network,
_DEPTH_GIVEN: Final = 4  # and in what was saved


def initialise(
    network: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put weights into a network, the whole of it or its encoder alone.

    Names are compared from their ends, so that ``encoder.blocks.0.norm1.weight`` of a masked
    autoencoder finds the block wherever the network keeps it. Where a convolution that reads
    images has fewer bands than its weights, the first bands' weights are taken, so name the bands
    in the order of the weights; a position embedding of another length is left as it is built.

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
    if module.training:
        module.eval()


def _matched(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that fit, by the network's names."""
    mine = network.state_dict()
    selected = {
        path: tuple(module.selects)
        for path, module in network.named_modules()
        if getattr(module, "selects", None)
    }
    ends: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in state:
        for front, end in _split(name, _DEPTH_GIVEN):
            ends[end].append((front, name))
    pairs: dict[tuple[str, str], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in mine.items():
        picks = next((bands for path, bands in selected.items() if name.startswith(path)), None)
        for front, end in _split(name, _DEPTH_MINE):
            for theirs, given in ends.get(end, ()):
                fitting = _fitting(tensor, state[given], picks)
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


def _fitting(mine: Tensor, given: Tensor, picks: tuple[int, ...] | None) -> Tensor | None:
    if mine.shape == given.shape:
        return given
    image = mine.ndim >= _CONVOLUTION and mine.ndim == given.ndim
    if not image or mine.shape[:1] + mine.shape[2:] != given.shape[:1] + given.shape[2:]:
        return None
    bands = picks or tuple(range(mine.shape[1]))
    if len(bands) != mine.shape[1] or max(bands) >= given.shape[1]:
        return None
    return given[:, list(bands)]
