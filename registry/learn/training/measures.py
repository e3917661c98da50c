"""How well a network answers on samples that it did not learn from, by torchmetrics or the lab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric, R2Score
from torchmetrics.classification import (
    MulticlassConfusionMatrix,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)

from registry.learn.models.architecture import Head, HeadTask
from registry.learn.training.losses import classes_of, quantity_of
from registry.learn.training.recipe import HeadRecipe

__all__ = ["Measure", "better", "measure_of", "usual"]

_DOWN = ("loss", "rmse", "mae")
# What several processes measure is joined as objects: on CPUs, where NCCL could not gather it.
_ALONE: Any = {"sync_on_compute": False}
_USUAL: Mapping[HeadTask, str] = {
    HeadTask.CLASSIFICATION: "accuracy",
    HeadTask.MULTILABEL: "f1",
    HeadTask.SEGMENTATION: "iou",
    HeadTask.CHANGE: "iou",
    HeadTask.REGRESSION: "rmse",
    HeadTask.PIXEL_REGRESSION: "rmse",
    HeadTask.DETECTION: "ap50",
    HeadTask.RECONSTRUCTION: "loss",
    HeadTask.CONTRASTIVE: "loss",
}


class Measure(Protocol):
    """Figures of one head, gathered batch by batch."""

    def update(self, answer: Any, truth: Any) -> None:  # noqa: ANN401 — tensors or boxes
        """Take in what the network answered for a batch, and the truth."""
        ...

    def join(self, other: "Measure") -> None:
        """Take in what another measure of the same head took in."""
        ...

    def compute(self) -> dict[str, float]:
        """Return the figures over all batches."""
        ...

    def confusion(self) -> Tensor | None:
        """Return ``(truth, answer)`` counts; None where there are no classes."""
        ...


def usual(head: Head) -> str:
    """Return the figure that runs are stopped and chosen by.

    Args:
        head: What is answered.

    Returns:
        A name such as ``iou``.
    """
    return _USUAL[head.task]


def better(name: str, new: float, old: float | None) -> bool:
    """Return whether a figure is better than another.

    Args:
        name: Its name; losses and errors are better when they are lower.
        new: The figure.
        old: The one before; None where there is none.

    Examples:
        >>> better("iou", 0.5, 0.4), better("biomass/rmse", 0.5, 0.4)
        (True, False)
    """
    if new != new:  # noqa: PLR0124 — NaN is never better
        return False
    if old is None or old != old:  # noqa: PLR0124 — anything is better than NaN
        return True
    return new < old if name.rpartition("/")[2] in _DOWN else new > old


def measure_of(head: Head, recipe: HeadRecipe) -> Measure | None:
    """Return what measures a head; None where its loss is all there is.

    Args:
        head: What it gives.
        recipe: Which values of a mask say nothing.
    """
    if head.task in {HeadTask.CLASSIFICATION, HeadTask.SEGMENTATION, HeadTask.CHANGE}:
        return _Classes(head=head, ignore=recipe.ignore)
    if head.task is HeadTask.MULTILABEL:
        return _Presences(head=head)
    if head.task in {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}:
        return _Quantities(head=head)
    return _Boxes(head=head) if head.task is HeadTask.DETECTION else None


class _Classes:
    def __init__(self, *, head: Head, ignore: int) -> None:
        self.head, self.ignore = head, ignore
        self.counts = MulticlassConfusionMatrix(len(head.classes), ignore_index=-1, **_ALONE)

    def update(self, answer: Tensor, truth: Tensor) -> None:
        classes = classes_of(truth, count=len(self.head.classes), ignore=self.ignore)
        if bool((classes != -1).any()):
            self.counts.update(answer.argmax(1).cpu(), classes.cpu())

    def join(self, other: Any) -> None:  # noqa: ANN401 — another of the kind
        self.counts.merge_state(other.counts)

    def confusion(self) -> Tensor | None:
        return cast("Tensor", _computed(self.counts))

    def compute(self) -> dict[str, float]:
        counts = _computed(self.counts).double()  # (truth, answer)
        right, truth, said = counts.diagonal(), counts.sum(1), counts.sum(0)
        occurs = (truth + said) > 0
        f1 = 2 * right / (truth + said)
        found = {
            "accuracy": float(right.sum() / counts.sum()),
            "f1": float(f1[occurs].mean()),
        }
        if self.head.task is HeadTask.CLASSIFICATION:
            for name, value, here in zip(self.head.classes, right / truth, truth > 0, strict=True):
                if here:
                    found[f"recall/{name}"] = float(value)
            return found
        iou = right / (truth + said - right)
        found["iou"] = float(iou[occurs].mean())
        for name, value, here in zip(self.head.classes, iou, occurs, strict=True):
            if here:
                found[f"iou/{name}"] = float(value)
        return found


class _Presences:
    def __init__(self, *, head: Head) -> None:
        count = len(head.classes)
        self.f1 = MultilabelF1Score(count, average="macro", **_ALONE)
        self.ap = MultilabelAveragePrecision(count, average="macro", thresholds=200, **_ALONE)

    def update(self, answer: Tensor, truth: Tensor) -> None:
        shares = answer.float().sigmoid().cpu()
        self.f1.update(shares, truth.long().cpu())
        self.ap.update(shares, truth.long().cpu())

    def join(self, other: Any) -> None:  # noqa: ANN401 — another of the kind
        self.f1.merge_state(other.f1)
        self.ap.merge_state(other.ap)

    def confusion(self) -> Tensor | None:
        return None

    def compute(self) -> dict[str, float]:
        return {"f1": float(_computed(self.f1)), "map": float(_computed(self.ap))}


class _Quantities:
    def __init__(self, *, head: Head) -> None:
        self.head = head
        self.squares, self.explained = MeanSquaredError(**_ALONE), R2Score(**_ALONE)
        self.count = 0

    def update(self, answer: Tensor, truth: Tensor) -> None:
        wanted = quantity_of(truth).cpu()
        given = answer.float().cpu() * self.head.std + self.head.mean
        known = torch.isfinite(wanted)
        if bool(known.any()):
            self.count += int(known.sum())
            self.squares.update(given[known], wanted[known])
            self.explained.update(given[known], wanted[known])

    def join(self, other: Any) -> None:  # noqa: ANN401 — another of the kind
        self.count += other.count
        self.squares.merge_state(other.squares)
        self.explained.merge_state(other.explained)

    def confusion(self) -> Tensor | None:
        return None

    def compute(self) -> dict[str, float]:
        found = {"rmse": float(_computed(self.squares)) ** 0.5}
        if self.count > 1:
            found["r2"] = float(_computed(self.explained))
        return found


@dataclass(kw_only=True)
class _Boxes:
    """Average precision at half overlap: the lab's own, as scores are measured later."""

    head: Head

    def __post_init__(self) -> None:
        self.found: list[Mapping[str, Tensor]] = []
        self.truth: list[Mapping[str, Tensor]] = []

    def update(
        self, answer: Sequence[Mapping[str, Tensor]], truth: Sequence[Mapping[str, Tensor]]
    ) -> None:
        self.found += [{key: value.cpu() for key, value in one.items()} for one in answer]
        self.truth += [{key: value.cpu() for key, value in one.items()} for one in truth]

    def join(self, other: Any) -> None:  # noqa: ANN401 — another of the kind
        self.found += other.found
        self.truth += other.truth

    def confusion(self) -> Tensor | None:
        return None

    def compute(self) -> dict[str, float]:
        from registry.learn.loading.batch import Boxes
        from registry.learn.scoring import detection

        kept = detection.statistics(
            tuple(map(str, range(len(self.truth)))),
            self.head.classes,
            [
                Boxes(corners=one["boxes"].float().numpy(), classes=one["labels"].numpy())
                for one in self.truth
            ],
            [
                detection.Found(
                    corners=one["boxes"].float().numpy(),
                    classes=one["labels"].numpy(),
                    scores=one["scores"].float().numpy(),
                )
                for one in self.found
            ],
        )
        area = detection.figures(kept, np.ones((1, len(self.truth))))["ap50", None]
        return {"ap50": float(np.nan_to_num(area[0]))}


def _computed(metric: Metric) -> Any:  # noqa: ANN401 — a tensor, or tensors by name
    import warnings

    with warnings.catch_warnings():  # of a head whose truth no sample knows
        warnings.simplefilter("ignore", UserWarning)
        return metric.compute()
