"""Points that a user brings: a table or a GeoJSON file, checked row by row."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.errors import InvalidInputError, NotFoundError
from registry.geo import Interval, parse_interval

__all__ = ["POINTS", "points_of", "read_points"]

_TIME: Final = pa.timestamp("us", "UTC")

POINTS: Final = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("lon", pa.float64(), nullable=False, metadata={"unit": "degree"}),
    pa.field("lat", pa.float64(), nullable=False, metadata={"unit": "degree"}),
    pa.field("start_datetime", _TIME, metadata={"meaning": "first instant that is asked for"}),
    pa.field("end_datetime", _TIME, metadata={"meaning": "last instant, included"}),
])
"""Points as features are asked for at them; both times are null where none was given."""

_MOST_BYTES: Final = 1 << 30
_MOST_JSON: Final = 256 << 20  # it is parsed whole
_MOST_ROWS: Final = 5_000_000
_SHOWN: Final = 5
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "lon": ("lon", "longitude", "lng", "x"),
    "lat": ("lat", "latitude", "y"),
    "time": ("time", "datetime", "date", "timestamp"),
    "id": ("id", "name", "fid"),
}
_MINUTE: Final = timedelta(minutes=1)
_HINT: Final = "give longitude and latitude in degrees as lon and lat; time as 2023-06-01T10:30Z"


def read_points(path: Path, times: Sequence[str] = ()) -> pa.Table:
    """Read points from a file.

    Args:
        path: CSV with a header, Parquet, or GeoJSON with points; columns or properties ``lon``,
            ``lat``, and if there are any ``time`` and ``id``. At most 5 million points and 1 GiB
            (GeoJSON 256 MiB).
        times: Of points that say none, such as ``2023-06-01``; several ask for each point at each.

    Returns:
        A table of schema :data:`POINTS`, in the order of the file.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It cannot be read, or rows of it make no point: they are named.
    """
    if not path.is_file():
        raise NotFoundError(
            f"there is no file {path}", hint="name a CSV, Parquet or GeoJSON file of points"
        )
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidInputError(f"{path.name} is larger than 1 GiB", hint="divide it")
    suffix = path.suffix.lower()
    if suffix in {".geojson", ".json"} and path.stat().st_size > _MOST_JSON:
        raise InvalidInputError(
            f"{path.name} is larger than 256 MiB", hint="give a CSV or Parquet file instead"
        )
    if suffix in {".geojson", ".json"}:
        rows = _of_geojson(path)
    elif suffix in {".parquet", ".geoparquet"}:
        rows = _of_parquet(path)
    else:
        rows = _of_csv(path)
    return points_of(rows, times, name=path.name)


def points_of(
    rows: Iterator[tuple[str, Mapping[str, Any]]],
    times: Sequence[str] = (),
    *,
    name: str = "the points",
) -> pa.Table:
    """Return points of rows of ``lon``, ``lat``, ``time`` and ``id``.

    Args:
        rows: Where each comes from, such as ``line 7``, and what it says.
        times: As for :func:`read_points`.
        name: What the rows are called in an error.

    Returns:
        A table of schema :data:`POINTS`.

    Raises:
        InvalidInputError: Some make no point; the first five are named.
    """
    general = [_moment(said) for said in times]
    gathered, wrong = _Gathered(), list[str]()
    for number, (where, row) in enumerate(rows, start=1):
        if number > _MOST_ROWS:
            raise InvalidInputError(
                f"{name} has more than {_MOST_ROWS} points", hint="divide the file"
            )
        try:
            gathered.take(row, general, number=number)
        except InvalidInputError as error:
            wrong.append(f"{where}: {error.problem}")
            if len(wrong) > _MOST_ROWS // 1000:
                break
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise InvalidInputError(f"{name}, {'; '.join(wrong[:_SHOWN])}{more}", hint=_HINT)
    return gathered.table()


@dataclass(slots=True)
class _Gathered:
    ids: list[str] = field(default_factory=list)
    lon: list[float] = field(default_factory=list)
    lat: list[float] = field(default_factory=list)
    start: list[datetime | None] = field(default_factory=list)
    end: list[datetime | None] = field(default_factory=list)

    def take(self, row: Mapping[str, Any], general: Sequence[Interval], *, number: int) -> None:
        lon = _degrees(row.get("lon"), "longitude", 180)
        lat = _degrees(row.get("lat"), "latitude", 90)
        said = row.get("id")
        own = str(number) if said is None or not str(said).strip() else str(said).strip()[:200]
        moments: Sequence[Interval | None] = general or [None]
        if _is_said(row.get("time")):
            moments = [_moment(row["time"])]
        for moment in moments:
            self.ids.append(own)
            self.lon.append(lon)
            self.lat.append(lat)
            self.start.append(moment.start if moment is not None else None)
            self.end.append(moment.end if moment is not None else None)

    def table(self) -> pa.Table:
        columns = [self.ids, self.lon, self.lat, self.start, self.end]
        arrays = [pa.array(one, kind) for one, kind in zip(columns, POINTS.types, strict=True)]
        return pa.Table.from_arrays(arrays, schema=POINTS)


def _is_said(time: object) -> bool:
    return time is not None and (not isinstance(time, str) or bool(time.strip()))


def _degrees(said: object, what: str, most: float) -> float:
    try:
        value = float(said) if isinstance(said, int | float | str) else np.nan
    except (ValueError, OverflowError):
        value = np.nan
    if isinstance(said, bool) or not abs(value) <= most:
        raise InvalidInputError(
            f"{what} {str(said)[:40]!r} is not in [-{most:g}, {most:g}]", hint=_HINT
        )
    return value


def _moment(said: object) -> Interval:
    if isinstance(said, datetime):
        moment = said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
        return Interval(start=moment, end=moment)
    if not isinstance(said, str):
        raise InvalidInputError(f"time {str(said)[:40]!r} is no text", hint=_HINT)
    found = parse_interval(said[:80])
    if found.start is None or found.end is None:
        raise InvalidInputError(f"time {said[:40]!r} is open at an end", hint=_HINT)
    if found.end - found.start < _MINUTE:  # said to the minute or finer: an instant
        return Interval(start=found.start, end=found.start)
    return found


def _of_csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            places = _places(header, path)
            for row in reader:
                if not row:
                    continue
                where = f"line {reader.line_num}"
                if len(row) != len(header):
                    raise InvalidInputError(
                        f"{path.name}, {where}: {len(row)} values under {len(header)} names",
                        hint=_HINT,
                    )
                yield where, {key: row[place] for key, place in places.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path.name} is no CSV in UTF-8: {str(error)[:200]}", hint=_HINT
        ) from error


def _places(header: Sequence[str], path: Path) -> dict[str, int]:
    lower = [name.strip().lower() for name in header]
    found = {
        key: next((lower.index(name) for name in names if name in lower), -1)
        for key, names in _NAMES.items()
    }
    for key in ("lon", "lat"):
        if found[key] < 0:
            raise InvalidInputError(
                f"{path.name} has no column '{key}'; it has {', '.join(header)[:200] or 'none'}",
                hint=_HINT,
            )
    return {key: place for key, place in found.items() if place >= 0}


def _of_geojson(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        said = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"{path.name} is no JSON: {error}", hint=_HINT) from error
    features = said.get("features") if isinstance(said, dict) else None
    if not isinstance(features, list):
        raise InvalidInputError(f"{path.name} is no FeatureCollection of GeoJSON", hint=_HINT)
    for number, feature in enumerate(features, start=1):
        yield f"feature {number}", _of_feature(feature)


def _of_feature(feature: object) -> Mapping[str, Any]:
    if not isinstance(feature, dict):
        return {}
    geometry, properties = feature.get("geometry"), feature.get("properties")
    said = properties if isinstance(properties, dict) else {}
    row = {
        key: next((said[name] for name in names if said.get(name) is not None), None)
        for key, names in _NAMES.items()
    }
    row["lon"] = row["lat"] = None
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        place = geometry.get("coordinates")
        if isinstance(place, list) and len(place) >= 2:  # noqa: PLR2004 — longitude and latitude
            row["lon"], row["lat"] = place[0], place[1]
    if isinstance(feature.get("id"), str | int):
        row["id"] = feature["id"]
    return row


def _of_parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            geometry = "geometry" in names and not {"lon", "longitude", "lng", "x"} & set(names)
            places = {} if geometry else _places(names, path)
            wanted = {key: names[place] for key, place in places.items()}
            if geometry:
                wanted = {
                    key: next((n for n in names if n.lower() in _NAMES[key]), "")
                    for key in ("time", "id")
                }
            columns = [name for name in wanted.values() if name]
            first = 1
            for batch in file.iter_batches(columns=[*columns, *(["geometry"] if geometry else [])]):
                rows = _rows(batch, path)
                for number, row in enumerate(rows, start=first):
                    found = {key: row[name] for key, name in wanted.items() if name}
                    if geometry:
                        found |= _of_wkb(row["geometry"])
                    yield f"row {number}", found
                first += len(rows)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"{path.name} is no Parquet file: {str(error)[:200]}", hint=_HINT
        ) from error


def _rows(batch: pa.RecordBatch, path: Path) -> list[dict[str, Any]]:
    for place, kind in enumerate(batch.schema.types):
        if pa.types.is_timestamp(kind):
            times = batch.column(place).cast(pa.timestamp("us", kind.tz), safe=False)
            batch = batch.set_column(place, batch.schema.names[place], times)
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"{path.name} has a time that no calendar has: {str(error)[:200]}", hint=_HINT
        ) from error
    return rows


def _of_wkb(wkb: object) -> dict[str, float]:
    shape = shapely.from_wkb(wkb, on_invalid="ignore") if isinstance(wkb, bytes) else None
    if not isinstance(shape, shapely.Point) or shape.is_empty:
        return {}
    return {"lon": shape.x, "lat": shape.y}
