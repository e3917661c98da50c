"""What a network's answers cost beside the truth; samples and pixels without truth cost nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from registry.learn.models.architecture import Head, HeadTask
from registry.learn.training.recipe import HeadRecipe

__all__ = ["classes_of", "known_of", "loss_of", "quantity_of", "weighted"]

_NOTHING = -1
_FOCUS = 2.0


def loss_of(
    head: Head,
    recipe: HeadRecipe,
    answer: Tensor,
    truth: Tensor,
    *,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the loss of one head.

    Args:
        head: What it gives.
        recipe: How it learns.
        answer: Logits or normalised quantities: ``(sample, output)`` or ``(sample, output, y, x)``.
        truth: Classes ``(sample,)`` or ``(sample, y, x)``, presences ``(sample, class)``, or
            quantities in their unit, NaN where unknown.
        weights: What errors on each class count, ``(class,)``.

    Returns:
        A scalar; 0 with a gradient of 0 where nothing is known.
    """
    if head.task in {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}:
        return _quantity_loss(head, recipe.by, answer, truth)
    if head.task is HeadTask.MULTILABEL:
        return _presence_loss(recipe.by, answer, truth, weights)
    classes = classes_of(truth, count=len(head.classes), ignore=recipe.ignore)
    if not bool((classes != _NOTHING).any()):
        return answer.sum() * 0
    parts = [_class_loss(one, recipe, answer, classes, weights) for one in recipe.by.split("+")]
    return torch.stack(parts).sum()


def known_of(
    head: Head, recipe: HeadRecipe, truth: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """Return how many answers of a head a loss is the mean of.

    Args:
        head: What it gives.
        recipe: How it learns, and which value of a mask says nothing.
        truth: As :func:`loss_of` takes it.
        weights: What errors on each class count, ``(class,)``.

    Returns:
        Samples, pixels, or presences whose truth is known, a scalar; with weights and cross entropy
        what they weigh.
    """
    if head.task in {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}:
        return torch.isfinite(quantity_of(truth)).sum()
    if head.task is HeadTask.MULTILABEL:
        return torch.tensor(truth.numel(), device=truth.device)
    classes = classes_of(truth, count=len(head.classes), ignore=recipe.ignore)
    known = classes != _NOTHING
    if weights is None or not recipe.by.startswith("cross-entropy"):
        return known.sum()
    return (weights[classes.clamp_min(0)] * known).sum()


def classes_of(truth: Tensor, *, count: int, ignore: int = _NOTHING) -> Tensor:
    """Return classes as whole numbers, -1 where none is said.

    Args:
        truth: Values of a mask ``(sample, [1,] y, x)`` or classes ``(sample,)``.
        count: How many classes there are; other values say nothing.
        ignore: A value that says nothing.

    Returns:
        The same without a band axis.

    Examples:
        >>> classes_of(torch.tensor([0, 1, 255]), count=2).tolist()
        [0, 1, -1]
    """
    if truth.ndim == 4:  # noqa: PLR2004 — sample, band, y, x
        truth = truth[:, 0]
    whole = truth.long()
    known = (whole >= 0) & (whole < count) & (whole != ignore)
    return torch.where(known, whole, _NOTHING)


def quantity_of(truth: Tensor) -> Tensor:
    """Return quantities as ``(sample, 1)`` or ``(sample, 1, y, x)``.

    Args:
        truth: ``(sample,)``, ``(sample, y, x)`` or either with an axis of one.

    Returns:
        Float32.
    """
    values = truth.to(torch.float32)
    if values.ndim in {1, 3}:
        values = values.unsqueeze(1)
    return values


def _class_loss(
    name: str, recipe: HeadRecipe, answer: Tensor, classes: Tensor, weights: Tensor | None
) -> Tensor:
    if name == "dice":
        return _dice(answer, classes)
    if name == "focal":
        return _focal(answer, classes, weights)
    if weights is not None and not bool((weights[classes[classes != _NOTHING]] > 0).any()):
        return answer.sum() * 0  # nothing here counts, and the mean over it would be 0 / 0
    return functional.cross_entropy(
        answer, classes, weight=weights, ignore_index=_NOTHING, label_smoothing=recipe.smoothing
    )


def _dice(answer: Tensor, classes: Tensor) -> Tensor:
    """Return 1 less the mean overlap of the classes that occur.

    References:
        Milletari, Navab & Ahmadi (2016), "V-Net", 3DV, equation 3.
    """
    count = answer.shape[1]
    known = (classes != _NOTHING).unsqueeze(1)
    shares = answer.softmax(1) * known
    truth = functional.one_hot(classes.clamp_min(0), count).movedim(-1, 1) * known
    axes = [0, *range(2, answer.ndim)]
    overlap = 2 * (shares * truth).sum(axes) / ((shares + truth).sum(axes) + 1e-6)
    occurs = truth.sum(axes) > 0
    return 1 - overlap[occurs].mean()


def _focal(answer: Tensor, classes: Tensor, weights: Tensor | None) -> Tensor:
    """Return cross entropy that cares less for what is sure already.

    References:
        Lin et al. (2017), "Focal loss for dense object detection", ICCV, equation 4.
    """
    each = functional.cross_entropy(
        answer, classes, weight=weights, ignore_index=_NOTHING, reduction="none"
    )
    known = classes != _NOTHING
    return ((1 - torch.exp(-each)) ** _FOCUS * each)[known].mean()


def _presence_loss(name: str, answer: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    truth = truth.to(answer.dtype)
    each = functional.binary_cross_entropy_with_logits(
        answer, truth, pos_weight=weights, reduction="none"
    )
    if name == "focal":
        each = (1 - torch.exp(-each)) ** _FOCUS * each
    return each.mean()


def _quantity_loss(head: Head, name: str, answer: Tensor, truth: Tensor) -> Tensor:
    wanted = (quantity_of(truth) - head.mean) / head.std
    known = torch.isfinite(wanted)
    if not bool(known.any()):
        return answer.sum() * 0
    if name == "huber":
        return functional.huber_loss(answer[known], wanted[known])
    kind = functional.mse_loss if name == "mse" else functional.l1_loss
    return kind(answer[known], wanted[known])


def weighted(parts: Sequence[tuple[float, Tensor]]) -> Tensor:
    """Return the weighted mean of some heads' losses.

    Args:
        parts: Weight and loss of each.

    Returns:
        A scalar.
    """
    return torch.stack([weight * loss for weight, loss in parts]).sum() / sum(
        weight for weight, _ in parts
    )
