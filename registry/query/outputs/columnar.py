"""Rows as columns: Parquet, with GeoParquet's metadata where there is a geometry, and Arrow."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from registry.errors import InvalidInputError
from registry.query.outputs.geometry import geometries, geometry_columns, projjson
from registry.query.views import CRS84

__all__ = ["write_arrow", "write_parquet"]

ROWS_A_GROUP: Final = 122_880
"""Most rows of a row group; what DuckDB itself takes."""

BYTES_A_GROUP: Final = 64 * 2**20
"""Most bytes of a row group, before compression."""


def write_arrow(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: BinaryIO) -> None:
    """Write rows as an Arrow IPC file, uncompressed.

    Args:
        schema: The columns; geometries are GeoArrow's WKB.
        batches: The rows.
        out: Where to.
    """
    with pa.ipc.new_file(out, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def write_parquet(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: BinaryIO) -> None:
    """Write rows as Parquet, compressed by Zstandard.

    Args:
        schema: The columns; with geometries the file is GeoParquet.
        batches: The rows.
        out: Where to.

    Raises:
        InvalidInputError: Parquet has no such type, such as an interval.

    References:
        GeoParquet specification 1.1.0.
    """
    seen = {name: _Seen() for name in geometry_columns(schema)}
    bare = pa.schema([_bare(field, field.name in seen) for field in schema])
    with _opened(out, bare) as writer:
        for group in _groups(bare, batches):
            for name, of in seen.items():
                of.look(group.column(name))
            writer.write_table(group, row_group_size=ROWS_A_GROUP)
        if seen:
            writer.add_key_value_metadata({"geo": json.dumps(_geo(schema, seen))})


def _opened(out: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    try:
        return pq.ParquetWriter(out, schema, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise InvalidInputError(
            f"the result has a type that Parquet does not have: {error}",
            hint="cast the column, such as an INTERVAL, to VARCHAR",
        ) from error


def _bare(field: pa.Field, is_geometry: bool) -> pa.Field:  # noqa: FBT001 — one caller, just above
    return field.remove_metadata() if is_geometry else field


def _groups(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch.replace_schema_metadata(None).cast(schema))
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ROWS_A_GROUP or size >= BYTES_A_GROUP:
            group = pa.Table.from_batches(held, schema)
            yield group.slice(0, ROWS_A_GROUP)
            held = group.slice(ROWS_A_GROUP).to_batches()
            rows, size = sum(one.num_rows for one in held), 0
    if held:
        yield pa.Table.from_batches(held, schema)


class _Seen:
    """What a geometry column turned out to hold."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.bounds = [np.inf, np.inf, -np.inf, -np.inf]

    def look(self, column: pa.ChunkedArray) -> None:
        """Take note of some more of it."""
        for chunk in column.chunks:
            shapes = geometries(chunk)
            shapes = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
            if not len(shapes):
                continue
            flat = {shape.geom_type + (" Z" if shape.has_z else "") for shape in shapes}
            self.kinds |= flat
            west, south, east, north = shapely.total_bounds(shapes).tolist()
            before = self.bounds
            self.bounds = [
                min(before[0], west), min(before[1], south),
                max(before[2], east), max(before[3], north),
            ]  # fmt: skip


def _geo(schema: pa.Schema, seen: dict[str, _Seen]) -> dict[str, Any]:
    primary = "geometry" if "geometry" in seen else next(iter(seen))
    columns = {name: _column(schema, name, of) for name, of in seen.items()}
    # A box of degrees covers no geometry that was moved to another system.
    in_degrees = geometry_columns(schema)[primary] == CRS84
    if primary == "geometry" and in_degrees and _is_box(schema):
        columns[primary]["covering"] = {
            "bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}
        }
    return {"version": "1.1.0", "primary_column": primary, "columns": columns}


def _column(schema: pa.Schema, name: str, seen: _Seen) -> dict[str, Any]:
    said: dict[str, Any] = {"encoding": "WKB", "geometry_types": sorted(seen.kinds)}
    crs = geometry_columns(schema)[name]
    if crs != CRS84:  # what GeoParquet takes for granted
        said["crs"] = projjson(schema, name)
    if np.isfinite(seen.bounds).all():
        said["bbox"] = seen.bounds
    return said


def _is_box(schema: pa.Schema) -> bool:
    if "bbox" not in schema.names or not pa.types.is_struct(schema.field("bbox").type):
        return False
    return {"xmin", "ymin", "xmax", "ymax"} <= {side.name for side in schema.field("bbox").type}
