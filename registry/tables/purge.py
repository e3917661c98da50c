"""Rows taken out of a table's files wherever they lie.

A data file becomes another, with another name, in every log entry and checkpoint that names it
(:mod:`registry.tables.relogging`): so a table whose files and logs are all put through says at
each version what it said before, less the rows. What becomes of a file depends on it alone.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.tables.expressions import Statement
from registry.tables.log import DataFile
from registry.tables.rows import ROW, opened
from registry.tables.schemas import TableSchema, declared
from registry.tables.writing import layout_of, write_files

__all__ = [
    "Unwanted",
    "annotations_of",
    "count_gone",
    "gone",
    "keys_among",
    "keys_by_hash",
    "keys_that_match",
    "may_have_had",
    "names_in_bounds",
    "pointers",
    "rewrite_file",
    "rewrite_rows",
]

_BATCH = 65_536
_STATS = ("stats", "stats_parsed")
_KEYS = MappingProxyType({
    "samples": frozenset({"id"}),
    "assets": frozenset({"sample"}),
    "splits": frozenset({"sample"}),
    "features": frozenset({"sample"}),
    "annotations": frozenset({"id", "sample"}),
})
"""Columns that name a row's sample or annotation; in other tables any text may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """Which rows go, by what names them."""

    samples: frozenset[str] = frozenset()
    """Ids of samples."""

    annotations: frozenset[str] = frozenset()
    """Ids of annotations."""

    assets: frozenset[str] = frozenset()
    """Of the samples only these assets; none if the samples go whole."""

    pixels: frozenset[bytes] = frozenset()
    """Digests of arrays that nothing else points to."""

    mentions: Callable[[str], bool] = field(default=lambda _: False, compare=False)
    """Whether a text speaks of something that goes."""


def gone(table: str, rows: pa.RecordBatch | pa.Table, unwanted: Unwanted) -> np.ndarray:
    """Return which rows of a table go; boolean, shape ``(row,)``.

    Args:
        table: Its name: the rule is the table's.
        rows: Rows with all columns that the file has.
        unwanted: What goes.
    """
    none = np.zeros(rows.num_rows, dtype=bool)
    if table == "pixels":
        return _among(rows, "sha256", unwanted.pixels, none)
    kind = table.partition("/")[0]
    by_sample = _among(rows, "id" if table == "samples" else "sample", unwanted.samples, none)
    if unwanted.assets:
        if kind not in {"assets", "reports"}:
            return none
        by_asset = _among(rows, "asset", unwanted.assets, none)
        return np.asarray(by_sample & by_asset)
    if table in {"samples", "assets"} or kind in {"splits", "features"}:
        return by_sample
    if table == "annotations":
        return np.asarray(by_sample | _among(rows, "id", unwanted.annotations, none))
    return np.asarray(by_sample | _speaking(rows, unwanted, none))


def _among(
    rows: pa.RecordBatch | pa.Table, column: str, values: frozenset[Any], none: np.ndarray
) -> np.ndarray:
    if not values or column not in rows.schema.names:
        return none
    kind = rows.schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_bytes(kind)):
        return none
    wanted = pa.array(sorted(values), kind)
    found = pc.fill_null(pc.is_in(rows.column(column), value_set=wanted), fill_value=False)
    return np.asarray(found)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _speaking(rows: pa.RecordBatch | pa.Table, unwanted: Unwanted, none: np.ndarray) -> np.ndarray:
    """Return which rows of a table that is made of others speak of what goes, in any text."""
    found = none.copy()
    names = unwanted.samples | unwanted.annotations
    for column in rows.schema:
        if pa.types.is_string(column.type):
            found |= _among(rows, column.name, names, none)
            texts = rows.column(column.name).to_pylist()
            found |= np.array(
                [text is not None and unwanted.mentions(text) for text in texts], bool
            )
    return found


def may_have_had(table: str, said: Mapping[str, Any], unwanted: Unwanted) -> bool:
    """Return whether what a log says of a file leaves open that the file had rows that go.

    Args:
        table: The table's name.
        said: The log's ``add`` or ``remove``, of JSON or of a checkpoint.
        unwanted: What goes.
    """
    kind = table.partition("/")[0]
    if any(unwanted.mentions(text) for text in _texts(said)):
        return True
    if kind == "pixels" or (unwanted.assets and kind not in {"assets", "reports"}):
        return False  # bounds are of small columns, and no digest is in them
    return any(_spans(kind, said[key], unwanted) for key in _STATS if said.get(key))


def names_in_bounds(said: Mapping[str, Any]) -> frozenset[str]:
    """Return the texts that are bounds of a file's columns in what a log says of it."""
    found = [_bounds(said[key]) or () for key in _STATS if said.get(key)]
    sides = (side for pair in found for side in pair)
    return frozenset(one for side in sides for one in side.values() if isinstance(one, str))


