"""What a run learns from: versions, what their numbers mean, heads, batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from registry.catalog.version import Version
from registry.errors import InvalidInputError
from registry.learn.loading import contract as contracts
from registry.learn.loading.choosing import BUT_TEST, Choice, choose, split_table
from registry.learn.loading.contract import Contract
from registry.learn.loading.preparing import having
from registry.learn.models.architecture import Head
from registry.learn.models.card import Learned, Lineage
from registry.learn.training.heads import KINDS, Spread, heads_of, masks_of, spread_of
from registry.learn.training.recipe import Recipe

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.learn.loading.torch import Loader as Stored
    from registry.learn.training.loader import Loader

__all__ = ["PREFETCH", "Material", "gather", "split_of_tests"]

PREFETCH: Final = 2
"""Batches that are made ahead: one is ready even where another comes late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All that a run reads."""

    versions: tuple[Version, ...]
    """What is learnt from, at least one."""

    contract: Contract
    """What the network reads."""

    heads: tuple[Head, ...]
    """What it answers."""

    spreads: Mapping[str, Spread]
    """By head: how its truth is spread over the training samples."""

    train: "Loader" = field(repr=False)
    """Batches to learn from."""

    validate: "Loader | None" = field(repr=False)
    """Batches to measure on, this process's part of them; None in pretraining."""

    held: "Loader | None" = field(repr=False)
    """All samples to measure on, in their order; None in pretraining."""

    plain: "Loader" = field(repr=False)
    """Training samples as they are, in their order."""

    lineage: Lineage
    """What the model will be made of."""

    said: tuple[str, ...] = ()
    """What is left out of the versions and of their subsets, a line each."""


