"""The set ``terrain``: slope, aspect, roughness and curvature of an elevation band.

Distances are metres on the ground: pixels of a projected system have the size that its unit says,
those in degrees the size that a degree has at the sample's own latitude, in each direction.
Derivatives look at the eight neighbours of a pixel, so pixels at an edge or beside a gap have none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.spread import ordered, spread
from registry.errors import InvalidInputError

__all__ = ["TERRAIN", "Ground", "terrain"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_UNITS: Final[Mapping[str, float]] = {
    "": 1.0, "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0,
    "ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "cm": 0.01, "dm": 0.1, "km": 1000.0,
}  # fmt: skip
_STEEPEST_LATITUDE: Final = 85.0  # nearer the pole, a degree of longitude has no one length
_NEIGHBOURS: Final = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))
_PROBABILITIES: Final = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_WORDS: Final = {
    "mean": "Mean", "std": "Standard deviation", "p10": "10th percentile", "p50": "Median",
    "p90": "90th percentile",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Steps on the ground, in metres to the east and to the north."""

    column: tuple[float, float]
    """From a pixel to the next of its row."""

    row: tuple[float, float]
    """From a pixel to the next of its column."""

    def gradient(self, by_column: Doubles, by_row: Doubles) -> tuple[Doubles, Doubles]:
        """Return the gradient to the east and to the north from that by pixels."""
        (east_c, north_c), (east_r, north_r) = self.column, self.row
        area = east_c * north_r - north_c * east_r
        east = (by_column * north_r - by_row * north_c) / area
        north = (by_row * east_c - by_column * east_r) / area
        return east, north


def terrain(scene: Scene) -> dict[str, object]:
    """Return terrain features of one sample.

    Args:
        scene: With an elevation band, in metres where its unit is not said. Of several, the first
            counts.

    Raises:
        MissingInputError: There is no elevation, its unit is none of length, or its pixels have no
            known size on the ground.

    References:
        Horn (1981), Proceedings of the IEEE 69, 14-47, https://doi.org/10.1109/PROC.1981.11918.
        Riley, DeGloria and Elliot (1999), Intermountain Journal of Sciences 5, 23-27.
    """
    layer = scene.layer("E")
    height = layer.band("E").astype(np.float64) * _metres(layer)
    kept = ordered(_single(height))
    found: dict[str, object] = {"valid_share": kept.size / height.size}
    if not kept.size:
        return found
    found |= _spread("elevation", height)
    found |= {"elevation_min": float(kept[0]), "elevation_max": float(kept[-1])}
    found["relief"] = float(kept[-1]) - float(kept[0])
    if min(height.shape[1:]) < len({row for row, _ in _NEIGHBOURS}):
        return found
    ground = _ground(layer)
    near = {place: _shifted(height, *place) for place in _NEIGHBOURS}
    return found | _slopes(near, ground) | _shapes(near, ground)


def _metres(layer: Layer) -> float:
    unit = (layer.unit or "").strip().lower()
    if unit not in _UNITS:
        raise MissingInputError(
            f"the elevation of asset '{layer.asset}' is in {layer.unit!r}",
            hint="say a unit of length in the card: unit: m",
        )
    return _UNITS[unit]


def _shifted(height: Doubles, row: int, column: int) -> Doubles:
    """Return each inner pixel's neighbour."""
    high, wide = height.shape[1:]
    return height[:, 1 + row : high - 1 + row, 1 + column : wide - 1 + column]


# -------------------------------------------------------------------------------------- the ground
def _ground(layer: Layer) -> Ground:
    if layer.transform is None:
        if layer.gsd is not None:
            return Ground(column=(layer.gsd, 0.0), row=(0.0, -layer.gsd))
        raise MissingInputError(
            f"the pixels of asset '{layer.asset}' have no known size",
            hint="say it in the card, in metres: gsd: 30",
        )
    a, b, c, d, e, f = layer.transform
    east, north = _unit(layer, middle=_middle(layer, c=c, d=d, e=e, f=f))
    ground = Ground(column=(a * east, d * north), row=(b * east, e * north))
    if a * e == b * d:
        raise MissingInputError(
            f"the transform of asset '{layer.asset}' squeezes pixels to a line",
            hint="mend it and add the sample anew",
        )
    return ground


