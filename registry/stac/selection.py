"""The one query that makes items of a dataset's tables, as text."""

from collections.abc import Mapping
from typing import Any, Final

from registry.catalog.card.spec import AssetSpec
from registry.stac.survey import CODE, Dataset, Survey, named, quoted
from registry.stac.validation import EXTENSIONS, STAC_VERSION

__all__ = ["IS_ITEM", "LABELS", "TABLE_TYPE", "asset_roles", "bands_of", "select_items"]

LABELS: Final = frozenset({"mask", "masks", "label", "labels"})
"""Keys of assets that hold labels even where the card does not say so."""

TABLE_TYPE: Final = "application/vnd.apache.parquet"
"""Media type of rows of the dataset's own tables."""

IS_ITEM: Final = """geometry is not null and (
        datetime is not null or (start_datetime is not null and end_datetime is not null))"""
"""SQL condition: the sample has what STAC asks of an item, a footprint and a time."""

_ANNOTATIONS: Final = "annotations"
_COMMON_NAMES: Final = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge071",
    "B06": "rededge075",
    "B07": "rededge078",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
_PLAIN_NAMES: Final = frozenset(
    {"pan", "coastal", "blue", "green", "yellow", "red", "rededge"}
    | {"nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir"}
)
_TASKS: Final = frozenset({"regression", "classification", "detection", "segmentation"})
_CORE: Final = frozenset(
    {"type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "links", "assets"}
    | {"collection", "datetime", "start_datetime", "end_datetime"}
)
_DATA_TYPE: Final = """case dtype when 'complex64' then 'cfloat32' when 'complex128' then 'cfloat64'
    when 'bool' then 'other' else dtype end"""
_MEDIA_TYPE: Final = f"""case
    when href is null then '{TABLE_TYPE}'
    when regexp_matches(href, '\\.tiff?($|[?#])', 'i') then 'image/tiff; application=geotiff'
    when regexp_matches(href, '\\.jp2($|[?#])', 'i') then 'image/jp2'
    when regexp_matches(href, '\\.jpe?g($|[?#])', 'i') then 'image/jpeg'
    when regexp_matches(href, '\\.png($|[?#])', 'i') then 'image/png'
    when regexp_matches(href, '\\.nc($|[?#])', 'i') then 'application/netcdf'
    when regexp_matches(href, '\\.h(df)?5($|[?#])', 'i') then 'application/x-hdf5'
    else 'application/octet-stream' end"""
_BYTE_ORDER: Final = "case when pixels is not null then 'little-endian' end"
_SUBSET: Final = """case
    when lower(subset) = 'train' or lower(subset) = 'training' then 'train'
    when lower(subset) in ('validate', 'val', 'validation') then 'validate'
    when lower(subset) = 'test' or starts_with(lower(subset), 'test:') then 'test' end"""


def asset_roles(key: str, said: AssetSpec) -> tuple[str, ...]:
    """Return the STAC roles of an asset.

    Args:
        key: Its key.
        said: What the card says of it.
    """
    if said.role not in {None, "labels"}:
        return (str(said.role),)
    return ("labels", "labels-raster") if said.role or key in LABELS else ("data",)


def bands_of(key: str, said: AssetSpec) -> list[dict[str, str]]:
    """Return the bands of an asset as STAC 1.1 lists them, with common names where sure.

    Args:
        key: The asset's key.
        said: What the card says of it.
    """
    told = f"{key} {said.title or ''}".lower().replace("sentinel-2", "s2")
    own = _COMMON_NAMES if "s2" in told.replace("-", " ").replace("_", " ").split() else {}
    bands = []
    for name in said.bands:
        common = own.get(name) or (name.lower() if name.lower() in _PLAIN_NAMES else None)
        bands.append({"name": name} | ({"eo:common_name": common} if common else {}))
    return bands


def select_items(dataset: Dataset, found: Survey, *, where: str) -> str:
    """Return the query whose rows are items as stac-geoparquet lays them out.

    Args:
        dataset: What the items are of.
        found: What occurs in it.
        where: SQL condition on samples: which of them are wanted.
    """
    assets = {
        key: _asset(key, dataset.spec.assets.get(key, AssetSpec()), facts, found)
        for key, facts in found.assets.items()
    }
    names = {name for fields in assets.values() for name in fields}
    columns = _core(dataset, found, names, assets) | _properties(dataset, found)
    listed = ",\n    ".join(f"{value} as {named(name)}" for name, value in columns.items())
    return (
        f"with chosen as (select * from samples where {IS_ITEM} and {where}),\n"  # noqa: S608 — all is quoted
        f"packed as ({_pivot(assets)}),\n"
        f"counted as ({_COUNTED}),\n"
        f"parted as (select sample, {_SUBSET} as part from split where sample in {_CHOSEN})\n"
        f"select\n    {listed}\nfrom chosen samples\n"
        "left join packed on packed.sample = samples.id\n"
        "left join counted on counted.sample = samples.id\n"
        "left join parted on parted.sample = samples.id\n"
        "order by samples.hilbert, samples.id"
    )


_CHOSEN: Final = "(select id from chosen)"
_COUNTED: Final = f"""
    select sample, list(struct_pack(name := category, count := n) order by category) as counts
    from (
        select sample, category, count(*) as n from annotations
        where category is not null and status is distinct from 'rejected' and sample in {_CHOSEN}
        group by sample, category
    ) group by sample
"""  # noqa: S608 — a constant


def _pivot(assets: Mapping[str, Mapping[str, str]]) -> str:
    picked = "".join(
        f",\n    any_value({_struct(fields)}) filter (where asset = {quoted(key)}) as asset_{at}"
        for at, (key, fields) in enumerate(assets.items())
    )
    return f"select sample{picked}\n    from assets where sample in {_CHOSEN} group by sample"  # noqa: S608 — all is quoted


def _struct(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{quoted(name)}: {value}" for name, value in fields.items()) + "}"


def _asset(key: str, said: AssetSpec, facts: frozenset[str], found: Survey) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "href": "coalesce(href, 'pixels#' || lower(hex(pixels)))",
        "type": _MEDIA_TYPE,
        "roles": _literal(list(asset_roles(key, said))),
    }
    optional = {
        "title": _literal(said.title),
        "file:checksum": "checksum" if "checksum" in facts else None,
        "file:size": "size" if "size" in facts else None,
        "file:byte_order": _BYTE_ORDER if "pixels" in facts else None,
        "file:values": _literal(_values(said)),
        "data_type": _DATA_TYPE if "dtype" in facts else None,
        "nodata": _nodata(key, found) if "nodata" in facts else None,
        "unit": _literal(said.unit),
        "gsd": _literal(said.gsd),
        "raster:scale": _literal(said.scale),
        "raster:offset": _literal(said.offset),
        "bands": _bands(key, said, facts),
        "proj:code": f"case when {CODE} then crs end" if "crs:code" in facts else None,
        "proj:wkt2": f"case when not {CODE} then crs end" if "crs:wkt2" in facts else None,
        "proj:shape": "shape[-2:]" if "shape" in facts else None,
        "proj:transform": "transform" if "transform" in facts else None,
        "start_datetime": _instant("list_min(times)") if "times" in facts else None,
        "end_datetime": _instant("list_max(times)") if "times" in facts else None,
    }
    return {name: str(value) for name, value in (fields | optional).items() if value is not None}


