"""Whether values that stand side by side are the same, nulls and nested types included."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.tables.rows import one_chunk

__all__ = ["changed_places", "differing_cells"]


def changed_places(was: pa.Table, is_: pa.Table) -> np.ndarray:
    """Return which rows of two tables of one schema, side by side, differ; ascending positions."""
    found = np.zeros(was.num_rows, dtype=bool)
    for name in was.column_names:
        found |= _differs(one_chunk(was.column(name)), one_chunk(is_.column(name)))
    return np.flatnonzero(found)


def differing_cells(was: pa.Table, is_: pa.Table, cells: list[str]) -> dict[str, np.ndarray]:
    """Return, for each cell, in which rows of two tables side by side it differs.

    Args:
        was: Rows.
        is_: As many rows.
        cells: Columns that both have, or ``properties.<field>``.

    Returns:
        Boolean masks, one value a row. Null equals null, and NaN equals NaN.

    Examples:
        >>> a, b = pa.table({"x": [[1], None, [2]]}), pa.table({"x": [[1], [], [3]]})
        >>> differing_cells(a, b, ["x"])["x"].tolist()
        [False, True, True]
    """
    return {cell: _differs(_cell(was, cell), _cell(is_, cell)) for cell in cells}


def _cell(table: pa.Table, cell: str) -> pa.Array:
    if not cell.startswith("properties."):
        return one_chunk(table.column(cell))
    column = one_chunk(table.column("properties"))
    at = column.type.get_field_index(cell.removeprefix("properties."))
    return column.flatten()[at]


def _differs(was: pa.Array, is_: pa.Array) -> np.ndarray:
    if was.equals(is_):
        return np.zeros(len(was), dtype=bool)
    gone, come = _nulls(was), _nulls(is_)
    if pa.types.is_struct(was.type):
        inner = _differs_inside(was, is_)
    elif pa.types.is_list(was.type):
        inner = _differs_in_lists(was, is_, gone | come)
    else:
        inner = np.asarray(pc.fill_null(pc.not_equal(was, is_), fill_value=False))
        if pa.types.is_floating(was.type):
            inner = inner & ~(_nans(was) & _nans(is_))
    return np.asarray((gone != come) | (inner & ~gone & ~come))


def _differs_inside(was: pa.StructArray, is_: pa.StructArray) -> np.ndarray:
    found = np.zeros(len(was), dtype=bool)
    for mine, other in zip(was.flatten(), is_.flatten(), strict=True):
        found |= _differs(mine, other)
    return found


def _differs_in_lists(was: pa.ListArray, is_: pa.ListArray, skip: np.ndarray) -> np.ndarray:
    lengths = [np.asarray(pc.list_value_length(side).fill_null(-1)) for side in (was, is_)]
    found = lengths[0] != lengths[1]
    alike = ~found & ~skip
    rows = np.flatnonzero(alike)
    sides = [side if alike.all() else side.filter(pa.array(alike)) for side in (was, is_)]
    elements = _differs(sides[0].flatten(), sides[1].flatten())
    parents = np.asarray(pc.list_parent_indices(sides[0]))
    found[rows[parents[elements]]] = True
    return np.asarray(found)


def _nulls(array: pa.Array) -> np.ndarray:
    return np.asarray(array.is_null()) if array.null_count else np.zeros(len(array), dtype=bool)


def _nans(array: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.is_nan(array), fill_value=False))
