"""What the set's columns are called and mean."""

from typing import Final

import pyarrow as pa

from registry.curate.features.definition import Feature
from registry.curate.features.sets.temporal.change import CRITICAL

__all__ = ["FEATURES"]

_OURS: Final = "this lab"
_LSQ: Final = "Menenti et al. (1993), doi:10.1016/0273-1177(93)90550-U"
_JE: Final = "Jönsson, Eklundh (2004), doi:10.1016/j.cageo.2004.05.006"
_SEN: Final = "Sen (1968), doi:10.1080/01621459.1968.10480934"
_MK: Final = "Mann (1945), doi:10.2307/1907187"
_BREAK: Final = "Andrews (1993), doi:10.2307/2951764, and (2003), doi:10.1111/1468-0262.00405"
_MODEL: Final = "y = m + b t + sum_k a_k cos(2 pi k t) + b_k sin(2 pi k t), per pixel"
_CURVE: Final = "of the waves fitted to the series of medians"

_SAID: Final = (
    (
        "series",
        "what was followed",
        "NDVI, else VH/VV (VH-VV in dB), else the first band",
        "1",
        _OURS,
    ),
    ("observations", "time steps", "count", "1", _OURS),
    ("clear_observations", "time steps with half of the pixels clear", "count", "1", _OURS),
    ("clear_share", "share of pixels that were clear", "mean over time steps", "1", _OURS),
    ("span_days", "from the first time step to the last", "t_n - t_1", "d", _OURS),
    ("longest_gap_days", "longest time without a clear observation", "max t_i+1 - t_i", "d", _OURS),
    ("median_revisit_days", "usual time between observations", "median t_i+1 - t_i", "d", _OURS),
    ("harmonic_pixels", "share of pixels that could be fitted", "fitted / all", "1", _LSQ),
    (
        "harmonic_mean",
        "level in the middle of the series, mean of pixels",
        f"m; {_MODEL}",
        "series unit",
        _LSQ,
    ),
    (
        "harmonic_rmse",
        "what the waves leave, mean of pixels",
        f"RMSE; {_MODEL}",
        "series unit",
        _LSQ,
    ),
    ("harmonic_r2", "what the waves explain, mean of pixels", f"R²; {_MODEL}", "1", _LSQ),
    (
        "amplitude_1",
        "half the height of the annual wave, mean of pixels",
        "hypot(a_1, b_1)",
        "series unit",
        _LSQ,
    ),
    (
        "amplitude_1_std",
        "the same, standard deviation over pixels",
        "hypot(a_1, b_1)",
        "series unit",
        _LSQ,
    ),
    (
        "phase_1",
        "peak of the annual wave of all pixels",
        "1 + 365.25 atan2(b_1, a_1) / 2 pi",
        "day of year",
        _LSQ,
    ),
    (
        "amplitude_2",
        "half the height of the half-annual wave, mean of pixels",
        "hypot(a_2, b_2)",
        "series unit",
        _LSQ,
    ),
    (
        "amplitude_2_std",
        "the same, standard deviation over pixels",
        "hypot(a_2, b_2)",
        "series unit",
        _LSQ,
    ),
    (
        "phase_2",
        "first peak of the half-annual wave of all pixels",
        "1 + 365.25 atan2(b_2, a_2) / 4 pi",
        "day of year",
        _LSQ,
    ),
    ("season_start", "start of the main season", f"20 % of the rise, {_CURVE}", "day of year", _JE),
    ("season_peak", "peak of the main season", f"maximum {_CURVE}", "day of year", _JE),
    (
        "season_end",
        "end of the main season; before its start if New Year is between",
        f"20 % of the fall, {_CURVE}",
        "day of year",
        _JE,
    ),
    ("season_length", "from start to end", "end - start, around New Year", "d", _JE),
    (
        "season_base",
        "level out of season",
        f"mean of the minima on both sides, {_CURVE}",
        "series unit",
        _JE,
    ),
    ("season_amplitude", "from base to peak", "peak - base", "series unit", _JE),
    (
        "seasons",
        "how many seasons a year has",
        "peaks of at least a quarter of the height",
        "1",
        _JE,
    ),
    (
        "trend",
        "change per year without the season",
        "median (y_j - y_i) / (t_j - t_i)",
        "series unit/a",
        _SEN,
    ),
    ("trend_p", "how likely such a trend is by chance", "two-sided Mann-Kendall", "1", _MK),
    (
        "break_f",
        "F of the most likely break",
        "max F over the middle 70 %, beside waves and line",
        "1",
        _BREAK,
    ),
    (
        "break_shift",
        "how much higher the level is after it",
        "coefficient of the step",
        "series unit",
        _BREAK,
    ),
    ("break_date", "first clear date after it", "argmax F", "date", _BREAK),
    (
        "break_found",
        "whether chance exceeds this F in less than 5 %",
        f"break_f > {CRITICAL}",
        "1",
        _BREAK,
    ),
    ("lacking", "why values are missing", "in words", "1", _OURS),
)

_TYPES: Final = {
    "series": pa.string(),
    "lacking": pa.string(),
    "observations": pa.int64(),
    "clear_observations": pa.int64(),
    "seasons": pa.int64(),
    "break_date": pa.date32(),
    "break_found": pa.bool_(),
}


FEATURES: Final = tuple(
    Feature(
        name=name,
        meaning=meaning,
        formula=formula,
        unit=unit,
        source=source,
        type=_TYPES.get(name, pa.float64()),
    )
    for name, meaning, formula, unit, source in _SAID
)
"""The columns in order."""
