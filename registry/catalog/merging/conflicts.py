"""What two sides of a merge changed differently, and what somebody decided about it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from registry.errors import CorruptError, InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "OURS",
    "SET",
    "SIDES",
    "THEIRS",
    "Clash",
    "ClashKind",
    "Decision",
    "Decisions",
    "clashes_of",
    "table_of_clashes",
]

OURS, THEIRS, SET = "ours", "theirs", "set"

SIDES = (OURS, THEIRS)
"""What may be taken whole."""


class ClashKind(StrEnum):
    """What both sides changed."""

    ROW = "row"
    """A group of coupled columns of one row."""

    DELETED = "deleted"
    """A row that one side deleted and the other changed."""

    ORPHAN = "orphan"
    """A sample that one side deleted, of which rows of the other speak."""

    CARD = "card"
    """A key of the card; ``body`` is its prose."""

    FILE = "file"
    """A file of no table."""

    TABLE = "table"
    """A table that one side removed and the other wrote to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a conflict."""

    side: str
    """``ours``, ``theirs``, or ``set`` for values of one's own."""

    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """With ``set``: SQL for each column, or YAML for a key of the card."""

    why: str = ""
    """What was said of it, on one line; empty if nothing."""

    def __post_init__(self) -> None:
        if self.side not in {*SIDES, SET} or (self.side == SET) != bool(self.values):
            raise InvalidInputError(
                f"{self.side!r} with {len(self.values)} values decides nothing",
                hint="take 'ours' or 'theirs', or set values",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """One thing that both sides changed differently."""

    kind: ClashKind
    """What it is."""

    table: str
    """The table; of a file outside tables its path."""

    key: str
    """For people: the row's key, its parts joined by ``/``; the card's key; the path."""

    row: tuple[object, ...] = ()
    """Values of the row's key columns; empty unless it is a row."""

    columns: tuple[str, ...] = ()
    """Columns that differ, fields of properties as ``properties.<field>``; of a row that one side
    deleted those that the other changed."""

    base: str | None = None
    """What was there when the sides parted, as JSON text: of a row a mapping of its columns; None
    if there was nothing."""

    ours: str | None = None
    """What the branch that is merged into has; None if it has nothing."""

    theirs: str | None = None
    """What is merged."""

    decision: Decision | None = None
    """What was decided; None while it is open."""

    @property
    def id(self) -> str:
        """16 hex digits; the same for the same conflict, whenever it is found."""
        said = [self.kind, self.table, self.row, self.key, self.columns]
        sides = [self.base, self.ours, self.theirs]
        return hashlib.sha256(json.dumps([said, sides], default=str).encode()).hexdigest()[:16]

    @property
    def keeper(self) -> str:
        """The side that still has what the other deleted; ours if both have it."""
        return THEIRS if self.ours is None else OURS

    def decided(self, decisions: "Decisions", prefer: str | None) -> "Clash":
        """Return it with what was decided about it, else the preferred side."""
        made = decisions.get(self.id) or (Decision(side=prefer) if prefer else None)
        return replace(self, decision=made)


Decisions = Mapping[str, Decision]
"""What was decided, by the id of a conflict."""


def table_of_clashes(clashes: Iterable[Clash]) -> "pa.Table":
    """Return conflicts as a table.

    Args:
        clashes: The conflicts.

    Returns:
        ``id, table, key, columns, kind, row, base, ours, theirs, decision, value, why``; ``row``,
        ``base``, ``ours``, ``theirs`` and ``value`` are JSON text.
    """
    import pyarrow as pa

    return pa.Table.from_pylist([_row(clash) for clash in clashes], schema=_schema())


def clashes_of(table: "pa.Table") -> list[Clash]:
    """Return the conflicts that a table holds, as :func:`table_of_clashes` made it.

    Raises:
        CorruptError: Something else made it.
    """
    try:
        return [_clash(row) for row in table.to_pylist()]
    except (KeyError, ValueError, TypeError) as error:
        raise CorruptError(
            f"this is no table of conflicts: {error}", hint="drop it: eolab merge NAME --abort"
        ) from error


def _schema() -> "pa.Schema":
    import pyarrow as pa

    text = pa.string()
    return pa.schema([
        pa.field("id", text, nullable=False),
        ("table", text),
        ("key", text),
        ("columns", pa.list_(text)),
        ("kind", text),
        ("row", text),
        ("base", text),
        ("ours", text),
        ("theirs", text),
        ("decision", text),
        ("value", text),
        ("why", text),
    ])


def _row(clash: Clash) -> dict[str, Any]:
    made = clash.decision
    return {
        "id": clash.id,
        "table": clash.table,
        "key": clash.key,
        "columns": list(clash.columns),
        "kind": str(clash.kind),
        "row": json.dumps(clash.row, ensure_ascii=False, default=str),
        "base": clash.base,
        "ours": clash.ours,
        "theirs": clash.theirs,
        "decision": made and made.side,
        "value": json.dumps(dict(made.values), ensure_ascii=False)
        if made and made.values
        else None,
        "why": (made and made.why) or None,
    }


def _clash(row: Mapping[str, Any]) -> Clash:
    for side in ("base", *SIDES):
        json.loads(row[side] or "null")  # so that whoever shows it need not doubt it
    made = None
    if row["decision"] is not None:
        values = json.loads(row["value"] or "{}")
        made = Decision(side=row["decision"], values=values, why=row.get("why") or "")
    return Clash(
        kind=ClashKind(row["kind"]),
        table=row["table"],
        key=row["key"],
        row=tuple(json.loads(row["row"])),
        columns=tuple(row["columns"]),
        base=row["base"],
        ours=row["ours"],
        theirs=row["theirs"],
        decision=made,
    )
