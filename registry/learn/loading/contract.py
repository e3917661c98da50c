"""What the numbers of a model's inputs mean: which bands, in which unit, scaled how."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from registry.errors import InvalidInputError

__all__ = ["Band", "Contract", "Input"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band as it is stored, and what training normalises it by."""

    name: str
    """As the dataset's card has it."""

    common: str | None = None
    """Its common letter, such as ``N`` or ``N2``; None where it is not certain."""

    unit: str | None = None
    """Physical unit after scale and offset, such as ``reflectance``."""

    scale: float = 1.0
    """Factor from stored to physical values."""

    offset: float = 0.0
    """Added after scaling."""

    mean: float | None = None
    """Mean of the physical values of the training samples; None where none were taken."""

    std: float | None = None
    """Their standard deviation, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One asset that a model reads."""

    asset: str
    """The asset's name."""

    bands: tuple[Band, ...]
    """Its bands in the order that the model reads them, at least one."""

    gsd: float | None = None
    """Ground sampling distance in metres."""

    level: str | None = None
    """Processing level, such as ``L2A``."""

    nodata: float | None = None
    """Stored value that means that nothing was observed."""

    frames: int | None = None
    """Time steps that the model reads; None for a single image."""

    def __post_init__(self) -> None:
        if not self.bands:
            raise InvalidInputError(
                f"input '{self.asset}' has no band", hint="name the bands that the model reads"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a model reads, or what a version gives; travels with both."""

    inputs: tuple[Input, ...]
    """One an asset, in the order of the model's inputs."""

    statistics: str | None = None
    """Content id of the statistics that means and deviations are from."""

    def of(self, asset: str) -> Input:
        """Return what is said of one asset.

        Raises:
            InvalidInputError: Nothing is.
        """
        for one in self.inputs:
            if one.asset == asset:
                return one
        there = ", ".join(one.asset for one in self.inputs)
        raise InvalidInputError(f"there is no input '{asset}'", hint=f"there are {there}")

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Contract":
        """Return the contract that :meth:`to_document` wrote.

        Raises:
            InvalidInputError: It is not one.
        """
        try:
            inputs = tuple(
                Input(**{**one, "bands": tuple(Band(**band) for band in one["bands"])})
                for one in document["inputs"]
            )
        except (KeyError, TypeError) as error:
            raise InvalidInputError(
                f"that is no contract of a model's inputs: {error}",
                hint="take the one that the model's card holds",
            ) from error
        return cls(inputs=inputs, statistics=document.get("statistics"))
