"""Files that hold some of the same rows in other places: laid side by side by key, then compared.

Only keys are joined. The other columns are read one at a time, file against file, and compared in
place, which takes a fraction of what joining whole rows does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.tables.conform import conform
from registry.tables.equality import differing_cells
from registry.tables.errors import DuplicateKeyError
from registry.tables.log import Snapshot
from registry.tables.rows import FILE, ROW, cells_of, keys_reader, one_chunk, opened
from registry.tables.schemas import TableSchema

__all__ = ["Alignment", "align", "differing_pairs"]

MOST_ROWS: Final = 4_000_000
"""Rows on both sides together, beyond which keys are joined where they can spill to disk."""

_SPREAD: Final = 4  # pairs of files, for each file, beyond which rows were sorted anew

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Which rows of two sets of files belong together."""

    keys: tuple[pa.Table, pa.Table]
    """Key columns of each side, with where each row stands."""

    pairs: tuple[Numbers, Numbers]
    """Rows of either that have the same key."""

    alone: tuple[Numbers, Numbers]
    """Rows of either whose key the other does not have."""

    def places(self, side: int, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Return in which file rows stand, and where in it.

        Args:
            side: 0 before, 1 after.
            rows: Rows of that side, unitless; shape ``(row,)``.
        """
        found = [self.keys[side].column(name).to_numpy()[rows] for name in (FILE, ROW)]
        return found[0].astype(np.int64), found[1].astype(np.int64)


def align(
    before: tuple[Snapshot | None, Sequence[int]],
    after: tuple[Snapshot | None, Sequence[int]],
    schema: TableSchema,
) -> Alignment | None:
    """Lay rows of some files side by side by their keys.

    Args:
        before: The earlier state, and positions of the files to read.
        after: The later.
        schema: What the columns are.

    Returns:
        What belongs together; None if there are too many rows, or keys of a kind, that only an
        engine joins well.

    Raises:
        DuplicateKeyError: A side has two rows of one key, or a row without one.
    """
    total = sum(
        found.files[i].rows or 0 for found, numbers in (before, after) if found for i in numbers
    )
    kinds = [schema.arrow.field(name).type for name in schema.key]
    if total > MOST_ROWS or not all(_is_bytes(kind) for kind in kinds):
        return None
    keys = _keys(*before, schema), _keys(*after, schema)
    names = [_joined(side, schema) for side in keys]
    for side, name in zip(keys, names, strict=True):
        _refuse_doubles(side, name, schema)
    found = pc.index_in(names[1], value_set=names[0])
    matched = np.asarray(found.is_valid())
    rows = np.asarray(found.drop_null()).astype(np.int64)
    left = np.ones(len(names[0]), dtype=bool)
    left[rows] = False
    return Alignment(
        keys=keys,
        pairs=(rows, np.flatnonzero(matched)),
        alone=(np.flatnonzero(left), np.flatnonzero(~matched)),
    )


def differing_pairs(
    before: Snapshot, after: Snapshot, found: Alignment, schema: TableSchema, columns: Sequence[str]
) -> dict[str, Mask] | None:
    """Return, for each cell, which pairs of rows differ in it.

    Args:
        before: The earlier state.
        after: The later.
        found: Which rows belong together.
        schema: What the columns are.
        columns: Those to compare.

    Returns:
        Boolean masks over ``found.pairs``; None if rows went everywhere, so that an engine is
        faster.
    """
    places = [found.places(side, rows) for side, rows in enumerate(found.pairs)]
    both = places[0][0] * len(after.files) + places[1][0]
    kinds, members = np.unique(both, return_inverse=True)
    if len(kinds) > _SPREAD * (len(before.files) + len(after.files)):
        return None
    parts = pa.schema([schema.arrow.field(name) for name in columns])
    masks = {cell: np.zeros(len(both), dtype=bool) for cell in cells_of(parts)}
    order = np.argsort(members, kind="stable")
    ends = np.searchsorted(members[order], np.arange(len(kinds) + 1))
    runs = [order[ends[i] : ends[i + 1]] for i in range(len(kinds))]
    for name in columns:
        for rows, sides in _side_by_side((before, after), name, schema, places, runs):
            for cell, mask in differing_cells(*sides, cells_of(sides[0].schema)).items():
                masks[cell][rows[mask]] = True
    return masks


def _side_by_side(
    states: tuple[Snapshot, Snapshot],
    name: str,
    schema: TableSchema,
    places: Sequence[tuple[Numbers, Numbers]],
    runs: Sequence[Numbers],
) -> Iterator[tuple[Numbers, tuple[pa.Table, pa.Table]]]:
    """Yield rows of one file beside those of another, of one column."""
    held: list[tuple[int, pa.Table]] = [(-1, pa.table({}))] * 2
    for rows in runs:
        for side, state in enumerate(states):
            file = int(places[side][0][rows[0]])
            if held[side][0] != file:
                held[side] = file, _column(state, file, name, schema)
        yield rows, (_taken(held[0][1], places[0][1][rows]), _taken(held[1][1], places[1][1][rows]))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _keys(found: Snapshot | None, numbers: Sequence[int], schema: TableSchema) -> pa.Table:
    if found is None or not numbers:
        fields = [pa.field(name, schema.arrow.field(name).type) for name in schema.key]
        return pa.schema([*fields, (FILE, pa.int32()), (ROW, pa.int64())]).empty_table()
    files = [found.files[i] for i in numbers]
    keys = keys_reader(found, schema, files, schema.key).read_all()
    positions = pa.array(numbers, pa.int32()).take(keys.column(FILE))
    return keys.set_column(keys.schema.get_field_index(FILE), FILE, positions)


def _joined(keys: pa.Table, schema: TableSchema) -> pa.Array:
    """Return keys as one column of bytes, in which no two keys look alike."""
    columns = [one_chunk(keys.column(name)).cast(pa.large_binary()) for name in schema.key]
    if len(columns) == 1:
        return columns[0]
    sized = [
        part
        for column in columns
        for part in (pc.binary_length(column).cast(pa.string()).cast(pa.large_binary()), column)
    ]
    return pc.binary_join_element_wise(*sized, pa.scalar(b":", pa.large_binary()))


def _refuse_doubles(keys: pa.Table, names: pa.Array, schema: TableSchema) -> None:
    if names.null_count:
        raise DuplicateKeyError(
            f"{names.null_count} rows of table {schema.name!r} have no {' or '.join(schema.key)}",
            hint="give every row its key on the side that has them",
        )
    if len(names) == len(names.unique()):
        return
    counts = names.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
    row = pc.index(names, twice).as_py()
    said = ", ".join(f"{name} {keys.column(name)[row].as_py()!r}" for name in schema.key)
    raise DuplicateKeyError(
        f"table {schema.name!r} has two rows of {said}",
        hint="delete one of them on the side that has both",
    )


def _column(found: Snapshot, file: int, name: str, schema: TableSchema) -> pa.Table:
    wanted = pa.schema([schema.arrow.field(name).with_nullable(True)])  # noqa: FBT003 — Arrow's own order
    target = TableSchema(name=schema.name, arrow=wanted, key=())
    with opened(found.folder / found.files[file].path) as parquet:
        if name in parquet.schema_arrow.names:
            return conform(parquet.read(columns=[name]), target)
        return pa.table([pa.nulls(parquet.metadata.num_rows, wanted[0].type)], schema=wanted)


def _taken(column: pa.Table, rows: Numbers) -> pa.Table:
    # Rows that stayed together are a slice, which copies nothing.
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return column.slice(int(rows[0]), len(rows))
    return column.take(pa.array(rows))
