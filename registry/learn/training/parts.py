"""The parts of a recipe: data, heads, optimiser, schedule, and when to stop."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from registry.errors import InvalidInputError
from registry.learn.models.architecture import HeadTask

__all__ = [
    "AUGMENTATIONS", "Data", "HeadRecipe", "Init", "Optimiser", "Schedule", "Score", "Semi",
    "Smoke", "Stop", "within",
]  # fmt: skip

_NOTHING: Mapping[str, Any] = MappingProxyType({})
AUGMENTATIONS: Final = (
    "flip", "rotate90", "crop", "jitter", "noise", "drop-bands", "drop-modality",
)  # fmt: skip
"""Names of augmentations, said here too so that a recipe is read without NumPy."""

_AUGMENTATION: Final = re.compile(
    "|".join([*(name for name in AUGMENTATIONS if name != "crop"), r"crop:\d+(x\d+)?"])
)
Loss = Literal[
    "auto", "cross-entropy", "focal", "dice", "cross-entropy+dice", "bce", "huber", "mse", "mae"
]
_LOSSES: Final[Mapping[HeadTask, tuple[str, ...]]] = MappingProxyType({
    HeadTask.CLASSIFICATION: ("cross-entropy", "focal"),
    HeadTask.MULTILABEL: ("bce", "focal"),
    HeadTask.SEGMENTATION: ("cross-entropy", "focal", "dice", "cross-entropy+dice"),
    HeadTask.CHANGE: ("cross-entropy", "focal", "dice", "cross-entropy+dice"),
    HeadTask.REGRESSION: ("huber", "mse", "mae"),
    HeadTask.PIXEL_REGRESSION: ("huber", "mse", "mae"),
    HeadTask.DETECTION: (),
    HeadTask.RECONSTRUCTION: (),
    HeadTask.CONTRASTIVE: (),
})


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What the recipe should reach on its real data."""

    metric: str
    """Its name, such as ``iou/burnt``."""

    value: float
    """The figure, in the metric's own unit."""

    source: str
    """Where it was published, or who asks for it."""

    subset: str = "test"
    """What it is measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is learnt from."""

    ref: str | tuple[str, ...] | None = None
    """The version; for pretraining there may be several. None where the command names it."""

    splits: str = "default"
    """Name of the split's table."""

    slice: str | None = None
    """Id of a slice: only its samples."""

    subset: Literal["but-test", "all"] = "but-test"
    """What pretraining learns from: all that the split does not call ``test`` or ``test:*``, or
    ``all``. A version without a split has nothing to leave out."""

    assets: tuple[str, ...] | None = None
    """Assets that the network reads, in its order; all of role ``data`` if None."""

    bands: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None
    """Bands in the network's order, by name or letter, or such by asset; all if None."""

    frames: int | None = None
    """Time steps of a sample that are read; all if None."""

    crop: tuple[int, int] | None = None
    """Height and width that samples are cut to, in pixels; None leaves them whole."""

    batch_size: int = 32
    """Samples of a step, over all processes together."""

    augment: tuple[str, ...] = ("flip", "rotate90")
    """Names of augmentations, as :mod:`registry.learn.loading.augment` has them: ``flip``,
    ``crop:224``, …"""

    fraction: float = 1.0
    """Share of the training samples whose labels are used, in (0, 1]; chosen by the seed."""

    absent_classes: Literal["stop", "allow"] = "stop"
    """What classes without a training sample do."""

    permute_labels: bool = False
    """Whether samples get the labels of others: nothing can be learnt then, by way of a test."""

    on_error: Literal["stop", "skip"] = "stop"
    """What a sample that cannot be read does."""

    threads: int = 2
    """Threads that decode chips."""

    def __post_init__(self) -> None:
        within("data.batch_size", self.batch_size, 1, None)
        within("data.threads", self.threads, 1, None)
        within("data.fraction", self.fraction, 0, 1, open_below=True)
        for said in self.augment:
            if not _AUGMENTATION.fullmatch(said):
                names = ", ".join(AUGMENTATIONS)
                raise InvalidInputError(
                    f"there is no augmentation '{said}'",
                    hint=f"there are {names}; a crop says its size: crop:224",
                )

    @property
    def refs(self) -> tuple[str, ...]:
        """All versions."""
        return () if self.ref is None else (self.ref,) if isinstance(self.ref, str) else self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecipe:
    """One answer that the network learns."""

    task: HeadTask
    """What it gives."""

    name: str | None = None
    """What it is called; its task if None."""

    classes: tuple[str, ...] = ()
    """Class names in the order of the outputs; those of the card if empty."""

    asset: str | None = None
    """The mask or raster it learns from; the one that there is if None."""

    unit: str | None = None
    """Unit of a quantity."""

    weight: float = 1.0
    """Of its loss among those of other heads, above 0."""

    loss: Loss = "auto"
    """Which loss; ``auto`` takes the usual one of the task."""

    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """What errors on each class count; ``balanced`` counts classes in the training samples."""

    ignore: int = -1
    """Value of a mask that says nothing; values that are no class say nothing either."""

    smoothing: float = 0.0
    """Label smoothing of cross entropy, in [0, 1)."""

    def __post_init__(self) -> None:
        if self.loss != "auto" and self.loss not in _LOSSES[self.task]:
            usual = ", ".join(_LOSSES[self.task]) or "auto"
            raise InvalidInputError(
                f"a head of {self.task} cannot learn by '{self.loss}'", hint=f"choose of {usual}"
            )
        within("heads.smoothing", self.smoothing, 0, 0.99)
        within("heads.weight", self.weight, 0, None, open_below=True)

    @property
    def called(self) -> str:
        """Its name."""
        return self.name or str(self.task)

    @property
    def by(self) -> str:
        """The loss that ``auto`` stands for."""
        usual = _LOSSES[self.task]
        return self.loss if self.loss != "auto" else usual[0] if usual else "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """How weights move."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """Which one."""

    lr: float = 1e-3
    """Highest learning rate."""

    encoder_lr: float | None = None
    """That of the encoder, where it began with learnt weights; like ``lr`` if None."""

    weight_decay: float = 0.01
    """Of all weights but biases and those of norms."""

    momentum: float = 0.9
    """Of ``sgd``."""

    def __post_init__(self) -> None:
        within("optimiser.lr", self.lr, 0, None, open_below=True)
        within("optimiser.weight_decay", self.weight_decay, 0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the learning rate runs over the steps."""

    name: Literal["cosine", "one-cycle", "constant"] = "cosine"
    """Its shape after the warm-up; ``one-cycle`` rises over 30 % of the steps, then falls."""

    warmup: float = 0.05
    """Share of the steps in which it rises to the highest, in [0, 1)."""

    floor: float = 0.01
    """Share of the highest rate that it ends at, in [0, 1]."""

    def __post_init__(self) -> None:
        within("schedule.warmup", self.warmup, 0, 0.99)
        within("schedule.floor", self.floor, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """Weights to begin with."""

    model: str | None = None
    """A model of the lake, such as ``mae-hls@v1``."""

    weights: str | None = None
    """Path of a weights file, in place of a model."""

    freeze: bool = False
    """Whether the encoder stays as it came."""

    freeze_epochs: int = 0
    """For how many first epochs the encoder stays as it came."""

    def __post_init__(self) -> None:
        if self.model is not None and self.weights is not None:
            raise InvalidInputError(
                f"the recipe begins with both '{self.model}' and '{self.weights}'",
                hint="name one of init.model and init.weights",
            )
        within("init.freeze_epochs", self.freeze_epochs, 0, None)

    @property
    def random(self) -> bool:
        """Whether nothing learnt is begun with."""
        return self.model is None and self.weights is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Semi:
    """Learning from samples without labels besides, by a mean teacher."""

    weight: float = 1.0
    """Of the disagreement with the teacher beside the loss on labels."""

    decay: float = 0.99
    """How much of itself the teacher keeps at each step, in [0, 1)."""

    warmup: float = 0.2
    """Share of the steps in which ``weight`` rises from 0."""

    noise: float = 0.1
    """Deviation of the noise that the student sees and the teacher does not."""

    def __post_init__(self) -> None:
        within("semi.decay", self.decay, 0, 0.99999)
        within("semi.weight", self.weight, 0, None)
        within("semi.warmup", self.warmup, 0, 1)
        within("semi.noise", self.noise, 0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """When to end before the last epoch."""

    patience: int | None = None
    """Epochs without a better figure; None never ends early."""

    monitor: str | None = None
    """Which figure of the validation, such as ``iou``; each task's usual one if None."""

    keep: Literal["best", "last"] = "best"
    """Which weights become the model."""

    def __post_init__(self) -> None:
        if self.patience is not None:
            within("stop.patience", self.patience, 1, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """What ``--smoke`` learns from: simulated samples of the same layout."""

    task: str = "segmentation"
    """A task of the simulator."""

    samples: int = 24
    """How many."""

    size: int = 32
    """Pixels along their edge."""

    steps: int = 4
    """Steps of training."""

    batch_size: int = 4
    """Samples of a step."""

    sensor: str | None = None
    """Whose bands; the task's usual one if None."""

    architecture: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """What replaces arguments of the architecture, so that it is small."""

    layout: Literal["plain", "fusion", "change", "height", "multilabel", "multi-task", "rgb"] = (
        "plain"
    )
    """What is made of the simulated samples to have the layout of the real ones."""


def within(
    name: str, value: float, least: float, most: float | None, *, open_below: bool = False
) -> None:
    """Refuse a number that is out of range.

    Args:
        name: Its path in a recipe.
        value: The number.
        least: The least that is right.
        most: The most; None for any.
        open_below: Whether ``least`` itself is too little.

    Raises:
        InvalidInputError: It is out of range.
    """
    below = value <= least if open_below else value < least
    if below or (most is not None and value > most):
        end = f"at most {most}" if most is not None else "finite"
        raise InvalidInputError(
            f"{name} is {value}",
            hint=f"give a number {'above' if open_below else 'of at least'} {least}, {end}",
        )
