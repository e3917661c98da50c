"""Which sample of a version speaks for a point at a moment, never one that came after it.

Here a place is shared: the point lies in the sample's footprint. Tables whose columns say what
belongs together are joined by :func:`registry.curate.features.point_in_time.as_of`.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.layers.moments import NEVER, instants_of
from registry.curate.layers.places import earth_centred

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["samples_at"]

_COLUMNS: Final = ("id", "geometry", "datetime", "end_datetime")
_TIME: Final = pa.timestamp("us", "UTC")


def samples_at(points: pa.Table, version: "Version") -> pa.Table:
    """Return the sample of a version that speaks for each point.

    Of the samples whose footprint contains the point and whose time is not after the point's first
    instant, the latest; of several at one time the one whose centre is nearest, then the first by
    id. A sample's time is its ``datetime``, else the end of its interval. A sample without a time
    is taken only where the point has none.

    Args:
        points: Of schema :data:`registry.curate.features.reading_points.POINTS`.
        version: Its samples are read batch by batch.

    Returns:
        ``sample`` and ``time``, in the order of the points; null where no sample qualifies.
    """
    lon, lat = points["lon"].to_numpy(), points["lat"].to_numpy()
    best = _Best(lon, lat, instants_of(points, "start_datetime"))
    tree = shapely.STRtree(shapely.points(lon, lat))
    names = [name for name in _COLUMNS if name in version.scan("samples").schema.names]
    for batch in version.scan("samples", columns=names):
        rows = pa.Table.from_batches([batch])
        shapes = shapely.from_wkb(rows["geometry"].to_numpy(), on_invalid="ignore")
        row, point = tree.query(shapes, predicate="intersects")
        if row.size:
            times = instants_of(rows)
            ends = instants_of(rows, "end_datetime")
            moments = np.where(times == NEVER, ends, times)
            centres = shapely.get_coordinates(shapely.centroid(shapes[row]))
            best.consider(point, rows["id"].take(pa.array(row)), moments[row], centres)
    return best.table()


class _Best:
    """The best sample so far for each point."""

    def __init__(
        self,
        lon: npt.NDArray[np.float64],
        lat: npt.NDArray[np.float64],
        asked: npt.NDArray[np.int64],
    ) -> None:
        self._places = earth_centred(lon, lat)
        self._asked = asked
        self._time = np.full(lon.size, NEVER)
        self._km = np.full(lon.size, np.inf)
        self._sample = np.full(lon.size, "", object)

    def consider(
        self,
        point: npt.NDArray[np.int64],
        sample: pa.ChunkedArray,
        time: npt.NDArray[np.int64],
        centre: npt.NDArray[np.float64],
    ) -> None:
        """Take those that are better: later, nearer, or earlier by id."""
        timeless = self._asked[point] == NEVER
        fits = timeless | ((time != NEVER) & (time <= self._asked[point]))
        away = earth_centred(centre[:, 0], centre[:, 1]) - self._places[point]
        km = np.linalg.norm(away, axis=1).round(6)
        ids = sample.to_numpy().astype(object)
        for i in np.flatnonzero(fits):
            at = point[i]
            said = (-int(time[i]), float(km[i]), str(ids[i]))
            if not self._sample[at] or said < self._rank(at):
                self._time[at], self._km[at], self._sample[at] = time[i], km[i], ids[i]

    def _rank(self, at: np.int64) -> tuple[int, float, str]:
        return -int(self._time[at]), float(self._km[at]), str(self._sample[at])

    def table(self) -> pa.Table:
        """Return what was found."""
        nothing = self._sample == ""
        timed = ~nothing & (self._time != NEVER)
        times = pa.array(np.where(timed, self._time, 0), mask=~timed)
        return pa.table({
            "sample": pa.array(self._sample.tolist(), pa.string(), mask=nothing),
            "time": pc.cast(times, _TIME),
        })
