"""The truth of a batch beside what a model answers for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.catalog.card.spec import AssetSpec
from registry.errors import InvalidInputError
from registry.learn.loading.batch import Batch, Boxes
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.scoring import (
    classification,
    detection,
    metrics,
    multilabel,
    regression,
    segmentation,
)
from registry.learn.scoring.statistics import Statistics

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["Judge", "judges_of"]

_PIXELS: Final = frozenset({HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.PIXEL_REGRESSION})
_NOBODY: Final = -1
_BANDED: Final = 4  # sample, band, y, x
_NO_VALUES: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares the answers of one head with what a version says."""

    head: Head
    """The head."""

    classes: tuple[str, ...]
    """The head's classes, then those of the version that it does not know: it is wrong on them."""

    labels: tuple[str, ...] = ()
    """Classes of the version in the order of a batch's labels."""

    asset: str = ""
    """Mask or raster that says the truth of pixels; empty for what samples say."""

    values: Mapping[int, int] = field(default_factory=lambda: _NO_VALUES)
    """By value of the mask, the place of its class in :attr:`classes`."""

    scale: float = 1.0
    """From stored to physical values of a raster."""

    offset: float = 0.0
    """Added after scaling."""

    nodata: float | None = None
    """Stored value of a raster that means that nobody knows."""

    def kept(self, batch: Batch, answer: Any) -> Statistics:  # noqa: ANN401 — arrays or boxes
        """Return what is kept of each sample of a batch.

        Args:
            batch: With its truth.
            answer: Probabilities, quantities or boxes of this head, as
                :class:`registry.learn.models.predicting.Predictor` gives them.

        Raises:
            InvalidInputError: The batch lacks the truth.
        """
        task = self.head.task
        if task is HeadTask.CLASSIFICATION:
            return classification.statistics(
                batch.ids, self.classes, self._class_of(batch), self._padded(answer)
            )
        if task is HeadTask.MULTILABEL:
            return multilabel.statistics(
                batch.ids, self.classes, self._presence(batch), self._padded(answer)
            )
        if task is HeadTask.REGRESSION:
            truth = _there(batch.target, "target", batch)
            return regression.statistics(batch.ids, truth, np.asarray(answer).reshape(len(batch)))
        if task is HeadTask.PIXEL_REGRESSION:
            said = np.asarray(answer)
            return regression.statistics(batch.ids, self._quantity(batch), _plane(said), task=task)
        if task is HeadTask.DETECTION:
            truths = _there(batch.boxes, "boxes", batch)
            found = [_found(one) for one in answer]
            return detection.statistics(batch.ids, self.classes, self._ordered(truths), found)
        return segmentation.statistics(
            batch.ids, self.classes, self._mask(batch), self._padded(answer), task=task
        )

    def _order(self) -> npt.NDArray[np.int64]:
        return np.array([self.classes.index(one) for one in self.labels], np.int64)

    def _padded(self, answer: Any) -> npt.NDArray[np.floating[Any]]:  # noqa: ANN401 — an array
        """Return probabilities with 0 for classes that the head does not know."""
        sure = np.asarray(answer)
        missing = len(self.classes) - sure.shape[1]
        if missing <= 0:
            return sure
        none = np.zeros((len(sure), missing, *sure.shape[2:]), sure.dtype)
        return np.concatenate([sure, none], axis=1)

    def _class_of(self, batch: Batch) -> npt.NDArray[np.int64]:
        label = _there(batch.label, "label", batch)
        order = self._order()
        known = (label >= 0) & (label < len(order))
        return np.where(known, order[np.where(known, label, 0)], _NOBODY)

    def _presence(self, batch: Batch) -> npt.NDArray[np.bool_]:
        truth = np.zeros((len(batch), len(self.classes)), np.bool_)
        order = self._order()
        if batch.labels is not None:
            truth[:, order] = batch.labels > 0
            return truth
        label = _there(batch.label, "labels", batch)
        rows = np.flatnonzero(label >= 0)
        truth[rows, order[label[rows]]] = True
        return truth

    def _ordered(self, truths: Sequence[Boxes]) -> list[Boxes]:
        order = self._order()
        return [Boxes(corners=one.corners, classes=order[one.classes]) for one in truths]

    def _stored(self, batch: Batch) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        stored = _there(batch.arrays.get(self.asset), f"asset '{self.asset}'", batch)
        there = batch.valid.get(self.asset, np.ones(len(batch), np.bool_))
        present = np.asarray(there.reshape(len(batch), -1).any(axis=1))
        return _plane(stored), present[:, None, None]

    def _mask(self, batch: Batch) -> npt.NDArray[np.int64]:
        stored, there = self._stored(batch)
        mask = np.full(stored.shape, _NOBODY, np.int64)
        for value, place in self.values.items():
            mask[stored == value] = place
        return np.where(there, mask, _NOBODY)

    def _quantity(self, batch: Batch) -> npt.NDArray[np.float64]:
        stored, there = self._stored(batch)
        values = stored.astype(np.float64)
        if self.nodata is not None:
            there = there & (values != self.nodata)
        return np.where(there, values * self.scale + self.offset, np.nan)


