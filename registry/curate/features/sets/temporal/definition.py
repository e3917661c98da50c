"""The set: which temporal features there are, and what each needs."""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Final

import numpy as np

from registry.curate.features.definition import FeatureSet, Needs
from registry.curate.features.scene import MissingInputError, Scene
from registry.curate.features.sets.temporal.change import (
    CRITICAL,
    largest_break,
    mann_kendall,
    theil_sen,
)
from registry.curate.features.sets.temporal.columns import FEATURES
from registry.curate.features.sets.temporal.gaps import gaps
from registry.curate.features.sets.temporal.harmonic import Harmonics, design, fit
from registry.curate.features.sets.temporal.season import main_season
from registry.curate.features.sets.temporal.series import Series, series_of

__all__ = ["TEMPORAL"]

_FEWEST: Final = 6
_FOR_TWO_WAVES: Final = 12
_FOR_A_BREAK: Final = 12
_MOST: Final = 2_000
_SPAN_OF_A_WAVE: Final = 270.0
_SPAN_OF_A_BREAK: Final = 365.0
_SPAN_OF_A_TREND: Final = 548.0
_SEASONAL: Final = 0.3

Values = dict[str, object]


def _temporal(scene: Scene) -> Mapping[str, object]:
    series = series_of(scene)
    if not np.isfinite(series.values).any():
        raise MissingInputError(
            f"{series.name} was never observed, or never clear",
            hint="see its nodata value in the card, and its clouds",
        )
    lacking: list[str] = []
    found: Values = {
        "series": series.name,
        **gaps(series),
        **_waves(series, lacking),
        **_change(series, lacking),
    }
    return {**found, "lacking": "; ".join(lacking) or None}


def _enough(series: Series, fewest: int, span: float) -> str | None:
    """Return what a series lacks, or None."""
    dates = int(series.clear.sum())
    if dates < fewest:
        return f"{dates} clear dates of {fewest}"
    if dates > _MOST:
        return f"{dates:,} clear dates, {_MOST:,} at most"
    days = float(series.days[series.clear][-1] - series.days[series.clear][0])
    return f"{days:.0f} days of {span:.0f}" if days < span else None


def _shape(series: Series) -> tuple[int, bool]:
    """Return how many waves a series can tell, and whether a trend beside them."""
    days = series.days[series.clear]
    waves = 2 if len(days) >= _FOR_TWO_WAVES else 1
    return waves, bool(days[-1] - days[0] >= _SPAN_OF_A_TREND)


def _of_median(series: Series) -> Harmonics:
    harmonics, trend = _shape(series)
    years = series.years[series.clear]
    return fit(series.median[:, None], years, harmonics=harmonics, trend=trend)


def _waves(series: Series, lacking: list[str]) -> Values:
    if why := _enough(series, _FEWEST, _SPAN_OF_A_WAVE):
        lacking.append(f"harmonics and season: {why}")
        return {}
    harmonics, trend = _shape(series)
    each = fit(series.values, series.years, harmonics=harmonics, trend=trend)
    there = np.isfinite(each.mean)
    if not there.any():
        lacking.append("harmonics and season: dates that cannot tell the waves apart")
        return {}
    found: Values = {
        "harmonic_pixels": float(there.mean()),
        "harmonic_mean": float(each.mean[there].mean()),
        "harmonic_rmse": float(each.rmse[there].mean()),
    }
    if np.isfinite(each.r2).any():
        found["harmonic_r2"] = float(np.nanmean(each.r2))
    for number in range(1, harmonics + 1):
        height = each.amplitude[number - 1][there]
        found[f"amplitude_{number}"] = float(height.mean())
        found[f"amplitude_{number}_std"] = float(height.std())
        found[f"phase_{number}"] = each.phase(number)
    return found | _season(series, lacking)


def _season(series: Series, lacking: list[str]) -> Values:
    whole = _of_median(series)
    season = main_season(whole)
    if season is None or not whole.r2[0] >= _SEASONAL:
        explained = f"waves explain {whole.r2[0]:.2f} of the variance" if season else "a flat curve"
        lacking.append(f"season: {explained}")
        return {}
    return {
        "season_start": season.start,
        "season_peak": season.peak,
        "season_end": season.end,
        "season_length": season.length,
        "season_base": season.base,
        "season_amplitude": season.amplitude,
        "seasons": season.seasons,
    }


def _change(series: Series, lacking: list[str]) -> Values:
    found: Values = {}
    if why := _enough(series, _FEWEST, _SPAN_OF_A_TREND):
        lacking.append(f"trend: {why}")
    else:
        found |= _trend(series)
    if why := _enough(series, _FOR_A_BREAK, _SPAN_OF_A_BREAK):
        lacking.append(f"break: {why}")
        return found
    years = series.years[series.clear]
    trend = _shape(series)[1]
    change = largest_break(series.median, design(years, 1, trend=trend))
    if change is None:
        lacking.append("break: dates that cannot tell a step from the waves")
        return found
    return found | {
        "break_f": change.statistic,
        "break_shift": change.shift,
        "break_date": _dates(series)[change.first].date(),
        "break_found": change.statistic > CRITICAL,
    }


def _trend(series: Series) -> Values:
    years, whole = series.years[series.clear], _of_median(series)
    waves = design(years, len(whole.cosine), trend=False)[:, 1:]
    factors = np.stack([whole.cosine[:, 0], whole.sine[:, 0]], axis=1).reshape(-1)
    seasonal = np.einsum("tp,p->t", waves, factors)
    level = series.median - (seasonal if np.isfinite(factors).all() else 0.0)
    return {"trend": theil_sen(level, years), "trend_p": mann_kendall(level)}


def _dates(series: Series) -> list[datetime]:
    return [one for one, clear in zip(series.instants, series.clear, strict=True) if clear]


_ROOM: Final = "registry.curate.features.sets.temporal"

TEMPORAL: Final = FeatureSet(
    name="temporal",
    version=1,
    title="Temporal: annual waves, season, trend, break, gaps",
    features=FEATURES,
    needs=Needs(arrays=True),
    by_scene=_temporal,
    made_of=(
        "registry.curate.features.clear",
        "registry.curate.features.sets.grey",
        *(
            f"{_ROOM}.{name}"
            for name in ("change", "columns", "gaps", "harmonic", "season", "series")
        ),
        f"numpy=={version('numpy')}",
    ),
)
