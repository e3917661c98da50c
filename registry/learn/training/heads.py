"""What a version lets a network answer: classes, quantities, and how they are spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.catalog.version import Version
from registry.errors import InvalidInputError, RejectedError
from registry.learn.loading.pixel_labels import pixel_labels
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.training.recipe import HeadRecipe, Recipe
from registry.learn.training.truths import what_fits

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.learn.loading.stream import Stream

__all__ = ["KINDS", "Spread", "heads_of", "masks_of", "spread_of"]

KINDS: Final[Mapping[HeadTask, str | None]] = MappingProxyType({
    HeadTask.CLASSIFICATION: "label",
    HeadTask.MULTILABEL: "labels",
    HeadTask.REGRESSION: "target",
    HeadTask.DETECTION: "boxes",
    HeadTask.SEGMENTATION: "mask",
    HeadTask.CHANGE: "mask",
    HeadTask.PIXEL_REGRESSION: "mask",
    HeadTask.RECONSTRUCTION: None,
    HeadTask.CONTRASTIVE: None,
})
"""What a stream gives for each task."""

_DENSE = {HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.PIXEL_REGRESSION}
_QUANTITIES = {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}
_BATCH = 64

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the truth of one head is spread over the training samples."""

    counts: Counts | None = field(default=None, repr=False)
    """Samples, pixels or objects of each class; None for quantities."""

    mean: float = 0.0
    """Of a quantity, in its unit."""

    std: float = 1.0
    """Of a quantity, in its unit."""

    @property
    def balanced(self) -> npt.NDArray[np.float32]:
        """Weights that make all classes count alike, 1 on average over what occurs."""
        if self.counts is None:
            return np.ones(0, np.float32)
        there = self.counts > 0
        weights = np.where(there, self.counts.sum() / np.maximum(self.counts, 1), 0)
        share: npt.NDArray[np.float32] = (weights / max(1, there.sum())).astype(np.float32)
        return share


def heads_of(version: Version, recipe: Recipe) -> tuple[Head, ...]:
    """Return what the network answers, with what the card says of it.

    Args:
        version: What is learnt from.
        recipe: With its heads.

    Raises:
        InvalidInputError: The version has no such classes, mask or raster.
    """
    return tuple(_head(version, one) for one in recipe.heads)


def masks_of(heads: tuple[Head, ...]) -> tuple[str, ...]:
    """Return the assets that heads learn from, each once."""
    return tuple(dict.fromkeys(head.asset for head in heads if head.asset is not None))


def _head(version: Version, said: HeadRecipe) -> Head:
    asset = _mask(version, said) if said.task in _DENSE else None
    unit = said.unit
    if unit is None and said.task in _QUANTITIES:
        unit = version.spec.target_unit if asset is None else version.spec.assets[asset].unit
    return Head(
        name=said.called,
        task=said.task,
        classes=_classes(version, said, asset),
        asset=asset,
        unit=unit,
        weight=said.weight,
    )


def _mask(version: Version, said: HeadRecipe) -> str:
    there = [name for name, one in version.spec.assets.items() if one.role == "labels"]
    if said.asset is not None:
        if said.asset not in version.spec.assets:
            raise InvalidInputError(
                f"{version.ref} has no asset '{said.asset}'",
                hint=f"it has {', '.join(version.spec.assets) or 'none'}",
            )
        return said.asset
    if not there:
        raise InvalidInputError(
            f"{version.ref} has no mask or raster for {said.task} to learn from: no asset of role "
            "'labels'",
            hint=what_fits(version),
        )
    if len(there) != 1:
        raise InvalidInputError(
            f"{version.ref} has {len(there)} assets of role 'labels': {', '.join(there)}",
            hint="say in the recipe which one head learns from: heads.0.asset",
        )
    return there[0]


def _classes(version: Version, said: HeadRecipe, asset: str | None) -> tuple[str, ...]:
    if said.task in _QUANTITIES or KINDS[said.task] is None:
        return ()
    if said.classes:
        return said.classes
    if asset is not None and (classes := pixel_labels(version)[asset].classes):
        return classes
    if not version.spec.classes:
        named = "'classes=[first, second]'" if asset is None else (
            f"'assets.{asset}={{role: labels, values: {{0: first, 1: second}}}}'"
        )  # fmt: skip
        raise InvalidInputError(
            f"the card of {version.ref} names no classes",
            hint=f"name them in the card: eolab card {version.dataset} --set {named}; "
            "or in the recipe: heads.0.classes",
        )
    return version.spec.classes


