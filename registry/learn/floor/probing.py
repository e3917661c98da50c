"""A linear model: of features where samples have a truth, of band values where pixels have."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.floor.lesson import Lesson
from registry.learn.loading.pixel_labels import PixelLabels
from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.answering import Answer
from registry.learn.scoring.judging import pixel_truth, present
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.learn.loading.batch import Batch

__all__ = ["Probe", "probe_of"]

_SETS: Final = ("spectral", "bands")
_PIXELS: Final = 20_000
_STRENGTH: Final = 1.0
_ROUNDS: Final = 300
_OF_A_PIXEL: Final = 3  # band, y, x

Floats = npt.NDArray[np.float64]
Model = Callable[[Floats], Floats]
"""Gives probabilities ``(row, class)`` or quantities ``(row, 1)`` of rows of features."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a linear model learns from: rows of features beside their truth."""

    lesson: Lesson = field(repr=False)
    """What there is to learn."""

    reads: str
    """What its features are, such as ``spectral`` or ``pixels of s2``."""

    names: tuple[str, ...]
    """Of the features."""

    train: Floats = field(repr=False)
    """Features of what is learned from, ``(row, feature)``."""

    truth: npt.NDArray[Any] = field(repr=False)
    """Classes, presences or quantities of those rows."""

    by_sample: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    """Features of the scored samples; empty where pixels are asked."""

    def learned(self, *, share: float = 1.0, seed: int = 0) -> Answer:
        """Return what answers after learning from a share of the rows.

        Args:
            share: In (0, 1].
            seed: Which rows, where not all.
        """
        rows = _chosen(len(self.train), share, seed)
        model = _fitted(self.lesson.head.task, self.train[rows], self.truth[rows], self._size())
        name = self.lesson.head.name
        if self.by_sample:
            return lambda batch: {name: model(np.stack([self.by_sample[one] for one in batch.ids]))}
        return lambda batch: {name: self._of_pixels(model, batch)}

    def assets(self) -> tuple[str, ...]:
        """Return the assets that its answers need."""
        return () if self.by_sample else self.lesson.inputs[:1]

    def _size(self) -> int:
        return max(1, len(self.lesson.head.classes))

    def _of_pixels(self, model: Model, batch: "Batch") -> Floats:
        values = self._values(batch)  # (sample, y, x, band)
        said = model(values.reshape(-1, values.shape[-1]))
        return np.moveaxis(said.reshape(*values.shape[:-1], -1), -1, 1)

    def _values(self, batch: "Batch") -> Floats:
        """Return values of all pixels that are asked; NaN where a sample lacks its image."""
        asset = self.lesson.inputs[0]
        if asset in batch.arrays:
            there = present(batch, asset)[:, None, None, None]
            return np.where(there, _pixels(batch, asset), np.nan)
        (mask,) = batch.arrays.values()  # of a size of which no sample has an image
        return np.full((len(batch), *mask.shape[-2:], len(self.names)), np.nan)


def probe_of(
    lesson: Lesson, *, features: str | None = None, seed: int = 0, progress: Progress = SILENT
) -> Probe | None:
    """Return what a linear model learns from; None for boxes, which no such model finds.

    Args:
        lesson: What there is to learn.
        features: Set of features of samples; computed if it is not there. By default ``spectral``,
            or ``bands`` where the bands have no indices.
        seed: Which pixels are learned from, where pixels have a truth.
        progress: Told what is computed.
    """
    if lesson.head.task is HeadTask.DETECTION:
        return None
    if lesson.pixels is None:
        return _of_samples(lesson, features, progress)
    return _of_pixels(lesson, lesson.pixels, seed)


def _of_samples(lesson: Lesson, features: str | None, progress: Progress) -> Probe:
    from registry.learn.loading.sklearn import table

    ref = str(lesson.version.ref)
    name = _computed(lesson, features, progress)
    version = lesson.registry.resolve(ref)  # with what was computed
    train, test = (
        table(
            version, features=name, split=exam.subset, splits=exam.split, registry=lesson.registry
        )
        for exam in (lesson.train, lesson.test)
    )
    missing = np.full(train.X.shape[1], np.nan)
    found = dict(zip(test.samples, test.X, strict=True))
    order = [
        train.classes.index(one) if one in train.classes else -1 for one in lesson.head.classes
    ]
    truth = train.y if not order else _ordered(train.y, order)
    return Probe(
        lesson=lesson, reads=f"linear model of features/{name}", names=train.names, train=train.X,
        truth=truth, by_sample={one: found.get(one, missing) for one in lesson.test.ids},
    )  # fmt: skip


def _ordered(truth: npt.NDArray[Any], order: list[int]) -> npt.NDArray[Any]:
    """Return classes as the lesson counts them."""
    if truth.ndim > 1:
        return np.stack(
            [truth[:, one] if one >= 0 else np.zeros(len(truth), np.int64) for one in order], axis=1
        )
    places = {one: place for place, one in enumerate(order) if one >= 0}
    return np.array([places[one] for one in truth.tolist()], np.int64)


