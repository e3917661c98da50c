"""What became of a table: counts, columns, and its changed rows as a stream.

Which rows differ is known by key and place; values are fetched batch by batch, so that memory is
bounded by a batch, however much changed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.geo.likeness import PIXEL, Likeness, likeness
from registry.tables.alterations import Alteration, alterations, comparable
from registry.tables.diff import (
    DELETED,
    INSERTED,
    UPDATED,
    Differences,
    compare,
    snapshot_or_none,
    structs,
)
from registry.tables.log import DataFile, Root, Snapshot
from registry.tables.rows import opened
from registry.tables.schemas import TableSchema
from registry.tables.writing import layout_of

__all__ = ["GEOMETRY", "Systems", "TableDiff", "table_diff"]

GEOMETRY: Final = pa.struct([
    pa.field("iou", pa.float64()),
    pa.field("distance", pa.float64()),
    pa.field("unit", pa.string()),
    pa.field("note", pa.string()),
])
"""How alike an outline is to what it was: see :class:`registry.geo.likeness.Likeness`."""

Systems = Callable[[Sequence[str]], Mapping[str, str | None]]
"""Returns the coordinate systems of samples, by their ids."""

_ROWS: Final = 16_384
_BYTES: Final = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDiff:
    """How one table differs between two states of a dataset."""

    name: str
    """The table."""

    inserted: int
    """Rows that only the later state has."""

    updated: int
    """Rows of which a value changed."""

    deleted: int
    """Rows that only the earlier state has."""

    columns: tuple[Alteration, ...]
    """What changed about its columns."""

    uncompared: tuple[str, ...]
    """Columns of which the type changed so that their values cannot be compared."""

    differences: Differences
    """Which rows, and where they stand."""

    def __bool__(self) -> bool:
        return bool(self.total or self.columns)

    @property
    def total(self) -> int:
        """How many rows differ."""
        return int(self.differences.rows.num_rows)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that name a row."""
        return self.differences.schema.key

    @property
    def schema(self) -> pa.Schema:
        """What :meth:`batches` have.

        The key, ``change`` (inserted, updated, deleted), ``columns`` (those that differ; fields of
        properties as ``properties.<field>``), the row ``before`` and ``after`` as structs, and
        ``shape``, how alike the outlines are, where there are any.
        """
        known = self.differences.schema
        whole = pa.struct([pa.field(n, known.arrow.field(n).type) for n in self._wanted()])
        fields = [pa.field(k, known.arrow.field(k).type) for k in known.key]
        fields += [("change", pa.string()), ("columns", pa.list_(pa.string()))]
        fields += [("before", whole), ("after", whole)]
        if "geometry" in known.arrow.names:
            fields.append(("shape", GEOMETRY))
        return pa.schema(fields)

    def keys(self, *kinds: str) -> pa.Table:
        """Return the keys of rows with one of these changes, or of all."""
        found = self.differences
        rows = found.rows.select(list(found.schema.key))
        return rows.filter(pa.array(found.is_change(*kinds))) if kinds else rows

    def batches(self, systems: Systems | None = None) -> pa.RecordBatchReader:
        """Return the rows that differ, about in the order of the table.

        Args:
            systems: Finds the coordinate systems that annotations are drawn in; without it
                their outlines are compared in the system's own unit.
        """
        return pa.RecordBatchReader.from_batches(self.schema, self._stream(systems))

    def to_table(self, systems: Systems | None = None) -> pa.Table:
        """Return the rows that differ, all at once, sorted by key."""
        rows = self.batches(systems).read_all()
        return rows.sort_by([(key, "ascending") for key in self.key])

    def parts(self) -> Iterator[Differences]:
        """Yield the differences in parts that fit into memory with their values."""
        found = self.differences
        weights = sum(
            _weights(side, found.rows.column(f"{word}_file"))
            for side, word in ((found.before, "before"), (found.after, "after"))
        )
        batch = np.maximum(
            np.cumsum(weights) // _BYTES, np.arange(found.rows.num_rows) // _ROWS
        )  # fmt: skip
        starts = [0, *(np.flatnonzero(np.diff(batch)) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], found.rows.num_rows], strict=True):
            if end > start:
                yield replace(found, rows=found.rows.slice(start, end - start).combine_chunks())

    def _wanted(self) -> list[str]:
        known = self.differences.schema
        return [name for name in known.arrow.names if name != layout_of(known).payload]

    def _stream(self, systems: Systems | None) -> Iterator[pa.RecordBatch]:
        schema = self.schema
        for part in self.parts():
            sides = []
            for side, absent in (("before", INSERTED), ("after", DELETED)):
                there = ~part.is_change(absent)
                sides.append(structs(part.values(self._wanted(), side=side, mask=there), there))
            heads = part.rows.select([*self.key, "change", "columns"])
            arrays = [*heads.columns, *sides]
            if "shape" in schema.names:
                arrays.append(_likenesses(heads, sides, part.schema, systems))
            yield from pa.Table.from_arrays(arrays, schema=schema).combine_chunks().to_batches()


