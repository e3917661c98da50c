"""What there is to learn in a version, and its samples beside their truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.features.planning import asset_facts
from registry.errors import InvalidInputError
from registry.learn.loading.batch import Batch
from registry.learn.loading.labels import kinds_of, labels_of
from registry.learn.loading.pixel_labels import PixelLabels, pixel_labels
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.scoring.answering import Answer
from registry.learn.scoring.evaluating import exam_of
from registry.learn.scoring.judging import Judge, judges_of
from registry.learn.scoring.protocol import Exam
from registry.learn.scoring.sizes import streams_of
from registry.learn.scoring.statistics import Statistics, joined
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["Lesson", "lesson_of"]

_TASKS: Final = {
    "label": HeadTask.CLASSIFICATION,
    "labels": HeadTask.MULTILABEL,
    "target": HeadTask.REGRESSION,
    "boxes": HeadTask.DETECTION,
}
_AT_ONCE: Final = 512
_BATCH: Final = 16


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once, when asked
class Lesson:
    """The task of a version, with what learns and what is scored on."""

    registry: "Registry" = field(repr=False)
    """Where the version is."""

    version: "Version" = field(repr=False)
    """The version."""

    head: Head
    """What is answered."""

    kind: str
    """What a stream calls its truth: ``label``, ``labels``, ``target``, ``boxes``, ``mask``."""

    train: Exam
    """The samples that are learned from."""

    test: Exam
    """Those that are scored on."""

    pixels: PixelLabels | None = None
    """How its mask is read; None where samples say the truth."""

    @property
    def of_samples(self) -> bool:
        """Whether the truth is one of samples, in the tables, and no pixel has to be read."""
        return self.head.task in {
            HeadTask.CLASSIFICATION, HeadTask.MULTILABEL, HeadTask.REGRESSION,
        }  # fmt: skip

    @cached_property
    def judge(self) -> Judge:
        """What compares answers with the truth."""
        labels = self.head.classes
        return judges_of(self.version, [self.head], labels=labels)[self.head.name]

    def batches(self, exam: Exam, *, assets: tuple[str, ...] = ()) -> Iterator[Batch]:
        """Yield samples with their truth; of pixels none of a size that has no mask.

        Args:
            exam: Which samples.
            assets: Whose stored values come along; for truths of samples none have to.
        """
        if self.of_samples and not assets:
            yield from self._labelled(exam)
            return
        mask = (self.pixels.asset,) if self.pixels is not None else ()
        wanted = tuple(dict.fromkeys([*(assets or self.inputs[:1]), *mask]))
        for batches in streams_of(
            self.registry, exam, assets=wanted, labels=(self.kind,), batch_size=_BATCH
        ):
            # Mixed sizes come size by size, and all of one size may lack the mask.
            yield from (one for one in batches if not mask or mask[0] in one.arrays)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the assets that are no labels."""
        from registry.learn.loading.contract import of_version

        found = of_version(self.version, registry=self.registry, compute_missing=False)
        return tuple(one.asset for one in found.inputs)

    def _labelled(self, exam: Exam) -> Iterator[Batch]:
        for start in range(0, len(exam.ids), _AT_ONCE):
            ids = exam.ids[start : start + _AT_ONCE]
            found = labels_of(self.version, pa.array(ids, pa.string()), (self.kind,))
            everyone: npt.NDArray[np.int64] = np.arange(len(ids))
            yield Batch(ids=ids, arrays={}, **self._in_order(found.classes, found.of(everyone)))

    def _in_order(self, classes: tuple[str, ...], said: dict[str, Any]) -> dict[str, Any]:
        """Return labels in the head's order of classes: a part of the samples may lack some."""
        if classes == self.head.classes or self.kind == "target":
            return said
        order = np.array([self.head.classes.index(one) for one in classes], np.int64)
        if "label" in said:
            label = said["label"]
            said["label"] = np.where(label >= 0, order[np.maximum(label, 0)], -1)
        if "labels" in said:
            whole = np.zeros((len(said["labels"]), len(self.head.classes)), np.float32)
            whole[:, order] = said["labels"]
            said["labels"] = whole
        return said

    def scored(
        self,
        answer: Answer,
        *,
        assets: tuple[str, ...] = (),
        progress: Progress = SILENT,
    ) -> Statistics:
        """Return what is kept of each scored sample.

        Args:
            answer: Gives for a batch what the head answers.
            assets: That it reads.
            progress: Told how many samples are done.
        """
        parts = []
        for batch in self.batches(self.test, assets=assets):
            kept = self.judge.kept(batch, answer(batch)[self.head.name])
            if len(kept):
                parts.append(kept)
            progress.advance(len(batch))
        return joined(parts)


