"""DuckDB as the lab opens it: extensions from wheels, nothing fetched, then locked."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import duckdb

from registry.errors import UnavailableError

__all__ = ["load", "lock", "open_engine", "quoted", "text_literal"]

_CONFIG: Final = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
}


def open_engine(*, memory_mb: int | None = None, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Open an in-memory engine with spatial functions, in UTC, east before north everywhere.

    Args:
        memory_mb: What it may use, in MiB; by default DuckDB's own share of the machine.
        threads: How many threads it may use.

    Returns:
        A connection that can still read files; :func:`lock` ends that.
    """
    config = _CONFIG | {"threads": str(threads)}
    if memory_mb is not None:
        config |= {"memory_limit": f"{memory_mb}MiB", "temp_directory": ""}
    connection = duckdb.connect(config={**config})
    load(connection, "icu")
    load(connection, "spatial")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET geometry_always_xy = true")
    connection.execute("SET enable_progress_bar = false")
    return connection


def load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Load an extension from its wheel, without touching the home folder or the network.

    Raises:
        UnavailableError: The wheel is not installed, or is of another version of DuckDB.
    """
    package = f"duckdb_extension_{extension}"
    spec = find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    version = duckdb.__version__
    for folder in folders:
        file = Path(folder, "extensions", f"v{version}", f"{extension}.duckdb_extension")
        if file.is_file():
            connection.execute(f"LOAD {text_literal(str(file))}")
            return
    raise UnavailableError(
        f"DuckDB's extension {extension!r} for version {version} is not installed",
        hint=f"pip install duckdb-extension-{extension}=={version}",
    )


def lock(connection: duckdb.DuckDBPyConnection, folders: Iterable[str]) -> None:
    """Close an engine to every file but those below some folders, and to the network, for good.

    Args:
        connection: What is closed.
        folders: Absolute paths that stay readable.
    """
    allowed = ", ".join(text_literal(f"{folder.rstrip('/')}/") for folder in folders)
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def quoted(name: str) -> str:
    """Write a name as SQL does.

    Returns:
        The name in double quotes.

    Examples:
        >>> print(quoted('ships@v2'))
        "ships@v2"
    """
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Write a text as SQL does.

    Returns:
        The text in single quotes.

    Examples:
        >>> print(text_literal("l'eau"))
        'l''eau'
    """
    return "'" + text.replace("'", "''") + "'"
