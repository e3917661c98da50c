"""How much each class covers, with the errors of the map taken out where a test tells them.

References:
    Olofsson, Foody, Herold, Stehman, Woodcock and Wulder (2014), Good practices for estimating
    area and assessing accuracy of land change, Remote Sensing of Environment 148, 42-57,
    equations 9 to 11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError

__all__ = ["ClassArea", "areas"]

_Z: Final = 1.959964  # 95 % of a normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassArea:
    """How much of a map one class covers."""

    name: str
    """The class."""

    pixels: int
    """Counted in the map."""

    share: float
    """Of the pixels with a class, in [0, 1]; 0 in a map without any."""

    area_m2: float | None = None
    """Counted pixels on the ground; None where a pixel has no known size."""

    adjusted_share: float | None = None
    """The share with the map's errors taken out; None where no test tells them."""

    low: float | None = None
    """Lower end of the 95 % interval of ``adjusted_share``."""

    high: float | None = None
    """Upper end likewise."""


def areas(
    counts: Mapping[str, int],
    *,
    pixel_m2: float | None = None,
    confusion: npt.NDArray[np.floating[Any]] | None = None,
    draws: int | None = None,
) -> tuple[ClassArea, ...]:
    """Return how much each class covers.

    Args:
        counts: Pixels of the map by class, in the model's order.
        pixel_m2: Ground that a pixel covers.
        confusion: Of the model's test, in any unit, ``(true class, said class)``; None where there
            was none.
        draws: Independent draws that the test stands for, above 1: its samples, because the pixels
            of one are alike. By default what ``confusion`` adds up to.

    Returns:
        One a class. A class that the test never met has no interval, nor has any other then.

    Raises:
        InvalidInputError: The confusion is of other classes.

    Examples:
        >>> test = np.array([[97, 0, 0], [3, 279, 1], [2, 9, 249]], float).T  # map by reference
        >>> found = areas({"a": 22353, "b": 1122543, "c": 610228}, confusion=test.T)
        >>> round(found[0].share, 4)
        0.0127
    """
    names = tuple(counts)
    pixels = np.array([counts[name] for name in names], np.float64)
    shares = pixels / max(pixels.sum(), 1)
    adjusted = None if confusion is None else _adjusted(shares, np.asarray(confusion, float), draws)
    made = []
    for n, name in enumerate(names):
        share, half = (0.0, 0.0) if adjusted is None else (adjusted[0][n], _Z * adjusted[1][n])
        told = adjusted is not None
        made.append(
            ClassArea(
                name=name,
                pixels=int(pixels[n]),
                share=float(shares[n]),
                area_m2=None if pixel_m2 is None else float(pixels[n] * pixel_m2),
                adjusted_share=float(share) if told else None,
                low=float(max(share - half, 0)) if told else None,
                high=float(min(share + half, 1)) if told else None,
            )
        )
    return tuple(made)


def _adjusted(
    shares: npt.NDArray[np.float64], confusion: npt.NDArray[np.float64], draws: int | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Return shares and their standard errors; None where a class that is mapped was never met.

    Raises:
        InvalidInputError: The confusion is of other classes.
    """
    if confusion.shape != (len(shares), len(shares)):
        raise InvalidInputError(
            f"a confusion of shape {confusion.shape} is not one of {len(shares)} classes",
            hint="take the one that the model was scored with",
        )
    said = confusion.T * (1 if draws is None else draws / max(confusion.sum(), 1))  # map, true
    rows = said.sum(1)
    if ((rows <= 1) & (shares > 0)).any():
        return None
    there = rows > 1
    rates = np.where(there[:, None], said / np.where(there, rows, 1)[:, None], 0)
    estimate = (shares[:, None] * rates).sum(0)
    spread = np.where(there, rows - 1, 1)[:, None]
    variance = (shares[:, None] ** 2 * rates * (1 - rates) / spread).sum(0)
    return estimate, np.sqrt(variance)