def _nodata(key: str, found: Survey) -> str:
    if key in found.infinite_nodata:
        return "replace(nodata::varchar, 'infinity', 'inf')"
    return "case when isfinite(nodata) then nodata end"


def _values(said: AssetSpec) -> list[dict[str, Any]] | None:
    values = [{"values": [value], "summary": name} for value, name in said.values.items() if name]
    return values or None


def _bands(key: str, said: AssetSpec, facts: frozenset[str]) -> str | None:
    known = bands_of(key, said)
    if known:
        names = sorted({name for band in known for name in band}, reverse=True)
        whole = [
            _struct({name: _literal(band.get(name)) or "null::varchar" for name in names})
            for band in known
        ]
        return "[" + ", ".join(whole) + "]"
    if "tags" not in facts:
        return None
    listed = 'from_json(tags, \'{"bands":["VARCHAR"]}\').bands'
    return (
        f"case when len(list_filter({listed}, lambda name: name is not null)) = len({listed})"
        f" then list_transform({listed}, lambda name: {{'name': name}}) end"
    )


def _core(
    dataset: Dataset, found: Survey, names: set[str], assets: Mapping[str, object]
) -> dict[str, str]:
    columns = {
        "type": "'Feature'",
        "stac_version": quoted(STAC_VERSION),
        "stac_extensions": _extensions(found, names | set(found.properties)),
        "id": "samples.id",
        "geometry": "geometry",
        "bbox": "bbox",
        "datetime": "datetime",
        "collection": quoted(dataset.name),
        "links": _links(found),
    }
    packed = {key: f"packed.asset_{at}" for at, key in enumerate(assets)}
    if found.annotated and _ANNOTATIONS not in packed:
        packed[_ANNOTATIONS] = (
            "case when counted.sample is not null then {"
            "'href': 'annotations#' || url_encode(samples.id), 'type': "
            f"'{TABLE_TYPE}',"
            " 'roles': ['labels', 'labels-vector']} end"
        )
    if packed:
        columns["assets"] = _struct(packed)
    return columns