def gather(
    registry: "Registry", recipe: Recipe, *, seed: int, rank: int = 0, world: int = 1
) -> Material:
    """Return what a recipe learns from, looked through before anything starts.

    Args:
        registry: Where its versions are.
        recipe: What is learnt.
        seed: Of the run: which share of the labels is used, and the order of batches.
        rank: Which process this is, from 0.
        world: How many processes share each batch.

    Raises:
        InvalidInputError: There is no sample to learn or to measure, a class has none, or the
            batch cannot be shared.
        NotFoundError: There is no such version or split.
    """
    data = recipe.data
    if not data.refs:
        raise InvalidInputError(
            f"recipe '{recipe.name}' names no dataset", hint="name one: --data burnscars@v1"
        )
    if data.batch_size % world:
        raise InvalidInputError(
            f"{world} processes cannot share batches of {data.batch_size}",
            hint="set data.batch_size to a multiple of the number of processes",
        )
    versions = tuple(registry.resolve(ref) for ref in data.refs)
    first = versions[0]
    choices = [_chosen(one, recipe) for one in versions]
    meant = [  # says if there is nothing to learn from
        choose(one, registry=registry, **said) for one, said in zip(versions, choices, strict=True)
    ]
    spared = [
        _left_out(registry, *each) for each in zip(versions, choices, meant, strict=True)
    ]  # fmt: skip
    chosen = choices[0]
    held = None if recipe.pretrains else _held(first, chosen)
    contract = _contract(registry, first, recipe, chosen)
    need = [one.asset for one in contract.inputs]
    lacking: list[str] = []  # filled by whatever leaves samples without any input out
    if data.fraction < 1:
        for one, said, found in zip(versions, choices, meant, strict=True):
            some, lines = having(one, found, need)
            said["slice"] = _fraction(registry, one, some, data.fraction, seed)
            lacking += lines
    heads = heads_of(first, recipe)
    heads, spreads = spread_of(registry, first, recipe, heads, chosen, need=need)
    common = {
        "registry": registry, "contract": contract, "labels": _kinds(heads), "masks": heads,
        "recipe": recipe, "seed": seed, "lacking": lacking,
    }  # fmt: skip
    share = {"batch_size": data.batch_size // world, "rank": rank, "world": world}
    train = _train(versions, recipe, choices, common, share)
    validate = whole = None
    if held is not None:
        validate, whole = _measured(first, {**common, **held}, rank=rank, world=world)
    alone = {"batch_size": data.batch_size, "rank": 0, "world": 1}
    return Material(
        versions=versions,
        contract=contract,
        heads=heads,
        spreads=spreads,
        train=train,
        validate=validate,
        held=whole,
        plain=_loader(first, {**common, **chosen, **alone}, shuffle=False),
        lineage=_lineage(versions, recipe, choices),
        said=(
            *(line for line in spared if line is not None),
            *dict.fromkeys(lacking),
        ),
    )


def split_of_tests(version: Version, recipe: Recipe) -> str | None:
    """Return the name of the split whose tests pretraining leaves out; None where it leaves none.

    Args:
        version: What is learnt from.
        recipe: Says whether it does, and which split is meant.

    Raises:
        NotFoundError: The version has splits, but none of that name.
        InvalidInputError: It has several, and nothing says which is meant.
    """
    split = any(name.startswith("splits/") for name in version.tables())
    if not split or recipe.data.subset == "all":
        return None
    return split_table(version, recipe.data.splits)


def _chosen(version: Version, recipe: Recipe) -> dict[str, Any]:
    """Return how a stream chooses the training samples."""
    said: dict[str, Any] = {}
    if recipe.data.slice is not None:
        said["slice"] = recipe.data.slice
    if recipe.pretrains:
        split = split_of_tests(version, recipe)
        return said if split is None else {**said, "split": BUT_TEST, "splits": split}
    return {**said, "split": "train", "splits": split_table(version, recipe.data.splits)}


def _held(version: Version, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a stream chooses the samples to measure on.

    Raises:
        InvalidInputError: There are none.
    """
    held = {"split": "validate", "splits": chosen["splits"]}
    try:
        choose(version, **held)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"splits/{chosen['splits']} of {version.ref} has no sample to validate on",
            hint=f"split it with a share to validate: eolab split {version.ref}",
        ) from error
    return held


def _fraction(
    registry: "Registry", version: Version, chosen: Choice, share: float, seed: int
) -> str:
    """Keep some of the training samples as a slice, of each label alike, and return its id.

    A larger share holds all samples of a smaller one of the same seed.

    Returns:
        32 hex digits.
    """
    from registry.learn.training.fractions import kept_slice

    return kept_slice(registry, version, chosen.ids.to_pylist(), share=share, seed=seed)


def _contract(
    registry: "Registry", version: Version, recipe: Recipe, chosen: Mapping[str, Any]
) -> Contract:
    made = contracts.of_version(
        version, assets=recipe.data.assets, bands=recipe.data.bands, registry=registry,
        split=chosen.get("splits", "default"),
    )  # fmt: skip
    if recipe.data.frames is None:
        return made
    return replace(
        made,
        inputs=tuple(
            one if one.frames is None else replace(one, frames=recipe.data.frames)
            for one in made.inputs
        ),
    )


def _kinds(heads: tuple[Head, ...]) -> tuple[str, ...]:
    kinds = [KINDS[head.task] for head in heads]
    return tuple(dict.fromkeys(kind for kind in kinds if kind is not None))


def _train(
    versions: tuple[Version, ...],
    recipe: Recipe,
    choices: Sequence[Mapping[str, Any]],
    common: Mapping[str, Any],
    share: Mapping[str, Any],
) -> "Loader":
    from registry.learn.training.mixing import Beside, InTurn, Permuted

    augment = () if recipe.data.permute_labels else recipe.data.augment
    every = [{**common, **chosen, **share, "augment": augment} for chosen in choices]
    loaders = [
        _loader(version, said, shuffle=True) for version, said in zip(versions, every, strict=True)
    ]
    made = loaders[0] if len(loaders) == 1 else InTurn(loaders)
    if recipe.data.permute_labels and not recipe.pretrains:
        alone = {"batch_size": recipe.data.batch_size, "rank": 0, "world": 1}
        whole = _loader(versions[0], {**common, **choices[0], **alone}, shuffle=False)
        return Permuted(made, whole=whole, seed=common["seed"])
    if recipe.semi is None:
        return made
    everything = {**every[0], "slice": recipe.data.slice}  # not that of a share of the labels
    return Beside(made, _loader(versions[0], everything, shuffle=True))


def _measured(
    version: Version, said: Mapping[str, Any], *, rank: int, world: int
) -> "tuple[Loader, Loader]":
    """Return a process's part of the batches to measure on, and all of them."""
    from registry.learn.training.mixing import Once
    from registry.learn.training.sharing import Part

    data = said["recipe"].data
    size = {"batch_size": data.batch_size}
    whole = _loader(version, {**said, **size, "rank": 0, "world": 1}, shuffle=False)
    if data.on_error == "skip":  # what stands in may be another process's, so all measure all
        once = Once(whole)
        return once, once
    if world == 1:
        return whole, whole
    mine = _loader(version, {**said, **size, "rank": rank, "world": world}, shuffle=False)
    return Part(mine, samples=len(whole.stream.ids), rank=rank, world=world), whole


def _loader(version: Version, said: Mapping[str, Any], *, shuffle: bool) -> "Stored":
    from registry.learn.loading import torch as adapter

    said = dict(said)
    recipe, heads, contract = said.pop("recipe"), said.pop("masks"), said.pop("contract")
    lacking = said.pop("lacking")
    assets = (*(one.asset for one in contract.inputs), *masks_of(heads))
    made = adapter.loader(
        version,
        contract=contract,
        assets=assets,
        shuffle=shuffle,
        crop=recipe.data.crop,
        frames=recipe.data.frames,
        on_error=recipe.data.on_error,
        threads=recipe.data.threads,
        pin=True,  # where there is a GPU, it reads the next batch while it computes
        prefetch=PREFETCH,
        **said,
    )
    for head in heads:
        mask = made.feed.masks.get(head.asset or "")
        _check_numbers(version, head, made.stream.classes if mask is None else mask.classes)
    lacking += made.stream.left_out
    return made


def _check_numbers(version: Version, head: Head, there: tuple[str, ...]) -> None:
    """Refuse a head whose classes have other numbers than the batches give them.

    Raises:
        InvalidInputError: They have.
    """
    if any(mine != theirs for mine, theirs in zip(head.classes, there, strict=False)):
        raise InvalidInputError(
            f"head '{head.name}' numbers its classes {', '.join(head.classes)}; {version.ref} "
            f"numbers them {', '.join(there)}",
            hint="leave heads.0.classes out, or name them in that order; versions that are learnt "
            "from together need cards that agree",
        )


def _left_out(
    registry: "Registry", version: Version, chosen: Mapping[str, Any], found: Choice
) -> str | None:
    """Return a line on the samples of tests that pretraining leaves out; None if it leaves none."""
    if chosen.get("split") != BUT_TEST:
        return None
    wider = {key: value for key, value in chosen.items() if key not in {"split", "splits"}}
    there, taken = len(choose(version, registry=registry, **wider).ids), len(found.ids)
    if taken == there:
        return None
    return (
        f"{there - taken:,} of {there:,} samples of {version.ref} are left out: "
        f"splits/{found.splits} calls them test; data.subset=all takes them too"
    )


def _lineage(
    versions: tuple[Version, ...], recipe: Recipe, choices: Sequence[Mapping[str, Any]]
) -> Lineage:
    learned = tuple(
        _learned(version, recipe, one) for version, one in zip(versions, choices, strict=True)
    )
    own = None if recipe.pretrains else learned[0]
    return Lineage(
        dataset=",".join(f"{one.dataset}@{one.label}" for one in versions),
        content_id=",".join(one.content_id for one in versions),
        commit=",".join(one.commit.id for one in versions),
        split=None if own is None else own.split,
        split_id=None if own is None else own.split_id,
        slice=choices[0].get("slice"),
        learned=learned,
    )


def _learned(version: Version, recipe: Recipe, chosen: Mapping[str, Any]) -> Learned:
    split = chosen.get("splits")
    return Learned(
        ref=f"{version.dataset}@{version.label}",
        subsets="all" if split is None else "but-test" if recipe.pretrains else "train",
        split=split,
        split_id=None if split is None else version.data_id_of(f"splits/{split}"),
        slice=recipe.data.slice if recipe.semi is not None else chosen.get("slice"),
    )
