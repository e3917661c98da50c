"""Decoded STAC items become record batches of the declared schema."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pyarrow as pa
import shapely

from registry.errors import InvalidInputError
from registry.stac.schema import ASSET, BBOX, ITEMS, PROPERTIES, TIME

__all__ = ["Refuse", "Rows", "boxes", "stop"]

Refuse = Callable[[str, str], None]
"""Told of an item that cannot be a row: where it stands, and what is wrong with it."""

_INT64: Final = 2**63
_TIMES: Final = ("datetime", "start_datetime", "end_datetime")
_RASTER: Final = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
_KINDS: Final[dict[pa.DataType, tuple[type, ...]]] = {
    pa.string(): (str,),
    pa.float64(): (float, int),
    pa.int64(): (int,),
}
_PROPERTY_KINDS: Final = {
    field.name: _KINDS[field.type] for field in PROPERTIES if field.name != "rest"
}
_ASSET_KINDS: Final = {  # field of the asset -> what it must be to get its own column
    "href": (str,),
    "type": (str,),
    "title": (str,),
    "file:checksum": (str,),
    "file:size": (int,),
    "gsd": (float, int),
    "data_type": (str,),
    "nodata": (float, int),
}
_GEOMETRIES: Final = frozenset(
    {
        "Point",
        "LineString",
        "Polygon",
        "MultiPoint",
        "MultiLineString",
        "MultiPolygon",
        "GeometryCollection",
    }
)

_Json = dict[str, Any]


def stop(where: str, problem: str) -> None:
    """Refuse a bad item by giving up.

    Args:
        where: File, and line or number, of the item.
        problem: What is wrong with it.

    Raises:
        InvalidInputError: Always.
    """
    raise InvalidInputError(
        f"{where}: {problem}",
        hint="mend the item, or pass `refuse` to leave bad items out and be told of each",
    )


class Rows:
    """Items on their way to a record batch.

    Args:
        refuse: Told of each item that cannot be a row.
    """

    def __init__(self, refuse: Refuse = stop) -> None:
        self._refuse = refuse
        self._items: list[tuple[Any, ...]] = []
        self._assets: list[tuple[Any, ...]] = []
        self._counts: list[int] = []

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: object, origin: str) -> None:
        """Append an item, or refuse it.

        Args:
            item: A decoded JSON value that should be a STAC item.
            origin: Where it was read from, for messages and for the ``origin`` column.
        """
        problem = _problem(item)
        if problem is not None:
            self._refuse(origin, problem)
            return
        known: _Json = item  # type: ignore[assignment]  # an object, as just checked
        try:
            row = _item_row(known, origin)
            assets = _asset_rows(known["assets"], known["properties"])
        except (orjson.JSONEncodeError, ValueError) as error:
            self._refuse(origin, f"item {known['id']!r}: {error}")
            return
        self._items.append(row)
        self._assets.extend(assets)
        self._counts.append(len(assets))

    def flush(self) -> pa.RecordBatch:
        """Return what was added as one batch of :data:`ITEMS`, and forget it."""
        keep, wkb = self._shapes()
        if len(keep) < len(self._items):
            self._keep(keep)
        batch = self._batch(wkb)
        self._items, self._assets, self._counts = [], [], []
        return batch

    def _shapes(self) -> tuple[list[int], pa.Array]:
        texts = [row[2] for row in self._items]
        geometries = shapely.force_2d(shapely.from_geojson(texts, on_invalid="ignore"))
        keep, found = [], []
        for position, (text, geometry) in enumerate(zip(texts, geometries, strict=True)):
            if text is not None and (geometry is None or geometry.is_empty):
                row = self._items[position]
                self._refuse(row[-1], f"item {row[0]!r}: its geometry is not valid GeoJSON")
            else:
                keep.append(position)
                found.append(geometry)
        return keep, pa.array(shapely.to_wkb(found, flavor="iso"), pa.binary())

    def _keep(self, positions: list[int]) -> None:
        starts = [0]
        for count in self._counts:
            starts.append(starts[-1] + count)
        self._assets = [
            asset for at in positions for asset in self._assets[starts[at] : starts[at + 1]]
        ]
        self._items = [self._items[at] for at in positions]
        self._counts = [self._counts[at] for at in positions]

    def _batch(self, wkb: pa.Array) -> pa.RecordBatch:
        width = len(ITEMS.names) - 2 + len(PROPERTIES)  # assets and properties are no tuple slots
        columns = list(zip(*self._items, strict=True)) or [()] * width
        head, rest = columns[:7], columns[7:]
        properties = pa.StructArray.from_arrays(
            [pa.array(rest[at], field.type) for at, field in enumerate(PROPERTIES)],
            fields=list(PROPERTIES),
        )
        links, version, extensions, origin = rest[len(PROPERTIES) :]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(head[0], pa.string()),
                pa.array(head[1], pa.string()),
                wkb,
                boxes(head[3], wkb),
                *(_times(texts) for texts in head[4:7]),
                properties,
                self._asset_column(),
                pa.array(links, pa.string()),
                pa.array(version, pa.string()),
                pa.array(extensions, pa.list_(pa.string())),
                pa.array(origin, pa.string()),
            ],
            schema=ITEMS,
        )

    def _asset_column(self) -> pa.ListArray:
        columns = list(zip(*self._assets, strict=True)) or [()] * len(ASSET)
        values = pa.StructArray.from_arrays(
            [pa.array(columns[at], field.type) for at, field in enumerate(ASSET)],
            fields=list(ASSET),
        )
        offsets = [0]
        for count in self._counts:
            offsets.append(offsets[-1] + count)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def boxes(said: Any, wkb: pa.Array) -> pa.StructArray:  # noqa: ANN401 — a column of tuples or None
    """Return boxes as a struct column, taken from the geometry where none was said.

    Args:
        said: For each row ``(xmin, ymin, xmax, ymax)`` in degrees, or None.
        wkb: The rows' geometries.
    """
    bounds = shapely.bounds(shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))).tolist()
    rows = [
        box if box is not None else (None if edges[0] != edges[0] else edges)  # noqa: PLR0124 — NaN
        for box, edges in zip(said, bounds, strict=True)
    ]
    return pa.StructArray.from_arrays(
        [
            pa.array([None if row is None else row[at] for row in rows], pa.float64())
            for at in range(4)
        ],
        fields=list(BBOX),
        mask=pa.array([row is None for row in rows]),
    )


def _problem(item: object) -> str | None:
    if type(item) is not dict or item.get("type") != "Feature":
        return "not a STAC item: its type is not Feature"
    if type(item.get("id")) is not str or not item["id"]:
        return "a STAC item without an id"
    if type(item.get("properties")) is not dict or type(item.get("assets")) is not dict:
        return f"item {item['id']!r} lacks its properties or its assets"
    return None


def _item_row(item: _Json, origin: str) -> tuple[Any, ...]:
    properties = item["properties"]
    left = dict(properties)
    scalars = []
    for name, kinds in _PROPERTY_KINDS.items():
        scalars.append(_scalar(left, name, kinds))
    times = [_instant(left.pop(name, None), name) for name in _TIMES]
    return (
        item["id"],
        _text(item.get("collection")),
        _geometry(item.get("geometry")),
        _box(item.get("bbox")),
        *times,
        *scalars,
        orjson.dumps(left) if left else None,
        orjson.dumps(item.get("links") or []),
        _text(item.get("stac_version")),
        _strings(item.get("stac_extensions")),
        origin,
    )


def _scalar(left: _Json, name: str, kinds: tuple[type, ...]) -> Any:  # noqa: ANN401 — a JSON scalar
    value = left.get(name)
    kind = type(value)
    if kind not in kinds or (kind is int and not -_INT64 <= value < _INT64):
        return None
    del left[name]
    return value


def _asset_rows(assets: _Json, properties: _Json) -> list[tuple[Any, ...]]:
    rows = []
    for key, asset in assets.items():
        if type(asset) is not dict or type(asset.get("href")) is not str:
            raise ValueError(f"asset {key!r} has no href")
        left = dict(asset)
        scalars = [_scalar(left, name, kinds) for name, kinds in _ASSET_KINDS.items()]
        roles = _strings(asset.get("roles"))
        left.pop("roles", None)
        place = asset if _placed(asset) or not _raster(scalars[1]) else properties
        if place is asset:
            for name in ("proj:code", "proj:epsg", "proj:shape", "proj:transform"):
                left.pop(name, None)
        rows.append(
            (
                key,
                *scalars[:3],
                roles,
                *scalars[3:],
                _bands(asset),
                _crs(place),
                _numbers(place.get("proj:shape"), 2, (int,)),
                _numbers(place.get("proj:transform"), 6, (float, int)),
                orjson.dumps(left) if left else None,
            )
        )
    return rows


def _placed(asset: _Json) -> bool:
    return "proj:transform" in asset or "proj:shape" in asset


def _raster(media_type: str | None) -> bool:
    return media_type is not None and media_type.startswith(_RASTER)


def _crs(place: _Json) -> str | None:
    code = place.get("proj:code")
    if type(code) is str:
        return code
    number = place.get("proj:epsg")
    return f"EPSG:{number}" if type(number) is int else None


def _bands(asset: _Json) -> list[str] | None:
    for name in ("bands", "eo:bands", "raster:bands"):
        bands = asset.get(name)
        if type(bands) is list and bands:
            names = [band.get("name") if type(band) is dict else None for band in bands]
            if all(type(name) is str for name in names):
                return names
    return None


def _numbers(value: object, count: int, kinds: tuple[type, ...]) -> list[Any] | None:
    if type(value) is not list or len(value) < count:
        return None
    first = value[:count]
    return first if all(type(number) in kinds and abs(number) < _INT64 for number in first) else None


def _strings(value: object) -> list[str] | None:
    if type(value) is not list:
        return None
    return value if all(type(text) is str for text in value) else None


def _text(value: object) -> str | None:
    return value if type(value) is str else None


def _geometry(value: object) -> str | None:
    if value is None:
        return None
    if type(value) is not dict or value.get("type") not in _GEOMETRIES:
        raise ValueError("its geometry is not a GeoJSON geometry")
    return orjson.dumps(value).decode()


def _box(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    if type(value) is list and all(type(edge) in {int, float} for edge in value):
        if len(value) == 4:
            return tuple(value)
        if len(value) == 6:  # three axes: heights are the third and the sixth
            return (value[0], value[1], value[3], value[4])
    raise ValueError(f"its bbox {str(value)[:80]} is not four or six numbers")


def _instant(value: object, name: str) -> str | None:
    if value is None:
        return None
    if type(value) is not str:
        raise ValueError(f"its {name} {str(value)[:40]} is not a text")
    if value.endswith("Z") and len(value) <= len("2024-01-01T00:00:00.000000Z"):
        return value
    return _canonical(value, name)


def _canonical(value: str, name: str) -> str:
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"its {name} {value[:40]!r} is not an RFC 3339 instant") from None
    whole = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return whole.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _times(texts: tuple[str | None, ...]) -> pa.Array:
    return pa.array(texts, pa.string()).cast(TIME)
