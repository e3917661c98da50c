"""What the world looks like in strata: how much land, how many samples, how much of a user's own.

The land of the world is taken at the centres of the climate map's cells (100 seconds of arc, 3 km),
each standing for its own area on the ellipsoid if the mask has land there.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers import climate, countries, land
from registry.curate.layers.keeping import kept
from registry.curate.layers.own_population import own_population
from registry.curate.layers.places import Floats, row_areas_km2
from registry.curate.layers.reference import Reference
from registry.curate.layers.strata import LATITUDES, STRATA, Lookup, place_strata, strata_of
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = [
    "LAND",
    "LAND_AND_ICE",
    "WEIGHT",
    "WorldPopulation",
    "land_population",
    "population",
    "sample_population",
]

LAND: Final = "land"
"""The land of the world but Antarctica."""

LAND_AND_ICE: Final = "land+antarctica"
"""The land of the world and Antarctica's."""

WEIGHT: Final = "weight"
"""Column that says how much a row stands for."""

_STRATA: Final = (
    "continent", "country", "climate", "climate_group", "land_share", "coast", "latitude",
)  # fmt: skip
_ANTARCTIC: Final = LATITUDES[:3]  # south of 60° S lie Antarctica and its islands alone
_STRIP: Final = 60  # rows of the climate map at once
_FORM: Final = "1"  # of what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPopulation:
    """What samples are compared with: how much of it lies in each combination of strata."""

    reference: Reference
    """Where it comes from."""

    table: pa.Table = field(repr=False, compare=False)
    """Columns of strata as text, and ``weight``."""

    unit: str
    """Of the weights: ``km2``, ``samples``, or ``1`` where their maker alone knows."""

    size: int | None = None
    """How many samples were counted; None if it is known as a whole, such as land."""


def population(
    name: str,
    *,
    registry: "Registry | None" = None,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
) -> WorldPopulation:
    """Return a reference population by its name.

    Args:
        name: ``land`` (without Antarctica), ``land+antarctica``, a CSV or Parquet file
            with ``weight`` beside strata or beside ``lon`` and ``lat``, or a dataset's version.
        registry: Where a version is looked up.
        layers: Further strata, as for :func:`registry.curate.layers.strata.strata_of`.

    Raises:
        InvalidInputError: It is none of those.
        UnavailableError: A package that a layer comes with is not installed.
    """
    if name in {LAND, LAND_AND_ICE}:
        return land_population(antarctica=name == LAND_AND_ICE, layers=layers)
    if name.lower().endswith((".csv", ".parquet")):
        path = Path(name)
        table, digest = own_population(path, layers=layers)
        made = Reference(
            name=path.name, title=f"the user's table {path.name}", version=digest[:12],
            source="the user", licence="not stated", digest=digest,
        )  # fmt: skip
        return WorldPopulation(reference=made, table=table, unit="1")
    if registry is None:
        raise InvalidInputError(
            f"'{name}' is no reference population",
            hint=f"take {LAND}, {LAND_AND_ICE}, a .csv or .parquet file, or a dataset's version",
        )
    return sample_population(registry.resolve(name), layers=layers)


