"""Named places that scenes are set in: where they lie, what covers them, when they are green."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from registry.geo import utm_crs

__all__ = ["PLACES", "Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A real place, with the land that the simulator lays there."""

    name: str
    """Kebab-case; the first part of the samples' ``group``."""

    country: str
    """ISO 3166-1 alpha-2 code."""

    lon: float
    """Longitude of the middle, in degrees of OGC:CRS84."""

    lat: float
    """Latitude of the middle, in degrees of OGC:CRS84."""

    climate: str
    """``temperate``, ``mediterranean``, ``monsoon``, ``tropical``, ``arid`` or ``polar``."""

    cover: Mapping[str, float] = field(repr=False)
    """Share of each kind of land on a scene, by name; the shares are brought to a sum of 1."""

    field_m: float = 350.0
    """Mean edge of a field, in metres."""

    relief_m: float = 150.0
    """Difference between the highest and lowest ground on a scene, in metres."""

    cloudiness: float = 0.35
    """Share of scenes with clouds, in [0, 1]."""

    @property
    def crs(self) -> str:
        """The UTM zone that the place lies in."""
        return utm_crs(self.lon, self.lat)


def _place(  # noqa: PLR0913, PLR0917 — one line a place reads best
    name: str, country: str, lon: float, lat: float, climate: str, cover: str,
    field_m: float = 350.0, relief_m: float = 150.0, cloudiness: float = 0.35,
) -> Place:  # fmt: skip
    shares = (part.split(":") for part in cover.split())
    return Place(
        name=name, country=country, lon=lon, lat=lat, climate=climate,
        cover=MappingProxyType({kind: float(share) for kind, share in shares}),
        field_m=field_m, relief_m=relief_m, cloudiness=cloudiness,
    )  # fmt: skip


_ALL = (
    _place("po-valley", "IT", 10.62, 45.08, "temperate",
           "crops:70 town:12 broadleaf:10 grass:8", 260, 20),
    _place("ebro-delta", "ES", 0.72, 40.71, "mediterranean",
           "water:30 crops:45 grass:10 bare:8 town:7", 220, 15),
    _place("kattegat", "DK", 11.42, 56.42, "temperate",
           "water:86 crops:8 conifer:3 grass:3", 300, 20, 0.3),
    _place("gibraltar", "ES", -5.45, 35.98, "mediterranean",
           "water:80 rock:8 broadleaf:7 town:5", 250, 300, 0.2),
    _place("black-forest", "DE", 8.20, 48.30, "temperate",
           "conifer:50 broadleaf:22 grass:18 crops:6 town:4", 180, 600),
    _place("svalbard", "SJ", 15.90, 78.15, "polar",
           "water:28 rock:24 tundra:20 snow:28", 400, 700, 0.4),
    _place("iowa", "US", -93.60, 42.05, "temperate",
           "crops:84 town:5 grass:6 broadleaf:5", 790, 25),
    _place("sierra-nevada", "US", -119.45, 37.35, "mediterranean",
           "conifer:60 grass:14 broadleaf:14 rock:12", 300, 900, 0.15),
    _place("central-valley", "US", -120.35, 36.75, "mediterranean",
           "crops:80 town:8 grass:8 bare:4", 620, 15, 0.1),
    _place("manaus", "BR", -60.05, -3.15, "tropical",
           "broadleaf:66 water:22 town:8 grass:4", 300, 50, 0.6),
    _place("mato-grosso", "BR", -55.60, -12.60, "monsoon",
           "crops:60 broadleaf:32 grass:8", 1100, 40, 0.4),
    _place("inner-niger-delta", "ML", -4.20, 14.65, "monsoon",
           "grass:42 water:18 bare:24 crops:16", 180, 12, 0.2),
    _place("kruger", "ZA", 31.25, -24.05, "monsoon",
           "grass:60 broadleaf:26 bare:14", 400, 180, 0.25),
    _place("al-jawf", "SA", 38.95, 29.80, "arid",
           "sand:66 crops:34", 780, 60, 0.05),
    _place("jamuna", "BD", 89.72, 24.35, "monsoon",
           "crops:66 water:14 broadleaf:12 town:8", 120, 8, 0.4),
    _place("singapore-strait", "SG", 103.95, 1.20, "tropical",
           "water:82 town:10 broadleaf:8", 300, 60, 0.45),
    _place("hokkaido", "JP", 143.15, 42.92, "temperate",
           "crops:55 broadleaf:25 conifer:12 town:8", 420, 200),
    _place("gippsland", "AU", 147.10, -37.50, "mediterranean",
           "broadleaf:60 grass:26 crops:8 conifer:6", 420, 700, 0.25),
    _place("canterbury", "NZ", 171.75, -43.70, "temperate",
           "crops:62 grass:26 conifer:6 town:6", 380, 40),
    _place("taveuni", "FJ", 179.98, -16.84, "tropical",
           "water:45 broadleaf:42 grass:13", 250, 500, 0.5),
)  # fmt: skip

PLACES: Final = MappingProxyType({place.name: place for place in _ALL})
"""Places by name: six continents and the Pacific, both hemispheres, one on the antimeridian, one
at 78° N. Coordinates are real; the land laid there is invented in the place's manner."""
