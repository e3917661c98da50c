"""COCO, as labelling tools such as CVAT read and write it.

Annotations have whole numbers for ids there, and tools count anew: the lab's own ids travel among
the attributes, which CVAT keeps for labels that declare an attribute ``eolab_id``; for tools that
keep ``info`` they stand there by number as well.

References:
    Lin et al. (2014), Microsoft COCO, arXiv:1405.0312; https://cocodataset.org/#format-data.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import shapely

from registry.curate.exchange.origin import MARK, Origin
from registry.curate.exchange.pictures import Picture
from registry.curate.exchange.sheet import PIXELS, Found, Sheet, Wanted
from registry.curate.formats import run_lengths
from registry.curate.formats.coco_writer import CocoImage, write_document
from registry.errors import RejectedError

__all__ = ["CELLS", "OWN_ID", "fits", "is_coco", "read", "write"]

OWN_ID: Final = "eolab_id"
"""The attribute that holds an annotation's own id."""

CELLS: Final = ("id", "sample", "category", "attributes", "score", "iscrowd", "isbox", "rle")
"""What COCO can say of an annotation, besides its geometry."""

_NUMBERS: Final = f"{MARK}_ids"
_AGAIN: Final = "export it from the labelling tool as COCO 1.0 again"
_ADDED: Final = frozenset({
    OWN_ID, "occluded", "rotation", "track_id", "keyframe", "source", "outside", "is_crowd",
})  # fmt: skip
"""Attributes that labelling tools add by themselves."""

_CORNERS: Final = 3


def is_coco(said: Mapping[str, object]) -> bool:
    """Return whether a JSON document is COCO."""
    return isinstance(said.get("images"), list) and "features" not in said


def fits(shape: shapely.Geometry | None) -> bool:
    """Return whether COCO can say a geometry: it has no points and no lines."""
    return shape is not None and shapely.get_dimensions(shape) == 2  # noqa: PLR2004 — an area


def write(sheet: Sheet, path: Path, *, pictures: Sequence[Picture], classes: Sequence[str]) -> None:
    """Write annotations as one COCO file.

    Args:
        sheet: The rows; geometries in pixels.
        path: A new file.
        pictures: In the order of their numbers; each row's sample has one.
        classes: Category names in the order of their numbers; others follow.
    """
    rows = sheet.rows.to_pylist()
    images = [
        CocoImage(
            sample=one.sample, file_name=one.name, width=one.width, height=one.height,
            captured=one.captured, licence=one.licence,
        )
        for one in pictures
    ]  # fmt: skip
    document = write_document(
        images, [{**row, "attributes": None} for row in rows], classes=classes
    )
    said = orjson.loads(document)
    for one, row in zip(said["annotations"], rows, strict=True):
        one["attributes"] = {**_attributes(row.get("attributes")), OWN_ID: row["id"]}
        one.setdefault("segmentation", [])
    said["info"] = {
        "description": sheet.origin.sentence,
        MARK: orjson.loads(sheet.origin.to_json())[MARK],
        _NUMBERS: {
            str(one["id"]): row["id"] for one, row in zip(said["annotations"], rows, strict=True)
        },
    }
    path.write_bytes(orjson.dumps(said))


def _attributes(text: object) -> dict[str, Any]:
    try:
        said = orjson.loads(text) if isinstance(text, str) else {}
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def read(said: Mapping[str, Any], wanted: Wanted) -> Found:
    """Return the annotations of a COCO document.

    Args:
        said: The file as JSON.
        wanted: What to look for.

    Returns:
        The rows; in place of samples the names of their pictures.

    Raises:
        RejectedError: It is not what COCO says, or an annotation is of no image or category.
    """
    annotations = _dicts(said, "annotations")
    if len(annotations) > wanted.most_rows:
        raise RejectedError(f"it has more than {wanted.most_rows:,} annotations", hint="split it")
    names = {_number(one, "id", "an image"): one for one in _dicts(said, "images")}
    categories = {_number(one, "id", "a category"): one for one in _dicts(said, "categories")}
    info = said.get("info")
    info = info if isinstance(info, dict) else {}
    numbered = info.get(_NUMBERS)
    numbered = numbered if isinstance(numbered, dict) else {}
    rows, shapes, places = [], [], []
    for count, one in enumerate(annotations, 1):
        places.append(f"annotation {one.get('id', count)!r:.30}")
        image = _of(names, one, "image_id", places[-1])
        shape, rle = _outline(one, image, places[-1])
        shapes.append(shape)
        rows.append({
            "id": _own_id(one, numbered),
            "sample": image.get("file_name"),
            "category": _category(categories, one, places[-1]),
            "attributes": _kept(one.get("attributes")),
            "score": one.get("score"),
            "iscrowd": bool(one.get("iscrowd")),
            "isbox": rle is not None or not one.get("segmentation"),
            "rle": rle,
        })
    columns = {name: [row[name] for row in rows] for name in CELLS}
    if all(value is None for value in columns["score"]):
        del columns["score"]  # tools that have no scores leave them all out
    if not any("attributes" in one for one in annotations):
        del columns["attributes"]
    return Found(
        columns=columns,
        places=places,
        geometries=shapes,
        crs=PIXELS,
        origin=Origin.of(info.get(MARK)),
    )


