"""The equal-area cells that samples are counted in: how large, and where one lies."""

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["WHOLE", "cell_bounds", "cell_edge", "great_circle_km"]

_AUTHALIC_KM: Final = 6371.0072
WHOLE: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
"""Edges of cells in kilometres that are ever used, so that reports can be compared."""

_WANTED: Final = 1000  # cells that the data's extent should have, about


def cell_edge(*, west: float, south: float, east: float, north: float) -> float:
    """Return the edge of cells that divides a region into some thousand.

    Args:
        west: Western edge in degrees; beyond ``east`` across the antimeridian.
        south: Southern edge in degrees.
        east: Eastern edge in degrees.
        north: Northern edge in degrees.

    Returns:
        Kilometres, one of :data:`WHOLE`.

    Examples:
        >>> cell_edge(west=-180, south=-90, east=180, north=90)
        200
        >>> cell_edge(west=11.9, south=55.0, east=12.1, north=55.1)
        0.5
    """
    width = (east - west) % 360 or 360.0 * (east != west)
    low, high = np.sin(np.radians([south, north]))
    area = np.radians(width) * (high - low) * _AUTHALIC_KM**2
    return next((edge for edge in WHOLE if edge >= np.sqrt(area / _WANTED)), WHOLE[-1])


def cell_bounds(cells: npt.ArrayLike, *, block_km: float) -> npt.NDArray[np.float64]:
    """Return where cells of :func:`registry.geo.equal_area_cell` lie.

    Args:
        cells: Block numbers.
        block_km: Edge that they were made with, in kilometres.

    Returns:
        West, south, east, north in degrees, shape ``(n, 4)``.

    Examples:
        >>> from registry.geo import equal_area_cell
        >>> cell_bounds(equal_area_cell([0.5], [0.5], block_km=200), block_km=200).round(1).tolist()
        [[0.0, 0.0, 1.8, 1.8]]
    """
    numbers = np.asarray(cells, np.int64)
    rows = max(1, round(np.pi * _AUTHALIC_KM / block_km))
    row, column = numbers >> 32, numbers & 0xFFFFFFFF
    south, north = row / rows * 180 - 90, (row + 1) / rows * 180 - 90
    band = 2 * np.pi * _AUTHALIC_KM**2 * (np.sin(np.radians(north)) - np.sin(np.radians(south)))
    columns = np.maximum(1, np.rint(band / block_km**2))
    west, east = column / columns * 360 - 180, (column + 1) / columns * 360 - 180
    return np.stack([west, south, east, north], axis=-1)


def great_circle_km(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return distances between points of the unit sphere along its surface.

    Args:
        one: Unit vectors, shape ``(n, 3)``.
        other: Unit vectors, shape ``(m, 3)``.

    Returns:
        Kilometres on the authalic sphere, shape ``(n, m)``.
    """
    angles = np.arccos(np.clip(one @ other.T, -1, 1))
    return np.asarray(_AUTHALIC_KM * angles)
