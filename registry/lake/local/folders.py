"""Which paths belong to a Delta table: a table is one unit, and its files never change."""

from collections.abc import Iterable

__all__ = ["LOG", "is_immutable", "is_scratch", "table_of", "tables_in"]

LOG = "_delta_log"


def table_of(path: str) -> str | None:
    """Return the table whose log a path lies in, or None.

    Examples:
        >>> table_of("splits/default/_delta_log/00000000000000000000.json")
        'splits/default'
    """
    head, found, _ = f"/{path}".rpartition(f"/{LOG}/")
    return head.lstrip("/") if found else None


def tables_in(paths: Iterable[str]) -> frozenset[str]:
    """Return the Delta tables that some paths make up."""
    return frozenset(table for path in paths if (table := table_of(path)) is not None)


def inside(path: str, tables: frozenset[str]) -> str | None:
    """Return which of some tables a path belongs to."""
    while path:
        path = path.rpartition("/")[0]
        if path in tables:
            return path
    return None


def is_immutable(path: str, tables: frozenset[str]) -> bool:
    """Return whether writers of Delta tables never change this file once it is written.

    Names that begin with ``_`` or ``.`` are an engine's notes (``_last_checkpoint``, checksums),
    which some engines rewrite in place.
    """
    name = path.rpartition("/")[2]
    return not name.startswith(("_", ".")) and inside(path, tables) is not None


def is_scratch(path: str, tables: frozenset[str]) -> bool:
    """Return whether an engine left this file of a table behind for itself."""
    name = path.rpartition("/")[2]
    left = (name.startswith(".") and name.endswith(".crc")) or name.endswith(".tmp")
    return left and inside(path, tables) is not None
