"""Which of many polygons points lie in, for millions of points: by a grid, or by geometry.

Each polygon is burnt once into a grid of 3 minutes. Cells that no border comes near are decided by
the grid alone, so nothing is approximate; points in other cells are tested against the polygons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from registry.curate.layers.keeping import kept
from registry.curate.layers.places import cell_of, degrees
from registry.curate.layers.reference import Reference
from registry.errors import InvalidInputError

__all__ = ["Polygons"]

ROWS: Final = 3600
COLUMNS: Final = 7200
_BORDER: Final = 65_535  # code of cells that a border may pass
_MOST: Final = _BORDER - 1
_FORM: Final = "1"  # of what is kept

Read = Callable[[], Sequence[BaseGeometry]]


@dataclass(frozen=True, kw_only=True)  # no slots: shapes are read once, when a border is near
class Polygons:
    """Shapes over the globe, found by place."""

    name: str
    """Of what is kept in the cache."""

    reference: Reference
    """Where they come from; its digest names what is kept."""

    read: Read = field(repr=False)
    """Reads the shapes in OGC:CRS84, always in the same order."""

    def at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Return which shape points lie in; a point on a border lies in the first of both.

        Args:
            lon: Longitudes in degrees; NaN where unknown.
            lat: Latitudes in degrees.

        Returns:
            Places of shapes from 0; -1 where there is none, -2 where the point is nowhere.

        Raises:
            InvalidInputError: There are more shapes than fit.
            UnavailableError: The cache cannot be written.
        """
        x, y = degrees(lon, lat)
        cell, there = cell_of(x, y, rows=ROWS, columns=COLUMNS)
        codes = self._grid().reshape(-1)[cell].astype(np.int32) - 1
        doubtful = np.flatnonzero((codes == _BORDER - 1) & there)
        codes[doubtful] = self._exactly(x[doubtful], y[doubtful])
        return np.where(there, codes, np.int32(-2))

    @cached_property
    def shapes(self) -> npt.NDArray[np.object_]:
        """The shapes, valid polygons, in the order of their places; empty for what is none.

        Raises:
            InvalidInputError: There are more than fit.
        """
        found = np.asarray(self.read(), dtype=object)
        if found.size > _MOST:
            raise InvalidInputError(
                f"layer '{self.name}' has {found.size} shapes, more than {_MOST}",
                hint="dissolve those of one class into one shape",
            )
        return np.array([_areal(shape) for shape in shapely.make_valid(found)], dtype=object)

    @cached_property
    def _tree(self) -> shapely.STRtree:
        shapely.prepare(self.shapes)
        return shapely.STRtree(self.shapes)

    def _exactly(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int32]:
        result = np.full(x.shape, -1, np.int32)
        if not x.size:
            return result
        points, shapes = self._tree.query(shapely.points(x, y))  # by boxes alone
        order = np.argsort(shapes, kind="stable")[::-1]  # the first shape writes last
        points, shapes = points[order], shapes[order]
        bounds = np.flatnonzero(np.diff(shapes)) + 1
        for group in np.split(np.arange(shapes.size), bounds):
            if group.size:
                shape, members = shapes[group[0]], points[group]
                inside = shapely.intersects_xy(self.shapes[shape], x[members], y[members])
                result[members[inside]] = shape
        return result

    def _grid(self) -> npt.NDArray[np.uint16]:
        return kept(self.name, f"{self.reference.digest} {ROWS} {_FORM}", self._make, "cells")

    def _make(self, folder: Path) -> None:
        # First shapes last, as they win; then every cell that a border passes, and its neighbours.
        from rasterio.features import rasterize
        from rasterio.transform import from_origin

        options: dict[str, Any] = {
            "out_shape": (ROWS, COLUMNS), "dtype": "uint16",
            "transform": from_origin(-180, 90, 360 / COLUMNS, 180 / ROWS),
        }  # fmt: skip
        burnt = [(shape, i + 1) for i, shape in enumerate(self.shapes) if not shape.is_empty]
        cells = np.zeros((ROWS, COLUMNS), np.uint16)
        if burnt:
            cells = rasterize(burnt[::-1], fill=0, **options)
            lines = [(shape.boundary, 1) for shape, _ in burnt]
            passed = rasterize(lines, fill=0, all_touched=True, **options).astype(np.bool_)
            cells[_with_neighbours(passed)] = _BORDER
        np.save(folder / "cells.npy", cells, allow_pickle=False)


def _areal(shape: BaseGeometry) -> BaseGeometry:
    """Return what a shape covers: polygons alone, none if it lies off the globe."""
    parts = [one for one in shapely.get_parts(shape) if isinstance(one, shapely.Polygon)]
    west, south, east, north = shape.bounds if parts else (0, 0, 0, 0)
    if not (-181 < west <= east < 181 and -91 < south <= north < 91):  # noqa: PLR2004 — degrees
        return shapely.Polygon()
    if len(parts) == 1:
        return parts[0]
    return shapely.unary_union(parts) if parts else shapely.Polygon()


def _with_neighbours(cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    wide = cells | np.roll(cells, 1, axis=1) | np.roll(cells, -1, axis=1)
    tall = wide.copy()
    tall[1:] |= wide[:-1]
    tall[:-1] |= wide[1:]
    return tall
