"""What two states of a table differ in, row by row; what they share is not read.

A data file that both have is skipped. A file that was rewritten in place shares the bytes of most
of its columns with the one it came from: those are compared as bytes, not decoded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from registry.errors import NotFoundError
from registry.tables.conform import union
from registry.tables.engine import connection
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError, TableNotFoundError
from registry.tables.log import Root, Snapshot, snapshot
from registry.tables.rewritten import compare_rewritten, match_files
from registry.tables.rows import FILE, ROW, cells_of, fetch, keys_reader, one_chunk, quoted
from registry.tables.schemas import TableSchema
from registry.tables.store import schema_at
from registry.tables.writing import layout_of

__all__ = [
    "DELETED",
    "INSERTED",
    "UPDATED",
    "Differences",
    "common_schema",
    "compare",
    "diff",
    "snapshot_or_none",
    "structs",
]

INSERTED, UPDATED, DELETED = "inserted", "updated", "deleted"

_PLACES = pa.schema([
    ("change", pa.string()),
    ("columns", pa.list_(pa.string())),
    ("before_file", pa.int32()),
    ("before_row", pa.int64()),
    ("after_file", pa.int32()),
    ("after_row", pa.int64()),
])


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Which rows differ, and where they stand; their values are fetched when wanted."""

    schema: TableSchema
    """Columns of either side."""

    rows: pa.Table
    """Key columns, ``change``, ``columns``, and the places before and after."""

    before: Snapshot | None
    """The one side."""

    after: Snapshot | None
    """The other."""

    moved: Mapping[int, int] = field(default_factory=dict)
    """For files of which every row stands at the same place on the other side: their positions
    before and after."""

    def values(self, columns: Sequence[str], *, side: str, mask: np.ndarray) -> pa.Table:
        """Return columns of some rows as one side has them.

        Args:
            columns: Names.
            side: ``before`` or ``after``.
            mask: Which rows; every one must be there on that side; boolean, unitless,
                shape ``(row,)``.
        """
        found = self.before if side == "before" else self.after
        file, row = (self._places(f"{side}_{what}")[mask] for what in ("file", "row"))
        if found is None:
            return pa.schema([self.schema.arrow.field(c) for c in columns]).empty_table()
        return fetch(found, self.schema, columns, file=file, row=row)

    def is_change(self, *kinds: str) -> np.ndarray:
        """Return which rows have one of these changes; boolean, one a row."""
        found = np.array(self.rows.column("change").to_pylist(), dtype=object)
        return np.isin(found.astype(str), kinds)

    def _places(self, name: str) -> np.ndarray:
        return np.asarray(self.rows.column(name).fill_null(-1).to_numpy())


def diff(before: Root, after: Root, name: str) -> pa.Table:
    """Return how a table differs between two versions, by key.

    Args:
        before: The one dataset's folder.
        after: The other's.
        name: The table; a side that does not have it counts as empty.

    Returns:
        Key columns, ``change`` (inserted, updated, deleted), ``columns`` (those that differ;
        fields of properties as ``properties.<field>``), and the row ``before`` and ``after`` as
        structs of its columns, null where there is none. Sorted by key. The packed bytes of
        ``pixels`` are left out.

    Raises:
        TableNotFoundError: Neither side has the table.
        DuplicateKeyError: A side has two rows of one key.
    """
    found = compare(snapshot_or_none(before, name), snapshot_or_none(after, name), name)
    payload = layout_of(found.schema).payload
    columns = [column for column in found.schema.arrow.names if column != payload]
    sides = {}
    for side, absent in (("before", INSERTED), ("after", DELETED)):
        mask = ~found.is_change(absent)
        rows = found.values(columns, side=side, mask=mask)
        sides[side] = structs(rows, mask)
    table = found.rows.select([*found.schema.key, "change", "columns"])
    for side, values in sides.items():
        table = table.append_column(side, values)
    return table.sort_by([(key, "ascending") for key in found.schema.key])


def snapshot_or_none(root: Root | None, name: str) -> Snapshot | None:
    """Return a table's snapshot, or None where the dataset has no such table."""
    try:
        return None if root is None else snapshot(root, name)
    except TableNotFoundError:
        return None


