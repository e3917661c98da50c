"""A small network from scratch: what a few minutes on a processor reach without any skill."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from registry.learn.floor.lesson import Lesson
from registry.learn.models.architecture import Architecture, HeadTask
from registry.learn.scoring.answering import Answer, model_answer
from registry.learn.scoring.protocol import inputs_of
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.learn.models.card import Card
    from registry.learn.training.recipe import Recipe

__all__ = ["Learned", "learned", "recipe_of"]

_WIDTH: Final = 16
_NAMES: Final = MappingProxyType({
    HeadTask.CLASSIFICATION: "cnn",
    HeadTask.MULTILABEL: "cnn",
    HeadTask.REGRESSION: "cnn",
})


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A network that was trained for a floor, and kept nowhere."""

    answer: Answer
    """Gives its answers."""

    assets: tuple[str, ...]
    """That it reads."""

    inputs: dict[str, Any]
    """Its bands, and how they are scaled."""

    said: tuple[str, ...]
    """What was converted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Stands where a predictor wants a version of a model."""

    card: "Card"
    ref: str
    tombstone: None = None


def recipe_of(lesson: Lesson, *, epochs: int) -> "Recipe":
    """Return the recipe of the small network of a task.

    Args:
        lesson: What there is to learn.
        epochs: Passes over the training samples.
    """
    from registry.learn.training.recipe import Data, HeadRecipe, Optimiser, Recipe

    kind = _NAMES.get(lesson.head.task, "unet")
    head = HeadRecipe(
        task=lesson.head.task, name=lesson.head.name, classes=lesson.head.classes,
        asset=lesson.head.asset, unit=lesson.head.unit,
    )  # fmt: skip
    return Recipe(
        name=f"floor-{kind}",
        title="small network of a dataset's floor",
        heads=(head,),
        architecture=Architecture(
            factory="lab", args={"name": kind, "width": _WIDTH, "depth": _depth(lesson)}
        ),
        data=Data(
            ref=str(lesson.version.ref),
            splits=lesson.train.split or "default",
            batch_size=16,
            crop=lesson.test.crop,
            augment=("flip", "rotate90"),
            absent_classes="allow",
        ),
        optimiser=Optimiser(lr=3e-3),
        epochs=epochs,
    )


def learned(lesson: Lesson, recipe: "Recipe", *, seed: int, progress: Progress = SILENT) -> Learned:
    """Train a recipe and return what answers with its network.

    Args:
        lesson: What there is to learn.
        recipe: As :func:`recipe_of` gives it.
        seed: What chance starts from.
        progress: Told of steps.

    Returns:
        Its answers, and what it reads.
    """
    from registry.learn.loading.contract import of_version
    from registry.learn.models.predicting import Predictor
    from registry.learn.training import fit

    with tempfile.TemporaryDirectory(prefix="eolab-floor-") as folder:
        run = fit(lesson.registry, recipe, seed=seed, workdir=Path(folder), progress=progress)
    assets = tuple(one.asset for one in run.card.contract.inputs)
    given = of_version(
        lesson.version, assets=assets, registry=lesson.registry, compute_missing=False
    )
    held: Any = _Held(card=run.card, ref="floor:small")
    predictor = Predictor(held, given=given, network=run.network)
    truths = () if lesson.pixels is None else (lesson.pixels.asset,)
    return Learned(
        answer=model_answer(predictor, truths),
        assets=assets,
        inputs=inputs_of(run.card.contract),
        said=tuple(predictor.said),
    )


def _depth(lesson: Lesson) -> int:
    """Return how often images are halved: at most three times, and never below 4 pixels."""
    from registry.learn.loading.stream import stream

    crop = lesson.test.crop
    fits = stream(lesson.version, assets=list(lesson.inputs[:1]), labels=None, crop=crop).fits
    side = min(crop or next(iter(fits.values())).shape[-2:])
    depth = 1
    while depth < 3 and side // 2 ** (depth + 1) >= 4:  # noqa: PLR2004 — as said
        depth += 1
    return depth
