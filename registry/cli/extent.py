"""Where and when the samples of a version lie."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from registry.catalog import Version

__all__ = ["extent"]


def extent(version: "Version") -> dict[str, Any]:
    """Return the box and the period of all samples that say where or when.

    Returns:
        ``bbox`` as west, south, east, north in degrees, west greater than east across the
        antimeridian, and ``time`` as start and end in ISO 8601; None where no sample says.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if "samples" not in version.tables():
        return {"bbox": None, "time": None}
    rows = version.table("samples", ["bbox", "datetime", "start_datetime", "end_datetime"])
    starts = pc.coalesce(rows["start_datetime"], rows["datetime"])
    ends = pc.coalesce(rows["end_datetime"], rows["datetime"])
    first, last = pc.min(starts).as_py(), pc.max(ends).as_py()
    boxes = pa.chunked_array(rows["bbox"]).drop_null().combine_chunks().flatten()
    return {
        "bbox": _around(*(edge.to_numpy(zero_copy_only=False) for edge in boxes)),
        "time": None if first is None or last is None else [_said(first), _said(last)],
    }


def _said(moment: Any) -> str:  # noqa: ANN401 — a datetime, whose type Arrow does not say
    return str(moment.isoformat()).replace("+00:00", "Z")


def _around(
    west: "np.ndarray", south: "np.ndarray", east: "np.ndarray", north: "np.ndarray"
) -> list[float] | None:
    if not len(west):
        return None
    left, right = float(west.min()), float(east.max())
    if (west > east).any():
        left, right = _across(west, east)
    return [round(edge, 6) for edge in (left, float(south.min()), right, float(north.max()))]


def _across(west: "np.ndarray", east: "np.ndarray") -> tuple[float, float]:
    """Return west and east of the shortest arc around boxes of which some cross 180°."""
    import numpy as np

    order = np.argsort(west)
    starts = west[order]
    ends = np.maximum.accumulate(np.where(west > east, east + 360, east)[order])
    gaps = np.append(starts[1:], starts[0] + 360) - ends
    widest = int(gaps.argmax())
    right = float(ends[widest])
    return float(np.append(starts[1:], starts[0])[widest]), right - 360 if right > 180 else right  # noqa: PLR2004 — degrees
