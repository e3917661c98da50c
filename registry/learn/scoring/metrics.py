"""Every metric there is: its definition, and how it follows from what is kept of each sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.models.architecture import HeadTask
from registry.learn.scoring import classification, detection, multilabel, regression, segmentation
from registry.learn.scoring.statistics import Figures, Statistics, Weights

__all__ = [
    "METRICS",
    "Metric",
    "clipped",
    "confusion",
    "figures",
    "headline",
    "metrics_of",
    "support",
]

_ONE: Final = HeadTask.CLASSIFICATION
_SOME: Final = HeadTask.MULTILABEL
_PIXELS: Final = (HeadTask.SEGMENTATION, HeadTask.CHANGE)
_CLASSES: Final = (_ONE, _SOME, *_PIXELS)
_AMOUNTS: Final = (HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure that says how good answers are."""

    name: str
    """As in the table ``scores``."""

    title: str
    """For people."""

    tasks: tuple[HeadTask, ...]
    """Which heads it is measured of."""

    definition: str
    """How it is computed, in one or two sentences."""

    reference: str
    """Where it comes from."""

    best: Literal["high", "low", "zero"] = "high"
    """Which values are good."""

    by_class: bool = False
    """Whether each class has one of its own."""

    overall: bool = True
    """Whether there is one of all classes."""

    unit: str = "1"
    """``1`` for shares; ``unit`` where it has that of the quantity."""

    revision: int = 1
    """Counts up when the definition changes; another revision is another protocol."""


