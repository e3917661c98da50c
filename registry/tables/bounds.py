"""Which data files can hold a value at all, by the bounds that their log states."""

from collections.abc import Sequence

from registry.tables.log import DataFile

__all__ = ["may_hold", "overlapping"]


def may_hold(file: DataFile, column: str, *, low: str, high: str) -> bool:
    """Return whether a file may hold a value of a text column between two others.

    Args:
        file: The file; one without bounds may hold anything.
        column: The column.
        low: The least value that is asked for.
        high: The greatest.
    """
    mine = _range(file, column)
    return mine is None or (low <= mine[1] and mine[0] <= high)


def overlapping(one: DataFile, others: Sequence[DataFile], column: str) -> bool:
    """Return whether a file may hold a value of ``column`` that one of the others holds."""
    ranges = [_range(other, column) for other in others]
    return any(r is None or may_hold(one, column, low=r[0], high=r[1]) for r in ranges)


def _range(file: DataFile, column: str) -> tuple[str, str] | None:
    low = file.stats.get("minValues", {}).get(column)
    high = file.stats.get("maxValues", {}).get(column)
    return (low, high) if isinstance(low, str) and isinstance(high, str) else None
