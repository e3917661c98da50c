"""A version in somebody's own DuckDB: in this process, or as SQL for any other."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb

from registry.catalog.version import Version
from registry.query.engine import open_engine, quoted, text_literal
from registry.query.functions import register
from registry.query.parsing import TableName
from registry.query.sources import folders_of_version, table_names, views_of
from registry.query.views import View, as_geometry, create_views, derived_sql

__all__ = ["attach", "connection"]

_EXTENSIONS: Final = ("delta", "spatial")


def connection(*versions: Version, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open an engine in this process in which versions are schemas, for code that is trusted.

    Nothing is locked and no time runs out: texts from strangers go through
    :func:`registry.query.sql`. Searches are fast, because the engine keeps what it has read.

    Args:
        versions: What to show; the tables of the first need no schema before their name.
        threads: How many threads compute; by default one a core.

    Returns:
        A connection of the caller's own.
    """
    engine = open_engine(threads=threads or os.cpu_count() or 1)
    engine.execute("SET parquet_metadata_cache = true")
    register(engine)
    for version in versions:
        create_views(engine, _views(version))
    if versions:
        engine.execute(f"USE {quoted(str(versions[0].ref))}")
    return engine


def attach(version: Version) -> str:
    """Return SQL that shows a version's tables in the caller's own DuckDB.

    Args:
        version: What to show.

    Returns:
        A script: it loads two extensions, makes a schema named like the ref, and a view a table.
        It reads the lake's files where they are and changes nothing.
    """
    return "\n".join(_script(str(version.ref), version, folders_of_version(version))) + "\n"


def _views(version: Version) -> list[View]:
    ref, folders = str(version.ref), folders_of_version(version)
    names = [TableName(ref=ref, table=name) for name in table_names(folders)]
    return views_of(names, lambda _: folders)


def _script(ref: str, version: Version, folders: Sequence[Path]) -> Iterator[str]:
    yield f"-- {ref}, content id {version.content_id}"
    for extension in _EXTENSIONS:
        yield f"INSTALL {extension}; LOAD {extension};"
    yield "SET geometry_always_xy = true; -- longitude before latitude, in EPSG:4326 too"
    yield f"CREATE SCHEMA IF NOT EXISTS {quoted(ref)};"
    names = [TableName(ref=ref, table=name) for name in table_names(folders)]
    for view in views_of(names, lambda _: folders):
        yield f"{_view(view)};"
    for statement in derived_sql(ref, [name.table for name in names]):
        yield f"{statement.strip()};"


def _view(view: View) -> str:
    replaced = ", ".join(
        f"{as_geometry(quoted(name), crs)} AS {quoted(name)}" for name, crs in view.geometry.items()
    )
    chosen = f"* REPLACE ({replaced})" if replaced else "*"
    name = f"{quoted(view.ref)}.{quoted(view.table)}"
    is_file = not view.columns
    source = (
        f"read_parquet({text_literal(view.files[0])})"
        if is_file
        else f"delta_scan({text_literal(view.folder)})"
    )
    return f"CREATE OR REPLACE VIEW {name} AS SELECT {chosen} FROM {source}"  # noqa: S608 — quoted
