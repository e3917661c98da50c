"""Outlines of land under maps, as coarse as a map of the world."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from registry.errors import UnavailableError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from registry.web.maps import Frame

__all__ = ["Ring", "land_path", "land_rings"]

Ring = list[tuple[float, float]]
"""Points of an outline on the paper, the last the same as the first."""

_NARROWEST: Final = 4.0  # degrees; the layer's coasts are off by up to 20 km, which would show
_FINEST: Final = 0.7  # of the paper's units; what is closer than that looks like one point


def land_rings(frame: "Frame") -> list[Ring]:
    """Return the outlines of land inside a frame, country by country.

    Args:
        frame: The part of the globe that is shown.

    Returns:
        Outlines on the paper; none where the layer of countries is not at hand, or the frame is so
        narrow that its errors would show.
    """
    from registry.curate.layers.countries import shapes

    if frame.east - frame.west < _NARROWEST:
        return []
    try:
        land = shapes()
    except UnavailableError:
        return []
    parts = (part for turn in (-360, 0, 360) for part in _clipped(land, frame, turn))
    return [_ring(part, frame) for part in parts]


def land_path(frame: "Frame") -> str:
    """Return :func:`land_rings` as one SVG path; empty where there are none."""
    return "".join(
        "M" + " ".join(f"{across:.1f},{down:.1f}" for across, down in ring) + "Z"
        for ring in land_rings(frame)
    )


def _clipped(
    land: "Sequence[BaseGeometry]", frame: "Frame", turn: int
) -> Iterator["shapely.Polygon"]:
    box = (frame.west - turn, frame.south, frame.east - turn, frame.north)
    if box[0] > 180 or box[2] < -180:  # noqa: PLR2004 — degrees
        return
    finest = _FINEST * (frame.east - frame.west) / frame.width
    cut = shapely.clip_by_rect(shapely.make_valid(np.asarray(land, dtype=object)), *box)
    simple = shapely.simplify(cut, finest)
    for part in shapely.get_parts(simple[~shapely.is_empty(simple)]):
        if part.geom_type == "Polygon" and part.area > finest**2:
            yield shapely.transform(part, lambda points: points + (turn, 0))  # noqa: RUF005 — adds


def _ring(part: "shapely.Polygon", frame: "Frame") -> Ring:
    points = shapely.get_coordinates(part.exterior)
    x, y = frame.x(points[:, 0]), frame.y(points[:, 1])
    return [(float(across), float(down)) for across, down in zip(x, y, strict=True)]
