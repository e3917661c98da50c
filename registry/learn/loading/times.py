"""When the frames of a batch were taken, and which of its arrays are real."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.learn.loading.columns import column, numbers
from registry.learn.loading.fitting import Fit, frames_of
from registry.learn.loading.places import Places

__all__ = ["times_of"]


def times_of(
    places: Mapping[str, Places],
    fits: Mapping[str, Fit],
    rows: pa.Table,
    samples: npt.NDArray[np.int64],
) -> tuple[dict[str, npt.NDArray[np.bool_]], dict[str, npt.NDArray[np.datetime64]]]:
    """Return what is valid in a batch and, for series, when it was taken.

    Args:
        places: Where each asset lies.
        fits: What each looks like in a batch.
        rows: Rows of the table of assets.
        samples: Numbers of the batch's samples.

    Returns:
        As :attr:`Batch.valid` and :attr:`Batch.times`.
    """
    valid: dict[str, npt.NDArray[np.bool_]] = {}
    times: dict[str, npt.NDArray[np.datetime64]] = {}
    for name, fit in fits.items():
        place = places[name]
        form = place.form[samples]
        if not fit.series:
            valid[name] = form >= 0
            continue
        lengths = np.array([*(shape[0] for _, shape in place.forms), 0], np.int64)
        picked = frames_of(lengths[form], fit.frames)  # form -1 is the 0 at the end
        valid[name] = picked >= 0
        times[name] = _times(rows, place.rows[samples], picked)
    return valid, times


def _times(
    rows: pa.Table, at: npt.NDArray[np.int64], picked: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    found = np.full(picked.shape, np.datetime64("NaT", "us"))
    lists = rows["times"].combine_chunks().take(column(np.maximum(at, 0)))
    lengths = numbers(pc.list_value_length(lists), 0)
    starts = np.cumsum(lengths) - lengths
    since = pc.list_flatten(lists).cast(pa.timestamp("us")).view(pa.int64())
    flat = numbers(since, np.iinfo(np.int64).min).view("M8[us]")  # the least of all means unknown
    known = (picked >= 0) & (picked < lengths[:, None]) & (at >= 0)[:, None]
    found[known] = flat[(starts[:, None] + picked)[known]]
    return found
