"""A chip as one state shows it, beside others: picture, outlines by what became of them, labels."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely
from PIL import Image
from shapely.geometry.base import BaseGeometry

from registry.web.chips import Chip
from registry.web.pictures import data_uri, png

__all__ = ["SAME", "Album", "Mark", "Pane", "Stroke", "View", "pane", "path_of", "view_around"]

SAME: Final = "same"
"""Role of an outline that did not change."""

_TEXT: Final = 22  # characters of a label on a chip
_FONT: Final = 0.062  # of a view's edge
_SMALL_FONT: Final = 0.042
_FEW: Final = 3  # labels that may be large
_SMALL: Final = 0.4  # of a chip's edge, below which a view goes nearer
_MARGIN: Final = 0.9  # of what is looked at, left free around it
_NEAREST: Final = 40.0  # pixels of the array that a view shows at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How an outline is drawn."""

    role: str
    """``inserted``, ``updated``, ``deleted``, ``ghost`` or ``same``; a class of the style sheet."""

    label: str = ""
    """What is written beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """An outline on a pane."""

    path: str
    """Its ``d`` in SVG, in pixels of the array."""

    role: str
    """How it is drawn."""

    label: str
    """What is written beside it; empty if nothing is."""

    x: float
    """Where that is written, in pixels of the array."""

    y: float
    """Where that is written, in pixels of the array."""

    anchor: str
    """``start`` or ``end``: where the text runs from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The part of an array that a pane shows, in its pixels."""

    left: float
    """First column."""

    top: float
    """First row."""

    width: float
    """Columns."""

    height: float
    """Rows."""

    near: bool
    """Whether it is less than the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pane:
    """A chip as one state shows it."""

    title: str
    """Which state."""

    picture: str
    """Id of the picture in the page; empty if there is none."""

    mask: str
    """Id of the mask in the page; empty if there is none."""

    size: tuple[int, int]
    """Columns and rows of the array."""

    view: View
    """What of it is shown."""

    strokes: tuple[Stroke, ...]
    """Outlines, those that changed last so that they lie on top."""

    labels: tuple[str, ...]
    """Scene classes."""

    why: str
    """Why there is no picture."""

    alt: str
    """What it shows, in words."""

    @property
    def font(self) -> float:
        """Size of text, in pixels of the array; smaller where there is much of it."""
        labels = sum(bool(stroke.label) for stroke in self.strokes)
        return (_FONT if labels <= _FEW else _SMALL_FONT) * max(self.view.width, self.view.height)


@dataclass(slots=True, kw_only=True)
class Album:
    """The pictures of a page, each held once however often it is shown."""

    pictures: dict[str, str] = field(default_factory=dict)
    """Addresses that hold the pictures themselves, by id."""

    def add(self, image: Image.Image | None) -> str:
        """Return the id of a picture, which is now in the album; empty if there is none."""
        if image is None:
            return ""
        seen = hashlib.sha256(f"{image.size}{image.mode}".encode() + image.tobytes())
        name = f"p{seen.hexdigest()[:16]}"
        if name not in self.pictures:
            self.pictures[name] = data_uri(png(image))
        return name


def pane(
    title: str,
    chip: Chip | None,
    album: Album,
    *,
    marks: Mapping[str, Mark],
    others: Iterable[tuple[BaseGeometry, Mark]] = (),
    view: View | None = None,
    absent: str = "not there",
) -> Pane:
    """Return a chip with its outlines drawn by what became of them.

    Args:
        title: Which state it is.
        chip: The sample there; None if it is not there.
        album: Where its pictures go.
        marks: How outlines are drawn, by the id of the annotation; others are as they were.
        others: Further outlines, such as what was there before, in pixels of the array.
        view: What of it is shown; the whole if None.
        absent: What is said where there is no sample.
    """
    if chip is None or chip.image is None:
        size = (1, 1) if chip is None else chip.size
        return Pane(
            title=title,
            picture="",
            mask="",
            size=size,
            view=view or _whole(size),
            strokes=(),
            labels=() if chip is None else chip.labels,
            why=absent if chip is None else chip.why,
            alt="",
        )
    seen = view or _whole(chip.size)
    drawn = [(one.shape, marks.get(one.id, Mark(role=SAME))) for one in chip.outlines]
    strokes = [_stroke(shape, mark, seen) for shape, mark in [*drawn, *others]]
    strokes.sort(key=lambda stroke: (stroke.role != SAME, bool(stroke.label)))
    said = [stroke.label for stroke in strokes if stroke.label]
    return Pane(
        title=title,
        picture=album.add(chip.image),
        mask=album.add(chip.mask),
        size=chip.size,
        view=seen,
        strokes=tuple(strokes),
        labels=chip.labels,
        why="",
        alt=f"{title}: chip {chip.sample}, {len(chip.outlines)} outlined objects"
        + (f"; {'; '.join(said)}" if said else ""),
    )


def view_around(shapes: Iterable[BaseGeometry], size: tuple[int, int]) -> View:
    """Return the whole of an array, or the part around outlines that are small in it.

    Args:
        shapes: In pixels of the array.
        size: Its columns and rows.
    """
    bounds = np.array([shape.bounds for shape in shapes if not shape.is_empty])
    if not len(bounds) or not np.isfinite(bounds).all():
        return _whole(size)
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    edge = min(size)
    wanted = max(float((high - low).max()) * (1 + 2 * _MARGIN), _NEAREST)
    if wanted > _SMALL * edge:
        return _whole(size)
    corner = np.clip((low + high - wanted) / 2, 0, np.maximum(np.array(size) - wanted, 0))
    return View(left=corner[0], top=corner[1], width=wanted, height=wanted, near=True)


def path_of(shape: BaseGeometry) -> str:
    """Return an outline as SVG's ``d``."""
    rings = []
    for part in shapely.get_parts(shape):
        lines = [part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part]
        for line in lines:
            if not hasattr(line, "coords"):
                continue
            points = " ".join(f"{x:.2f},{y:.2f}" for x, y, *_ in line.coords)
            points += "h0" if len(line.coords) == 1 else ""  # a dot, where lines have round ends
            rings.append(f"M{points}" + ("Z" if part.geom_type == "Polygon" else ""))
    return "".join(rings)


def _whole(size: tuple[int, int]) -> View:
    return View(left=0.0, top=0.0, width=float(size[0]), height=float(size[1]), near=False)


def _stroke(shape: BaseGeometry, mark: Mark, view: View) -> Stroke:
    west, north, east, _ = shape.bounds
    label = mark.label if len(mark.label) <= _TEXT else mark.label[: _TEXT - 1] + "…"
    to_left = (west + east) / 2 > view.left + view.width / 2
    line = _FONT * max(view.width, view.height)
    x = min(max(east if to_left else west, view.left), view.left + view.width)
    y = min(max(north - 0.4 * line, view.top + line), view.top + view.height - 0.3 * line)
    return Stroke(
        path=path_of(shape),
        role=mark.role,
        label=label,
        x=x,
        y=y,
        anchor="end" if to_left else "start",
    )
