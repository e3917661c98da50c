"""A version's tables joined to rows a sample, as a stream in bounded memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from registry.curate.features.work import ANNOTATION, ARRAY, CELL, Work
from registry.errors import UnavailableError
from registry.lake import lazy
from registry.query.engine import quoted, text_literal
from registry.query.sources import sql_type
from registry.tables import store
from registry.tables.chips import ChipIndex
from registry.tables.engine import connection
from registry.tables.log import Root, snapshot

if TYPE_CHECKING:
    import duckdb

__all__ = ["answers", "cut", "engine", "pointers", "source", "with_pixels"]

_BATCH_ROWS: Final = 4096
_BATCH_BYTES: Final = 32 * 2**20  # of arrays as they are decoded, so about a third of it packed

_POINTED: Final = tuple(
    name for name in (one.name for one in ARRAY) if name not in {"codec", "data"}
)
NOT_REJECTED: Final = "status IS DISTINCT FROM 'rejected'"
"""Which annotations count: those that nobody has rejected."""


@contextmanager
def engine() -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open an engine that spills what is too large for memory, and reads geometries as they are.

    Yields:
        The engine; for the lab's own queries alone.
    """
    with connection(locked=False) as opened:
        opened.execute("SET enable_geoparquet_conversion = false")
        opened.execute("SET preserve_insertion_order = false")
        yield opened


def source(connection: "duckdb.DuckDBPyConnection", root: Root, table: str) -> str:
    """Return SQL of a table's rows, with all its declared columns as they are stored.

    Args:
        connection: Where it will run.
        root: Where the table lies.
        table: Its name; one that is not there is an error of the caller.
    """
    found = snapshot(root, table)
    types = {field.name: sql_type(field.type) for field in found.arrow}
    if not found.files:
        nothing = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(n)}" for n, kind in types.items())
        return f"(SELECT {nothing} WHERE false)"
    lazy.ensure(*found.paths())
    files = ", ".join(text_literal(path) for path in found.paths())
    read = f"read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {read}").fetchall()  # noqa: S608 — names and texts are quoted
    there = {row[0] for row in described}
    columns = ", ".join(
        quoted(name) if name in there else f"CAST(NULL AS {kind}) AS {quoted(name)}"
        for name, kind in types.items()
    )
    return f"(SELECT {columns} FROM {read})"  # noqa: S608 — as above


def answers(connection: "duckdb.DuckDBPyConnection", query: str, rows: int) -> pa.RecordBatchReader:
    """Return a query's rows as a stream.

    Raises:
        UnavailableError: Memory or disk do not suffice for it.
    """
    import duckdb

    try:
        reader: pa.RecordBatchReader = connection.execute(query).to_arrow_reader(rows)
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise UnavailableError(
            f"the tables cannot be joined: {str(error).splitlines()[0]}",
            hint="free some memory or disk and run it again",
        ) from error
    return reader


def pointers(
    connection: "duckdb.DuckDBPyConnection", work: Work, *, rows: int = _BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that work is about, with digests in place of packed arrays.

    Args:
        connection: As :func:`engine` opens it.
        work: What is to be computed.
        rows: Rows of a batch at most; batches with arrays are cut by what they hold as well.

    Yields:
        Rows of ``INPUT``; structs of ``arrays`` have ``pixels`` in place of ``codec`` and
        ``data``.
    """
    for batch in answers(connection, _query(connection, work), rows):
        yield from cut(batch) if work.arrays and batch.num_rows else [batch]


def with_pixels(batch: pa.RecordBatch, index: ChipIndex | None) -> pa.RecordBatch:
    """Return rows of :func:`pointers` as rows of ``INPUT``: each array with its packed bytes.

    Args:
        batch: The rows.
        index: Of the version's pixels; None if it has none.
    """
    if "arrays" not in batch.schema.names:
        return batch
    rows: list[list[dict[str, Any]]] = [one or [] for one in batch.column("arrays").to_pylist()]
    digests = {bytes(one["pixels"]) for row in rows for one in row if one["pixels"]}
    order = sorted(digests)
    chips = dict(zip(order, index.read(order), strict=True)) if index and order else {}
    for one in (one for row in rows for one in row):
        chip = chips.get(one.pop("pixels"))
        one["codec"], one["data"] = (chip.codec, chip.data) if chip else (None, None)
    at = batch.schema.get_field_index("arrays")
    filled = pa.array(rows, pa.list_(ARRAY))
    return batch.set_column(at, pa.field("arrays", filled.type), filled)


def _query(connection: "duckdb.DuckDBPyConnection", work: Work) -> str:
    root = work.root
    columns = ["s.id", *(f"s.{quoted(name)}" for name in work.columns)]
    joins = ""
    if work.arrays and store.exists(root, "assets"):
        columns.append("a.arrays")
        names = ", ".join(text_literal(one.name) for one in work.assets) or "''"
        pointed = ", ".join(f"{name} := {name}" for name in (*_POINTED, "pixels"))
        joins += f"""
            LEFT JOIN (SELECT sample, list(struct_pack({pointed})) AS arrays
                FROM {source(connection, root, "assets")} WHERE asset IN ({names}) GROUP BY sample
            ) a ON a.sample = s.id"""  # noqa: S608 — names and texts are quoted
    if work.annotations and store.exists(root, "annotations"):
        columns.append("n.annotations")
        said = ", ".join(f"{one.name} := {one.name}" for one in ANNOTATION)
        joins += f"""
            LEFT JOIN (SELECT sample, list(struct_pack({said})) AS annotations
                FROM {source(connection, root, "annotations")} WHERE {NOT_REJECTED} GROUP BY sample
            ) n ON n.sample = s.id"""  # noqa: S608 — as above
    if work.samples is not None:
        asked = f"read_parquet({text_literal(work.samples)})"
        rows = connection.execute(f"DESCRIBE SELECT * FROM {asked}").fetchall()  # noqa: S608 — as above
        columns += [f"w.{CELL}"] if CELL in {row[0] for row in rows} else []
        joins = f" JOIN {asked} w ON w.id = s.id" + joins
    chosen = ", ".join(columns)
    return f"SELECT {chosen} FROM {source(connection, root, 'samples')} s{joins}"  # noqa: S608 — as above


def cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield rows of :func:`pointers` in parts of about as many bytes of arrays.

    Args:
        batch: The rows.

    Yields:
        Parts in the same order, of at least one row each.
    """
    if "arrays" not in batch.schema.names:
        yield batch
        return
    sizes = [_raw_bytes(row or ()) for row in batch.column("arrays").to_pylist()]
    start = held = 0
    for number, size in enumerate(sizes):
        if number > start and held + size > _BATCH_BYTES:
            yield batch.slice(start, number - start)
            start, held = number, 0
        held += size
    yield batch.slice(start)


def _raw_bytes(arrays: Sequence[dict[str, Any]]) -> int:
    sizes = (
        np.prod(one["shape"], dtype=np.int64) * np.dtype(one["dtype"]).itemsize
        for one in arrays
        if one["shape"] and one["pixels"]
    )
    return int(sum(sizes))