_ALL: Final = (
    Metric(
        name="accuracy", title="accuracy", tasks=(_ONE, *_PIXELS),
        definition="Share of samples, or of labelled pixels of all samples together, whose class "
        "is the one with the largest probability.",
        reference="Stehman (1997), Remote Sensing of Environment 62, 77-89: overall accuracy.",
    ),
    Metric(
        name="balanced_accuracy", title="balanced accuracy", tasks=(_ONE, *_PIXELS),
        definition="Mean recall of the classes that occur in the truth.",
        reference="Brodersen et al. (2010), ICPR, 3121-3124.",
    ),
    Metric(
        name="precision", title="precision", tasks=_CLASSES, by_class=True, overall=False,
        definition="Of what is said to be the class, the share that is: user's accuracy. 0 where "
        "the class occurs and is never said; none where it neither occurs nor is said.",
        reference="van Rijsbergen (1979), Information Retrieval, ch. 7.",
    ),
    Metric(
        name="recall", title="recall", tasks=_CLASSES, by_class=True, overall=False,
        definition="Of what is the class, the share that is said to be: producer's accuracy. 0 "
        "where the class is said and never occurs; none where it neither occurs nor is said.",
        reference="van Rijsbergen (1979), Information Retrieval, ch. 7.",
    ),
    Metric(
        name="f1", title="F1", tasks=_CLASSES, by_class=True, overall=False,
        definition="2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall; of pixels "
        "pooled over all samples it is Dice's coefficient.",
        reference="van Rijsbergen (1979), ch. 7; Dice (1945), Ecology 26, 297-302.",
    ),
    Metric(
        name="macro_precision", title="macro precision", tasks=_CLASSES,
        definition="Mean precision of the classes that occur or are said.",
        reference='scikit-learn, average="macro", zero_division=0.',
    ),
    Metric(
        name="macro_recall", title="macro recall", tasks=_CLASSES,
        definition="Mean recall of the classes that occur or are said.",
        reference='scikit-learn, average="macro", zero_division=0.',
    ),
    Metric(
        name="macro_f1", title="macro F1", tasks=_CLASSES,
        definition="Mean F1 of the classes that occur or are said.",
        reference='Opitz and Burst (2019), arXiv 1911.03347, "averaged F1".',
    ),
    Metric(
        name="micro_f1", title="micro F1", tasks=(_SOME,),
        definition="2 TP / (2 TP + FP + FN) with counts summed over classes, at probability 0.5.",
        reference='scikit-learn, average="micro".',
    ),
    Metric(
        name="exact_match", title="exact match", tasks=(_SOME,),
        definition="Share of samples whose set of classes is right, at probability 0.5.",
        reference="Tsoumakas and Katakis (2007), IJDWM 3(3), 1-13: subset accuracy.",
    ),
    Metric(
        name="average_precision", title="average precision", tasks=(_SOME,), by_class=True,
        overall=False,
        definition="Σ (Rₙ - Rₙ₋₁) Pₙ over the thresholds between distinct probabilities, without "
        "interpolation; none where no sample has the class.",
        reference="Manning, Raghavan, Schütze (2008), Introduction to Information Retrieval, §8.4.",
    ),
    Metric(
        name="map", title="mAP", tasks=(_SOME,),
        definition="Mean average precision of the classes that occur.",
        reference="Manning, Raghavan, Schütze (2008), §8.4.",
    ),
    Metric(
        name="top3_accuracy", title="top-3 accuracy", tasks=(_ONE,),
        definition="Share of samples whose class is among the three with the largest "
        "probabilities; of equal ones the first of the card's order. Of more than three classes.",
        reference="Russakovsky et al. (2015), IJCV 115, 211-252.",
    ),
    Metric(
        name="top5_accuracy", title="top-5 accuracy", tasks=(_ONE,),
        definition="As top-3 accuracy, among five. Of more than five classes.",
        reference="Russakovsky et al. (2015), IJCV 115, 211-252.",
    ),
    Metric(
        name="iou", title="IoU", tasks=_PIXELS, by_class=True, overall=False,
        definition="TP / (TP + FP + FN), pixels pooled over all samples before dividing; pixels "
        "without a label count nowhere.",
        reference="Everingham et al. (2015), IJCV 111, 98-136, §4.2.",
    ),
    Metric(
        name="miou", title="mIoU", tasks=_PIXELS,
        definition="Mean IoU of the classes that occur or are said; IoU is pooled over the pixels "
        "of all samples, not averaged over samples.",
        reference="Everingham et al. (2015), IJCV 111, 98-136, §4.2.",
    ),
    Metric(
        name="ap50", title="AP50", tasks=(HeadTask.DETECTION,), by_class=True,
        definition="Area under precision, made to fall with recall and read at 101 recalls, at "
        "IoU 0.5; at most 100 boxes of a class a sample, each labelled object found once. Over "
        "all classes: the mean of those that occur.",
        reference="Lin et al. (2014), Microsoft COCO, arXiv 1405.0312, and its COCOeval.",
    ),
    Metric(
        name="ap50_95", title="AP50:95", tasks=(HeadTask.DETECTION,), by_class=True,
        definition="As AP50, averaged over IoU 0.50, 0.55, … 0.95.",
        reference="Lin et al. (2014), Microsoft COCO, arXiv 1405.0312, and its COCOeval.",
    ),
    Metric(
        name="rmse", title="RMSE", tasks=_AMOUNTS, best="low", unit="unit",
        definition="Root of the mean squared error; of pixels over the labelled pixels of all "
        "samples together.",
        reference="Willmott and Matsuura (2005), Climate Research 30, 79-82.",
    ),
    Metric(
        name="mae", title="MAE", tasks=_AMOUNTS, best="low", unit="unit",
        definition="Mean absolute error, pooled like RMSE.",
        reference="Willmott and Matsuura (2005), Climate Research 30, 79-82.",
    ),
    Metric(
        name="bias", title="bias", tasks=_AMOUNTS, best="zero", unit="unit",
        definition="Mean of predicted minus true, pooled like RMSE.",
        reference="Willmott and Matsuura (2005), Climate Research 30, 79-82.",
    ),
    Metric(
        name="r2", title="R²", tasks=_AMOUNTS,
        definition="1 - Σ(ŷ-y)² / Σ(y-ȳ)² over all values together; below 0 where the mean would "
        "do better, none where all true values are equal.",
        reference="Draper and Smith (1998), Applied Regression Analysis, §1.3.",
    ),
    Metric(
        name="ece", title="ECE", tasks=_CLASSES, best="low",
        definition="Expected calibration error: Σ |right - sure| over 15 equal bins of the "
        "confidence of the class that is said, weighted by the answers in each. Of several labels "
        "an answer is whether the sample has a class; of pixels all labelled ones.",
        reference="Guo et al. (2017), ICML, eq. 3.",
    ),
    Metric(
        name="brier", title="Brier score", tasks=_CLASSES, best="low",
        definition="Mean over answers of the squared gaps between probabilities and truth, summed "
        "over classes, in [0, 2]; of several labels of each label by itself, in [0, 1].",
        reference="Brier (1950), Monthly Weather Review 78, 1-3.",
    ),
)  # fmt: skip

