"""Where a model should be believed: how far a window lies from what it learned from.

References:
    Mahalanobis (1936), On the generalised distance in statistics.
    Lee, Lee, Lee and Shin (2018), A simple unified framework for detecting out-of-distribution
    samples and adversarial attacks, NeurIPS.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from registry.errors import CorruptError, InvalidInputError
from registry.learn.inference.mapping import DISTANCE
from registry.learn.inference.windows import Arrays, Floats, Net

__all__ = ["NoDomainError", "distances", "watched"]


class NoDomainError(InvalidInputError):
    """Nobody measured where a model is valid."""

    code = "no-domain"


def watched(
    net: Net, embed: Callable[[Arrays], Floats], domain: Mapping[str, Any], *, name: str
) -> Net:
    """Return a network that also answers how far each window lies from its training data.

    Args:
        net: What answers.
        embed: Windows to embeddings, ``(window, dimension)``.
        domain: As the model's card has it: ``mean`` and ``precision`` of the embeddings of its
            training samples, a matrix or its diagonal, and ``threshold``, a distance.
        name: The model's, for messages.

    Returns:
        The network; its answer ``distance`` is in thresholds, so beyond 1 it abstains.

    Raises:
        NoDomainError: The card says nothing of it.
        CorruptError: What it says does not fit together.
    """
    if not domain:
        raise NoDomainError(
            f"nobody measured where {name} is valid",
            hint="train it again, which measures that, or predict without --abstain",
        )
    try:
        mean = np.asarray(domain["mean"], np.float64)
        precision = np.asarray(domain["precision"], np.float64)
        threshold = float(domain["threshold"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(
            f"the domain of {name} cannot be read: {error}", hint="pull the model again"
        ) from error
    if precision.ndim == 1:  # of long embeddings the inverse variances alone are kept
        precision = np.diag(precision)
    shapes = {(mean.size,), (mean.size, mean.size)}
    if mean.ndim != 1 or precision.shape not in shapes or not threshold > 0:
        raise CorruptError(
            f"the domain of {name} has a mean of shape {mean.shape}, a precision of shape "
            f"{precision.shape} and the threshold {threshold:g}",
            hint="pull the model again",
        )

    def answer(arrays: Arrays) -> Mapping[str, Floats]:
        far = distances(embed(arrays), mean, precision) / threshold
        return {**net(arrays), DISTANCE: far.astype(np.float32)[:, None]}

    return answer


def distances(
    embeddings: Floats, mean: np.ndarray[Any, Any], precision: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return how far embeddings lie from a distribution.

    Args:
        embeddings: Vectors, unitless, of shape ``(window, dimension)``.
        mean: One, of shape ``(dimension,)``.
        precision: The inverse of the covariance, ``(dimension, dimension)``; or inverse variances
            alone, ``(dimension,)``.

    Returns:
        Mahalanobis distances, at least 0, ``(window,)``.

    Examples:
        >>> distances(np.array([[3.0, 4.0]]), np.zeros(2), np.eye(2)).item()
        5.0
    """
    apart = np.asarray(embeddings, np.float64) - mean
    whole = precision if precision.ndim > 1 else np.diag(precision)
    found: np.ndarray[Any, Any] = np.einsum("wi,ij,wj->w", apart, whole, apart)
    np.sqrt(np.maximum(found, 0), out=found)
    return found