def _computed(lesson: Lesson, features: str | None, progress: Progress) -> str:
    """Return the set of features that is there, or can be computed.

    Raises:
        InvalidInputError: None can be.
    """
    from registry.curate.features.computing import compute

    there = lesson.version.tables()
    wanted = _SETS if features is None else (features,)
    for one in wanted:
        if f"features/{one}" in there:
            return one
    for place, one in enumerate(wanted):
        try:
            compute(lesson.registry, lesson.version.ref, [one], progress=progress)
        except InvalidInputError:
            if place == len(wanted) - 1:
                raise
        else:
            return one
    return wanted[-1]


def _of_pixels(lesson: Lesson, mask: PixelLabels, seed: int) -> Probe:
    """Return a probe of some pixels of the training samples, the same for the same seed.

    Raises:
        InvalidInputError: None has a label and an image.
    """
    random = np.random.default_rng(seed)
    asset = lesson.inputs[0]
    each = max(1, _PIXELS // max(1, len(lesson.train.ids)))
    rows: list[Floats] = []
    truths: list[npt.NDArray[Any]] = []
    for batch in lesson.batches(lesson.train, assets=(asset,)):
        seen = np.flatnonzero(present(batch, asset))
        if not len(seen):
            continue
        values, truth = _pixels(batch, asset), pixel_truth(batch, mask)
        for place in seen.tolist():
            known = np.isfinite(truth[place]) if mask.quantity else truth[place] >= 0
            y, x = np.nonzero(known)
            if len(y):
                picked = random.choice(len(y), min(each, len(y)), replace=False)
                rows.append(values[place, y[picked], x[picked]])
                truths.append(truth[place, y[picked], x[picked]])
    if not rows:
        raise InvalidInputError(
            f"no training pixel of {lesson.version.ref} has a label and a value in '{asset}'",
            hint="give some both, or make another split",
        )
    bands = rows[0].shape[1]
    return Probe(
        lesson=lesson, reads=f"linear model of the band values of a pixel of {asset}",
        names=tuple(f"{asset}[{band}]" for band in range(bands)), train=np.concatenate(rows),
        truth=np.concatenate(truths),
    )  # fmt: skip


def _pixels(batch: "Batch", asset: str) -> Floats:
    """Return stored values as ``(sample, y, x, band)``; time steps follow as further bands."""
    stored = batch.arrays[asset].astype(np.float64)
    whole = stored.reshape(len(stored), -1, *stored.shape[-2:])
    return np.moveaxis(whole, 1, -1)


def _chosen(count: int, share: float, seed: int) -> npt.NDArray[np.int64]:
    if share >= 1:
        return np.arange(count)
    wanted = max(1, round(share * count))
    return np.sort(np.random.default_rng(seed).permutation(count)[:wanted])


def _fitted(task: HeadTask, rows: Floats, truth: npt.NDArray[Any], size: int) -> Model:
    mean, deviation = _scale(rows)

    def ready(values: Floats) -> Floats:
        filled = np.where(np.isfinite(values), values, mean)
        return np.clip((filled - mean) / deviation, -_FAR, _FAR)

    scaled = ready(rows)
    if task in {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}:
        return _ridge(scaled, truth.astype(np.float64), ready)
    if task is HeadTask.MULTILABEL:
        each = [_logistic(scaled, truth[:, one], 2, ready) for one in range(size)]
        return lambda values: np.stack([model(values)[:, 1] for model in each], axis=1)
    return _logistic(scaled, truth, size, ready)


_FAR: Final = 10.0  # deviations beyond which a feature says no more


def _scale(rows: Floats) -> tuple[Floats, Floats]:
    with warnings.catch_warnings():  # columns of which nobody knows a value
        warnings.simplefilter("ignore", RuntimeWarning)
        finite = np.where(np.isfinite(rows), rows, np.nan)
        mean, deviation = np.nanmean(finite, axis=0), np.nanstd(finite, axis=0)
    mean = np.where(np.isfinite(mean), mean, 0.0)
    return mean, np.where(np.isfinite(deviation) & (deviation > 0), deviation, 1.0)


def _ridge(scaled: Floats, truth: Floats, ready: Callable[[Floats], Floats]) -> Model:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=_STRENGTH).fit(scaled, truth)
    return lambda values: np.asarray(model.predict(ready(values))).reshape(-1, 1)


def _logistic(
    scaled: Floats, truth: npt.NDArray[Any], size: int, ready: Callable[[Floats], Floats]
) -> Model:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    known: Sequence[int] = np.unique(truth).tolist()
    if len(known) == 1:  # nothing to tell apart

        def always(values: Floats) -> Floats:
            said = np.zeros((len(values), size))
            said[:, int(known[0])] = 1.0
            return said

        return always
    model = LogisticRegression(C=_STRENGTH, max_iter=_ROUNDS)
    with warnings.catch_warnings():  # where it stopped is where it stops each time
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaled, truth)

    def said(values: Floats) -> Floats:
        whole = np.zeros((len(values), size))
        whole[:, known] = model.predict_proba(ready(values))
        return whole

    return said
