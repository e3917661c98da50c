"""What a network answers to windows, as the numbers that maps hold."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.inference.windows import Floats, Mask
from registry.learn.inference.writing import FRACTION_NODATA, FRACTION_SCALE, Layout
from registry.learn.models.architecture import Head, HeadTask

__all__ = [
    "MAPPED", "chosen_head", "classes_of", "entropy_of", "fractions_of", "is_quantity", "said_by",
    "shares_of", "width_of",
]  # fmt: skip

_CLASSES: Final = frozenset({HeadTask.CLASSIFICATION, HeadTask.SEGMENTATION, HeadTask.CHANGE})
_QUANTITIES: Final = frozenset({HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION})
MAPPED: Final = _CLASSES | _QUANTITIES | {HeadTask.MULTILABEL}
"""Tasks whose answers make a map; those of detection make boxes."""


def chosen_head(heads: Sequence[Head], name: str | None) -> Head:
    """Return the head that is asked for, or the first that says something of places.

    Raises:
        InvalidInputError: There is none.
    """
    usable = [one for one in heads if one.task in MAPPED | {HeadTask.DETECTION}]
    for one in usable:
        if name in {None, one.name}:
            return one
    there = ", ".join(one.name for one in usable)
    raise InvalidInputError(
        f"the model has no head '{name}' that predicts" if name else "the model predicts nothing",
        hint=f"it has {there}" if there else "give a model that was trained on labels",
    )


def width_of(head: Head) -> int:
    """Return how many channels a head answers with."""
    return 1 if head.task in _QUANTITIES else max(len(head.classes), 1)


def said_by(head: Head) -> tuple[str, ...]:
    """Return the classes that a map of a head's answers has; one class alone has all the others.

    Examples:
        >>> said_by(Head(name="water", task=HeadTask.SEGMENTATION, classes=("water",)))
        ('not water', 'water')
    """
    if len(head.classes) != 1:
        return head.classes
    return (f"not {head.classes[0]}", head.classes[0])


def shares_of(head: Head, values: Floats) -> Floats:
    """Return one probability for each class of :func:`said_by`, ``(class, y, x)``."""
    if len(head.classes) != 1:
        return values
    return np.concatenate([1 - values, values])


def is_quantity(head: Head) -> bool:
    """Return whether a head answers with numbers in a unit, not with classes."""
    return head.task in _QUANTITIES


def classes_of(probabilities: Floats, seen: Mask, layout: Layout) -> npt.NDArray[np.generic]:
    """Return the likeliest class of each pixel, as it is stored; of several alike the first.

    Args:
        probabilities: ``(class, y, x)``.
        seen: ``(y, x)``, false where there is no answer.
        layout: Of the map.

    Returns:
        ``(1, y, x)``.
    """
    best = np.zeros(seen.shape, layout.dtype)
    most = probabilities[0].copy()
    for number in range(1, len(probabilities)):  # class by class: argmax strides through memory
        better = probabilities[number] > most
        np.copyto(most, probabilities[number], where=better)
        best[better] = number
    best[~seen] = layout.nodata
    return best[None]


def fractions_of(values: Floats, seen: Mask) -> npt.NDArray[np.uint16]:
    """Return fractions in [0, 1] as they are stored: ten-thousandths."""
    steps = np.rint(np.clip(values, 0, 1) / np.float32(FRACTION_SCALE))
    stored: npt.NDArray[np.uint16] = steps.astype(np.uint16)
    stored[:, ~seen] = FRACTION_NODATA
    return stored


def entropy_of(probabilities: Floats) -> Floats:
    """Return how undecided the classes are.

    Args:
        probabilities: ``(class, y, x)``.

    Returns:
        ``(1, y, x)``: Shannon's entropy by that of an even guess, so 0 is certain and 1 anything;
        0 for a single class.

    References:
        Shannon (1948), Bell System Technical Journal 27, 379-423.

    Examples:
        >>> entropy_of(np.array([[[0.5]], [[0.5]]], np.float32)).item()
        1.0
    """
    if len(probabilities) < 2:  # noqa: PLR2004 — nothing to decide
        return np.zeros_like(probabilities[:1])
    whole = np.maximum(probabilities.sum(0), np.float32(1e-12))
    total = np.zeros(probabilities.shape[1:], np.float32)
    for one in probabilities:
        share = np.maximum(one / whole, np.float32(1e-12))
        total -= share * np.log(share)
    found: Floats = np.clip(total / np.float32(np.log(len(probabilities))), 0, 1)[None]
    return found
