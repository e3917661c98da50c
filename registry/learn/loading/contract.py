"""What the numbers of a model's inputs mean: which bands, in which unit, scaled how."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version
    from registry.curate.features.statistics import Normalisation
    from registry.curate.features.work import AssetFacts
    from registry.learn.loading.asset_arrays import Arrays

__all__ = ["Band", "Chosen", "Contract", "Input", "of_version", "select"]

_LEVELS: Final = ("processing:level", "processing_level", "level")
_Taken = Mapping[str, tuple[str, Mapping[str, tuple[float, float]]]]
_TITLED: Final = re.compile(
    r"(?:\b|_)(?:msi)?l(?:evel)?[ _-]?([0-3][a-c]|[0-3])(?:\b|_)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band as it is stored, and what training normalises it by."""

    name: str
    """As the dataset's card has it."""

    common: str | None = None
    """Its common letter, such as ``N`` or ``N2``; None where it is not certain."""

    unit: str | None = None
    """Physical unit after scale and offset, such as ``reflectance``."""

    scale: float = 1.0
    """Factor from stored to physical values."""

    offset: float = 0.0
    """Added after scaling."""

    mean: float | None = None
    """Mean of the physical values of the training samples; None where none were taken."""

    std: float | None = None
    """Their standard deviation, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One asset that a model reads."""

    asset: str
    """The asset's name."""

    bands: tuple[Band, ...]
    """Its bands in the order that the model reads them, at least one."""

    gsd: float | None = None
    """Ground sampling distance in metres."""

    level: str | None = None
    """Processing level, such as ``L2A``."""

    nodata: float | None = None
    """Stored value that means that nothing was observed."""

    frames: int | None = None
    """Time steps that the model reads; None for a single image."""

    def __post_init__(self) -> None:
        if not self.bands:
            raise InvalidInputError(
                f"input '{self.asset}' has no band", hint="name the bands that the model reads"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a model reads, or what a version gives; travels with both."""

    inputs: tuple[Input, ...]
    """One an asset, in the order of the model's inputs."""

    statistics: str | None = None
    """Content id of the statistics that means and deviations are from."""

    def of(self, asset: str) -> Input:
        """Return what is said of one asset.

        Raises:
            InvalidInputError: Nothing is.
        """
        for one in self.inputs:
            if one.asset == asset:
                return one
        there = ", ".join(one.asset for one in self.inputs)
        raise InvalidInputError(f"there is no input '{asset}'", hint=f"there are {there}")

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Contract":
        """Return the contract that :meth:`to_document` wrote.

        Raises:
            InvalidInputError: It is not one.
        """
        try:
            inputs = tuple(
                Input(**{**one, "bands": tuple(Band(**band) for band in one["bands"])})
                for one in document["inputs"]
            )
        except (KeyError, TypeError) as error:
            raise InvalidInputError(
                f"that is no contract of a model's inputs: {error}",
                hint="take the one that the model's card holds",
            ) from error
        return cls(inputs=inputs, statistics=document.get("statistics"))


# --------------------------------------------------------------------------- what a version gives
Chosen = Sequence[str] | Mapping[str, Sequence[str]]
"""Bands by name or common letter: of the only asset, or of each."""


def of_version(
    version: "Version",
    *,
    assets: Sequence[str] | None = None,
    bands: Chosen | None = None,
    split: str = "default",
    subset: str = "train",
    fold: int | None = None,
    registry: "Registry | None" = None,
    compute_missing: bool = True,
) -> Contract:
    """Return what the arrays of a version mean, with what training normalises them by.

    Args:
        version: A version, or a draft.
        assets: Which assets, in the order of a model's inputs; by default all that are no labels,
            one called ``image`` first, then by name.
        bands: Which bands, by name or common letter, in this order; all in theirs if None.
        split: Split whose samples means and deviations are of; ``default`` stands for ``official``
            where there is no such split, and for all samples where there is none at all.
        subset: Subset of that split.
        fold: Which fold of a cross-validation is held out: nothing of it is looked at.
        registry: Where statistics that were not computed yet are kept.
        compute_missing: Whether to compute them; otherwise means and deviations are None where
            nobody did.

    Returns:
        One input an asset. A band's unit is ``DN`` where the card calls stored whole numbers
        reflectance without saying their scale.

    Raises:
        InvalidInputError: There is no such asset or band, or the arrays of one asset have several
            nodata values, or whole numbers and fractions.
        NotFoundError: The split has no such subset, or no pixel was observed in it.
    """
    from registry.curate.features.planning import asset_facts
    from registry.learn.loading.asset_arrays import arrays_of

    facts = sorted(asset_facts(version), key=lambda one: one.name != "image")
    known = {one.name: one for one in facts}
    names = (
        [name for name, one in known.items() if one.role == "data"] if assets is None else assets
    )
    if missing := [name for name in names if name not in known]:
        raise InvalidInputError(
            f"{version.ref} has no asset '{missing[0]}' with pixels",
            hint=f"it has {', '.join(known) or 'none'}",
        )
    if not names:
        raise InvalidInputError(
            f"{version.ref} has no asset of role 'data' with pixels",
            hint="say in the card which asset a model reads: role: data",
        )
    if labels := [name for name in names if known[name].role == "labels"]:
        raise InvalidInputError(
            f"asset '{labels[0]}' of {version.ref} holds labels, so no model reads it",
            hint="leave it out; loaders give it beside the inputs",
        )
    seen = arrays_of(version, names)
    if fold is None:
        taken = _statistics(
            version, names, split, subset, registry, compute_missing=compute_missing
        )
    else:
        taken = _of_folds(version, names, split, subset, fold) if compute_missing else {}
    inputs = tuple(
        _input(version, known[name], seen[name], taken[name][1] if name in taken else {})
        for name in names
    )
    ids = sorted({one for one, _ in taken.values()})
    whole = Contract(inputs=inputs, statistics=ids[0] if len(ids) == 1 else _joined_id(ids))
    return whole if bands is None else select(whole, bands)


def select(contract: Contract, bands: Chosen) -> Contract:
    """Return a contract with some of its bands, in another order.

    Args:
        contract: With more bands.
        bands: Names or common letters, in the order that is wanted.

    Raises:
        InvalidInputError: There is no such band, or several assets could be meant.
    """
    if not isinstance(bands, Mapping):
        if len(contract.inputs) > 1:
            raise InvalidInputError(
                f"bands {', '.join(bands)} could be of "
                f"{' or '.join(one.asset for one in contract.inputs)}",
                hint="say of which: bands={'s2': ['B04', 'B08']}",
            )
        bands = {contract.inputs[0].asset: bands}
    for asset in bands:
        contract.of(asset)
    return replace(
        contract,
        inputs=tuple(
            replace(one, bands=tuple(_band(one, name) for name in bands[one.asset]))
            if one.asset in bands
            else one
            for one in contract.inputs
        ),
    )


def _band(source: Input, said: str) -> Band:
    named = [one for one in source.bands if one.name == said]
    named = named or [one for one in source.bands if one.common == said]
    if len(named) == 1:
        return named[0]
    there = ", ".join(
        f"{one.name} ({one.common})" if one.common else one.name for one in source.bands
    )
    raise InvalidInputError(f"asset '{source.asset}' has no band '{said}'", hint=f"it has {there}")


def _input(
    version: "Version",
    facts: "AssetFacts",
    seen: "Arrays",
    taken: Mapping[str, tuple[float, float]],
) -> Input:
    names = facts.bands if len(facts.bands) == seen.bands else ()
    names = names or tuple(str(number + 1) for number in range(seen.bands))
    letters = facts.common if len(facts.common) == len(names) else (None,) * len(names)
    return Input(
        asset=facts.name,
        bands=tuple(
            Band(
                name=name,
                common=letters[number],
                unit=_unit(facts, seen, _of_band(facts.scale, number, 1.0)),
                scale=_of_band(facts.scale, number, 1.0),
                offset=_of_band(facts.offset, number, 0.0),
                mean=taken[name][0] if name in taken else None,
                std=taken[name][1] if name in taken else None,
            )
            for number, name in enumerate(names)
        ),
        gsd=facts.gsd or seen.gsd,
        level=_level(version, facts.name),
        nodata=next(iter(seen.nodata), None),
        frames=seen.frames,
    )


def _unit(facts: "AssetFacts", seen: "Arrays", scale: float) -> str | None:
    """Return a band's unit; ``DN`` for whole numbers that are called reflectance as they are."""
    from registry.learn.loading.units import DN, unit_of

    whole = all(one.startswith(("int", "uint")) for one in seen.dtypes)
    said = unit_of(facts.unit)
    bare = whole and scale == 1 and said.kind == "reflectance" and said.factor == 1
    return DN if bare else facts.unit


def _of_band(numbers: Sequence[float], number: int, neutral: float) -> float:
    if not numbers:
        return neutral
    return float(numbers[number] if number < len(numbers) else numbers[0])


def _level(version: "Version", asset: str) -> str | None:
    spec = version.spec.assets.get(asset)
    said = [*(spec.extra.get(key) for key in _LEVELS)] if spec else []
    said += [version.spec.extra.get(key) for key in _LEVELS]
    for one in said:
        if isinstance(one, str) and one:
            match = _TITLED.search(one)
            return f"L{match[1].upper()}" if match else one
    match = _TITLED.search(f"{asset} {(spec.title if spec else None) or ''}")
    return f"L{match[1].upper()}" if match else None


def _statistics(
    version: "Version",
    names: Sequence[str],
    split: str,
    subset: str,
    registry: "Registry | None",
    *,
    compute_missing: bool,
) -> _Taken:
    """Return the content id of the statistics, and mean and deviation a band, by asset."""
    from registry.catalog.splits import in_lab_words, usual_split
    from registry.curate.features.cells import EVERYTHING
    from registry.curate.features.normalising import normalisations
    from registry.curate.features.statistics import normalisation

    if compute_missing:
        found = normalisations(version, names, split=split, subset=subset, registry=registry)
    else:
        try:
            name = usual_split(version, split)
            of = EVERYTHING if name is None else (name, in_lab_words(subset))
            found = {
                one: normalisation(version, one, split=of[0], subset=of[1], physical=True)
                for one in names
            }
        except (NotFoundError, InvalidInputError):  # nobody did, or for none that is meant
            return {}
    return _taken(found)


def _of_folds(
    version: "Version", names: Sequence[str], split: str, subset: str, fold: int
) -> _Taken:
    """Return the same of the folds that are not held out."""
    from registry.curate.features.normalising import normalisations_of
    from registry.learn.loading.choosing import choose

    splits = None if split == "default" else split
    ids = choose(version, split=subset, splits=splits, fold=fold).ids
    return _taken(normalisations_of(version, names, ids))


def _taken(found: "Mapping[str, Normalisation]") -> _Taken:
    return {
        asset: (
            one.content_id,
            dict(zip(one.bands, zip(one.mean, one.std, strict=True), strict=True)),
        )
        for asset, one in found.items()
    }


def _joined_id(ids: Sequence[str]) -> str | None:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest() if ids else None
