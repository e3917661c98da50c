"""The area that somebody asks for: a box that is typed, or polygons in a file.

References:
    RFC 7946 (2016), The GeoJSON Format.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import shapely
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError

__all__ = ["area_of"]

_BOX: Final = 4
_RING: Final = 4  # positions; the last is the first
_LONGEST: Final = 16 << 20  # bytes of a file
_TYPED: Final = re.compile(r"[-+0-9.eE\s]*(,[-+0-9.eE\s]*)+")
_LIKE_A_FILE: Final = re.compile(r"[/\\]|\.(geo)?json$", re.IGNORECASE)
_BOX_HINT: Final = "give west,south,east,north in degrees: --aoi 2.8,42.3,2.9,42.4"
_EITHER: Final = "give west,south,east,north in degrees, or a file of GeoJSON with polygons"
_DEGREES: Final = (
    "GeoJSON is in degrees, longitude first: ogr2ogr -t_srs EPSG:4326 degrees.geojson FILE"
)
_WHOLE: Final = "write the file again, such as by ogr2ogr -f GeoJSON area.geojson FILE"


def area_of(text: str) -> BaseGeometry:
    """Return an area in longitudes and latitudes.

    Args:
        text: ``west,south,east,north`` in degrees, or the path of a file of GeoJSON.

    Returns:
        Valid polygons on the globe that cover something.

    Raises:
        InvalidInputError: It is neither, or no area on the globe.

    Examples:
        >>> area_of("2.8,42.3,2.9,42.4").bounds
        (2.8, 42.3, 2.9, 42.4)
    """
    if text.lstrip().startswith("{"):
        raise InvalidInputError(
            "GeoJSON itself is typed as the area",
            hint="write it to a file, and name that: --aoi area.geojson",
        )
    parts = text.split(",")
    typed = _TYPED.fullmatch(text) or (len(parts) == _BOX and not _LIKE_A_FILE.search(text))
    return _box(parts, text) if typed else _polygons(Path(text))


# ----------------------------------------------------------------------------------------- a box
def _box(parts: list[str], text: str) -> BaseGeometry:
    """Return a box that was typed.

    Raises:
        InvalidInputError: It is none.
    """
    if len(parts) != _BOX:
        raise InvalidInputError(
            f"a box has four numbers, and '{text}' has {len(parts)}", hint=_BOX_HINT
        )
    west, south, east, north = (_number(part, text) for part in parts)
    for name, least, value in (
        ("longitude", 180, west), ("latitude", 90, south),
        ("longitude", 180, east), ("latitude", 90, north),
    ):  # fmt: skip
        if not -least <= value <= least:
            raise InvalidInputError(
                f"'{text}' is no area on the globe: {value:g} is no {name} in degrees",
                hint=f"{_BOX_HINT}, longitude first",
            )
    if not (west < east and south < north):
        what = "west of its eastern edge" if west >= east else "south of its northern edge"
        which = "western" if west >= east else "southern"
        raise InvalidInputError(
            f"'{text}' is no box: its {which} edge is not {what}",
            hint=f"{_BOX_HINT}; one across the 180th meridian is asked for in two parts",
        )
    return shapely.box(west, south, east, north)


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError as error:
        raise InvalidInputError(
            f"'{part.strip()}' of '{text}' is no number", hint=_BOX_HINT
        ) from error


# ---------------------------------------------------------------------------------------- a file
def _polygons(path: Path) -> BaseGeometry:
    """Return the polygons of a file as one area.

    Raises:
        InvalidInputError: It holds none, or one that bounds nothing.
    """
    found = [
        _polygon(geometry, f"{path.name}, {where}")
        for where, geometry in _geometries(_document(path), path.name)
    ]
    if not found:
        raise InvalidInputError(
            f"{path.name} holds no polygon: it is an empty collection",
            hint="draw a polygon around the place, such as in QGIS, and save it as GeoJSON",
        )
    return shapely.union_all(found)


def _read(path: Path) -> bytes:
    """Return what a file holds, and a byte more than is taken of one that is too long.

    Raises:
        InvalidInputError: There is none, or it cannot be read.
    """
    try:
        special = path.exists() and not path.is_file()  # a folder, or a pipe that never ends
        data = b""
        if not special:
            with path.open("rb") as file:
                data = file.read(_LONGEST + 1)
    except FileNotFoundError as error:
        raise InvalidInputError(f"there is no file '{path}'", hint=_EITHER) from error
    except (OSError, ValueError) as error:  # no permission; a name with a NUL in it
        raise InvalidInputError(f"the file '{path}' cannot be read", hint=_EITHER) from error
    if special:
        raise InvalidInputError(f"'{path}' is no file", hint=_EITHER)
    return data


def _document(path: Path) -> Mapping[str, Any]:
    """Return what a file holds.

    Raises:
        InvalidInputError: It is no GeoJSON.
    """
    data = _read(path)
    if len(data) > _LONGEST:
        raise InvalidInputError(
            f"{path.name} has more than {_LONGEST >> 20} MB",
            hint="simplify the polygons: ogr2ogr -simplify 0.0001 small.geojson FILE",
        )
    try:
        document = json.loads(data)
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"{path.name} is no JSON: line {error.lineno}, column {error.colno}", hint=_WHOLE
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path.name} is no JSON that can be read", hint=_WHOLE) from error
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        raise InvalidInputError(f"{path.name} is JSON, and no GeoJSON: it has no type", hint=_WHOLE)
    return document


def _geometries(document: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Yield geometries and where they stand.

    Raises:
        InvalidInputError: Members of a collection are no list.
    """
    if document["type"] == "FeatureCollection":
        for n, feature in enumerate(_listed(document, "features", name), 1):
            inner = feature.get("geometry") if isinstance(feature, dict) else None
            yield from _parts(inner, f"feature {n}", name)
    elif document["type"] == "Feature":
        yield from _parts(document.get("geometry"), "its feature", name)
    else:
        yield from _parts(document, "its geometry", name)


