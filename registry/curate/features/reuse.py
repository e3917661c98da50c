"""What has to be computed, and what an earlier version's table has already.

Each row of a features table carries the digest of all that its values came from: the sample's
columns, its arrays' digests and places, its annotations, and what the card says of the assets.
Rows of equal digest under an equal recipe have equal values, so they are taken over. A row with a
problem is computed again: a failure is no value, and what it came from may be mended.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.features.definition import FeatureSet
from registry.curate.features.inputs import NOT_REJECTED, source
from registry.curate.features.planning import Plan, seen_assets
from registry.curate.features.records import INPUTS, PROBLEM, record_at, table_name
from registry.curate.features.work import ANNOTATION, AssetFacts
from registry.lake.records import Location
from registry.query.engine import quoted, text_literal
from registry.tables import store

if TYPE_CHECKING:
    import duckdb

__all__ = ["Earlier", "Todo", "earlier_tables", "inputs_id", "todo", "write_digests"]

_POINTED = ("asset", "pixels", "shape", "dtype", "crs", "transform", "times", "nodata", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A table of one set under the same recipe, whose rows may be taken over."""

    root: Location
    """Where it lies."""

    label: str
    """The version it was computed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """Samples that have to be computed."""

    file: Path
    """Parquet file of their ids."""

    count: int
    """How many."""

    key: str
    """Equal for the same samples, in whatever order."""


def write_digests(
    connection: "duckdb.DuckDBPyConnection", found: Plan, sets: Sequence[FeatureSet], out: Path
) -> None:
    """Write the digest of each sample's inputs, one column a set, named like it.

    Args:
        connection: As ``inputs.engine`` opens it.
        found: The plan.
        sets: Which sets of it.
        out: The Parquet file: ``id`` and one column of 32 bytes a set.
    """
    digests = ", ".join(
        f"unhex(sha256({text_literal(_salt(one, found.assets))} || {_said(found, one)})) "
        f"AS {quoted(one.name)}"
        for one in sets
    )
    query = f"SELECT s.id, {digests} FROM {_joined(connection, found, sets)}"  # noqa: S608 — names and texts are quoted
    connection.execute(f"COPY ({query}) TO {text_literal(str(out))} (FORMAT parquet)")


def todo(
    connection: "duckdb.DuckDBPyConnection",
    digests: Path,
    made: FeatureSet,
    earlier: Earlier | None,
    *,
    out: Path,
) -> Todo | None:
    """Return the samples whose values nobody has; None if it is all of them.

    Args:
        connection: As ``inputs.engine`` opens it.
        digests: What :func:`write_digests` wrote.
        made: The set.
        earlier: The table that may have some.
        out: The Parquet file of their ids.
    """
    if earlier is None:
        return None
    query = f"""
        SELECT d.id FROM read_parquet({text_literal(str(digests))}) d
        ANTI JOIN {source(connection, earlier.root, table_name(made))} e
        ON e.sample = d.id AND e.{INPUTS} = d.{quoted(made.name)} AND e.{PROBLEM} IS NULL"""  # noqa: S608 — as above
    file = text_literal(str(out))
    connection.execute(f"COPY ({query}) TO {file} (FORMAT parquet)")
    row = connection.execute(
        f"SELECT count(*), concat_ws(' ', count(*), bit_xor(hash(id)), sum(hash(id)::HUGEINT)) "  # noqa: S608 — as above
        f"FROM read_parquet({file})"
    ).fetchone()
    count, key = row or (0, "")
    return Todo(file=out, count=count, key=key)


def kept_rows(
    connection: "duckdb.DuckDBPyConnection", made: FeatureSet, earlier: Earlier | None
) -> str | None:
    """Return SQL of the rows of an earlier table, with the set's columns; None without one."""
    if earlier is None:
        return None
    names = ", ".join(quoted(one.name) for one in made.features)
    rows = source(connection, earlier.root, table_name(made))
    return f"(SELECT sample, {INPUTS}, {PROBLEM}, {names} FROM {rows})"  # noqa: S608 — as above


