"""A version's items and collection as STAC JSON.

Pixels that are rows of the dataset are addressed as ``pixels#<sha256>``: the table ``pixels``
beside ``items.parquet``, and the row whose ``sha256`` is these hex digits. Outlines and boxes are
``annotations#<sample id>``: the rows of that sample, its id percent-encoded.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import shapely

from registry.catalog.card.spec import AssetSpec, Spec
from registry.errors import NotFoundError
from registry.geo import box_around
from registry.stac.selection import IS_ITEM, TABLE_TYPE, asset_roles, bands_of
from registry.stac.streaming import item_tables
from registry.stac.survey import Dataset, opened
from registry.stac.validation import EXTENSIONS, STAC_VERSION

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["collection", "item", "items", "items_of"]

_TOP: Final = ("type", "stac_version", "stac_extensions", "id", "collection", "links")
_ROWS: Final = 1024
_WORLD: Final = [-180.0, -90.0, 180.0, 90.0]
_LEAST_SAID: Final = 2
"""Fields that STAC 1.1.0's schema of a collection asks of each of its ``item_assets``."""


def items(version: "Version") -> Iterator[dict[str, Any]]:
    """Yield the items of a version, sorted along a Hilbert curve, in bounded memory.

    Samples without a footprint or a time are no items and are left out.

    Args:
        version: A published version, or any other.

    Yields:
        STAC 1.1.0 items, decoded.
    """
    yield from _items(version)


def item(version: "Version", sample: str) -> dict[str, Any]:
    """Return the item of one sample.

    Args:
        version: A published version, or any other.
        sample: The sample's id.

    Raises:
        NotFoundError: There is no such sample, or it has no footprint or no time.
    """
    for found in _items(version, only=sample):
        return found
    raise NotFoundError(
        f"{version.ref} has no item '{sample}'",
        hint="a sample without footprint and time is no item; eolab check says which",
    )


def _items(version: "Version", only: str | None = None) -> Iterator[dict[str, Any]]:
    dataset = dataset_of(version)
    with opened(dataset) as connection:
        _, tables = item_tables(connection, dataset, only=only)
        for table in tables:
            for batch in table.to_batches(max_chunksize=_ROWS):
                yield from items_of(batch)


def dataset_of(version: "Version") -> Dataset:
    """Return the tables of a version that items are made of."""
    splits = [name for name in version.tables() if name.startswith("splits/")]
    return Dataset(
        name=version.dataset,
        root=version.root,
        split_root=version.home_of(splits[0]) if splits else None,
        spec=version.spec,
    )