def judges_of(
    version: "Version",
    heads: Sequence[Head],
    *,
    labels: tuple[str, ...],
    ignored: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Judge]:
    """Return what compares each head's answers with a version's truth.

    Args:
        version: What is scored on.
        heads: The answers.
        labels: Classes of the version, in the order of a batch's labels.
        ignored: By head, a value of its mask that says nothing.

    Raises:
        InvalidInputError: A head is for pretraining, or it is not clear which asset is its truth.
    """
    found: dict[str, Judge] = {}
    for head in heads:
        metrics.headline(head.task)  # refuses pretraining
        if head.task not in _PIXELS:
            known = head.classes + tuple(one for one in labels if one not in head.classes)
            amount = head.task is HeadTask.REGRESSION
            found[head.name] = Judge(
                head=head, classes=() if amount else known, labels=() if amount else labels
            )
            continue
        known_asset = head.asset is not None and head.asset in version.spec.assets
        asset = str(head.asset) if known_asset else _truth_asset(version, head)
        spec = version.spec.assets.get(asset, AssetSpec())
        if head.task is HeadTask.PIXEL_REGRESSION:
            found[head.name] = Judge(
                head=head, classes=(), asset=asset, scale=spec.scale or 1.0,
                offset=spec.offset or 0.0, nodata=_nodata(version, asset),
            )  # fmt: skip
            continue
        classes, values = _classes_of_mask(head, spec)
        values.pop(ignored.get(head.name, _NOBODY), None)
        found[head.name] = Judge(head=head, classes=classes, asset=asset, values=values)
    return found


def _classes_of_mask(head: Head, spec: AssetSpec) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return all classes, and the place of each value's: by name where the card names values."""
    named = dict(spec.values)
    if not set(named.values()) & set(head.classes):
        return head.classes, {place: place for place in range(len(head.classes))}
    further = tuple(dict.fromkeys(one for one in named.values() if one not in head.classes))
    classes = head.classes + further
    return classes, {value: classes.index(one) for value, one in named.items()}


def _truth_asset(version: "Version", head: Head) -> str:
    labels = [name for name, one in version.spec.assets.items() if one.role == "labels"]
    if head.asset is not None or len(labels) != 1:
        said = f"'{head.asset}'" if head.asset is not None else "nothing"
        raise InvalidInputError(
            f"head '{head.name}' names {said} as its truth, and {version.ref} has "
            f"{', '.join(labels) or 'no asset of labels'}",
            hint="say role: labels of one asset in the card, or train with the head's asset",
        )
    return labels[0]


def _nodata(version: "Version", asset: str) -> float | None:
    rows = version.table("assets", ["asset", "nodata"])
    values = {
        row["nodata"]
        for row in rows.to_pylist()
        if row["asset"] == asset and row["nodata"] is not None
    }
    if len(values) > 1:
        raise InvalidInputError(
            f"asset '{asset}' of {version.ref} has several nodata values",
            hint="ingest it with one",
        )
    return next(iter(values), None)


def _there(value: Any, what: str, batch: Batch) -> Any:  # noqa: ANN401 — whatever a batch holds
    if value is None:
        raise InvalidInputError(
            f"samples such as '{batch.ids[0]}' come without {what}",
            hint="evaluate on a version that has the truth of what the model answers",
        )
    return value


def _plane(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``(sample, y, x)`` of an array that may have an axis of one band."""
    return array[:, 0] if array.ndim == _BANDED else array


def _found(said: Mapping[str, Any] | detection.Found) -> detection.Found:
    if isinstance(said, detection.Found):
        return said
    classes = said["labels"] if "labels" in said else said["classes"]
    return detection.Found(
        corners=np.asarray(said["boxes"], np.float64).reshape(-1, 4),
        classes=np.asarray(classes, np.int64),
        scores=np.asarray(said["scores"], np.float64),
    )
