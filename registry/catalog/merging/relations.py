"""What points across tables after a merge: pixels brought back, samples and what speaks of them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.merging.conflicts import OURS, THEIRS, Clash, ClashKind
from registry.tables import edit, references, store

if TYPE_CHECKING:
    from registry.lake import Location

__all__ = ["Mended", "bring_back", "mend_pixels", "mend_samples"]

_SHOWN = 20
"""Keys of one table that a conflict over a sample lists."""


@dataclass(slots=True, kw_only=True)
class Mended:
    """What was done to keep tables consistent, and what both sides differ over."""

    tables: set[str] = field(default_factory=set)
    """Tables that were written."""

    clashes: list[Clash] = field(default_factory=list)
    """Samples that one side deleted and the other speaks of, with what was decided."""


def mend_pixels(root: Path, *, ours: "Location", theirs: "Location") -> set[str]:
    """Bring back pixels that a pointer needs and that a compaction dropped, from either side.

    Returns:
        Tables that were written.
    """
    return {"pixels"} if references.restore_pixels(root, [theirs.path, ours.path]) else set()


def mend_samples(
    root: Path,
    *,
    sides: "Mapping[str, Location]",
    decided: Callable[[Clash], Clash],
    gone: Iterable[str],
) -> Mended:
    """Decide over samples that one side deleted and rows of the other speak of.

    A sample that stays comes back with all that its side knows of it; else those rows go too.

    Args:
        root: The merged folder; writable.
        sides: Where ``ours`` and ``theirs`` lie.
        decided: Returns a conflict with what was decided about it.
        gone: Samples whose deletion is a conflict of its own: rows follow that decision.

    Returns:
        What was written, and the conflicts; the sample of an open one stays for now.
    """
    done = Mended()
    orphans = _new_orphans(root, sides.values())
    follows = set(gone)
    kept: dict[str, list[str]] = {OURS: [], THEIRS: []}
    for sample, rows in orphans.items():
        if sample in follows:
            continue
        clash = decided(_clash(sample, rows, sides))
        done.clashes.append(clash)
        # While nobody has decided, nothing that follows from it is asked either.
        if clash.decision is None or clash.decision.side == clash.keeper:
            kept[clash.keeper].append(sample)
    for side, samples in kept.items():
        done.tables |= bring_back(root, sides[side], samples)
    staying = {*kept[OURS], *kept[THEIRS]}
    dropped = [sample for sample in orphans if sample not in staying]
    tables = {str(row["table"]) for sample in dropped for row in orphans[sample]}
    for name in sorted(tables):
        edit.delete(root, name, where=f"sample in ({', '.join(map(_literal, dropped))})")
    done.tables |= tables
    return done


def bring_back(root: Path, side: "Location", samples: Sequence[str]) -> set[str]:
    """Bring samples back as one side has them, with its rows that speak of them.

    Args:
        root: The merged folder; writable. Rows that it has stay as they are.
        side: Where to look.
        samples: Ids.

    Returns:
        Tables that were written.
    """
    written = set()
    wanted = pa.array(sorted(samples), pa.string())
    for name in store.names(side) if samples else ():
        schema = store.schema_of(side, name)
        column = "id" if name == "samples" else "sample"
        if column not in schema.arrow.names or name.startswith("reports/"):
            continue
        rows = store.read(side, name, filter=pc.is_in(pc.field(column), wanted))
        missing = _missing(root, name, rows, list(schema.key))
        if missing.num_rows:
            edit.upsert(root, schema, missing)
            written.add(name)
    return written


def _missing(root: Path, name: str, rows: pa.Table, key: Sequence[str]) -> pa.Table:
    if not rows.num_rows or not store.exists(root, name):
        return rows
    condition = pc.is_in(pc.field(key[0]), rows.column(key[0]).combine_chunks())
    there = set(_keys(store.read(root, name, columns=key, filter=condition), key))
    return rows.filter(pa.array([one not in there for one in _keys(rows, key)], pa.bool_()))


def _keys(rows: pa.Table, names: Sequence[str]) -> list[tuple[object, ...]]:
    return list(zip(*(rows.column(name).to_pylist() for name in names), strict=True))


def _new_orphans(root: Path, sides: "Iterable[Location]") -> dict[str, list[dict[str, object]]]:
    """Return rows by the sample that they speak of and that is not there any more.

    Those that one side has alone are the checks' business, not the merge's.
    """
    found = references.foreign_key_conflicts(root).to_pylist()
    if not found:
        return {}
    known = {
        tuple(row.values())
        for side in sides
        for row in references.foreign_key_conflicts(side).to_pylist()
    }
    orphans: dict[str, list[dict[str, object]]] = {}
    for row in found:
        if tuple(row.values()) not in known:
            orphans.setdefault(str(row["value"]), []).append(row)
    return orphans


def _clash(
    sample: str, rows: Sequence[Mapping[str, object]], sides: "Mapping[str, Location]"
) -> Clash:
    keys: dict[str, list[str]] = {}
    for row in rows:
        keys.setdefault(str(row["table"]), []).append(str(row["key"]))
    said = json.dumps(
        {name: sorted(found)[:_SHOWN] for name, found in sorted(keys.items())}, ensure_ascii=False
    )
    ours = _has(sides[OURS], sample)
    return Clash(
        kind=ClashKind.ORPHAN,
        table="samples",
        key=sample,
        row=(sample,),
        ours=said if ours else None,
        theirs=None if ours else said,
    )


def _has(side: "Location", sample: str) -> bool:
    condition = pc.field("id") == sample
    return store.exists(side, "samples") and bool(
        store.read(side, "samples", columns=["id"], filter=condition).num_rows
    )


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
