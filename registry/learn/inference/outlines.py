"""Regions of a class map as polygons, and polygons of a scene on the ground."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from registry.geo import normalise_crs, transform_points
from registry.learn.inference.rasters import Placement

__all__ = ["Outline", "on_ground", "outlines"]

_LONGITUDE_LATITUDE: Final = "OGC:CRS84"
_STRIP: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A region of one class."""

    category: int
    """Its class, from 0."""

    shape: BaseGeometry
    """A polygon in pixels of the scene, (column, row) from its upper left corner."""

    pixels: float
    """How large it is."""

    score: float | None
    """Mean probability of its class, in [0, 1]; None where none are at hand."""


def outlines(
    classes: npt.NDArray[np.generic],
    *,
    nodata: float,
    skip: Sequence[int] = (),
    least: int = 16,
    tolerance: float = 1.0,
    probabilities: npt.NDArray[np.floating[Any]] | None = None,
) -> Iterator[Outline]:
    """Yield the regions of a map, each a polygon.

    Args:
        classes: ``(y, x)``.
        nodata: The value of none.
        skip: Classes that make no regions, such as a background.
        least: Pixels that a region has at least.
        tolerance: How far a polygon may stray from its pixels, in pixels; 0 keeps their corners.
        probabilities: ``(class, y, x)`` in [0, 1]; NaN where there are none.

    Yields:
        Regions that hang together over edges, simplified without holes that were none.

    References:
        Douglas and Peucker (1973), Cartographica 10(2), 112-122.
    """
    from rasterio.features import rasterize, shapes

    wanted = ~np.isin(classes, [nodata, *skip])
    plain = classes.astype(np.int32)
    for document, value in shapes(plain, mask=wanted, connectivity=4):
        exact = shapely.geometry.shape(document)
        if exact.area < least:
            continue
        simple = shapely.simplify(exact, tolerance, preserve_topology=True) if tolerance else exact
        score = None
        if probabilities is not None:
            left, top, right, bottom = (int(one) for one in exact.bounds)
            inside = rasterize(
                [shapely.affinity.translate(exact, -left, -top)],
                out_shape=(bottom - top, right - left), dtype="uint8",
            )  # fmt: skip
            part = probabilities[int(value), top:bottom, left:right][inside == 1]
            score = float(np.nanmean(part)) if part.size else None
        yield Outline(category=int(value), shape=simple, pixels=float(exact.area), score=score)


def on_ground(shapes: Sequence[BaseGeometry], placement: Placement) -> list[BaseGeometry] | None:
    """Return shapes in pixels as longitudes and latitudes; None where the scene has no place."""
    if placement.crs is None or placement.transform is None:
        return None
    crs = normalise_crs(placement.crs)
    a, b, c, d, e, f = placement.transform

    def moved(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x = a * points[:, 0] + b * points[:, 1] + c
        y = d * points[:, 0] + e * points[:, 1] + f
        return np.stack(transform_points(x, y, source=crs, target=_LONGITUDE_LATITUDE), 1)

    return [shapely.transform(one, moved) for one in shapes]
