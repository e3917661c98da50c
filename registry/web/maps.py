"""Where samples lie: footprints or their density on a graticule, as SVG and as a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from registry.geo import centres_of
from registry.web.land import land_rings

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = [
    "Floats",
    "Frame",
    "Mark",
    "VersionMap",
    "degrees",
    "frame_around",
    "graticule",
    "map_of",
    "outlined",
    "world",
]

_MOST_MARKS: Final = 600
_CELLS: Final = 60
_STEPS: Final = (
    90,
    60,
    30,
    20,
    15,
    10,
    5,
    2,
    1,
    0.5,
    0.2,
    0.1,
    0.05,
    0.02,
    0.01,
    0.005,
    0.002,
    0.001,
)
_MOST_LINES: Final = 7
_MARGIN: Final = 0.12
_NARROWEST: Final = 0.005  # degrees
_KM_PER_DEGREE: Final = 111.195
_LABEL: Final = 60  # width of a meridian's label on the paper

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The part of the globe that a map shows, and how it lies on the paper."""

    west: float
    """Degrees; may be below -180 or ``east`` above 180, across the antimeridian."""

    south: float
    """Degrees."""

    east: float
    """Degrees, above ``west``."""

    north: float
    """Degrees, above ``south``."""

    width: float = 1000.0
    """Of the paper, in its own unit."""

    @property
    def stretch(self) -> float:
        """How much longer a degree of latitude is drawn than one of longitude."""
        middle = np.radians((self.south + self.north) / 2)
        return float(1 / max(0.2, np.cos(middle)))

    @property
    def height(self) -> float:
        """Of the paper."""
        return self.width * (self.north - self.south) / (self.east - self.west) * self.stretch

    def x(self, lon: Floats | float) -> Floats:
        """Return where longitudes lie on the paper, from the left."""
        return np.asarray((np.asarray(lon) - self.west) / (self.east - self.west) * self.width)

    def y(self, lat: Floats | float) -> Floats:
        """Return where latitudes lie on the paper, from the top."""
        return np.asarray((self.north - np.asarray(lat)) / (self.north - self.south) * self.height)

    def meridians(self) -> list[float]:
        """Return the longitudes of the graticule inside the frame."""
        return _multiples(self.west, self.east)

    def parallels(self) -> list[float]:
        """Return the latitudes of the graticule inside the frame."""
        return _multiples(self.south, self.north)

    def scale_bar(self) -> tuple[float, str]:
        """Return how long a round distance is on the paper, and that distance."""
        km = (self.east - self.west) * _KM_PER_DEGREE / self.stretch
        fitting = [n * 10.0**power for power in range(-3, 5) for n in (1, 2, 5)]
        best = max((each for each in fitting if each <= km / 4), default=fitting[0])
        text = f"{best:g} km" if best >= 1 else f"{best * 1000:g} m"
        return best / km * self.width, text


def _multiples(low: float, high: float) -> list[float]:
    step = next((s for s in reversed(_STEPS) if (high - low) / s <= _MOST_LINES), _STEPS[0])
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(number * step, 6) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A footprint, or a cell that holds some."""

    rings: tuple[tuple[tuple[float, float], ...], ...]
    """Outer rings on the paper; empty where it is too small to be drawn."""

    x: float
    """Its middle on the paper."""

    y: float
    """Its middle on the paper."""

    title: str
    """What it is."""

    weight: float
    """How many samples it stands for, as a share of the fullest, in (0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMap:
    """Where a version's samples lie."""

    frame: Frame
    """The part of the globe around them."""

    marks: tuple[Mark, ...]
    """What is drawn."""

    located: int
    """Samples with a footprint."""

    missing: int
    """Samples without one."""

    binned: bool
    """Whether marks are cells rather than single footprints."""

    def picture(self, width: int) -> Image.Image:
        """Return the map as a picture."""
        factor = width / self.frame.width
        size = (width, max(1, round(self.frame.height * factor)))
        whole = Image.new("RGB", size, (247, 248, 250))
        pen = ImageDraw.Draw(whole, "RGBA")
        for outline in land_rings(self.frame):
            pen.polygon([(x * factor, y * factor) for x, y in outline], fill=(226, 231, 223, 255))
        for lon in self.frame.meridians():
            across = float(self.frame.x(lon)) * factor
            pen.line([(across, 0), (across, size[1])], fill=(200, 206, 214, 255))
            pen.text((across + 3, size[1] - 14), degrees(lon, "EW"), fill=(90, 98, 110, 255))
        for lat in self.frame.parallels():
            down = float(self.frame.y(lat)) * factor
            pen.line([(0, down), (size[0], down)], fill=(200, 206, 214, 255))
            pen.text((3, down + 2), degrees(lat, "NS"), fill=(90, 98, 110, 255))
        for mark in self.marks:
            colour = (0, 90, 156, round(90 + 165 * mark.weight))
            for ring in mark.rings:
                pen.polygon([(x * factor, y * factor) for x, y in ring], fill=colour)
            x, y = mark.x * factor, mark.y * factor
            if not mark.rings:
                pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colour)
        return whole


