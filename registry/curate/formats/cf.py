"""Climate and Forecast conventions: where and when a file's arrays are, and how numbers are packed.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).

References:
    Eaton et al., NetCDF Climate and Forecast (CF) Metadata Conventions 1.11: 4.4 (time),
    5.6 (grid mappings), 8.1 (packed data); Unidata, NetCDF Users Guide, attribute ``_Unsigned``.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.formats.acquired import acquired_in
from registry.curate.formats.containers import Container, Variable
from registry.curate.formats.decoded import UnreadableError
from registry.errors import InvalidInputError
from registry.geo import normalise_crs, transform_points
from registry.geo.systems import system

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Axis", "Packing", "axis_of", "crs_of", "moments_of", "packing_of", "transform_of"]

_MOST_STEPS: Final = 1 << 16
_UNIT: Final = re.compile(
    r"(?P<unit>[a-z]+) since (?P<year>\d{1,4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?P<part>\.\d+)?)?)?"
    r" *(?:UTC|GMT|Z|[+]?0?0(?::?00)?)?",
    re.IGNORECASE,
)
_SECONDS: Final = {
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisec", "milliseconds", "millisecond"), 1e-3),
    **dict.fromkeys(("us", "microseconds", "microsecond"), 1e-6),
}  # fmt: skip
_FIELDS: Final = ("year", "month", "day", "hour", "minute", "second")
_CALENDARS: Final = frozenset({"standard", "gregorian", "proleptic_gregorian", ""})
_DATE: Final = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d{2})-?(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2}))?(?:\.\d+)?Z?)?"
)
_NO_SHIFT: Final = re.compile(r",\s*TOWGS84\[\s*0(?:\.0*)?(?:\s*,\s*0(?:\.0*)?){2,6}\s*\]")
_AUTHORITY: Final = re.compile(r"AUTHORITY\[\s*\"EPSG\"\s*,\s*\"(?P<code>\d{4,5})\"\s*\]\s*\]\s*$")
_SAME_SPOT: Final = 1e-3  # in units of the CRS: a millimetre
_EVEN: Final = 1e-3  # of a step: what float32 coordinates in metres are off
_INIT_EPSG: Final = re.compile(r"(?:\+init=)?(?:epsg:)?(?P<code>\d{4,5})", re.IGNORECASE)
_NAMES: Final = {
    "time": frozenset({"t", "time", "times", "timestamp", "date", "dates"}),
    "y": frozenset({"y", "lat", "latitude", "northing"}),
    "x": frozenset({"x", "lon", "long", "longitude", "easting"}),
}
_STANDARD: Final = {
    "time": "time",
    "projection_y_coordinate": "y",
    "latitude": "y",
    "grid_latitude": "y",
    "projection_x_coordinate": "x",
    "longitude": "x",
    "grid_longitude": "x",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What an axis of an array is."""

    role: str
    """``time``, ``y``, ``x``, or an empty text for any other."""

    variable: Variable | None
    """Holds its coordinates; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How a variable's numbers are packed."""

    scale: float = 1.0
    """Factor from stored to physical values."""

    offset: float = 0.0
    """Added after scaling."""

    nodata: float | None = None
    """Stored value that means missing; None if there is none."""

    unit: str = ""
    """Physical unit; empty if it has none."""

    dtype: np.dtype[Any]
    """What the numbers are to be taken for: unsigned where the file says so."""


def axis_of(container: Container, name: str) -> Axis:
    """Return what an axis of this name is."""
    own = container.variables.get(name)
    variable = own if own is not None and len(own.shape) == 1 else None
    said: Mapping[str, object] = variable.attributes if variable else {}
    role = _STANDARD.get(str(said.get("standard_name", "")), "")
    letter = {"T": "time", "Y": "y", "X": "x"}.get(str(said.get("axis", "")).upper(), "")
    by_unit = "time" if " since " in str(said.get("units", "")) else ""
    by_name = next((role for role, names in _NAMES.items() if name.lower() in names), "")
    return Axis(role=role or letter or by_unit or by_name, variable=variable)


# ------------------------------------------------------------------------ time
def moments_of(variable: Variable) -> tuple[datetime, ...]:
    """Return the moments that a time coordinate states, UTC.

    Raises:
        UnreadableError: They are in no unit or calendar that is known, or not all are moments.
    """
    if math.prod(variable.shape) > _MOST_STEPS:
        raise UnreadableError(
            "too-large", f"has {variable.shape[0]:,} time steps", "split it by time"
        )
    values = variable.read()
    if variable.dtype is None:
        return tuple(_date(value) for value in values.reshape(-1).tolist())
    origin, seconds = _since(variable)
    if not np.isfinite(values).all():
        problem = _no_time(variable.name, "a step without a time")
        raise problem
    try:
        return tuple(
            origin + timedelta(seconds=float(value) * seconds) for value in values.reshape(-1)
        )
    except OverflowError as error:
        problem = _no_time(variable.name, "a time beyond all calendars")
        raise problem from error


def _since(variable: Variable) -> tuple[datetime, float]:
    unit = str(variable.attributes.get("units", ""))
    calendar = str(variable.attributes.get("calendar", "")).lower()
    found = _UNIT.fullmatch(unit.strip())
    if found is None or found["unit"].lower() not in _SECONDS or calendar not in _CALENDARS:
        raise _no_time(variable.name, f"times in {unit[:80]!r} of the calendar {calendar[:40]!r}")
    year, month, day, hour, minute, second = (int(found[name] or 0) for name in _FIELDS)
    try:
        origin = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise _no_time(variable.name, f"times in {unit[:80]!r}") from error
    part = timedelta(seconds=float(found["part"] or 0))
    return origin + part, _SECONDS[found["unit"].lower()]


