"""Labelled objects as boxes in pixels, from outlines in whichever frame they were drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.version import Version
from registry.learn.loading.batch import Boxes
from registry.learn.loading.columns import column, numbers, words

__all__ = ["Objects", "counted_annotations", "objects_of"]

_SEEN: Final = 0.25  # share of a box's area that a crop must hold, so that it is still that object
_COLUMNS: Final = ("sample", "geometry", "frame", "category", "status", "iscrowd")

Transforms = tuple[pa.Table, npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Rows of assets, the row of each sample's first asset, and height and width of each sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The boxes of all samples, one after the other."""

    starts: npt.NDArray[np.int64] = field(repr=False)
    """Where each sample's boxes begin, and where the last ends: one more than samples."""

    corners: npt.NDArray[np.float32] = field(repr=False)
    """As :attr:`Boxes.corners`, for all."""

    classes: npt.NDArray[np.int64] = field(repr=False)
    """As :attr:`Boxes.classes`, for all."""

    def of(
        self,
        samples: npt.NDArray[np.int64],
        begins: npt.NDArray[np.int64],
        size: tuple[int, int] | None,
    ) -> tuple[Boxes, ...]:
        """Return the boxes of some samples, cut to their crops.

        Args:
            samples: Their numbers.
            begins: Where the crop of each begins, ``(sample, 2)``: y, x.
            size: Height and width of crops; None without.
        """
        found = []
        for sample, (y, x) in zip(samples.tolist(), begins.tolist(), strict=True):
            part = slice(self.starts[sample], self.starts[sample + 1])
            corners, classes = self.corners[part], self.classes[part]
            if size is not None:
                corners, seen = _cut(corners - np.array([x, y, x, y], np.float32), size)
                classes = classes[seen]
            found.append(Boxes(corners=corners, classes=classes))
        return tuple(found)


def objects_of(
    version: Version, ids: pa.StringArray, classes: Sequence[str], transforms: Transforms
) -> tuple[tuple[str, ...], Objects, list[str]]:
    """Return the objects of some samples; those that were rejected, or are crowds, are left out.

    Args:
        version: Of which version.
        ids: The samples; a sample's number is its place here.
        classes: As the card has them; the categories that occur, sorted, if it has none.
        transforms: Where each sample's pixels lie.

    Returns:
        Names of the classes, the objects, and what was left out, in words.
    """
    rows = counted_annotations(version)
    categories = rows["category"].combine_chunks()
    there = sorted(categories.drop_null().unique().to_pylist())
    names = tuple(classes) or tuple(there)
    codes = numbers(pc.index_in(categories, value_set=words(names)), -1).astype(np.int64)
    at = numbers(pc.index_in(rows["sample"], value_set=ids), -1).astype(np.int64)
    said = []
    if strangers := [name for name in there if name not in set(names)]:
        said.append(f"objects of no class of the card are left out: {', '.join(strangers[:5])}")
    keep = (at >= 0) & (codes >= 0)
    rows, at, codes = rows.take(column(np.flatnonzero(keep))), at[keep], codes[keep]
    corners, good = _corners(rows, at, transforms)
    if lost := int((~good).sum()):
        said.append(f"{lost:,} objects without a box on the pixels of their sample are left out")
    at, codes, corners = at[good], codes[good], corners[good]
    order = np.argsort(at, kind="stable")
    starts = np.searchsorted(at[order], np.arange(len(ids) + 1))
    return (
        names,
        Objects(starts=starts, corners=corners[order].astype(np.float32), classes=codes[order]),
        said,
    )


def counted_annotations(version: Version) -> pa.Table:
    """Return a version's annotations that were not rejected and are no crowds, by id."""
    if "annotations" not in version.tables():
        return pa.table({name: words([]) for name in _COLUMNS})
    rows = pa.Table.from_batches(list(version.scan("annotations", ("id", *_COLUMNS))))
    left = pc.is_in(rows["status"], value_set=words(["rejected"]))  # false where it has none
    crowd = pc.and_kleene(rows["iscrowd"], pc.is_valid(rows["iscrowd"]))
    return rows.filter(pc.invert(pc.or_(left, crowd))).sort_by("id")


def _corners(
    rows: pa.Table, at: npt.NDArray[np.int64], transforms: Transforms
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return boxes in pixels, cut to the image, and which of them have an area there."""
    import shapely

    assets, row_of, extents = transforms
    shapes = shapely.from_wkb(rows["geometry"].to_pylist(), on_invalid="ignore")
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    inverse, known = _inverses(assets, row_of[at])
    frames = np.array([one or "" for one in rows["frame"].to_pylist()], np.str_)
    pixel = (frames == "pixel") | ((frames == "") & ~known)
    inverse[pixel] = (1, 0, 0, 0, 1, 0)
    a, b, c, d, e, f = inverse[owner].T
    placed = np.column_stack([
        a * points[:, 0] + b * points[:, 1] + c,
        d * points[:, 0] + e * points[:, 1] + f,
    ])  # fmt: skip
    low = np.full((len(rows), 2), np.inf)
    high = np.full((len(rows), 2), -np.inf)
    np.minimum.at(low, owner, placed)
    np.maximum.at(high, owner, placed)
    sides = extents[at][:, ::-1].astype(np.float64)
    low, high = np.clip(low, 0, sides), np.clip(high, 0, sides)
    good = (high > low).all(axis=1) & (known | pixel)
    return np.column_stack([low, high]), good


def _inverses(
    assets: pa.Table, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return what brings coordinates into pixels, six numbers a row, and where there is any."""
    picked = assets["transform"].combine_chunks().take(column(np.maximum(rows, 0)))
    lengths = numbers(pc.list_value_length(picked), 0)
    whole = lengths == 6  # noqa: PLR2004 — an affine transform
    made = np.tile(np.array([1.0, 0, 0, 0, 1, 0]), (len(rows), 1))
    flat = pc.list_flatten(picked.take(column(np.flatnonzero(whole))))
    made[whole] = numbers(flat, 0.0).reshape(-1, 6)
    a, b, c, d, e, f = made.T
    size = a * e - b * d
    known = whole & (rows >= 0) & (size != 0) & np.isfinite(made).all(axis=1)
    size = np.where(known, size, 1.0)
    inverse = np.column_stack([
        e / size, -b / size, (b * f - c * e) / size,
        -d / size, a / size, (c * d - a * f) / size,
    ])  # fmt: skip
    return inverse, known


def _cut(
    corners: npt.NDArray[np.float32], size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return boxes within a crop, and which of all are still seen in it."""
    most = np.array([size[1], size[0], size[1], size[0]], np.float32)
    cut: npt.NDArray[Any] = np.clip(corners, 0, most)
    seen = np.asarray(_area(cut) >= _SEEN * np.maximum(_area(corners), np.finfo(np.float32).tiny))
    return cut[seen], seen


def _area(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sides: npt.NDArray[np.float32] = corners[:, 2:] - corners[:, :2]
    return np.asarray(sides.prod(axis=1))
