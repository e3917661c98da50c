"""Train a recipe: data, model, loop, card."""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from registry.cache import cache_folder
from registry.errors import ConflictError
from registry.learn.models.card import Card, Lineage
from registry.learn.training.foreseeing import called, foresee
from registry.learn.training.recipe import Recipe, named
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    import lightning
    from torch import nn

    from registry.catalog.registry import Registry
    from registry.learn.models.shelf import Model
    from registry.learn.training.loop import Fitted
    from registry.learn.training.material import Material

__all__ = ["Run", "fit", "train"]

_LOG = logging.getLogger("eolab.training")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe that ran."""

    recipe: Recipe
    """As it ran."""

    card: Card
    """What is said of the model."""

    material: "Material"
    """What it learnt from."""

    network: "nn.Module"
    """With the weights that were kept."""

    fitted: "Fitted"
    """Weights, figures and their history."""


def train(  # noqa: PLR0913 — what a run depends on
    registry: "Registry",
    recipe: Recipe | str,
    *,
    seed: int | None = None,
    smoke: bool = False,
    resume: bool = True,
    name: str | None = None,
    workdir: Path | None = None,
    progress: Progress = SILENT,
    overrides: Mapping[str, Any] = _NOTHING,
) -> "Model | None":
    """Train a recipe and keep what comes of it as a model's next version.

    Started by ``torchrun`` in several processes, they share the work and the first one writes.

    Args:
        registry: Where the data are, and where the model is kept.
        recipe: A recipe, or the name of one as :func:`registry.learn.training.recipe.named` takes.
        seed: What chance starts from; the recipe's first if None.
        smoke: Whether to run all of it on simulated samples, to see that it runs.
        resume: Whether to go on from the checkpoint of a run that ended early.
        name: Of the model; the recipe's if None, with ``-smoke`` after it in a smoke run.
        workdir: Where checkpoints lie; below the lab's cache if None.
        progress: Told of steps.
        overrides: Values of the recipe by path, such as ``{"data.batch_size": 8}``.

    Returns:
        The model's new version; None in processes that do not write.

    Raises:
        InvalidInputError: The recipe and the data do not fit, or no sample is left.
        NotFoundError: There is no such recipe, version or split.
        ConflictError: Another process runs the same.
        RejectedError: A class has no sample, a chip cannot be read, the loss is no number.
        UnavailableError: The disk is full, the device is lost, or the run was asked to end.
    """
    from registry.learn.models import shelf

    made = named(recipe) if isinstance(recipe, str) else recipe
    made = made.replaced(overrides) if overrides else made
    chosen = made.seeds[0] if seed is None else seed
    name = called(made, name=name, smoke=smoke)
    if not smoke:
        foresee(registry, made)
    folder = workdir or _folder(registry, made, chosen, smoke=smoke)
    with _alone(folder, made):
        run = fit(registry, made, seed=chosen, smoke=smoke, resume=resume, workdir=folder,
                  name=name, progress=progress)  # fmt: skip
        if not _writes():
            return None
        with _pictures(run, smoke=smoke) as files:
            model = shelf.save(
                registry, run.card, dict(run.fitted.weights), files=files,
                message=f"train {made.name}, seed {chosen}{', smoke' if smoke else ''}",
            )  # fmt: skip
        if workdir is None:
            shutil.rmtree(folder, ignore_errors=True)
    return model


def fit(
    registry: "Registry",
    recipe: Recipe,
    *,
    seed: int,
    workdir: Path,
    smoke: bool = False,
    resume: bool = False,
    name: str | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Train a recipe without keeping a model.

    Args:
        registry: Where the data are.
        recipe: What is learnt.
        seed: What chance starts from.
        workdir: Where checkpoints lie.
        smoke: Whether to learn from simulated samples.
        resume: Whether to go on from a checkpoint.
        name: Of the model, on its card.
        progress: Told of steps.

    Returns:
        The network, its card and the history.

    Raises:
        RegistryError: As :func:`train`.
    """
    import torch

    from registry.learn.training import beginning, checkpoints, domain, loop
    from registry.learn.training.material import gather
    from registry.learn.training.smoke import smoked
    from registry.learn.training.tasks import Task

    with (
        smoked(recipe, seed=seed) if smoke else nullcontext((registry, recipe)) as (
            source,
            ran,
        ),
        _reproducible(ran),
    ):
        # Data
        fabric = _fabric(ran)
        material = gather(source, ran, seed=seed, rank=fabric.global_rank, world=fabric.world_size)
        if _writes():
            for said in material.said:
                _LOG.info("training %s: %s", ran.name, said)
        # Model
        torch.manual_seed(loop.chance(seed, "weights"))
        network = _network(ran, material)
        lineage = beginning.begin(
            registry, network, ran, contract=material.contract, lineage=material.lineage
        )
        going_on = resume and (workdir / checkpoints.LAST).is_file()
        beginning.noted(workdir, lineage, going_on=going_on, writes=_writes())
        steps = loop.steps_of(ran.epochs, len(material.train), ran.accumulate, ran.steps)
        task = Task(
            network, recipe=ran, heads=material.heads, contract=material.contract, steps=steps,
            weights=_class_weights(ran, material),
        )  # fmt: skip
        if ran.compile:
            network.compile()
        # Loop
        fitted = loop.fit(
            task, train=material.train, validate=material.validate, seed=seed, folder=workdir,
            fabric=fabric, resume=resume, progress=progress,
        )  # fmt: skip
        network = _network(ran, material)  # the one that learnt may be on a device, or in parts
        network.load_state_dict(dict(fitted.weights))
        network.eval()
        # Card
        card = _card(ran, material, fitted, lineage=lineage, seed=seed, smoke=smoke, name=name)
        if not smoke and _writes():
            card = replace(card, domain=domain.measured(network, material))
    return Run(recipe=ran, card=card, material=material, network=network, fitted=fitted)