def _bounds(stats: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:  # noqa: ANN401 — any JSON value
    try:
        found = orjson.loads(stats) if isinstance(stats, str) else stats
        low, high = found.get("minValues") or {}, found.get("maxValues") or {}
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return (low, high) if isinstance(low, dict) and isinstance(high, dict) else None


def _spans(kind: str, stats: Any, unwanted: Unwanted) -> bool:  # noqa: ANN401 — any JSON value
    """Return whether the bounds of a file's columns have a name between them, or may have."""
    found = _bounds(stats)
    if found is None:
        return True
    low, high = found
    both = {name: (low[name], high[name]) for name in low.keys() & high.keys()}
    texts = {n: pair for n, pair in both.items() if all(isinstance(one, str) for one in pair)}
    columns = texts.keys() & _KEYS.get(kind, texts.keys())
    if not columns:
        return bool(low or high)
    return any(_between(*texts[one], _names(kind, one, unwanted)) for one in columns)


def _names(kind: str, column: str, unwanted: Unwanted) -> frozenset[str]:
    if kind not in _KEYS:
        return unwanted.samples | unwanted.annotations
    own = kind == "annotations" and column == "id"
    return unwanted.annotations if own else unwanted.samples


def _between(low: str, high: str, names: Iterable[str]) -> bool:
    # What engines write as an upper bound may be cut short.
    return any(low <= one and (one <= high or one.startswith(high)) for one in names)


def _texts(said: Any) -> Iterator[str]:  # noqa: ANN401 — any JSON value
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        for name, value in said.items():
            yield from _texts(name)
            yield from _texts(value)
    elif isinstance(said, list | tuple):
        for value in said:
            yield from _texts(value)


def count_gone(path: Path, table: str, unwanted: Unwanted) -> int:
    """Return how many rows of a data file go; payloads are not read."""
    with opened(path) as file:
        payload = _payload_of(table)
        columns = [name for name in file.schema_arrow.names if name != payload]
        return sum(
            int(gone(table, batch, unwanted).sum())
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns)
        )


def _payload_of(table: str) -> str | None:
    schema = declared(table)
    return layout_of(schema).payload if schema else None


def keys_that_match(
    paths: Sequence[Path], schema: TableSchema, statement: Statement, key: str
) -> frozenset[str]:
    """Return the keys of rows of data files that fit a condition.

    Args:
        paths: The files; columns that one does not have are null.
        schema: The table's, with every column that it ever had.
        statement: The condition.
        key: The key's column.
    """
    found: set[str] = set()
    with statement.open() as engine:
        for path in paths:
            rows = _columns(path, schema, {key, *statement.columns})
            asked = rows.select(list(statement.columns))
            asked = asked.append_column(ROW, pa.array(np.arange(rows.num_rows)))
            hits = statement.run(engine, asked).column(ROW)
            found.update(rows.column(key).take(hits).to_pylist())
    return frozenset(found)


def keys_among(path: Path, column: str, keys: frozenset[str]) -> frozenset[str]:
    """Return which of some keys a data file has."""
    with opened(path) as file:
        rows = file.read(columns=[column])
    mask = _among(rows, column, keys, np.zeros(rows.num_rows, dtype=bool))
    return frozenset(rows.column(column).filter(pa.array(mask)).to_pylist())


def keys_by_hash(path: Path, column: str, wanted: Callable[[str], bool]) -> frozenset[str]:
    """Return the keys of a data file that are wanted."""
    with opened(path) as file:
        return frozenset(filter(wanted, file.read(columns=[column]).column(column).to_pylist()))


def _columns(path: Path, schema: TableSchema, names: set[str]) -> pa.Table:
    fields = [one for one in schema.arrow if one.name in names]
    with opened(path) as file:
        there = [one.name for one in fields if one.name in file.schema_arrow.names]
        rows, count = file.read(columns=there), file.metadata.num_rows
    columns = {
        one.name: rows.column(one.name).cast(one.type, safe=False)
        if one.name in there
        else pa.nulls(count, one.type)
        for one in fields
    }
    return pa.table(columns)


def annotations_of(path: Path, samples: frozenset[str]) -> frozenset[str]:
    """Return the ids of the annotations of some samples in a file of ``annotations``."""
    with opened(path) as file:
        rows = file.read(columns=["id", "sample"])
    mask = _among(rows, "sample", samples, np.zeros(rows.num_rows, dtype=bool))
    return frozenset(rows.column("id").filter(pa.array(mask)).to_pylist())


