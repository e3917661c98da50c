"""How the columns of a table differ between two states of it, and which can be compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from registry.tables.conform import union
from registry.tables.diff import common_schema
from registry.tables.errors import SchemaMismatchError
from registry.tables.log import Snapshot
from registry.tables.schemas import TableSchema
from registry.tables.store import schema_at

__all__ = ["Alteration", "alterations", "comparable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One thing about one column that is not what it was."""

    column: str
    """Its name; a field of a struct as ``properties.<field>``."""

    what: str
    """``column`` (added or removed), ``type``, ``nullability``, ``meaning`` or ``unit``."""

    before: str | None
    """What it was; None if there was none."""

    after: str | None
    """What it is; None if there is none."""

    def to_text(self) -> str:
        """Return it for people.

        Examples:
            >>> Alteration(column="n", what="type", before="int32", after="int64").to_text()
            'column n: type int32 → int64'
        """
        if self.what == "column":
            kind = self.after or self.before
            return f"column {self.column}: {'added' if self.after else 'removed'} ({kind})"
        return f"column {self.column}: {self.what} {self.before or 'none'} → {self.after or 'none'}"


def alterations(before: Snapshot | None, after: Snapshot | None) -> tuple[Alteration, ...]:
    """Return how the columns of a table changed; nothing where one side has no table."""
    if before is None or after is None:
        return ()
    return tuple(_altered(before.arrow, after.arrow, ""))


def _altered(was: pa.Schema, now: pa.Schema, prefix: str) -> Iterator[Alteration]:
    for name in dict.fromkeys([*was.names, *now.names]):
        column = prefix + name
        if name not in was.names or name not in now.names:
            kinds = (_kind(was, name), _kind(now, name))
            yield Alteration(column=column, what="column", before=kinds[0], after=kinds[1])
            continue
        one, other = was.field(name), now.field(name)
        structs = pa.types.is_struct(one.type) and pa.types.is_struct(other.type)
        if structs:
            inner = [pa.schema(list(side.type)) for side in (one, other)]
            yield from _altered(inner[0], inner[1], f"{column}.")
        for (what, before), after in zip(_facts(one).items(), _facts(other).values(), strict=True):
            if before != after and not (what == "type" and structs):
                yield Alteration(column=column, what=what, before=before, after=after)


def _kind(schema: pa.Schema, name: str) -> str | None:
    return str(schema.field(name).type) if name in schema.names else None


def _facts(field: pa.Field) -> dict[str, str | None]:
    said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return {
        "type": str(field.type),
        "nullability": "nullable" if field.nullable else "required",
        "meaning": said.get("meaning"),
        "unit": said.get("unit"),
    }


def comparable(
    before: Snapshot | None, after: Snapshot | None, name: str
) -> tuple[TableSchema, tuple[str, ...]]:
    """Return the columns whose values can be compared, and the names of those that cannot.

    A type that widens to the other side's is compared as that; where neither does, as of text that
    became numbers, the column is left out.

    Raises:
        NotFoundError: There is neither.
        SchemaMismatchError: The rows have no key, or keys of different kinds.
    """
    try:
        return common_schema(before, after, name), ()
    except SchemaMismatchError:
        if before is None or after is None:
            raise
        was, now = schema_at(before), schema_at(after)
        if not was.key or was.key != now.key:
            raise
        wide = [(f, _widened(f, now.arrow, name)) for f in was.arrow]
        lost = tuple(field.name for field, kind in wide if kind is None)
        if set(lost) & set(was.key):
            raise
    kept = [field.with_type(kind) for field, kind in wide if kind is not None]
    kept += [field for field in now.arrow if field.name not in was.arrow.names]
    arrow = pa.schema([field.with_nullable(field.name not in was.key) for field in kept])
    groups = tuple(tuple(c for c in group if c not in lost) for group in was.groups)
    derived = tuple(c for c in was.derived if c not in lost)
    return replace(was, arrow=arrow, groups=groups, derived=derived), lost


def _widened(field: pa.Field, other: pa.Schema, table: str) -> pa.DataType | None:
    if field.name not in other.names or field.type == other.field(field.name).type:
        return field.type
    kind = other.field(field.name).type
    both = (field.type, kind)
    whole, real = (all(map(test, both)) for test in (pa.types.is_integer, pa.types.is_floating))
    if whole or real:
        return max(both, key=lambda each: each.bit_width)
    try:
        return union(pa.schema([field]), pa.schema([other.field(field.name)]), table=table)[0].type
    except SchemaMismatchError:
        return None
