"""Geometries between the system of their sample and that of a file, and whether they are the same.

A geometry that nobody touched stays bit for bit as it was: what comes back is compared with what
was given out, within what tools round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from registry.curate.exchange.pictures import Picture, System
from registry.curate.exchange.sheet import PIXELS
from registry.errors import InvalidInputError, RejectedError
from registry.geo.systems import CRS84, metres_per_unit, system, transform_points

__all__ = ["Placing", "same_shapes", "tolerance_of"]

Shapes = npt.NDArray[np.object_]
Flags = npt.NDArray[np.bool_]

_DEGREES: Final = frozenset({CRS84, "EPSG:4326"})
_DEGREE: Final = 1e-7
_METRE: Final = 1e-3
_PIXEL: Final = 1e-2
_HALF_WAY_ROUND: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """The way between rows and one file."""

    crs: str | None
    """System of the file, or ``PIXELS``."""

    systems: Mapping[str, System]
    """System of each sample that has one."""

    pictures: Mapping[str, Picture] | None = None
    """Where all of the file is in pixels of pictures, as in COCO: the pictures by sample."""

    fixed: str | None = None
    """The system of every row, where the table has one, as footprints do."""

    def system_of(self, sample: str | None, frame: str | None) -> str:
        """Return the system of a row: a CRS, or ``PIXELS``."""
        if self.fixed is not None:
            return self.fixed
        known = self.systems.get(sample or "")
        return PIXELS if frame == "pixel" or known is None else known.crs

    def out(self, shapes: Shapes, samples: Sequence[str | None], rows: Sequence[str]) -> Shapes:
        """Bring geometries into the file's system.

        Args:
            shapes: In the systems of their rows.
            samples: The sample of each row.
            rows: The system of each row.

        Returns:
            As many geometries.

        Raises:
            InvalidInputError: The file's system does not reach them.
        """
        moved = self._moved(shapes, samples, rows, outwards=True)
        points = shapely.get_coordinates(moved)
        if len(points) and not np.isfinite(points).all():
            raise InvalidInputError(
                f"some geometries lie where {str(self.crs)[:60]} does not reach",
                hint="leave them out by --where, or mend their coordinates",
            )
        return moved

    def back(self, shapes: Shapes, samples: Sequence[str | None], rows: Sequence[str]) -> Shapes:
        """Bring geometries of the file into the systems of their rows.

        Returns:
            As many geometries.

        Raises:
            RejectedError: The file is in pixels and the rows in a CRS, or the other way round, or
                the row's system does not reach them.
        """
        moved = self._moved(shapes, samples, rows, outwards=False)
        points = shapely.get_coordinates(moved)
        if len(points) and not np.isfinite(points).all():
            raise RejectedError(
                "some geometries lie where the CRS of their sample does not reach",
                hint="see whether the file states the CRS that its coordinates are in",
            )
        return moved

    def _moved(
        self, shapes: Shapes, samples: Sequence[str | None], rows: Sequence[str], *, outwards: bool
    ) -> Shapes:
        moved = np.array(shapes, dtype=object)
        groups: dict[tuple[str, str | None], list[int]] = {}
        for number, (shape, row) in enumerate(zip(shapes, rows, strict=True)):
            if shape is not None:
                sample = samples[number] if self._by_picture(row) else None
                groups.setdefault((row, sample), []).append(number)
        for (row, sample), numbers in groups.items():
            here = np.array(numbers)
            moved[here] = self._between(moved[here], row, sample, outwards=outwards)
        return moved

    def _by_picture(self, row: str) -> bool:
        return self.pictures is not None and row != PIXELS

    def _between(self, shapes: Shapes, row: str, sample: str | None, *, outwards: bool) -> Shapes:
        points = shapely.get_coordinates(shapes)
        if self._by_picture(row):
            moved = _affine(points, self._transform(sample), inverse=outwards)
        elif row == self.crs or {row, self.crs} <= _DEGREES:
            return shapes
        elif self.crs is None or PIXELS in {row, self.crs}:
            raise RejectedError(
                "its geometries are in pixels and those of their samples in a CRS, or the other "
                "way round",
                hint="bring back the file with the CRS that it was exported with",
            )
        else:
            source, target = (row, self.crs) if outwards else (self.crs, row)
            x, y = transform_points(points[:, 0], points[:, 1], source=source, target=target)
            moved = np.column_stack([x, y])
        flat = shapely.force_2d(shapes) if shapely.has_z(shapes).any() else shapes
        placed = np.asarray(shapely.set_coordinates(np.array(flat, dtype=object), moved))
        return _unbroken(placed) if outwards and self.crs in _DEGREES else placed

    def _transform(self, sample: str | None) -> tuple[float, ...]:
        picture = (self.pictures or {}).get(sample or "")
        if picture is None or picture.transform is None:
            raise RejectedError(
                f"the picture of sample {sample!r} has no transform, so its pixels have no place",
                hint="edit its annotations in another format",
            )
        return picture.transform


def _affine(
    points: npt.NDArray[np.float64], transform: tuple[float, ...], *, inverse: bool
) -> npt.NDArray[np.float64]:
    a, b, c, d, e, f = transform
    matrix = np.array([[a, b], [d, e]])
    if inverse:
        return np.asarray(np.linalg.solve(matrix, (points - (c, f)).T).T)
    return np.asarray(points @ matrix.T + (c, f))


def _unbroken(shapes: Shapes) -> Shapes:
    """Let what crosses the antimeridian go on beyond 180° E, instead of round the world.

    Returns:
        The same array.
    """
    bounds = shapely.bounds(shapes)
    for number in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > _HALF_WAY_ROUND):
        points = shapely.get_coordinates(shapes[number])
        points[points[:, 0] < 0, 0] += 360
        shapes[number] = shapely.set_coordinates(shapes[number], points)
    return shapes


def tolerance_of(crs: str | None) -> float:
    """Return how far a coordinate may move by rounding alone, in units of the system.

    Tools write degrees to seven digits, and pixels to two.

    Args:
        crs: The file's system, or ``PIXELS``.
    """
    if crs in {None, PIXELS}:
        return _PIXEL
    if system(str(crs)).is_geographic:
        return _DEGREE
    return _METRE / metres_per_unit(str(crs))


def same_shapes(given: Shapes, found: Shapes, tolerance: float) -> tuple[Flags, Shapes]:
    """Say which geometries came back as they were given out.

    Args:
        given: As they were written; None where there is none.
        found: As they came back.
        tolerance: How far a coordinate may be off, in units of both.

    Returns:
        Which are the same, and those found: in as many dimensions, and of as many parts where
        a tool has only wrapped one part in a collection of one.
    """
    found = _alike(given, found)
    void = (shapely.is_missing(given) | shapely.is_empty(given)) & (
        shapely.is_missing(found) | shapely.is_empty(found)
    )
    same = void | shapely.equals_exact(given, found, tolerance)
    rest = np.flatnonzero(~same & ~shapely.is_missing(given) & ~shapely.is_missing(found))
    if len(rest):  # tools turn rings round, and begin them elsewhere
        same[rest] = shapely.equals_exact(
            shapely.normalize(given[rest]), shapely.normalize(found[rest]), tolerance
        )
    return same, found


def _alike(given: Shapes, found: Shapes) -> Shapes:
    found = np.array(found, dtype=object)
    flat = shapely.has_z(found) & ~shapely.has_z(given)
    found[flat] = shapely.force_2d(found[flat])
    for number in np.flatnonzero(~shapely.is_missing(found)):
        shape, like = found[number], given[number]
        if (
            like is not None
            and shape.geom_type == f"Multi{like.geom_type}"
            and (shapely.get_num_geometries(shape) == 1)
        ):
            found[number] = shapely.get_geometry(shape, 0)
    return found
