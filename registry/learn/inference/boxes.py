"""Objects in a scene of any size: found window by window, each kept once."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from registry.errors import InvalidInputError
from registry.learn.inference.anonymous import Unnamed
from registry.learn.inference.windows import AnswerError, Arrays, Batch, Mask, Plan, batches
from registry.learn.models.architecture import Head
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.learn.inference.mapping import Options, Placed
    from registry.learn.inference.rasters import Placement

__all__ = ["NOTHING_OBSERVED", "Found", "collection", "detect", "kept_once"]

NOTHING_OBSERVED: Final = (
    "nothing was observed: the scene, or what of it lies within the area, holds nodata alone, so "
    "nothing is predicted"
)
"""What is said of a scene without a single value."""

_CORNERS: Final = 4
_SAME: Final = 0.5
_INSIDE: Final = 0.7
_EDGE: Final = 1.0  # pixels from an edge that a box may end at and be whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object."""

    category: str
    """Its class."""

    score: float
    """How sure the model is, in [0, 1]."""

    corners: tuple[float, float, float, float]
    """Left, upper, right, lower, in pixels of the scene from the corner of its first pixel."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return {"category": self.category, "score": self.score, "corners": list(self.corners)}


def detect(
    scene: "Placed",
    detector: Callable[[Arrays], Mapping[str, Any]],
    head: Head,
    out: Path,
    *,
    options: "Options",
    model: str,
    said: list[str] | None = None,
    progress: Progress = SILENT,
) -> tuple[Found, ...]:
    """Return the objects of a scene, and write them as GeoJSON.

    Args:
        scene: What to read.
        detector: What answers: by head, for each window, its objects'
            :class:`registry.learn.models.predicting.Found`.
        head: Which of its answers.
        out: Where the file will be.
        options: How the scene is cut.
        model: Ref of the model, for the file.
        said: Gets a sentence where the scene has nothing to look at.
        progress: Told of windows.

    Returns:
        Objects, the surest first.

    Raises:
        InvalidInputError: The file would be a GeoTIFF.
        AnswerError: The detector answers otherwise.
    """
    if out.suffix.lower() in {".tif", ".tiff"}:
        raise InvalidInputError(
            f"'{out.name}' cannot hold objects, which this model finds",
            hint=f"write GeoJSON: -o {out.stem}.geojson",
        )
    plan = options.plan(scene)
    progress.stage("detecting", total=len(plan), unit="windows")
    parts: list[Parts] = []
    looked = False
    for batch in batches(scene, plan, size=options.batch_size):
        if any(batch.used):
            looked = True
            answers = detector(batch.arrays)
            parts.extend(_boxes(answers, head, batch, plan))
        progress.advance(len(batch.lefts))
    found = _once(head, parts) if parts else ()
    if not looked and said is not None:
        said.append(NOTHING_OBSERVED)
    document = collection(found, scene.placement, model=model)
    with Unnamed(out.absolute().parent) as file:
        Path(file.path).write_text(json.dumps(document), "utf-8")
        file.name(out.absolute())
    return found


Parts = tuple[
    npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.bool_]
]


def _boxes(answers: Mapping[str, Any], head: Head, batch: Batch, plan: Plan) -> Iterator[Parts]:
    """Yield the boxes of each window, in pixels of the scene.

    Raises:
        AnswerError: They are none.
    """
    lefts = [left for left, used in zip(batch.lefts, batch.used, strict=True) if used]
    try:
        answered = list(answers[head.name])
        parts = [
            (
                np.asarray(one.corners, np.float64).reshape(-1, _CORNERS),
                np.asarray(one.scores, np.float64).ravel(),
                np.asarray(one.classes, np.int64).ravel(),
            )
            for one in answered
        ]
        pairs = list(zip(lefts, parts, strict=True))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnswerError(
            f"the detector's '{head.name}' cannot be read: {error}", hint="pull the model again"
        ) from error
    for left, (boxes, scores, labels) in pairs:
        if not len(boxes) == len(scores) == len(labels) or not np.isfinite(boxes).all():
            raise AnswerError(
                f"the detector gives {len(boxes)} boxes, {len(scores)} scores and {len(labels)} "
                "labels",
                hint="pull the model again",
            )
        cut = _cut(boxes, left, batch.top, plan)
        whole = boxes + np.array([left, batch.top] * 2)
        whole = np.clip(whole, 0, [plan.width, plan.height] * 2)
        good = (whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])
        good &= (labels >= 0) & (labels < len(head.classes))
        good &= _seen(whole, batch.observed, batch)
        yield whole[good], scores[good], labels[good], cut[good]


def _seen(boxes: npt.NDArray[np.float64], observed: Mask, batch: Batch) -> Mask:
    """Return whose middle was observed."""
    x = ((boxes[:, 0] + boxes[:, 2]) / 2 - batch.region.left).astype(np.int64)
    y = ((boxes[:, 1] + boxes[:, 3]) / 2 - batch.region.top).astype(np.int64)
    inside = (x >= 0) & (x < batch.region.width) & (y >= 0) & (y < batch.region.height)
    return inside & observed[np.where(inside, y, 0), np.where(inside, x, 0)]


def _cut(boxes: npt.NDArray[np.float64], left: int, top: int, plan: Plan) -> Mask:
    """Return which boxes end at an edge of the window that is none of the scene."""
    far = plan.window - _EDGE
    cut = (boxes[:, 0] <= _EDGE) & (left > 0)
    cut |= (boxes[:, 1] <= _EDGE) & (top > 0)
    cut |= (boxes[:, 2] >= far) & (left + plan.window < plan.width)
    return cut | ((boxes[:, 3] >= far) & (top + plan.window < plan.height))


def _once(head: Head, parts: Sequence[Parts]) -> tuple[Found, ...]:
    corners, scores, labels, cut = (
        np.concatenate([part[n] for part in parts]) for n in range(_CORNERS)
    )
    kept = kept_once(corners, scores, labels, cut)
    made = [
        Found(
            category=head.classes[labels[n]],
            score=float(min(max(scores[n], 0), 1)),
            corners=tuple(float(round(one, 3)) for one in corners[n]),  # type: ignore[arg-type]
        )
        for n in kept
    ]
    return tuple(sorted(made, key=lambda one: (-one.score, one.corners)))


def kept_once(
    corners: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    cut: Mask,
) -> list[int]:
    """Return which boxes stay when each object may have one.

    Whole ones come before those that a window's edge cuts, surer ones before others. A box goes
    where one of its class stays that it shares half of their union with, or that holds most of it.

    Args:
        corners: ``(box, 4)``: left, upper, right, lower.
        scores: ``(box,)``.
        labels: ``(box,)``.
        cut: ``(box,)``: whether an edge of its window cuts it.
    """
    outlines = np.asarray(shapely.box(*corners.T), object)
    tree = shapely.STRtree(outlines)
    area = np.asarray(shapely.area(outlines))
    gone = np.zeros(len(corners), np.bool_)
    kept = []
    for n in np.lexsort((-scores, cut)):
        if gone[n]:
            continue
        kept.append(int(n))
        near = tree.query(outlines[n])
        near = near[(labels[near] == labels[n]) & ~gone[near] & (near != n)]
        shared = shapely.area(shapely.intersection(outlines[near], outlines[n]))
        same = shared / (area[near] + area[n] - shared) > _SAME
        inside = cut[near] & (shared > _INSIDE * np.minimum(area[near], area[n]))
        gone[near[same | inside]] = True
    return kept


def collection(found: Sequence[Found], placement: "Placement", *, model: str) -> dict[str, Any]:
    """Return objects as GeoJSON: longitudes and latitudes, or pixels where there is no place.

    References:
        RFC 7946 (2016), The GeoJSON Format.
    """
    from registry.learn.inference.outlines import on_ground

    shapes = [shapely.box(*one.corners) for one in found]
    placed = on_ground(shapes, placement)
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": shapely.geometry.mapping(shape),
                "properties": {
                    "category": one.category, "score": one.score, "method": "automated",
                    "model": model, "frame": "crs" if placed is not None else "pixel",
                },
            }
            for one, shape in zip(found, placed or shapes, strict=True)
        ],
    }  # fmt: skip
