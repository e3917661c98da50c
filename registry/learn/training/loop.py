"""The loop: batch, loss, step; figures and a checkpoint every now and then."""

import hashlib
import logging
import math
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch

from registry.errors import InvalidInputError
from registry.learn.training import checkpoints
from registry.learn.training.batches import SHARES
from registry.learn.training.errors import (
    DeviceLostError,
    DivergedError,
    InterruptedTrainingError,
)
from registry.learn.training.loader import Loader
from registry.learn.training.measures import better, usual
from registry.learn.training.position import (
    Fitted,
    Learner,
    Position,
    fitted,
    keep,
    restore,
    write,
)
from registry.learn.training.sharing import Part, everybodys, shares_of
from registry.learn.training.tasks import Task
from registry.learn.training.waiting import Waiting, advice
from registry.progress import SILENT, Progress

__all__ = ["Fitted", "chance", "fit", "samples_of", "steps_of"]

_LARGEST = 2**63
_LOG = logging.getLogger(
    "eolab.training"
)  # of a module that is heavy to import, so by its own name


def steps_of(epochs: int, batches: int, accumulate: int, most: int | None) -> int:
    """Return how many steps a run has.

    Args:
        epochs: Passes over the samples.
        batches: Batches of a pass.
        accumulate: Batches of a step.
        most: Most steps; None for as many as there are.

    Examples:
        >>> steps_of(2, 5, 2, None), steps_of(2, 5, 2, 4)
        (6, 4)
    """
    every = epochs * -(-batches // accumulate)
    return every if most is None else min(every, most)


def chance(seed: int, *path: object) -> int:
    """Return what the chance of one place in a run starts from.

    Every step has its own, so that nothing depends on what was drawn before: a run that goes on
    from a checkpoint draws what it would have drawn.

    Args:
        seed: Of the run.
        path: Such as step and rank.

    Returns:
        In [0, 2^63).
    """
    said = "/".join(map(str, (seed, *path))).encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "little") % _LARGEST


def fit(
    task: Task,
    *,
    train: Loader,
    validate: Iterable[Mapping[str, Any]] | None,
    seed: int,
    folder: Path,
    fabric: lightning.Fabric,
    resume: bool = True,
    progress: Progress = SILENT,
) -> Fitted:
    """Train a task's network.

    Args:
        task: What is learnt.
        train: Batches to learn from.
        validate: Batches to measure on, the same each time; None keeps the last weights.
        seed: What chance starts from.
        folder: Where checkpoints lie.
        fabric: Devices, precision and processes.
        resume: Whether to go on from a checkpoint that is there.
        progress: Told of steps.

    Returns:
        Weights, figures and their history.

    Raises:
        DivergedError: The loss became NaN or infinite.
        NoCheckpointError: The disk is full.
        DeviceLostError: The accelerator failed, or its memory is too small.
        InterruptedTrainingError: The system asked it to end.
    """
    recipe = task.recipe
    parts = _set_up(task, fabric)
    run = Position()
    if resume and (folder / checkpoints.LAST).is_file():
        restore(folder, run, parts, train)
        if fabric.global_rank == 0:
            _LOG.info(_going_on(task, run))
    elif fabric.global_rank == 0:
        checkpoints.clear(folder)
    fabric.barrier()
    progress.stage(f"training {recipe.name}", total=task.steps, unit="steps")
    progress.advance(run.step)
    with _asked_to_end() as asked, _device_errors(), train.following(recipe.epochs):
        while not run.over and run.epoch < recipe.epochs:
            if run.batch == 0:
                train.set_epoch(run.epoch)
            # A run may have ended after the last step of an epoch, before it was measured.
            coming = train if run.batch < len(train) and run.step < task.steps else ()
            run.waiting.append(Waiting())
            for group in _grouped(run.waiting[-1].watched(coming), recipe.accumulate):
                _step(parts, group, run, seed)
                parts.schedule.step()
                task.on_train_batch_end()
                progress.advance()
                every = recipe.checkpoint_steps
                ending = _anybody(fabric, asked)
                if ending or (every is not None and run.step % every == 0):
                    keep(folder, run, parts, train)
                if ending:
                    raise InterruptedTrainingError(
                        f"training '{recipe.name}' was asked to end after step {run.step}",
                        hint="run the same command again: it goes on from there",
                    )
                if run.step >= task.steps:
                    break
            _end_epoch(parts, run, validate, folder, seed)
            keep(folder, run, parts, None)
        _advise(parts, run)
        return fitted(parts, run, folder)


