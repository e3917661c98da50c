"""Columns that follow from others: never set by hand, computed again when those change."""

import numpy as np
import pyarrow as pa
import shapely

from registry.geo import bounds_of, centres_of, hilbert_key
from registry.tables.errors import SchemaMismatchError
from registry.tables.schemas import TableSchema

__all__ = ["derive"]


def derive(rows: pa.Table, schema: TableSchema) -> pa.Table:
    """Return rows with the columns that follow from ``geometry``, if that is among theirs.

    ``samples`` get ``bbox`` and ``hilbert``; ``annotations`` get ``area``.

    Args:
        rows: Any columns of the table.
        schema: The table's schema.

    Returns:
        The rows; derived columns replaced, or added at the end.

    Raises:
        SchemaMismatchError: A geometry is not WKB.

    Examples:
        >>> from registry.tables.schemas import SAMPLES
        >>> place = shapely.box(5, 50, 6, 51)
        >>> derive(pa.table({"geometry": [place.wkb]}), SAMPLES)["bbox"][0].as_py()["xmin"]
        5.0
    """
    if "geometry" not in rows.column_names or not schema.derived:
        return rows
    try:
        shapes = shapely.from_wkb(np.array(rows.column("geometry").to_pylist(), dtype=object))
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise SchemaMismatchError(
            f"a geometry of table {schema.name!r} is not WKB", hint="write it with shapely.to_wkb"
        ) from error
    made: dict[str, pa.Array] = {}
    if "bbox" in schema.derived:
        bounds = bounds_of(shapes)
        made["bbox"] = _boxes(bounds, schema.arrow.field("bbox").type)
        made["hilbert"] = pa.array(hilbert_key(*centres_of(bounds)))
    if "area" in schema.derived:
        area = shapely.area(shapes)
        made["area"] = pa.array(area, mask=shapely.is_missing(shapes))
    for name, column in made.items():
        at = rows.schema.get_field_index(name)
        field = schema.arrow.field(name)
        rows = rows.append_column(field, column) if at < 0 else rows.set_column(at, field, column)
    return rows


def _boxes(bounds: np.ndarray, kind: pa.StructType) -> pa.Array:
    edges = [pa.array(bounds[:, i]) for i in range(4)]
    unknown = pa.array(np.isnan(bounds[:, 0]))
    return pa.StructArray.from_arrays(edges, fields=list(kind), mask=unknown)