def items_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yield the items of rows of ``items.parquet``.

    Args:
        batch: Rows as :func:`registry.stac.writing.write_items` lays them out.

    Yields:
        Decoded items; what is null in a row is not there, but for ``datetime``.
    """
    for start in range(0, batch.num_rows, _ROWS):
        rows = batch.slice(start, _ROWS)
        shapes = shapely.to_geojson(
            shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False))
        )
        for row, shape in zip(rows.to_pylist(), shapes, strict=True):
            yield _item(row, orjson.loads(shape))


def _item(row: dict[str, Any], geometry: dict[str, Any]) -> dict[str, Any]:
    whole = {name: row.pop(name) for name in _TOP}
    del row["geometry"]
    box = row.pop("bbox")
    whole["geometry"] = geometry
    whole["bbox"] = [box["xmin"], box["ymin"], box["xmax"], box["ymax"]]
    whole["assets"] = _filled(row.pop("assets", None) or {})
    instant = row.pop("datetime")
    raster_labels = "label:type" in row and row.get("label:properties", ()) is None
    properties = {"datetime": instant and _json(instant)} | _filled(row)
    whole["properties"] = properties | ({"label:properties": None} if raster_labels else {})
    return whole


def _filled(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in said.items() if value is not None}


def _json(value: Any) -> Any:  # noqa: ANN401 — whatever Arrow gives, as JSON has it
    if isinstance(value, dict):
        return _filled(value)
    if isinstance(value, list):
        return [_json(each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    if isinstance(value, bytes):
        return value.hex()
    return value


def collection(version: "Version") -> dict[str, Any]:
    """Return the collection of a version.

    Args:
        version: A published version, or any other.

    Returns:
        A STAC 1.1.0 collection; its extent is that of the samples that are items, the whole
        world and open time if there are none.
    """
    said = version.spec
    whole: dict[str, Any] = {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": version.dataset,
        "title": said.title or version.dataset,
        "description": said.description or said.title or version.dataset,
        "license": said.spdx or "other",
        "extent": _extent(version),
        "links": _links(said),
        "version": version.tag or version.commit.id,
        "eolab:content_id": version.content_id,
        "assets": {
            "items": {
                "href": "items.parquet",
                "type": TABLE_TYPE,
                "title": "Every item, as stac-geoparquet",
                "roles": ["collection-mirror"],
            }
        },
    }
    optional = {
        "keywords": list(said.tags),
        "providers": [_provider(each) for each in said.providers],
        "item_assets": _item_assets(said),
        "sci:doi": _doi(said),
        "deprecated": version.tombstone is not None,
    }
    whole |= {name: value for name, value in optional.items() if value}
    uses = {"version": True, "scientific": "sci:doi" in whole}
    text = orjson.dumps(whole.get("item_assets", {})).decode()
    uses |= {"file": '"file:' in text, "raster": '"raster:' in text, "eo": '"eo:' in text}
    whole["stac_extensions"] = [EXTENSIONS[name] for name, used in uses.items() if used]
    return whole


def _links(said: Spec) -> list[dict[str, str]]:
    links = []
    if said.source:
        links.append({"rel": "via", "href": said.source})
    if doi := _doi(said):
        links.append({"rel": "cite-as", "href": f"https://doi.org/{doi}"})
    return links


def _doi(said: Spec) -> str | None:
    doi = str(said.extra.get("doi") or "").removeprefix("https://doi.org/").removeprefix("doi:")
    return doi if doi.startswith("10.") and "/" in doi else None


def _provider(said: Any) -> dict[str, Any]:  # noqa: ANN401 — the catalog's Provider
    whole = {"name": said.name, "roles": list(said.roles), "url": said.url}
    return {name: value for name, value in whole.items() if value}


def _item_assets(said: Spec) -> dict[str, dict[str, Any]]:
    whole = {key: _item_asset(key, each) for key, each in said.assets.items()}
    return {key: fields for key, fields in whole.items() if len(fields) >= _LEAST_SAID}


def _item_asset(key: str, said: AssetSpec) -> dict[str, Any]:
    whole = {
        "title": said.title,
        "roles": list(asset_roles(key, said)),
        "bands": bands_of(key, said),
        "unit": said.unit,
        "gsd": said.gsd,
        "raster:scale": said.scale,
        "raster:offset": said.offset,
        "file:values": [
            {"values": [value], "summary": name} for value, name in said.values.items() if name
        ],
    }
    return {name: value for name, value in whole.items() if value not in (None, [])}


def _extent(version: "Version") -> dict[str, Any]:
    with opened(dataset_of(version)) as connection:
        boxes = connection.execute(_BOXES).to_arrow_table()
        first, last = connection.execute(_PERIOD).fetchone() or (None, None)
    edges = np.column_stack([boxes[name].to_numpy() for name in boxes.column_names])
    return {
        "spatial": {"bbox": [list(box_around(edges)) if len(edges) else _WORLD]},
        "temporal": {"interval": [[_moment(first), _moment(last)]]},
    }


_BOXES: Final = f"select bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax from samples where {IS_ITEM}"  # noqa: S608 — a constant
_PERIOD: Final = (
    "select epoch_us(min(coalesce(start_datetime, datetime))),"  # noqa: S608 — a constant
    f" epoch_us(max(coalesce(end_datetime, datetime))) from samples where {IS_ITEM}"
)


def _moment(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return str(_json(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)))
