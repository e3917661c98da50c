"""What the commit of a merge says of its decisions: why in its message, of which rows beside it.

Rows are told by salted hashes: a commit outlives its rows, and must not name what was forgotten.
"""

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.catalog.merging.conflicts import SET, Clash, ClashKind

__all__ = ["message_of", "metadata_of", "reasons_of"]

_WHYS = "whys"
"""Metadata of the commit: JSON of ``salt`` and ``rows``."""

_MOST = 100
"""Rows of which a commit tells why, at most; its message tells every reason."""


def message_of(message: str, clashes: Iterable[Clash]) -> str:
    """Return the message of a merge's commit: what was said of it, then why it was decided so.

    Args:
        message: What was said of the merge.
        clashes: Its conflicts with their decisions.

    Examples:
        >>> from registry.catalog.merging.conflicts import Decision
        >>> west = Decision(side="ours", why="west is right")
        >>> clash = Clash(kind=ClashKind.ROW, table="annotations", key="n1", decision=west)
        >>> print(message_of("merge b into main", [clash]))
        merge b into main
        <BLANKLINE>
        annotations, 1 conflict, ours: west is right
    """
    counts = Counter(
        (clash.table, clash.decision.side, clash.decision.why)
        for clash in clashes
        if clash.decision is not None and clash.decision.why
    )
    lines = [
        f"{table}, {number:,} conflict{'' if number == 1 else 's'}, {_SIDE.get(side, side)}: {why}"
        for (table, side, why), number in counts.items()
    ]
    return "\n".join([message.rstrip(), "", *lines]) if lines else message


_SIDE = {SET: "values of one's own"}


def metadata_of(clashes: Iterable[Clash]) -> dict[str, str]:
    """Return what the commit keeps for :func:`reasons_of`; nothing if no reason was given."""
    salt = secrets.token_hex(8)
    rows: dict[str, list[tuple[Sequence[str], str]]] = {}
    for clash in clashes:
        made = clash.decision
        if not clash.row or made is None or not made.why or len(rows) >= _MOST:
            continue
        columns = clash.columns if clash.kind is ClashKind.ROW else ()
        said = f"{_SIDE.get(made.side, made.side)}: {made.why}"
        rows.setdefault(_hash(salt, clash.table, clash.row), []).append((columns, said))
    if not rows:
        return {}
    return {_WHYS: json.dumps({"salt": salt, "rows": rows}, ensure_ascii=False)}


def reasons_of(
    metadata: Mapping[str, str], table: str, row: Sequence[object]
) -> list[tuple[frozenset[str], str]]:
    """Return why a commit has a row as it is: columns (none if the whole row) and the reason.

    Args:
        metadata: The commit's.
        table: The table.
        row: Values of the row's key columns.
    """
    if _WHYS not in metadata:
        return []
    try:
        kept: Any = json.loads(metadata[_WHYS])
        found = kept["rows"].get(_hash(str(kept["salt"]), table, row), [])
        return [(frozenset(map(str, columns)), str(said)) for columns, said in found]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # somebody else wrote it; a history is readable without


def _hash(salt: str, table: str, row: Sequence[object]) -> str:
    said = json.dumps([salt, table, [*map(str, row)]])
    return hashlib.sha256(said.encode()).hexdigest()[:16]
