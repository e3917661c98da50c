"""Which cells of a grid an outline covers, and how much of each: exactextract, and nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from exactextract import exact_extract
from exactextract.feature import Feature, FeatureSource
from exactextract.raster import NumPyRasterSource
from exactextract.writer import Writer

__all__ = ["Cover", "covers"]

Found = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]

_TOO_MUCH: Final = 1e-3
_CELLS_AT_ONCE: Final = 200_000  # so that they stay in the processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Cells that some outlines cover, one outline after the other."""

    outlines: npt.NDArray[np.int64] = field(repr=False)
    """Numbers of the outlines; those that cover nothing are left out; shape ``(outline,)``."""

    starts: npt.NDArray[np.int64] = field(repr=False)
    """Where the cells of each begin; shape ``(outline,)``."""

    lengths: npt.NDArray[np.int64] = field(repr=False)
    """How many cells each has; shape ``(outline,)``."""

    cells: npt.NDArray[np.int64] = field(repr=False)
    """row * width + column; shape ``(cell,)``."""

    shares: npt.NDArray[np.float64] = field(repr=False)
    """How much of each is covered, in (0, 1]; shape ``(cell,)``."""


def covers(outlines: npt.NDArray[np.object_], *, height: int, width: int) -> Iterator[Cover]:
    """Yield the cells that outlines cover, so many outlines at once as memory allows.

    Args:
        outlines: Valid polygons in the grid's unitless frame, (column, row) from the upper left
            corner, or None; shape ``(outline,)``.
        height: Rows of the grid.
        width: Its columns.

    Yields:
        Each outline that covers a cell, once, in order.
    """
    near = np.flatnonzero(shapely.intersects(outlines, shapely.box(0, 0, width, height)))
    left, top, right, bottom = shapely.bounds(outlines[near]).T
    wide = np.minimum(right, width) - np.maximum(left, 0) + 2
    high = np.minimum(bottom, height) - np.maximum(top, 0) + 2
    group = (np.cumsum(wide * high) // _CELLS_AT_ONCE).astype(np.int64)
    for number in np.unique(group):
        wanted = near[group == number]
        if (cover := _cover(outlines[wanted], wanted, height, width)) is not None:
            yield cover


def _cover(
    outlines: npt.NDArray[np.object_], numbers: npt.NDArray[np.int64], height: int, width: int
) -> Cover | None:
    found = _extracted(shapely.to_wkb(_upright(outlines, height)).tolist(), height, width)
    _mend(found, outlines, height, width)
    lengths = np.array([len(cells) for cells, _ in found], dtype=np.int64)
    some = lengths > 0
    if not some.any():
        return None
    lengths = lengths[some]
    return Cover(
        outlines=numbers[some],
        starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        lengths=lengths,
        cells=np.concatenate([cells for cells, _ in found]).astype(np.int64),
        shares=np.concatenate([shares for _, shares in found]).astype(np.float64),
    )


def _mend(found: Found, outlines: npt.NDArray[np.object_], height: int, width: int) -> None:
    # exactextract 0.3 takes a cell that an edge only touches, in a corner, for one outside,
    # though it may lie inside. Such outlines are told by their area.
    left, top, right, bottom = shapely.bounds(outlines).T
    across = (left < 0) | (top < 0) | (right > width) | (bottom > height)
    inside = shapely.area(outlines)
    inside[across] = shapely.area(
        shapely.intersection(outlines[across], shapely.box(0, 0, width, height))
    )
    covered = np.array([shares.sum(dtype=np.float64) for _, shares in found])
    for number in np.flatnonzero(np.abs(covered - inside) > _TOO_MUCH):
        cells, shares = found[number]
        more = _left_out(outlines[number], cells, height, width)
        x, y = more % width, more // width
        added = shapely.area(
            shapely.intersection(outlines[number], shapely.box(x, y, x + 1, y + 1))
        )
        every = np.concatenate([cells, more])
        order = np.argsort(every, kind="stable")
        found[number] = every[order], np.concatenate([shares, added])[order]


def _left_out(
    outline: shapely.Geometry, cells: npt.NDArray[np.int64], height: int, width: int
) -> npt.NDArray[np.int64]:
    # cells whose centres are inside and that are not among those given
    left, top, right, bottom = shapely.bounds(outline)
    columns = np.arange(max(0, int(left)), min(width, int(right) + 1))
    found = [np.empty(0, np.int64)]
    shapely.prepare(outline)
    for row in range(max(0, int(top)), min(height, int(bottom) + 1)):
        within = shapely.contains_xy(outline, columns + 0.5, row + 0.5)
        found.append(np.setdiff1d(row * width + columns[within], cells))
    return np.concatenate(found)


def _upright(outlines: npt.NDArray[np.object_], height: int) -> npt.NDArray[np.object_]:
    # Rows count downwards; exactextract wants heights.
    turned = shapely.transform(outlines, lambda xy: np.array([0.0, height]) + xy * [1.0, -1.0])
    return np.asarray(turned, dtype=np.object_)


def _extracted(outlines: Sequence[bytes], height: int, width: int) -> Found:
    """Return each outline's cells and shares."""
    blank = np.broadcast_to(np.uint8(0), (height, width))  # no memory: values are taken later
    grid = NumPyRasterSource(blank, 0, 0, width, height, name="grid")
    writer = _Told()
    exact_extract(grid, _Outlines(outlines), ["cell_id", "coverage"], output=writer)
    return [(one["cell_id"], one["coverage"]) for one in writer.found]


class _Outline(Feature):  # type: ignore[misc]  # published without types
    """An outline as WKB, which needs no detour over JSON."""

    def __init__(self, wkb: bytes | None = None) -> None:
        super().__init__()
        self.wkb = wkb
        self.told: dict[str, Any] = {}

    def geometry(self) -> bytes | None:
        return self.wkb

    def set_geometry(self, wkb: bytes | None) -> None:
        self.wkb = wkb

    @staticmethod
    def set_geometry_format() -> str:
        return "wkb"

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 — exactextract's
        self.told[name] = value


class _Outlines(FeatureSource):  # type: ignore[misc]  # published without types
    def __init__(self, wkb: Sequence[bytes]) -> None:
        super().__init__()
        self.wkb = wkb

    def __iter__(self) -> Iterator[_Outline]:
        return map(_Outline, self.wkb)

    def count(self) -> int:
        return len(self.wkb)

    @staticmethod
    def srs_wkt() -> None:
        return None


class _Told(Writer):  # type: ignore[misc]  # published without types
    """Keeps arrays as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def add_operation(self, operation: object) -> None:
        """Need not know."""

    def write(self, feature: Any) -> None:  # noqa: ANN401 — exactextract's
        kept = _Outline()
        feature.copy_to(kept)
        self.found.append(kept.told)

    @staticmethod
    def features() -> None:
        return None
