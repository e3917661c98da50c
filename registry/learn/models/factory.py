"""Every network the lab can build, by name: its own, those of other libraries, and yours."""

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from torch import nn

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Architecture, Head
from registry.learn.models.assembling import COMMON, Options, assembled
from registry.learn.models.foreign import made, of_class
from registry.learn.models.initialising import freeze, initialise
from registry.learn.models.kits.kit import called, chosen

__all__ = ["build", "factories", "freeze", "initialise"]

_GROUP: Final = "eolab.architectures"
_MOST: Final = 4096  # of any number in a kit's arguments: a card may come from a stranger
_KITS: Final = ("lab", "smp", "terratorch", "timm", "torchgeo", "torchvision")


def factories() -> tuple[str, ...]:
    """Return the names of all factories: the lab's, and those of installed packages.

    Returns:
        Sorted; ``class`` is among them.

    Examples:
        >>> "lab" in factories()
        True
    """
    theirs = {point.name for point in entry_points(group=_GROUP)}
    return tuple(sorted({*_KITS, "class", *theirs}))


def build(
    architecture: Architecture,
    *,
    contract: Contract,
    heads: Sequence[Head],
    size: tuple[int, int] | None = None,
    trust: bool = False,
) -> nn.Module:
    """Return a network with random weights; nothing is downloaded.

    Args:
        architecture: Which factory, and what it is told.
        contract: What the network reads.
        heads: What it answers, at least one.
        size: Height and width of the chips that it learns from, in pixels, where known.
        trust: Whether ``class_path`` may import what it names. Say so for recipes of your own,
            never for a model that came from elsewhere.

    Returns:
        A module whose ``forward`` takes tensors by asset and gives tensors by head, with
        ``embed`` and ``encoder_state``.

    Raises:
        InvalidInputError: There is no such factory, or it cannot build this.
    """
    if not heads:
        raise InvalidInputError("the network has no head", hint="name what it should answer")
    names = [head.name for head in heads]
    if len(set(names)) < len(names):
        raise InvalidInputError(f"two heads have one name: {names}", hint="name each otherwise")
    factory = chosen(architecture.factory, factories(), what="factory")
    args = dict(architecture.args)
    if factory == "class":
        return of_class(args, contract=contract, heads=tuple(heads), size=size, trust=trust)
    if factory not in _KITS:
        (point, *_) = entry_points(group=_GROUP, name=factory)
        return made(point.load(), args, contract=contract, heads=tuple(heads), size=size)
    _bounded(args)
    _bounded([one.frames or 0 for one in contract.inputs])
    kit = importlib.import_module(f"registry.learn.models.kits.{factory}").kit
    said: dict[str, Any] = {name: args.pop(name) for name in COMMON if name in args}
    options = called(Options, said, what=f"factory '{factory}'")
    parts = called(kit, args, what=f"factory '{factory}'")
    return assembled(parts, contract=contract, heads=tuple(heads), size=size, options=options)


def _bounded(said: object) -> None:
    """Refuse numbers that would fill the memory.

    Raises:
        InvalidInputError: There is one.
    """
    if isinstance(said, Mapping):
        for value in said.values():
            _bounded(value)
    elif isinstance(said, list | tuple):
        _bounded(dict(enumerate(said)))
    elif isinstance(said, int | float) and not abs(said) <= _MOST:
        raise InvalidInputError(
            f"a number that the network is built by is {str(said)[:40]}",
            hint=f"give numbers up to {_MOST}",
        )
