"""What annotations say: how many objects of which class there are, and how large."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from registry.curate.features.scene import Layer, Shape
from registry.curate.features.sets.labels.placing import Outlines, opened, pixel_size, placed

__all__ = ["object_values"]

Doubles = npt.NDArray[np.float64]


def object_values(shapes: Sequence[Shape], layer: Layer | None) -> dict[str, object]:
    """Return how many objects there are, of which classes, and how large.

    Args:
        shapes: All annotations of one sample.
        layer: Which array they are drawn on; None if there is none.

    Returns:
        ``objects``; ``object_classes`` and ``object_counts`` side by side, the most frequent first,
        equal ones by name; mean, median, least and largest of ``object_area`` in m² and of
        ``object_pixels`` in pixels, over outlines that have an area, where it can be told;
        ``outlines_broken``, how many outlines were given and have none.
    """
    counts = Counter(one.category for one in shapes if one.category is not None)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    outlines = opened(shapes)
    given = np.array([one.geometry is not None for one in shapes], dtype=np.bool_)
    return {
        "objects": len(shapes),
        "object_classes": [name for name, _ in ranked],
        "object_counts": [count for _, count in ranked],
        "outlines_broken": int((given & shapely.is_missing(outlines)).sum()),
        **_told("object_area", _square_metres(shapes, outlines, layer)),
        **_told("object_pixels", _square_pixels(shapes, outlines, layer)),
    }


def _told(name: str, sizes: Doubles) -> dict[str, float]:
    there = sizes[np.isfinite(sizes)]
    if not there.size:
        return {}
    return {
        f"{name}_mean": float(there.mean()),
        f"{name}_median": float(np.median(there)),
        f"{name}_min": float(there.min()),
        f"{name}_max": float(there.max()),
    }


def _square_metres(shapes: Sequence[Shape], outlines: Outlines, layer: Layer | None) -> Doubles:
    """Return areas on the ground, shape ``(outline,)``; NaN where nobody can tell."""
    found = np.full(len(shapes), np.nan)
    if layer is None:
        return found
    there = ~shapely.is_missing(outlines)
    drawn = np.array([one.frame == "pixel" for one in shapes], dtype=np.bool_)
    if size := pixel_size(layer):
        found[drawn & there] = shapely.area(outlines[drawn & there]) * size**2
    if layer.crs is not None and (~drawn & there).any():
        found[~drawn & there] = _on_ground(outlines[~drawn & there], layer.crs)
    return found


def _on_ground(outlines: Outlines, crs: str) -> Doubles:
    from registry.geo.cells import area_m2
    from registry.geo.systems import metres_per_unit, system

    if system(crs).is_geographic:
        return np.array([area_m2(one) for one in outlines], dtype=np.float64)
    return np.asarray(shapely.area(outlines) * metres_per_unit(crs) ** 2, dtype=np.float64)


def _square_pixels(shapes: Sequence[Shape], outlines: Outlines, layer: Layer | None) -> Doubles:
    if layer is not None:
        outlines = placed(layer, shapes, outlines)
    else:
        outlines = outlines.copy()
        outlines[[one.frame != "pixel" for one in shapes]] = None
    areas = shapely.area(outlines)
    return np.asarray(np.where(shapely.is_missing(outlines), np.nan, areas), dtype=np.float64)