def _parts(geometry: Any, where: str, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 — JSON
    if isinstance(geometry, dict) and geometry.get("type") == "GeometryCollection":
        for n, one in enumerate(_listed(geometry, "geometries", name), 1):
            yield f"{where}, part {n}", one
    else:
        yield where, geometry


def _listed(document: Mapping[str, Any], key: str, name: str) -> list[Any]:
    found = document.get(key)
    if not isinstance(found, list):
        raise InvalidInputError(f"{name} has no list of {key}", hint=_WHOLE)
    return found


# -------------------------------------------------------------------------------------- polygons
def _polygon(geometry: Any, where: str) -> BaseGeometry:  # noqa: ANN401 — whatever the JSON holds
    """Return one geometry.

    Raises:
        InvalidInputError: It bounds no area of the globe.
    """
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in {"Polygon", "MultiPolygon"}:
        what = f"is a {kind}, which has no area" if isinstance(kind, str) else "has no geometry"
        raise InvalidInputError(
            f"{where} {what}", hint="draw a polygon around the place, or buffer the point or line"
        )
    listed = geometry.get("coordinates")
    polygons = [listed] if kind == "Polygon" else listed
    if not isinstance(polygons, list) or not polygons:
        raise InvalidInputError(f"{where} has no coordinates", hint=_WHOLE)
    parts = []
    for rings in polygons:
        if not isinstance(rings, list) or not rings:
            raise InvalidInputError(f"{where} has no coordinates", hint=_WHOLE)
        shell, *holes = [_ring(ring, where) for ring in rings]
        parts.append(shapely.Polygon(shell, holes))
    made: BaseGeometry = parts[0] if kind == "Polygon" else shapely.MultiPolygon(parts)
    if not made.is_valid:
        raise InvalidInputError(
            f"{where} is no valid polygon: {_why(made)}",
            hint="mend it, such as by Fix geometries in QGIS, or ogr2ogr -makevalid area.geojson "
            "FILE",
        )
    return made


def _why(polygon: BaseGeometry) -> str:
    """Return what is wrong with a polygon, and where: ``self-intersection at 1.5 1.5``."""
    said, _, at = shapely.is_valid_reason(polygon).partition("[")
    return f"{said.strip().lower()} at {at.rstrip(']')}" if at else said.strip().lower()


def _ring(ring: Any, where: str) -> list[tuple[float, float]]:  # noqa: ANN401 — whatever the JSON holds
    if not isinstance(ring, list) or len(ring) < _RING:
        raise InvalidInputError(
            f"{where} has a ring of less than {_RING} positions", hint="draw the polygon again"
        )
    return [_position(one, where) for one in ring]


def _position(position: Any, where: str) -> tuple[float, float]:  # noqa: ANN401 — whatever the JSON holds
    """Return longitude and latitude.

    Raises:
        InvalidInputError: They are no numbers, or beyond the globe.
    """
    if not isinstance(position, list) or len(position) < 2:  # noqa: PLR2004 — a longitude, a latitude
        raise InvalidInputError(
            f"{where} has {_shown(position)} where a position should be", hint=_WHOLE
        )
    for value, most, name in (position[0], 180, "longitude"), (position[1], 90, "latitude"):
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 — NaN
            raise InvalidInputError(
                f"{where} has the coordinate {_shown(value)}, which is no number", hint=_WHOLE
            )
        if not -most <= value <= most:
            raise InvalidInputError(
                f"{where} lies beyond the globe: {_shown(value)} is no {name} in degrees",
                hint=_DEGREES,
            )
    return float(position[0]), float(position[1])


def _shown(value: Any) -> str:  # noqa: ANN401 — whatever the JSON holds
    """Return JSON that fits into a line."""
    said = json.dumps(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a number"
    return said if len(said) < 40 else f"{said[:40]}…"  # noqa: PLR2004 — characters
