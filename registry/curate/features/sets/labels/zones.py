"""Statistics of the pixels under outlines, each pixel by the share of it that is covered.

The shares are had once for each outline, by exactextract, and serve all bands and times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.curate.features.scene import Layer, Shape
from registry.curate.features.sets.labels.covering import Cover, covers
from registry.curate.features.sets.labels.placing import opened, placed

__all__ = ["ZONAL", "pooled", "zonal"]

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

ZONAL: Final = pa.schema([
    pa.field("annotation", pa.string(), nullable=False),
    pa.field("category", pa.string()),
    pa.field("time", pa.timestamp("us", "UTC")),
    pa.field("band", pa.string(), nullable=False),
    pa.field("count", pa.float64(), nullable=False),
    pa.field("mean", pa.float64()),
    pa.field("std", pa.float64()),
    pa.field("min", pa.float64()),
    pa.field("max", pa.float64()),
])
"""A row an outline, time step and band; ``count`` is in pixels, shares of them included."""

_AT_ONCE: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zones:
    """Statistics of each outline, of each plane (a band at a time); shape ``(plane, outline)``."""

    count: Doubles = field(repr=False)
    mean: Doubles = field(repr=False)
    variance: Doubles = field(repr=False)
    least: Doubles = field(repr=False)
    most: Doubles = field(repr=False)


def zonal(layer: Layer, shapes: Sequence[Shape]) -> pa.Table:
    """Return statistics of every band and time under every outline.

    Args:
        layer: With its transform, if outlines are in coordinates of the ground.
        shapes: Outlines of areas, in the layer's reference system or its pixel frame. Parts
            outside the layer count for nothing.

    Returns:
        :data:`ZONAL`, by outline as given, then time, then band. Mean and (population) standard
        deviation are weighted by the covered share of each pixel; least and largest are of all
        pixels that are touched. Pixels that were not observed count for nothing. Where none is
        left, ``count`` is 0 and the rest null: also for outlines that are broken, have no area,
        or cannot be placed.

    References:
        Baston (2024), exactextract, https://github.com/isciences/exactextract, by whose geometry
        the shares are exact.

    Examples:
        >>> import shapely
        >>> layer = Layer(asset="s2", raw=np.array([[[[1.0, 3.0]]]]), bands=("B4",))
        >>> half = shapely.to_wkb(shapely.box(0, 0, 1.5, 1))
        >>> field = Shape(id="f", category="maize", geometry=half, frame="pixel")
        >>> zonal(layer, [field]).select(["annotation", "band", "count", "mean"]).to_pylist()
        [{'annotation': 'f', 'band': 'B4', 'count': 1.5, 'mean': 1.666...}]
    """
    zones = _zones(layer, placed(layer, shapes, opened(shapes)))
    times, bands = layer.raw.shape[:2]
    outlines = len(shapes)
    names = _names(layer)
    when = pa.array(
        layer.times if len(layer.times) == times else [None] * times, ZONAL.field("time").type
    )
    each = np.repeat(np.arange(outlines), times * bands)
    place = np.tile(np.arange(times * bands), outlines)
    nothing = (zones.count <= 0).T.reshape(-1)
    told = {
        "mean": zones.mean,
        "std": np.sqrt(zones.variance),
        "min": zones.least,
        "max": zones.most,
    }
    columns = [
        pa.array([one.id for one in shapes], pa.string()).take(pa.array(each)),
        pa.array([one.category for one in shapes], pa.string()).take(pa.array(each)),
        when.take(pa.array(place // bands)),
        pa.array(names, pa.string()).take(pa.array(place % bands)),
        pa.array(zones.count.T.reshape(-1)),
        *(pa.array(values.T.reshape(-1), mask=nothing) for values in told.values()),
    ]
    return pa.Table.from_arrays(columns, schema=ZONAL)


def pooled(layer: Layer, shapes: Sequence[Shape]) -> dict[str, object]:
    """Return statistics of every band under all outlines of a sample together, over all times.

    Args:
        layer: As for :func:`zonal`.
        shapes: As for :func:`zonal`; where outlines overlap, pixels count for each.

    Returns:
        Lists side by side: ``zonal_bands``, and ``zonal_count``, ``zonal_mean``, ``zonal_std``,
        ``zonal_min``, ``zonal_max`` of the bands that have a pixel; nothing if no band has.
    """
    zones = _zones(layer, placed(layer, shapes, opened(shapes)))
    times, bands = layer.raw.shape[:2]

    def by_band(values: Doubles) -> Doubles:
        return values.reshape(times, bands, -1).transpose(1, 0, 2).reshape(bands, -1)

    weight = by_band(zones.count)
    total = weight.sum(axis=1)
    some = total > 0
    if not some.any():
        return {}
    weight, total = weight[some], total[some]
    means = np.where(weight > 0, by_band(zones.mean)[some], 0.0)
    spread = np.where(weight > 0, by_band(zones.variance)[some], 0.0)
    mean = (weight * means).sum(axis=1) / total
    variance = (weight * (spread + (means - mean[:, None]) ** 2)).sum(axis=1) / total
    return {
        "zonal_bands": [name for name, there in zip(_names(layer), some, strict=True) if there],
        "zonal_count": total.tolist(),
        "zonal_mean": mean.tolist(),
        "zonal_std": np.sqrt(variance).tolist(),
        "zonal_min": by_band(zones.least)[some].min(axis=1).tolist(),
        "zonal_max": by_band(zones.most)[some].max(axis=1).tolist(),
    }


def _names(layer: Layer) -> list[str]:
    return list(layer.bands) or [f"{layer.asset}:{at}" for at in range(layer.raw.shape[1])]


def _zones(layer: Layer, outlines: npt.NDArray[np.object_]) -> _Zones:
    times, bands, height, width = layer.raw.shape
    planes = times * bands
    nothing, least = np.zeros((planes, len(outlines))), np.full((planes, len(outlines)), np.inf)
    zones = _Zones(
        count=nothing, mean=nothing.copy(), variance=nothing.copy(), least=least, most=-least
    )
    for cover in covers(outlines, height=height, width=width):
        for part in _parts(planes, len(cover.cells)):
            _measure(zones, cover, _taken(layer, part, cover.cells), part)
    return zones


def _parts(planes: int, cells: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // max(1, cells))
    for start in range(0, planes, step):
        yield slice(start, min(planes, start + step))


def _taken(layer: Layer, part: slice, cells: npt.NDArray[np.int64]) -> Singles:
    """Return physical values of some planes at some cells; as ``Layer.physical`` has them."""
    raw: npt.NDArray[Any] = layer.raw.reshape(-1, layer.raw.shape[2] * layer.raw.shape[3])
    picked = raw[part].take(cells, axis=1)
    values = picked.astype(np.float32)
    band = np.arange(part.start, part.stop) % layer.raw.shape[1]
    if layer.scale:
        values *= np.array(layer.scale, np.float32)[band, None]
    if layer.offset:
        values += np.array(layer.offset, np.float32)[band, None]
    if layer.nodata is not None and (nothing := picked == layer.nodata).any():
        values[nothing] = np.nan
    return values


def _measure(zones: _Zones, cover: Cover, values: Singles, part: slice) -> None:
    def summed(each: Doubles) -> Doubles:
        return np.add.reduceat(each, cover.starts, axis=-1)

    seen = np.isfinite(values)
    if seen.all():
        low = high = values
        weight = cover.shares
    else:
        low, high = np.where(seen, values, np.inf), np.where(seen, values, -np.inf)
        weight = np.where(seen, cover.shares, 0.0)
        values = np.where(seen, values, np.float32(0))
    count = summed(weight)
    some = np.where(count > 0, count, 1.0)
    about = values * weight
    mean = summed(about) / some
    np.subtract(values, np.repeat(mean, cover.lengths, axis=-1), out=about)
    np.square(about, out=about)
    about *= weight
    zones.count[part, cover.outlines] = count
    zones.mean[part, cover.outlines] = mean
    zones.variance[part, cover.outlines] = summed(about) / some
    zones.least[part, cover.outlines] = np.minimum.reduceat(low, cover.starts, axis=-1)
    zones.most[part, cover.outlines] = np.maximum.reduceat(high, cover.starts, axis=-1)
