"""Where outlines lie on an array, whatever frame they are in; how large its pixels are."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from registry.curate.features.scene import Layer, Shape

__all__ = ["opened", "pixel_size", "placed"]

_FARTHEST = 1e12  # coordinates; no unit of any system takes more from here to the Moon
Outlines = npt.NDArray[np.object_]


def opened(shapes: Sequence[Shape]) -> Outlines:
    """Return outlines as sound polygons, in their own frames.

    Args:
        shapes: In any frame.

    Returns:
        Polygons or multipolygons, shape ``(outline,)``; None where there is no outline, it is
        broken, not finite or beyond 1e12, or has no area. Rings that cross themselves are taken
        apart.
    """
    with np.errstate(all="ignore"):  # what is not finite is sorted out below
        return _sound(shapes)


def _sound(shapes: Sequence[Shape]) -> Outlines:
    found: Outlines = np.empty(len(shapes), dtype=object)
    found[:] = shapely.from_wkb([one.geometry for one in shapes], on_invalid="ignore")
    points, whose = shapely.get_coordinates(found, return_index=True)
    found[whose[~(np.abs(points) < _FARTHEST).all(axis=1)]] = None  # NaN is not near either
    found = shapely.force_2d(found)
    wrong = ~(shapely.is_valid(found) | shapely.is_missing(found))
    if wrong.any():
        found[wrong] = shapely.make_valid(found[wrong])
    for number in np.flatnonzero(
        shapely.get_type_id(found) == shapely.GeometryType.GEOMETRYCOLLECTION
    ):
        parts = shapely.get_parts(found[number])
        found[number] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])  # noqa: PLR2004 — areas
    found[~(shapely.area(found) > 0)] = None
    return found


def placed(layer: Layer, shapes: Sequence[Shape], outlines: Outlines) -> Outlines:
    """Return outlines in the layer's pixel frame: (column, row) from its upper left corner.

    Args:
        layer: Whose pixels are meant.
        shapes: What the outlines are of; says their frames.
        outlines: Polygons in these frames, or None; shape ``(outline,)``; their coordinates are
            unitless columns and rows, or in the unit of the layer's reference system.

    Returns:
        Shape ``(outline,)``; None where there was none, or it is in coordinates of the ground
        and nobody says where the layer's pixels are.
    """
    found = outlines.copy()
    ground = np.array([one.frame != "pixel" for one in shapes], dtype=np.bool_)
    inverse = _inverse(layer.transform)
    if inverse is None:
        found[ground] = None
    else:
        found[ground] = shapely.transform(found[ground], lambda xy: (xy - inverse[1]) @ inverse[0])
    return found


def _inverse(
    transform: tuple[float, ...] | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    if transform is None:
        return None
    a, b, c, d, e, f = transform[:6]
    if not np.isfinite(transform).all() or a * e == b * d:
        return None
    turned = np.array([[e, -d], [-b, a]], dtype=np.float64) / (a * e - b * d)
    return turned, np.array([c, f], dtype=np.float64)


def pixel_size(layer: Layer) -> float | None:
    """Return how long a pixel's side is on the ground, in metres; None if nobody says.

    Out of the transform where its system counts in a length, else out of the card.
    """
    from registry.geo.systems import system

    if layer.transform is not None and layer.crs is not None:
        known = system(layer.crs)
        if not known.is_geographic and known.axis_info:
            a, b, _, d, e, _ = layer.transform[:6]
            factor = float(known.axis_info[0].unit_conversion_factor) or 1.0
            return float(np.sqrt(abs(a * e - b * d))) * factor
    return layer.gsd
