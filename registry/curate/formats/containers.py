"""What a file of arrays holds: its variables with names, axes and attributes; nothing read yet.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_VARIABLES", "Container", "Variable"]

MOST_VARIABLES: Final = 2048
"""Variables and attributes that a file may have at most, each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One array of a file, not read yet."""

    name: str
    """Its name in the file."""

    axes: tuple[str, ...]
    """Name of each axis; empty texts where axes have no names."""

    shape: tuple[int, ...]
    """Sides, in the order of the axes."""

    dtype: np.dtype[Any] | None
    """Of its numbers, byte order and all; None if it holds something else."""

    attributes: Mapping[str, object] = field(default_factory=dict)
    """Texts, numbers and tuples of numbers by name."""

    read: Callable[[], npt.NDArray[Any]]
    """Reads it all: numbers as they are stored, or texts; checks sizes before it takes memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A file of arrays."""

    driver: str
    """``HDF5``, ``netCDF`` or ``NPY``."""

    variables: Mapping[str, Variable]
    """By name, in the file's order."""

    attributes: Mapping[str, object] = field(default_factory=dict)
    """What the file says of itself."""

    left_out: tuple[str, ...] = ()
    """Groups and things that are no arrays, by name."""
