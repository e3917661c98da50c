"""STAC items by reference: samples with footprint and time, assets that stay where they are.

References:
    STAC Item 1.0.0 and 1.1.0; stac-geoparquet 1.0 and 1.1; file extension 2.1.0 (checksums).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog import AssetSpec
from registry.curate.formats.contract import (
    PLAN_SAMPLES,
    Listing,
    Plan,
    Severity,
    SourceFinding,
    SourceOptions,
)
from registry.curate.formats.filenames import sample_ids
from registry.curate.formats.planning import RASTER_SUFFIXES, ignored_files, suffix
from registry.curate.formats.properties import PropertyTypes
from registry.curate.formats.stac_assets import assets_of, flat_assets, resolved, specs_of, table_of
from registry.errors import InvalidInputError, NotFoundError, RejectedError
from registry.stac import reader

__all__ = ["StacItems"]

_SURE: Final = 0.9
_ITEMS_AMONG_RASTERS: Final = 0.6
_HEAD: Final = 64 << 10
_TABLES: Final = frozenset({".ndjson", ".jsonl", ".parquet", ".geoparquet"})
_ITEMS: Final = _TABLES | {".json", ".geojson"}
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_COLUMNS_OF_SAMPLES: Final = frozenset({"datetime", "start_datetime", "end_datetime"})
_GOOD_ID: Final = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.[A-Za-z0-9_-]|\.$){0,119}$"
_SHOWN: Final = 5
_LOOKED_AT: Final = 500


class StacItems:
    """Items as newline-delimited JSON, stac-geoparquet, an ItemCollection or single files."""

    name = "stac-items"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: there are item tables, or JSON files that name a STAC version."""
        if any(_is_table(listing, path) for path in listing.files):
            return _SURE
        if not any(_is_item_file(listing, path) for path in _json_files(listing)[:_LOOKED_AT]):
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


def _json_files(listing: Listing) -> list[str]:
    return [path for path in listing.files if suffix(path) in {".json", ".geojson"}]


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
    if not names:
        names = _json_files(listing)
        if len(names) <= _LOOKED_AT:  # of more, the reader itself finds out
            names = [path for path in names if _is_item_file(listing, path)]
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
        flat = flat_assets(batch)
        if not self.assets:
            self.specs = specs_of(flat)
        self.assets.append(assets_of(flat, self._files(flat)))

    def _files(self, flat: pa.Table) -> list[str | None]:
        # A relative address is seen from the item's own file.
        hrefs, origins = flat["href"].to_pylist(), flat["origin"].to_pylist()
        return [
            None if href is None or _ADDRESS.match(href) else resolved(self.listing, origin, href)
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
            findings=(*self.findings, *self._beside(assets)),
        )

    def _beside(self, assets: pa.Table) -> tuple[SourceFinding, ...]:
        """Return a finding on the files that are neither items nor spoken of by any."""
        listed = self.listing.files
        papers = (path for path in listed if suffix(path.lower().removesuffix(".gz")) in _ITEMS)
        return ignored_files(self.listing, {*papers, *pc.drop_null(assets["file"]).to_pylist()})

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
                message=f"items that repeat an id of their collection, left out: {gone.num_rows}, "
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
    table = table_of(given, PLAN_SAMPLES, count=batch.num_rows)
    table = table.append_column("properties_json", batch["properties_json"])
    return table.append_column("origin", batch["origin"])


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