def table_diff(before: Root | None, after: Root | None, name: str) -> TableDiff:
    """Return how a table differs between two states of a dataset.

    Args:
        before: The earlier state's folder; None if it has no such table.
        after: The later state's folder; None if it has no such table.
        name: The table.

    Raises:
        NotFoundError: Neither side has the table.
        SchemaMismatchError: Its rows have no key, or keys of different kinds.
        DuplicateKeyError: A side has two rows of one key, or a row without one.
    """
    sides = snapshot_or_none(before, name), snapshot_or_none(after, name)
    schema, uncompared = comparable(*sides, name)
    found = compare(*sides, name, schema=schema)
    inserted, updated, deleted = (
        int(found.is_change(kind).sum()) for kind in (INSERTED, UPDATED, DELETED)
    )
    return TableDiff(
        name=name,
        inserted=inserted,
        updated=updated,
        deleted=deleted,
        columns=alterations(*sides),
        uncompared=uncompared,
        differences=found,
    )


def _weights(side: Snapshot | None, places: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return how many unpacked bytes a row of each file has, one value a row; 0 where none is."""
    numbers = np.asarray(places.fill_null(-1))
    found = np.zeros(len(numbers))
    if side is None:
        return found
    for number in np.unique(numbers[numbers >= 0]).tolist():
        found[numbers == number] = _row_bytes(side, side.files[number])
    return found


def _row_bytes(side: Snapshot, file: DataFile) -> float:
    with opened(side.folder / file.path) as parquet:
        groups = range(parquet.metadata.num_row_groups)
        size = sum(parquet.metadata.row_group(group).total_byte_size for group in groups)
        return float(size / max(1, parquet.metadata.num_rows))


def _likenesses(
    heads: pa.Table, sides: Sequence[pa.StructArray], schema: TableSchema, systems: Systems | None
) -> pa.Array:
    said: list[dict[str, object] | None] = [None] * heads.num_rows
    columns = heads.column("columns").to_pylist()
    rows = [i for i, names in enumerate(columns) if "geometry" in (names or ())]
    if not rows:
        return pa.array(said, GEOMETRY)
    wanted = [n for n in ("geometry", "frame", "sample") if n in schema.arrow.names]
    values = [
        {name: side.field(name).take(pa.array(rows)).to_pylist() for name in wanted}
        for side in sides
    ]
    frames = _frames(values, schema, systems, len(rows))
    for at, row in enumerate(rows):
        frame = frames[at]
        outlines = (values[0]["geometry"][at], values[1]["geometry"][at])
        alike = frame if isinstance(frame, Likeness) else likeness(*outlines, frame=frame)
        said[row] = {name: getattr(alike, name) for name in ("iou", "distance", "unit", "note")}
    return pa.array(said, GEOMETRY)


def _frames(
    values: Sequence[Mapping[str, Sequence[str | None]]],
    schema: TableSchema,
    systems: Systems | None,
    count: int,
) -> list[str | Likeness | None]:
    stated = _stated_system(schema.arrow.field("geometry"))
    if "frame" not in schema.arrow.names:
        return [stated] * count
    known: Mapping[str, str | None] = {}
    if systems is not None and "sample" in schema.arrow.names:
        known = systems(sorted({name for name in values[1]["sample"] if name is not None}))
    samples = values[1].get("sample") or [None] * count
    return [
        _frame(was, now, known.get(str(sample)))
        for was, now, sample in zip(values[0]["frame"], values[1]["frame"], samples, strict=True)
    ]


def _frame(was: str | None, now: str | None, crs: str | None) -> str | Likeness | None:
    if was != now:
        note = f"drawn in frame {was} before, {now} after"
        return Likeness(iou=None, distance=None, unit="", note=note)
    return PIXEL if now == PIXEL else crs


def _stated_system(field: pa.Field) -> str | None:
    said = (field.metadata or {}).get(b"ARROW:extension:metadata")
    crs = json.loads(said).get("crs") if said else None
    return crs if isinstance(crs, str) else None
