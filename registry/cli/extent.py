"""Where and when the samples of a version lie."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.catalog import Version

__all__ = ["extent"]


def extent(version: "Version") -> dict[str, Any]:
    """Return the box and the period of all samples that say where or when.

    Returns:
        ``bbox`` as west, south, east, north in degrees, west greater than east across the
        antimeridian, and ``time`` as start and end in ISO 8601; None where no sample says.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from registry.geo import box_around

    if "samples" not in version.tables():
        return {"bbox": None, "time": None}
    rows = version.table("samples", ["bbox", "datetime", "start_datetime", "end_datetime"])
    starts = pc.coalesce(rows["start_datetime"], rows["datetime"])
    ends = pc.coalesce(rows["end_datetime"], rows["datetime"])
    first, last = pc.min(starts).as_py(), pc.max(ends).as_py()
    boxes = pa.chunked_array(rows["bbox"]).drop_null().combine_chunks().flatten()
    edges = np.stack([edge.to_numpy(zero_copy_only=False) for edge in boxes], axis=1)
    return {
        "bbox": [round(edge, 6) for edge in box_around(edges)] if len(edges) else None,
        "time": None if first is None or last is None else [_said(first), _said(last)],
    }


def _said(moment: Any) -> str:  # noqa: ANN401 — a datetime, whose type Arrow does not say
    return str(moment.isoformat()).replace("+00:00", "Z")
