"""Which tables a tree of objects holds, and which of its objects are made anew, never merged."""

from collections.abc import Iterable

__all__ = ["ITEMS", "LOG", "is_immutable", "is_remade", "table_of", "tables_among"]

LOG = "_delta_log"
"""Name of the folder that makes its parent a Delta table."""

ITEMS = "items.parquet"
"""The STAC items of a version, written at publish."""

_KEPT_REPORTS = ("reports/ingest/",)


def tables_among(paths: Iterable[str]) -> frozenset[str]:
    """Return the names of the tables whose logs are among some paths.

    Examples:
        >>> sorted(tables_among(["README.md", "splits/x/_delta_log/0.json", "splits/x/a.parquet"]))
        ['splits/x']
    """
    inside = f"/{LOG}/"
    return frozenset(path.partition(inside)[0] for path in paths if inside in path)


def table_of(path: str, tables: frozenset[str]) -> str | None:
    """Return the table that an object belongs to; None if it is a file of its own."""
    parts = path.split("/")
    for length in range(1, len(parts)):
        name = "/".join(parts[:length])
        if name in tables:
            return name
    return None


def is_immutable(path: str) -> bool:
    """Return whether a file of a table never changes under one name."""
    in_log = f"/{LOG}/" in path
    return path.endswith((".json", ".parquet") if in_log else (".npy", ".parquet"))


def is_remade(path: str) -> bool:
    """Return whether an object is derived from the rest of its tree, so made again, not merged.

    What ingest reported is no such thing: nobody could make it again.
    """
    if path.startswith(_KEPT_REPORTS):
        return False
    return path == ITEMS or path.startswith("reports/")
