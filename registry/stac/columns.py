"""The JSON of many items becomes typed columns in one vectorised step."""

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError
from registry.stac.assets import asset_lists
from registry.stac.schema import PROPERTIES

__all__ = ["Extractor", "borrowed"]

_FOLDER: Final = Path(__file__).parent / "sql"
_NAMES: Final = {pa.string(): "VARCHAR", pa.float64(): "DOUBLE", pa.int64(): "BIGINT"}
_BANDS: Final = "STRUCT(name VARCHAR, data_type VARCHAR, nodata DOUBLE)[]"
_PLACE: Final[dict[str, object]] = {  # what rasters take over from their items
    "proj:code": "VARCHAR",
    "proj:epsg": "VARCHAR",
    "proj:shape": ["BIGINT"],
    "proj:transform": ["DOUBLE"],
}
_TYPES: Final[dict[str, object]] = {
    "property_types": {field.name: _NAMES[field.type] for field in PROPERTIES} | _PLACE,
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

    def typed(self, properties: pa.Array, assets: pa.Array) -> tuple[pa.StructArray, pa.ListArray]:
        """Return the typed columns of properties and assets.

        Args:
            properties: The JSON object of each item's properties.
            assets: The JSON object of each item's assets.

        Returns:
            ``properties`` and ``assets`` as in :data:`registry.stac.schema.ITEMS`.
        """
        said = pa.table({"properties": properties, "assets": assets})
        found = self._run("item_columns", said, "property_types", "asset_types")
        whole = _one(found["properties"])
        typed = [pc.struct_field(whole, field.name) for field in PROPERTIES]
        place = {name: pc.struct_field(whole, name) for name in _PLACE}
        return (
            pa.StructArray.from_arrays(typed, fields=list(PROPERTIES)),
            asset_lists(_one(found["assets"]), place),
        )

    def as_json(self, columns: pa.Table) -> pa.Table:
        """Return the columns ``properties``, ``assets`` and ``links`` as JSON text."""
        return self._run("as_json", columns).drop_columns("position").combine_chunks()

    def _run(self, query: str, rows: pa.Table, *types: str) -> pa.Table:
        order = pa.chunked_array([pa.array(range(len(rows)), pa.int64())])
        numbered = rows.append_column("position", order)
        values: dict[str, Any] = {name: json.dumps(_TYPES[name]) for name in types}
        self._duckdb.register("items", numbered)
        try:
            found = self._duckdb.execute(_text(query), values).to_arrow_table()
        except duckdb.Error as error:
            raise InvalidInputError(
                f"items cannot be laid out as columns: {str(error)[:300]}",
                hint="look for two assets of one name in an item",
            ) from error
        finally:
            self._duckdb.unregister("items")
        return found


@contextmanager
def borrowed() -> Iterator[Extractor]:
    """Lend an extractor that nobody else uses; it is kept, for opening a DuckDB takes 7 ms.

    Yields:
        An idle one, or a new one.
    """
    try:
        extractor = _IDLE[os.getpid()].pop()
    except (KeyError, IndexError):
        extractor = Extractor()
    try:
        yield extractor
    finally:
        idle = _IDLE.setdefault(os.getpid(), deque(maxlen=2))  # a forked child opens its own
        idle.append(extractor)


_IDLE: Final[dict[int, deque[Extractor]]] = {}


@cache
def _text(query: str) -> str:
    return (_FOLDER / f"{query}.sql").read_text(encoding="utf-8")


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
