"""Weights to begin with: of a model of the lake, or of a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Band, Contract
from registry.learn.loading.conversion import ContractMismatchError
from registry.learn.models.architecture import HeadTask
from registry.learn.models.card import Lineage
from registry.learn.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from registry.catalog.registry import Registry
    from registry.learn.models.shelf import Model

__all__ = ["BEGAN", "begin", "check_bands", "noted"]

BEGAN: Final = "began.json"
"""In a run's folder: which weights it began with, and their hash."""


_LEAST: Final = 0.1  # of an encoder's tensors; one or two may fit by accident
_PRETRAINED: Final = frozenset({HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE})


def begin(
    registry: "Registry",
    network: "nn.Module",
    recipe: Recipe,
    *,
    contract: Contract,
    lineage: Lineage,
) -> Lineage:
    """Put the weights that a recipe begins with into a network.

    Args:
        registry: Where models are.
        network: Filled in place; its encoder is frozen where the recipe says so.
        recipe: Says which weights.
        contract: What the network reads.
        lineage: Of the model to be.

    Returns:
        The lineage with the parent, and what that was pretrained on.

    Raises:
        ContractMismatchError: The model read other bands, or in another order.
        InvalidInputError: The weights do not fit.
        NotFoundError: There is no such model or file.
    """
    from registry.learn.models.factory import freeze
    from registry.learn.models.weights import digest

    said = recipe.init
    if said.model is not None:
        from registry.learn.models import shelf

        parent = shelf.resolve(registry, said.model)
        check_bands(parent, contract)
        _fill(network, _of_model(parent), parent.ref)
        before = parent.card.lineage
        met = () if before is None else (*before.met(), *before.met_before())
        lineage = replace(
            lineage, parent=parent.ref, parent_sha256=parent.card.weights_sha256,
            pretrained_on=tuple(dict.fromkeys(one.ref for one in met)),
            learned_before=tuple(dict.fromkeys(met)),
        )  # fmt: skip
    elif said.weights is not None:
        path = Path(said.weights)
        _fill(network, _of_file(path), path.name)
        lineage = replace(lineage, parent=path.name, parent_sha256=digest(path))
    elif said.freeze:
        raise InvalidInputError(
            f"recipe '{recipe.name}' freezes an encoder that learnt nothing",
            hint="say what it begins with (init.model), or leave init.freeze out",
        )
    if said.freeze:
        freeze(network, "encoder")
    return lineage


def noted(folder: Path, lineage: Lineage, *, going_on: bool, writes: bool) -> None:
    """Note beside a run's checkpoints which weights it begins with; or see that they are the same.

    Args:
        folder: Of the run.
        lineage: Of the model to be, with its parent.
        going_on: Whether the run goes on from a checkpoint.
        writes: Whether this process is the one that writes.

    Raises:
        InvalidInputError: It began with other weights.
    """
    from registry.learn.training import checkpoints

    path = folder / BEGAN
    now = {"parent": lineage.parent, "sha256": lineage.parent_sha256}
    if going_on and path.is_file():
        before = json.loads(path.read_bytes())
        if before != now:
            said = [f"{one['parent']} (SHA-256 {one['sha256']})" for one in (before, now)]
            raise InvalidInputError(
                f"the run began with {said[0]}, and would go on as one that began with {said[1]}",
                hint="put the weights back, or begin anew: run the same with --fresh",
            )
    elif writes:
        checkpoints.written(folder, BEGAN, lambda begun: begun.write_text(json.dumps(now)))


def _fill(network: "nn.Module", state: "Mapping[str, Tensor]", name: str) -> None:
    """Put weights into a network, unless all but a few happen to be of another one.

    Raises:
        InvalidInputError: They are of another encoder.
    """
    from registry.learn.models.factory import initialise

    loaded, missing = initialise(network, state)
    found, lacking = (
        sum("encoder" in one.split(".") for one in names) for names in (loaded, missing)
    )
    if found < _LEAST * (found + lacking):
        raise InvalidInputError(
            f"of the {found + lacking} tensors of the network's encoder, {name} has {found}",
            hint="begin with weights of this architecture, or name theirs in the recipe",
        )


def check_bands(parent: "Model", mine: Contract) -> None:
    """Refuse weights whose first bands are others than the network's.

    Args:
        parent: The model that a network begins with.
        mine: What the network reads.

    Raises:
        ContractMismatchError: They are.
    """
    if not parent.card.contract.inputs:
        return
    theirs, ours = parent.card.contract.inputs[0].bands, mine.inputs[0].bands
    same = len(theirs) >= len(ours) and all(map(_alike, theirs, ours))
    if not same:
        names = [", ".join(band.name for band in bands) for bands in (theirs, ours)]
        raise ContractMismatchError(
            f"{parent.ref} reads bands {names[0]}; this recipe reads {names[1]}",
            hint="say which bands, in the model's order: "
            f"--set 'data.bands=[{', '.join(band.common or band.name for band in theirs)}]'",
        )


def _alike(one: Band, other: Band) -> bool:
    return one.name == other.name or (one.common is not None and one.common == other.common)


def _of_model(parent: "Model") -> "Mapping[str, Tensor]":
    """Return the weights of a model; of one that was pretrained those of its encoder alone."""
    from registry.learn.models import shelf
    from registry.learn.models.opening import WEIGHTS_ALONE, network
    from registry.learn.models.weights import read

    pretrained = any(head.task in _PRETRAINED for head in parent.card.heads)
    if parent.card.architecture.factory == WEIGHTS_ALONE or not pretrained:
        return read(parent.path(shelf.WEIGHTS))
    state: Mapping[str, Tensor] = cast("Any", network(parent)).encoder_state()
    return state


def _of_file(path: Path) -> "dict[str, Tensor]":
    from registry.learn.models.weights import as_safetensors, read

    return dict(read(as_safetensors(path)))