def pointers(path: Path, unwanted: Unwanted) -> tuple[set[Any], set[Any]]:
    """Return what rows of a file of ``assets`` that go, and others, point to.

    Returns:
        Digests of pixels and addresses of files: those of rows that go, those of rows that stay.
    """
    going: set[Any] = set()
    staying: set[Any] = set()
    with opened(path) as file:
        wanted = ("sample", "asset", "pixels", "href")
        there = [name for name in wanted if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=_BATCH, columns=there):
            mask = pa.array(gone("assets", batch, unwanted))
            for rows, found in (
                (batch.filter(mask), going),
                (batch.filter(pc.invert(mask)), staying),
            ):
                for column in {"pixels", "href"} & set(there):
                    found.update(rows.column(column).drop_null().to_pylist())
    return going, staying


# ------------------------------------------------------------------------ data files
def rewrite_file(
    path: Path, folder: Path, schema: TableSchema, unwanted: Unwanted, *, name: str
) -> list[DataFile]:
    """Write what stands for a data file: its other rows, in their order.

    Args:
        path: The file.
        folder: Where the new files go.
        schema: The table's, with every column that it ever had.
        unwanted: What goes.
        name: Name of the file in its table: what stands for another file has another name, even
            if the same rows are left.

    Returns:
        The new files with their statistics; none if no row is left.
    """
    with opened(path) as file:
        there = [name for name in schema.arrow.names if name in file.schema_arrow.names]
        target = pa.schema([schema.arrow.field(name) for name in there])
        written = replace(schema, arrow=target, key=tuple(k for k in schema.key if k in there),
                          groups=(), derived=())  # fmt: skip
        batches = _left(file, target, schema, unwanted)
        made = list(write_files(folder, written, batches))
    found = []
    for one in made:
        said = hashlib.sha256(f"{name}\n{one.path}".encode()).hexdigest()[:40]
        new = replace(one, path=f"part-{said}.parquet")
        (folder / one.path).replace(folder / new.path)
        found.append(new)
    return found


def _left(
    file: pq.ParquetFile, target: pa.Schema, schema: TableSchema, unwanted: Unwanted
) -> Iterator[pa.RecordBatch]:
    rows = layout_of(schema).batch_rows
    for batch in file.iter_batches(batch_size=rows, columns=target.names):
        stays = ~gone(schema.name, batch, unwanted)
        if stays.any():
            table = pa.Table.from_batches([batch]).filter(pa.array(stays)).select(target.names)
            # Engines differ in how they write a time; the log says what it is.
            yield from table.cast(target, safe=False).combine_chunks().to_batches()


def rewrite_rows(path: Path, unwanted: Unwanted) -> bytes | None:
    """Return a Parquet file that is no table's, such as the items, without rows that go.

    Args:
        path: The file; its rows are named by ``id``, else by ``sample``.
        unwanted: What goes; where only some assets do, their cells become null.

    Returns:
        The file; None if nothing of it goes.
    """
    with opened(path) as file:
        schema, rows = file.schema_arrow, file.read()
    key = "id" if "id" in schema.names else "sample"
    none = np.zeros(rows.num_rows, dtype=bool)
    mask = _among(rows, key, unwanted.samples, none)
    if not mask.any():
        return None
    if unwanted.assets:
        rows = _without_assets(rows, mask, unwanted.assets)
        if rows is None:
            return None
    else:
        rows = rows.filter(pa.array(~mask))
    out = io.BytesIO()
    metadata = _without_extent(schema.metadata or {})
    pq.write_table(rows.replace_schema_metadata(metadata), out, compression="zstd", version="2.6")
    return out.getvalue()


def _without_assets(rows: pa.Table, mask: np.ndarray, assets: frozenset[str]) -> pa.Table | None:
    if "assets" not in rows.column_names:
        return None
    at = rows.schema.get_field_index("assets")
    kind = rows.schema.field(at).type
    if not pa.types.is_struct(kind) or not assets & {inner.name for inner in kind}:
        return None
    column = rows.column(at).combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    parts = []
    for inner in kind:
        values = pc.struct_field(column, inner.name)
        if inner.name in assets:
            values = pc.if_else(pa.array(mask), pa.nulls(len(values), values.type), values)
        parts.append(values)
    made = pa.StructArray.from_arrays(parts, fields=list(kind), mask=pc.is_null(column))
    return rows.set_column(at, rows.schema.field(at), made)


def _without_extent(metadata: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return GeoParquet's metadata without the box around all rows, which is optional."""
    kept = dict(metadata)
    if b"geo" in kept:
        said = json.loads(kept[b"geo"])
        for column in said.get("columns", {}).values():
            column.pop("bbox", None)
        kept[b"geo"] = json.dumps(said).encode()
    kept.pop(b"ARROW:schema", None)
    return kept
