"""The way back to COCO: one JSON file that :class:`registry.curate.formats.coco.Coco` reads.

References:
    Lin et al. (2014), Microsoft COCO, arXiv:1405.0312; https://cocodataset.org/#format-data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import shapely

from registry.curate.formats import run_lengths
from registry.curate.formats.geojson import attributes_of
from registry.errors import RejectedError

__all__ = ["CocoImage", "write_document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoImage:
    """One image as a COCO file lists it."""

    sample: str
    """The sample's id."""

    file_name: str
    """Path of the image, relative to the COCO file."""

    width: int
    """Columns."""

    height: int
    """Rows."""

    captured: str | None = None
    """ISO 8601 instant, if known."""

    licence: str | None = None
    """Of this image, if known."""


def write_document(
    images: Sequence[CocoImage],
    annotations: Iterable[Mapping[str, object]],
    *,
    classes: Sequence[str],
    title: str | None = None,
) -> bytes:
    """Return images and annotations as one COCO file.

    Args:
        images: In the order in which they get their ids, from 1.
        annotations: Rows of ``annotations/`` with ``geometry`` as WKB in pixels.
        classes: Category names in the order of their ids, from 1; others follow.
        title: What the dataset is called.

    Returns:
        JSON that the reader reads back equal, coordinates to a millionth of a pixel.
        Interior rings cannot be said in COCO and are left out.
    """
    numbers = {image.sample: number for number, image in enumerate(images, 1)}
    rows = [row for row in annotations if row["sample"] in numbers]
    found = sorted({str(row["category"]) for row in rows if row.get("category") is not None})
    names = list(dict.fromkeys([*classes, *found]))
    categories = {name: number for number, name in enumerate(names, 1)}
    licences = list(dict.fromkeys(image.licence for image in images if image.licence))
    ids = _annotation_numbers(rows)
    return orjson.dumps({
        "info": {"description": title or ""},
        "licenses": [
            {"id": number, "name": name, "url": ""} for number, name in enumerate(licences, 1)
        ],
        "images": [
            {
                "id": numbers[image.sample],
                "file_name": image.file_name,
                "width": image.width,
                "height": image.height,
                **({"date_captured": image.captured} if image.captured else {}),
                **({"license": licences.index(image.licence) + 1} if image.licence else {}),
            }
            for image in images
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for name, number in categories.items()
        ],
        "annotations": [
            _written(row, number, numbers[str(row["sample"])], categories)
            for row, number in zip(rows, ids, strict=True)
        ],
    })


def _annotation_numbers(rows: Sequence[Mapping[str, object]]) -> list[int]:
    """Return the numbers that ids end in, as they were read; else 1, 2, 3 and so on."""
    numbers = []
    for row in rows:
        rest = str(row["id"]).removeprefix(f"{row['sample']}-")
        numbers.append(int(rest) if rest.isdecimal() and rest.isascii() and len(rest) < 16 else 0)  # noqa: PLR2004 — safe in any JSON reader
    kept = len(set(numbers)) == len(numbers) and 0 not in numbers
    return numbers if kept else list(range(1, len(rows) + 1))


def _written(
    row: Mapping[str, object], number: int, image: int, categories: Mapping[str, int]
) -> dict[str, object]:
    geometry = row["geometry"]
    shape = shapely.from_wkb(geometry) if isinstance(geometry, bytes) else shapely.Polygon()
    west, north, east, south = (round(edge, 6) for edge in shapely.bounds(shape).tolist())
    rle = _run_lengths(row)
    said: dict[str, object] = {
        "id": number,
        "image_id": image,
        "bbox": [west, north, round(east - west, 6), round(south - north, 6)],
        "area": float(shapely.area(shape)) if rle is None else _ones(rle),
        "iscrowd": int(bool(row.get("iscrowd"))),
    }
    if rle is not None:
        said["segmentation"] = rle
    elif not row.get("isbox"):
        parts = shapely.get_parts(shape).tolist()
        said["segmentation"] = [_flat(part) for part in parts if isinstance(part, shapely.Polygon)]
    if row.get("category") is not None:
        said["category_id"] = categories[str(row["category"])]
    if row.get("score") is not None:
        said["score"] = row["score"]
    return {**attributes_of(row), **said}


def _run_lengths(row: Mapping[str, object]) -> dict[str, Any] | None:
    """Return an annotation's mask as COCO writes it; None if it has none.

    Raises:
        RejectedError: It is none.
    """
    text = row.get("rle")
    if not isinstance(text, str):
        return None
    try:
        rle = orjson.loads(text)
    except orjson.JSONDecodeError:
        rle = None
    if not isinstance(rle, dict):
        raise RejectedError(
            f"the mask of annotation '{row['id']}' is no run lengths: {text[:40]!r}",
            hint="correct its column 'rle', or set it to null",
        )
    try:
        run_lengths.check(rle, height=None, width=None)
    except RejectedError as error:
        raise RejectedError(
            f"the mask of annotation '{row['id']}' cannot be written: {error.problem}",
            hint="correct its column 'rle', or set it to null",
        ) from error
    return rle


def _flat(part: shapely.Polygon) -> list[float]:
    corners = shapely.get_coordinates(part.exterior)[:-1]
    return [round(number, 6) for number in corners.ravel().tolist()]


def _ones(rle: Mapping[str, Any]) -> float:
    counts = rle["counts"]
    return float(sum((run_lengths.unpack(counts) if isinstance(counts, str) else counts)[1::2]))
