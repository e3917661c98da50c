"""What a machine computes on: a device as people name it, and how many graphics processors."""

import os
import re
from typing import Final

from registry.errors import InvalidInputError, UnavailableError

__all__ = [
    "PROMISED_VARIABLE",
    "NoDeviceError",
    "check_here",
    "check_promised",
    "checked",
    "chosen",
    "gpus",
    "named",
]

PROMISED_VARIABLE: Final = "EOLAB_GPUS"
"""The environment variable that tells a job how many graphics processors it was promised."""

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


def chosen(device: str | None) -> str:
    """Return the device that a command runs on.

    Args:
        device: What was asked for; None: a GPU in a job that was promised one, else the processor.

    Raises:
        InvalidInputError: There is none of that name anywhere.
        NoDeviceError: This machine has it not.

    Examples:
        >>> chosen(None)
        'cpu'
    """
    return checked(device or ("cuda" if _promised() else "cpu"))


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


def check_here(count: int) -> None:
    """Refuse to ask this machine for more graphics processors than it has.

    Args:
        count: How many are asked for.

    Raises:
        NoDeviceError: There are fewer.
    """
    if count and (there := gpus()) < count:
        fewer = f"ask for {there}" if there else "leave --gpus out to run on the processor"
        raise NoDeviceError(
            f"this machine has {_counted(there)} that torch finds, not {count}",
            hint=f"{fewer}, or name a place that has them: --on slurm --gpus {count}",
        )


def check_promised() -> None:
    """Refuse to go on in a job that was promised graphics processors, and finds fewer.

    Raises:
        NoDeviceError: There are fewer.
    """
    promised = _promised()
    if promised and (there := gpus()) < promised:
        raise NoDeviceError(
            f"this job was promised {_counted(promised)}, and torch finds {there}",
            hint="see that the place gives them and that its driver runs: nvidia-smi",
        )


def _promised() -> int:
    said = os.environ.get(PROMISED_VARIABLE, "")
    return int(said) if said.isdecimal() else 0


def _counted(count: int) -> str:
    return f"{count or 'no'} GPU{'s' if count > 1 else ''}"
