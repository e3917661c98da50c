"""The floor below all floors: the same answer for every sample."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.floor.lesson import Lesson
from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.answering import Answer
from registry.learn.scoring.detection import Found
from registry.learn.scoring.judging import pixel_truth

if TYPE_CHECKING:
    from registry.learn.loading.batch import Batch

__all__ = ["constant"]


def constant(lesson: Lesson) -> Answer:
    """Return what answers with what is most frequent among training samples, or their mean.

    Probabilities are the shares of the classes, so the largest is the majority's; of boxes none is
    seen anywhere.

    Args:
        lesson: What there is to learn.
    """
    task = lesson.head.task
    if task is HeadTask.DETECTION:
        return lambda batch: {lesson.head.name: [_nothing() for _ in batch.ids]}
    if task in {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}:
        mean = _mean(lesson)
        return lambda batch: {lesson.head.name: _everywhere(np.array([mean]), batch, lesson)}
    shares = _shares(lesson)
    return lambda batch: {lesson.head.name: _everywhere(shares, batch, lesson)}


def _everywhere(
    values: npt.NDArray[np.float64], batch: "Batch", lesson: Lesson
) -> npt.NDArray[np.float64]:
    """Return ``(sample, value)``, or ``(sample, value, y, x)`` for pixels."""
    if lesson.pixels is None:
        return np.tile(values, (len(batch), 1))
    y, x = batch.arrays[lesson.pixels.asset].shape[-2:]
    return np.broadcast_to(values[None, :, None, None], (len(batch), len(values), y, x))


def _shares(lesson: Lesson) -> npt.NDArray[np.float64]:
    counts = np.zeros(len(lesson.head.classes))
    samples = 0
    for batch in lesson.batches(lesson.train):
        samples += len(batch)
        counts += _counted(batch, lesson, len(counts))
    if not counts.sum():
        raise InvalidInputError(
            f"no training sample of {lesson.version.ref} has a label",
            hint="label some, or make another split",
        )
    if lesson.head.task is HeadTask.MULTILABEL:
        return np.asarray(counts / samples)
    return np.asarray(counts / counts.sum())


def _counted(batch: "Batch", lesson: Lesson, size: int) -> npt.NDArray[Any]:
    if lesson.pixels is not None:
        truth = pixel_truth(batch, lesson.pixels).ravel()
    elif batch.labels is not None:
        return np.asarray(batch.labels.sum(0))
    else:
        truth = np.asarray(batch.label)
    return np.bincount(truth[truth >= 0].astype(np.int64), minlength=size)[:size]


def _mean(lesson: Lesson) -> float:
    total, count = 0.0, 0
    for batch in lesson.batches(lesson.train):
        values = (
            np.asarray(batch.target, np.float64)
            if lesson.pixels is None
            else pixel_truth(batch, lesson.pixels).astype(np.float64)
        )
        known = values[np.isfinite(values)]
        total, count = total + float(known.sum()), count + len(known)
    if not count:
        raise InvalidInputError(
            f"no training sample of {lesson.version.ref} has a quantity",
            hint="give some, or make another split",
        )
    return total / count


def _nothing() -> Found:
    return Found(corners=np.zeros((0, 4)), classes=np.zeros(0, np.int64), scores=np.zeros(0))
