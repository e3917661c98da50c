"""The truth of a batch beside what a model answers for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.loading.batch import Batch, Boxes
from registry.learn.loading.pixel_labels import PixelLabels, pixel_labels
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.scoring import (
    classification,
    detection,
    metrics,
    multilabel,
    regression,
    segmentation,
)
from registry.learn.scoring.statistics import Statistics, joined

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["Judge", "judges_of", "pixel_truth", "present", "together"]

_PIXELS: Final = frozenset({HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.PIXEL_REGRESSION})
_NOBODY: Final = -1
_SAID: Final[Mapping[HeadTask, str]] = {
    HeadTask.CLASSIFICATION: "a label",
    HeadTask.MULTILABEL: "labels",
    HeadTask.REGRESSION: "a target",
    HeadTask.DETECTION: "boxes",
}
_BANDED: Final = 4  # sample, band, y, x


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

    pixels: PixelLabels | None = None
    """How the values of that asset are read; None for what samples say."""

    ignored: int | None = None
    """A class of the mask, by its number in the card, that says nothing."""

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
            return regression.statistics(batch.ids, self._pixels(batch), _plane(said), task=task)
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
        """Return probabilities with 0 for classes that the head does not know.

        Raises:
            InvalidInputError: The head tells one class from all others, and there are several.
        """
        sure = np.asarray(answer)
        missing = len(self.classes) - sure.shape[1]
        if sure.shape[1] == 1 and self.head.task is not HeadTask.MULTILABEL:
            if missing != 1:
                raise InvalidInputError(
                    f"head '{self.head.name}' tells '{self.head.classes[0]}' from everything else, "
                    f"and the truth has {', '.join(self.classes)}",
                    hint="evaluate on a version of two classes, of which it knows one",
                )
            return np.concatenate([sure, 1 - sure], axis=1)
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

    def _pixels(self, batch: Batch) -> npt.NDArray[Any]:
        return pixel_truth(batch, _there(self.pixels, f"labels in '{self.asset}'", batch))

    def _mask(self, batch: Batch) -> npt.NDArray[np.int64]:
        classes = self._pixels(batch).astype(np.int64)
        known = (classes >= 0) & (classes != (_NOBODY if self.ignored is None else self.ignored))
        if not self.labels:
            return np.where(known, classes, _NOBODY)
        order = self._order()
        return np.where(known, order[np.where(known, classes, 0)], _NOBODY)


def pixel_truth(batch: Batch, pixels: PixelLabels) -> npt.NDArray[Any]:
    """Return what the pixels of a batch's masks say; nobody knows those of absent masks.

    Args:
        batch: With the asset that holds the masks.
        pixels: How that asset is read.

    Returns:
        ``(sample, y, x)``: classes as the card counts them, -1 where unknown, or quantities, NaN
        where unknown.

    Raises:
        InvalidInputError: The batch lacks the asset, or a value is the number of no class.

    Examples:
        >>> batch = Batch(
        ...     ids=("a", "b"),
        ...     arrays={"mask": np.ones((2, 1, 1, 2), np.uint8)},
        ...     valid={"mask": np.array([True, False])},
        ... )
        >>> pixel_truth(batch, PixelLabels(asset="mask", classes=("sea", "ship"))).tolist()
        [[[1, 1]], [[-1, -1]]]
    """
    stored = _there(batch.arrays.get(pixels.asset), f"asset '{pixels.asset}'", batch)
    there = present(batch, pixels.asset)[:, None, None]
    found = pixels.apply(stored, ids=batch.ids)
    return np.where(there, found, np.nan if pixels.quantity else _NOBODY)


def present(batch: Batch, asset: str) -> npt.NDArray[np.bool_]:
    """Return which samples of a batch have an asset, ``(sample,)``.

    Args:
        batch: The samples.
        asset: The asset's name; no sample has one that the batch comes without.
    """
    known = np.full(len(batch), asset in batch.arrays)
    there = batch.valid.get(asset, known)
    return np.asarray(there.reshape(len(batch), -1).any(axis=1))


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
    masks = pixel_labels(version) if any(head.task in _PIXELS for head in heads) else {}
    found: dict[str, Judge] = {}
    for head in heads:
        metrics.headline(head.task)  # refuses pretraining
        if head.task not in _PIXELS:
            mine = () if head.task is HeadTask.REGRESSION else labels
            found[head.name] = Judge(head=head, classes=_all(head, mine), labels=mine)
            continue
        asset = head.asset if head.asset in masks else _truth_asset(version, head, tuple(masks))
        pixels = masks[str(asset)]
        if pixels.quantity != (head.task is HeadTask.PIXEL_REGRESSION):
            raise InvalidInputError(
                f"'{asset}' of {version.ref} holds "
                f"{'quantities' if pixels.quantity else 'classes'}, and head '{head.name}' is for "
                f"{head.task}",
                hint="say in the card what its values are, or evaluate on another version",
            )
        found[head.name] = Judge(
            head=head, classes=_all(head, pixels.classes), labels=pixels.classes,
            asset=str(asset), pixels=pixels, ignored=ignored.get(head.name),
        )  # fmt: skip
    return found


def together(
    version: "Version", head: Head, parts: Sequence[Statistics], *, subset: str | None
) -> Statistics:
    """Return what is kept of all batches, as one.

    Args:
        version: What is scored on.
        head: The answer that is scored.
        parts: Of each batch.
        subset: Which samples, for what is said where none has the truth.

    Raises:
        InvalidInputError: No sample says what the head is judged by.
    """
    there = [one for one in parts if len(one)]
    if there:
        return joined(there)
    wanted = _SAID.get(head.task, "pixels whose truth is known")
    other = version.spec.task
    raise InvalidInputError(
        f"head '{head.name}' is for {head.task}, and no sample of {subset or 'all'} in "
        f"{version.ref} has {wanted}"
        + ("" if other is None or str(other) == str(head.task) else f": it is for {other}"),
        hint=f"evaluate on a version or a subset whose samples have {wanted}",
    )


def _all(head: Head, labels: tuple[str, ...]) -> tuple[str, ...]:
    return head.classes + tuple(one for one in labels if one not in head.classes)


def _truth_asset(version: "Version", head: Head, masks: tuple[str, ...]) -> str:
    if head.asset is not None or len(masks) != 1:
        said = f"'{head.asset}'" if head.asset is not None else "nothing"
        raise InvalidInputError(
            f"head '{head.name}' names {said} as its truth, and {version.ref} has "
            f"{', '.join(masks) or 'no asset of labels'}",
            hint="say role: labels of one asset in the card, or train with the head's asset",
        )
    return masks[0]


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


def _found(said: Any) -> detection.Found:  # noqa: ANN401 — whatever has corners, classes, scores
    return detection.Found(corners=said.corners, classes=said.classes, scores=said.scores)
