"""Which rows of a table are exported, so that the same ones can be found again."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError, NotFoundError
from registry.tables import store
from registry.tables.expressions import Statement
from registry.tables.rows import ROW
from registry.tables.schemas import TableSchema

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.tables.log import Root

__all__ = ["chosen_rows", "ids_of"]

_SLICE: Final = re.compile(r"[0-9a-f]{32}")


def ids_of(registry: "Registry", samples: str) -> tuple[str, ...]:
    """Return the sample ids that an option names.

    Args:
        registry: Where slices are kept.
        samples: A slice's id, or sample ids with commas between.

    Raises:
        NotFoundError: There is no such slice.
    """
    if _SLICE.fullmatch(samples.strip()):
        from registry.query import find_slice

        return find_slice(registry, samples.strip()).ids
    return tuple(dict.fromkeys(one.strip() for one in samples.split(",") if one.strip()))


def chosen_rows(
    root: "Root", schema: TableSchema, *, where: str = "", ids: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of a table that a condition and samples choose, in their order.

    Args:
        root: The dataset's folder.
        schema: The table's.
        where: SQL condition; all rows if empty.
        ids: Sample ids; of all samples if None.

    Raises:
        ExpressionError: The condition cannot be used.
        InvalidInputError: The table does not speak of samples.
        NotFoundError: The table has nothing on any of the samples.
    """
    rows = store.read(root, schema.name)
    if ids is not None:
        rows = _of_samples(rows, schema, ids)
    if where.strip():
        statement = Statement.of(schema, where=where)
        places = pa.array(np.arange(rows.num_rows))
        with statement.open() as engine:
            asked = rows.select(list(statement.columns)).append_column(ROW, places)
            rows = rows.take(statement.run(engine, asked).column(ROW))
    return rows.combine_chunks()


def _of_samples(rows: pa.Table, schema: TableSchema, ids: Sequence[str]) -> pa.Table:
    column = "id" if schema.name == "samples" else "sample"
    if column not in rows.column_names:
        raise InvalidInputError(
            f"table {schema.name!r} does not speak of samples", hint="choose rows by --where"
        )
    found = rows.filter(pc.is_in(rows.column(column), value_set=pa.array(ids, pa.string())))
    if not found.num_rows:
        raise NotFoundError(
            f"table {schema.name!r} has no row on {', '.join(ids[:3])}",
            hint="name sample ids with commas between, or a slice",
        )
    return found
