"""How far the sea is."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.layers.keeping import kept
from registry.curate.layers.land import COLUMNS, FINE, ROWS, is_land, kept_array, reference
from registry.curate.layers.places import Floats, cell_of, degrees, earth_centred
from registry.errors import UnavailableError

__all__ = ["BANDS", "EDGES_KM", "coast_band_codes", "coast_km"]

EDGES_KM: Final = (10.0, 50.0, 200.0, 1000.0)
"""Where one band of distance ends and the next begins."""

BANDS: Final = ("offshore", "0-10 km", "10-50 km", "50-200 km", "200-1000 km", "over 1000 km")
"""Of distance to the coast; points at sea are offshore, however near."""

_EARTH_KM: Final = 6371.0088
_FORM: Final = "1"  # of what is kept
_CHUNK: Final = 1 << 18


def coast_km(lon: npt.ArrayLike, lat: npt.ArrayLike) -> Floats:
    """Return the distance to the nearest coast of the sea.

    The coast is the edges between cells of land and of sea in the mask of
    :mod:`registry.curate.layers.land`, each by its middle. Half an edge and what the mask itself
    leaves out make 0.5 km; the length of the way is within 0.02 % of the geodesic.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        Kilometres, negative at sea; NaN where the point is nowhere.

    Raises:
        UnavailableError: A package that is needed is not installed, or the cache cannot be
            written.

    Examples:
        >>> far, near = coast_km([85.0, 4.27], [46.3, 52.11])  # Dzungaria, Scheveningen
        >>> bool(far > 2000), bool(abs(near) < 2)
        (True, True)
    """
    x, y = degrees(lon, lat)
    result = np.full(x.shape, np.nan)
    known = np.flatnonzero(~np.isnan(x))
    result[known] = _unsigned_km(x[known], y[known])
    return np.where(is_land(x, y) == 0, -result, result)


def coast_band_codes(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """Return in which band of distance to the coast points lie; as exact as :func:`coast_km`.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        Places in :data:`BANDS`; -1 where the point is nowhere.
    """
    x, y = degrees(lon, lat)
    land = is_land(x, y)
    codes = np.where(land < 0, -1, 0).astype(np.int16)
    ashore = np.flatnonzero(land == 1)
    rows, columns = ROWS // FINE, COLUMNS // FINE
    cell, _ = cell_of(x[ashore], y[ashore], rows=rows, columns=columns)
    about = _grid().reshape(-1)[cell]
    slack = _half_diagonals()[cell // columns]
    edges = np.asarray(EDGES_KM)
    lower = np.searchsorted(edges, about - slack, side="right")
    upper = np.searchsorted(edges, about + slack, side="right")
    doubtful = np.flatnonzero(lower != upper)  # the grid alone cannot tell
    exact = _unsigned_km(x[ashore[doubtful]], y[ashore[doubtful]])
    lower[doubtful] = np.searchsorted(edges, exact, side="right")
    codes[ashore] = lower + 1
    return codes


def _unsigned_km(lon: Floats, lat: Floats) -> Floats:
    result = np.empty(lon.shape)
    for first in range(0, lon.size, _CHUNK):
        part = slice(first, first + _CHUNK)
        chord, _ = _tree().query(earth_centred(lon[part], lat[part]))
        result[part] = 2 * _EARTH_KM * np.arcsin(np.minimum(1, chord / (2 * _EARTH_KM)))
    return result


def _grid() -> npt.NDArray[np.float32]:
    return kept("coast", f"{reference().digest} {_FORM}", _make, "km")


def _make(folder: Path) -> None:
    # Distances at the centres of cells of 5 minutes that hold land: near enough to decide most
    # bands without the tree.
    share = np.asarray(kept_array("share"))
    row, column = np.nonzero(share)
    lon = (column.astype(np.float64) + 0.5) * (FINE * 360 / COLUMNS) - 180
    lat = 90 - (row.astype(np.float64) + 0.5) * (FINE * 180 / ROWS)
    km = np.full(share.shape, np.nan, np.float32)
    km[row, column] = _unsigned_km(lon, lat)
    np.save(folder / "km.npy", km, allow_pickle=False)


@cache
def _half_diagonals() -> Floats:
    """Return how far a point can be from the centre of its cell of 5 minutes, by row."""
    lat = 90 - (np.arange(ROWS // FINE) + 0.5) * (FINE * 180 / ROWS)
    half = FINE * 180 / ROWS / 2
    inner = np.maximum(np.abs(lat) - half, 0)  # the edge of the cell that is nearer the equator
    wide = 111.4 * half * np.cos(np.radians(inner))
    return np.asarray(np.hypot(111.7 * half, wide) + 0.01)  # lengths of a degree, rounded up


def _tree() -> Any:  # noqa: ANN401 — SciPy publishes no types
    return _tree_of(reference().digest)


@cache
def _tree_of(_digest: str) -> Any:  # noqa: ANN401 — SciPy publishes no types
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise UnavailableError(
            "distances to the coast need SciPy",
            hint="pip install 'eo-training-data-lab[features]'",
        ) from error
    shore = np.asarray(kept_array("shore"), np.float64)
    points = earth_centred(shore[:, 1] * (180 / COLUMNS) - 180, 90 - shore[:, 0] * (90 / ROWS))
    return cKDTree(points, compact_nodes=False, balanced_tree=False)
