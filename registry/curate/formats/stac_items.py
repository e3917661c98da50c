"""STAC items by reference: samples with footprint and time, assets that stay where they are.

References:
    STAC Item 1.0.0 and 1.1.0; stac-geoparquet 1.0 and 1.1; file extension 2.1.0 (checksums).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog import AssetSpec
from registry.curate.formats.contract import (
    PLAN_ASSETS,
    PLAN_SAMPLES,
    AssetKind,
    Listing,
    Plan,
    Severity,
    SourceFinding,
    SourceOptions,
)
from registry.curate.formats.filenames import sample_ids
from registry.curate.formats.planning import RASTER_SUFFIXES, suffix
from registry.curate.formats.properties import PropertyTypes
from registry.errors import InvalidInputError, NotFoundError, RejectedError
from registry.stac import reader

__all__ = ["StacItems"]

_SURE: Final = 0.9
_ITEMS_AMONG_RASTERS: Final = 0.6
_HEAD: Final = 64 << 10
_TABLES: Final = frozenset({".ndjson", ".jsonl", ".parquet", ".geoparquet"})
_SIDE_ROLES: Final = pa.array(["thumbnail", "overview", "metadata", "tiles", "visual-preview"])
_SIDE_TYPES: Final = re.compile(
    r"(?:application/(?:json|xml|geo\+json)|text/.*|image/(?:png|jpeg))"
)
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DTYPES: Final = pa.array([
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64",
])  # fmt: skip
_COLUMNS_OF_SAMPLES: Final = frozenset({"datetime", "start_datetime", "end_datetime"})
_GOOD_ID: Final = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.[A-Za-z0-9_-]|\.$){0,119}$"
_SHOWN: Final = 5


class StacItems:
    """Items as newline-delimited JSON, stac-geoparquet, an ItemCollection or single files."""

    name = "stac-items"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: there are item tables, or JSON files that name a STAC version."""
        if any(_is_table(listing, path) for path in listing.files):
            return _SURE
        if not any(_is_item_file(listing, path) for path in listing.files):
            return 0.0
        has_rasters = any(suffix(path) in RASTER_SUFFIXES for path in listing.files)
        return _ITEMS_AMONG_RASTERS if has_rasters else _SURE

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample an item; nothing is opened or downloaded.

        Returns:
            The plan: id, footprint, times and single-valued properties of each item; its data
            assets by reference, with checksum, grid and bands as the item states them. Assets
            whose address is a file of the listing are rasters. Previews and metadata are left
            out. Items that cannot be read are left out, with an error each.

        Raises:
            RejectedError: There is no item, or the items are inside an archive.
        """
        rows = _ItemRows(listing=listing)
        for name, path in _sources(listing).items():
            try:
                with reader.read(path, refuse=rows.refuse) as batches:
                    for batch in batches:
                        rows.add(batch, name)
            except (InvalidInputError, NotFoundError) as error:
                rows.refuse(name or listing.name, error.problem)
        if not rows.samples:
            raise RejectedError(
                f"there is no readable STAC item in {listing.name!r}",
                hint="give a file or folder of items; collections alone hold no samples",
            )
        return rows.finished(options)


def _is_table(listing: Listing, path: str) -> bool:
    name = path.lower().removesuffix(".gz")
    if suffix(name) not in _TABLES:
        return False
    local = listing.local_path(path)
    if suffix(name) in {".parquet", ".geoparquet"}:
        return local is not None and _is_stac_parquet(local)
    if path.lower().endswith(".gz"):
        return local is not None and b'"stac_version"' in _gunzipped_head(local)
    return _is_item_file(listing, path)


def _is_stac_parquet(path: Path) -> bool:
    from pyarrow import parquet

    try:
        names = set(parquet.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False
    return {"id", "geometry", "assets"} <= names


def _gunzipped_head(path: Path) -> bytes:
    import zlib

    with path.open("rb") as file:
        try:
            return zlib.decompressobj(wbits=31).decompress(file.read(_HEAD), _HEAD)
        except zlib.error:
            return b""


def _is_item_file(listing: Listing, path: str) -> bool:
    if suffix(path) not in {".json", ".geojson", ".ndjson", ".jsonl"}:
        return False
    with listing.open(path) as file:
        head = file.read(_HEAD)
    kinds = (b'"Feature"', b'"FeatureCollection"')
    return b'"stac_version"' in head and any(kind in head for kind in kinds)


def _sources(listing: Listing) -> dict[str, Path]:
    """Return what items are read from, by path in the listing; the whole folder is ``""``.

    The reader takes a folder's single items in one go, and skips what else lies there.

    Raises:
        RejectedError: They are inside an archive.
    """
    names = [path for path in listing.files if _is_table(listing, path)]
    names = names or [path for path in listing.files if _is_item_file(listing, path)]
    found = {path: local for path in names if (local := listing.local_path(path)) is not None}
    if len(found) < len(names):
        raise RejectedError(
            f"the items of {listing.name!r} are inside an archive", hint="unpack it first"
        )
    single = [path for path in found if _is_single(listing, path)]
    if len(single) < 2:  # noqa: PLR2004 — one file is read as it is
        return found
    rest = {path: local for path, local in found.items() if path not in set(single)}
    return {"": found[single[0]].parents[len(PurePosixPath(single[0]).parts) - 1], **rest}


def _is_single(listing: Listing, path: str) -> bool:
    if suffix(path) not in {".json", ".geojson"}:
        return False
    with listing.open(path) as file:
        head = file.read(_HEAD).lstrip()
    return head.startswith(b"{") and b'"FeatureCollection"' not in head


@dataclass(slots=True)
class _ItemRows:
    """Tables of a plan while batches of items come in."""

    listing: Listing
    samples: list[pa.Table] = field(default_factory=list)
    assets: list[pa.Table] = field(default_factory=list)
    specs: dict[str, AssetSpec] = field(default_factory=dict)
    findings: list[SourceFinding] = field(default_factory=list)
    types: PropertyTypes = field(default_factory=PropertyTypes)

    def refuse(self, place: str, problem: str) -> None:
        """Note an item that is left out."""
        self.findings.append(
            SourceFinding(
                check="bad-item",
                severity=Severity.ERROR,
                message=f"the item at {place} is left out: {problem}",
                fix="mend the item, or ask its catalogue",
                evidence={"file": place},
            )
        )

    def add(self, batch: pa.RecordBatch, source: str) -> None:
        """Add the samples and assets of a batch of items from a file of the listing."""
        origin = pc.binary_join_element_wise(source, batch["origin"], "#")
        batch = batch.set_column(batch.schema.get_field_index("origin"), "origin", origin)
        said = [orjson.loads(text or "{}") for text in batch["properties_json"].to_pylist()]
        for one in said:
            self.types.see(_properties(one))
        self.samples.append(_samples_of(batch, said))
        flat = _flat_assets(batch)
        if not self.assets:
            self.specs = _specs(flat)
        self.assets.append(_assets_of(flat, self._files(flat)))

    def _files(self, flat: pa.Table) -> list[str | None]:
        # A relative address is seen from the item's own file.
        hrefs, origins = flat["href"].to_pylist(), flat["origin"].to_pylist()
        return [
            None if href is None or _ADDRESS.match(href) else _resolved(self.listing, origin, href)
            for href, origin in zip(hrefs, origins, strict=True)
        ]

    def finished(self, options: SourceOptions) -> Plan:
        samples = pa.concat_tables(self.samples)
        assets = pa.concat_tables(self.assets)
        samples, assets = self._deduplicated(samples, assets)
        samples, assets = _with_ids(samples, assets)
        return Plan(
            task=options.task,
            classes=options.classes,
            samples=self._with_properties(samples),
            assets=assets.drop_columns(["origin"]),
            specs=self.specs,
            findings=tuple(self.findings),
        )

    def _with_properties(self, samples: pa.Table) -> pa.Table:
        said = samples["properties_json"]
        samples = samples.drop_columns(["origin", "properties_json"])
        columns = self.types.struct()
        if columns is None:
            return samples
        chunks = [
            pa.array([self.types.typed(orjson.loads(text or "{}")) for text in part.to_pylist()],
                     columns)
            for part in said.chunks
        ]  # fmt: skip
        return samples.append_column("properties", pa.chunked_array(chunks, columns))

    def _deduplicated(self, samples: pa.Table, assets: pa.Table) -> tuple[pa.Table, pa.Table]:
        # Of items with one collection and id, the first is kept.
        keys = pc.binary_join_element_wise(
            samples["collection"].fill_null(""), samples["id"], "\n"
        ).combine_chunks()
        if pc.count_distinct(keys).as_py() == len(keys):
            return samples, assets
        _, first = np.unique(np.asarray(keys.to_pylist(), dtype=object), return_index=True)
        keep = np.zeros(len(keys), bool)
        keep[first] = True
        gone = samples.filter(pa.array(~keep))
        self.findings.append(
            SourceFinding(
                check="duplicate-id",
                severity=Severity.WARNING,
                message=f"{gone.num_rows} items repeat an id of their collection and are left out, "
                f"such as {gone['id'][0].as_py()!r}",
                fix="give one file of items only, or remove the repeated ones",
                evidence={"items": gone["id"].slice(0, _SHOWN).to_pylist()},
            )
        )
        lost = pc.is_in(assets["origin"], value_set=gone["origin"].combine_chunks())
        return samples.filter(pa.array(keep)), assets.filter(pc.invert(lost))


def _samples_of(batch: pa.RecordBatch, said: list[dict[str, object]]) -> pa.Table:
    links = [_self_link(text) for text in batch["links_json"].to_pylist()]
    given = {
        "id": batch["id"],
        "geometry": batch["geometry"],
        "datetime": batch["datetime"],
        "start_datetime": batch["start_datetime"],
        "end_datetime": batch["end_datetime"],
        "href": pa.array(links, pa.string()),
        "licence": pa.array([_text(one.get("license")) for one in said], pa.string()),
        "provider": pa.array([_provider(one.get("providers")) for one in said], pa.string()),
        "collection": batch["collection"],
        "item": batch["id"],
    }
    table = _table(given, PLAN_SAMPLES, count=batch.num_rows)
    table = table.append_column("properties_json", batch["properties_json"])
    return table.append_column("origin", batch["origin"])


def _table(given: Mapping[str, pa.Array], schema: pa.Schema, *, count: int) -> pa.Table:
    columns = [
        given[name].cast(kind) if name in given else pa.nulls(count, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _properties(said: Mapping[str, object]) -> dict[str, object]:
    """Return what a sample has no other place for."""
    return {
        name: value
        for name, value in said.items()
        if name not in _COLUMNS_OF_SAMPLES and not name.startswith("proj:")
    }


def _self_link(text: str | None) -> str | None:
    for link in orjson.loads(text or "[]"):
        if isinstance(link, dict) and link.get("rel") == "self":
            return _text(link.get("href"))
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _provider(providers: object) -> str | None:
    """Return the producer's name, else the first provider's."""
    found = (
        [one for one in providers if isinstance(one, Mapping)]
        if (isinstance(providers, list))
        else []
    )
    found.sort(key=lambda one: "producer" not in (one.get("roles") or ()))
    return next((name for one in found if (name := _text(one.get("name")))), None)


def _flat_assets(batch: pa.RecordBatch) -> pa.Table:
    """Return one row a data asset, with ``sample`` and ``origin`` of its item."""
    lists = batch["assets"]
    flat = pc.list_flatten(lists)
    parents = pc.list_parent_indices(lists)
    table = pa.Table.from_struct_array(flat).append_column("sample", batch["id"].take(parents))
    table = table.append_column("origin", batch["origin"].take(parents))
    return table.filter(pa.array(_is_data(flat)))


def _is_data(assets: pa.StructArray) -> npt.NDArray[np.bool_]:
    """Return which assets are data: said so by role, or said to be nothing else."""
    roles = pc.struct_field(assets, "roles")
    parents = pc.list_parent_indices(roles).to_numpy(zero_copy_only=False)
    each = pc.list_flatten(roles)
    data, side = np.zeros(len(assets), bool), np.zeros(len(assets), bool)
    data[parents[pc.equal(each, "data").to_numpy(zero_copy_only=False).astype(bool)]] = True
    side[parents[pc.is_in(each, value_set=_SIDE_ROLES).to_numpy(zero_copy_only=False)]] = True
    media = pc.struct_field(assets, "type").to_pylist()
    side |= np.array([bool(kind and _SIDE_TYPES.fullmatch(kind)) for kind in media], bool)
    return data | ~side


def _resolved(listing: Listing, origin: str, href: str) -> str | None:
    """Return the path that a relative address means, if it is one of the listing."""
    source, _, place = origin.partition("#")
    parts: list[str] = []
    for part in (*PurePosixPath(source or place).parent.parts, *PurePosixPath(href).parts):
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    found = "/".join(parts)
    return found if found in listing.files else None


def _assets_of(flat: pa.Table, files: list[str | None]) -> pa.Table:
    inside = pa.array([file is not None for file in files])
    kinds = pc.if_else(inside, AssetKind.RASTER.value, AssetKind.REFERENCE.value)
    dtype = flat["data_type"]
    known = pc.is_in(dtype, value_set=_DTYPES)
    given = {
        "sample": flat["sample"],
        "asset": flat["key"],
        "kind": kinds,
        "file": pa.array(files, pa.string()),
        "href": pc.if_else(inside, pa.scalar(None, pa.string()), flat["href"]),
        "checksum": flat["checksum"],
        "size": flat["size"],
        "shape": _shapes(flat),
        "dtype": pc.if_else(known, dtype, pa.scalar(None, pa.string())),
        "crs": flat["crs"],
        "transform": flat["transform"],
        "nodata": flat["nodata"],
    }
    table = _table(given, PLAN_ASSETS, count=flat.num_rows)
    return table.append_column("origin", flat["origin"])


def _shapes(flat: pa.Table) -> pa.Array:
    """Return (band, y, x) where the item says all three."""
    pairs = zip(flat["shape"].to_pylist(), flat["bands"].to_pylist(), strict=True)
    return pa.array(
        [[len(bands), *shape] if shape and len(shape) == 2 and bands else None  # noqa: PLR2004 — rows, columns
         for shape, bands in pairs],
        pa.list_(pa.int32()),
    )  # fmt: skip


def _specs(flat: pa.Table) -> dict[str, AssetSpec]:
    """Return what all items of the first batch say alike of each asset."""
    said: dict[str, Counter[tuple[str | None, tuple[str, ...], float | None]]] = {}
    wanted = flat.select(["key", "title", "bands", "gsd"])
    for row in wanted.to_pylist():
        bands = tuple(name or "" for name in row["bands"] or ())
        gsd = row["gsd"] if row["gsd"] and row["gsd"] > 0 else None
        said.setdefault(row["key"], Counter())[row["title"], bands, gsd] += 1
    specs = {}
    for key, counts in said.items():
        titles, layouts, sizes = (set(column) for column in zip(*counts, strict=True))
        one = layouts.pop() if len(layouts) == 1 else ()
        specs[key] = AssetSpec(
            title=titles.pop() if len(titles) == 1 else None,
            role="data",
            bands=one if len(set(one)) == len(one) and all(one) else (),
            gsd=sizes.pop() if len(sizes) == 1 else None,
        )
    return specs


def _with_ids(samples: pa.Table, assets: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return both tables with ids that samples may have; unchanged where items' ids may stay."""
    names = samples["id"]
    plain = pc.all(pc.match_substring_regex(names, _GOOD_ID)).as_py()
    if plain and pc.count_distinct(pc.utf8_lower(names)).as_py() == len(names):
        return samples, assets
    keys = [
        f"{collection or ''}/{name}".replace("..", "__")
        for collection, name in zip(
            samples["collection"].to_pylist(), names.to_pylist(), strict=True
        )
    ]
    ids = dict(zip(samples["origin"].to_pylist(), _each(keys), strict=True))
    return (
        _replaced(samples, "id", ids.values()),
        _replaced(assets, "sample", (ids[place] for place in assets["origin"].to_pylist())),
    )


def _each(keys: list[str]) -> Iterator[str]:
    ids = sample_ids(keys)
    return (ids[key] for key in keys)


def _replaced(table: pa.Table, name: str, values: Iterable[str]) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), pa.array(list(values), pa.string()))