def _middle(layer: Layer, *, c: float, d: float, e: float, f: float) -> tuple[float, float]:
    high, wide = layer.raw.shape[2:]
    return c, f + d * wide / 2 + e * high / 2


def _unit(layer: Layer, *, middle: tuple[float, float]) -> tuple[float, float]:
    """Return metres of one unit of the coordinate system to the east and to the north.

    Raises:
        MissingInputError: It is none, or in degrees near a pole.
    """
    per_unit = _crs_unit(layer.crs or "")
    if per_unit is None:
        raise MissingInputError(
            f"asset '{layer.asset}' has no coordinate system that gives its pixels a size",
            hint="add the sample with its coordinate system, or without a transform and with gsd",
        )
    if per_unit > 0:
        return per_unit, per_unit
    latitude = middle[1]
    if abs(latitude) > _STEEPEST_LATITUDE:
        raise MissingInputError(
            f"asset '{layer.asset}' is in degrees at latitude {latitude:g}",
            hint="warp it to a projected system first",
        )
    return _degree(latitude)


@lru_cache(maxsize=256)
def _crs_unit(crs: str) -> float | None:
    """Return metres of a system's unit; 0 for degrees, None if it is no system of places."""
    from registry.geo.systems import system

    try:
        known = system(crs)
    except InvalidInputError:
        return None
    if known.is_geographic:  # in degrees, but for a few old ones in grads
        return 0.0 if known.axis_info[0].unit_name == "degree" else None
    return float(known.axis_info[0].unit_conversion_factor) if known.is_projected else None


def _degree(latitude: float) -> tuple[float, float]:
    """Return metres of a degree of longitude and of latitude on the WGS 84 ellipsoid.

    References:
        NIMA TR8350.2 (2000), Department of Defense World Geodetic System 1984, table 3.1.
    """
    major, squared = 6_378_137.0, 6.694_379_990_14e-3
    phi = np.radians(latitude)
    flat = 1 - squared * np.sin(phi) ** 2
    east = major * np.cos(phi) / np.sqrt(flat)
    north = major * (1 - squared) / flat**1.5
    return float(np.radians(east)), float(np.radians(north))


# ------------------------------------------------------------------------------------ the features
def _single(values: Doubles) -> Floats:
    with np.errstate(over="ignore"):  # what is too large is infinite, and left out
        return values.astype(np.float32).reshape(-1)


def _spread(name: str, values: Doubles) -> dict[str, float]:
    figures = spread(_single(values), tuple(_PROBABILITIES.values()))
    return {} if figures is None else {
        f"{name}_{one}": figure for one, figure in zip(_WORDS, figures, strict=True)
    }  # fmt: skip


def _slopes(near: Mapping[tuple[int, int], Doubles], ground: Ground) -> dict[str, float]:
    right, left = (near[-1, column] + 2 * near[0, column] + near[1, column] for column in (1, -1))
    below, above = (near[row, -1] + 2 * near[row, 0] + near[row, 1] for row in (1, -1))
    east, north = ground.gradient((right - left) / 8, (below - above) / 8)
    steep = np.where(np.isfinite(near[0, 0]), np.hypot(east, north), np.nan)
    found = _spread("slope", np.degrees(np.arctan(steep)))
    flat = steep == 0
    if steep_share := int(np.count_nonzero(np.isfinite(steep))):
        found["flat_share"] = int(np.count_nonzero(flat)) / steep_share
    with np.errstate(invalid="ignore", divide="ignore"):
        faces_east = ordered(_single(-east / steep))
        faces_north = ordered(_single(-north / steep))
    if not faces_east.size:
        return found
    mean_east, mean_north = (float(one.mean(dtype=np.float64)) for one in (faces_east, faces_north))
    return found | {
        "aspect_mean": float(np.degrees(np.arctan2(mean_east, mean_north)) % 360),
        "aspect_concentration": float(min(np.hypot(mean_east, mean_north), 1.0)),
        "northness": mean_north,
        "eastness": mean_east,
    }


