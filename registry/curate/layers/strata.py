"""Which stratum each sample belongs to: where, when and how it was seen; looked up exactly.

The place of a sample is the centre of its box. What is not known is ``unknown``, never left out, so
that every sample is counted somewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.curate.layers import climate, coast, countries, land
from registry.curate.layers.acquired import CLOUDS, ELEVATIONS, GSDS, NUMBERS, TEXTS, number, text
from registry.curate.layers.moments import HOURS, MONTHS, SEASONS, seasons_of, times_of
from registry.curate.layers.places import Floats
from registry.curate.layers.placing import centres
from registry.curate.layers.reference import Reference
from registry.errors import InvalidInputError

__all__ = [
    "LAND_SHARES",
    "LATITUDES",
    "STRATA",
    "UNKNOWN",
    "Lookup",
    "Stratum",
    "place_strata",
    "references",
    "strata_of",
]

UNKNOWN: Final = "unknown"
"""What a sample is in where nothing says."""

NO_COUNTRY: Final = "none (sea)"
"""Country and continent of points at sea and of islands that the map leaves out."""

LATITUDES: Final = (
    *(f"{first + 10}S-{first}S" for first in range(80, 0, -10)), "10S-0", "0-10N",
    *(f"{first}N-{first + 10}N" for first in range(10, 90, 10)),
)  # fmt: skip
"""Bands of ten degrees, from the south."""

LAND_SHARES: Final = ("0 %", "1-49 %", "50-99 %", "100 %")
"""Of the cell of 5 minutes (9 km) around the sample."""

_CHUNK: Final = 1 << 20
_SHARE_EDGES: Final = (0.005, 0.495, 0.995)  # shares come in hundredths


class Lookup(Protocol):
    """A layer that classifies points; those of this package and those that a lake holds."""

    @property
    def reference(self) -> Reference:
        """Where it comes from."""
        ...

    def classes(self, lon: Floats, lat: Floats) -> pa.DictionaryArray:
        """Return the class of each point as text, null where it has none; always one dictionary."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """One way to divide samples."""

    name: str
    """The column's."""

    meaning: str
    """In one sentence."""

    kind: str
    """``place``, ``time`` or ``acquisition``."""

    layer: str | None = None
    """Which layer says so; None where the sample itself does."""

    order: tuple[str, ...] = ()
    """Its values from first to last, where they have an order; ``unknown`` is beside them."""


STRATA: Final[Mapping[str, Stratum]] = MappingProxyType({
    one.name: one
    for one in (
        Stratum(name="continent", meaning="continent of the country", kind="place",
                layer="countries"),
        Stratum(name="country", meaning=f"country, or the nearest up to {countries.NEAR_KM:g} km "
                "off a coast", kind="place", layer="countries"),
        Stratum(name="climate", meaning="Köppen-Geiger zone", kind="place", layer="climate"),
        Stratum(name="climate_group", meaning="its first letter", kind="place", layer="climate"),
        Stratum(name="biome", meaning="biome, where a layer is given", kind="place",
                layer="biome"),
        Stratum(name="elevation", meaning="above sea level, by the sample's property or a layer",
                kind="place", layer="elevation", order=ELEVATIONS.labels),
        Stratum(name="land_share", meaning="share of land within the cell of 5' around it",
                kind="place", layer="land", order=LAND_SHARES),
        Stratum(name="coast", meaning="distance to the sea's coast", kind="place", layer="land",
                order=coast.BANDS),
        Stratum(name="latitude", meaning="band of ten degrees", kind="place", order=LATITUDES),
        Stratum(name="season", meaning="meteorological season of its hemisphere", kind="time",
                order=SEASONS),
        Stratum(name="month", meaning="calendar month, in UTC", kind="time", order=MONTHS),
        Stratum(name="year", meaning="calendar year, in UTC", kind="time"),
        Stratum(name="hour", meaning="hour of mean local solar time; unknown for times of exactly "
                "midnight UTC, which are dates", kind="time", order=HOURS),
        Stratum(name="sensor", meaning="constellation, platform or instrument", kind="acquisition"),
        Stratum(name="orbit", meaning="direction of the orbit", kind="acquisition"),
        Stratum(name="cloud", meaning="cloud cover", kind="acquisition", order=CLOUDS.labels),
        Stratum(name="resolution", meaning="ground sampling distance", kind="acquisition",
                order=GSDS.labels),
        Stratum(name="provider", meaning="who provided the source", kind="acquisition"),
        Stratum(name="collection", meaning="collection of the source", kind="acquisition"),
        Stratum(name="licence", meaning="licence of the source", kind="acquisition"),
        Stratum(name="annotator", meaning="who labelled it, where a column says so",
                kind="acquisition"),
    )
})  # fmt: skip
"""Every stratum that samples are divided by, in the order of the columns."""

