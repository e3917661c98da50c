"""Predictions as a draft of proposed annotations, beside the pixels that they were made from.

They land as any source does: on a branch of their own, merged into the draft, so that people accept
or reject them, and a better model's proposals replace those of the one before.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from registry.curate.formats.contract import PIXEL_FRAME, PLAN_ANNOTATIONS, PLAN_SAMPLES
from registry.curate.ingest.generated import ingest_arrays
from registry.errors import InvalidInputError
from registry.geo import Grid, normalise_crs
from registry.learn.inference.answers import is_quantity, said_by
from registry.learn.inference.mapping import Placed
from registry.learn.inference.outlines import outlines
from registry.learn.inference.rasters import Placement
from registry.learn.inference.windows import Region
from registry.learn.models.architecture import Head
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.curate.ingest.engine import IngestResult
    from registry.learn.inference.predicting import Prediction

__all__ = ["check_proposed", "propose"]

_CHIP: Final = 512
_PAIR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Array:
    """One input of one chip; see :class:`registry.curate.ingest.generated.NamedArray`."""

    sample: str
    asset: str
    array: npt.NDArray[Any]
    bands: tuple[str, ...]
    grid: Grid | None
    times: tuple[datetime, ...]
    nodata: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chips:
    samples: pa.Table
    assets: tuple[_Array, ...]
    annotations: pa.Table


def check_proposed(head: Head, categories: Sequence[str]) -> None:
    """Refuse classes that no proposal of a head can have.

    Args:
        head: Which of the model's answers.
        categories: Classes that become annotations.

    Raises:
        InvalidInputError: It answers with a quantity, or has no such class.
    """
    if is_quantity(head):
        raise InvalidInputError(
            f"'{head.name}' is a quantity, of which nobody draws outlines",
            hint="keep its map: -o map.tif",
        )
    classes = said_by(head)
    if unknown := sorted(set(categories) - set(classes)):
        raise InvalidInputError(
            f"the model knows no class '{unknown[0]}'", hint=f"it knows {', '.join(classes)}"
        )


def propose(  # noqa: PLR0913 — each is its own decision
    registry: "Registry",
    prediction: "Prediction",
    scene: Placed,
    *,
    into: str,
    name: str,
    moment: datetime | None = None,
    categories: Sequence[str] = (),
    least: int = 16,
    tolerance: float = 1.0,
    progress: Progress = SILENT,
) -> "IngestResult":
    """Put what a model predicted of a scene into a draft.

    Args:
        registry: Where to.
        prediction: Of the scene; its map is read again.
        scene: The scene, open.
        into: Name of the dataset; it is made if there is none.
        name: The scene's: chips are called by it, and the same scene again takes their place.
        moment: When the scene was acquired.
        categories: Classes that become annotations; by default all, or of two the second.
        least: Pixels that a region has at least.
        tolerance: How far outlines may stray from the pixels, in pixels.
        progress: Told of chips.

    Returns:
        What was put in.

    Raises:
        InvalidInputError: The model predicts a quantity, or has no such class.
        ConflictError: Somebody changed the same in the draft.
    """
    check_proposed(prediction.head, categories)
    classes = said_by(prediction.head)
    chosen = tuple(categories) or (classes[1:] if len(classes) == _PAIR else classes)
    desk = _Desk(
        prediction=prediction, scene=scene, name=name, moment=moment, classes=classes,
        skip=tuple(n for n, one in enumerate(classes) if one not in chosen), chosen=chosen,
        least=least, tolerance=tolerance,
    )  # fmt: skip
    task = "detection" if prediction.drawn is None else "segmentation"
    return ingest_arrays(
        registry, desk.chips(progress), into=into, name=name, task=task, classes=chosen,
        progress=progress,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    prediction: "Prediction"
    scene: Placed
    name: str
    moment: datetime | None
    classes: tuple[str, ...]
    skip: tuple[int, ...]
    chosen: tuple[str, ...]
    least: int
    tolerance: float

    def chips(self, progress: Progress) -> Iterator[_Chips]:
        """Yield the scene chip by chip, each with what was predicted there."""
        for top in range(0, self.scene.height, _CHIP):
            for left in range(0, self.scene.width, _CHIP):
                region = Region(
                    top=top, left=left, height=min(_CHIP, self.scene.height - top),
                    width=min(_CHIP, self.scene.width - left),
                )  # fmt: skip
                arrays, observed = self.scene.read(region)
                if observed.any():
                    yield self._chip(region, arrays)
                progress.advance()

    def _chip(self, region: Region, arrays: Any) -> _Chips:  # noqa: ANN401 — Arrays
        sample = f"{self.name}-{region.top:06}-{region.left:06}"
        grid = _grid(self.scene.placement, region)
        rows = [
            self._row(sample, number, grid, shape, category, score)
            for number, (shape, category, score) in enumerate(self._objects(region))
        ]
        times = () if self.moment is None else (self.moment,)
        return _Chips(
            samples=pa.Table.from_pylist([{
                "id": sample, "datetime": self.moment, "group": self.name,
                "collection": self.prediction.model, "item": self.name,
            }], schema=PLAN_SAMPLES),
            assets=tuple(
                _Array(
                    sample=sample, asset=one.asset, array=arrays[one.asset],
                    bands=tuple(band.name for band in one.bands), grid=grid,
                    times=times if one.frames == 1 else (), nodata=one.nodata,
                )
                for one in self.scene.contract.inputs
            ),
            annotations=pa.Table.from_pylist(rows, schema=PLAN_ANNOTATIONS),
        )  # fmt: skip

    def _objects(self, region: Region) -> Iterator[tuple[BaseGeometry, str, float | None]]:
        """Yield shapes in pixels of the chip."""
        drawn = self.prediction.drawn
        if drawn is None:
            for one in self.prediction.found:
                x, y = (one.corners[0] + one.corners[2]) / 2, (one.corners[1] + one.corners[3]) / 2
                down, right = y - region.top, x - region.left
                if 0 <= down < region.height and 0 <= right < region.width:
                    box = shapely.box(*one.corners)
                    moved = shapely.affinity.translate(box, -region.left, -region.top)
                    if one.category in self.chosen:
                        yield moved, one.category, one.score
            return
        classes = _part(drawn.files["map"], region)[0]
        shares = drawn.files.get("probabilities")
        sure = None if shares is None else _part(shares, region) * np.float32(1e-4)
        nodata = 255 if classes.dtype == np.uint8 else 65535
        for found in outlines(
            classes, nodata=nodata, skip=self.skip, least=self.least, tolerance=self.tolerance,
            probabilities=sure,
        ):  # fmt: skip
            yield found.shape, self.classes[found.category], found.score

    def _row(
        self, sample: str, number: int, grid: Grid | None, shape: BaseGeometry, category: str,
        score: float | None,
    ) -> dict[str, Any]:  # fmt: skip
        if grid is not None:
            a, b, c, d, e, f = grid.transform
            shape = shapely.affinity.affine_transform(shape, [a, b, d, e, c, f])
        return {
            "id": f"{sample}-{number:05}", "sample": sample, "geometry": shapely.to_wkb(shape),
            "crs": PIXEL_FRAME if grid is None else grid.crs, "category": category,
            "attributes": json.dumps({"model": self.prediction.model}), "score": score,
            "method": "automated", "annotator": self.prediction.model, "status": "proposed",
            "iscrowd": False, "isbox": self.prediction.drawn is None,
        }  # fmt: skip


def _grid(placement: Placement, region: Region) -> Grid | None:
    if placement.crs is None or placement.transform is None:
        return None
    a, b, c, d, e, f = placement.transform
    shifted = (
        a, b, a * region.left + b * region.top + c,
        d, e, d * region.left + e * region.top + f,
    )  # fmt: skip
    return Grid(
        crs=normalise_crs(placement.crs), transform=shifted, height=region.height,
        width=region.width,
    )  # fmt: skip


def _part(path: Path, region: Region) -> npt.NDArray[Any]:
    import rasterio
    from rasterio.windows import Window

    from registry.curate.formats.unplaced import unplaced_allowed

    window = Window(region.left, region.top, region.width, region.height)
    with unplaced_allowed(), rasterio.open(path, driver="GTiff") as file:
        array: npt.NDArray[Any] = file.read(window=window)
        return array