def _dicts(said: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = said.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RejectedError(f"its {name!r} are no list of objects", hint=_AGAIN)
    return found


def _number(one: Mapping[str, Any], name: str, what: str) -> object:
    value = one.get(name)
    if not isinstance(value, int | str):
        raise RejectedError(f"the id of {what} is {value!r:.40}", hint=_AGAIN)
    return value


def _of(
    known: Mapping[object, dict[str, Any]], one: Mapping[str, Any], name: str, place: str
) -> dict[str, Any]:
    value = one.get(name)
    found = known.get(value) if isinstance(value, int | str) else None
    if found is None:
        raise RejectedError(f"{place}: its {name} {value!r:.40} is none of the file", hint=_AGAIN)
    return found


def _category(known: Mapping[object, dict[str, Any]], one: Mapping[str, Any], place: str) -> object:
    if one.get("category_id") is None:
        return None
    return _of(known, one, "category_id", place).get("name")


def _own_id(one: Mapping[str, Any], numbered: Mapping[str, Any]) -> object:
    inner = one.get("attributes")
    for value in (inner.get(OWN_ID) if isinstance(inner, dict) else None, one.get(OWN_ID)):
        if isinstance(value, str) and value.strip():
            return value
    return numbered.get(str(one.get("id")))


def _kept(attributes: object) -> str | None:
    if not isinstance(attributes, dict):
        return None
    kept = {name: value for name, value in attributes.items() if name not in _ADDED}
    return orjson.dumps(kept).decode() if kept else None


def _outline(
    one: Mapping[str, Any], image: Mapping[str, Any], place: str
) -> tuple[bytes | None, str | None]:
    """Return an annotation's geometry as WKB in pixels, and its run lengths if it has such.

    Raises:
        RejectedError: It is no outline, no box and no run lengths.
    """
    outline = one.get("segmentation")
    try:
        if isinstance(outline, dict):
            size = [v if isinstance(v := image.get(n), int) else None for n in ("height", "width")]
            run_lengths.check(outline, height=size[0], width=size[1])
            return shapely.to_wkb(_box(one.get("bbox"))), orjson.dumps(outline).decode()
        if not outline:
            return shapely.to_wkb(_box(one.get("bbox"))), None
        parts = [_ring(part) for part in _parts(outline)]
    except RejectedError as error:
        raise RejectedError(f"{place}: {error.problem}", hint=error.hint) from error
    return shapely.to_wkb(parts[0] if len(parts) == 1 else shapely.multipolygons(parts)), None


def _parts(outline: object) -> list[object]:
    if not isinstance(outline, list):
        raise RejectedError("its segmentation is no list", hint=_AGAIN)
    return outline if isinstance(outline[0], list) else [outline]


def _finite(values: object) -> list[float]:
    if not isinstance(values, list):
        return []
    numbers = [
        float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)
        and abs(v) < 1e15 and math.isfinite(v)  # noqa: PLR2004 — beyond any picture
    ]  # fmt: skip
    return numbers if len(numbers) == len(values) else []


def _ring(part: object) -> shapely.Polygon:
    numbers = _finite(part)
    if len(numbers) < 2 * _CORNERS or len(numbers) % 2:
        raise RejectedError("its outline has no three corners", hint="draw it again")
    return shapely.Polygon(list(zip(numbers[::2], numbers[1::2], strict=True)))


def _box(bbox: object) -> shapely.Polygon:
    numbers = _finite(bbox)
    if len(numbers) != 4 or min(numbers[2:]) < 0:  # noqa: PLR2004 — x, y, width, height
        raise RejectedError("it has neither an outline nor a box", hint="draw it again")
    x, y, width, height = numbers
    return shapely.box(x, y, x + width, y + height)


def same_cell(name: str, given: object, found: object) -> bool:
    """Say whether a cell came back as it was given out.

    Args:
        name: The cell.
        given: As it is in the table.
        found: As it came back.

    Returns:
        True if COCO cannot tell them apart.
    """
    if name in {"isbox", "iscrowd"}:
        return bool(given) == bool(found)
    if name == "rle":
        return _runs(given) == _runs(found)
    if name == "attributes":
        mine, other = _attributes(given), _attributes(found)
        return {k: str(v) for k, v in mine.items() if k not in _ADDED} == {
            k: str(v) for k, v in other.items()
        }
    return False


def _runs(text: object) -> object:
    said = _attributes(text)
    counts = said.get("counts")
    if isinstance(counts, str):
        counts = run_lengths.unpack(counts)
    return (said.get("size"), counts) if said else None


def as_said(rows: pa.Table, shapes: Sequence[shapely.Geometry | None]) -> list[Any]:
    """Return geometries as COCO says them.

    Args:
        rows: With ``isbox`` and ``rle``.
        shapes: In pixels.

    Returns:
        Polygons without holes; boxes as boxes.
    """
    said: list[Any] = []
    boxes = rows.column("isbox").to_pylist() if "isbox" in rows.column_names else []
    runs = rows.column("rle").to_pylist() if "rle" in rows.column_names else []
    for number, shape in enumerate(shapes):
        if shape is None:
            said.append(None)
        elif (boxes and boxes[number]) or (runs and runs[number] is not None):
            said.append(shapely.box(*shapely.bounds(shape)))
        else:
            parts = [
                shapely.Polygon(one.exterior)
                for one in shapely.get_parts(shape)
                if isinstance(one, shapely.Polygon)
            ]
            said.append(parts[0] if len(parts) == 1 else shapely.multipolygons(parts))
    return said
