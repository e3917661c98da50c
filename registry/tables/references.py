"""What points from one table to another: every pointer has its row, or it is said which has not."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from registry.tables.chips import ChipIndex
from registry.tables.diff import INSERTED, Differences, compare, snapshot_or_none
from registry.tables.engine import connection
from registry.tables.log import Root, snapshot
from registry.tables.rows import one_chunk, quoted
from registry.tables.schemas import PIXELS
from registry.tables.store import append, exists, names, scan, schema_at

if TYPE_CHECKING:
    import duckdb

__all__ = ["check_pointers", "foreign_key_conflicts", "probable_duplicates", "restore_pixels"]

_POINTERS = pa.schema([("sample", pa.string()), ("asset", pa.string()), ("pixels", pa.binary())])
_DANGLING = pa.schema([
    ("table", pa.string()),
    ("key", pa.string()),
    ("column", pa.string()),
    ("value", pa.string()),
])
_DUPLICATES = pa.schema([
    ("sample", pa.string()),
    ("category", pa.string()),
    ("ours", pa.string()),
    ("theirs", pa.string()),
    ("iou", pa.float64()),
])
_LIKELY_ONE = 0.5  # intersection over union from which two outlines are probably one object
_CHIPS_AT_ONCE = 64


def check_pointers(root: Root) -> pa.Table:
    """Return the assets whose pixels are not there.

    Args:
        root: The dataset's folder.

    Returns:
        ``sample``, ``asset`` and ``pixels`` of each; empty if every pointer has its row.
    """
    if not exists(root, "assets"):
        return _POINTERS.empty_table()
    index = ChipIndex.open(root) if exists(root, "pixels") else ChipIndex(files=())
    found = []
    for batch in scan(root, "assets", _POINTERS.names):
        pointing = batch.filter(batch.column("pixels").is_valid())
        there = index.has(pointing.column("pixels").to_pylist())
        found.append(pointing.filter(pa.array(~there)))
    return pa.Table.from_batches(found).cast(_POINTERS) if found else _POINTERS.empty_table()


def restore_pixels(root: Root, parents: Sequence[Root]) -> int:
    """Bring back pixels that assets point to, from any folder that still has them.

    Args:
        root: The dataset's folder; writable.
        parents: Where to look, in this order.

    Returns:
        How many rows came back.
    """
    restored = 0
    for parent in parents:
        missing = sorted(set(check_pointers(root).column("pixels").to_pylist()))
        if not missing:
            break
        if exists(parent, "pixels"):
            index = ChipIndex.open(parent)
            there = [d for d, has in zip(missing, index.has(missing), strict=True) if has]
            restored += append(root, PIXELS, _rows(index, there)) if there else 0
    return restored


def foreign_key_conflicts(root: Root) -> pa.Table:
    """Return the rows that speak of a sample that is not there.

    Args:
        root: The dataset's folder.

    Returns:
        ``table``, ``key`` (its values, joined by a slash), ``column`` and ``value``.
    """
    if not exists(root, "samples"):
        return _DANGLING.empty_table()
    parts = []
    with connection(locked=False) as engine:
        _load(engine, "samples", scan(root, "samples", ["id"]))
        for name in names(root):
            schema = schema_at(snapshot(root, name))
            if "sample" in schema.arrow.names and not name.startswith("reports/"):
                key = list(dict.fromkeys([*schema.key, "sample"]))
                _load(engine, "pointing", scan(root, name, key))
                said = " || '/' || ".join(f"{quoted(k)}::varchar" for k in schema.key)
                sql = (
                    f"select {said} as key, sample as value from pointing "  # noqa: S608 — quoted, declared names
                    "where sample not in (select id from samples) order by key"
                )
                rows = engine.sql(sql).to_arrow_table()
                parts.append(_dangling(rows, name))
    return pa.concat_tables([_DANGLING.empty_table(), *parts])


def probable_duplicates(base: Root | None, ours: Root, theirs: Root) -> pa.Table:
    """Return annotations that both sides drew since base and that are probably one object.

    Args:
        base: Dataset's folder where the two sides parted.
        ours: The one side.
        theirs: The other.

    Returns:
        ``sample``, ``category``, the two ids and the intersection over union, at least 0.5.
    """
    sides = [_drawn(base, side) for side in (ours, theirs)]
    rows = [
        (mine["sample"], mine["category"], mine["id"], other["id"], iou)
        for mine, other, iou in _overlapping(*sides)
        if mine["id"] != other["id"] and iou >= _LIKELY_ONE
    ]
    listed = [dict(zip(_DUPLICATES.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(listed, schema=_DUPLICATES)


def _rows(index: ChipIndex, digests: Sequence[bytes]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(digests), _CHIPS_AT_ONCE):
        chips = index.read(digests[start : start + _CHIPS_AT_ONCE])
        columns = {
            "sha256": [chip.sha256 for chip in chips],
            "codec": [chip.codec for chip in chips],
            "data": [chip.data for chip in chips],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=PIXELS.arrow)


def _load(engine: "duckdb.DuckDBPyConnection", table: str, rows: pa.RecordBatchReader) -> None:
    engine.register("incoming", rows)
    engine.execute(f"create or replace temp table {table} as select * from incoming")  # noqa: S608 — quoted, declared names
    engine.unregister("incoming")


def _dangling(rows: pa.Table, name: str) -> pa.Table:
    count = rows.num_rows
    columns = [
        pa.array([name] * count, pa.string()),
        one_chunk(rows.column("key")),
        pa.array(["sample"] * count, pa.string()),
        one_chunk(rows.column("value")),
    ]
    return pa.Table.from_arrays(columns, schema=_DANGLING)


def _drawn(base: Root | None, side: Root) -> list[dict[str, Any]]:
    before, after = (snapshot_or_none(root, "annotations") for root in (base, side))
    if after is None:
        return []
    found: Differences = compare(before, after, "annotations")
    columns = ["id", "sample", "category", "geometry"]
    rows = found.values(columns, side="after", mask=found.is_change(INSERTED)).to_pylist()
    return [row for row in rows if row["geometry"] is not None]


def _overlapping(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any], float]]:
    places: dict[tuple[object, object], list[dict[str, Any]]] = {}
    for row in theirs:
        places.setdefault((row["sample"], row["category"]), []).append(row)
    for mine in ours:
        near = places.get((mine["sample"], mine["category"]), [])
        if near:
            shape = shapely.from_wkb(mine["geometry"])
            others = shapely.from_wkb(np.array([row["geometry"] for row in near], dtype=object))
            shared = shapely.area(shapely.intersection(shape, others))
            whole = shapely.area(shapely.union(shape, others))
            iou = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
            yield from zip([mine] * len(near), near, iou.tolist(), strict=True)
