"""A scene of which only what lies within an area counts."""

import math
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from registry.curate.formats.unplaced import unplaced_allowed
from registry.errors import InvalidInputError
from registry.geo import normalise_crs, transform_points
from registry.learn.inference.mapping import Placed
from registry.learn.inference.windows import Arrays, Mask, Region

__all__ = ["Within", "inside", "is_box", "moved", "within"]

_LONGITUDE_LATITUDE: Final = "OGC:CRS84"
_PIECES: Final = 100  # of an edge as long as the area
_ROWS: Final = 512  # that are counted at a time


class Within:
    """A scene whose pixels beyond an area were not observed; a scene itself.

    What lies beyond still stands in its arrays, so that a network sees what surrounds the pixels
    at the area's edge.
    """

    def __init__(
        self, scene: Placed, area: BaseGeometry, *, pixels: int, blank: bool = False
    ) -> None:
        """Take a scene that has a place; :func:`within` does it.

        Args:
            scene: The whole of it.
            area: Polygons in the scene's own coordinates.
            pixels: How many of the scene lie within.
            blank: Whether values beyond the area become those of nothing.
        """
        self.pixels = pixels
        self.placement = scene.placement
        self.contract = scene.contract
        self.said = scene.said
        self._scene, self._area, self._blank = scene, area, blank

    @property
    def height(self) -> int:
        """Rows."""
        return self._scene.height

    @property
    def width(self) -> int:
        """Columns."""
        return self._scene.width

    def blanked(self) -> Self:
        """Return the same without what lies beyond, for what is shown or kept."""
        return type(self)(self._scene, self._area, pixels=self.pixels, blank=True)

    def read(self, region: Region) -> tuple[Arrays, Mask]:
        """Return values of a region, and where they were observed within the area."""
        arrays, observed = self._scene.read(region)
        known = inside(self._area, self.placement.transform or (), region)
        if self._blank and not known.all():
            nodata = {one.asset: one.nodata for one in self.contract.inputs}
            arrays = {
                asset: _blanked(array, known, nodata[asset]) for asset, array in arrays.items()
            }
        return arrays, observed & known


def _blanked(
    array: npt.NDArray[np.generic], known: Mask, nodata: float | None
) -> npt.NDArray[np.generic]:
    if nodata is None:
        nodata = float("nan") if array.dtype.kind == "f" else 0
    return np.where(known, array, array.dtype.type(nodata))


def inside(area: BaseGeometry, transform: tuple[float, ...], region: Region) -> Mask:
    """Return which pixels of a region lie within an area: their centres do.

    Args:
        area: Polygons in the grid's coordinates.
        transform: Of the whole grid, in rasterio's order.
        region: Which part of it.

    Returns:
        ``(y, x)`` of the region.
    """
    from rasterio import Affine
    from rasterio.features import geometry_mask
    from rasterio.windows import Window
    from rasterio.windows import transform as transform_of

    window = Window(region.left, region.top, region.width, region.height)
    place = transform_of(window, Affine(*transform))
    with unplaced_allowed():  # what rasterio burns into has no place
        found: Mask = geometry_mask([area], (region.height, region.width), place, invert=True)
    return found


def is_box(area: BaseGeometry) -> bool:
    """Return whether an area is the box around it.

    Examples:
        >>> is_box(shapely.box(1, 2, 3, 4)), is_box(shapely.Point(1, 2).buffer(1))
        (True, False)
    """
    return bool(area.equals(area.envelope))


def moved(area: BaseGeometry, crs: str) -> BaseGeometry:
    """Return longitudes and latitudes in other coordinates, with long edges bent as they are there.

    Args:
        area: Polygons.
        crs: The system wanted.
    """
    west, south, east, north = area.bounds
    dense = shapely.segmentize(area, max(east - west, north - south) / _PIECES)

    def there(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        return np.stack(transform_points(x, y, source=_LONGITUDE_LATITUDE, target=crs), 1)

    return shapely.transform(dense, there)


def within(scene: Placed, area: BaseGeometry) -> Within:
    """Return a scene of which only what lies within an area counts.

    Args:
        scene: One that has a place.
        area: Polygons in longitudes and latitudes.

    Raises:
        InvalidInputError: The scene has no place, or one beyond the area; or the area lies between
            the centres of pixels.
    """
    crs, transform = scene.placement.crs, scene.placement.transform
    if crs is None or transform is None:
        raise InvalidInputError(
            "the scene has no place, so nobody knows what of it lies within the area",
            hint="predict all of it: leave out --aoi",
        )
    a, b, c, d, e, f = transform
    grid = shapely.box(0, 0, scene.width, scene.height)
    there = moved(area, normalise_crs(crs))
    if not there.intersects(shapely.affinity.affine_transform(grid, [a, b, d, e, c, f])):
        raise InvalidInputError(
            "the area lies beyond the scene", hint="give longitudes first: --aoi W,S,E,N"
        )
    pixels = _count(there, transform, scene)
    if not pixels:
        raise InvalidInputError(
            f"the area covers no pixel's centre: pixels are {_size(scene)} wide",
            hint="draw a larger area, of a pixel at least",
        )
    return Within(scene, there, pixels=pixels)


def _count(area: BaseGeometry, transform: tuple[float, ...], scene: Placed) -> int:
    """Return how many pixels of a scene lie within an area."""
    from rasterio import Affine

    back = ~Affine(*transform)
    on_grid = shapely.affinity.affine_transform(
        area, [back.a, back.b, back.d, back.e, back.c, back.f]
    )
    west, north, east, south = on_grid.bounds  # in pixels, rows from above
    left, right = max(math.floor(west), 0), min(math.ceil(east), scene.width)
    top, bottom = max(math.floor(north), 0), min(math.ceil(south), scene.height)
    found = 0
    for row in range(top, bottom if left < right else top, _ROWS):
        region = Region(top=row, left=left, height=min(_ROWS, bottom - row), width=right - left)
        found += int(inside(area, transform, region).sum())
    return found


def _size(scene: Placed) -> str:
    """Return how wide a scene's pixels are, in its own unit."""
    area = scene.placement.pixel_area_m2()
    if area is not None:
        return f"{area**0.5:g} m"
    a, _, _, d, *_ = scene.placement.transform or (math.nan,) * 6
    return f"{math.hypot(a, d):g} degrees"
