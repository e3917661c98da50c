"""Values of rasters at points: the pixel that a point lies in, chip by chip."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from registry.curate.layers.places import Floats, degrees
from registry.curate.layers.reference import Reference
from registry.errors import InvalidInputError
from registry.geo import Grid, footprints, transform_points

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.curate.layers.acquired import Bands

__all__ = ["RasterLayer"]

_COLUMNS: Final = ("sample", "asset", "pixels", "shape", "crs", "transform", "nodata")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    sample: str
    grid: Grid
    nodata: float | None


@dataclass(frozen=True, kw_only=True)  # no slots: tiles are listed once, when asked
class RasterLayer:
    """One raster asset of a dataset, as :class:`registry.curate.layers.strata.Lookup` wants it."""

    reference: Reference
    """Where it comes from."""

    version: "Version" = field(repr=False)
    """The dataset."""

    asset: str
    """The asset's name; its first band at its first time counts."""

    bands: "Bands | None" = None
    """Intervals that numbers are sorted into; None makes each number a class."""

    def values(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Floats:
        """Return the physical value of the pixel that each point lies in.

        Args:
            lon: Longitudes in degrees; NaN where unknown.
            lat: Latitudes in degrees.

        Returns:
            Values in the asset's unit; NaN outside all rasters and where nothing was observed. Of
            rasters that overlap the first by sample counts that has a value there.
        """
        x, y = degrees(lon, lat)
        result = np.full(x.shape, np.nan)
        known = np.flatnonzero(~np.isnan(x))
        tree = shapely.STRtree(np.asarray(shapely.points(x[known], y[known]), object))
        for tile, cover in self._tiles:
            near = known[np.sort(tree.query(cover))]
            near = near[np.isnan(result[near])]
            if near.size:
                result[near] = self._of_tile(tile, x[near], y[near])
        spec = self.version.spec.assets.get(self.asset)
        if spec is not None:
            result = result * (1 if spec.scale is None else spec.scale) + (spec.offset or 0)
        return result

    def classes(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> pa.DictionaryArray:
        """Return the class of each point: the card's word for its value, or its interval.

        Raises:
            InvalidInputError: Neither the card nor the layer says what a value means.
        """
        values = self.values(lon, lat)
        if self.bands is not None:
            codes, names = self.bands.codes(values), list(self.bands.labels)
        else:
            words = self._words()
            names = list(dict.fromkeys(words.values()))
            codes = np.full(values.shape, -1)
            for value, word in words.items():
                codes[values == value] = names.index(word)
        indices = pa.array(codes.astype(np.int32), mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))

    def _words(self) -> dict[int, str]:
        spec = self.version.spec.assets.get(self.asset)
        if spec is None or not spec.values:
            raise InvalidInputError(
                f"nobody says what the values of '{self.asset}' in {self.version.ref} mean",
                hint="name them in the card under values, or give the layer bands",
            )
        return dict(sorted(spec.values.items()))

    @cached_property
    def _tiles(self) -> list[tuple[_Tile, BaseGeometry]]:
        rows = self.version.table("assets", list(_COLUMNS)).sort_by("sample").to_pylist()
        tiles = [
            _Tile(
                sample=row["sample"],
                grid=Grid(
                    crs=row["crs"], transform=tuple(row["transform"]),
                    height=row["shape"][-2], width=row["shape"][-1],
                ),
                nodata=row["nodata"],
            )
            for row in rows
            if row["asset"] == self.asset and row["crs"] and row["transform"] and row["pixels"]
        ]  # fmt: skip
        covers = footprints([tile.grid for tile in tiles])
        found = [
            (tile, shapely.from_wkb(cover))
            for tile, cover in zip(tiles, covers, strict=True)
            if cover is not None
        ]
        if not found:
            raise InvalidInputError(
                f"{self.version.ref} has no raster '{self.asset}' with a place",
                hint="a layer needs an asset with pixels, CRS and transform",
            )
        return found

    def _of_tile(self, tile: _Tile, lon: Floats, lat: Floats) -> Floats:
        array = self.version.chip(tile.sample, self.asset)
        band = array.reshape(-1, *array.shape[-2:])[0]
        x, y = transform_points(lon, lat, source="OGC:CRS84", target=tile.grid.crs)
        a, b, c, d, e, f = tile.grid.transform
        size = a * e - b * d
        column = np.floor((e * (x - c) - b * (y - f)) / size)
        row = np.floor((a * (y - f) - d * (x - c)) / size)
        inside = (column >= 0) & (row >= 0) & (column < band.shape[1]) & (row < band.shape[0])
        values = np.full(lon.shape, np.nan)
        found = band[row[inside].astype(int), column[inside].astype(int)]
        # compared before it is widened: -9999.9 in single precision is no -9999.9 in double
        missing = False if tile.nodata is None else found == tile.nodata
        values[inside] = np.where(missing, np.nan, found)
        return values
