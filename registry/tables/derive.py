"""Columns that follow from others: never set by hand, computed again when those change."""

import numpy as np
import pyarrow as pa
import shapely

from registry.geo import bounds_of, centres_of, hilbert_key
from registry.tables.conform import conform
from registry.tables.equality import changed_places
from registry.tables.errors import SchemaMismatchError
from registry.tables.log import UNPLACED, DataFile, Snapshot
from registry.tables.rows import opened
from registry.tables.schemas import TableSchema

__all__ = ["derive", "is_derived"]


def derive(rows: pa.Table, schema: TableSchema, *, strict: bool = True) -> pa.Table:
    """Return rows with the columns that follow from ``geometry``, if that is among theirs.

    ``samples`` get ``bbox`` and ``hilbert``; ``annotations`` get ``area``.

    Args:
        rows: Any columns of the table.
        schema: The table's schema.
        strict: Refuse what is no WKB; else it has no box and no area, and the checks find it.

    Returns:
        The rows; derived columns replaced, or added at the end.

    Raises:
        SchemaMismatchError: A geometry is not WKB, and ``strict``.

    Examples:
        >>> from registry.tables.schemas import SAMPLES
        >>> place = shapely.box(5, 50, 6, 51)
        >>> derive(pa.table({"geometry": [place.wkb]}), SAMPLES)["bbox"][0].as_py()["xmin"]
        5.0
    """
    wanted = {name for name in schema.derived if name in schema.arrow.names}
    if "geometry" not in rows.column_names or not wanted:
        return rows
    try:
        texts = np.array(rows.column("geometry").to_pylist(), dtype=object)
        shapes = shapely.from_wkb(texts, on_invalid="raise" if strict else "ignore")
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise SchemaMismatchError(
            f"a geometry of table {schema.name!r} is not WKB", hint="write it with shapely.to_wkb"
        ) from error
    made: dict[str, pa.Array] = {}
    bounds = bounds_of(shapes) if wanted & {"bbox", "hilbert"} else None
    if bounds is not None and "bbox" in wanted:
        made["bbox"] = _boxes(bounds, schema.arrow.field("bbox").type)
    if bounds is not None and "hilbert" in wanted:
        made["hilbert"] = pa.array(hilbert_key(*centres_of(bounds)))
    if "area" in wanted:
        area = shapely.area(shapes)
        made["area"] = pa.array(area, mask=shapely.is_missing(shapes))
    for name, column in made.items():
        at = rows.schema.get_field_index(name)
        field = schema.arrow.field(name)
        rows = rows.append_column(field, column) if at < 0 else rows.set_column(at, field, column)
    return rows


def is_derived(found: Snapshot, file: DataFile, schema: TableSchema) -> bool:
    """Return whether a data file's computed columns follow from its others.

    Files that the lab wrote are not read for it: it computed them.

    Args:
        found: The table.
        file: One of its files.
        schema: The table's schema.
    """
    names = [name for name in ("geometry", *schema.derived) if name in schema.arrow.names]
    if file.order != UNPLACED or names[:1] != ["geometry"]:
        return True
    fields = pa.schema([schema.arrow.field(name) for name in names])
    wanted = TableSchema(name=schema.name, arrow=fields, key=())
    with opened(found.folder / file.path) as parquet:
        there = [name for name in names if name in parquet.schema_arrow.names]
        rows = conform(parquet.read(columns=there), wanted) if there else fields.empty_table()
    return not len(changed_places(rows, derive(rows, schema, strict=False)))


def _boxes(bounds: np.ndarray, kind: pa.StructType) -> pa.Array:
    edges = [pa.array(bounds[:, i]) for i in range(4)]
    unknown = pa.array(np.isnan(bounds[:, 0]))
    return pa.StructArray.from_arrays(edges, fields=list(kind), mask=unknown)
