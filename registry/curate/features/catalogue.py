"""Which feature sets there are: the lab's own, those of installed packages, a user's file."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final

from registry.curate.features.definition import FeatureSet
from registry.errors import InvalidInputError, NotFoundError, UnavailableError

__all__ = ["BUILT_IN", "ENTRY_POINTS", "FeatureSetNotFoundError", "feature_set", "names", "one"]

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType({
    "bands": "registry.curate.features.sets.bandstats:BANDS",
    "climate": "registry.curate.features.sets.climate:CLIMATE",
    "context": "registry.curate.features.sets.context:CONTEXT",
    "embeddings": "registry.curate.features.sets.embeddings:EMBEDDINGS",
    "labels": "registry.curate.features.sets.labels:LABELS",
    "radar": "registry.curate.features.sets.radar:RADAR",
    "spectral": "registry.curate.features.sets.spectral:SPECTRAL",
    "statistics": "registry.curate.features.statistics:STATISTICS",
    "temporal": "registry.curate.features.sets.temporal:TEMPORAL",
    "terrain": "registry.curate.features.sets.terrain:TERRAIN",
    "texture": "registry.curate.features.sets.texture:TEXTURE",
    "zones": "registry.curate.features.sets.zones:ZONES",
})
"""The lab's own sets: where each is, as ``module:ATTRIBUTE``; imported when it is asked for."""

ENTRY_POINTS: Final = "eolab.features"
"""Group of entry points under which a package offers sets; their names are the sets'."""


class FeatureSetNotFoundError(NotFoundError):
    """No feature set has this name."""

    code = "feature-set-not-found"


def names() -> list[str]:
    """Return the names of the sets that are there, sorted; the lab's own and packages'."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def one(name: str) -> FeatureSet:
    """Return a set by its name, as it is without parameters.

    Raises:
        FeatureSetNotFoundError: There is none of that name.
        UnavailableError: A package that it stands on is not installed.
    """
    return feature_set(name, {})


def feature_set(name: str, parameters: Mapping[str, Any]) -> FeatureSet:
    """Return a set by its name.

    Args:
        name: The lab's own, or that of an entry point.
        parameters: For a set that takes some, such as a model's file; else empty.

    Returns:
        The set. One that takes parameters says them in its recipe.

    Raises:
        FeatureSetNotFoundError: There is none of that name.
        InvalidInputError: It takes no parameters, or is no feature set.
        UnavailableError: A package that it stands on is not installed.
    """
    made = _load(name)
    if not isinstance(made, FeatureSet):
        raise InvalidInputError(
            f"'{name}' is {type(made).__name__}, no feature set",
            hint=f"let its entry point in {ENTRY_POINTS} name a FeatureSet",
        )
    if not parameters:
        return made
    if made.variant is None:
        raise InvalidInputError(
            f"feature set '{name}' takes no parameters, but {', '.join(sorted(parameters))} came",
            hint=f"leave them out; see eolab features show {name}",
        )
    try:
        return made.variant(**parameters)
    except TypeError as error:
        raise InvalidInputError(
            f"feature set '{name}' does not take these parameters: {error}",
            hint=f"see eolab features show {name}",
        ) from error


@cache
def _address(name: str) -> str:
    if name in BUILT_IN:
        return BUILT_IN[name]
    offered = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    if name not in offered:
        raise FeatureSetNotFoundError(
            f"there is no feature set '{name}'",
            hint=f"choose one of {', '.join(names())}, or give a file of your own: ./mine.yaml",
        )
    return offered[name]


@cache
def _load(name: str) -> Any:  # noqa: ANN401 — whatever a package offers; checked by the caller
    module, _, attribute = _address(name).partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise UnavailableError(
                f"feature set '{name}' is not in this installation: no module {error.name}",
                hint="choose another: eolab features list",
            ) from error
        raise UnavailableError(
            f"feature set '{name}' needs the package '{error.name}'",
            hint="pip install 'eo-training-data-lab[features]'",
        ) from error
    try:
        return getattr(found, attribute)
    except AttributeError as error:
        raise UnavailableError(
            f"feature set '{name}' is not in this installation: {module} has no {attribute}",
            hint="choose another: eolab features list",
        ) from error
