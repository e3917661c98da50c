"""Changed rows as a table, and the join of whole rows that finds them where nothing else can."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from registry.tables.engine import connection
from registry.tables.errors import DuplicateKeyError
from registry.tables.log import Snapshot
from registry.tables.rows import FILE, ROW, cells_of, keys_reader, quoted
from registry.tables.schemas import TableSchema
from registry.tables.writing import layout_of

__all__ = ["DELETED", "INSERTED", "PLACES", "UPDATED", "compared_columns", "join"]

INSERTED, UPDATED, DELETED = "inserted", "updated", "deleted"

PLACES: Final = pa.schema([
    ("change", pa.string()),
    ("columns", pa.list_(pa.string())),
    ("before_file", pa.int32()),
    ("before_row", pa.int64()),
    ("after_file", pa.int32()),
    ("after_row", pa.int64()),
])
"""What is known of a changed row besides its key: what was done, which columns, and where it
stands on either side; null where it is not there."""


def compared_columns(schema: TableSchema) -> list[str]:
    """Return the columns in which rows of one key can differ."""
    payload = layout_of(schema).payload
    if schema.append_only:
        return []
    return [n for n in schema.arrow.names if n != payload and n not in schema.key]


def join(
    before: Snapshot | None,
    after: Snapshot | None,
    gone: list[int],
    come: list[int],
    schema: TableSchema,
) -> pa.Table:
    """Return which rows of some files differ, by a join that spills to disk where it must.

    Args:
        before: The earlier state.
        after: The later.
        gone: Positions of the files that only the earlier has.
        come: Positions of the files that only the later has.
        schema: What the columns are.

    Raises:
        DuplicateKeyError: A side has two rows of one key, or a row without one.
    """
    names = [*schema.key, *compared_columns(schema)]
    cells = cells_of(pa.schema([schema.arrow.field(n) for n in compared_columns(schema)]))
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
    return rows.cast(pa.schema([*fields, *PLACES]))


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