def _extensions(found: Survey, names: set[str]) -> str:
    prefixes = {name.split(":")[0] for name in names if ":" in name}
    uses = {"file": "file", "proj": "projection", "raster": "raster", "eo": "eo"}
    urls = [EXTENSIONS[name] for prefix, name in uses.items() if prefix in prefixes]
    if labelled(found):
        urls.append(EXTENSIONS["label"])
    listed = _literal(urls) if urls else "[]::varchar[]"
    if found.split is None:
        return str(listed)
    return (
        f"case when part is null then {listed} else {_literal([*urls, EXTENSIONS['ml-aoi']])} end"
    )


def _links(found: Survey) -> str:
    own = "{'rel': 'collection', 'href': 'collection.json'}"
    if "source.href" not in found.samples:
        return f"[{own}]"
    via = "{'rel': 'via', 'href': source.href}"
    return (
        f"case when regexp_matches(source.href, '^https?://[^\\s]+$') then [{own}, {via}]"
        f" else [{own}] end"
    )


def _properties(dataset: Dataset, found: Survey) -> dict[str, str]:
    columns = {}
    if {"start_datetime", "end_datetime"} <= found.samples:
        # an instant is an interval of no length: no item then has a null that STAC forbids
        columns["start_datetime"] = "coalesce(start_datetime, datetime)"
        columns["end_datetime"] = "coalesce(end_datetime, datetime)"
    if "source.licence" in found.samples:
        fits = "regexp_full_match(source.licence, '[A-Za-z0-9_.+-]+')"
        columns["license"] = f"case when {fits} then source.licence else 'other' end"
    if "source.provider" in found.samples:
        columns["providers"] = (
            "case when source.provider is null then [] else [{'name': source.provider}] end"
        )
    if found.split is not None:
        columns["ml-aoi:split"] = "part"
    for name in ("group", "target", "declared"):
        if name in found.samples:
            columns[f"eolab:{name}"] = f"samples.{named(name)}"
    own = {name: f"properties.{named(name)}" for name in found.properties if name not in _CORE}
    return own | columns | (_label_fields(dataset, found) if labelled(found) else {})


def _label_fields(dataset: Dataset, found: Survey) -> dict[str, str]:
    said = dataset.spec
    keys = ["label"] if "label" in found.samples else []
    keys += ["category"] if found.annotated else []
    places = keys + (["eolab:target"] if "target" in found.samples else [])
    rasters = [key for key in found.assets if key in LABELS]
    columns = {
        "label:type": "'vector'" if places else "'raster'",
        "label:properties": _literal(places) if places else "null::varchar[]",
        "label:description": quoted(said.description or f"Labels of {said.title or dataset.name}"),
    }
    if found.classes and (keys or rasters):
        classes = [{"name": key, "classes": list(found.classes)} for key in keys or rasters]
        columns["label:classes"] = str(_literal(classes))
    if said.task is not None and str(said.task) in _TASKS:
        columns["label:tasks"] = str(_literal([str(said.task)]))
    if found.methods:
        columns["label:methods"] = str(_literal(list(found.methods)))
    if keys:
        columns["label:overviews"] = _overviews(keys)
    return {name: str(value) for name, value in columns.items()}


def _overviews(keys: list[str]) -> str:
    counts = {
        "label": "list_transform(label, lambda name: {'name': name, 'count': 1::bigint})",
        "category": "counted.counts",
    }
    listed = [
        f"case when len({counts[key]}) > 0"
        f" then [{{'property_key': {quoted(key)}, 'counts': {counts[key]}}}] else [] end"
        for key in keys
    ]
    return " || ".join(listed)


def _instant(timestamp: str) -> str:
    # the way through microseconds needs no time zone, so no extension of DuckDB
    return f"strftime(make_timestamp(epoch_us({timestamp})), '%Y-%m-%dT%H:%M:%S.%fZ')"


def _literal(value: object) -> str | None:
    """Return a value as an SQL literal; None for what is not there."""
    if value is None:
        return None
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(str(_literal(each)) for each in value) + "]"
    if isinstance(value, dict):
        return _struct({str(name): str(_literal(each)) for name, each in value.items()})
    return f"{value!r}::double" if isinstance(value, float) else repr(value)


def labelled(found: Survey) -> bool:
    """Return whether a dataset has labels of any kind."""
    kinds = found.samples & {"label", "target"}
    return bool(kinds) or found.annotated or any(key in LABELS for key in found.assets)
