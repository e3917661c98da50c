"""A difference in lines for people: counts, then what each row was and is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import shapely

if TYPE_CHECKING:
    from registry.catalog.comparing.difference import CardChange
    from registry.catalog.comparing.renames import Rename
    from registry.tables.changes import Systems, TableDiff

__all__ = [
    "card_lines",
    "counted",
    "field_of",
    "rows_of",
    "shape_text",
    "table_lines",
    "value_text",
]

_UNMOVED: Final = 1e-3
"""Distance, in metres or pixels, below which an outline was redrawn and not moved."""

_SHORT_UNITS: Final = {"metre": "m", "pixel": "px"}
"""Units as they stand behind a number, whatever that is."""

_CELL: Final = 60  # characters of a value on a line of a terminal
_SLICE: Final = 512  # rows that become Python objects at once


def table_lines(
    table: "TableDiff", renamed: "Sequence[Rename]", systems: "Systems", rows: int | None
) -> Iterator[str]:
    """Yield what is said of one table.

    Args:
        table: The table.
        renamed: Its renamed rows.
        systems: Finds the coordinate systems that annotations are drawn in.
        rows: How many rows at most; all of them if None.
    """
    yield f"{table.name}: {counted(table)}"
    yield from (f"  {one.to_text()}" for one in table.columns)
    if table.uncompared:
        yield f"  not compared, as their types differ: {', '.join(table.uncompared)}"
    for one in renamed[:rows]:
        yield f"  renamed {_key_text(one.before)} → {_key_text(one.after)}"
    if rows is not None and len(renamed) > rows:
        yield f"  … and {len(renamed) - rows:,} more renamed"
    if table.name == "pixels" and rows is not None:  # hashes say nothing to people
        return
    yield from (f"  {_row_text(row, table.key)}" for row in islice(rows_of(table, systems), rows))
    if rows is not None and table.total > rows:
        yield f"  … and {table.total - rows:,} more; all of them: --rows"


def counted(table: "TableDiff") -> str:
    """Return how many rows changed in which way."""
    counts = (
        (table.inserted, "inserted"),
        (table.updated, "updated"),
        (table.deleted, "deleted"),
    )
    return ", ".join(f"{n:,} {said}" for n, said in counts if n) or "no row differs"


def rows_of(table: "TableDiff", systems: "Systems | None" = None) -> Iterator[dict[str, Any]]:
    """Yield changed rows as mappings, a few at a time.

    Args:
        table: The table.
        systems: Finds the coordinate systems that annotations are drawn in.
    """
    for batch in table.batches(systems):
        for start in range(0, batch.num_rows, _SLICE):
            yield from batch.slice(start, _SLICE).to_pylist()


def card_lines(change: "CardChange") -> Iterator[str]:
    """Yield what is said of one key of the card."""
    if change.key == "body":
        lines = [str(side or "").count("\n") for side in (change.before, change.after)]
        yield f"card: prose changed ({lines[0]} → {lines[1]} lines)"
    else:
        key, before, after = map(value_text, (change.key, change.before, change.after))
        yield f"card: {key}: {before} → {after}"


def value_text(value: object, most: int = _CELL) -> str:
    r"""Return a value as it is shown on one line.

    Args:
        value: Any value of a table or card.
        most: Characters at most.

    Examples:
        >>> value_text(None), value_text(["Forest"]), value_text("x" * 99, most=5)
        ('nothing', "['Forest']", 'xxxx…')
        >>> value_text("red \x1b[31m").isprintable()
        True
    """
    if value is None:
        return "nothing"
    if isinstance(value, bytes):
        text = value[:most].hex()
    else:
        whole = (value if isinstance(value, str) else str(value))[: 4 * most]
        # What would steer a terminal, or turn the direction of a line, is not let through.
        text = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(whole.split()))
    return text if len(text) <= most else text[: most - 1] + "…"


def field_of(row: Mapping[str, Any] | None, cell: str) -> object:
    """Return a cell of a row: a column, or ``properties.<field>``."""
    if row is None:
        return None
    if cell.startswith("properties.") and cell not in row:
        return (row.get("properties") or {}).get(cell.removeprefix("properties."))
    return row.get(cell)


def shape_text(shape: Mapping[str, Any] | None) -> str:
    """Return how alike two outlines are.

    Examples:
        >>> shape_text({"iou": 0.5, "distance": 12.34, "unit": "metre", "note": ""})
        'IoU 0.50, moved 12.3 m'
        >>> shape_text({"iou": 0.5, "distance": 0.0, "unit": "metre", "note": ""})
        'IoU 0.50'
    """
    if shape is None:
        return "changed"
    said = [] if shape["iou"] is None else [f"IoU {shape['iou']:.2f}"]
    if shape["distance"] is not None and shape["distance"] >= _UNMOVED:
        unit = _SHORT_UNITS.get(shape["unit"], shape["unit"])
        said.append(f"moved {shape['distance']:.3g} {unit}".rstrip())
    return ", ".join([*said, *filter(None, [shape["note"]])]) or "redrawn"


def _row_text(row: Mapping[str, Any], keys: Iterable[str]) -> str:
    key = _key_text([row[name] for name in keys])
    if row["change"] != "updated":
        return f"{row['change']} {key}"
    return f"updated {key}  {'; '.join(_cell_text(row, cell) for cell in row['columns'])}"


def _cell_text(row: Mapping[str, Any], cell: str) -> str:
    if cell == "geometry":
        was, now = (field_of(row[side], cell) for side in ("before", "after"))
        if was is not None and now is not None:
            return f"geometry: {shape_text(row.get('shape'))}"
        return f"geometry: {_outline(was)} → {_outline(now)}"
    values = [field_of(row[side], cell) for side in ("before", "after")]
    if cell == "area":  # of an outline as drawn, so no more digits mean anything
        values = [float(f"{v:.6g}") if isinstance(v, float) else v for v in values]
    return f"{cell}: {' → '.join(map(value_text, values))}"


def _outline(wkb: object) -> str:
    if not isinstance(wkb, bytes):
        return "nothing"
    shape = shapely.from_wkb(wkb, on_invalid="ignore")
    return "unreadable" if shapely.is_missing(shape) else shape.geom_type


def _key_text(key: Iterable[object]) -> str:
    return " ".join(value_text(value) for value in key)
