"""Which samples stand for a version, and what is drawn of each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from PIL import Image, ImageDraw
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from registry.errors import RegistryError
from registry.stac.selection import LABELS
from registry.web.colours import class_colour
from registry.web.pictures import Ends, ends_of, has_true_colour, mask_picture, true_colour

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["Chip", "Outline", "chips_of", "chosen_chips", "in_pixels"]

_MOST_OUTLINES = 200
_COLUMNS = ["id", "label", "datetime", "start_datetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """An annotation on a chip."""

    id: str
    """Its key."""

    category: str
    """Its class."""

    shape: BaseGeometry
    """In pixels of the array: column and row from the upper left corner."""

    colour: tuple[int, int, int]
    """Of its class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A sample as it is shown."""

    sample: str
    """Its id."""

    labels: tuple[str, ...]
    """Scene classes."""

    when: str
    """The day it was acquired as ISO 8601; empty if unknown."""

    image: Image.Image | None
    """Its picture; None if it is kept by reference or cannot be shown."""

    size: tuple[int, int]
    """Columns and rows of the array."""

    mask: Image.Image | None = None
    """Its mask, as a transparent layer."""

    classes: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    """Classes that occur in the mask, with their colours."""

    outlines: tuple[Outline, ...] = field(default=())
    """Its annotations."""

    ends: Ends | None = None
    """Values that its picture shows black and white; None of a photograph."""

    why: str = ""
    """Why there is no picture."""

    def drawn(self) -> Image.Image:
        """Return the picture with all labels drawn on it."""
        if self.image is None:
            return Image.new("RGBA", (160, 160), (128, 128, 128, 255))
        whole = self.image.copy()
        if self.mask is not None:
            whole.alpha_composite(self.mask.resize(whole.size, Image.Resampling.NEAREST))
        pen = ImageDraw.Draw(whole)
        across, down = whole.width / self.size[0], whole.height / self.size[1]
        for outline in self.outlines:
            for part in shapely.get_parts(outline.shape):
                ring = part.exterior if part.geom_type == "Polygon" else part
                points = [(x * across, y * down) for x, y, *_ in ring.coords]
                if len(points) > 1:
                    pen.line(points, fill=(*outline.colour, 255), width=2)
        return whole


def chosen_chips(version: "Version", most: int) -> list[Chip]:
    """Return samples that show what a version holds: every class if they suffice.

    Args:
        version: What is shown; its samples are in Hilbert order.
        most: How many at most.

    Returns:
        The same ones every time.
    """
    if version.count("samples") == 0:
        return []
    return list(chips_of(version, _chosen(version, most)).values())


def chips_of(
    version: "Version", names: Sequence[str], beside: Mapping[str, Chip] | None = None
) -> dict[str, Chip]:
    """Return samples as they are shown, by id, in the order asked for.

    Args:
        version: Where they are.
        names: Their ids; those that are not there are left out.
        beside: The same samples of another version, so that equal values look equal.
    """
    others = beside or {}
    if not names:
        return {}
    samples = _rows(version, "samples", "id", names, _COLUMNS)
    assets = _rows(version, "assets", "sample", names, None)
    notes = _rows(version, "annotations", "sample", names, None)
    order = {name: at for at, name in enumerate(names)}
    categories = sorted({str(note["category"]) for note in notes if note["category"]})
    listed = list(version.spec.classes) or categories
    return {
        sample["id"]: _chip(
            version,
            sample,
            [asset for asset in assets if asset["sample"] == sample["id"]],
            [note for note in notes if note["sample"] == sample["id"]],
            listed,
            others.get(sample["id"]),
        )
        for sample in sorted(samples, key=lambda row: order[row["id"]])
    }


def _rows(
    version: "Version", table: str, key: str, names: Sequence[str], columns: list[str] | None
) -> list[dict[str, Any]]:
    from registry.tables import store

    if table not in version.tables():
        return []
    wanted = pc.field(key).isin(list(names))
    found = store.read(version.home_of(table), table, columns=columns, filter=wanted)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def _chosen(version: "Version", most: int) -> list[str]:
    table = version.table("samples", columns=["id", "label"]).combine_chunks()
    ids = table["id"].combine_chunks()
    labels = table["label"].combine_chunks()
    groups = _by_class(labels)
    annotated = _annotated(version, ids)
    if not groups and annotated.size:
        groups = [annotated]
    if not groups:
        groups = [np.arange(len(ids))]
    picked: dict[int, None] = {}
    share = -(-most // len(groups))
    for turn in range(share):
        for group in groups:
            # evenly along the Hilbert curve, so that no two are neighbours if they need not be
            picked.setdefault(int(group[turn * len(group) // share]))
    return [ids[at].as_py() for at in list(picked)[:most]]


def _by_class(labels: pa.ListArray) -> list[np.ndarray]:
    flat, rows = pc.list_flatten(labels), pc.list_parent_indices(labels)
    counts = pc.value_counts(flat).to_pylist()
    ordered = sorted((each for each in counts if each["values"]), key=lambda each: -each["counts"])
    return [
        np.unique(rows.filter(pc.equal(flat, each["values"])).to_numpy()) for each in ordered[:24]
    ]


def _annotated(version: "Version", ids: pa.Array) -> np.ndarray:
    if version.count("annotations") == 0:
        return np.array([], np.int64)
    found = version.table("annotations", columns=["sample"])["sample"].unique()
    return np.flatnonzero(pc.is_in(ids, value_set=found).to_numpy(zero_copy_only=False))


def _chip(
    version: "Version",
    sample: dict[str, Any],
    assets: list[dict[str, Any]],
    notes: list[dict[str, Any]],
    classes: Sequence[str],
    beside: Chip | None,
) -> Chip:
    image, mask = _split(version, assets)
    instant = sample["datetime"] or sample["start_datetime"]
    known: dict[str, Any] = {
        "sample": sample["id"],
        "labels": tuple(sample["label"] or ()),
        "when": instant.date().isoformat() if instant else "",
    }
    if image is None or image["pixels"] is None:
        why = "kept by reference" if image else "no image"
        return Chip(image=None, size=(1, 1), why=why, **known)
    said = version.spec.assets.get(image["asset"])
    bands = tuple(said.bands) if said and said.bands else _tagged_bands(image)
    try:
        array = version.chip(sample["id"], image["asset"])
        ends = beside.ends if beside is not None else None
        ends = ends or ends_of(array, bands=bands, nodata=image["nodata"])
        picture = true_colour(array, bands=bands, nodata=image["nodata"], ends=ends)
        layer, found = _mask(version, sample["id"], mask)
    except RegistryError as error:
        return Chip(image=None, size=(1, 1), why=error.problem, **known)
    size = (int(array.shape[-1]), int(array.shape[-2]))
    return Chip(
        image=picture,
        size=size,
        mask=layer,
        classes=found,
        outlines=_outlines(notes, image, classes),
        ends=ends,
        **known,
    )


def _split(
    version: "Version", assets: list[dict[str, Any]]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    masks: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for asset in sorted(assets, key=lambda each: str(each["asset"])):
        said = version.spec.assets.get(asset["asset"])
        is_mask = asset["asset"] in LABELS or (said is not None and said.role == "labels")
        (masks if is_mask else images).append(asset)
    stored = [image for image in images if image["pixels"] is not None]
    stored.sort(key=lambda image: _worth_seeing(version, image))
    masks.sort(key=lambda mask: not _has_classes(version, mask["asset"]))
    image = next(iter(stored or images), None)
    return image, next((mask for mask in masks if mask["pixels"] is not None), None)


def _worth_seeing(version: "Version", image: dict[str, Any]) -> tuple[bool, int, bool, int]:
    """Return what puts images that show most first: colours as the eye sees them, many pixels."""
    said = version.spec.assets.get(image["asset"])
    bands = tuple(said.bands) if said and said.bands else _tagged_bands(image)
    count, height, width = ([1, 1, 1] + (image["shape"] or []))[-3:]
    return (
        said is not None and said.role == "metadata",
        -min(3, count),
        not has_true_colour(bands),
        -height * width,
    )


def _has_classes(version: "Version", asset: str) -> bool:
    said = version.spec.assets.get(asset)
    return said is not None and bool(said.values)


def _tagged_bands(asset: dict[str, Any]) -> tuple[str, ...]:
    said = json.loads(asset.get("tags") or "{}").get("bands") or []
    return tuple(str(name) for name in said)


def _mask(
    version: "Version", sample: str, asset: dict[str, Any] | None
) -> tuple[Image.Image | None, tuple[tuple[str, tuple[int, int, int]], ...]]:
    if asset is None:
        return None, ()
    said = version.spec.assets.get(asset["asset"])
    values = dict(said.values) if said is not None else {}
    classes = version.spec.classes
    array = version.chip(sample, asset["asset"])
    layer, numbers = mask_picture(array, values=values, classes=classes, nodata=asset["nodata"])
    named = tuple(
        (values.get(value, f"value {value}"), class_colour(number))
        for value, number in numbers.items()
    )
    return layer, named


def _outlines(
    notes: list[dict[str, Any]], image: dict[str, Any], classes: Sequence[str]
) -> tuple[Outline, ...]:
    found = []
    for note in notes[:_MOST_OUTLINES]:
        if note["geometry"] is None or note["status"] == "rejected":
            continue
        read = shapely.from_wkb(note["geometry"], on_invalid="ignore")
        if shapely.is_missing(read) or not np.isfinite(shapely.get_coordinates(read)).all():
            continue
        shape = in_pixels(read, note["frame"], image["transform"])
        if shape is None or shape.is_empty:
            continue
        category = str(note["category"] or "")
        number = classes.index(category) if category in classes else len(classes)
        colour = class_colour(number)
        found.append(Outline(id=note["id"], category=category, shape=shape, colour=colour))
    return tuple(found)


def in_pixels(
    shape: BaseGeometry, frame: str | None, transform: Sequence[float] | None
) -> BaseGeometry | None:
    """Return an outline in columns and rows of an array; None if nobody knows where that is.

    Args:
        shape: The outline.
        frame: ``pixel``, or else in the system that ``transform`` leads to.
        transform: Affine a, b, c, d, e, f from (column, row) to the system; None if there is none.
    """
    if frame == "pixel":
        return shape
    if not transform:
        return None
    a, b, c, d, e, f = transform[:6]
    determinant = a * e - b * d
    if determinant == 0:
        return None
    inverse = [e, -b, -d, a, b * f - c * e, c * d - a * f]
    return affinity.affine_transform(shape, [each / determinant for each in inverse])
