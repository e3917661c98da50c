"""What is to be computed, as text that travels: between processes, to executors, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import pyarrow as pa

from registry.curate.features.catalogue import feature_set
from registry.curate.features.definition import FeatureSet
from registry.errors import InvalidInputError
from registry.lake.records import Location
from registry.progress import Progress

__all__ = [
    "ANNOTATION", "ARRAY", "CELL", "FAILURES", "INPUT", "AssetFacts", "Call", "OnError", "Runner",
    "Work",
]  # fmt: skip

OnError = Literal["stop", "skip"]
"""What one sample's failure does: ends the work, or leaves nulls and is reported."""

_TIME = pa.timestamp("us", "UTC")

ARRAY = pa.struct([
    pa.field("asset", pa.string()),
    pa.field("shape", pa.list_(pa.int32())),
    pa.field("dtype", pa.string()),
    pa.field("crs", pa.string()),
    pa.field("transform", pa.list_(pa.float64())),
    pa.field("times", pa.list_(_TIME)),
    pa.field("nodata", pa.float64()),
    pa.field("tags", pa.string()),
    pa.field("codec", pa.string()),
    pa.field("data", pa.binary()),
])
"""One asset of a sample as ``assets`` has it, with its row of ``pixels``; ``codec`` and ``data``
are null where it is kept by reference."""

ANNOTATION = pa.struct([
    pa.field("id", pa.string()),
    pa.field("category", pa.string()),
    pa.field("geometry", pa.binary()),
    pa.field("frame", pa.string()),
    pa.field("score", pa.float64()),
])
"""One annotation of a sample as ``annotations`` has it; rejected ones are left out."""

CELL = "cell"
"""Column of the file of samples that says which group of samples one belongs to; comes along."""

INPUT = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("arrays", pa.list_(ARRAY)),
    pa.field("annotations", pa.list_(ANNOTATION)),
])
"""A row a sample; besides, the columns of ``samples`` that :attr:`Work.columns` names, and
``cell`` where the file of samples has it. Arrays and annotations stand in any order."""

FAILURES = pa.list_(
    pa.struct([
        pa.field("set", pa.string()),
        pa.field("problem", pa.string()),
        pa.field("hint", pa.string()),
    ])
)
"""What went wrong with one sample, by set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """What the card says of one asset, as far as features ask."""

    name: str
    """The asset's name."""

    role: str = "data"
    """``data`` or ``labels``."""

    bands: tuple[str, ...] = ()
    """Names in the array's order; empty if unknown."""

    common: tuple[str | None, ...] = ()
    """Their common letters; None where unknown."""

    unit: str | None = None
    """Physical unit after scale and offset."""

    scale: tuple[float, ...] = ()
    """Factor from stored to physical values, one a band; empty is 1."""

    offset: tuple[float, ...] = ()
    """Added after scaling, one a band; empty is 0."""

    gsd: float | None = None
    """Ground sampling distance in metres."""

    values: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """For a mask: which class each value is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A feature set as it was asked for."""

    name: str
    """The set's name in the catalogue, or that its definition gives."""

    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """For a set that takes some; JSON can say them."""

    definition: str | None = None
    """Text of a user's own definition; None for a set of the catalogue."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types; ``Call(**document)`` is the call again."""
        return _plain(self)

    def resolve(self) -> FeatureSet:
        """Return the set."""
        return _resolved(self.name, json.dumps(dict(self.parameters)), self.definition)


@lru_cache(maxsize=64)
def _resolved(name: str, parameters: str, definition: str | None) -> FeatureSet:
    if definition is not None:
        from registry.curate.features.own import own_set

        return own_set(definition)
    return feature_set(name, json.loads(parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Sets to compute for samples of one version."""

    root: Location
    """Where the version's tables lie; derived tables are never inputs."""

    calls: tuple[Call, ...]
    """The sets, each once."""

    samples: str | None = None
    """Parquet file of what is to be done: ``id``, and ``cell`` where a set needs it; None is all
    of ``samples``."""

    assets: tuple[AssetFacts, ...] = ()
    """Which assets' arrays are wanted, by name in order, with what is known of them."""

    columns: tuple[str, ...] = ()
    """Columns of ``samples`` that sets look at, beside ``id``."""

    arrays: bool = False
    """Whether a set looks at pixels."""

    annotations: bool = False
    """Whether a set looks at annotations."""

    on_error: OnError = "skip"
    """What one sample's failure does."""

    @property
    def sets(self) -> tuple[FeatureSet, ...]:
        """The sets, in the order of the calls."""
        return tuple(call.resolve() for call in self.calls)

    @property
    def schema(self) -> pa.Schema:
        """What :func:`registry.curate.features.evaluating.evaluate` returns.

        ``sample``; a struct a set, named like the set, null where it failed; for a set that
        gathers, a list of partial values on the first row of a batch; then ``failures``.
        """
        return pa.schema([
            pa.field("sample", pa.string(), nullable=False),
            *(pa.field(made.name, values_type(made)) for made in self.sets),
            pa.field("failures", FAILURES),
        ])

    def to_json(self) -> str:
        """Return it as one JSON document."""
        said = _plain(self) | {
            "root": _plain(self.root),
            "calls": [_plain(call) for call in self.calls],
            "assets": [_plain(one) for one in self.assets],
        }
        return json.dumps(said, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Work":
        """Return what :meth:`to_json` wrote.

        Raises:
            InvalidInputError: Something else wrote it.
        """
        try:
            said = json.loads(text)
            said["root"] = Location(**said["root"])
            said["calls"] = tuple(Call(**call) for call in said["calls"])
            said["assets"] = tuple(_asset(one) for one in said["assets"])
            said["columns"] = tuple(said["columns"])
            return cls(**said)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                "this is no description of work on features", hint="write it by Work.to_json"
            ) from error


class Runner(Protocol):
    """Has work done: on threads of this process, or by Spark."""

    def __call__(self, work: Work, out: Path, progress: Progress) -> None:
        """Write Parquet files of ``work.schema`` below a folder: each sample asked for once.

        Samples come in any order and in any number of files. Nobody reads the files before this
        returns, so what a broken run leaves behind does no harm.
        """
        ...


def values_type(made: FeatureSet) -> pa.DataType:
    """Return the type of a set's column in the output."""
    if made.gathering is not None:
        return made.gathering.partial
    return pa.struct([pa.field(one.name, one.type) for one in made.features])


def _plain(noun: Any) -> dict[str, Any]:  # noqa: ANN401 — any of this module's nouns
    said = {one.name: getattr(noun, one.name) for one in fields(noun)}
    return {
        name: {str(key): item for key, item in value.items()}
        if isinstance(value, Mapping)
        else value
        for name, value in said.items()
    }


def _asset(said: dict[str, Any]) -> AssetFacts:
    lists = {key: tuple(said[key]) for key in ("bands", "common", "scale", "offset")}
    values = {int(value): str(name) for value, name in said["values"].items()}
    return AssetFacts(**{**said, **lists, "values": values})
