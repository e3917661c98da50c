"""A version in somebody's own DuckDB: in this process, or as SQL for any other."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import duckdb

from registry.catalog.version import Version
from registry.lake import Location
from registry.lake.engines import duckdb_secret, is_remote
from registry.query.engine import open_engine, quoted, text_literal
from registry.query.functions import register
from registry.query.parsing import TableName
from registry.query.sources import (
    commits_of_version,
    folders_of_version,
    table_names,
    views_of,
)
from registry.query.views import View, as_geometry, create_views, derived_sql

__all__ = ["attach", "connection"]

_EXTENSIONS: Final = ("delta", "spatial")

_KEYS: Final = """\
-- the keys are those of the environment; outside DuckDB's own shell, which has getenv, make it:
--   connection.create_function("getenv", lambda name: os.environ[name], ["VARCHAR"], "VARCHAR")"""


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
        A script: it loads extensions, makes a schema named like the ref, and a view a table. It
        reads the lake's files where they are and changes nothing. The keys of a lakeFS server are
        not in it, but the names of the variables that hold them.
    """
    return "\n".join(_script(str(version.ref), version)) + "\n"


def _views(version: Version) -> list[View]:
    ref, folders = str(version.ref), folders_of_version(version)
    names = [TableName(ref=ref, table=name) for name in table_names(folders)]
    return views_of(names, lambda _: folders)


def _script(ref: str, version: Version) -> Iterator[str]:
    repository = version.repository
    places = {
        repository.locate(at).path.resolve(): repository.direct(at)
        for at in commits_of_version(version)
    }
    remote = [place for place in places.values() if is_remote(place)]
    yield f"-- {ref}, content id {version.content_id}"
    for extension in (*_EXTENSIONS, *(["httpfs"] if remote else [])):
        yield f"INSTALL {extension}; LOAD {extension};"
    if remote:
        yield _KEYS
        # One server and one repository: one secret serves what is derived too.
        yield from (f"{text};" for text in duckdb_secret(remote[0], from_environment=True))
    yield "SET geometry_always_xy = true; -- longitude before latitude, in EPSG:4326 too"
    yield f"CREATE SCHEMA IF NOT EXISTS {quoted(ref)};"
    names = [TableName(ref=ref, table=name) for name in table_names(tuple(places))]
    for view in views_of(names, lambda _: tuple(places), fetch=not remote):
        yield f"{_view(view, places)};"
    for statement in derived_sql(ref, [name.table for name in names]):
        yield f"{statement.strip()};"


def _view(view: View, places: Mapping[Path, Location]) -> str:
    replaced = ", ".join(
        f"{as_geometry(quoted(name), crs)} AS {quoted(name)}" for name, crs in view.geometry.items()
    )
    chosen = f"* REPLACE ({replaced})" if replaced else "*"
    name = f"{quoted(view.ref)}.{quoted(view.table)}"
    is_file = not view.columns
    source = (
        f"read_parquet({text_literal(_elsewhere(view.files[0], places))})"
        if is_file
        else f"delta_scan({text_literal(_elsewhere(view.folder, places))})"
    )
    return f"CREATE OR REPLACE VIEW {name} AS SELECT {chosen} FROM {source}"  # noqa: S608 — quoted


def _elsewhere(path: str, places: Mapping[Path, Location]) -> str:
    """Return where engines of other programs read what is at a path of this machine."""
    for folder, place in places.items():
        if is_remote(place) and Path(path).is_relative_to(folder):
            return place.child(Path(path).relative_to(folder).as_posix()).uri
    return path