def _shapes(near: Mapping[tuple[int, int], Doubles], ground: Ground) -> dict[str, float]:
    centre = near[0, 0]
    others = [near[place] for place in _NEIGHBOURS if place != (0, 0)]
    rugged = np.sqrt(np.add.reduce([(one - centre) ** 2 for one in others]))
    over_others = centre - np.add.reduce(others) / len(others)
    high = np.maximum.reduce([*others, centre])
    low = np.minimum.reduce([*others, centre])
    by_column = (near[0, 1] - 2 * centre + near[0, -1]) / (np.hypot(*ground.column) ** 2)
    by_row = (near[1, 0] - 2 * centre + near[-1, 0]) / (np.hypot(*ground.row) ** 2)
    return (
        _spread("tri", rugged)
        | _spread("tpi", over_others)
        | _spread("roughness", high - low)
        | _spread("curvature", by_column + by_row)
    )


# ----------------------------------------------------------------------------------- definitions
_HORN: Final = "Horn (1981), doi:10.1109/PROC.1981.11918"
_RILEY: Final = "Riley et al. (1999), Intermountain Journal of Sciences 5, 23-27"
_WILSON: Final = "Wilson et al. (2007), doi:10.1080/01490410701295962"
_WEISS: Final = "Weiss (2001), Topographic position and landforms analysis, ESRI user conference"
_ZEVENBERGEN: Final = "Zevenbergen and Thorne (1987), doi:10.1002/esp.3290120107"
_MARDIA: Final = "Mardia and Jupp (2000), Directional Statistics, section 2.2"

_SPREAD: Final = (
    ("elevation", "elevation", "E", "the lab", "m"),
    ("slope", "slope", "atan(|gradient of E|)", _HORN, "degree"),
    ("tri", "terrain ruggedness index", "sqrt(sum over 8 neighbours of (E_i - E)^2)", _RILEY, "m"),
    ("tpi", "topographic position index", "E - mean of 8 neighbours", _WEISS, "m"),
    ("roughness", "roughness", "max - min of 3 x 3 pixels", _WILSON, "m"),
    ("curvature", "curvature, above 0 in hollows", "d2E/dx2 + d2E/dy2", _ZEVENBERGEN, "1/m"),
)
_SINGLE: Final = (
    ("valid_share", "Share of pixels with an elevation", "observed / all", "the lab", "1"),
    ("elevation_min", "Lowest elevation", "min(E)", "the lab", "m"),
    ("elevation_max", "Highest elevation", "max(E)", "the lab", "m"),
    ("relief", "Highest less lowest elevation", "max(E) - min(E)", "the lab", "m"),
    ("flat_share", "Share of pixels without any slope", "gradient = 0", _HORN, "1"),
    ("aspect_mean", "Mean direction that slopes face, clockwise from north; flat ones left out",
     "circular mean of the direction of -gradient", _MARDIA, "degree"),
    ("aspect_concentration", "How much slopes face one way: 1 all, 0 every way",
     "length of the mean unit vector", _MARDIA, "1"),
    ("northness", "Mean of the part of facing that is to the north", "mean(cos(aspect))",
     _MARDIA, "1"),
    ("eastness", "Mean of the part of facing that is to the east", "mean(sin(aspect))",
     _MARDIA, "1"),
)  # fmt: skip


def _features() -> Iterator[Feature]:
    for name, meaning, formula, source, unit in _SINGLE:
        yield Feature(name=name, meaning=meaning, formula=formula, source=source, unit=unit)
    for name, meaning, formula, source, unit in _SPREAD:
        for statistic, word in _WORDS.items():
            yield Feature(
                name=f"{name}_{statistic}", meaning=f"{word} of {meaning}",
                formula=f"{statistic}({formula})", source=source, unit=unit,
            )  # fmt: skip


TERRAIN: Final = FeatureSet(
    name="terrain",
    version=1,
    title="Slope, aspect, roughness and curvature of an elevation band",
    features=tuple(_features()),
    needs=Needs(arrays=True, bands=("E",)),
    by_scene=terrain,
    parameters={"percentiles": dict(_PROBABILITIES)},
    made_of=("registry.curate.features.sets.spread",),
)
"""Terrain features."""