def degrees(value: float, sides: str) -> str:
    """Return a longitude or latitude as a map says it.

    Args:
        value: Degrees; a longitude may be more than half a turn away.
        sides: ``EW`` or ``NS``.

    Examples:
        >>> degrees(-12.5, "EW"), degrees(190, "EW"), degrees(0, "NS")
        ('12.5°W', '170°W', '0°')
    """
    value = (value + 180) % 360 - 180 if sides == "EW" and abs(value) > 180 else value  # noqa: PLR2004 — degrees
    side = "" if value == 0 else sides[0] if value > 0 else sides[1]
    return f"{abs(value):g}°{side}"


def map_of(version: "Version") -> VersionMap:
    """Return where a version's samples lie.

    Few footprints are drawn as they are; many are counted in cells.

    Args:
        version: What is shown.
    """
    total = version.count("samples")
    table = version.table("samples", columns=["id", "bbox"]) if total else None
    if table is None:
        return VersionMap(frame=world(), marks=(), located=0, missing=0, binned=False)
    known = table.filter(table["bbox"].is_valid())
    edges = _edges(known["bbox"].combine_chunks())
    located = len(edges)
    if not located:
        return VersionMap(frame=world(), marks=(), located=0, missing=total, binned=False)
    lon, lat = centres_of(edges)
    frame = frame_around(edges, lon)
    lon = frame.west + np.mod(lon - frame.west, 360)
    binned = located > _MOST_MARKS
    if binned:
        marks = _cells(frame, lon, lat)
    else:
        marks = _footprints(version, known["id"].to_pylist(), frame, lon, lat)
    return VersionMap(
        frame=frame, marks=marks, located=located, missing=total - located, binned=binned
    )


def world() -> Frame:
    """Return the frame of the whole globe."""
    return Frame(west=-180, south=-85, east=180, north=85)


def _edges(boxes: pa.StructArray) -> Floats:
    names = ("xmin", "ymin", "xmax", "ymax")
    return np.column_stack([boxes.field(name).to_numpy(zero_copy_only=False) for name in names])


def frame_around(edges: Floats, lon: Floats) -> Frame:
    """Return the frame around boxes, cut open where the fewest are.

    Args:
        edges: West, south, east, north in degrees, at least one box, shape ``(box, 4)``.
        lon: Longitudes of their middles, in degrees, shape ``(box,)``.
    """
    ordered = np.sort(lon)
    gaps = np.diff(np.concatenate([ordered, [ordered[0] + 360]]))
    widest = int(gaps.argmax())
    start = ordered[(widest + 1) % len(ordered)]
    half = float(np.mod(edges[:, 2] - edges[:, 0], 360).max()) / 2
    around = np.mod(lon - start, 360)
    west, east = start - half, start + float(around.max()) + half
    south, north = float(edges[:, 1].min()), float(edges[:, 3].max())
    stretch = 1 / max(0.2, float(np.cos(np.radians((south + north) / 2))))
    wide, high = max(east - west, _NARROWEST), max(north - south, _NARROWEST)
    # the paper is twice to two and a half times as wide as it is high
    wide, high = max(wide, 2 * high * stretch), max(high, wide / (2.5 * stretch))
    wide, high = wide * (1 + 2 * _MARGIN), high * (1 + 2 * _MARGIN)
    if wide >= 360:  # noqa: PLR2004 — the whole turn
        return world()
    centre, middle = (west + east) / 2, (south + north) / 2
    return Frame(
        west=centre - wide / 2,
        east=centre + wide / 2,
        south=max(-90.0, middle - high / 2),
        north=min(90.0, middle + high / 2),
    )