def _set_up(task: Task, fabric: lightning.Fabric) -> Learner:
    made = task.configure_optimizers()
    schedule = made["lr_scheduler"]["scheduler"]
    try:
        model, optimiser = fabric.setup(task, made["optimizer"])
    except ValueError as error:
        raise InvalidInputError(
            f"the processes cannot share the network: {error}",
            hint="leave strategy out of the recipe, or say strategy: ddp",
        ) from error
    return Learner(task=task, model=model, optimiser=optimiser, schedule=schedule, fabric=fabric)


def _step(parts: Learner, group: list[Mapping[str, Any]], run: Position, seed: int) -> None:
    task, model, optimiser, fabric = parts.task, parts.model, parts.optimiser, parts.fabric
    recipe = task.recipe
    model.train()
    frozen = run.epoch < recipe.init.freeze_epochs
    if frozen:
        task.rest_encoder()
    optimiser.zero_grad()
    lost = 0.0
    for number, (batch, share) in enumerate(
        zip(group, shares_of(task, group, fabric), strict=True)
    ):
        torch.manual_seed(chance(seed, run.step, number, fabric.global_rank))
        moved = fabric.to_device({**batch, SHARES: share})
        last = number == len(group) - 1
        with fabric.no_backward_sync(model, enabled=not last):
            loss = model.training_step(moved, run.step) / len(group)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise _diverged(run, batch, value)
            fabric.backward(loss)
        lost += value
    if frozen:
        for weight in task.encoder_parameters():
            weight.grad = None
    if recipe.clip is not None:
        fabric.clip_gradients(model, optimiser, max_norm=recipe.clip, error_if_nonfinite=False)
    rate = float(optimiser.param_groups[0]["lr"])
    optimiser.step()
    lost = _mean_of_all(fabric, lost)
    run.step += 1
    run.batch += len(group)
    run.lost.append(lost)
    run.history.append((run.step, run.epoch, "train", "loss", lost))
    run.history.append((run.step, run.epoch, "train", "lr", rate))


def _end_epoch(
    parts: Learner,
    run: Position,
    validate: Iterable[Mapping[str, Any]] | None,
    folder: Path,
    seed: int,
) -> None:
    task = parts.task
    recipe = task.recipe
    figures = {"loss": _mean(run.lost)} if run.lost else {}
    confusion: dict[str, list[list[int]]] = {}
    if validate is not None:
        figures, confusion = _validated(parts, validate, seed)
        run.history += [
            (run.step, run.epoch, "validate", name, value) for name, value in figures.items()
        ]
    watched = _watched(task, figures)
    if (
        recipe.stop.keep == "last"
        or better(
            watched, figures.get(watched, math.nan), None if run.best is None else run.best["value"]
        )
        or run.best is None
    ):
        run.best = {
            "step": run.step,
            "value": figures.get(watched, math.nan),
            "figures": figures,
            "confusion": confusion,
            "file": f"best-{run.step:08}.pt",
        }
        run.waited = 0
        write(parts, folder, run.best["file"], None)
    else:
        run.waited += 1
    tired = recipe.stop.patience is not None and run.waited >= recipe.stop.patience
    run.over = tired or run.step >= task.steps
    if parts.fabric.global_rank == 0:
        _LOG.debug(_told(recipe.epochs, run, watched, figures if validate is not None else {}))
    run.epoch += 1
    run.batch = 0
    run.lost = []


def _advise(parts: Learner, run: Position) -> None:
    recipe = parts.task.recipe
    said = advice(run.waiting, threads=recipe.data.threads)
    if said is not None and parts.fabric.global_rank == 0:
        _LOG.info("training %s: %s", recipe.name, said)