def earlier_tables(
    registry: Registry, version: Version, sets: Sequence[FeatureSet]
) -> dict[str, Earlier]:
    """Return, by set, the newest table of the same recipe: of this version, else of one before.

    Args:
        registry: Where versions are looked up.
        version: The version that is computed.
        sets: The sets. One that gathers samples has no rows to take over.

    Returns:
        The tables; none for a set that nobody computed by this recipe.
    """
    found: dict[str, Earlier] = {}
    wanted = {one.name: one.recipe for one in sets if one.gathering is None}
    for other in [version, *reversed(_before(registry, version))]:
        for name in [name for name in wanted if name not in found]:
            root = other.derived
            record = record_at(root, name)
            if root is not None and record is not None and record.recipe == wanted[name]:
                found[name] = Earlier(root=root, label=other.label)
        if len(found) == len(wanted):
            break
    return found


def _before(registry: Registry, version: Version) -> list[Version]:
    versions = registry.versions(version.dataset)
    at = next((i for i, one in enumerate(versions) if one.tag == version.tag), len(versions))
    return versions[:at]


def inputs_id(found: Plan, made: FeatureSet) -> str:
    """Return the SHA-256, in hex, of the content that a set is computed from on a version."""
    tables = ["samples"]
    if made.needs.arrays:
        tables.append("assets")
    if made.needs.annotations:
        tables.append("annotations")
    if made.gathering is not None:
        tables += [name for name in found.version.tables() if name.startswith("splits/")]
    there = {
        name: found.version.data_id_of(name) for name in tables if name in found.version.tables()
    }
    said = {"tables": there, "assets": _salt(made, found.assets)}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _salt(made: FeatureSet, assets: Sequence[AssetFacts]) -> str:
    """Return a digest of what the card says of the assets that a set looks at."""
    said = [
        [
            one.name, one.role, one.bands, one.common, one.unit, one.scale, one.offset, one.gsd,
            sorted(one.values.items()),
        ]
        for one in _seen(made, assets)
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _seen(made: FeatureSet, assets: Sequence[AssetFacts]) -> tuple[AssetFacts, ...]:
    return seen_assets(assets, made.needs.roles) if made.needs.arrays else ()


def _said(found: Plan, made: FeatureSet) -> str:
    """Return SQL of all of a sample that a set looks at, as text."""
    known = store.schema_of(found.version.root, "samples").arrow.names
    columns = sorted({name for name in made.needs.columns if name in known} - {"id"})
    parts = [_text(f"s.{quoted(name)}") for name in columns]
    if made.needs.arrays:
        names = ", ".join(text_literal(one.name) for one in _seen(made, found.assets)) or "''"
        parts.append(_text(f"list_filter(a.arrays, lambda one: one.asset IN ({names}))"))
    if made.needs.annotations and store.exists(found.version.root, "annotations"):
        parts.append(_text("n.annotations"))
    return " || chr(10) || ".join(["s.id", *parts])


def _text(sql: str) -> str:
    return f"coalesce(to_json({sql})::VARCHAR, '')"


def _joined(
    connection: "duckdb.DuckDBPyConnection", found: Plan, sets: Sequence[FeatureSet]
) -> str:
    root = found.version.root
    sql = f"{source(connection, root, 'samples')} s"
    if any(one.needs.arrays for one in sets) and store.exists(root, "assets"):
        packed = ", ".join(f"{name} := {name}" for name in _POINTED)
        sql += f"""
            LEFT JOIN (SELECT sample, list(struct_pack({packed}) ORDER BY asset) AS arrays
                FROM {source(connection, root, "assets")} GROUP BY sample) a ON a.sample = s.id"""  # noqa: S608 — as above
    if any(one.needs.annotations for one in sets) and store.exists(root, "annotations"):
        packed = ", ".join(f"{one.name} := {one.name}" for one in ANNOTATION)
        sql += f"""
            LEFT JOIN (SELECT sample, list(struct_pack({packed}) ORDER BY id) AS annotations
                FROM {source(connection, root, "annotations")} WHERE {NOT_REJECTED}
                GROUP BY sample) n ON n.sample = s.id"""  # noqa: S608 — as above
    return sql
