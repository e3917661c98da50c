"""A DuckDB of one's own: in memory, locked against files, network and settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["connection"]

_MEMORY = "1GB"


@contextmanager
def connection(*, locked: bool = True) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open a private DuckDB that sees only what is registered with it.

    Args:
        locked: Refuse files, network and settings. What is larger than its memory is spilled to
            a temporary folder only where it is not locked.

    Yields:
        The connection; closed afterwards.
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {"memory_limit": _MEMORY}
    if locked:
        settings |= {
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "allow_community_extensions": False,
            "lock_configuration": True,
        }
    opened = duckdb.connect(":memory:", config=settings)
    try:
        opened.execute("set timezone = 'UTC'") if not locked else None
        yield opened
    finally:
        opened.close()
