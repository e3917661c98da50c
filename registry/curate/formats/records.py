"""Sidecars in JSON and CSV: what they say of a sample, read with limits and never guessed at."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import orjson
import shapely

from registry.curate.formats.acquired import Acquired, acquired_in
from registry.errors import RejectedError

if TYPE_CHECKING:
    from registry.curate.formats.contract import Listing
    from registry.curate.formats.planning import PlanRows

__all__ = ["Record", "has_table", "parse_record", "parse_time", "read_json", "sample_tables"]

SIDECAR_LIMIT: Final = 16 << 20
"""Bytes of one sidecar at most."""

_TABLE_LIMIT: Final = 256 << 20
_TABLES: Final = frozenset({
    "metadata.json", "metadata.csv", "samples.json", "samples.csv", "labels.csv",
})  # fmt: skip
_TEXT_LIMIT: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]{0,63}")
_COARSE: Final = re.compile(r"(?P<year>\d{4})(?:-(?P<month>\d{2}))?")
_DAY: Final = timedelta(days=1, microseconds=-1)

_IDS: Final = (
    "id", "sample", "sample_id", "image_id", "patch_id", "name", "file_name", "image", "filename",
    "file",
)  # fmt: skip
_TIMES: Final = (
    "datetime", "acquisition-date", "acquisition_date", "acquired", "acquisition_time",
    "time_start", "date", "timestamp",
)  # fmt: skip
_BOXES: Final = ("bbox", "bounding-box", "bounding_box", "bounds")
_LABELS: Final = ("label", "labels", "class", "class_name", "category")
_SPOKEN: Final = frozenset({
    *_TIMES, *_BOXES, *_LABELS, "geometry", "start_datetime", "end_datetime", "time_end", "group",
    "id", "target", "collection", "licence", "license", "provider", "properties", "type",
    "stac_version",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a sidecar says of one sample; None where it does not."""

    time: Acquired | None = None
    """When it was acquired, UTC."""

    geometry: bytes | None = None
    """Footprint as WKB in OGC:CRS84."""

    label: tuple[str, ...] = ()
    """Scene classes."""

    group: str | None = None
    """What must not straddle a split."""

    target: float | None = None
    """A scene-level quantity."""

    collection: str | None = None
    """The product that it is of."""

    licence: str | None = None
    """Of the sample, where it states its own."""

    provider: str | None = None
    """Who made it."""

    properties: Mapping[str, object] = field(default_factory=dict)
    """Other single values, by name."""

    problems: tuple[str, ...] = ()
    """What it says that cannot be."""

    def columns(self) -> dict[str, object]:
        """Return it as columns of ``PLAN_SAMPLES`` but the time; nulls are left out."""
        said = {
            "geometry": self.geometry,
            "label": list(self.label) or None,
            "group": self.group,
            "target": self.target,
            "collection": self.collection,
            "licence": self.licence,
            "provider": self.provider,
            "properties": dict(self.properties) or None,
        }
        return {name: value for name, value in said.items() if value is not None}


def read_json(
    listing: "Listing", path: str, rows: "PlanRows", *, sample: str | None = None
) -> object | None:
    """Return a JSON sidecar's content; None with a finding if it is too large or no JSON."""
    try:
        return orjson.loads(listing.read(path, limit=SIDECAR_LIMIT))  # type: ignore[no-any-return]
    except (RejectedError, orjson.JSONDecodeError) as error:
        rows.warn(
            "bad-sidecar",
            f"{path!r} cannot be read: {str(error).splitlines()[0]}",
            fix="mend the sidecar and ingest again",
            sample=sample,
            file=path,
        )
        return None


def parse_time(value: object) -> Acquired | None:
    """Return the time that a sidecar's value states.

    Args:
        value: An ISO 8601 text; without an offset it is taken as UTC.

    Returns:
        An instant; the day if the value is a date, or exactly midnight, which no sensor's clock
        says but many a script does; the year or month if it says no more; None if it is no time.

    Examples:
        >>> parse_time("2022-08-25").end.isoformat()
        '2022-08-25T23:59:59.999999+00:00'
    """
    if not isinstance(value, str):
        return None
    if coarse := _COARSE.fullmatch(value.strip()):
        return acquired_in({
            name: int(digits) for name, digits in coarse.groupdict().items() if digits
        })
    try:
        moment = datetime.fromisoformat(value.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    whole = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return Acquired(start=moment, end=moment + _DAY if whole else moment)


def parse_record(said: Mapping[str, object]) -> Record:
    """Return what an object says of a sample, by the names that data sets use.

    Args:
        said: A JSON object; a GeoJSON feature's or STAC item's ``properties`` count as its own.

    Returns:
        The record. Values of an impossible form are left out and named in ``problems``.

    Examples:
        >>> parse_record({"acquisition-date": "2022-08-25", "sea_state": 3}).properties
        {'sea_state': 3}
    """
    inner = said.get("properties")
    if isinstance(inner, Mapping):
        said = {**said, **inner}
    problems: list[str] = []
    kind = said.get("type")
    return Record(
        time=_time_of(said, problems),
        geometry=_geometry_of(said, problems),
        label=_label_of(said),
        group=_text(said.get("group")),
        target=_number(said.get("target")),
        # EOTDL writes the product as the type; GeoJSON means its own kinds by it.
        collection=_text(said.get("collection")) or (_text(kind) if kind != "Feature" else None),
        licence=_text(said.get("licence")) or _text(said.get("license")),
        provider=_text(said.get("provider")),
        properties={
            name: value
            for name, value in said.items()
            if name not in _SPOKEN and _NAME.fullmatch(name) and _is_scalar(value)
        },
        problems=tuple(problems),
    )


def _is_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _TEXT_LIMIT
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, float)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _TEXT_LIMIT else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _label_of(said: Mapping[str, object]) -> tuple[str, ...]:
    for name in _LABELS:
        value = said.get(name)
        if isinstance(value, str) and value:
            return (value,)
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            return tuple(value)
    return ()


