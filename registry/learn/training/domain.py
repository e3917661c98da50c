"""Where a model is valid: how the embeddings of what it learnt from lie.

References:
    Lee et al. (2018), "A simple unified framework for detecting out-of-distribution samples",
    NeurIPS: the Mahalanobis distance to the training samples' embeddings.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn

    from registry.learn.training.material import Material

__all__ = ["domain_of", "measured"]

_MOST: Final = 2048  # samples whose embeddings are taken
_WHOLE: Final = 64  # dimensions up to which the whole precision matrix is kept
_SHRINK: Final = 0.1
_QUANTILE: Final = 0.99
_DIGITS: Final = 6

Vectors = npt.NDArray[np.float64]


def measured(network: "nn.Module", material: "Material") -> Mapping[str, Any]:
    """Return how embeddings of the training samples lie, and how far held-out ones are.

    Args:
        network: With the weights that were kept.
        material: With training samples and, perhaps, held-out ones.

    Returns:
        As :func:`domain_of` does; empty for a network without embeddings.
    """
    if not hasattr(network, "embed"):
        return {}
    seen = _embedded(network, material, material.plain)
    held = seen if material.held is None else _embedded(network, material, material.held)
    return domain_of(seen, held) if len(seen) > 1 else {}


def domain_of(seen: Vectors, held: Vectors) -> dict[str, Any]:
    """Return mean, precision and threshold of embeddings.

    Args:
        seen: Of training samples, ``(sample, dimension)``.
        held: Of samples that nothing was learnt from, likewise.

    Returns:
        ``mean`` (dimension,); ``precision``, the inverse of their covariance drawn a tenth towards
        its diagonal: a matrix up to 64 dimensions, else the inverse variances alone;
        ``threshold``: the Mahalanobis distance that 99 % of either stay below; ``samples``.

    Examples:
        >>> domain = domain_of(np.array([[0.0], [2.0]]), np.array([[1.0]]))
        >>> domain["mean"], domain["threshold"]
        ([1.0], 0.99...)
    """
    mean = seen.mean(0)
    centred = seen - mean
    variance = centred.var(0)
    variance += 1e-6 * max(float(variance.mean()), 1e-12)
    precision: Vectors
    if len(mean) <= _WHOLE and len(seen) > len(mean):
        covariance = (1 - _SHRINK) * centred.T @ centred / len(seen)
        covariance[np.diag_indices_from(covariance)] = variance
        precision = np.linalg.inv(covariance)
    else:
        precision = 1 / variance
    distances = [_distances(one - mean, precision) for one in (seen, held)]
    return {
        "mean": _rounded(mean),
        "precision": _rounded(precision),
        "threshold": float(max(np.quantile(one, _QUANTILE) for one in distances)),
        "samples": len(seen),
    }


def _distances(centred: Vectors, precision: Vectors) -> Vectors:
    if precision.ndim == 1:
        return cast("Vectors", np.sqrt((centred**2 * precision).sum(1)))
    return cast("Vectors", np.sqrt(np.einsum("nd,de,ne->n", centred, precision, centred)))


def _embedded(
    network: "nn.Module", material: "Material", batches: Iterable[Mapping[str, Any]]
) -> Vectors:
    import torch

    from registry.learn.training.batches import inputs_of

    found: list[Vectors] = []
    count = 0
    with torch.no_grad():
        for batch in batches:
            inputs = inputs_of(material.contract, batch)
            vectors = cast("Any", network).embed(inputs).double().numpy()
            found.append(vectors[: _MOST - count])
            count += len(found[-1])
            if count >= _MOST:
                break
    return np.concatenate(found) if found else np.empty((0, 0))


def _rounded(values: Vectors) -> Any:  # noqa: ANN401 — lists of numbers, nested as the array is
    return np.vectorize(lambda one: float(f"{one:.{_DIGITS}g}"), otypes=[float])(values).tolist()
