"""Fine-tuning of one network on one device, by the lab's loop and by TerraTorch's, with a watch."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bench.scars import BANDS, CLASSES, REF, Scars

if TYPE_CHECKING:
    from torch import nn

    from registry.learn.training.loop import Fitted
    from registry.learn.training.recipe import Recipe

__all__ = ["CPU", "WEIGHTS", "Ours", "Theirs", "Watch", "ours", "peak", "place_to_run",
           "recipe_batch", "recipe_of", "theirs"]  # fmt: skip

CPU: Final = "EOLAB_BENCH_ON_CPU"
"""Variable that lets rows for a GPU run without one, tiny, to see that they run."""

WEIGHTS: Final = "EOLAB_BENCH_WEIGHTS"
"""Variable that names a file of weights that both begin with; at random without."""

_LARGE: Final = "prithvi_eo_v2_300"
_TINY: Final = "prithvi_eo_tiny"
_TAKEN: Final = MappingProxyType({_LARGE: (5, 11, 17, 23), _TINY: (0, 1, 2, 3)})
_CHANNELS: Final = MappingProxyType({_LARGE: (512, 256, 128, 64), _TINY: (16, 8, 8, 8)})
# Dense bfloat16 of the makers' data sheets, by what a device's name holds; the first that fits.
_PEAKS: Final = (
    ("H200", 989e12), ("H100 PCIe", 756e12), ("H100 NVL", 835e12), ("H100", 989e12),
    ("A100", 312e12), ("L40S", 362e12), ("A10", 125e12), ("L4", 121e12),
)  # fmt: skip


def place_to_run() -> str | None:
    """Return ``gpu`` or, where the environment asks for it, ``cpu``; say in a line if neither."""
    import torch

    if torch.cuda.is_available():
        return "gpu"
    if os.environ.get(CPU):
        return "cpu"
    print("  left out: there is no GPU here", flush=True)
    return None


def recipe_batch(where: str) -> int:
    """Return how many chips a step has."""
    return 32 if where == "gpu" else 4


def peak(name: str) -> float | None:
    """Return the most operations a second of a device in bfloat16; None if nobody knows it.

    Examples:
        >>> peak("NVIDIA H100 80GB HBM3"), peak("Some GPU")
        (989000000000000.0, None)
    """
    return next((most for part, most in _PEAKS if part in name), None)


@dataclass(slots=True, kw_only=True)
class Watch:
    """A progress that notes when steps were taken, once the device has done them."""

    first: int = 1
    """The step after which the time begins."""

    last: int
    """The step after which it ends."""

    began: float = 0.0
    ended: float = 0.0
    steps: int = 0

    def stage(self, what: str, *, total: int | None, unit: str) -> None:  # noqa: ARG002 — a seam
        """A run begins."""
        self.steps = 0

    def advance(self, count: int = 1) -> None:
        """A step was taken."""
        self.steps += count
        if count and self.steps in {self.first, self.last}:
            _settle()
            if self.steps == self.first:
                self.began = time.perf_counter()
            else:
                self.ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the steps in between took.

        Raises:
            RuntimeError: They were not all taken.
        """
        if not self.ended:
            raise RuntimeError(f"there were {self.steps} steps, of {self.last} to be timed")
        return self.ended - self.began


def _settle() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


# ------------------------------------------------------------------------------------- ours
@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What the lab's loop came to."""

    network: "nn.Module"
    fitted: "Fitted"
    material: Any
    ended: tuple[float, ...]
    """When each epoch was measured, in seconds since the run began."""