def spread_of(
    registry: "Registry",
    version: Version,
    recipe: Recipe,
    heads: tuple[Head, ...],
    chosen: Mapping[str, Any],
    *,
    need: Sequence[str] | None = None,
) -> tuple[tuple[Head, ...], dict[str, Spread]]:
    """Return heads with the mean and deviation of their quantities, and how truths are spread.

    Reads the labels of all training samples once.

    Args:
        registry: Of the version.
        version: What is learnt from.
        recipe: Says what a class without samples does.
        heads: What is answered.
        chosen: How a stream chooses the training samples.
        need: Assets that the network reads: masks of samples without any teach nothing.

    Raises:
        InvalidInputError: A class has no training sample, or no quantity is known.
    """
    spreads: dict[str, Spread] = {}
    for head, said in zip(heads, recipe.heads, strict=True):
        kind = KINDS[head.task]
        if kind is None:
            continue
        seen = _Seen(head=head, ignore=said.ignore)
        for values in _truths(registry, version, recipe, head, chosen, need):
            seen.take(values)
        spread = seen.spread()
        _check(version, head, spread, allow=recipe.data.absent_classes == "allow")
        spreads[head.name] = spread
    known = tuple(
        replace(head, mean=spreads[head.name].mean, std=spreads[head.name].std)
        if head.task in _QUANTITIES
        else head
        for head in heads
    )
    return known, spreads


def _truths(
    registry: "Registry",
    version: Version,
    recipe: Recipe,
    head: Head,
    chosen: Mapping[str, Any],
    need: Sequence[str] | None,
) -> Any:  # noqa: ANN401 — arrays, one a batch
    kind = KINDS[head.task] or ""
    told = {**chosen, "need": need}
    if head.asset is not None:
        read = pixel_labels(version)[head.asset]
        seen: set[str] = set()
        for batch in _labelled(registry, version, recipe, (head.asset,), kind, told):
            places = {one: place for place, one in enumerate(batch.ids) if one not in seen}
            seen.update(places)  # what stands in for a broken sample comes twice, and counts once
            rows = batch.arrays[head.asset][list(places.values())]
            yield read.apply(rows, ids=tuple(places))
    elif kind == "boxes":
        objects = _labelled(registry, version, recipe, None, kind, told).labels.objects
        yield np.zeros(0, np.int64) if objects is None else objects.classes
    else:
        yield _of_samples(registry, version, kind, chosen, need)


def _labelled(
    registry: "Registry", version: Version, recipe: Recipe, assets: tuple[str, ...] | None,
    kind: str, chosen: Mapping[str, Any],
) -> "Stream":  # fmt: skip
    """Return the training samples, whole unless they are of several sizes and cut for training.

    Raises:
        RaggedBatchError: They are of several sizes, and the recipe does not cut them.
    """
    from registry.learn.loading.fitting import RaggedBatchError
    from registry.learn.loading.stream import stream

    told: dict[str, Any] = {
        "registry": registry, "assets": assets, "labels": (kind,), "batch_size": _BATCH,
        "shuffle": False, "frames": recipe.data.frames, "on_error": recipe.data.on_error, **chosen,
    }  # fmt: skip
    try:
        return stream(version, **told)
    except RaggedBatchError:
        if recipe.data.crop is None:
            raise
        return stream(version, crop=recipe.data.crop, **told)


def _of_samples(
    registry: "Registry",
    version: Version,
    kind: str,
    chosen: Mapping[str, Any],
    need: Sequence[str] | None,
) -> Any:  # noqa: ANN401 — an array
    """Return what the table of samples says, without reading pixels."""
    from registry.learn.loading.choosing import choose
    from registry.learn.loading.labels import labels_of
    from registry.learn.loading.preparing import having

    choice = choose(version, registry=registry, **chosen)
    if need is not None:
        choice, _ = having(version, choice, need)
    return getattr(labels_of(version, choice.ids, (kind,)), kind)


@dataclass(slots=True, kw_only=True)
class _Seen:
    head: Head
    ignore: int
    counts: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    number: int = 0
    total: float = 0.0
    squares: float = 0.0

    def take(self, values: npt.NDArray[Any]) -> None:
        if self.head.task in _QUANTITIES:
            known = values[np.isfinite(values)].astype(np.float64)
            self.number += known.size
            self.total += float(known.sum())
            self.squares += float((known * known).sum())
            return
        size = len(self.head.classes)
        if not self.counts.size:
            self.counts = np.zeros(size, np.int64)
        if self.head.task is HeadTask.MULTILABEL:
            self.counts += values.sum(0).astype(np.int64)
            return
        whole = values.astype(np.int64).ravel()
        whole = whole[(whole >= 0) & (whole < size) & (whole != self.ignore)]
        self.counts += np.bincount(whole, minlength=size)

    def spread(self) -> Spread:
        if self.head.task not in _QUANTITIES:
            return Spread(counts=self.counts)
        if not self.number:
            raise InvalidInputError(
                f"no training sample has a value for head '{self.head.name}'",
                hint="choose another split, or another asset: heads.0.asset",
            )
        mean = self.total / self.number
        return Spread(mean=mean, std=sqrt(max(self.squares / self.number - mean**2, 0)) or 1.0)


def _check(version: Version, head: Head, spread: Spread, *, allow: bool) -> None:
    if spread.counts is None:
        return
    if not spread.counts.any():
        raise RejectedError(
            f"no training sample of {version.ref} has a label for head '{head.name}'",
            hint="choose another split, or label some samples",
        )
    absent = [name for name, count in zip(head.classes, spread.counts, strict=True) if not count]
    if absent and not allow:
        raise RejectedError(
            f"no training sample of {version.ref} has class {', '.join(absent)}",
            hint="split it otherwise (eolab split --method stratified), or let it pass: "
            "--set data.absent_classes=allow",
        )
