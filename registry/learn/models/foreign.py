"""Networks of other people: a class by its path, or what an installed package offers."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn

from registry.errors import ForbiddenError, InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Head
from registry.learn.models.kits.kit import nearest
from registry.learn.models.networks.answering import DENSE, outputs
from registry.learn.models.networks.encoding import cut, padded, pooled
from registry.learn.models.networks.network import stacked
from registry.learn.models.networks.reading import Reader

__all__ = ["UntrustedClassError", "Whole", "made", "of_class"]

_IMAGE: Final = 4  # dimensions: sample, channel, y, x
_BANDS: Final = ("in_channels", "in_chans", "channels", "bands", "n_channels")
_OUTPUTS: Final = ("num_classes", "classes", "n_classes", "out_channels", "num_outputs")


class UntrustedClassError(ForbiddenError):
    """A model that came from elsewhere names a class to import."""

    code = "untrusted-class"


class Whole(nn.Module):
    """A module that takes one tensor and gives one, read and answered as all networks are.

    Its embedding is the mean of what it answers over the image.

    Args:
        network: Takes ``(sample, channel, y, x)``, or with time where the contract has frames.
        contract: Its assets are stacked in order, with a mask of each where they are several.
        head: What it answers.
        stride: What its images' sides must be a multiple of, in pixels.
    """

    def __init__(
        self, network: nn.Module, *, contract: Contract, head: Head, stride: int = 1
    ) -> None:
        super().__init__()
        self.reader = Reader(contract, dropout=0.1)
        self.encoder = network
        self.heads = (head,)
        self.stride = stride

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the module answers.

        Args:
            inputs: By asset.

        Returns:
            By name of its only head.

        Raises:
            InvalidInputError: The module's answer has another shape than its head.
        """
        read = self.reader(inputs)
        answer: Tensor = self.encoder(padded(stacked(read.assets).images, self.stride))
        head = self.heads[0]
        dimensions = _IMAGE if head.task in DENSE else 2
        if answer.ndim != dimensions or answer.shape[1] != outputs(head):
            raise InvalidInputError(
                f"the network answers {tuple(answer.shape)} for head '{head.name}'",
                hint=f"let it give {dimensions} dimensions, the second {outputs(head)} long",
            )
        return {head.name: cut(answer, read.size) if head.task in DENSE else answer}

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one vector a sample: what the module answers, averaged over the image.

        Args:
            inputs: By asset.

        Returns:
            ``(sample, output)``.
        """
        answer = self.forward(inputs)[self.heads[0].name]
        return pooled(answer) if answer.ndim == _IMAGE else answer

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the module's weights.

        Returns:
            By name.
        """
        return dict(self.encoder.state_dict())


def of_class(
    args: Mapping[str, Any],
    *,
    contract: Contract,
    heads: tuple[Head, ...],
    size: tuple[int, int] | None,
    trust: bool,
) -> nn.Module:
    """Return a network of a class that a recipe names.

    Args:
        args: ``class_path``, as in ``mine.networks.Wide``, and what the class takes.
        contract: What it reads.
        heads: What it answers.
        size: Height and width of chips, in pixels.
        trust: Whether the path may be imported.

    Returns:
        The network; a class that knows nothing of heads is wrapped.

    Raises:
        InvalidInputError: There is no such class, or it cannot be made.
        UntrustedClassError: Nobody said that it is trusted.
    """
    rest = dict(args)
    path = rest.pop("class_path", None)
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        raise InvalidInputError(
            f"the class path is {str(path)[:80]!r}",
            hint="say args: {class_path: package.module.Class}",
        )
    module, _, name = path.rpartition(".")
    if not trust:
        raise UntrustedClassError(
            f"the model runs code of its own: {path}",
            hint="read that code, then build it with trust=True",
        )
    try:
        there = importlib.import_module(module)
    except (ImportError, ValueError) as error:
        raise InvalidInputError(
            f"module '{module}' cannot be imported: {error}",
            hint="install it, or add its folder to PYTHONPATH",
        ) from error
    kind = getattr(there, name, None)
    if not callable(kind):
        raise InvalidInputError(
            f"module '{module}' has no class '{name}'", hint=nearest(name, vars(there))
        )
    return made(kind, rest, contract=contract, heads=heads, size=size)


def made(
    kind: Callable[..., nn.Module],
    args: Mapping[str, Any],
    *,
    contract: Contract,
    heads: Sequence[Head],
    size: tuple[int, int] | None,
) -> nn.Module:
    """Return what a class or function makes.

    It is given those of ``contract``, ``heads`` and ``size`` that it takes by name; one that takes
    none of heads is given the number of its channels and outputs under the usual names.

    Args:
        kind: Makes a module.
        args: What a recipe says.
        contract: What the network reads.
        heads: What it answers.
        size: Height and width of chips, in pixels.

    Returns:
        The network; wrapped where it has no ``embed``.

    Raises:
        InvalidInputError: It cannot be made of these arguments, or is no module.
    """
    try:
        known = inspect.signature(kind).parameters
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{kind!r} is no class that makes a torch module", hint="name another class"
        ) from error
    bands = sum(len(one.bands) for one in contract.inputs)
    channels = bands + (len(contract.inputs) if len(contract.inputs) > 1 else 0)
    offered: dict[str, Any] = {"contract": contract, "heads": tuple(heads), "size": size}
    offered |= dict.fromkeys(_BANDS, channels) | dict.fromkeys(_OUTPUTS, outputs(heads[0]))
    given = {name: value for name, value in offered.items() if name in known}
    stride = args.get("stride", 1) if "stride" not in known else 1
    said = {name: value for name, value in args.items() if name != "stride" or name in known}
    try:
        network = kind(**{**given, **said})
    except TypeError as error:
        raise InvalidInputError(
            f"the network cannot be made: {error}", hint=f"it takes {', '.join(known)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InvalidInputError(
            f"that is no torch module but {type(network).__name__}",
            hint="name a class or function that makes one",
        )
    if hasattr(network, "embed") and hasattr(network, "encoder_state"):
        return network
    if len(heads) > 1:
        raise InvalidInputError(
            f"a network without heads of its own answers one; there are {len(heads)}",
            hint="let its class take contract and heads, and give forward, embed, encoder_state",
        )
    return Whole(network, contract=contract, head=heads[0], stride=stride)
