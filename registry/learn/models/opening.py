"""From a version of a model to its network."""

import os
from typing import TYPE_CHECKING, Final

from registry.errors import CorruptError, ForbiddenError, InvalidInputError
from registry.learn import devices
from registry.learn.models.shelf import WEIGHTS, Model
from registry.learn.models.weights import read

if TYPE_CHECKING:
    from torch import nn

    from registry.learn.models.architecture import Architecture

__all__ = ["WEIGHTS_ALONE", "network", "trusted"]

WEIGHTS_ALONE: Final = "weights"
"""Factory of models that are weights without a network, for trainings to begin with."""


def network(model: Model, *, device: str = "cpu", trust: bool = False) -> "nn.Module":
    """Return a model's network with its weights, ready to be asked.

    Random numbers that are drawn later are those that would have been drawn without it.

    Args:
        model: A version.
        device: Such as ``cpu`` or ``cuda:0``.
        trust: Whether a class that the model names may be imported; so may those that
            ``EOLAB_TRUST_CLASSES`` lists.

    Returns:
        In evaluation mode, on the device.

    Raises:
        CorruptError: Its weights are of another network than its card says.
        InvalidInputError: It is weights alone, or its factory cannot build it.
        ForbiddenError: It names a class that nobody trusts.
        NoDeviceError: This machine has not the device.
    """
    import torch

    from registry.learn.models.factory import build

    devices.checked(device)
    card = model.card
    if card.architecture.factory == WEIGHTS_ALONE or not card.heads:
        raise InvalidInputError(
            f"{model.ref} is weights without a network",
            hint=f"begin a training with them: init: {model.ref}",
        )
    allowed = trust or trusted(card.architecture)
    try:
        with torch.random.fork_rng(devices=[]):
            built = build(
                card.architecture,
                contract=card.contract,
                heads=card.heads,
                size=card.size,
                trust=allowed,
            )
    except ForbiddenError as error:
        named = card.architecture.args.get("class_path")
        hint = f"read that code; if you trust it: export EOLAB_TRUST_CLASSES={named}"
        raise type(error)(error.problem, hint=hint) from error
    try:
        built.load_state_dict(read(model.path(WEIGHTS)), strict=True)
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise CorruptError(
            f"the weights of {model.ref} do not fit its network: {lines[-1].strip()[:200]}",
            hint="use the code that trained it, or train it again",
        ) from error
    built.requires_grad_(requires_grad=False)
    return built.to(device).eval()


def trusted(architecture: "Architecture") -> bool:
    """Return whether ``EOLAB_TRUST_CLASSES`` lists the class that an architecture names.

    Args:
        architecture: Any; those that name no class need no trust.
    """
    listed = os.environ.get("EOLAB_TRUST_CLASSES", "").split(",")
    named = architecture.args.get("class_path")
    return isinstance(named, str) and named in {one.strip() for one in listed}
