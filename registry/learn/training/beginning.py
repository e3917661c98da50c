"""Weights to begin with: of a model of the lake, or of a file."""

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

__all__ = ["begin", "check_bands"]

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

    said = recipe.init
    if said.model is not None:
        from registry.learn.models import shelf

        parent = shelf.resolve(registry, said.model)
        check_bands(parent, contract)
        _fill(network, _of_model(parent), parent.ref)
        before = parent.card.lineage
        learnt = () if before is None else (*before.dataset.split(","), *before.pretrained_on)
        lineage = replace(lineage, parent=parent.ref, pretrained_on=tuple(dict.fromkeys(learnt)))
    elif said.weights is not None:
        _fill(network, _of_file(Path(said.weights)), Path(said.weights).name)
        lineage = replace(lineage, parent=Path(said.weights).name)
    elif said.freeze:
        raise InvalidInputError(
            f"recipe '{recipe.name}' freezes an encoder that learnt nothing",
            hint="say what it begins with (init.model), or leave init.freeze out",
        )
    if said.freeze:
        freeze(network, "encoder")
    return lineage


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