_RANGES: Final = MappingProxyType({
    "rmse": (0.0, np.inf),
    "mae": (0.0, np.inf),
    "bias": (-np.inf, np.inf),
    "r2": (-np.inf, 1.0),
    "brier": (0.0, 2.0),
})  # of all others 0 to 1

METRICS: Final[Mapping[str, Metric]] = MappingProxyType({one.name: one for one in _ALL})
"""Every metric by its name."""

_HEADLINES: Final = MappingProxyType({
    _ONE: "accuracy",
    _SOME: "map",
    HeadTask.SEGMENTATION: "miou",
    HeadTask.CHANGE: "miou",
    HeadTask.DETECTION: "ap50",
    HeadTask.REGRESSION: "rmse",
    HeadTask.PIXEL_REGRESSION: "rmse",
})
_ROOMS: Final = MappingProxyType({
    _ONE: classification,
    _SOME: multilabel,
    HeadTask.SEGMENTATION: segmentation,
    HeadTask.CHANGE: segmentation,
    HeadTask.DETECTION: detection,
    HeadTask.REGRESSION: regression,
    HeadTask.PIXEL_REGRESSION: regression,
})


def clipped(metric: str, low: float, high: float) -> tuple[float, float]:
    """Return the ends of an interval, where they are values that the metric can have.

    Args:
        metric: Its name.
        low: Lower end.
        high: Upper end.

    Examples:
        >>> clipped("miou", 0.763, 1.01), clipped("bias", -3.0, 2.0)
        ((0.763, 1.0), (-3.0, 2.0))
    """
    below, above = _RANGES.get(metric, (0.0, 1.0))
    return max(low, below), min(high, above)


def headline(task: HeadTask) -> str:
    """Return the metric that a task is ranked by.

    Raises:
        InvalidInputError: The task is pretraining, which has no truth to compare with.

    Examples:
        >>> headline(HeadTask.SEGMENTATION)
        'miou'
    """
    if task not in _HEADLINES:
        raise InvalidInputError(
            f"a head for {task} has no score", hint="fine-tune the model and score that"
        )
    return _HEADLINES[task]


def metrics_of(task: HeadTask) -> tuple[Metric, ...]:
    """Return the metrics of a task in the order they are shown, what it is ranked by first."""
    first = headline(task)
    mine = [one for one in _ALL if task in one.tasks]
    return tuple(sorted(mine, key=lambda one: one.name != first))


def figures(kept: Statistics, weights: Weights | None = None) -> Figures:
    """Return every figure of a head's answers.

    Args:
        kept: What was kept of each sample.
        weights: How often each sample counts, ``(draw, sample)``; once each if None.

    Returns:
        A value a draw by metric and class; NaN where there is none.
    """
    drawn = np.ones((1, len(kept))) if weights is None else weights
    found: Figures = _ROOMS[kept.task].figures(kept, drawn)
    return found


def support(kept: Statistics) -> npt.NDArray[np.bool_]:
    """Return which samples have which class, ``(sample, class)``; no class of a quantity."""
    if kept.task in _AMOUNTS:
        return np.zeros((len(kept), 0), np.bool_)
    found: npt.NDArray[np.bool_] = getattr(_ROOMS[kept.task], "support")(kept)  # noqa: B009 — mypy takes the rooms for one type
    return found


def confusion(kept: Statistics) -> npt.NDArray[Any] | None:
    """Return how much of each class (rows) was taken for which (columns).

    Returns:
        Samples or pixels, ``(true, said)``; None where a task has no such table.
    """
    if kept.task == _ONE:
        return classification.confusion(kept)
    return segmentation.confusion(kept) if kept.task in _PIXELS else None
