"""What a feature is computed from: one sample with its arrays, in physical values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError

__all__ = ["Layer", "MissingInputError", "Scene", "Shape"]

Floats = npt.NDArray[np.float32]


class MissingInputError(InvalidInputError):
    """A sample lacks what a feature needs; it gets nulls, and the reason is reported."""

    code = "feature-input-missing"


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly is computed once, when asked
class Layer:
    """One asset's array and what its dataset's card says of it."""

    asset: str
    """The asset's name."""

    raw: npt.NDArray[Any] = field(repr=False)
    """Stored values, shape ``(time, band, y, x)``; one time step where the asset has none."""

    role: str = "data"
    """``data`` or ``labels``."""

    bands: tuple[str, ...] = ()
    """Names in the array's order; empty if unknown."""

    common: tuple[str | None, ...] = ()
    """Their common letters (``B G R N S1 S2 RE1 … VV VH …``); None where unknown."""

    unit: str | None = None
    """Physical unit after scale and offset."""

    scale: tuple[float, ...] = ()
    """Factor from stored to physical values, one a band; empty is 1."""

    offset: tuple[float, ...] = ()
    """Added after scaling, one a band; empty is 0."""

    nodata: float | None = None
    """Stored value that means nothing was observed."""

    times: tuple[datetime, ...] = ()
    """One a time step, or empty."""

    gsd: float | None = None
    """Ground sampling distance in metres."""

    crs: str | None = None
    """Of its transform."""

    transform: tuple[float, ...] | None = None
    """Affine a, b, c, d, e, f from (column, row) of a pixel's corner to the CRS."""

    values: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """For a mask: which class each value is."""

    clear: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    """Where it is free of cloud, shadow and snow, shape ``(time, y, x)``; None if nobody says."""

    @cached_property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Where every band was observed, shape ``(time, y, x)``."""
        return np.asarray(self.observed.all(axis=1))

    @cached_property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Where a value was observed: finite and not nodata; shape as ``raw``."""
        there = (
            np.isfinite(self.raw)
            if np.issubdtype(self.raw.dtype, np.inexact)
            else np.ones(self.raw.shape, dtype=np.bool_)
        )
        if self.nodata is not None and not np.isnan(self.nodata):
            there &= self.raw != self.nodata
        return there

    def has(self, letter: str) -> bool:
        """Return whether a band of this common letter is there."""
        return letter in self.common

    def band(self, letter: str) -> Floats:
        """Return a band's physical values by its common letter; NaN where nothing was observed.

        Args:
            letter: Such as ``N`` for near infrared.

        Returns:
            Shape ``(time, y, x)``.

        Raises:
            MissingInputError: There is no such band.
        """
        if letter not in self.common:
            raise MissingInputError(
                f"asset '{self.asset}' has no band {letter}",
                hint=f"it has {', '.join(self.bands) or 'no named bands'}; name them in the card",
            )
        return self.physical(self.common.index(letter))

    def physical(self, number: int) -> Floats:
        """Return a band's physical values by its place from 0; NaN where nothing was observed.

        Returns:
            Shape ``(time, y, x)``.
        """
        if number not in self._physical:
            with np.errstate(over="ignore", invalid="ignore"):  # beyond single precision: infinite
                band = self.raw[:, number].astype(np.float32)
                if self.scale:
                    band *= np.float32(self.scale[number])
                if self.offset:
                    band += np.float32(self.offset[number])
            band[~self.observed[:, number]] = np.nan
            self._physical[number] = band
        return self._physical[number]

    @cached_property
    def _physical(self) -> dict[int, Floats]:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One annotation of the sample."""

    id: str
    """The annotation's id."""

    category: str | None
    """Its class."""

    geometry: bytes | None
    """WKB in ``frame``."""

    frame: str | None
    """``crs`` or ``pixel``."""

    score: float | None = None
    """Confidence in [0, 1]; None for people's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One sample with all that a set may look at."""

    sample: str
    """Its id."""

    layers: tuple[Layer, ...] = ()
    """Its arrays, by asset name in order, as far as sets need them."""

    shapes: tuple[Shape, ...] = ()
    """Its annotations, by id in order."""

    row: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Its row of ``samples``: the columns that sets need."""

    def layer(self, *letters: str, role: str = "data") -> Layer:
        """Return the first layer of a role that has all bands of these common letters.

        Raises:
            MissingInputError: There is none.
        """
        for layer in self.layers:
            if layer.role == role and all(layer.has(letter) for letter in letters):
                return layer
        wanted = f" with bands {', '.join(letters)}" if letters else ""
        there = ", ".join(
            f"{one.asset} ({' '.join(one.bands) or 'unnamed'})" for one in self.layers
        )
        raise MissingInputError(
            f"it has no array of role '{role}'{wanted}",
            hint=f"it has {there or 'no arrays'}; name bands and roles in the card",
        )