def _date(value: object) -> datetime:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    found = _DATE.fullmatch(text.strip("\0 "))
    fields = {name: int(part) for name, part in found.groupdict().items() if part} if found else {}
    acquired = acquired_in(fields)
    if acquired is None:
        raise _no_time("time", f"{text[:40]!r} for a time")
    return acquired.start


def _no_time(name: str, what: str) -> UnreadableError:
    return UnreadableError(
        "times", f"has {what} in {name!r}", "write times as CF has them: days since 2018-01-01"
    )


# ----------------------------------------------------------------------- place
def crs_of(container: Container, variable: Variable) -> str | None:
    """Return a variable's CRS as ``EPSG:n`` or WKT2; None if nothing states it.

    Raises:
        UnreadableError: What is stated is none.
    """
    mapping = container.variables.get(str(variable.attributes.get("grid_mapping", "")))
    said = mapping.attributes if mapping else {}
    stated = said.get("crs_wkt") or said.get("spatial_ref")
    if stated:
        return _normalised(str(stated))
    for source in (variable.attributes, container.attributes):
        for name in ("crs", "epsg"):
            found = _INIT_EPSG.fullmatch(str(source.get(name, "")))
            if found:
                return _normalised(f"EPSG:{found['code']}")
    return None


def _normalised(text: str) -> str:
    try:
        plain = _NO_SHIFT.sub("", text)
        crs = normalise_crs(plain)  # a shift by nothing would make it a bound one, without a code
        return crs if crs.startswith("EPSG:") else _by_its_code(plain) or crs
    except InvalidInputError as error:
        raise UnreadableError("crs", error.problem, "mend the file's CRS") from error


def _by_its_code(text: str) -> str | None:
    """Return the code that a WKT gives itself, if both put the same places at the same spots."""
    found = _AUTHORITY.search(text)
    code = normalise_crs(f"EPSG:{found['code']}") if found else ""
    area = system(code).area_of_use if code else None
    if area is None:
        return None
    places = np.meshgrid(
        np.linspace(area.west, area.east, 5), np.linspace(area.south, area.north, 5)
    )
    lon, lat = (each.reshape(-1) for each in places)
    spots = [
        np.stack(transform_points(lon, lat, source="OGC:CRS84", target=each))
        for each in (text, code)
    ]
    alike = np.allclose(spots[0], spots[1], rtol=0, atol=_SAME_SPOT)
    return code if alike else None


def transform_of(
    y: Variable | None, x: Variable | None, *, resolution: object
) -> tuple[float, ...] | None:
    """Return the affine from pixel corner to CRS of evenly spaced centres.

    Args:
        y: Coordinates of rows' centres, one at least; None if there are none.
        x: Of columns' centres, likewise.
        resolution: What the file says a pixel measures, in units of the CRS; counts where there
            is one row or column alone.

    Returns:
        It, in rasterio's order; None if there are no coordinates, or they are not even.
    """
    if y is None or x is None or y.dtype is None or x.dtype is None:
        return None
    down, right = _steps(y, resolution), _steps(x, resolution)
    if down is None or right is None:
        return None
    (top, height), (left, width) = down, right
    if len(y.shape) == 1 and y.shape[0] == 1:
        height = -abs(height)
    return (width, 0.0, left - width / 2, 0.0, height, top - height / 2)


def _steps(variable: Variable, resolution: object) -> tuple[float, float] | None:
    """Return the first centre and the even step from each to the next; None if there is none."""
    centres: npt.NDArray[np.float64] = variable.read().astype(np.float64)
    if not np.isfinite(centres).all():
        return None
    if len(centres) == 1:
        given = float(resolution) if isinstance(resolution, int | float) else 0.0
        return (float(centres[0]), given) if math.isfinite(given) and given > 0 else None
    step = float(centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step * np.arange(len(centres))
    if not step or np.abs(centres - even).max() > abs(step) * _EVEN:
        return None
    return float(centres[0]), step


# --------------------------------------------------------------------- packing
def packing_of(variable: Variable, dtype: np.dtype[Any]) -> Packing:
    """Return how a variable's numbers are packed.

    Args:
        variable: The variable.
        dtype: Of its numbers, in the machine's byte order.
    """
    said = variable.attributes
    unsigned = str(said.get("_Unsigned", "")).lower() == "true" and dtype.kind == "i"
    taken = np.dtype(f"u{dtype.itemsize}") if unsigned else dtype
    fill = next(
        (
            value
            for name in ("_FillValue", "missing_value")
            if (value := said.get(name)) is not None
        ),
        None,
    )
    nodata = float(fill) if isinstance(fill, int | float) else None
    if nodata is not None and unsigned and nodata < 0:
        nodata += 2.0 ** (8 * dtype.itemsize)
    return Packing(
        scale=_number(said.get("scale_factor"), 1.0),
        offset=_number(said.get("add_offset"), 0.0),
        nodata=nodata,
        unit=str(said.get("units", "")),
        dtype=taken,
    )


def _number(value: object, usual: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else usual