_BY_PLACE: Final = tuple(one.name for one in STRATA.values() if one.kind == "place")


def strata_of(
    samples: pa.Table,
    *,
    columns: Sequence[str] | None = None,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
) -> pa.Table:
    """Return which stratum of each kind samples belong to.

    Args:
        samples: Rows of ``samples`` as :data:`registry.tables.schemas.SAMPLES` declares them;
            ``id`` and either ``bbox`` or ``geometry`` for places, times, ``source`` and
            ``properties`` as far as they are there. A column ``annotator``, ``sensor``, ``orbit``,
            ``gsd``, ``elevation`` or ``eo:cloud_cover`` beside them comes before the property of
            that name.
        columns: Which strata; all of :data:`STRATA` and of ``layers`` by default.
        layers: Further strata by name, or others' places taken: ``biome``, ``elevation``,
            ``country``.

    Returns:
        ``id`` and one column a stratum, text encoded by dictionary, without nulls; in the order of
        the samples. Those with a declared set of values share one dictionary.

    Raises:
        InvalidInputError: A stratum is not known.
        UnavailableError: A package that a layer comes with is not installed.

    Examples:
        >>> place = {"xmin": 24.9, "ymin": 60.1, "xmax": 25.0, "ymax": 60.2}
        >>> one = pa.table({"id": ["a"], "bbox": [place]})
        >>> strata_of(one, columns=["continent", "country", "season"]).to_pylist()
        [{'id': 'a', 'continent': 'Europe', 'country': 'Finland', 'season': 'unknown'}]
    """
    wanted = list(dict.fromkeys([*STRATA, *layers] if columns is None else columns))
    if strange := [name for name in wanted if name not in STRATA and name not in layers]:
        raise InvalidInputError(
            f"there is no stratum {', '.join(map(repr, strange))}",
            hint=f"take of {', '.join([*STRATA, *layers])}, or give a layer of that name",
        )
    parts = [
        _strata_of(samples.slice(first, _CHUNK), wanted, layers)
        for first in range(0, max(samples.num_rows, 1), _CHUNK)
    ]
    return pa.concat_tables(parts)


def place_strata(
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    columns: Sequence[str],
    *,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
) -> dict[str, pa.DictionaryArray]:
    """Return the strata of kind ``place`` that points lie in.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.
        columns: Which of them.
        layers: As for :func:`strata_of`.

    Returns:
        One column a stratum, as :func:`strata_of` has them.
    """
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    return {
        name: _of_layer(layers[name], x, y) if name in layers else _PLACES[name](x, y)
        for name in columns
    }