def _going_on(task: Task, run: Position) -> str:
    name = task.recipe.name
    if run.over or run.epoch >= task.recipe.epochs:
        return f"training {name} had come to its end at step {run.step}: nothing was left to do"
    return f"training {name} goes on from step {run.step} of {task.steps}; --fresh begins anew"


def _told(epochs: int, run: Position, watched: str, figures: Mapping[str, float]) -> str:
    told = [f"epoch {run.epoch + 1} of {epochs}, step {run.step}"]
    if run.lost:
        told.append(f"loss {_mean(run.lost):.4g}")
    if watched in figures:
        told.append(f"validation {watched} {figures[watched]:.4g}")
    if run.lost:
        told.append(f"{100 * run.waiting[-1].share:.0f} % of the time waiting for data")
    return ", ".join(told)


def _validated(
    parts: Learner, validate: Iterable[Mapping[str, Any]], seed: int
) -> tuple[dict[str, float], dict[str, list[list[int]]]]:
    task, fabric = parts.task, parts.fabric
    task.eval()
    task.on_validation_epoch_start()
    with torch.no_grad():
        for number, batch in enumerate(validate):
            torch.manual_seed(chance(seed, "validate", number))
            parts.model.validation_step(fabric.to_device(dict(batch)), number)
    if isinstance(validate, Part):
        everybodys(task, fabric)
    figures = task.figures()
    if (lost := task.loss_seen()) is not None:
        figures["loss"] = lost
    confusion = {
        name: [[int(count) for count in row] for row in counts.tolist()]
        for name, measure in task.measures.items()
        if (counts := measure.confusion()) is not None
    }
    return figures, confusion


def _watched(task: Task, figures: Mapping[str, float]) -> str:
    asked = task.recipe.stop.monitor
    if asked is not None:
        if asked not in figures:
            raise InvalidInputError(
                f"the validation has no figure '{asked}'",
                hint=f"set stop.monitor to one of {', '.join(figures)}",
            )
        return asked
    if len(task.heads) > 1 or usual(task.heads[0]) not in figures:
        return "loss"
    return usual(task.heads[0])


def _grouped(loader: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    for batch in loader:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _diverged(run: Position, batch: Mapping[str, Any], value: float) -> DivergedError:
    named = ", ".join(samples_of(batch)) or "that nobody named"
    return DivergedError(
        f"the loss is {value} at step {run.step + 1} of epoch {run.epoch + 1}, on samples {named}",
        hint="look at these samples, or lower optimiser.lr, or set precision: 32",
    )


def samples_of(batch: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the samples of a batch.

    Args:
        batch: As a loader gives it.

    Returns:
        In their order; empty where nobody says.
    """
    batch = batch.get("labelled", batch)
    for key in ("ids", "id", "sample"):
        if key in batch:
            return tuple(map(str, batch[key]))
    return ()


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """Note that the system wants the place, as a scheduler that pre-empts does.

    Yields:
        Set once it does.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _mean_of_all(fabric: lightning.Fabric, value: float) -> float:
    if fabric.world_size == 1:
        return value
    whole: Any = fabric.all_reduce(torch.tensor(value, device=fabric.device), reduce_op="mean")
    return float(whole)


def _anybody(fabric: lightning.Fabric, asked: threading.Event) -> bool:
    """Return whether any process was asked to end: all have to leave after the same step."""
    if fabric.world_size == 1:
        return asked.is_set()
    count = torch.tensor(float(asked.is_set()), device=fabric.device)
    whole: Any = fabric.all_reduce(count, reduce_op="sum")
    return bool(whole > 0)


@contextmanager
def _device_errors() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceLostError(
            f"the device's memory does not hold a batch: {str(error).splitlines()[0]}",
            hint="use a smaller data.batch_size with a larger accumulate, or precision: bf16",
        ) from error
    except torch.AcceleratorError as error:
        raise DeviceLostError(
            f"the device does not answer: {str(error).splitlines()[0]}",
            hint="run the same command again: it goes on from its last checkpoint",
        ) from error
