"""Values of rasters at points: the pixel that a point lies in, chip by chip."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from registry.catalog.card.spec import AssetSpec
from registry.curate.layers.places import Floats, degrees
from registry.curate.layers.reference import Reference
from registry.errors import InvalidInputError
from registry.geo import Grid, footprints, transform_points

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.curate.layers.acquired import Bands

__all__ = ["MOST_CARRIED", "PlacedRasters", "RasterLayer"]

MOST_CARRIED: Final = 1 << 30
"""Bytes of pixels that a layer may take along to executors."""

_COLUMNS: Final = ("sample", "asset", "pixels", "shape", "crs", "transform", "nodata")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    sample: str
    grid: Grid
    cover: bytes  # its footprint, as WKB
    nodata: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRasters:
    """Rasters with places at hand, as :class:`registry.curate.layers.strata.Lookup` wants them.

    As :meth:`RasterLayer.carried` makes it, it is plain values, which travel to executors.
    """

    reference: Reference
    """Where they come from."""

    asset: str
    """What they are called."""

    scale: float
    """Factor from stored values to physical ones."""

    offset: float
    """Added after scaling."""

    words: dict[int, str] = field(repr=False)
    """What each value means, by the card; may be empty."""

    bands: "Bands | None"
    """Intervals that numbers are sorted into; None makes each number a class."""

    tiles: tuple[_Tile, ...] = field(repr=False)
    """Where they lie; of those that overlap the first counts that has a value."""

    read: Callable[[str], npt.NDArray[np.generic]] = field(repr=False)
    """Returns the first band of a sample's raster."""

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
        for tile in self.tiles:
            near = known[np.sort(tree.query(shapely.from_wkb(tile.cover)))]
            near = near[np.isnan(result[near])]
            if near.size:
                result[near] = self._of_tile(tile, x[near], y[near])
        return result * self.scale + self.offset

    def classes(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> pa.DictionaryArray:
        """Return the class of each point; see :meth:`RasterLayer.classes`.

        Raises:
            InvalidInputError: Neither the card nor the layer says what a value means.
        """
        values = self.values(lon, lat)
        if self.bands is not None:
            codes, names = self.bands.codes(values), list(self.bands.labels)
        else:
            if not self.words:
                raise InvalidInputError(
                    f"nobody says what the values of '{self.asset}' in {self.reference.version} "
                    "mean",
                    hint="name them in the card under values, or give the layer bands",
                )
            names = list(dict.fromkeys(self.words.values()))
            codes = np.full(values.shape, -1)
            for value, word in self.words.items():
                codes[values == value] = names.index(word)
        indices = pa.array(codes.astype(np.int32), mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))

    def _of_tile(self, tile: _Tile, lon: Floats, lat: Floats) -> Floats:
        band = self.read(tile.sample)
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
        return self._placed.values(lon, lat)

    def classes(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> pa.DictionaryArray:
        """Return the class of each point: the card's word for its value, or its interval.

        Raises:
            InvalidInputError: Neither the card nor the layer says what a value means.
        """
        return self._placed.classes(lon, lat)

    def carried(self) -> PlacedRasters:
        """Return it without the lake: pixels and all, at hand and ready to travel.

        Raises:
            InvalidInputError: It has more than :data:`MOST_CARRIED` bytes of pixels.
        """
        placed = self._placed
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        size = 0
        for tile in placed.tiles:
            arrays[tile.sample] = placed.read(tile.sample)
            size += arrays[tile.sample].nbytes
            if size > MOST_CARRIED:
                raise InvalidInputError(
                    f"'{self.asset}' of {self.version.ref} has more than {MOST_CARRIED >> 30} GiB "
                    "of pixels, too many to send to every executor",
                    hint="give a coarser raster, or count with --engine library",
                )
        return replace(placed, read=arrays.__getitem__)

    @cached_property
    def _placed(self) -> PlacedRasters:
        spec = self.version.spec.assets.get(self.asset) or AssetSpec()
        return PlacedRasters(
            reference=self.reference, asset=self.asset, bands=self.bands,
            scale=1.0 if spec.scale is None else spec.scale, offset=spec.offset or 0.0,
            words=dict(sorted(spec.values.items())), tiles=self._tiles(), read=self._band,
        )  # fmt: skip

    def _band(self, sample: str) -> npt.NDArray[np.generic]:
        array = self.version.chip(sample, self.asset)
        return np.ascontiguousarray(array.reshape(-1, *array.shape[-2:])[0])

    def _tiles(self) -> tuple[_Tile, ...]:
        rows = self.version.table("assets", list(_COLUMNS)).sort_by("sample").to_pylist()
        wanted = [
            row for row in rows
            if row["asset"] == self.asset and row["crs"] and row["transform"] and row["pixels"]
        ]  # fmt: skip
        grids = [
            Grid(
                crs=row["crs"], transform=tuple(row["transform"]),
                height=row["shape"][-2], width=row["shape"][-1],
            )
            for row in wanted
        ]  # fmt: skip
        found = tuple(
            _Tile(sample=row["sample"], grid=grid, cover=cover, nodata=row["nodata"])
            for row, grid, cover in zip(wanted, grids, footprints(grids), strict=True)
            if cover is not None
        )
        if not found:
            raise InvalidInputError(
                f"{self.version.ref} has no raster '{self.asset}' with a place",
                hint="a layer needs an asset with pixels, CRS and transform",
            )
        return found