def compare(
    before: Snapshot | None,
    after: Snapshot | None,
    name: str,
    *,
    schema: TableSchema | None = None,
) -> Differences:
    """Return the rows that differ between two snapshots.

    Args:
        before: The one side.
        after: The other.
        name: The table.
        schema: Columns to compare, of types that both sides' widen to; all of either by default.

    Raises:
        NotFoundError: There is neither.
        SchemaMismatchError: They have no key, or a column of one name and different types.
        DuplicateKeyError: A side has two rows of one key, or a row without one.
    """
    schema = schema or common_schema(before, after, name)
    gone, come = _unshared(before, after), _unshared(after, before)
    parts: list[pa.Table] = []
    moved = _shared(before, after)
    if before is not None and after is not None:
        pairs, gone, come = match_files(before, after, gone, come, schema)
        moved |= dict(pairs)
        for old, new in pairs:
            files = (before.folder / before.files[old].path, after.folder / after.files[new].path)
            parts += [_placed(rows, old, new) for rows in compare_rewritten(*files, schema)]
    if gone or come:
        parts.append(_compare_by_key(before, after, gone, come, schema))
    fields = [pa.field(key, schema.arrow.field(key).type) for key in schema.key]
    rows = pa.schema([*fields, *_PLACES]).empty_table()
    rows = pa.concat_tables([rows, *parts])
    return Differences(
        schema=schema, rows=rows.combine_chunks(), before=before, after=after, moved=moved
    )


def common_schema(before: Snapshot | None, after: Snapshot | None, name: str) -> TableSchema:
    """Return the columns that either side of a table has, nullable but for the key.

    Raises:
        NotFoundError: There is neither.
        SchemaMismatchError: They have no key or two, or a column of one name and different types.
    """
    sides = [schema_at(side) for side in (before, after) if side is not None]
    if not sides:
        raise NotFoundError(f"neither version has a table {name!r}", hint="list them: eolab show")
    if any(not side.key or side.key != sides[0].key for side in sides):
        raise SchemaMismatchError(
            f"table {name!r} has no key that names its rows on both sides",
            hint="state it when the table is made: TableSchema(name=…, arrow=…, key=…)",
        )
    arrow = sides[0].arrow
    for side in sides[1:]:
        arrow = union(arrow, side.arrow, table=name)
    fields = [field.with_nullable(field.name not in sides[0].key) for field in arrow]
    return TableSchema(
        name=name,
        arrow=pa.schema(fields),
        key=sides[0].key,
        groups=sides[0].groups,
        derived=sides[0].derived,
        append_only=sides[0].append_only,
    )


def _shared(one: Snapshot | None, other: Snapshot | None) -> dict[int, int]:
    there = {file.path: i for i, file in enumerate(other.files)} if other else {}
    mine = one.files if one else ()
    return {i: there[file.path] for i, file in enumerate(mine) if file.path in there}


def _unshared(one: Snapshot | None, other: Snapshot | None) -> list[int]:
    """Return the positions of the files that the other side does not have."""
    if one is None:
        return []
    theirs = {(file.path, file.size) for file in other.files} if other else set()
    return [i for i, file in enumerate(one.files) if (file.path, file.size) not in theirs]


def _placed(changed: pa.Table, old: int, new: int) -> pa.Table:
    rows = changed.num_rows
    place = one_chunk(changed.column("place"))
    keys = changed.drop_columns(["columns", "place"])
    columns = changed.column("columns").cast(pa.list_(pa.string()))
    added = {
        "change": pa.array([UPDATED] * rows, pa.string()),
        "columns": columns,
        "before_file": pa.array(np.full(rows, old, np.int32)),
        "before_row": place,
        "after_file": pa.array(np.full(rows, new, np.int32)),
        "after_row": place,
    }
    for name, column in added.items():
        keys = keys.append_column(name, column)
    return keys


