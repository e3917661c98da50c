"""Where a run stands, and how that is kept and taken up again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from torch import Tensor

from registry.learn.training import checkpoints
from registry.learn.training.loader import Loader
from registry.learn.training.tasks import Task
from registry.learn.training.waiting import Waiting

__all__ = ["Fitted", "Learner", "Position", "fitted", "keep", "restore", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a run came to."""

    weights: Mapping[str, Tensor] = field(repr=False)
    """Of the network that was kept."""

    history: tuple[tuple[int, int, str, str, float], ...] = field(repr=False)
    """Step, epoch, subset, name and value of every figure, in order."""

    figures: Mapping[str, float]
    """Of the validation of what was kept, by name; of the last epoch's training without one."""

    confusion: Mapping[str, tuple[tuple[int, ...], ...]] = field(repr=False)
    """By head with classes: counts by truth, then by answer."""

    steps: int
    """Steps taken."""

    best_step: int
    """After which of them the weights were kept."""

    waiting: tuple[float, ...] = field(default=(), repr=False)
    """By epoch that this process trained: which share of its steps' time it waited for data."""


@dataclass(slots=True, kw_only=True)
class Position:
    """Where a run stands."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    history: list[tuple[int, int, str, str, float]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    waited: int = 0
    lost: list[float] = field(default_factory=list)
    over: bool = False
    waiting: list[Waiting] = field(default_factory=list)  # of this process, so in no checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """What learns."""

    task: Task
    model: Any  # the task, wrapped by Fabric
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    fabric: lightning.Fabric

    @property
    def shares_weights(self) -> bool:
        """Whether each process has a part of the weights alone."""
        return self.task.recipe.strategy == "fsdp" and self.fabric.world_size > 1


def keep(folder: Path, run: Position, parts: Learner, train: Loader | None) -> None:
    """Write a checkpoint, and let go of weights that are no longer the best.

    Args:
        folder: Of the run.
        run: Where it stands.
        parts: What learns.
        train: Its batches; None between two epochs.
    """
    state = {
        "schedule": {"last_epoch": parts.schedule.last_epoch},
        "precision": parts.fabric.strategy.precision.state_dict(),
        "loader": train.state_dict() if train is not None else None,
        "step": run.step,
        "epoch": run.epoch,
        "batch": run.batch,
        "history": run.history,
        "best": run.best,
        "waited": run.waited,
        "lost": run.lost,
        "over": run.over,
    }
    write(parts, folder, checkpoints.LAST, state)
    if parts.fabric.global_rank == 0:
        for old in folder.glob("best-*.pt"):
            if run.best is not None and old.name != run.best["file"]:
                old.unlink(missing_ok=True)
    parts.fabric.barrier()


def write(parts: Learner, folder: Path, name: str, state: dict[str, Any] | None) -> None:
    """Write a checkpoint, or where there is no state the weights of the model alone."""
    task, fabric = parts.task, parts.fabric
    if parts.shares_weights:  # no process has all of them: they come together as they are written
        whole: dict[str, Any] = {"task": parts.model}
        if state is not None:
            whole |= {"optimiser": parts.optimiser, **state}
        checkpoints.written(folder, name, lambda path: fabric.save(path, whole),
                            first=fabric.global_rank == 0)  # fmt: skip
    elif fabric.global_rank == 0:
        if state is None:
            state = {
                weight: tensor.detach().cpu().contiguous()
                for weight, tensor in task.answering.state_dict().items()
            }
        else:
            optimiser = parts.optimiser.state_dict()
            state = {"task": task.state_dict(), "optimiser": optimiser, **state}
        checkpoints.save(folder, state, name=name)


def restore(folder: Path, run: Position, parts: Learner, train: Loader) -> None:
    """Take up the newest checkpoint of a run.

    Args:
        folder: Of the run.
        run: Set to where it stood.
        parts: Set to what was learnt.
        train: Set to the batch that comes next.
    """
    if parts.shares_weights:
        whole = {"task": parts.model, "optimiser": parts.optimiser}
        kept = parts.fabric.load(folder / checkpoints.LAST, whole)
    else:
        kept = checkpoints.load(folder) or {}
        parts.task.load_state_dict(kept["task"])
        parts.optimiser.load_state_dict(kept["optimiser"])
    if scaled := kept.get("precision"):  # of 16 bits: by what losses are multiplied
        parts.fabric.strategy.precision.load_state_dict(scaled)
    parts.schedule.last_epoch = kept["schedule"]["last_epoch"]
    run.step, run.epoch, run.batch = kept["step"], kept["epoch"], kept["batch"]
    run.history = [tuple(row) for row in kept["history"]]
    run.best, run.waited, run.over = kept["best"], kept["waited"], kept["over"]
    run.lost = list(kept["lost"])
    if kept["loader"] is not None:
        train.set_epoch(run.epoch)
        train.load_state_dict(kept["loader"])


def fitted(parts: Learner, run: Position, folder: Path) -> Fitted:
    """Return what a run came to.

    Args:
        parts: What learnt.
        run: Where it stands, at its end.
        folder: Where its best weights lie.
    """
    best = run.best or {}
    kept = checkpoints.load(folder, name=best["file"]) if best else None
    if kept is not None and parts.shares_weights:
        kept = {name.removeprefix("network."): one for name, one in kept["task"].items()}
    return Fitted(
        weights=cast("Mapping[str, Tensor]", kept or parts.task.answering.state_dict()),
        history=tuple(run.history),
        figures=dict(best.get("figures", {})),
        confusion={
            name: tuple(map(tuple, rows)) for name, rows in best.get("confusion", {}).items()
        },
        steps=run.step,
        best_step=int(best.get("step", run.step)),
        waiting=tuple(one.share for one in run.waiting),
    )
