"""What PASTIS' metadata say of each patch: dates of each orbit, place, fold, and the rest.

Known are ``metadata.geojson`` as the authors publish it, and ``metadata.json``, a list of records.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

import shapely

from registry.catalog.splits import subset_of
from registry.curate.formats.acquired import Acquired, acquired_in
from registry.curate.formats.contract import Listing
from registry.curate.formats.planning import PlanRows
from registry.curate.formats.records import read_json
from registry.errors import InvalidInputError
from registry.geo import normalise_crs, to_crs84

__all__ = ["DATED", "SPOKEN", "Metadata", "Patch", "read_metadata"]

DATED: Final = MappingProxyType({
    "s2": ("dates-S2", "dates"),
    "s1a": ("dates-S1A",),
    "s1d": ("dates-S1D",),
})
"""Assets that are time series, and where their dates are said; ``dates`` alone are Sentinel-2's."""

_FILES: Final = ("metadata.geojson", "metadata.json")
_IDS: Final = ("ID_PATCH", "id_patch", "patch_id", "id")
_SUBSET, _FOLD = "data_split", "Fold"
_FIX: Final = "mend the metadata and ingest again"
_MOST_DATES: Final = 10_000
SPOKEN: Final = frozenset({
    *_IDS, *(name for names in DATED.values() for name in names), "lon", "lat", _SUBSET, _FOLD,
    "files",
})  # fmt: skip
"""Names of what is said of a patch besides its properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What is said of a patch."""

    geometry: bytes | None = None
    """Outline or point as WKB in OGC:CRS84."""

    is_point: bool = False
    """Whether only a point of it is known."""

    dates: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
    """Of each time series, by asset, in the order of its steps; midnight UTC of each day."""

    span: Acquired | None = None
    """From the first to the last day."""

    subset: str | None = None
    """``train``, ``validate``, ``test``."""

    fold: int | None = None
    """Of the authors' cross-validation, from 0; theirs count from 1."""

    properties: Mapping[str, object] = field(default_factory=dict)
    """Other single values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a source's metadata say."""

    patches: Mapping[str, Patch]
    """By the patch's own number."""

    files: tuple[str, ...]
    """Where it was read."""


def read_metadata(listing: Listing, rows: PlanRows) -> Metadata:
    """Return what the metadata nearest to the source's root say.

    Args:
        listing: The source.
        rows: Takes findings on what cannot be read.
    """
    found = sorted(
        (path for path in listing.files if PurePosixPath(path).name in _FILES),
        key=lambda path: (path.count("/"), _FILES.index(PurePosixPath(path).name)),
    )
    if not found:
        return Metadata(patches={}, files=())
    document = read_json(listing, found[0], rows)
    patches: dict[str, Patch] = {}
    for record, geometry in _records(document):
        name = next((str(record[key]) for key in _IDS if record.get(key) is not None), None)
        if name is None or name in patches:
            rows.warn(
                "bad-sidecar",
                f"{found[0]!r} has a patch {'twice' if name else 'without a number'}: {name}",
                fix=_FIX,
                file=found[0],
            )
            continue
        patches[name] = _patch(record, geometry, name, rows, crs=_crs(document))
    return Metadata(patches=patches, files=(found[0],))


def _records(document: object) -> Iterator[tuple[Mapping[str, Any], object]]:
    if isinstance(document, dict) and isinstance(document.get("features"), list):
        for feature in document["features"]:
            if isinstance(feature, dict) and isinstance(feature.get("properties"), dict):
                own = {"id": feature["id"]} if feature.get("id") is not None else {}
                yield own | feature["properties"], feature.get("geometry")
    elif isinstance(document, list):
        for record in document:
            if isinstance(record, dict):
                yield record, None


def _crs(document: object) -> str | None:
    """Return the CRS that a GeoJSON names in the old way; OGC:CRS84 if it names none."""
    said = document.get("crs") if isinstance(document, dict) else None
    if said is None:
        return "OGC:CRS84"
    properties = said.get("properties") if isinstance(said, dict) else None
    try:
        return normalise_crs(str(properties.get("name") if isinstance(properties, dict) else said))
    except InvalidInputError:
        return None


