"""GeoJSON labels: features become annotations, and annotations become features.

References:
    RFC 7946 (2016), The GeoJSON Format; the ``crs`` member of the GeoJSON of 2008 is read too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import orjson
import shapely

from registry.curate.formats.contract import CRS84, PIXEL_FRAME
from registry.errors import RejectedError

__all__ = ["Labels", "attributes_of", "crs_of", "read_labels", "write_labels"]

_CATEGORIES: Final = ("labels", "label", "class", "class_name", "category", "classes")
_SCORES: Final = ("score", "confidence")
_OWN: Final = {"method": str, "status": str, "rle": str, "iscrowd": bool, "isbox": bool}
_CODE: Final = re.compile(r"EPSG:(?:[\d.]*:)?(\d{4,6})$")
_ATTRIBUTES_LIMIT: Final = 64 << 10
_FEATURES_LIMIT: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a label file says."""

    annotations: tuple[dict[str, object], ...]
    """Rows with columns of ``PLAN_ANNOTATIONS``."""

    tasks: frozenset[str]
    """Tasks that features say they are for, as EOTDL's labelling tool writes them."""

    problems: tuple[str, ...]
    """What is wrong with it."""


def crs_of(said: Mapping[str, object]) -> str:
    """Return the CRS that a feature collection states, longitude first; CRS84 if it is silent.

    Raises:
        RejectedError: It names a CRS in a way that is not understood.
    """
    member = said.get("crs")
    if member is None:
        return CRS84
    inner = member.get("properties") if isinstance(member, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if isinstance(name, str):
        if name.endswith("CRS84"):
            return CRS84
        if found := _CODE.search(name):
            # Files that say EPSG:4326 hold longitude first all the same.
            return CRS84 if found[1] == "4326" else f"EPSG:{found[1]}"
    raise RejectedError(
        f"its crs {member!r:.80} is not understood", hint="name it as urn:ogc:def:crs:EPSG::n"
    )


def read_labels(
    raw: bytes, *, sample: str, category: str | None = None, boxes: bool = False
) -> Labels:
    """Return the annotations of one sample from its GeoJSON.

    Args:
        raw: A FeatureCollection or Feature.
        sample: Id of the sample.
        category: Class of features that state none.
        boxes: Whether to keep only each shape's bounding box.

    Returns:
        The labels. Annotation ids are the sample's id and a hash of the geometry, so they stay
        when other features come or go. A feature with several labels gives an annotation each.
        Features without a geometry are left out and counted in ``problems``. Coordinates that can
        be no degrees although no CRS is stated are taken as in the sample's own CRS, and said.

    Raises:
        RejectedError: It is no GeoJSON, or states a CRS that is not understood.
    """
    said = _parsed(raw)
    crs: str | None = PIXEL_FRAME if said.get("frame") == "pixel" else crs_of(said)
    features = _features(said)
    problems: list[str] = []
    shapes = [_shape(feature.get("geometry")) for feature in features]
    if lost := sum(shape is None for shape in shapes):
        problems.append(f"{lost} of {len(shapes)} features have no usable geometry")
    if crs == CRS84 and not _are_degrees([shape for shape in shapes if shape is not None]):
        crs = None
        problems.append("its coordinates are no degrees although it states no CRS; "
                        "they are taken as in the image's own CRS")  # fmt: skip
    rows: list[dict[str, object]] = []
    tasks: set[str] = set()
    taken: dict[str, int] = {}
    for feature, shape in zip(features, shapes, strict=True):
        if shape is None:
            continue
        properties = feature.get("properties")
        properties = dict(properties) if isinstance(properties, Mapping) else {}
        tasks.update(_texts(properties.pop("tasks", None)))
        names: list[str] | list[str | None] = _category(properties) or [category]
        common = _row(shapely.envelope(shape) if boxes else shape, properties, crs=crs)
        common["isbox"] = boxes or bool(common["isbox"])
        for name in names:
            key = f"{sample}-{sha256(shapely.to_wkb(shape)).hexdigest()[:10]}"
            taken[key] = taken.get(key, 0) + 1
            number = taken[key]
            rows.append({
                "id": key if number == 1 else f"{key}-{number}",
                "sample": sample, "category": name, **common,
            })  # fmt: skip
    return Labels(annotations=tuple(rows), tasks=frozenset(tasks), problems=tuple(problems))


def _parsed(raw: bytes) -> Mapping[str, object]:
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RejectedError(f"it is no JSON: {error}", hint="mend or remove the file") from error
    if not isinstance(said, dict) or said.get("type") not in ["FeatureCollection", "Feature"]:
        raise RejectedError("it is no GeoJSON feature or collection of features",
                            hint="mend or remove the file")  # fmt: skip
    return said


def _features(said: Mapping[str, object]) -> list[Mapping[str, object]]:
    found = said.get("features") if said["type"] == "FeatureCollection" else [said]
    if not isinstance(found, list) or len(found) > _FEATURES_LIMIT:
        raise RejectedError(
            f"its features are no list of at most {_FEATURES_LIMIT:,}", hint="split the file"
        )
    return [feature for feature in found if isinstance(feature, Mapping)]


def _shape(geometry: object) -> shapely.Geometry | None:
    if not isinstance(geometry, Mapping):
        return None
    try:
        shape = shapely.from_geojson(orjson.dumps(geometry))
    except (shapely.errors.GEOSException, TypeError):
        return None
    return None if shapely.is_empty(shape) else shapely.force_2d(shape)


def _are_degrees(shapes: list[shapely.Geometry]) -> bool:
    if not shapes:
        return True
    west, south, east, north = shapely.total_bounds(shapes)
    return bool(west >= -180 and east <= 180 and south >= -90 and north <= 90)  # noqa: PLR2004 — degrees


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _category(properties: dict[str, object]) -> list[str]:
    for name in _CATEGORIES:
        if names := _texts(properties.get(name)):
            del properties[name]
            return names
    return []


def _row(
    shape: shapely.Geometry, properties: dict[str, object], *, crs: str | None
) -> dict[str, object]:
    own = {
        name: properties.pop(name)
        for name, kind in _OWN.items()
        if isinstance(properties.get(name), kind)
    }
    scores = [properties.pop(name) for name in _SCORES if isinstance(properties.get(name), float)]
    attributes = orjson.dumps(properties).decode() if properties else None
    return {
        "geometry": shapely.to_wkb(shape),
        "crs": crs,
        "score": scores[0] if scores else None,
        "isbox": False,
        **own,
        "attributes": attributes
        if attributes is None or len(attributes) <= _ATTRIBUTES_LIMIT
        else None,
    }


def attributes_of(row: Mapping[str, object]) -> dict[str, object]:
    """Return an annotation's further attributes; what is no JSON object stays as it is, by name.

    Args:
        row: A row of ``annotations/``.

    Examples:
        >>> attributes_of({"attributes": '{"wake": true}'}), attributes_of({"attributes": "seen"})
        ({'wake': True}, {'attributes': 'seen'})
    """
    text = row.get("attributes")
    if not isinstance(text, str):
        return {}
    try:
        inner = orjson.loads(text)
    except orjson.JSONDecodeError:
        inner = text
    if inner is None:
        return {}
    return inner if isinstance(inner, dict) else {"attributes": inner}


def write_labels(annotations: Iterable[Mapping[str, object]], *, crs: str | None) -> bytes:
    """Return annotations of one sample as a GeoJSON feature collection.

    Args:
        annotations: Rows of ``annotations/``; geometry as WKB in ``crs``.
        crs: ``EPSG:n`` or OGC:CRS84; None for pixel coordinates, which the collection says.

    Returns:
        JSON, one feature an annotation, that :func:`read_labels` reads back.
    """
    features = [_feature(row) for row in annotations]
    said: dict[str, object] = {"type": "FeatureCollection", "features": features}
    if crs is None:
        said["frame"] = "pixel"
    elif crs != CRS84:
        authority, _, code = crs.partition(":")
        name = f"urn:ogc:def:crs:{authority}::{code}" if code.isdigit() else crs
        said["crs"] = {"type": "name", "properties": {"name": name}}
    return orjson.dumps(said, option=orjson.OPT_INDENT_2)


def _feature(row: Mapping[str, object]) -> dict[str, object]:
    properties = attributes_of(row)
    if row.get("category") is not None:
        properties["labels"] = [row["category"]]
    for name in ("score", "method", "status", "rle", "iscrowd", "isbox"):
        if row.get(name) is not None:
            properties[name] = row[name]
    geometry = row.get("geometry")
    return {
        "type": "Feature",
        "id": row["id"],
        "properties": properties,
        "geometry": orjson.loads(shapely.to_geojson(shapely.from_wkb(geometry)))
        if isinstance(geometry, bytes)
        else None,
    }
