"""A version described in Croissant, with what GeoCroissant and Croissant's RAI terms add.

References:
    Croissant 1.1 (MLCommons, 2026); GeoCroissant 1.0 (MLCommons, 2026-01-29),
    http://mlcommons.org/croissant/geo/1.0; Croissant RAI 1.0 (MLCommons, 2024),
    http://mlcommons.org/croissant/RAI/1.0.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from registry.catalog import cite
from registry.catalog.card.spec import AssetSpec
from registry.stac import collection
from registry.tables import store

if TYPE_CHECKING:
    from registry.catalog import Version

__all__ = ["croissant"]

_CONFORMS: Final = (
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/geo/1.0",
    "http://mlcommons.org/croissant/RAI/1.0",
)
_ITEMS: Final = "items.parquet"
_PARQUET: Final = "application/x-parquet"  # as Croissant's own library knows it
_SPDX: Final = "https://spdx.org/licenses/"
_NOTHING: Final[Mapping[str, str | list[str]]] = MappingProxyType({})
_TERMS: Final = (
    "arrayShape", "citeAs", "column", "containedIn", "data", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key",
    "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace",
    "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
"""What Croissant's own context calls by short names, ``cr:`` before each."""


def croissant(
    version: "Version", responsible: Mapping[str, str | list[str]] = _NOTHING
) -> dict[str, Any]:
    """Return a version as one JSON-LD document that Croissant's own library reads.

    Each table is a set of Parquet files, with a record set whose fields are its columns, but for
    those that are structures: Croissant has no type for their values. Bands and resolution come
    from the card.

    Args:
        version: A published version, or any other.
        responsible: What else is known of how it came about and what it lacks, by terms such as
            ``geocr:spatialBias``, ``geocr:samplingStrategy`` and ``rai:dataBiases``.

    Returns:
        The document, decoded.
    """
    said = _described(version) | _placed(version) | _seen(version) | dict(responsible)
    tables = [name for name in version.tables_published() if store.count(version.root, name)]
    said["distribution"] = [*_items(version), *(_files(version, name) for name in tables)]
    said["recordSet"] = [_records(version, name) for name in tables]
    return said


def _context() -> dict[str, Any]:
    named: dict[str, Any] = {name: f"cr:{name}" for name in _TERMS}
    named["data"] = {"@id": "cr:data", "@type": "@json"}
    named["dataType"] = {"@id": "cr:dataType", "@type": "@vocab"}
    named["examples"] = {"@id": "cr:examples", "@type": "@json"}
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        "geocr": "http://mlcommons.org/croissant/geo/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "conformsTo": "dct:conformsTo",
    } | named


def _described(version: "Version") -> dict[str, Any]:
    spec = version.spec
    said: dict[str, Any] = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": list(_CONFORMS),
        "name": spec.name,
        "alternateName": spec.title,
        "description": spec.description or spec.title or spec.name,
        "license": f"{_SPDX}{spec.spdx}.html" if spec.spdx else spec.licence,
        "url": spec.source,
        "creator": [{"@type": "sc:Person", "name": name} for name in spec.authors]
        or [
            {"@type": "sc:Organization", "name": one.name, "url": one.url}
            if one.url
            else {"@type": "sc:Organization", "name": one.name}
            for one in spec.providers
        ],
        "datePublished": version.commit.at.date().isoformat(),
        "version": version.label,
        "identifier": f"sha256:{version.content_id}",
        "keywords": list(spec.tags),
        "isLiveDataset": False,
        "citeAs": cite(version),
    }
    return {name: value for name, value in said.items() if value not in (None, [])}


def _placed(version: "Version") -> dict[str, Any]:
    if "samples" not in version.tables_published():
        return {}
    extent = collection(version)["extent"]
    west, south, east, north = extent["spatial"]["bbox"][0]
    times = [one for one in extent["temporal"]["interval"][0] if one]
    said: dict[str, Any] = {
        "spatialCoverage": {
            "@type": "sc:Place",
            "geo": {"@type": "sc:GeoShape", "box": f"{south} {west} {north} {east}"},
        },
        "geocr:coordinateReferenceSystem": "OGC:CRS84",
    }
    return said | ({"temporalCoverage": "/".join(times)} if times else {})


def _seen(version: "Version") -> dict[str, Any]:
    said: dict[str, Any] = {}
    images = [one for one in version.spec.assets.values() if one.role in {None, "data"}]
    if finest := [one.gsd for one in images if one.gsd]:
        said["geocr:spatialResolution"] = _quantity(min(finest), "m")
    if named := next((one for one in images if one.bands), None):
        said["geocr:bandConfiguration"] = _bands(named)
    return said


def _bands(asset: AssetSpec) -> dict[str, Any]:
    return {
        "@type": "geocr:BandConfiguration",
        "geocr:totalBands": len(asset.bands),
        "geocr:bandNameList": list(asset.bands),
    }


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"@type": "sc:QuantitativeValue", "value": value, "unitText": unit}


def _items(version: "Version") -> Iterator[dict[str, Any]]:
    entries = version.repository.entries(version.commit.id, prefix=_ITEMS)
    for entry in entries:
        if entry.path == _ITEMS:
            yield {
                "@type": "cr:FileObject",
                "@id": _ITEMS,
                "name": _ITEMS,
                "description": "STAC items as GeoParquet, one row a sample.",
                "contentUrl": _ITEMS,
                "contentSize": f"{entry.size} B",
                "encodingFormat": _PARQUET,
                "sha256": entry.sha256,
            }


def _files(version: "Version", table: str) -> dict[str, Any]:
    root = version.root.path.resolve()
    paths = [path.resolve().relative_to(root) for path in store.files(version.root, table)]
    return {
        "@type": "cr:FileSet",
        "@id": f"files/{table}",
        "name": f"{table} files",
        "description": f"Current data files of the Delta table {table}.",
        "encodingFormat": _PARQUET,
        "includes": [path.as_posix() for path in paths],
    }


def _records(version: "Version", table: str) -> dict[str, Any]:
    schema = store.schema_of(version.root, table)
    key = [{"@id": f"{table}/{column}"} for column in schema.key]
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "key": key if len(key) > 1 else key[0],
        "field": [_field(table, one) for one in schema.arrow if not _nested(one.type)],
    }


def _field(table: str, column: pa.Field) -> dict[str, Any]:
    metadata = column.metadata or {}
    kind, repeated = _type(column.type)
    meaning = metadata.get(b"meaning", b"").decode()
    unit = metadata.get(b"unit", b"").decode()
    said: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": column.name,
        "description": f"{meaning} ({unit})" if meaning and unit else meaning or unit,
        "dataType": kind,
        "source": {
            "fileSet": {"@id": f"files/{table}"},
            "extract": {"column": column.name},
        },
    }
    if repeated:
        said |= {"isArray": True, "arrayShape": "-1"}
    return {name: value for name, value in said.items() if value != ""}


def _nested(kind: pa.DataType) -> bool:
    return _nested(kind.value_type) if pa.types.is_list(kind) else pa.types.is_nested(kind)


def _type(kind: pa.DataType) -> tuple[str, bool]:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _type(kind.value_type)[0], True
    known = (
        (pa.types.is_boolean, "sc:Boolean"),
        (pa.types.is_integer, "sc:Integer"),
        (pa.types.is_floating, "sc:Float"),
        (pa.types.is_timestamp, "sc:DateTime"),
        (pa.types.is_date, "sc:Date"),
    )
    return next((name for fits, name in known if fits(kind)), "sc:Text"), False
