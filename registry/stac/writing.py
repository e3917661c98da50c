"""``items.parquet``: the index of a version that any STAC or GeoParquet tool reads."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.catalog.card.spec import Spec
from registry.lake.records import Location
from registry.stac.streaming import item_tables
from registry.stac.survey import Dataset, opened

__all__ = ["ItemsWritten", "write_items"]

_CARD: Final = "README.md"
_KINDS: Final = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsWritten:
    """What became of a dataset's samples."""

    rows: int
    """Items that were written."""

    left_out: int
    """Samples without a footprint or a time: they are no STAC items."""


def write_items(
    root: str | Path | Location, dest: Path, *, name: str | None = None, spec: Spec | None = None
) -> ItemsWritten:
    """Write the items of a dataset as stac-geoparquet, sorted along a Hilbert curve.

    Memory is bounded, whatever the number of samples. The same tables give the same bytes.

    Args:
        root: The dataset's folder, with ``samples`` and whatever else it has.
        dest: The file to write, by convention ``items.parquet``; replaced if it is there.
        name: The dataset's name, the id of the collection; the card's by default.
        spec: What the card promises; read from ``README.md`` by default.

    Returns:
        How many samples became items, and how many could not.

    Raises:
        NotFoundError: There is no table ``samples``.

    References:
        stac-geoparquet 1.1.0; GeoParquet 1.1.0.
    """
    said = spec or _card(root, name)
    dataset = Dataset(name=name or said.name, root=root, spec=said)
    partial = dest.with_name(f".{dest.name}.part")
    facts = _Facts()
    try:
        with opened(dataset) as connection:
            total = connection.execute("select count(*) from samples").fetchone()
            schema, tables = item_tables(connection, dataset)
            with pq.ParquetWriter(partial, schema, compression="zstd", version="2.6") as writer:
                for table in tables:
                    facts.see(table)
                    writer.write_table(table, row_group_size=max(1, len(table)))
                    del table  # before the next is made
                writer.add_key_value_metadata(_metadata(facts))
        partial.replace(dest)
    finally:
        partial.unlink(missing_ok=True)
    return ItemsWritten(rows=facts.rows, left_out=(total or (0,))[0] - facts.rows)


def _card(root: str | Path | Location, name: str | None) -> Spec:
    card = (root.path if isinstance(root, Location) else Path(root)) / _CARD
    if card.is_file():
        return Spec.from_readme(card.read_text(encoding="utf-8"), name=name)
    return Spec(name=name or "dataset")


class _Facts:
    """What the metadata say of all rows, gathered while they pass."""

    def __init__(self) -> None:
        self.rows = 0
        self.kinds: set[int] = set()
        self.edges = [np.inf, np.inf, -np.inf, -np.inf]

    def see(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        self.rows += table.num_rows
        heads = pc.unique(pc.binary_slice(table["geometry"], 0, 5)).to_pylist()
        self.kinds |= {struct.unpack("<I" if head[0] else ">I", head[1:])[0] for head in heads}
        box = table["bbox"]
        west, east = pc.struct_field(box, "xmin"), pc.struct_field(box, "xmax")
        if pc.any(pc.greater(west, east)).as_py():  # across the antimeridian: the whole turn
            self.edges[0], self.edges[2] = -180.0, 180.0
        for at, name, worst in (
            (0, "xmin", min),
            (1, "ymin", min),
            (2, "xmax", max),
            (3, "ymax", max),
        ):
            column = pc.struct_field(box, name)
            found = (pc.min if worst is min else pc.max)(column).as_py()
            self.edges[at] = worst(self.edges[at], found)


def _metadata(facts: _Facts) -> Mapping[str, str]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(_KINDS[kind] for kind in facts.kinds),
        "crs": _crs84(),
        "edges": "planar",
        "covering": {"bbox": {edge: ["bbox", edge] for edge in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if facts.rows:
        column["bbox"] = facts.edges
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {"geo": json.dumps(geo), "stac-geoparquet": json.dumps({"version": "1.1.0"})}


def _crs84() -> dict[str, Any]:
    from pyproj import CRS

    return dict(CRS.from_user_input("OGC:CRS84").to_json_dict())
