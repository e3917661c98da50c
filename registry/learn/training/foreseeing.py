"""What would end a run after long work, looked at before any: names, weights, bands, splits."""

from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.models.shelf import check_name, resolve
from registry.learn.training.recipe import Recipe

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["called", "foresee"]


def called(recipe: Recipe, *, name: str | None = None, smoke: bool = False) -> str:
    """Return the name of the model that a run makes.

    A smoke run has a name of its own by default, so that nobody takes its model for a real one.

    Args:
        recipe: What is learnt.
        name: The one that was asked for; None for the usual one.
        smoke: Whether it learns from simulated samples.

    Raises:
        InvalidInputError: No model can have that name.
    """
    usual = f"{recipe.name}-smoke" if smoke else recipe.name
    return check_name(usual if name is None else name)


def foresee(registry: "Registry", recipe: Recipe) -> None:
    """Refuse a run on real samples that cannot go through, without torch and without pixels.

    Args:
        registry: Where the data and models are.
        recipe: What is learnt.

    Raises:
        InvalidInputError: The recipe names no dataset, or a band or asset that is not there, or
            the data have nothing of what it learns.
        NotFoundError: There is no such version, split, model or file of weights.
        ContractMismatchError: The model to begin with reads other bands.
    """
    from registry.learn.loading import contract as contracts
    from registry.learn.loading.choosing import split_table
    from registry.learn.training.beginning import check_bands
    from registry.learn.training.heads import heads_of
    from registry.learn.training.material import split_of_tests
    from registry.learn.training.truths import check_truths
    from registry.query.sources import resolved

    data, init = recipe.data, recipe.init
    if not data.refs:
        raise InvalidInputError(
            f"recipe '{recipe.name}' names no dataset", hint="name one: --data burnscars@v1"
        )
    if init.weights is not None and init.model is None and not Path(init.weights).is_file():
        raise NotFoundError(
            f"there is no file of weights '{init.weights}'",
            hint="name one that is there: --set init.weights=PATH",
        )
    parent = None if init.model is None else resolve(registry, init.model)
    first, *others = [resolved(registry, ref) for ref in data.refs]
    for version in (first, *others):
        if recipe.pretrains:
            split_of_tests(version, recipe)
        else:
            split_table(version, data.splits)
    check_truths(first, recipe)
    heads_of(first, recipe)
    mine = contracts.of_version(
        first, assets=data.assets, bands=data.bands, registry=registry, compute_missing=False
    )
    if parent is not None:
        check_bands(parent, mine)
