"""What is to be learnt of each sample: classes, quantities, boxes; for all samples at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.card.spec import Task
from registry.catalog.version import Version
from registry.errors import InvalidInputError
from registry.learn.loading.batch import Boxes
from registry.learn.loading.boxes import Objects, objects_of
from registry.learn.loading.columns import numbers, words

__all__ = ["KINDS", "Labels", "kinds_of", "labels_of"]

KINDS: Final = ("label", "labels", "target", "boxes", "mask")
"""What a stream may be asked to give; masks are assets, so they need nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the tables say of each sample, by its number."""

    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of their numbers."""

    label: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    """As :attr:`Batch.label`, for all samples."""

    labels: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """As :attr:`Batch.labels`, for all samples."""

    target: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """As :attr:`Batch.target`, for all samples."""

    objects: Objects | None = field(default=None, repr=False)
    """The labelled objects of all samples."""

    counts: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    """Of each class: samples or objects that have it; None where classes are in masks."""

    said: tuple[str, ...] = ()
    """What is worth knowing before training, in words."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Classes that none of the samples has."""
        if self.counts is None:
            return ()
        return tuple(name for name, n in zip(self.classes, self.counts, strict=True) if not n)

    def of(self, samples: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Return the fields of a batch, but for boxes, which depend on crops."""
        found = {"label": self.label, "labels": self.labels, "target": self.target}
        return {name: values[samples] for name, values in found.items() if values is not None}

    def boxes(
        self,
        samples: npt.NDArray[np.int64],
        begins: npt.NDArray[np.int64],
        size: tuple[int, int] | None,
    ) -> tuple[Boxes, ...] | None:
        """Return the boxes of a batch; None if they were not asked for.

        Args:
            samples: Numbers of its samples.
            begins: Where the crop of each begins, ``(sample, 2)``: y, x.
            size: Height and width of crops; None without.
        """
        return None if self.objects is None else self.objects.of(samples, begins, size)


def kinds_of(version: Version, labels: "str | Sequence[str] | None") -> tuple[str, ...]:
    """Return what a stream gives beside the assets.

    Args:
        version: Of which version.
        labels: ``auto`` for what its card's task needs, one or several of ``KINDS``, or None.

    Raises:
        InvalidInputError: There is no such kind.
    """
    if labels is None:
        return ()
    if labels == "auto":
        return _usual(version)
    asked = (labels,) if isinstance(labels, str) else tuple(labels)
    for one in asked:
        if one not in KINDS:
            raise InvalidInputError(
                f"labels={one!r} is nothing that a stream gives",
                hint=f"use 'auto', None, or some of {', '.join(KINDS)}",
            )
    return asked


def labels_of(
    version: Version,
    ids: pa.StringArray,
    kinds: Sequence[str],
    transforms: "tuple[pa.Table, npt.NDArray[np.int64], Any] | None" = None,
) -> Labels:
    """Return what the tables say of some samples.

    Args:
        version: Of which version.
        ids: The samples; a sample's number is its place here.
        kinds: Some of ``KINDS``.
        transforms: For boxes: rows of the table of assets, the row of each sample's first asset,
            and the height and width of each, ``(sample, 2)``.
    """
    classes = version.spec.classes
    made: dict[str, Any] = {}
    said: list[str] = []
    if "target" in kinds or "label" in kinds or "labels" in kinds:
        rows = pa.Table.from_batches(list(version.scan("samples", ["id", "label", "target"])))
        number = pc.index_in(rows["id"], value_set=ids).combine_chunks()
        if "target" in kinds:
            made["target"] = _targets(rows, number, len(ids))
        if "label" in kinds or "labels" in kinds:
            found = _classes(rows, classes)
            classes = found.classes
            said += found.said
            made |= _coded(found, number, len(ids), kinds)
    if "boxes" in kinds and transforms is not None:
        classes, objects, told = objects_of(version, ids, classes, transforms)
        said += told
        made["objects"] = objects
        made["counts"] = np.bincount(objects.classes, minlength=len(classes))
    if not classes and "mask" in kinds:
        classes = _classes_of_masks(version)
    return Labels(classes=tuple(classes), said=tuple(said), **made)


def _usual(version: Version) -> tuple[str, ...]:
    task = version.spec.task
    if task == Task.DETECTION:
        return ("boxes",)
    if task in {Task.SEGMENTATION, Task.CHANGE, Task.THREE_D}:
        return ("mask",)
    if task == Task.SELF_SUPERVISED:
        return ()
    labels = target = 0
    for batch in version.scan("samples", ["label", "target"]):
        lengths = pc.list_value_length(batch.column(0))
        labels = max(labels, pc.max(lengths).as_py() or 0)
        target += len(batch) - batch.column(1).null_count
    scene = (("labels",) if labels > 1 else ("label",)) if labels else ()
    if task == Task.CLASSIFICATION:
        return scene or ("label",)
    if task == Task.REGRESSION:
        return ("target",) if target else ("mask",)
    return (*scene, *(("target",) if target else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coded:
    classes: tuple[str, ...]
    row: npt.NDArray[np.int64]  # of the table, one an entry of a list
    code: npt.NDArray[np.int64]  # -1 where the card has no such class
    said: tuple[str, ...]


def _classes(rows: pa.Table, classes: Sequence[str]) -> _Coded:
    """Return the entries of all lists of classes, of the whole version."""
    lists = rows["label"].combine_chunks()
    row = numbers(pc.list_parent_indices(lists)).astype(np.int64)
    entries = pc.list_flatten(lists)
    there = sorted(entries.drop_null().unique().to_pylist())
    names = tuple(classes) or tuple(there)
    code = pc.index_in(entries, value_set=words(names))
    strangers = [name for name in there if name not in set(names)]
    said = []
    if strangers:
        said.append(
            f"labels that are no class of the card count as none: {', '.join(strangers[:5])}"
        )
    return _Coded(
        classes=names,
        row=row,
        code=numbers(code, -1).astype(np.int64),
        said=tuple(said),
    )


def _coded(
    found: _Coded, number: pa.Array, count: int, kinds: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    at = numbers(number, -1).astype(np.int64)[found.row]
    good = (at >= 0) & (found.code >= 0)
    at, code = at[good], found.code[good]
    made: dict[str, npt.NDArray[Any]] = {"counts": np.bincount(code, minlength=len(found.classes))}
    if "label" in kinds:
        if len(at) and np.bincount(at).max() > 1:
            raise InvalidInputError(
                "a sample has several labels", hint="ask for labels='labels', one column a class"
            )
        made["label"] = np.full(count, -1, np.int64)
        made["label"][at] = code
    if "labels" in kinds:
        made["labels"] = np.zeros((count, len(found.classes)), np.float32)
        made["labels"][at, code] = 1
    return made


def _targets(rows: pa.Table, number: pa.Array, count: int) -> npt.NDArray[np.float32]:
    values = numbers(rows["target"], np.nan)
    at = numbers(number, -1)
    made = np.full(count, np.nan, np.float32)
    made[at[at >= 0]] = values[at >= 0]
    return made


def _classes_of_masks(version: Version) -> tuple[str, ...]:
    for asset in version.spec.assets.values():
        if asset.values:
            return tuple(asset.values[key] for key in sorted(asset.values))
    return ()
