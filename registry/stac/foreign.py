"""Other people's stac-geoparquet as rows of the declared schema."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from registry.errors import InvalidInputError, NotFoundError
from registry.stac.columns import Extractor, borrowed
from registry.stac.rows import TIMES, Refuse, assemble, boxes
from registry.stac.schema import TIME

__all__ = ["is_parquet", "parquet_batches"]

_ROWS: Final = 2048
_CORE: Final = frozenset({
    "type",
    "stac_version",
    "stac_extensions",
    "id",
    "geometry",
    "bbox",
    "links",
    "assets",
    "collection",
})


def is_parquet(path: Path) -> bool:
    """Return whether a path names a stac-geoparquet file."""
    return path.suffix.lower() in {".parquet", ".geoparquet"}


def parquet_batches(path: Path, *, refuse: Refuse) -> Iterator[pa.RecordBatch]:
    """Yield the items of a stac-geoparquet file as batches of the declared schema.

    Args:
        path: The file.
        refuse: Told of each item that cannot be a row.

    Yields:
        Batches of :data:`registry.stac.schema.ITEMS`.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is not stac-geoparquet, or damaged.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="check the path")
    try:
        with pq.ParquetFile(path) as file, borrowed() as extractor:
            _check(path, file.schema_arrow)
            number = 0
            for batch in file.iter_batches(_ROWS):
                yield _laid_out(batch, path.name, number, extractor, refuse)
                number += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InvalidInputError(
            f"{path.name} cannot be read as stac-geoparquet: {error}",
            hint="write it again, with stac-geoparquet or rustac",
        ) from error


def _check(path: Path, schema: pa.Schema) -> None:
    kinds = {name: schema.field(name).type for name in schema.names}
    lacking = {"id", "geometry", "assets"} - set(kinds)
    if lacking or not pa.types.is_struct(kinds["assets"]):
        raise InvalidInputError(
            f"{path.name} is Parquet, but not stac-geoparquet: it lacks"
            f" {', '.join(sorted(lacking)) or 'assets as a struct'}",
            hint="give a file with a row an item, as stac-geoparquet 1.x lays it out",
        )


def _laid_out(
    batch: pa.RecordBatch, name: str, before: int, extractor: Extractor, refuse: Refuse
) -> pa.RecordBatch:
    rows = pa.Table.from_batches([batch])
    origins = pa.array([f"{name}:{before + at}" for at in range(1, len(rows) + 1)])
    wkb = _wkb(_one(rows["geometry"]))
    columns = {
        "id": _one(rows["id"]).cast(pa.string()),
        "collection": _or_none(rows, "collection", pa.string()),
        "geometry": wkb,
        "bbox": _boxes(rows, wkb),
        "stac_version": _or_none(rows, "stac_version", pa.string()),
        "stac_extensions": _or_none(rows, "stac_extensions", pa.list_(pa.string())),
        "origin": origins,
        **{key: _or_none(rows, key, TIME) for key in TIMES},
        **_as_json(rows, extractor),
    }
    whole = assemble(columns, extractor)
    named = pc.greater(pc.fill_null(pc.utf8_length(whole["id"]), 0), 0)
    if pc.all(named).as_py() is not False:
        return whole
    for origin in whole["origin"].filter(pc.invert(named)).to_pylist():
        refuse(origin, "a STAC item without an id")
    return whole.filter(named)


def _or_none(rows: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    if name not in rows.column_names:
        return pa.nulls(len(rows), kind)
    return _one(rows[name]).cast(kind)


def _wkb(geometry: pa.Array) -> pa.Array:
    stored = getattr(geometry.type, "storage_type", None)
    return (geometry.cast(stored) if stored is not None else geometry).cast(pa.binary())


def _boxes(rows: pa.Table, wkb: pa.Array) -> pa.StructArray:
    """Return boxes without heights, from the geometry where none is said."""
    edges = shapely.bounds(shapely.from_wkb(wkb.to_numpy(zero_copy_only=False)))
    if "bbox" in rows.column_names:
        said = _one(rows["bbox"])
        known = said.is_valid().to_numpy(zero_copy_only=False)
        columns = [pc.struct_field(said, name) for name in ("xmin", "ymin", "xmax", "ymax")]
        stated = np.column_stack([column.to_numpy(zero_copy_only=False) for column in columns])
        edges[known] = stated[known]
    return boxes(edges)


def _as_json(rows: pa.Table, extractor: Extractor) -> dict[str, pa.Array]:
    names = [name for name in rows.column_names if name not in _CORE]
    properties = rows.select(names)
    for at, name in enumerate(names):
        if pa.types.is_timestamp(properties[name].type):
            text = pc.strftime(properties[name].cast(TIME), "%Y-%m-%dT%H:%M:%SZ")
            properties = properties.set_column(at, name, text)
    packed = pa.StructArray.from_arrays(
        [_one(column) for column in properties.columns], names=names
    )
    links = rows["links"] if "links" in rows.column_names else pa.nulls(len(rows))
    said = extractor.as_json(
        pa.table({"properties": packed, "assets": rows["assets"], "links": links})
    )
    return {f"{name}_json": _one(said[name]) for name in said.column_names}


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
