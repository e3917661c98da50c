"""Footprints on a map that lead to where the page tells of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from registry.geo import bounds_of, centres_of
from registry.web.maps import Frame, Mark, frame_around, outlined, world

__all__ = ["ShapeMap", "ShapeMark", "map_of_shapes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeMark(Mark):
    """A footprint of which more is known than where it is."""

    kind: str
    """A class of the style sheet."""

    anchor: str
    """Where on the page it is told of."""

    classes: str
    """Further classes of the style sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeMap:
    """Where some footprints lie."""

    frame: Frame
    """The part of the globe around them."""

    marks: tuple[ShapeMark, ...]
    """What is drawn."""

    located: int
    """Footprints that are somewhere."""


def map_of_shapes(
    shapes: Mapping[str, bytes], told: Mapping[str, tuple[str, str, str]]
) -> ShapeMap:
    """Return where footprints lie.

    Args:
        shapes: WKB in OGC:CRS84, by name; those that cannot be read are left out.
        told: Kind, anchor and further classes of each, by name.
    """
    read = {n: shapely.from_wkb(wkb, on_invalid="ignore") for n, wkb in shapes.items()}
    known = {n: shape for n, shape in read.items() if _somewhere(shape)}
    if not known:
        return ShapeMap(frame=world(), marks=(), located=0)
    names = list(known)
    edges = bounds_of([known[name] for name in names])
    lon, lat = centres_of(edges)
    frame = frame_around(edges, lon)
    lon = frame.west + np.mod(lon - frame.west, 360)
    marks = [
        ShapeMark(
            rings=one.rings, x=one.x, y=one.y, title=one.title, weight=one.weight,
            kind=told[one.title][0], anchor=told[one.title][1], classes=told[one.title][2],
        )
        for one in outlined(known, frame, lon, lat)
    ]  # fmt: skip
    return ShapeMap(frame=frame, marks=tuple(marks), located=len(marks))


def _somewhere(shape: BaseGeometry) -> bool:
    return not (shapely.is_missing(shape) or shape.is_empty) and bool(
        np.isfinite(shape.bounds).all()
    )