def graticule(frame: Frame) -> dict[str, list[tuple[float, str]]]:
    """Return the lines of a map's graticule with what is written at them."""
    return {
        "meridians": [
            (across, degrees(lon, "EW") if across < frame.width - _LABEL else "")
            for lon in frame.meridians()
            for across in [float(frame.x(lon))]
        ],
        "parallels": [(float(frame.y(lat)), degrees(lat, "NS")) for lat in frame.parallels()],
    }


def _footprints(
    version: "Version", names: list[str], frame: Frame, lon: Floats, lat: Floats
) -> tuple[Mark, ...]:
    shapes = dict(
        zip(
            names,
            shapely.from_wkb(_wkb(version, names)),
            strict=True,
        )
    )
    return outlined(shapes, frame, lon, lat)


def outlined(
    shapes: Mapping[str, BaseGeometry], frame: Frame, lon: Floats, lat: Floats
) -> tuple[Mark, ...]:
    """Return footprints as they are drawn: their rings, or a dot where they are too small.

    Args:
        shapes: In OGC:CRS84, by name.
        frame: Where they are drawn.
        lon: Longitudes of their middles, in degrees inside the frame, shape ``(shape,)``.
        lat: Latitudes of their middles, in degrees, shape ``(shape,)``.
    """
    names = list(shapes)
    marks = []
    for name, x, y in zip(names, frame.x(lon).tolist(), frame.y(lat).tolist(), strict=True):
        rings = tuple(
            tuple(
                (float(frame.x(_near(px, frame))), float(frame.y(py)))
                for px, py, *_ in part.exterior.coords
            )
            for part in shapely.get_parts(shapely.simplify(shapes[name], 0))
            if part.geom_type == "Polygon"
        )
        spread = max(
            (max(a) - min(a) for ring in rings for a in zip(*ring, strict=True)), default=0
        )
        shown = rings if spread > 8 else ()  # noqa: PLR2004 — else a dot is easier to see
        marks.append(Mark(rings=shown, x=x, y=y, title=name, weight=0.5))
    return tuple(marks)


def _wkb(version: "Version", names: list[str]) -> list[bytes]:
    table = version.table("samples", columns=["id", "geometry"])
    found = dict(zip(table["id"].to_pylist(), table["geometry"].to_pylist(), strict=True))
    return [found[name] for name in names]


def _near(lon: float, frame: Frame) -> float:
    turns = round(((frame.west + frame.east) / 2 - lon) / 360)
    return lon + 360 * turns


def _cells(frame: Frame, lon: Floats, lat: Floats) -> tuple[Mark, ...]:
    across = _CELLS
    down = max(1, round(_CELLS * frame.height / frame.width))
    columns = np.clip((frame.x(lon) / frame.width * across).astype(int), 0, across - 1)
    rows = np.clip((frame.y(lat) / frame.height * down).astype(int), 0, down - 1)
    cells, counts = np.unique(rows * across + columns, return_counts=True)
    wide, high = frame.width / across, frame.height / down
    marks = []
    for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
        left, top = cell % across * wide, cell // across * high
        ring = (
            (left, top),
            (left + wide, top),
            (left + wide, top + high),
            (left, top + high),
        )
        weight = float(np.sqrt(count / counts.max()))
        title = f"{count:,} samples"
        middle = (left + wide / 2, top + high / 2)
        marks.append(Mark(rings=(ring,), x=middle[0], y=middle[1], title=title, weight=weight))
    return tuple(marks)
