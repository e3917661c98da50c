"""What a machine computes on: a device as people name it, and how many graphics processors."""

import re
from typing import Final

from registry.errors import InvalidInputError, UnavailableError

__all__ = ["NoDeviceError", "checked", "gpus", "named"]

_NAMES: Final = re.compile(r"cpu|mps|(cuda|xpu)(:\d{1,3})?")


class NoDeviceError(UnavailableError):
    """The machine has not the device, or not as many, as something is asked to run on."""

    code = "no-device"


def named(device: str) -> str:
    """Return the name of a device, once it can be one anywhere.

    Args:
        device: As torch names it.

    Raises:
        InvalidInputError: Torch has none of that name.

    Examples:
        >>> named("cuda:1")
        'cuda:1'
        >>> named("cudda")
        Traceback (most recent call last):
        ...
        registry.errors.InvalidInputError: there is no device 'cudda'
          hint: take cpu, cuda, or one of several, such as cuda:1
    """
    if not _NAMES.fullmatch(device):
        raise InvalidInputError(
            f"there is no device '{device}'",
            hint="take cpu, cuda, or one of several, such as cuda:1",
        )
    return device


def checked(device: str) -> str:
    """Return the name of a device that this machine has.

    Args:
        device: Such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        InvalidInputError: There is none of that name anywhere.
        NoDeviceError: This machine has it not.
    """
    kind, _, number = named(device).partition(":")
    there = gpus(kind)
    if kind == "cpu" or int(number or 0) < there:
        return device
    raise NoDeviceError(
        f"this machine has no device '{device}': torch finds {_counted(there)} of that kind",
        hint="run it on a machine that has one, or on the processor: --device cpu",
    )


def gpus(kind: str | None = None) -> int:
    """Return how many graphics processors torch finds here.

    Args:
        kind: Of which kind, as torch names it; None: of whichever this machine has.
    """
    if kind == "cpu":
        return 0
    import torch

    kinds = ("cuda", "xpu", "mps") if kind is None else (kind,)
    return max(int(torch.get_device_module(one).device_count()) for one in kinds)


def _counted(count: int) -> str:
    return f"{count or 'no'} GPU{'s' if count > 1 else ''}"
