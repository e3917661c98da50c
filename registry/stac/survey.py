"""What a dataset holds that decides which columns its items have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import pyarrow as pa

from registry.catalog.card.spec import Spec
from registry.lake import lazy
from registry.lake.records import Location
from registry.tables import store

__all__ = ["CODE", "Dataset", "Survey", "opened", "quoted", "survey"]

CODE: Final = "regexp_full_match(crs, '[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+')"
"""SQL condition: the column ``crs`` is a code such as ``EPSG:32632``, not WKT2."""

_MEMORY: Final = "400MB"
_SPLIT: Final = "splits/default"
_MOST_CLASSES: Final = 1000
_CLASSES: Final = """
    select distinct name from (
        select unnest(label) as name from samples union all select category from annotations
    ) where name is not null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The tables that items are made of."""

    name: str
    """The dataset's name: the id of its collection."""

    root: str | Path | Location
    """Where ``samples``, ``assets`` and ``annotations`` lie."""

    split_root: str | Path | Location | None = None
    """Where ``splits/…`` lie; the root itself if None."""

    spec: Spec
    """What its card promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Which facts occur in a dataset; what occurs nowhere gets no column."""

    assets: Mapping[str, frozenset[str]]
    """Asset keys in order, each with the columns of ``assets`` that are ever not null; of ``crs``
    also whether it is ever a code (``crs:code``) or ever a WKT2 text (``crs:wkt2``)."""

    infinite_nodata: frozenset[str]
    """Asset keys whose nodata are all NaN or infinite; those of the others are numbers."""

    properties: tuple[str, ...]
    """Fields of ``samples.properties`` that are ever not null."""

    samples: frozenset[str]
    """Columns of ``samples``, and fields of ``source``, that are ever not null."""

    split: str | None
    """The table that says which sample is for training; None if there is none."""

    annotated: bool
    """Whether there are annotations."""

    classes: tuple[str, ...]
    """Classes that scenes and objects are labelled with, in the card's order if it has them."""

    methods: tuple[str, ...]
    """How annotations were made."""


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def opened(dataset: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB with the dataset's tables as views, which spills to a folder of its own.

    Yields:
        The connection, with ``samples``, ``assets``, ``annotations`` and ``split``, each empty
        where the dataset has no such table.
    """
    with TemporaryDirectory(prefix="eolab-stac-") as folder:
        connection = duckdb.connect(
            config={
                "memory_limit": _MEMORY,
                "temp_directory": folder,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        try:
            connection.execute("set enable_progress_bar = false")  # that is the door's business
            for view in ("samples", "assets", "annotations"):
                _view(connection, view, dataset.root, view)
            split = _split_of(dataset)
            _view(connection, "split", dataset.split_root or dataset.root, split or _SPLIT)
            yield connection
        finally:
            connection.close()


def _view(
    connection: duckdb.DuckDBPyConnection, view: str, root: str | Path | Location, table: str
) -> None:
    from registry.tables.schemas import declared

    there = view == "samples" or store.exists(root, table)
    files = store.files(root, table) if there else []
    schema = store.schema_of(root, table) if there else declared(table)
    if schema is None:
        raise KeyError(table)
    plain = pa.schema([pa.field(field.name, field.type) for field in schema.arrow])
    connection.register(f"{view}_schema", plain.empty_table())  # else WKB would turn GEOMETRY
    select = f"select * from {view}_schema"  # noqa: S608 — a fixed name
    if files:
        lazy.ensure(*files)
        listed = ", ".join(quoted(str(file)) for file in files)
        select += f" union all by name select * from read_parquet([{listed}], union_by_name=true)"  # noqa: S608 — quoted paths of checked files
    connection.execute(f"create temp view {named(view)} as {select}")


def _split_of(dataset: Dataset) -> str | None:
    names = [
        name
        for name in store.names(dataset.split_root or dataset.root)
        if name.startswith("splits/")
    ]
    return _SPLIT if _SPLIT in names else next(iter(names), None)


def survey(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> Survey:
    """Return what occurs in a dataset.

    Args:
        connection: From :func:`opened`.
        dataset: The same.
    """
    assets, infinite = _assets(connection)
    return Survey(
        assets=assets,
        infinite_nodata=infinite,
        properties=_properties(connection),
        samples=frozenset(_filled(connection, "samples")) | _sources(connection),
        split=_split_of(dataset),
        annotated="id" in _filled(connection, "annotations"),
        classes=_classes(connection, dataset.spec),
        methods=tuple(
            _column(connection, "select distinct method from annotations where method is not null")
        ),
    )


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return sorted(row[0] for row in connection.execute(query).fetchall())


def _filled(connection: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    """Return the columns of a view that are ever neither null nor an empty list."""
    described = connection.execute(f"describe {named(view)}").fetchall()
    tests = ", ".join(
        f"count(*) filter (where len({named(name)}) > 0)"
        if kind.endswith("[]")
        else f"count({named(name)})"
        for name, kind, *_ in described
    )
    counts = connection.execute(f"select {tests} from {named(view)}").fetchone()  # noqa: S608 — quoted names
    return [row[0] for row, count in zip(described, counts or (), strict=True) if count]


def _properties(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    described = connection.execute("describe samples").fetchall()
    if "properties" not in [row[0] for row in described]:
        return ()
    names = _column(
        connection, "select unnest(struct_keys(properties)) from (from samples limit 1)"
    )
    if not names:
        return ()
    counts = ", ".join(f"count(properties.{named(name)})" for name in names)
    found = connection.execute(f"select {counts} from samples").fetchone()  # noqa: S608 — quoted names
    return tuple(name for name, count in zip(names, found or (), strict=True) if count)


def _sources(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    names = ("href", "licence", "provider")
    counts = ", ".join(f"count(source.{name})" for name in names)
    found = connection.execute(f"select {counts} from samples").fetchone() or ()  # noqa: S608 — fixed names
    return frozenset(f"source.{name}" for name, count in zip(names, found, strict=True) if count)


def _assets(
    connection: duckdb.DuckDBPyConnection,
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    names = [row[0] for row in connection.execute("describe assets").fetchall()]
    facts = {name: f"count({named(name)})" for name in names if name not in {"asset", "times"}}
    facts |= {
        "times": "count(*) filter (where len(times) > 0)",
        "crs:code": f"count(*) filter (where {CODE})",
        "crs:wkt2": f"count(*) filter (where not {CODE})",
    }
    rows = connection.execute(
        "select asset, coalesce(bool_and(not isfinite(nodata)), false),"  # noqa: S608 — quoted names
        f" {', '.join(facts.values())} from assets group by asset order by asset"
    ).fetchall()
    filled = {
        key: frozenset(name for name, count in zip(facts, found, strict=True) if count)
        for key, _, *found in rows
    }
    return filled, frozenset(key for key, infinite, *_ in rows if infinite)


def _classes(connection: duckdb.DuckDBPyConnection, spec: Spec) -> tuple[str, ...]:
    if spec.classes:
        return spec.classes
    return tuple(_column(connection, _CLASSES)[:_MOST_CLASSES])