def _time_of(said: Mapping[str, object], problems: list[str]) -> Acquired | None:
    start = parse_time(said.get("start_datetime"))
    end = parse_time(said.get("end_datetime"))
    if start and end and start.start <= end.end:
        return Acquired(start=start.start, end=end.end)
    for name in _TIMES:
        if (value := said.get(name)) is None:
            continue
        if (time := parse_time(value)) is not None:
            last = parse_time(said.get("time_end")) if name == "time_start" else None
            return Acquired(start=time.start, end=max(time.end, last.end)) if last else time
        problems.append(f"{name} {value!r:.60} is no ISO 8601 time")
    return None


def _geometry_of(said: Mapping[str, object], problems: list[str]) -> bytes | None:
    geometry = said.get("geometry")
    if isinstance(geometry, Mapping):
        try:
            shape = shapely.from_geojson(orjson.dumps(geometry))
        except (shapely.errors.GEOSException, TypeError) as error:
            problems.append(f"its geometry is no GeoJSON: {error!s:.60}")
            return None
        return _checked(shape, problems)
    for name in _BOXES:
        box = said.get(name)
        if box is not None:
            return _box(box, name, problems)
    return None


def _box(box: object, name: str, problems: list[str]) -> bytes | None:
    if isinstance(box, Sequence) and len(box) == 6:  # noqa: PLR2004 — RFC 7946 §5 with heights
        box = [*box[:2], *box[3:5]]
    corners = (
        [number for one in box if (number := _number(one)) is not None]
        if (isinstance(box, list))
        else []
    )
    if len(corners) != 4:  # noqa: PLR2004 — west, south, east, north
        problems.append(f"{name} {box!r:.60} is not west, south, east, north")
        return None
    west, south, east, north = corners
    if west > east:  # over the antimeridian, RFC 7946 §5.2
        shape = shapely.union_all([
            shapely.box(west, south, 180, north), shapely.box(-180, south, east, north),
        ])  # fmt: skip
    else:
        shape = shapely.box(west, south, east, north)
    return _checked(shape, problems)


def _checked(shape: shapely.Geometry, problems: list[str]) -> bytes | None:
    west, south, east, north = shapely.bounds(shape)
    inside = -180 <= west <= east <= 180 and -90 <= south <= north <= 90  # noqa: PLR2004 — degrees
    if not inside or shapely.area(shape) == 0:
        problems.append(
            f"its footprint {west:g} {south:g} {east:g} {north:g} is no area in degrees"
        )
        return None
    return shapely.to_wkb(shape)


def sample_tables(listing: "Listing", rows: "PlanRows") -> tuple[dict[str, Record], set[str]]:
    """Return what tables beside the samples say of each.

    They are ``metadata`` or ``samples``, as JSON or CSV, and ``labels.csv``.

    Args:
        listing: The source.
        rows: Takes findings of tables that cannot be read.

    Returns:
        Records by the names that the tables use for samples, with and without suffix, in lower
        case; and the paths of the tables.
    """
    records: dict[str, Record] = {}
    used: set[str] = set()
    for path in listing.files:
        if not _is_table(path):
            continue
        used.add(path)
        for said in _table_rows(listing, path, rows):
            record = parse_record(said)
            for column in _IDS:
                key = said.get(column)
                if isinstance(key, str | int):
                    records.setdefault(str(key).lower(), record)
                    records.setdefault(str(PurePosixPath(str(key)).with_suffix("")).lower(), record)
                    break
    return records, used


def has_table(listing: "Listing") -> bool:
    """Return whether a table beside the samples may say what they are."""
    return any(map(_is_table, listing.files))


def _is_table(path: str) -> bool:
    # labels.json is a list of classes, as EOTDL writes it.
    return PurePosixPath(path).name.lower() in _TABLES


def _table_rows(listing: "Listing", path: str, rows: "PlanRows") -> Iterator[Mapping[str, object]]:
    import pyarrow as pa
    from pyarrow import csv

    try:
        raw = listing.read(path, limit=_TABLE_LIMIT)
        said = (
            orjson.loads(raw)
            if path.lower().endswith(".json")
            else (csv.read_csv(pa.BufferReader(raw)).to_pylist())
        )
    except (RejectedError, orjson.JSONDecodeError, pa.ArrowInvalid) as error:
        rows.warn(
            "bad-sidecar",
            f"{path!r} cannot be read: {str(error).splitlines()[0]}",
            fix="mend the table and ingest again",
            file=path,
        )
        return
    if isinstance(said, list):
        yield from (row for row in said if isinstance(row, Mapping))
