"""Countries and continents, as coarse as a map of the world at 1:110 million."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from registry.curate.layers.keeping import kept
from registry.curate.layers.packages import package_file, package_version, sha256_of
from registry.curate.layers.places import cell_of, degrees, earth_centred
from registry.curate.layers.polygons import Polygons
from registry.curate.layers.reference import Reference
from registry.errors import UnavailableError

__all__ = ["NEAR_KM", "Country", "countries", "country_codes", "reference", "shapes"]

NEAR_KM: Final = 25.0
"""How far off the coarse coast a point still belongs to the nearest country."""

_FOLDER: Final = ("tests", "fixtures", "naturalearth_lowres")
_DIGESTS: Final = {
    "naturalearth_lowres.shp": "08e341606e8391e458c3f08deb312de664b56bfae376064c5aa0aee6681a5f55",
    "naturalearth_lowres.dbf": "d2ae1c99adcf8e4586a5b12c639672035fa2f3f469e7255947de00401c3ed7e1",
}
_REMEDY: Final = (
    "install pyogrio 0.13 from its wheel, or ingest a dataset of type 'reference' with countries "
    "and name it as a layer"
)
_ISO: Final = {"France": "FRA", "Norway": "NOR", "Kosovo": "XKX"}  # -99 in that edition
_NO_COUNTRY: Final = "-99"
_ROWS: Final = 720  # of the grid that says where the nearest country may matter
_COLUMNS: Final = 1440
_STEP_DEGREES: Final = 0.01
_FORM: Final = "1"  # of what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """One country as the layer has it."""

    name: str
    """In English, abbreviated where the map does."""

    iso_a3: str | None
    """ISO 3166-1 alpha-3 (XKX for Kosovo, which is user-assigned); None where there is none."""

    continent: str
    """One of seven, or ``Seven seas (open ocean)``."""

    population: int
    """Estimate of people, about 2017."""


def reference() -> Reference:
    """Return where countries come from.

    Raises:
        UnavailableError: The file is not there, or is another one.
    """
    shp = _file("naturalearth_lowres.shp")
    _file("naturalearth_lowres.dbf")
    return Reference(
        name="countries",
        title="Natural Earth admin 0 countries, 1:110m",
        version=f"Natural Earth 4 (naturalearth_lowres), in {package_version('pyogrio')}",
        source="Natural Earth, https://www.naturalearthdata.com; as pyogrio's wheel carries it",
        licence="public domain",
        digest=sha256_of(shp),
        note=f"177 countries; borders are off by up to some 20 km, and small states and islands "
        f"are missing: a point up to {NEAR_KM:g} km off a coast gets the nearest country, beyond "
        "that none; all of Russia is Europe and all of Turkey is Asia; borders are de facto",
    )


@cache
def countries() -> tuple[Country, ...]:
    """Return the countries in the order of their codes.

    Raises:
        UnavailableError: The file is not there, or is another one.
    """
    fields = _read()[1]
    return tuple(
        Country(
            name=str(name),
            iso_a3=_ISO.get(str(name), None if iso == _NO_COUNTRY else str(iso)),
            continent=str(continent),
            population=int(population),
        )
        for name, iso, continent, population in zip(
            fields["name"], fields["iso_a3"], fields["continent"], fields["pop_est"], strict=True
        )
    )


def country_codes(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """Return which country points lie in, or lie within :data:`NEAR_KM` of.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        Places in :func:`countries`; -1 at sea, -2 where the point is nowhere.

    Raises:
        UnavailableError: A package or file that is needed is not there, or the cache cannot be
            written.

    Examples:
        >>> [countries()[code].iso_a3 for code in country_codes([2.35, 10.75], [48.86, 59.91])]
        ['FRA', 'NOR']
    """
    x, y = degrees(lon, lat)
    codes = _polygons().at(x, y).astype(np.int16)
    outside = np.flatnonzero(codes == -1)
    cell, _ = cell_of(x[outside], y[outside], rows=_ROWS, columns=_COLUMNS)
    outside = outside[_kept("near").reshape(-1)[cell] != 0]
    if outside.size:
        far, place = _tree().query(
            earth_centred(x[outside], y[outside]), distance_upper_bound=NEAR_KM
        )
        found = np.isfinite(far)
        codes[outside[found]] = _kept("owner")[place[found]]
    return codes


@cache
def _polygons() -> Polygons:
    return Polygons(name="countries", reference=reference(), read=shapes)


def shapes() -> Sequence[BaseGeometry]:
    """Return the countries' outlines in degrees, in the order of :func:`countries`.

    Raises:
        UnavailableError: The file is not there, or is another one.
    """
    return [*_read()[0]]


@cache
def _read() -> tuple[npt.NDArray[np.object_], dict[str, npt.NDArray[Any]]]:
    import pyogrio.raw  # type: ignore[import-untyped]

    path = _file("naturalearth_lowres.shp")
    facts, _, wkb, columns = pyogrio.raw.read(path)
    named = dict(zip((str(name) for name in facts["fields"]), columns, strict=True))
    return np.asarray(shapely.from_wkb(wkb), dtype=object), named


def _file(name: str) -> Path:
    path = package_file("pyogrio", *_FOLDER, name, remedy=_REMEDY)
    if sha256_of(path) != _DIGESTS[name]:
        raise UnavailableError(
            f"{name} in {package_version('pyogrio')} is another edition than the one known here",
            hint=_REMEDY,
        )
    return path


def _kept(array: str) -> npt.NDArray[Any]:
    return kept("countries-near", f"{reference().digest} {NEAR_KM} {_FORM}", _make, array)


def _make(folder: Path) -> None:
    # Borders as dense points with their country, and the cells in whose reach any of them is.
    owners: list[npt.NDArray[np.int16]] = []
    points: list[npt.NDArray[np.float64]] = []
    for code, shape in enumerate(_polygons().shapes):
        dense = shapely.get_coordinates(shapely.segmentize(shape.boundary, _STEP_DEGREES))
        points.append(dense)
        owners.append(np.full(len(dense), code, np.int16))
    lon, lat = np.concatenate(points).T
    places = earth_centred(lon, np.clip(lat, -90, 90))
    row, column = np.divmod(np.arange(_ROWS * _COLUMNS), _COLUMNS)
    centres = earth_centred(
        (column + 0.5) * (360 / _COLUMNS) - 180, 90 - (row + 0.5) * (180 / _ROWS)
    )
    corner_km = np.hypot(180 / _ROWS, 360 / _COLUMNS) / 2 * 111.7
    far, _ = _spatial(places).query(centres, distance_upper_bound=NEAR_KM + corner_km)
    np.save(folder / "points.npy", places, allow_pickle=False)
    np.save(folder / "owner.npy", np.concatenate(owners), allow_pickle=False)
    np.save(folder / "near.npy", np.isfinite(far).astype(np.uint8), allow_pickle=False)


@cache
def _tree() -> Any:  # noqa: ANN401 — SciPy publishes no types
    return _spatial(np.asarray(_kept("points")))


def _spatial(points: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401 — SciPy publishes no types
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise UnavailableError(
            "countries near a coast need SciPy",
            hint="pip install 'eo-training-data-lab[features]'",
        ) from error
    return cKDTree(points, compact_nodes=False, balanced_tree=False)
