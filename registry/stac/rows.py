"""The JSON texts of STAC items become record batches of the declared schema."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.errors import InvalidInputError
from registry.stac.columns import Extractor
from registry.stac.schema import BBOX, ITEMS, TIME

__all__ = ["Gathered", "Refuse", "Refused", "assemble", "judge", "lay_out", "stop"]

Refuse = Callable[[str, str], None]
"""Told of an item that cannot be a row: where it stands, and what is wrong with it."""

_TIMES: Final = ("datetime", "start_datetime", "end_datetime")
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


@dataclass(frozen=True, slots=True)
class Gathered:
    """Items that were judged and wait to be laid out as columns."""

    texts: list[bytes]
    """Their JSON, each valid."""

    origins: list[str]
    """Where each was read from."""

    times: list[tuple[datetime | None, ...]]
    """Their ``datetime``, ``start_datetime`` and ``end_datetime``, UTC."""

    @classmethod
    def empty(cls) -> Self:
        """Return none."""
        return cls([], [], [])

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, text: bytes | str, origin: str, refuse: Refuse) -> None:
        """Append an item, or refuse it.

        Args:
            text: The JSON of a STAC item.
            origin: Where it was read from, for messages and for the ``origin`` column.
            refuse: Told if it cannot be a row.
        """
        try:
            item = orjson.loads(text)
            times = judge(item)
            said = orjson.dumps(item)  # no key twice, so that every parser after reads the same
        except orjson.JSONDecodeError as error:
            refuse(origin, f"not JSON: {error}")
        except orjson.JSONEncodeError as error:
            refuse(origin, f"nested too deeply: {error}")
        except ValueError as error:
            refuse(origin, str(error))
        else:
            self.texts.append(said)
            self.origins.append(origin)
            self.times.append(times)


Refused = list[tuple[str, str]]
"""Places and problems of items that turned out not to be rows."""


def lay_out(gathered: Gathered, extractor: Extractor) -> tuple[pa.RecordBatch, Refused]:
    """Return items as a batch of :data:`registry.stac.schema.ITEMS`, and those that were bad.

    Args:
        gathered: The items.
        extractor: Used by nobody else meanwhile.
    """
    parts = extractor.parts(pa.array(gathered.texts, pa.string()))
    parts = parts.append_column("origin", pa.array(gathered.origins, pa.string()))
    for at, name in enumerate(_TIMES):
        instants = pa.array([times[at] for times in gathered.times], TIME)
        parts = parts.append_column(name, instants)
    shaped, refused = _with_shapes(parts)
    return assemble(shaped, extractor), refused


def _with_shapes(parts: pa.Table) -> tuple[pa.Table, Refused]:
    shapes = shapely.force_2d(
        shapely.from_geojson(parts["geometry"].to_numpy(), on_invalid="ignore")
    )
    said = parts["geometry"].is_valid().to_numpy()
    bad = said & (shapely.is_missing(shapes) | shapely.is_empty(shapes))
    refused = [
        (
            parts["origin"][position].as_py(),
            f"item {parts['id'][position].as_py()!r}: its geometry is not valid GeoJSON",
        )
        for position in np.flatnonzero(bad).tolist()
    ]
    wkb = pa.array(shapely.to_wkb(shapes, flavor="iso"), pa.binary())
    shaped = parts.set_column(parts.schema.get_field_index("geometry"), "geometry", wkb)
    kept = shaped.filter(pa.array(~bad)) if refused else shaped  # a filter copies every text
    return kept, refused


def assemble(parts: pa.Table, extractor: Extractor) -> pa.RecordBatch:
    """Return rows of :data:`ITEMS`.

    Args:
        parts: Every column of it but those that the extractor makes; ``bbox`` still a list of
            four or six numbers, or null.
        extractor: What makes the others of the JSON columns ``properties, assets, links``.
    """
    typed = extractor.typed(parts)
    columns = {name: typed[name] for name in typed.column_names}
    columns |= {f"{name}_json": parts[name] for name in ("properties", "assets", "links")}
    columns["bbox"] = pa.chunked_array([boxes(parts["bbox"], parts["geometry"])])
    for name in ITEMS.names:
        columns.setdefault(name, parts[name] if name in parts.column_names else None)
    table = pa.table({name: columns[name] for name in ITEMS.names}).cast(ITEMS)
    return table.combine_chunks().to_batches()[0] if len(table) else _none()


def _none() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=ITEMS)


def boxes(said: pa.ChunkedArray, wkb: pa.ChunkedArray) -> pa.StructArray:
    """Return boxes as a struct column, taken from the geometry where none was said.

    Args:
        said: Lists of four or six numbers in GeoJSON's order, or null; degrees.
        wkb: The rows' geometries.
    """
    edges = shapely.bounds(shapely.from_wkb(wkb.to_numpy()))
    for position, box in enumerate(said.to_pylist()):
        if box is not None:
            edges[position] = box if len(box) == _FLAT else (*box[:2], *box[3:5])
    return pa.StructArray.from_arrays(
        [pa.array(edges[:, at]) for at in range(_FLAT)],
        fields=list(BBOX),
        mask=pa.array(np.isnan(edges).any(axis=1)),
    )


def judge(item: Any) -> tuple[datetime | None, ...]:  # noqa: ANN401 — whatever a stranger's JSON holds
    """Return the three instants of an item, in UTC.

    Raises:
        ValueError: It is no item.
    """
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
    _judge_box(name, item.get("bbox"))
    return tuple(_instant(name, key, properties.get(key)) for key in _TIMES)


def _judge_box(name: str, box: object) -> None:
    numbers = type(box) is list and all(type(edge) in {int, float} for edge in box)
    if box is not None and (not numbers or len(box) not in {_FLAT, _SOLID}):  # type: ignore[arg-type]  # a list
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