def _compare_by_key(
    before: Snapshot | None,
    after: Snapshot | None,
    gone: list[int],
    come: list[int],
    schema: TableSchema,
) -> pa.Table:
    key, payload = set(schema.key), layout_of(schema).payload
    compared = [n for n in schema.arrow.names if not schema.append_only and n != payload]
    names = list(dict.fromkeys([*schema.key, *compared]))
    cells = [c for c in cells_of(pa.schema([schema.arrow.field(n) for n in names])) if c not in key]
    on = " and ".join(f"b.{quoted(k)} = a.{quoted(k)}" for k in schema.key)  # none is null
    keys = ", ".join(f"coalesce(b.{quoted(k)}, a.{quoted(k)}) as {quoted(k)}" for k in schema.key)
    sql = (
        f"select {keys}, case when b.{ROW} is null then '{INSERTED}' "  # noqa: S608 — quoted, declared names
        f"when a.{ROW} is null then '{DELETED}' else '{UPDATED}' end as change, "
        f"case when b.{ROW} is null or a.{ROW} is null then []::varchar[] "
        f"else {_changed_cells(cells)} end as columns, "
        f"b.{FILE} as before_file, b.{ROW} as before_row, "
        f"a.{FILE} as after_file, a.{ROW} as after_row "
        f"from b full outer join a on {on} "
        f"where b.{ROW} is null or a.{ROW} is null or {_any_differs(cells)} "
        f"order by before_file, before_row, after_file, after_row"
    )
    with connection(locked=False) as engine:
        for side, found, numbers in (("b", before, gone), ("a", after, come)):
            files = [found.files[i] for i in numbers] if found else []
            reader = keys_reader(found, schema, files, names) if found else _none(schema, names)
            engine.register("incoming", reader)
            engine.execute(f"create temp table {side} as select * from incoming")  # noqa: S608 — quoted, declared names
            engine.unregister("incoming")
            _refuse_doubles(engine, side, schema)
        rows = engine.sql(sql).to_arrow_table()
    return _renumbered(rows, gone, come, schema)


def _none(schema: TableSchema, names: Sequence[str]) -> pa.Table:
    fields = [pa.field(name, schema.arrow.field(name).type) for name in names]
    return pa.schema([*fields, (FILE, pa.int32()), (ROW, pa.int64())]).empty_table()


def _refuse_doubles(engine: object, side: str, schema: TableSchema) -> None:
    names = ", ".join(quoted(k) for k in schema.key)
    keyless = " or ".join(f"{quoted(k)} is null" for k in schema.key)
    sql = f"select count(*) from {side} where {keyless}"  # noqa: S608 — quoted, declared names
    if count := engine.sql(sql).fetchone()[0]:  # type: ignore[attr-defined]
        raise DuplicateKeyError(
            f"{count} rows of table {schema.name!r} have no {' or '.join(schema.key)}",
            hint="give every row its key on the side that has them",
        )
    sql = f"select {names} from {side} group by all having count(*) > 1 limit 1"  # noqa: S608 — quoted, declared names
    row = engine.sql(sql).fetchone()  # type: ignore[attr-defined]
    if row is not None:
        said = ", ".join(f"{c} {v!r}" for c, v in zip(schema.key, row, strict=True))
        raise DuplicateKeyError(
            f"table {schema.name!r} has two rows of {said}",
            hint="delete one of them on the side that has both",
        )


def _renumbered(
    rows: pa.Table, gone: Sequence[int], come: Sequence[int], schema: TableSchema
) -> pa.Table:
    for name, numbers in (("before_file", gone), ("after_file", come)):
        at = rows.schema.get_field_index(name)
        mapped = pa.array(list(numbers), pa.int32()).take(rows.column(at).combine_chunks())
        rows = rows.set_column(at, name, mapped)
    fields = [pa.field(key, schema.arrow.field(key).type) for key in schema.key]
    return rows.cast(pa.schema([*fields, *_PLACES]))


def _cell(side: str, cell: str) -> str:
    if cell.startswith("properties."):
        return f"{side}.properties.{quoted(cell.removeprefix('properties.'))}"
    return f"{side}.{quoted(cell)}"


def _differs(cell: str) -> str:
    return f"{_cell('b', cell)} is distinct from {_cell('a', cell)}"


def _any_differs(cells: Sequence[str]) -> str:
    return "(" + (" or ".join(map(_differs, cells)) or "false") + ")"


def _changed_cells(cells: Sequence[str]) -> str:
    said = ", ".join(
        f"case when {_differs(c)} then '{c.replace(chr(39), chr(39) * 2)}' end" for c in cells
    )
    return f"list_filter([{said}]::varchar[], lambda x: x is not null)"


def structs(rows: pa.Table, mask: np.ndarray) -> pa.Array:
    """Return rows as structs, spread to where a mask is true.

    Args:
        rows: One row each true value.
        mask: Where they belong; boolean, unitless, shape ``(row,)``.
    """
    fields = [pa.field(f.name, f.type) for f in rows.schema]
    arrays = [one_chunk(column) for column in rows.columns]
    structs = pa.StructArray.from_arrays(arrays, fields=fields)
    places = np.where(mask, np.cumsum(mask) - 1, 0)
    return structs.take(pa.array(places, mask=~mask))