def recipe_of(where: str, **changes: Any) -> "Recipe":  # noqa: ANN401 — as recipes have it
    """Return the lab's recipe: Prithvi with a U-Net's decoder, compiled, in bfloat16.

    Args:
        where: ``gpu``, or ``cpu`` for a small network in 32 bits that nobody compiles.
        changes: By path, with ``__`` for a dot.
    """
    from registry.learn.loading.settings import usual_threads
    from registry.learn.training.recipe import Recipe

    large = where == "gpu"
    backbone = _LARGE if large else _TINY
    bands, weights = list(BANDS), os.environ.get(WEIGHTS) if large else None
    made = Recipe.from_document({
        "name": "bench-prithvi",
        "heads": [{"task": "segmentation", "loss": "cross-entropy"}],
        "architecture": {"factory": "terratorch", "args": {
            "backbone": backbone, "bands": bands, "decoder": "UNetDecoder",
            "decoder_channels": list(_CHANNELS[backbone]),
        }},
        "data": {"ref": REF, "batch_size": recipe_batch(where), "augment": [],
                 "threads": usual_threads(), "absent_classes": "allow"},
        "init": {"weights": weights} if weights else {},
        "optimiser": {"lr": 1e-4},
        "precision": "bf16" if large else "32",
        "compile": large,
        "deterministic": False,
    })  # fmt: skip
    return made.replaced({name.replace("__", "."): value for name, value in changes.items()})


def ours(
    scars: Scars, recipe: "Recipe", *, seed: int, folder: Path, watch: Watch | None = None
) -> Ours:
    """Train by the lab's own loop, as ``eolab train`` does, without keeping a model.

    Args:
        scars: What is learnt from.
        recipe: How.
        seed: What chance starts from.
        folder: Where checkpoints lie, empty.
        watch: Told of steps.
    """
    import lightning
    import torch
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment

    from registry import connect
    from registry.learn.models.factory import build
    from registry.learn.training import beginning, loop
    from registry.learn.training.material import gather
    from registry.learn.training.tasks import Task
    from registry.progress import SILENT

    began = time.perf_counter()
    registry = connect(scars.lake)
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed"}[recipe.precision]
    fabric = lightning.Fabric(
        accelerator="auto", devices=1, precision=precision, plugins=[LightningEnvironment()]
    )  # alone, even inside of a job of Slurm
    material = gather(registry, recipe, seed=seed)
    torch.manual_seed(loop.chance(seed, "weights"))
    network = build(
        recipe.architecture, contract=material.contract, heads=material.heads, trust=True
    )
    beginning.begin(registry, network, recipe, contract=material.contract, lineage=material.lineage)
    steps = loop.steps_of(recipe.epochs, len(material.train), recipe.accumulate, recipe.steps)
    task = Task(
        network, recipe=recipe, heads=material.heads, contract=material.contract, steps=steps
    )
    if recipe.compile:
        network.compile()
    ended: list[float] = []

    figures = task.figures

    def told() -> dict[str, float]:
        found = figures()
        ended.append(time.perf_counter() - began)
        return found

    task.figures = told  # type: ignore[method-assign] — to note when an epoch was measured
    fitted = loop.fit(
        task, train=material.train, validate=material.validate, seed=seed, folder=folder,
        fabric=fabric, resume=False, progress=watch or SILENT,
    )  # fmt: skip
    return Ours(network=network, fitted=fitted, material=material, ended=tuple(ended))


# ----------------------------------------------------------------------------------- theirs
@dataclass(slots=True, kw_only=True)
class Theirs:
    """What TerraTorch came to."""

    task: Any
    data: Any
    seconds: float = 0.0
    """How long its fit took, its start included."""

    quality: list[float] = field(default_factory=list)
    """Mean IoU of the validation, by epoch."""

    waited: float = 0.0
    """Share of the steps' time between one step and the next."""


