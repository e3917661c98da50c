"""What every kit gives, and how its arguments are checked."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Input
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder

__all__ = ["Kit", "Stream", "called", "chosen", "nearest", "within"]

_LISTED: Final = 6
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one encoder takes."""

    inputs: tuple[Input, ...]
    """The assets, stacked where they are several."""

    channels: int
    """Of its images: the bands of all assets, and a mask of each where they are several."""

    frames: int | None = None
    """Time steps that it should take at once; None for single images."""

    size: tuple[int, int] | None = None
    """Height and width of the chips that it will learn from, in pixels, where known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """How a library's encoder and decoder are made, once the streams are known."""

    encoder: Callable[[Stream], Encoder]
    """Makes an encoder for a stream."""

    decoder: Callable[[Sequence[int], Sequence[int]], Decoder]
    """Makes a decoder for features of these channels and strides, by level."""

    stacks: bool = True
    """Whether the encoder takes any bands, so that assets can be stacked."""

    frames: bool = False
    """Whether the encoder takes time steps by itself."""

    masks: bool = False
    """Whether its encoder is a plain transformer that a masked autoencoder can train."""


def nearest(name: str, there: Iterable[str]) -> str:
    """Return a hint that lists the names nearest to one that is not there.

    Args:
        name: What was asked for.
        there: What there is.

    Returns:
        In the imperative.

    Examples:
        >>> nearest("resnet81", ["resnet18", "resnet50", "vgg11"])
        'take resnet18 or resnet50'
    """
    names = sorted(there)
    close = difflib.get_close_matches(str(name)[:80], names, n=3, cutoff=0.6) or names[:_LISTED]
    return f"take {' or '.join(close)}"


def chosen(name: object, there: Iterable[str], *, what: str) -> str:
    """Return a name that is there.

    Args:
        name: What was asked for.
        there: What there is.
        what: What it is a name of, as in ``encoder of timm``.

    Returns:
        The name.

    Raises:
        InvalidInputError: It is not there; the hint has the nearest.
    """
    names = list(there)
    if isinstance(name, str) and name in names:
        return name
    raise InvalidInputError(
        f"there is no {what} '{str(name)[:80]}'", hint=nearest(str(name), names)
    )


def within(value: object, low: int, high: int, *, what: str) -> int:
    """Return a whole number that lies in a range.

    Args:
        value: What was given.
        low: The least that is right.
        high: The most.
        what: Its name, as in ``width``.

    Returns:
        The number.

    Raises:
        InvalidInputError: It is none, or lies outside.
    """
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise InvalidInputError(
        f"{what} is {str(value)[:40]}", hint=f"give a whole number from {low} to {high}"
    )


def called(make: Callable[..., _Made], args: Mapping[str, Any], *, what: str) -> _Made:
    """Return what a function makes of arguments that somebody wrote.

    Args:
        make: Its keyword-only parameters are what may be said.
        args: What was said.
        what: Whose arguments they are, for the message.

    Returns:
        What the function returns.

    Raises:
        InvalidInputError: It has no such argument, or one is missing.
    """
    known = inspect.signature(make).parameters
    free = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    unknown = [] if free else [name for name in args if name not in known]
    if unknown:
        raise InvalidInputError(
            f"{what} has no argument '{unknown[0]}'", hint=nearest(unknown[0], known)
        )
    missing = [
        name
        for name, one in known.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and name not in args
    ]
    if missing:
        raise InvalidInputError(
            f"{what} needs the argument '{missing[0]}'", hint=f"say args: {{{missing[0]}: …}}"
        )
    return make(**args)
