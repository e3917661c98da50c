"""Feature tables joined to one, a row a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.features.inputs import answers, engine, source
from registry.curate.features.naming import calls_of
from registry.curate.features.planning import ALL
from registry.curate.features.records import INPUTS, PROBLEM, record_at, table_name
from registry.errors import InvalidInputError, NotFoundError
from registry.lake.records import Location
from registry.query.engine import quoted
from registry.query.slices import Slice
from registry.tables import store

if TYPE_CHECKING:
    import duckdb

__all__ = ["FeaturesMissingError", "features", "home_of", "sets_of"]

_ROWS = 65_536
_KEY = "sample"
_TABLES = "features/"


class FeaturesMissingError(NotFoundError):
    """Features were not computed on this version."""

    code = "features-missing"


def features(
    version: Version,
    sets: Sequence[str],
    *,
    slice: Slice | None = None,  # noqa: A002 — the word users write
    columns: Sequence[str] | None = None,
    beside: Sequence[str] = (),
    split: str | None = None,
) -> pa.Table:
    """Return features of a version's samples, one row a sample.

    Args:
        version: The version.
        sets: Names of sets that were computed on it.
        slice: Only its samples; of this version, or one of the same content.
        columns: Only these, as ``spectral.ndvi_mean`` or ``spectral``; all if None.
        beside: Columns of ``samples`` that come along, such as ``label`` and ``target``.
        split: Split whose ``subset`` comes along.

    Returns:
        ``sample``, the columns beside it, ``subset``, then ``<set>.<feature>`` in the sets' order.
        Rows are in the order of the version's samples: along the Hilbert curve, then by id.

    Raises:
        FeaturesMissingError: A set was not computed on it.
        InvalidInputError: There is no such column, or the slice is of another version.
    """
    once = tuple(dict.fromkeys(sets))
    asked = _Asked(version=version, sets=once, columns=columns, beside=beside, split=split)
    with engine() as connection:
        query = asked.query(connection)
        if slice is not None:
            connection.register("chosen", pa.table({"id": _ids(version, slice)}))
            query += " JOIN chosen ON chosen.id = s.id"
        rows = answers(connection, f"{query} ORDER BY s.hilbert, s.id", _ROWS).read_all()
    return rows.cast(pa.schema([rows.schema.field(0), *asked.fields(rows.schema)]))


def sets_of(registry: Registry, version: Version, said: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the sets that are meant, as :func:`features` takes them.

    Args:
        registry: Where ``ships@v1/mine`` is looked up.
        version: The version that has the tables.
        said: Names; ``all`` for every set that is there and has a row a sample; a file of an own
            definition, or the set of a table, for the table that was computed by it.

    Raises:
        FeaturesMissingError: It was not computed on the version, or by another definition.
    """
    found: list[str] = []
    for one in said:
        if one == ALL:
            found += _all_of(version)
        elif one.endswith((".yaml", ".yml")) or "@" in one or "/" in one:
            found.append(_by_definition(registry, version, one))
        else:
            found.append(one)
    return tuple(dict.fromkeys(found))


def _all_of(version: Version) -> list[str]:
    tables = [table for table in sorted(version.tables()) if table.startswith(_TABLES)]
    keys = {table: store.schema_of(version.home_of(table), table).key for table in tables}
    there = [table.removeprefix(_TABLES) for table in tables if keys[table] == (_KEY,)]
    if not there:
        raise FeaturesMissingError(
            f"{version.ref} has no features of samples yet",
            hint=f"compute some: eolab features compute {version.ref} --set all",
        )
    return there


def _by_definition(registry: Registry, version: Version, said: str) -> str:
    (call,) = calls_of(registry, [said])
    if table_name(call.name) not in version.tables():
        raise FeaturesMissingError(
            f"{version.ref} has no features '{call.name}'",
            hint=f"compute them: eolab features compute {version.ref} --set {said}",
        )
    record = record_at(version.home_of(table_name(call.name)), call.name)
    if record is None or record.recipe != call.resolve().recipe:
        raise FeaturesMissingError(
            f"features '{call.name}' of {version.ref} come from another definition than {said}",
            hint=f"get them as they are: --set {call.name}; or compute them by this definition: "
            f"eolab features compute {version.ref} --set {said} --again",
        )
    return call.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    version: Version
    sets: tuple[str, ...]
    columns: Sequence[str] | None
    beside: Sequence[str]
    split: str | None

    def query(self, connection: "duckdb.DuckDBPyConnection") -> str:
        root = self.version.root
        known = store.schema_of(root, "samples").arrow.names
        if strange := [name for name in self.beside if name not in known]:
            raise InvalidInputError(
                f"samples have no column {', '.join(strange)}", hint=f"they have {', '.join(known)}"
            )
        chosen = ["s.id AS sample", *(f"s.{quoted(name)}" for name in self.beside)]
        tables = [f"{source(connection, root, 'samples')} s"]
        if self.split is not None:
            home = self.version.home_of(f"splits/{self.split}")
            rows = source(connection, home, f"splits/{self.split}")
            tables.append(f"{rows} w ON w.sample = s.id")
            chosen.append("w.subset")
        wanted = set(self.columns or ())
        for number, name in enumerate(self.sets):
            home = home_of(self.version, name)
            tables.append(
                f"{source(connection, home, table_name(name))} f{number} ON f{number}.sample = s.id"
            )
            for field in _features(home, name):
                full = f"{name}.{field.name}"
                if self.columns is None or {full, name} & {*self.columns}:
                    chosen.append(f"f{number}.{quoted(field.name)} AS {quoted(full)}")
                    wanted -= {full, name}
        if wanted:
            raise InvalidInputError(
                f"there is no feature {', '.join(sorted(wanted))}",
                hint=f"see what there is: eolab features show {next(iter(self.sets), '')}",
            )
        return f"SELECT {', '.join(chosen)} FROM {' LEFT JOIN '.join(tables)}"  # noqa: S608 — names are quoted

    def fields(self, found: pa.Schema) -> list[pa.Field]:
        """Return the columns with the types that their tables declare."""
        declared = {
            f"{name}.{field.name}": field
            for name in self.sets
            for field in _features(home_of(self.version, name), name)
        }
        return [
            declared[one.name].with_name(one.name) if one.name in declared else one
            for one in list(found)[1:]
        ]


def home_of(version: Version, name: str) -> Location:
    """Return where the table of a set lies.

    Raises:
        FeaturesMissingError: It was not computed on the version.
    """
    table = table_name(name)
    if table not in version.tables():
        raise FeaturesMissingError(
            f"{version.ref} has no features '{name}'",
            hint=f"compute them: eolab features compute {version.ref} --set {name}",
        )
    return version.home_of(table)


def _features(home: Location, name: str) -> list[pa.Field]:
    schema = store.schema_of(home, table_name(name))
    if schema.key != (_KEY,):
        raise InvalidInputError(
            f"a row of '{name}' is no sample, but one of {', '.join(schema.key)}",
            hint=f"read the table features/{name} itself, by eolab sql",
        )
    return [field for field in schema.arrow if field.name not in {_KEY, INPUTS, PROBLEM}]


def _ids(version: Version, chosen: Slice) -> pa.Array:
    if chosen.content_id != version.content_id:
        raise InvalidInputError(
            f"slice {chosen.id} was cut from {chosen.ref}, not from {version.ref}",
            hint=f"ask the version that it was cut from: {chosen.ref}",
        )
    return pa.array(chosen.ids, pa.string())
