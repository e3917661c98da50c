"""What two states of a table differ in, row by row; what they share is not read.

A data file that both have is skipped. A file that was rewritten in place shares the bytes of most
of its columns with the one it came from: those are compared as bytes, not decoded.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from registry.errors import NotFoundError
from registry.tables.aligned import Alignment, align, differing_pairs
from registry.tables.conform import union
from registry.tables.errors import SchemaMismatchError, TableNotFoundError
from registry.tables.joined import DELETED, INSERTED, PLACES, UPDATED, compared_columns, join
from registry.tables.log import Root, Snapshot, snapshot
from registry.tables.rewritten import compare_rewritten, match_files
from registry.tables.rows import fetch, one_chunk
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

_AT_ONCE = 4  # files that are decoded at the same time


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
        parts += _compare_pairs(before, after, pairs, schema)
    if gone or come:
        parts.append(_compare_by_key(before, after, gone, come, schema))
    fields = [pa.field(key, schema.arrow.field(key).type) for key in schema.key]
    rows = pa.schema([*fields, *PLACES]).empty_table()
    rows = pa.concat_tables([rows, *parts])
    return Differences(
        schema=schema, rows=rows.combine_chunks(), before=before, after=after, moved=moved
    )


def _compare_pairs(
    before: Snapshot, after: Snapshot, pairs: Sequence[tuple[int, int]], schema: TableSchema
) -> list[pa.Table]:
    """Return which rows of files that were rewritten in place differ; some are read at once."""

    def compared(pair: tuple[int, int]) -> list[pa.Table]:
        old, new = pair
        files = (before.folder / before.files[old].path, after.folder / after.files[new].path)
        return [_placed(rows, old, new) for rows in compare_rewritten(*files, schema)]

    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, max(1, len(pairs)))) as pool:
        return [part for parts in pool.map(compared, pairs) for part in parts]


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
    aligned = align((before, gone), (after, come), schema)
    if aligned is not None:
        compared = compared_columns(schema)
        masks: dict[str, np.ndarray] | None = {}
        if before is not None and after is not None and len(aligned.pairs[0]):
            masks = differing_pairs(before, after, aligned, schema, compared)
        if masks is not None:
            return _aligned_rows(aligned, masks, schema)
    return join(before, after, gone, come, schema)


def _aligned_rows(
    found: Alignment, masks: Mapping[str, np.ndarray], schema: TableSchema
) -> pa.Table:
    """Return what an alignment says as changed rows, in the order of the earlier state."""
    pairs = found.pairs[0], found.pairs[1]
    changed = np.flatnonzero(
        np.logical_or.reduce([*masks.values(), np.zeros(len(pairs[0]), dtype=bool)])
    )
    cells = np.array(list(masks), dtype=object)
    inside = np.stack([mask[changed] for mask in masks.values()], axis=1) if len(cells) else None
    columns = [] if inside is None else [cells[row].tolist() for row in inside]
    nothing = np.empty(0, np.int64)
    return pa.concat_tables([
        _rows_at(found, (pairs[0][changed], pairs[1][changed]), UPDATED, columns, schema),
        _rows_at(found, (found.alone[0], nothing), DELETED, None, schema),
        _rows_at(found, (nothing, found.alone[1]), INSERTED, None, schema),
    ])


def _rows_at(
    found: Alignment,
    rows: tuple[np.ndarray, np.ndarray],
    change: str,
    columns: list[list[str]] | None,
    schema: TableSchema,
) -> pa.Table:
    count = max(map(len, rows))
    side = 0 if len(rows[0]) else 1
    fields = [pa.field(key, schema.arrow.field(key).type) for key in schema.key]
    keys = found.keys[side].select(list(schema.key)).take(pa.array(rows[side]))
    arrays = [
        *keys.columns,
        pa.array([change] * count, pa.string()),
        pa.array([[]] * count if columns is None else columns, pa.list_(pa.string())),
    ]
    for at, numbers in enumerate(rows):
        places = found.places(at, numbers) if len(numbers) else (None, None)
        for values, kind in zip(places, (pa.int32(), pa.int64()), strict=True):
            arrays.append(pa.nulls(count, kind) if values is None else pa.array(values, kind))
    return pa.Table.from_arrays(arrays, schema=pa.schema([*fields, *PLACES]))


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
