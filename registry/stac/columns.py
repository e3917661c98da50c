"""The JSON of many items becomes typed columns in one vectorised step."""

import json
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

from registry.errors import InvalidInputError
from registry.stac.assets import asset_lists
from registry.stac.schema import PROPERTIES

__all__ = ["Extractor"]

_FOLDER: Final = Path(__file__).parent / "sql"
_NAMES: Final = {pa.string(): "VARCHAR", pa.float64(): "DOUBLE", pa.int64(): "BIGINT"}
_BANDS: Final = "STRUCT(name VARCHAR, data_type VARCHAR, nodata DOUBLE)[]"
_TYPES: Final[dict[str, object]] = {
    "part_types": {
        "id": "VARCHAR",
        "collection": "VARCHAR",
        "geometry": "JSON",
        "bbox": ["DOUBLE"],
        "properties": "JSON",
        "assets": "JSON",
        "links": "JSON",
        "stac_version": "VARCHAR",
        "stac_extensions": ["VARCHAR"],
    },
    "property_types": {field.name: _NAMES[field.type] for field in PROPERTIES},
    "place_types": {
        "proj:code": "VARCHAR",
        "proj:epsg": "VARCHAR",
        "proj:shape": ["BIGINT"],
        "proj:transform": ["DOUBLE"],
    },
    "asset_types": (
        "MAP(VARCHAR, STRUCT(href VARCHAR, type VARCHAR, title VARCHAR, roles VARCHAR[],"
        ' "file:checksum" VARCHAR, "file:size" BIGINT, gsd DOUBLE, data_type VARCHAR,'
        ' nodata DOUBLE, "proj:code" VARCHAR, "proj:epsg" VARCHAR, "proj:shape" BIGINT[],'
        f' "proj:transform" DOUBLE[], bands {_BANDS}, "eo:bands" {_BANDS},'
        f' "raster:bands" {_BANDS}))'
    ),
}


class Extractor:
    """A DuckDB that knows how an item is laid out; it can reach no file and no network."""

    def __init__(self) -> None:
        self._duckdb = duckdb.connect(
            config={
                "threads": "1",
                "enable_external_access": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        self._duckdb.execute("set enable_progress_bar = false")
        self._duckdb.execute("set lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._duckdb.close()

    def parts(self, texts: pa.Array) -> pa.Table:
        """Return the parts of items, most of them still JSON.

        Args:
            texts: One JSON object a row, each valid.

        Returns:
            A row a text, in order: ``id, collection, geometry, bbox, properties, assets, links,
            stac_version, stac_extensions``.
        """
        return self._run("item_parts", pa.table({"text": texts}), "part_types")

    def typed(self, parts: pa.Table) -> pa.Table:
        """Return the typed columns of properties and assets.

        Args:
            parts: The text columns ``properties`` and ``assets``, each a JSON object.

        Returns:
            A row a row, in order: ``properties``, ``assets`` as in
            :data:`registry.stac.schema.ITEMS`.
        """
        said = parts.select(["properties", "assets"])
        found = self._run("item_columns", said, "property_types", "place_types", "asset_types")
        properties, place, assets = (
            _one(found[name]) for name in ("properties", "place", "assets")
        )
        return pa.table({
            "properties": properties.cast(PROPERTIES),
            "assets": asset_lists(assets, place),
        })

    def as_json(self, columns: pa.Table) -> pa.Table:
        """Return the columns ``properties``, ``assets`` and ``links`` as JSON text."""
        return self._run("as_json", columns).drop_columns("position")

    def _run(self, query: str, rows: pa.Table, *types: str) -> pa.Table:
        order = pa.chunked_array([pa.array(range(len(rows)), pa.int64())])
        numbered = rows.append_column("position", order)
        values: dict[str, Any] = {name: json.dumps(_TYPES[name]) for name in types}
        self._duckdb.register("items", numbered)
        try:
            found = self._duckdb.execute(
                (_FOLDER / f"{query}.sql").read_text(encoding="utf-8"), values
            ).to_arrow_table()
        except duckdb.Error as error:
            raise InvalidInputError(
                f"items cannot be laid out as columns: {str(error)[:300]}",
                hint="look for two assets of one name in an item",
            ) from error
        finally:
            self._duckdb.unregister("items")
        return found


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
