"""Whether a table that was computed again is the same, to the last bit, and if not, why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from registry.catalog.version import Version
from registry.curate.features.definition import FeatureSet
from registry.curate.features.records import INPUTS, Record, table_name
from registry.errors import RejectedError
from registry.tables.equality import changed_places

__all__ = ["FeaturesDifferError", "differences"]

_ROWS: Final = 16_384
_SHOWN: Final = 3
_BITS: Final = {pa.float16(): pa.int16(), pa.float32(): pa.int32(), pa.float64(): pa.int64()}


class FeaturesDifferError(RejectedError):
    """The same recipe on the same data gave other values than before."""

    code = "features-differ"

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem, hint=hint)


def differences(
    version: Version, made: FeatureSet, file: Path, before: Record, after: Record
) -> tuple[str, str] | None:
    """Return the problem and hint if a table differs from one computed before; None if not.

    Args:
        version: Where the table lies that was computed before.
        made: The set.
        file: What was computed now.
        before: How it was made before.
        after: How it was made now.
    """
    changed = 0
    samples: list[str] = []
    columns: set[str] = set()
    old = _slices(version.scan(table_name(made), columns=_columns(made)))
    with pq.ParquetFile(file) as new:
        fresh = _slices(new.iter_batches(columns=_columns(made)))
        for was, is_ in _aligned(old, fresh):
            if was.num_rows != is_.num_rows or was.column(0) != is_.column(0):
                return _said(made, before, after, "its rows are others")
            one, other = _bits(was), _bits(is_.cast(was.schema))
            places = changed_places(one, other)
            changed += len(places)
            samples += [str(was.column(0)[int(i)]) for i in places[: _SHOWN - len(samples)]]
            if len(places):
                columns |= {
                    name
                    for name in one.column_names
                    if len(changed_places(one.select([name]), other.select([name])))
                }
    if not changed:
        return None
    named = ", ".join(sorted(columns)[:_SHOWN])
    return _said(
        made, before, after, f"{changed:,} rows differ, such as {', '.join(samples)}, in {named}"
    )


def _said(made: FeatureSet, before: Record, after: Record, what: str) -> tuple[str, str]:
    moved = [
        f"{name} {before.packages.get(name, 'not there')} → {after.packages.get(name, 'not there')}"
        for name in sorted({*before.packages, *after.packages})
        if before.packages.get(name) != after.packages.get(name)
    ]
    if before.engine != after.engine:
        moved.append(f"engine {before.engine} → {after.engine}")
    why = (
        f"since then {', '.join(moved)}"
        if moved
        else "recipe, inputs, packages and engine are the same, so its function is not pure"
    )
    return (
        f"features '{made.name}' came out otherwise than before: {what}; {why}",
        "the table was left as it is; to replace it, count up the set's version",
    )


def _columns(made: FeatureSet) -> list[str]:
    own = [INPUTS] if made.gathering is None else []
    return [*made.key, *(one.name for one in made.features if one.name not in made.key), *own]


def _bits(rows: pa.Table) -> pa.Table:
    """Return rows with floating-point numbers as the whole numbers that their bits are."""
    columns = [rows.column(name).combine_chunks() for name in rows.column_names]
    whole = [
        pa.concat_arrays(one.chunks) if isinstance(one, pa.ChunkedArray) else one for one in columns
    ]
    return pa.table([one.view(_as_bits(one.type)) for one in whole], names=rows.column_names)


def _as_bits(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_as_bits(kind.value_type))
    return _BITS.get(kind, kind)


def _slices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield rows again, as many at once as the other side."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= _ROWS:
            whole = pa.Table.from_batches(held)
            yield whole.slice(0, _ROWS)
            rest = whole.slice(_ROWS)
            held, count = rest.to_batches(), rest.num_rows
    if held:
        yield pa.Table.from_batches(held)


def _aligned(
    one: Iterator[pa.Table], other: Iterator[pa.Table]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    while True:
        first, second = next(one, None), next(other, None)
        if first is None and second is None:
            return
        here = first if first is not None else second
        if here is None:
            return
        empty = here.slice(0, 0)
        yield (empty if first is None else first), (empty if second is None else second)
