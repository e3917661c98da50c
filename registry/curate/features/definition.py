"""What a feature is, and a set of them: columns, formula and source, what it needs, how it is had.

A set's function is pure: the same scene gives the same values, to the last bit, wherever it runs.
"""

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.curate.features.scene import Scene

__all__ = ["ByRow", "ByScene", "Feature", "FeatureSet", "Gathering", "Needs"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,59}")
_UNDER_SCENES: Final = (  # they decide what a set sees of a sample's arrays
    "registry.curate.features.alignment",
    "registry.curate.features.clear",
    "registry.curate.features.scene",
)
_COLUMN: Final = re.compile(r"[a-z][a-z0-9_]{0,119}")
_TAKEN: Final = frozenset({"digests", "failures", "id", "sample"})
"""What stands beside sets while they are computed, so no set is called so."""

ByScene = Callable[["Scene"], Mapping[str, object]]
"""Values of one sample by the features' names, out of its arrays; a feature that is left out is
null."""

ByRow = Callable[[pa.Table], pa.Table]
"""Columns of many samples at once out of their rows, in the same order; for what needs no array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column of a set."""

    name: str
    """The column's."""

    meaning: str
    """In one sentence."""

    formula: str
    """In terms of the bands and columns that it needs."""

    source: str
    """Who says so: a paper with its DOI, a standard, a package with its version."""

    unit: str = "1"
    """Of its values; ``1`` where it has none."""

    type: pa.DataType = field(default_factory=pa.float64)
    """What its values are."""

    bands: tuple[str, ...] = ()
    """Bands that it needs beyond those of its set, by their common letters; null without them."""

    def __post_init__(self) -> None:
        if not _COLUMN.fullmatch(self.name):
            raise InvalidInputError(
                f"{self.name!r} cannot name a feature",
                hint="use lower-case letters, digits and _, as in ndvi_mean",
            )

    @property
    def column(self) -> pa.Field:
        """Its column, with what it means in the metadata."""
        said = {
            "meaning": self.meaning,
            "unit": self.unit,
            "formula": self.formula,
            "source": self.source,
        }
        return pa.field(self.name, self.type, metadata=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a set has to be given. A sample without it gets nulls and its reason is said."""

    arrays: bool = False
    """Whether it looks at pixels."""

    roles: tuple[str, ...] = ("data",)
    """Roles of the assets whose arrays it looks at: ``data``, ``labels``."""

    bands: tuple[str, ...] = ()
    """Bands without which there is no value at all, by their common letters."""

    any_band: tuple[str, ...] = ()
    """Bands of which it has to be given one at least, if any are named here."""

    annotations: bool = False
    """Whether it looks at the sample's annotations."""

    columns: tuple[str, ...] = ()
    """Columns of ``samples`` that it looks at, beside ``id``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """How values of samples become rows of something else, such as of a band."""

    partial: pa.ListType
    """What a batch of samples comes to, in a list: any batching must lead to the same rows."""

    gather: Callable[[Sequence[int], Sequence[Mapping[str, Any]]], list[dict[str, Any]]]
    """A batch's partial values, of each sample's cell and what ``by_scene`` gave for it."""

    finish: Callable[..., pa.Table]
    """The rows: of an iterator over partial values in any order, the subsets (split and subset)
    that each cell is in, and the facts of the assets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet:
    """Features that are computed together and kept in one table ``features/<name>``."""

    name: str
    """As in ``features/<name>`` and ``--set <name>``."""

    version: int
    """Counted up by whoever changes what its values are."""

    title: str
    """For people, in one line."""

    features: tuple[Feature, ...]
    """Its columns in order."""

    needs: Needs
    """What it has to be given."""

    by_scene: ByScene | None = None
    """How the values of one sample are had; or ``by_row``."""

    by_row: ByRow | None = None
    """How the values of many samples are had at once."""

    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else decides the values, as JSON can say it."""

    key: tuple[str, ...] = ("sample",)
    """Columns that name a row of its table."""

    gathering: Gathering | None = None
    """How its rows come from samples, where they are no samples themselves."""

    variant: Callable[..., "FeatureSet"] | None = None
    """Makes the set with other parameters, given by name; None if it takes none."""

    made_of: tuple[str, ...] = ()
    """Modules and ``package==version`` that decide the values beside the function's own module."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"{self.name!r} cannot name a feature set",
                hint="use lower-case letters, digits, _ and -, as in spectral",
            )
        if self.name in _TAKEN:
            raise InvalidInputError(
                f"{self.name!r} cannot name a feature set: it is said of every row",
                hint="call it what it tells, as in spectral",
            )
        if (self.by_scene is None) == (self.by_row is None):
            ways = "no way" if self.by_scene is None else "two ways"
            raise InvalidInputError(
                f"feature set {self.name!r} says {ways} to compute it",
                hint="give by_scene or by_row",
            )
        names = [*self.key, *(feature.name for feature in self.features)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidInputError(
                f"feature set {self.name!r} names {', '.join(twice)} twice",
                hint="give each feature its own name",
            )

    @property
    def columns(self) -> list[pa.Field]:
        """Its columns, in order."""
        return [feature.column for feature in self.features]

    @property
    def recipe(self) -> str:
        """SHA-256, in hex, of all that decides its values but the data.

        Equal recipes on equal data give equal values.
        """
        said = {
            "name": self.name,
            "version": self.version,
            "features": [
                (one.name, one.formula, one.unit, str(one.type), one.bands) for one in self.features
            ],
            "parameters": dict(self.parameters),
            "code": self.code,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def code(self) -> str:
        """SHA-256, in hex, of the modules that compute it and the packages that it names."""
        function = self.by_scene or self.by_row
        own = getattr(inspect.unwrap(function), "__module__", None) if function else None
        digest = hashlib.sha256()
        under = _UNDER_SCENES if self.by_scene is not None else ()
        for name in sorted({*self.made_of, *under, *([own] if own else [])}):
            digest.update(f"{name}\n".encode())
            if module := _module(name):
                digest.update(_source(module).encode())
        return digest.hexdigest()


def _module(name: str) -> ModuleType | None:
    """Return a module whether or not anything has needed it yet, so that its code always counts."""
    if name in sys.modules or "==" in name:
        return sys.modules.get(name)
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _source(module: Any) -> str:  # noqa: ANN401 — any module
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):  # typed into an interpreter: its name and version stand for it
        return ""
