"""The JSON texts of STAC items become record batches of the declared schema."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import shapely

from registry.errors import InvalidInputError
from registry.stac.columns import Extractor, borrowed
from registry.stac.schema import BBOX, ITEMS, TIME

__all__ = ["TIMES", "Judged", "Refuse", "Refused", "assemble", "boxes", "judge", "lay_out", "stop"]

Refuse = Callable[[str, str], None]
"""Told of an item that cannot be a row: where it stands, and what is wrong with it."""

TIMES: Final = ("datetime", "start_datetime", "end_datetime")
_FLAT, _SOLID = 4, 6  # numbers of a box in two and in three axes


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


class Judged(NamedTuple):
    """An item that can be a row, its parts still JSON."""

    id: str
    """The item's id."""

    collection: str | None
    """Its collection's."""

    geometry: str | None
    """GeoJSON."""

    box: tuple[float, ...] | None
    """West, south, east, north in degrees."""

    times: tuple[datetime | None, ...]
    """Its ``datetime``, ``start_datetime`` and ``end_datetime``, UTC."""

    properties: bytes
    """A JSON object."""

    assets: bytes
    """A JSON object."""

    links: bytes
    """A JSON array."""

    stac_version: str | None
    """As it says."""

    stac_extensions: list[str] | None
    """As it says."""

    origin: str
    """Where it was read from."""


Refused = list[tuple[str, str]]
"""Places and problems of items that turned out not to be rows."""


def lay_out(items: Sequence[Judged]) -> tuple[pa.RecordBatch, Refused]:
    """Return items as a batch of :data:`registry.stac.schema.ITEMS`, and those that were bad."""
    shapes = shapely.from_geojson([item.geometry for item in items], on_invalid="ignore")
    said = np.array([item.geometry is not None for item in items])
    bad = said & (shapely.is_missing(shapes) | shapely.is_empty(shapes))
    refused: Refused = []
    if bad.any():
        for at in np.flatnonzero(bad).tolist():
            problem = f"item {items[at].id!r}: its geometry is not valid GeoJSON"
            refused.append((items[at].origin, problem))
        items, shapes = [items[at] for at in np.flatnonzero(~bad).tolist()], shapes[~bad]
    flat = shapely.force_2d(shapes)
    edges = shapely.bounds(flat)
    for at, item in enumerate(items):
        if item.box is not None:
            edges[at] = item.box
    text = pa.string()
    columns = {
        "id": pa.array([item.id for item in items], text),
        "collection": pa.array([item.collection for item in items], text),
        "geometry": pa.array(shapely.to_wkb(flat, flavor="iso"), pa.binary()),
        "bbox": boxes(edges),
        "properties_json": pa.array([item.properties for item in items], text),
        "assets_json": pa.array([item.assets for item in items], text),
        "links_json": pa.array([item.links for item in items], text),
        "stac_version": pa.array([item.stac_version for item in items], text),
        "stac_extensions": pa.array([item.stac_extensions for item in items], pa.list_(text)),
        "origin": pa.array([item.origin for item in items], text),
    }
    for at, name in enumerate(TIMES):
        columns[name] = pa.array([item.times[at] for item in items], TIME)
    with borrowed() as extractor:
        return assemble(columns, extractor), refused


def assemble(columns: Mapping[str, pa.Array], extractor: Extractor) -> pa.RecordBatch:
    """Return rows of :data:`registry.stac.schema.ITEMS`.

    Args:
        columns: Every column of it but ``properties`` and ``assets``.
        extractor: What makes these two of their JSON.
    """
    typed = extractor.typed(columns["properties_json"], columns["assets_json"])
    whole = {**columns, "properties": typed[0], "assets": typed[1]}
    return pa.RecordBatch.from_arrays([whole[name] for name in ITEMS.names], schema=ITEMS)


def boxes(edges: npt.NDArray[np.float64]) -> pa.StructArray:
    """Return boxes as a struct column.

    Args:
        edges: West, south, east, north in degrees, shape ``(n, 4)``; NaN where there is none.
    """
    return pa.StructArray.from_arrays(
        [pa.array(edges[:, at]) for at in range(_FLAT)],
        fields=list(BBOX),
        mask=pa.array(np.isnan(edges).any(axis=1)),
    )


def judge(text: bytes | str, origin: str) -> Judged:
    """Return an item with its parts.

    Args:
        text: The JSON of a STAC item.
        origin: Where it was read from.

    Raises:
        ValueError: It is no item.
    """
    try:
        item = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if type(item) is not dict or item.get("type") != "Feature":
        raise ValueError("not a STAC item: its type is not Feature")
    name = item.get("id")
    if type(name) is not str or not name:
        raise ValueError("a STAC item without an id")
    properties, assets = item.get("properties"), item.get("assets")
    if type(properties) is not dict or type(assets) is not dict:
        raise ValueError(f"item {name!r} lacks its properties or its assets")
    for key, asset in assets.items():
        if type(asset) is not dict or type(asset.get("href")) is not str:
            raise ValueError(f"item {name!r}: asset {key!r} has no href")
    geometry, extensions = item.get("geometry"), item.get("stac_extensions")
    try:
        # written again, no key comes twice, so that every parser after reads the same
        return Judged(
            id=name,
            collection=_text(item.get("collection")),
            geometry=None if geometry is None else orjson.dumps(geometry).decode(),
            box=_box(name, item.get("bbox")),
            times=tuple(_instant(name, key, properties.get(key)) for key in TIMES),
            properties=orjson.dumps(properties),
            assets=orjson.dumps(assets),
            links=orjson.dumps(item.get("links") or []),
            stac_version=_text(item.get("stac_version")),
            stac_extensions=extensions if _texts(extensions) else None,
            origin=origin,
        )
    except orjson.JSONEncodeError as error:
        raise ValueError(f"item {name!r} is nested too deeply: {error}") from None


def _text(value: object) -> str | None:
    return value if type(value) is str else None


def _texts(value: object) -> bool:
    return type(value) is list and all(type(each) is str for each in value)


def _box(name: str, box: Any) -> tuple[float, ...] | None:  # noqa: ANN401 — a stranger's JSON
    if box is None:
        return None
    if type(box) is list and all(type(edge) in {int, float} for edge in box):
        if len(box) == _FLAT:
            return tuple(box)
        if len(box) == _SOLID:
            return (*box[:2], *box[3:5])
    raise ValueError(f"item {name!r}: its bbox {str(box)[:80]} is not four or six numbers")


def _instant(name: str, key: str, value: object) -> datetime | None:
    if value is None:
        return None
    if type(value) is not str:
        raise ValueError(f"item {name!r}: its {key} {str(value)[:40]} is not a text")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"item {name!r}: its {key} {value[:40]!r} is no RFC 3339 time") from None
    whole = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return whole.astimezone(UTC)
