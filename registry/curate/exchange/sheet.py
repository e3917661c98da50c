"""What every format writes and reads: columns, geometries in one system, where they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from registry.curate.exchange.origin import Origin

__all__ = ["PIXELS", "Found", "Sheet", "Wanted"]

PIXELS = "pixels"
"""In place of a CRS: x is the column, y the row, counted downwards from the upper left corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Rows ready to be written."""

    origin: Origin
    """What they are made from."""

    rows: pa.Table
    """One column a cell; ``geometry``, if there is one, as WKB in ``crs``."""

    crs: str | None
    """``EPSG:n``, ``OGC:CRS84``, WKT2 or ``PIXELS``; None without geometries."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """What each cell means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for in a file."""

    cells: Mapping[str, pa.DataType]
    """Cells of the table with their types."""

    key: tuple[str, ...]
    """Those that name a row."""

    table: str
    """The table's name."""

    most_rows: int = 1_000_000
    """How many rows a file may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found in a file."""

    columns: Mapping[str, Sequence[object] | pa.ChunkedArray]
    """Values by column, as the format gives them, or of the type wanted; not the geometries."""

    places: Sequence[str]
    """Where each row stands in the file."""

    geometries: Sequence[bytes | None] | None
    """WKB in ``crs``; None if the file has no such column."""

    crs: str | None
    """As in a sheet; None if the file says nothing."""

    origin: Origin | None
    """What the file says it was made from."""

    decimal_comma: bool = False
    """Whether numbers may have a comma."""

    blank_is_null: bool = False
    """Whether the format cannot tell an empty text from none."""