def land_population(
    *, antarctica: bool = False, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> WorldPopulation:
    """Return the area of land in each combination of strata of place.

    Args:
        antarctica: Whether land south of 60° S counts: 8 % of all, nobody's fields.
        layers: Further strata, or others instead of the built-in ones. Each choice of them is
            computed once a machine, which takes a minute.

    Returns:
        Square kilometres by continent, country, climate, climate group, share of land, distance
        to the coast and latitude.

    Raises:
        UnavailableError: A package that a layer comes with is not installed, or the cache cannot
            be written.
    """
    names = [*_STRATA, *(name for name in sorted(layers) if name not in _STRATA)]
    used = [climate.reference(), countries.reference(), land.reference()]
    used += [layers[name].reference for name in sorted(layers)]
    digest = hashlib.sha256(" ".join([_FORM, *(one.digest for one in used)]).encode()).hexdigest()
    key = " ".join([digest, *sorted(layers)])

    def make(folder: Path) -> None:
        codes, weights = _count(names, layers)
        np.save(folder / "codes.npy", codes, allow_pickle=False)
        np.save(folder / "weights.npy", weights, allow_pickle=False)

    codes, weights = (kept("population", key, make, array) for array in ("codes", "weights"))
    table = _labelled(names, codes, weights, layers)
    if not antarctica:
        south = pc.is_in(table["latitude"], value_set=pa.array(_ANTARCTIC))
        table = table.filter(pc.invert(south))
    name = LAND_AND_ICE if antarctica else LAND
    return WorldPopulation(
        reference=Reference(
            name=name,
            title="land area of the world" + ("" if antarctica else " north of 60° S"),
            version="; ".join(dict.fromkeys(one.version for one in used)),
            source="; ".join(dict.fromkeys(one.title for one in used)),
            licence="; ".join(dict.fromkeys(one.licence for one in used)),
            digest=hashlib.sha256(f"{digest} {name}".encode()).hexdigest(),
            note="at the centres of cells of 100 seconds of arc, by their area on WGS 84",
        ),
        table=table,
        unit="km2",
    )


def sample_population(
    version: "Version", *, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> WorldPopulation:
    """Return how many samples of a version lie in each combination of all strata.

    Args:
        version: Any; those of type ``reference`` are made for it.
        layers: As for :func:`registry.curate.layers.strata.strata_of`.

    Raises:
        InvalidInputError: It has no samples.
    """
    names = [*STRATA, *(name for name in layers if name not in STRATA)]
    table = _gathered(_strata_of_version(version, layers), names)
    if not table.num_rows:
        raise InvalidInputError(
            f"{version.ref} has no samples to compare with",
            hint="name a version with samples, or the population 'land'",
        )
    licence = version.spec.licence or "not stated"
    return WorldPopulation(
        reference=Reference(
            name=str(version.ref), title=f"samples of {version.dataset}", version=version.label,
            source=version.dataset, licence=str(licence), digest=version.content_id,
        ),
        table=table,
        unit="samples",
        size=int(table[WEIGHT].to_numpy().sum()),
    )  # fmt: skip


def _strata_of_version(version: "Version", layers: Mapping[str, Lookup]) -> Iterator[pa.Table]:
    for batch in version.scan("samples"):
        strata = strata_of(pa.Table.from_batches([batch]), layers=layers).drop_columns(["id"])
        yield strata.append_column(WEIGHT, pa.array(np.ones(strata.num_rows)))


def _gathered(parts: Iterable[pa.Table], names: Sequence[str]) -> pa.Table:
    """Return the sums of weights by strata, as text, in the order of the strata."""
    schema = pa.schema([*((name, pa.string()) for name in names), (WEIGHT, pa.float64())])
    whole = schema.empty_table()
    for part in parts:
        both = pa.concat_tables([whole, part.select([*names, WEIGHT]).cast(schema)])
        summed = both.group_by(list(names), use_threads=False).aggregate([(WEIGHT, "sum")])
        whole = summed.rename_columns([*names, WEIGHT])
    return whole.sort_by([(name, "ascending") for name in names])


def _count(
    names: Sequence[str], layers: Mapping[str, Lookup]
) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return the combinations of codes that there is land in, and its square kilometres."""
    sizes = [len(column.dictionary) for column in _at([0.0], [0.0], names, layers)]
    found: dict[int, float] = {}
    areas = row_areas_km2(climate.ROWS, climate.COLUMNS)
    lon = (np.arange(climate.COLUMNS) + 0.5) * (360 / climate.COLUMNS) - 180
    lat = 90 - (np.arange(climate.ROWS) + 0.5) * (180 / climate.ROWS)
    for first in range(0, climate.ROWS, _STRIP):
        rows = slice(first, first + _STRIP)
        y, x = (axis.ravel() for axis in np.meshgrid(lat[rows], lon, indexing="ij"))
        ashore = land.is_land(x, y) == 1
        if not ashore.any():
            continue
        area = np.repeat(areas[rows], climate.COLUMNS)[ashore]
        codes = [np.asarray(one.indices) for one in _at(x[ashore], y[ashore], names, layers)]
        keys, place = np.unique(np.ravel_multi_index(codes, sizes), return_inverse=True)
        sums = np.bincount(place, weights=area)
        for key, weight in zip(keys.tolist(), sums.tolist(), strict=True):
            found[key] = found.get(key, 0.0) + weight
    keys = np.array(sorted(found), np.int64)
    combined = np.stack(np.unravel_index(keys, sizes), axis=-1).astype(np.int32)
    return combined, np.array([found[key] for key in keys.tolist()])


def _at(
    lon: npt.ArrayLike, lat: npt.ArrayLike, names: Sequence[str], layers: Mapping[str, Lookup]
) -> list[pa.DictionaryArray]:
    return list(place_strata(lon, lat, names, layers=layers).values())


def _labelled(
    names: Sequence[str],
    codes: npt.NDArray[np.int32],
    weights: Floats,
    layers: Mapping[str, Lookup],
) -> pa.Table:
    dictionaries = [column.dictionary for column in _at([0.0], [0.0], names, layers)]
    columns = {
        name: dictionary.take(pa.array(np.asarray(codes[:, i])))
        for i, (name, dictionary) in enumerate(zip(names, dictionaries, strict=True))
    }
    return pa.table({**columns, WEIGHT: pa.array(np.asarray(weights))})
