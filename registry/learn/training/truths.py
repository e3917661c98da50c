"""What a version holds that can be learnt, and which recipes that ship learn it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import pyarrow.compute as pc

from registry.catalog.card.spec import Task
from registry.catalog.version import Version
from registry.errors import InvalidInputError
from registry.learn.loading.pixel_labels import pixel_labels
from registry.learn.models.architecture import HeadTask
from registry.learn.training.recipe import Recipe, named, shipped

__all__ = ["check_truths", "what_fits"]

_LABELS: Final = "labels of samples"
_TARGETS: Final = "targets of samples"
_BOXES: Final = "annotated objects"
_NEEDS: Final[Mapping[HeadTask, str]] = MappingProxyType({
    HeadTask.CLASSIFICATION: _LABELS,
    HeadTask.MULTILABEL: _LABELS,
    HeadTask.REGRESSION: _TARGETS,
    HeadTask.DETECTION: _BOXES,
})
_RECIPES_SHOWN: Final = 4


def check_truths(version: Version, recipe: Recipe) -> None:
    """Refuse a version that has nothing of what a recipe learns from tables.

    Masks and rasters are looked for where a head's asset is.

    Args:
        version: What is learnt from.
        recipe: What is learnt.

    Raises:
        InvalidInputError: It has nothing of that kind, on any sample.
    """
    for head in recipe.heads:
        need = _NEEDS.get(head.task)
        if need is not None and not _has(version, need):
            raise InvalidInputError(
                f"{version.ref} has no {need}, which head '{head.called}' of recipe "
                f"'{recipe.name}' learns from",
                hint=what_fits(version),
            )


def what_fits(version: Version) -> str:
    """Return what a version has to learn from, and recipes for that, as a hint.

    Args:
        version: What is learnt from.
    """
    there = dict(_truths(version))
    if not there:
        return "label some samples; or learn without labels: eolab pretrain mae-hls"
    has = " and ".join(dict.fromkeys(there.values()))
    fitting = [
        one for one in map(named, shipped()) if all(head.task in there for head in one.heads)
    ]
    plain = sorted(fitting, key=lambda one: (one.baseline is not None, one.name))
    names = ", ".join(one.name for one in plain[:_RECIPES_SHOWN])
    if not names:
        return f"it has {has}: write a recipe of task {' or '.join(there)}"
    return f"it has {has}: take a recipe for them, such as {names}; eolab recipes lists all"


def _truths(version: Version) -> Iterator[tuple[HeadTask, str]]:
    """Yield which tasks can be learnt, each with what it is learnt from."""
    task = version.spec.task
    for name, mask in pixel_labels(version).items():
        if mask.quantity:
            yield HeadTask.PIXEL_REGRESSION, f"a raster of quantities ({name})"
        elif task == Task.CHANGE:
            yield HeadTask.CHANGE, f"masks ({name})"
        else:
            yield HeadTask.SEGMENTATION, f"masks ({name})"
    if _has(version, _BOXES):
        yield HeadTask.DETECTION, _BOXES
    if most := _most_labels(version):
        yield HeadTask.MULTILABEL if most > 1 else HeadTask.CLASSIFICATION, _LABELS
    if _has(version, _TARGETS):
        yield HeadTask.REGRESSION, _TARGETS


def _has(version: Version, what: str) -> bool:
    if what == _BOXES:
        return version.count("annotations") > 0
    if what == _LABELS:
        return _most_labels(version) > 0
    return any(
        len(batch) > batch.column(0).null_count for batch in version.scan("samples", ["target"])
    )


def _most_labels(version: Version) -> int:
    """Return how many labels the sample with most of them has."""
    batches = version.scan("samples", ["label"])
    return max((pc.max(pc.list_value_length(one.column(0))).as_py() or 0 for one in batches),
               default=0)  # fmt: skip
