"""Where counted samples lie: equal-area cells over the outlines of land."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from registry.web.land import land_path
from registry.web.maps import Frame, frame_around, world

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

__all__ = ["Cell", "CoverageMap", "coverage_map"]

_LEAST: Final = 5.0  # a cell is drawn at least this large, so that it is seen
_MOST: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An occupied cell on the paper."""

    x: float
    """Its left."""

    y: float
    """Its top."""

    width: float
    """On the paper."""

    height: float
    """On the paper."""

    weight: float
    """Logarithm of its samples as a share of the fullest cell's, in (0, 1]."""

    title: str
    """How many samples it holds, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageMap:
    """Occupied cells over land."""

    frame: Frame
    """The part of the globe around them."""

    land: str
    """Outlines of land as an SVG path; empty where the layer is not at hand."""

    cells: tuple[Cell, ...]
    """The fullest cells, at most some thousands."""

    occupied: int
    """How many cells hold a sample."""

    fullest: int
    """Most samples in one cell."""


def coverage_map(cells: "pa.Table") -> CoverageMap:
    """Return a map of occupied cells.

    Args:
        cells: ``class`` (null counts all samples), ``count``, and ``west``, ``south``, ``east``,
            ``north`` in degrees, as :meth:`registry.curate.bias.BiasReport.cells` gives them.
    """
    rows = cells.filter(pc.field("class").is_null()).sort_by([("count", "descending")])
    if not rows.num_rows:
        frame = world()
        return CoverageMap(frame=frame, land=land_path(frame), cells=(), occupied=0, fullest=0)
    edges = np.column_stack([rows[name].to_numpy() for name in ("west", "south", "east", "north")])
    frame = frame_around(edges, edges[:, [0, 2]].mean(axis=1))
    counts = rows["count"].to_pylist()
    shown = list(zip(edges.tolist(), counts, strict=True))[:_MOST]
    return CoverageMap(
        frame=frame,
        land=land_path(frame),
        cells=tuple(_cell(edge, count, counts[0], frame) for edge, count in shown),
        occupied=rows.num_rows,
        fullest=counts[0],
    )


def _cell(edges: "Sequence[float]", count: int, most: int, frame: Frame) -> Cell:
    west, south, east, north = edges
    turn = 360 * np.floor((west - frame.west) / 360)
    left, right = (float(frame.x(lon - turn)) for lon in (west, east))
    top, bottom = (float(frame.y(lat)) for lat in (north, south))
    width, height = max(right - left, _LEAST), max(bottom - top, _LEAST)
    middle = f"{(south + north) / 2:.2f}°, {(west + east) / 2:.2f}°"
    return Cell(
        x=(left + right - width) / 2,
        y=(top + bottom - height) / 2,
        width=width,
        height=height,
        weight=float(np.log1p(count) / np.log1p(most)),
        title=f"{count:,} sample{'s' if count > 1 else ''} around {middle}",
    )