def _patch(
    record: Mapping[str, Any], geometry: object, name: str, rows: PlanRows, *, crs: str | None
) -> Patch:
    dates = {asset: days for asset in DATED if (days := _dates(record, asset, name, rows))}
    days = [day for series in dates.values() for day in series]
    outline, is_point = _place(record, geometry, name, rows, crs=crs)
    fold, subset = record.get(_FOLD), record.get(_SUBSET)
    return Patch(
        geometry=outline,
        is_point=is_point,
        dates={asset: tuple(day.start for day in series) for asset, series in dates.items()},
        span=Acquired(start=min(day.start for day in days), end=max(day.end for day in days))
        if days
        else None,
        subset=subset_of(subset) if isinstance(subset, str) else None,
        fold=fold - 1 if isinstance(fold, int) and 0 < fold < 1 << 16 else None,
        properties={
            key: value
            for key, value in record.items()
            if key not in SPOKEN and isinstance(value, str | int | float | bool)
        },
    )


# ------------------------------------------------------------------------ time
def _dates(record: Mapping[str, Any], asset: str, name: str, rows: PlanRows) -> list[Acquired]:
    stated = next((record[key] for key in DATED[asset] if record.get(key)), None)
    if isinstance(stated, dict):  # pandas writes lists as {"0": 20180917, "1": …}
        stated = [stated[key] for key in sorted(stated, key=_place_of)]
    if not isinstance(stated, list) or len(stated) > _MOST_DATES:
        return []
    days = [_day(value) for value in stated]
    if None in days:
        rows.warn(
            "bad-sidecar",
            f"patch {name!r} has the date {stated[days.index(None)]!r} for {asset}",
            fix="write dates as 20180917, one a time step",
            patch=name,
        )
        return []
    return [day for day in days if day is not None]


def _place_of(key: str) -> tuple[int, str]:
    is_number = key.isascii() and key.isdigit() and len(key) <= len(str(_MOST_DATES))
    return (int(key), "") if is_number else (_MOST_DATES, key)


def _day(value: object) -> Acquired | None:
    text = str(value).replace("-", "")[:8]
    if len(text) != len("20180917") or not (text.isascii() and text.isdigit()):
        return None
    return acquired_in({"year": int(text[:4]), "month": int(text[4:6]), "day": int(text[6:])})


# ----------------------------------------------------------------------- place
def _place(
    record: Mapping[str, Any], geometry: object, name: str, rows: PlanRows, *, crs: str | None
) -> tuple[bytes | None, bool]:
    lon, lat = record.get("lon"), record.get("lat")
    if geometry is None and lon is None and lat is None:
        return None, False
    problem = "its outline cannot be read"
    if geometry is not None:
        shape = _outline(geometry, crs)
        if shape is not None:
            return shapely.to_wkb(shape), False
    elif (degrees := _degrees(lon, lat)) is not None:
        return shapely.to_wkb(shapely.Point(*degrees)), True
    else:
        problem = f"it lies at longitude {lon!r}, latitude {lat!r}"
    rows.warn("bad-sidecar", f"patch {name!r} has no place: {problem}", fix=_FIX, patch=name)
    return None, False


def _degrees(lon: object, lat: object) -> tuple[float, float] | None:
    if not isinstance(lon, int | float) or not isinstance(lat, int | float):
        return None
    return (float(lon), float(lat)) if abs(lon) <= 180 and abs(lat) <= 90 else None  # noqa: PLR2004 — degrees


def _outline(geometry: object, crs: str | None) -> shapely.Geometry | None:
    import orjson

    if crs is None:
        return None
    try:
        shape = shapely.from_geojson(orjson.dumps(geometry))
        return None if shape.is_empty or not shape.is_valid else to_crs84(shape, crs)
    except (shapely.errors.GEOSException, InvalidInputError, orjson.JSONEncodeError):
        return None
