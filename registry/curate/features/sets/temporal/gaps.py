"""How often and how evenly a place was seen."""

import numpy as np

from registry.curate.features.sets.temporal.series import Series

__all__ = ["gaps"]


def gaps(series: Series) -> dict[str, float | int]:
    """Return how densely a series was observed.

    Args:
        series: Of one sample.

    Returns:
        ``observations`` and ``clear_observations``, counts of time steps; ``clear_share``, the
        mean share of pixels that were clear; ``span_days`` from the first to the last;
        ``longest_gap_days`` between clear ones in succession; ``median_revisit_days`` between
        distinct times in succession. What needs two times is left out with one.
    """
    found: dict[str, float | int] = {
        "observations": len(series.instants),
        "clear_observations": int(series.clear.sum()),
        "clear_share": float(series.clear_share.mean()),
        "span_days": float(series.days[-1] - series.days[0]),
    }
    visits = np.diff(np.unique(series.days))
    if visits.size:
        found["median_revisit_days"] = float(np.median(visits))
    clear = np.diff(series.days[series.clear])
    if clear.size:
        found["longest_gap_days"] = float(clear.max())
    return found