def references(
    columns: Sequence[str] | None = None, *, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> dict[str, Reference]:
    """Return where strata come from, by their names; what samples say themselves is left out.

    Args:
        columns: Which strata; all by default.
        layers: As for :func:`strata_of`.
    """
    own = {"climate": climate.reference, "countries": countries.reference, "land": land.reference}
    found: dict[str, Reference] = {}
    for name in columns or [*STRATA, *layers]:
        if name in layers:
            found[name] = layers[name].reference
        elif (layer := STRATA[name].layer) in own:
            found[name] = own[layer]()
    return found


def _strata_of(samples: pa.Table, wanted: Sequence[str], layers: Mapping[str, Lookup]) -> pa.Table:
    lon, lat = centres(samples)
    made: dict[str, Any] = {}
    places = [name for name in wanted if name in layers or name in _BY_PLACE]
    if "elevation" in places and "elevation" not in layers:
        made["elevation"] = _banded("elevation", samples)
        places.remove("elevation")
    made |= place_strata(lon, lat, places, layers=layers)
    if {"season", "month", "year", "hour"} & set(wanted):
        made |= _of_times(samples, lon, lat)
    made |= {name: text(samples, TEXTS[name]) for name in wanted if name in TEXTS}
    for name in wanted:
        if name in NUMBERS and name not in made:
            made[name] = _banded(name, samples)
    ids = samples["id"] if "id" in samples.column_names else pa.nulls(samples.num_rows, pa.string())
    return pa.table({"id": ids, **{name: made[name] for name in wanted}})


def _of_times(samples: pa.Table, lon: Floats, lat: Floats) -> dict[str, pa.DictionaryArray]:
    times = times_of(samples, lon)
    years, place = np.unique(times.year, return_inverse=True)
    labels = [{0: "several", -1: UNKNOWN}.get(int(year), str(year)) for year in years]
    return {
        "season": encoded(seasons_of(times.season_month, lat), SEASONS),
        "month": encoded(times.month - 1, MONTHS),
        "year": pa.DictionaryArray.from_arrays(place.astype(np.int16), labels),
        "hour": encoded(times.hour, HOURS),
    }


def _banded(name: str, samples: pa.Table) -> pa.DictionaryArray:
    bands, sources = NUMBERS[name]
    return encoded(bands.codes(number(samples, sources)), bands.labels)


def encoded(codes: npt.NDArray[Any], labels: Sequence[str]) -> pa.DictionaryArray:
    """Return codes as text; what is no place in ``labels`` is unknown."""
    known = (codes >= 0) & (codes < len(labels))
    kind = np.int16 if len(labels) < np.iinfo(np.int16).max else np.int32
    places = np.where(known, codes, len(labels)).astype(kind)
    return pa.DictionaryArray.from_arrays(places, [*labels, UNKNOWN])


def _of_layer(layer: Lookup, lon: Floats, lat: Floats) -> pa.DictionaryArray:
    classes = layer.classes(lon, lat)
    known = np.asarray(classes.is_valid())
    codes = np.asarray(classes.indices.fill_null(-1))
    return encoded(np.where(known, codes, -1), classes.dictionary.to_pylist())


def _country(lon: Floats, lat: Floats) -> pa.DictionaryArray:
    names = [country.name for country in countries.countries()]
    codes = countries.country_codes(lon, lat)
    return encoded(np.where(codes == -1, len(names), codes), [*names, NO_COUNTRY])


def _continent(lon: Floats, lat: Floats) -> pa.DictionaryArray:
    of_country = [country.continent for country in countries.countries()]
    names = [*sorted(set(of_country)), NO_COUNTRY]
    places = np.array([*map(names.index, of_country), -1, len(names) - 1], np.int16)
    return encoded(places[countries.country_codes(lon, lat)], names)  # -2 and -1 from the end


def _climate(lon: Floats, lat: Floats) -> pa.DictionaryArray:
    return encoded(climate.zone_codes(lon, lat), climate.ZONES)


def _climate_group(lon: Floats, lat: Floats) -> pa.DictionaryArray:
    letters, names = [*climate.GROUPS], [*climate.GROUPS.values()]
    places = np.array([*(letters.index(zone[0]) for zone in climate.ZONES), -1], np.int16)
    return encoded(places[climate.zone_codes(lon, lat)], names)  # -1 from the end


def _land_share(lon: Floats, lat: Floats) -> pa.DictionaryArray:
    share = land.land_share(lon, lat)
    codes = np.searchsorted(_SHARE_EDGES, share, side="right")
    return encoded(np.where(np.isnan(share), -1, codes), LAND_SHARES)


def _coast(lon: Floats, lat: Floats) -> pa.DictionaryArray:
    return encoded(coast.coast_band_codes(lon, lat), coast.BANDS)


def _latitude(_lon: Floats, lat: Floats) -> pa.DictionaryArray:
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(lat) <= 90)  # noqa: PLR2004 — degrees
    codes = np.minimum((np.where(off, 0, lat) + 90) // 10, len(LATITUDES) - 1)
    return encoded(np.where(off, -1, codes), LATITUDES)


def _nothing(lon: Floats, _lat: Floats) -> pa.DictionaryArray:
    return encoded(np.full(lon.shape, -1), ())


_PLACES: Final[Mapping[str, Callable[[Floats, Floats], pa.DictionaryArray]]] = {
    "continent": _continent, "country": _country, "climate": _climate,
    "climate_group": _climate_group, "biome": _nothing, "elevation": _nothing,
    "land_share": _land_share, "coast": _coast, "latitude": _latitude,
}  # fmt: skip
