"""Which states of a table can be merged; others are refused before anything is written."""

from dataclasses import replace

from registry.tables.commit import check_writable
from registry.tables.conform import union
from registry.tables.errors import SchemaMismatchError
from registry.tables.keys import check_new_keys
from registry.tables.log import UNPLACED, Snapshot
from registry.tables.schemas import TableSchema
from registry.tables.store import schema_at

__all__ = ["check_side", "merged_schema"]


def merged_schema(
    base: Snapshot | None, ours: Snapshot, theirs: Snapshot | None, name: str
) -> TableSchema:
    """Return the columns that either side has, ours first.

    Args:
        base: The table where the sides parted; None if it was not there.
        ours: The one side.
        theirs: The other; None if it does not have the table.
        name: The table.

    Raises:
        SchemaMismatchError: Both have a column of one name and different types, the table has no
            key or two, or the sides made it anew in two ways, such as a split with two seeds.
    """
    schema = schema_at(ours)
    if theirs is None:
        return schema
    other = schema_at(theirs)
    if other.key != schema.key or not schema.key:
        raise SchemaMismatchError(
            f"table {name!r} has the key {schema.key} on one side and {other.key} on the other",
            hint="agree on one key, then merge again",
        )
    mine, their = dict(schema.properties), dict(other.properties)
    apart = sorted(said for said in {*mine, *their} if mine.get(said) != their.get(said))
    if base is None and apart:
        said = apart[0]
        raise SchemaMismatchError(
            f"table {name!r} says {said}={mine.get(said)!r} on one side and {their.get(said)!r} on "
            "the other: its rows were made in two ways",
            hint="keep one of the two under another name, then merge again",
        )
    return replace(schema, arrow=union(schema.arrow, other.arrow, table=name))


def check_side(base: Snapshot | None, side: Snapshot, whose: str) -> None:
    """Refuse a side that asks for what the lab does not know, or doubles or lacks a key.

    The lab has looked at the keys of every file that it wrote; others' are looked at here.

    Args:
        base: The table where the sides parted; None if it was not there.
        side: The one side.
        whose: For the error: ``ours`` or ``theirs``.

    Raises:
        DuplicateKeyError: A key is there twice, or missing.
        UnsafeTableError: The log asks for a feature that the lab does not know.
    """
    check_writable(side)
    known = {one.path for one in base.files} if base else set()
    strange = [f for f in side.files if f.path not in known and f.order == UNPLACED]
    rest = [f for f in side.files if f not in strange]
    check_new_keys(side, schema_at(side), rest, strange, has=f"of {whose} has")