def _network(recipe: Recipe, material: "Material") -> "nn.Module":
    from registry.learn.models.factory import build

    return build(
        recipe.architecture, contract=material.contract, heads=material.heads,
        size=_size(recipe, material), trust=True,
    )  # fmt: skip


def _card(
    recipe: Recipe,
    material: "Material",
    fitted: "Fitted",
    *,
    lineage: Lineage,
    seed: int,
    smoke: bool,
    name: str | None,
) -> Card:
    return Card(
        name=called(recipe, name=name, smoke=smoke),
        architecture=recipe.architecture,
        heads=material.heads,
        contract=material.contract,
        size=_size(recipe, material),
        lineage=lineage,
        recipe=recipe.to_document(),
        metrics={} if smoke else fitted.figures,
        seed=seed,
        code_version=installed("eo-training-data-lab"),
        licence=recipe.licence,
        smoke=smoke,
    )


def _size(recipe: Recipe, material: "Material") -> tuple[int, int] | None:
    """Return height and width of what the network reads: of a crop, or of the first sample."""
    import pyarrow.compute as pc

    sizes = [one.partition(":")[2] for one in recipe.data.augment if one.startswith("crop:")]
    if sizes:
        height, _, width = sizes[0].partition("x")
        return int(height), int(width or height)
    if recipe.data.crop is not None:
        return recipe.data.crop
    first = material.versions[0]
    rows = first.table("assets", ["asset", "shape"])
    shapes = rows.filter(pc.equal(rows["asset"], material.contract.inputs[0].asset))["shape"]
    if not len(shapes):
        return None
    *_, height, width = shapes[0].as_py()
    return int(height), int(width)


def _class_weights(recipe: Recipe, material: "Material") -> dict[str, Any]:
    import torch

    weights: dict[str, Any] = {}
    for head, said in zip(material.heads, recipe.heads, strict=True):
        if said.class_weights == "balanced":
            weights[head.name] = torch.from_numpy(material.spreads[head.name].balanced)
        elif said.class_weights != "none":
            weights[head.name] = torch.tensor(said.class_weights, dtype=torch.float32)
    return weights


def _fabric(recipe: Recipe) -> "lightning.Fabric":
    """Return the devices; several processes where ``torchrun`` started them."""
    import lightning
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning.fabric.strategies.ddp import DDPStrategy
    from lightning.fabric.strategies.fsdp import FSDPStrategy

    # It tells that the recipe's precision is used, by the name of whichever part came first.
    for part in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(part).setLevel(logging.WARNING)
    precision: Any = _PRECISION[recipe.precision]
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        alone: Any = [LightningEnvironment()]  # even inside of a job of Slurm
        return lightning.Fabric(accelerator="auto", devices=1, precision=precision, plugins=alone)
    here = TorchElasticEnvironment()
    strategy: Any = (
        FSDPStrategy(cluster_environment=here, state_dict_type="full")
        if recipe.strategy == "fsdp"
        else DDPStrategy(cluster_environment=here, find_unused_parameters=True)
    )
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    fabric = lightning.Fabric(
        accelerator="auto", devices=local, num_nodes=world // local, strategy=strategy,
        precision=precision,
    )  # fmt: skip
    fabric.launch()
    return fabric


@contextmanager
def _reproducible(recipe: Recipe) -> Iterator[None]:
    """Let torch use operations that give the same bits each time."""
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Some operations have no such form on a GPU; there they only warn.
    on_gpu = torch.cuda.is_available()
    torch.use_deterministic_algorithms(recipe.deterministic, warn_only=on_gpu)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


def _writes() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _alone(folder: Path, recipe: Recipe) -> Iterator[None]:
    """Keep others from the checkpoints of a run while it goes on.

    Yields:
        Nothing.

    Raises:
        ConflictError: Another process runs the same.
    """
    if not _writes():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(
                f"another process runs '{recipe.name}' with this seed on these data",
                hint="wait for it, or take another --seed",
            ) from error
        yield


def _folder(registry: "Registry", recipe: Recipe, seed: int, *, smoke: bool) -> Path:
    """Return where the checkpoints of a run lie: the same for the same run."""
    import hashlib

    found = "smoke" if smoke else ",".join(
        registry.resolve(ref).content_id for ref in recipe.data.refs
    )  # fmt: skip
    said = f"{registry.lake.address}/{recipe.id}/{found}/{seed}"
    digest = hashlib.sha256(said.encode()).hexdigest()
    return cache_folder("training", f"{recipe.name}-{digest[:16]}")


@contextmanager
def _pictures(run: Run, *, smoke: bool) -> Iterator[dict[str, Path]]:
    from registry.learn.training.drawing import files_of

    with tempfile.TemporaryDirectory(prefix="eolab-run-") as folder:
        yield files_of(run, Path(folder), figures=not smoke)