def theirs(
    scars: Scars,
    where: str,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    tuned: bool = False,
    validate: bool = False,
    watch: Watch | None = None,
) -> Theirs:
    """Train by TerraTorch: its task, its generic data module and Lightning's trainer.

    What is not named is left as it comes: Adam, 32 bits, no workers, as its own data modules have
    it. Progress, loggers and checkpoints are off, which is to its advantage.

    Args:
        scars: What is learnt from.
        where: ``gpu`` or ``cpu``, as for :func:`recipe_of`.
        seed: What chance starts from.
        epochs: Passes over the training chips.
        batch_size: Chips of a step.
        tuned: Whether it computes in bfloat16, with workers and pinned memory, as its documents
            advise.
        validate: Whether each epoch is measured.
        watch: Told of steps.
    """
    import logging

    import lightning
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from terratorch.datamodules import GenericNonGeoSegmentationDataModule
    from terratorch.tasks import SemanticSegmentationTask

    from registry.learn.loading.settings import usual_threads

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # it tells of every trainer
    began = time.perf_counter()
    lightning.seed_everything(seed, verbose=False)
    task = SemanticSegmentationTask(
        model_factory="EncoderDecoderFactory", model_args=_network(where), loss="ce",
        ignore_index=-1, lr=1e-4, plot_on_val=False,
    )  # fmt: skip
    train, held, test = (scars.tif(one) for one in ("train", "validate", "test"))
    data = GenericNonGeoSegmentationDataModule(
        batch_size=batch_size, num_workers=usual_threads() if tuned else 0,
        num_classes=len(CLASSES), img_grep="*_image.tif", label_grep="*_mask.tif",
        train_data_root=train, train_label_data_root=train, val_data_root=held,
        val_label_data_root=held, test_data_root=test, test_label_data_root=test,
        means=scars.means, stds=scars.stds, pin_memory=tuned, no_data_replace=0,
        no_label_replace=-1,
    )  # fmt: skip
    found = Theirs(task=task, data=data)
    trainer = lightning.Trainer(
        accelerator="auto" if where == "gpu" else "cpu", devices=1, max_epochs=epochs,
        precision="bf16-mixed" if tuned and where == "gpu" else "32-true",
        callbacks=[_noting(found, watch)],
        plugins=[LightningEnvironment()], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        limit_val_batches=1.0 if validate else 0,
    )  # fmt: skip
    trainer.fit(task, datamodule=data)
    _settle()
    found.seconds = time.perf_counter() - began
    return found


def _network(where: str) -> dict[str, Any]:
    backbone = _LARGE if where == "gpu" else _TINY
    weights = os.environ.get(WEIGHTS) if where == "gpu" else None
    return {
        "backbone": backbone, "backbone_pretrained": bool(weights), "backbone_bands": list(BANDS),
        "backbone_num_frames": 1, "backbone_coords_encoding": [],
        **({"backbone_ckpt_path": weights} if weights else {}),
        "necks": [
            {"name": "SelectIndices", "indices": list(_TAKEN[backbone])},
            {"name": "ReshapeTokensToImage"}, {"name": "LearnedInterpolateToPyramidal"},
        ],
        "decoder": "UNetDecoder", "decoder_channels": list(_CHANNELS[backbone]),
        "num_classes": len(CLASSES),
    }  # fmt: skip


def _noting(found: Theirs, watch: Watch | None) -> Any:  # noqa: ANN401 — a callback
    import lightning

    class Noting(lightning.Callback):
        """Notes steps, what lies between them, and what validations come to."""

        left: float | None = None
        began = between = worked = 0.0

        def on_train_batch_start(self, *_: object) -> None:
            self.began = time.perf_counter()
            if self.left is not None:
                self.between += self.began - self.left

        def on_train_batch_end(self, *_: object) -> None:
            if watch is not None:
                watch.advance()
            self.left = time.perf_counter()
            self.worked += self.left - self.began
            found.waited = self.between / (self.between + self.worked)

        def on_train_epoch_end(self, *_: object) -> None:
            self.left = None

        def on_validation_end(self, trainer: Any, *_: object) -> None:  # noqa: ANN401 — Lightning's
            found.quality.append(float(trainer.callback_metrics["val/mIoU"]))

    return Noting()
