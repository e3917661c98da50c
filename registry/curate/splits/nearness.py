"""How near samples of different subsets lie to each other, on the ground and in time."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers.places import earth_centred
from registry.curate.layers.placing import centres
from registry.errors import UnavailableError

__all__ = ["Places", "apart_in_time", "buffered", "places_of"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_CORNERS: Final = (("xmin", "ymin"), ("xmin", "ymax"), ("xmax", "ymin"), ("xmax", "ymax"))


class Places:
    """Where samples are, in kilometres from the Earth's centre, and how far they reach."""

    def __init__(self, points: Floats, reach: Floats, lon: Floats, lat: Floats) -> None:
        """Take places.

        Args:
            points: ``(sample, 3)`` in kilometres; NaN where a sample has no place.
            reach: From each centre to the farthest corner of its box, in kilometres.
            lon: Longitudes of the centres in degrees.
            lat: Latitudes of the centres in degrees.
        """
        self.points, self.reach, self.lon, self.lat = points, reach, lon, lat

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which samples have a place."""
        return np.asarray(np.isfinite(self.points).all(axis=1))

    def nearest(self, own: Codes, others: Codes) -> tuple[Floats, Codes]:
        """Return how far each sample is from the nearest of some others, centre to centre.

        Args:
            own: Positions of the samples.
            others: Positions of the others, at least one.

        Returns:
            Kilometres, and the position of the nearest.
        """
        tree = _tree(self.points[others])
        distance, which = tree.query(self.points[own], k=1)
        return np.asarray(distance, np.float64), others[np.asarray(which, np.int64)]


def places_of(samples: pa.Table) -> Places:
    """Return where samples are, from their boxes.

    Args:
        samples: With ``bbox``, or ``geometry``.
    """
    lon, lat = centres(samples)
    points = earth_centred(lon, lat)
    reach = np.zeros(len(lon))
    if "bbox" in samples.column_names:
        boxes = samples["bbox"].combine_chunks()
        for x, y in _CORNERS:
            corner = earth_centred(_numbers(boxes, x), _numbers(boxes, y))
            with np.errstate(invalid="ignore"):
                reach = np.fmax(reach, np.linalg.norm(corner - points, axis=1))
    return Places(points, reach, lon, lat)


def buffered(places: Places, subsets: Codes, *, buffer_km: float) -> Codes:
    """Return subsets without the samples that are nearer than a buffer to one of a later subset.

    Later subsets judge earlier ones, so it is the earlier that gives way: training samples to all
    others, validation samples to those for tests. Between what is left, no footprint of one subset
    is nearer than the buffer to one of another.

    Args:
        places: Of all samples, each known.
        subsets: Of each, -1 for none.
        buffer_km: The least distance between footprints.
    """

    def near(own: Codes, later: Codes) -> npt.NDArray[np.bool_]:
        distance, _ = places.nearest(own, later)
        between = distance - places.reach[own] - places.reach[later].max()
        return np.asarray(between < buffer_km)

    return _giving_way(subsets, near)


def apart_in_time(begin: Codes, end: Codes, subsets: Codes, *, gap: int) -> Codes:
    """Return subsets without the samples that are within a gap of one of a later subset.

    The earlier subset gives way, whether it was taken before or after.

    Args:
        begin: When each sample begins, as a number.
        end: When it ends, not before.
        subsets: Of each, -1 for none.
        gap: Between the end of one and the beginning of another there is more than this.

    Examples:
        >>> moments = np.arange(6)
        >>> apart_in_time(moments, moments, np.array([0, 0, 0, 1, 1, 1]), gap=1).tolist()
        [0, 0, -1, 1, 1, 1]
    """

    def near(own: Codes, later: Codes) -> npt.NDArray[np.bool_]:
        begun = np.searchsorted(np.sort(begin[later]), end[own] + gap, side="right")
        over = np.searchsorted(np.sort(end[later]), begin[own] - gap, side="left")
        return np.asarray(begun > over)

    return _giving_way(subsets, near)


def _giving_way(subsets: Codes, near: Callable[[Codes, Codes], npt.NDArray[np.bool_]]) -> Codes:
    """Return subsets without what is too near to what is left of later ones, the last first."""
    kept = subsets.copy()
    for subset in range(int(subsets.max(initial=0)) - 1, -1, -1):
        own, later = np.flatnonzero(kept == subset), np.flatnonzero(kept > subset)
        if len(own) and len(later):
            kept[own[near(own, later)]] = -1
    return kept


def _numbers(boxes: pa.StructArray, corner: str) -> Floats:
    values = pc.cast(pc.struct_field(boxes, corner), pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _tree(points: Floats) -> Any:  # noqa: ANN401 — SciPy publishes no types
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise UnavailableError(
            "distances between samples need SciPy, which is not installed",
            hint="install it: pip install 'eo-training-data-lab[features]'",
        ) from error
    return cKDTree(points)