def lesson_of(
    registry: "Registry",
    version: "Version",
    *,
    split: str,
    splits: str | None,
    crop: tuple[int, int] | None = None,
    resamples: int,
    seed: int,
) -> Lesson:
    """Return what there is to learn in a version.

    Args:
        registry: Where it is.
        version: The version.
        split: The subset that is scored on.
        splits: Name of the split's table.
        crop: Height and width that samples are cut to; None leaves them whole.
        resamples: Draws of the bootstrap.
        seed: Of those draws.

    Raises:
        InvalidInputError: It has nothing that could be answered.
    """
    kinds = kinds_of(version, "auto")
    if not kinds:
        raise InvalidInputError(
            f"{version.ref} has no labels, targets, masks or boxes, so there is no floor",
            hint="label some samples, or pretrain on it: eolab pretrain",
        )
    kind = kinds[0]
    said = {"splits": splits, "crop": crop, "resamples": resamples, "seed": seed}
    if kind == "mask":
        masks = pixel_labels(version)
        pixels = next(iter(masks.values()), None)
        if pixels is None:
            problem, hint = _without_masks(version)
            raise InvalidInputError(problem, hint=hint)
        task = HeadTask.PIXEL_REGRESSION if pixels.quantity else HeadTask.SEGMENTATION
        head = Head(
            name=str(task), task=task, classes=pixels.classes or _numbered(version, pixels),
            asset=pixels.asset, unit=pixels.unit,
        )  # fmt: skip
        train, test = _exams(registry, version, split, said)
        return Lesson(
            registry=registry, version=version, head=head, kind=kind, train=train, test=test,
            pixels=pixels,
        )  # fmt: skip
    task = _TASKS[kind]
    unit = version.spec.target_unit if kind == "target" else None
    classes = () if kind == "target" else _classes(version, kind, crop)
    train, test = _exams(registry, version, split, said)
    return Lesson(
        registry=registry, version=version, train=train, test=test, kind=kind,
        head=Head(name=str(task), task=task, classes=classes, unit=unit),
    )  # fmt: skip


def _exams(
    registry: "Registry", version: "Version", split: str, said: Mapping[str, Any]
) -> tuple[Exam, Exam]:
    """Return what is learned from and scored on: samples that have something to answer from."""
    need = tuple(one.name for one in asset_facts(version) if one.role == "data") or None
    train, test = (
        exam_of(registry, version, split=one, need=need, **said) for one in ("train", split)
    )
    return train, test


def _without_masks(version: "Version") -> tuple[str, str]:
    """Return what is wrong where a card promises masks that are not there, and what helps."""
    if version.count("annotations"):
        problem = f"{version.ref} has objects and no asset of labels, and its task is not detection"
        return problem, f"say so: eolab card {version.dataset} --set task=detection"
    return f"{version.ref} has no asset of labels", "say role: labels in its card"


def _classes(version: "Version", kind: str, crop: tuple[int, int] | None) -> tuple[str, ...]:
    if kind == "boxes":
        from registry.learn.loading.stream import stream

        return stream(version, labels="boxes", batch_size=1, crop=crop).classes
    ids = version.table("samples", ["id"])["id"].combine_chunks()
    return labels_of(version, ids, (kind,)).classes


def _numbered(version: "Version", pixels: PixelLabels) -> tuple[str, ...]:
    """Return names for the classes of a mask that nobody named: their numbers.

    Masks are read whole, of whatever size each is, so that a crop leaves no class unknown.
    """
    if pixels.quantity:
        return ()
    from registry.tables.chips import ChipIndex
    from registry.tables.pixels import decode

    rows = version.table("assets", ["asset", "pixels", "dtype", "shape"])
    mine = rows.filter(pc.and_(pc.equal(rows["asset"], pixels.asset), pc.is_valid(rows["pixels"])))
    masks = {one["pixels"]: one for one in mine.to_pylist()}
    index = ChipIndex.open(version.root)
    most = 0
    digests = list(masks)
    for start in range(0, len(digests), _BATCH):
        for chip in index.read(digests[start : start + _BATCH]):
            said = masks[chip.sha256]
            mask = decode(chip.data, codec=chip.codec, dtype=said["dtype"], shape=said["shape"])
            most = max(most, int(pixels.apply(mask[None]).max()))
    return tuple(str(one) for one in range(most + 1))
