"""How far a figure could be off: bootstraps that draw groups of samples, and what seeds add.

Samples of one group (an event, a field, a scene) are alike, so whole groups are drawn: an interval
over samples taken for independent would be too narrow.

References:
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 13 (percentile intervals);
    Davison and Hinkley (1997), Bootstrap Methods and their Application, §3.8 (clusters).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.scoring import metrics
from registry.learn.scoring.statistics import Figures, Floats, Key, Statistics, Weights

__all__ = [
    "FEWEST_GROUPS", "LEVEL", "RESAMPLES", "Figure", "clusters_of", "draws", "few_groups",
    "measured", "paired", "pooled",
]  # fmt: skip

FEWEST_GROUPS: Final = 10
"""Groups below which an interval is narrower than it should be."""

RESAMPLES: Final = 1000
"""Draws of a bootstrap."""

LEVEL: Final = 0.95
"""Share of draws that an interval holds."""

_ROOM: Final = 1 << 22  # weights held at once
_FEW: Final = 2
_NORMAL: Final = 1.959963984540054  # quantile of the standard normal at 0.975
_STUDENT: Final = (
    12.7062,
    4.30265,
    3.18245,
    2.77645,
    2.57058,
    2.44691,
    2.36462,
    2.30600,
    2.26216,
    2.22814,
)  # of Student's t, by degrees of freedom from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One value with its interval; NaN where there is none."""

    value: float
    """Of all samples, each once."""

    low: float
    """Lower end of the 95 % interval."""

    high: float
    """Upper end."""

    count: int
    """Samples it rests on."""

    p: float = np.nan
    """Of a difference: how often draws lie on the other side of 0, twice; NaN else."""


def clusters_of(groups: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """Return the number of each sample's group; a sample without one is its own.

    Examples:
        >>> clusters_of(["fire", None, "fire", None]).tolist()
        [0, 1, 0, 2]
    """
    known: dict[object, int] = {}
    return np.array(
        [
            known.setdefault((place,) if one is None else one, len(known))
            for place, one in enumerate(groups)
        ],
        np.int64,
    )


def draws(
    clusters: npt.NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[Weights]:
    """Yield weights of samples, some draws at a time: each draws as many groups as there are.

    Args:
        clusters: Number of each sample's group, ``(sample,)``.
        resamples: How many draws, at least 1.
        seed: The same one draws the same groups.

    Yields:
        ``(draw, sample)``.
    """
    size = int(clusters.max()) + 1 if len(clusters) else 0
    random = np.random.default_rng(seed)
    step = max(1, _ROOM // max(1, len(clusters), size))
    for start in range(0, resamples if size else 0, step):
        count = min(step, resamples - start)
        drawn = random.integers(0, size, (count, size))
        cells = drawn + np.arange(count)[:, None] * size
        times = np.bincount(cells.reshape(-1), minlength=count * size).reshape(count, size)
        yield times.astype(np.float64)[:, clusters]


def measured(
    kept: Statistics,
    clusters: npt.NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[Key, Figure]:
    """Return every figure of a head's answers with its interval.

    Args:
        kept: What was kept of each sample.
        clusters: Number of each sample's group, in the order of ``kept``.
        resamples: Draws of the bootstrap; 0 for none.
        seed: Of the draws.

    Returns:
        By metric and class. There is no interval where fewer than two groups are.
    """
    point = metrics.figures(kept)
    drawn = _drawn(kept, clusters, resamples, seed) if _several(clusters) else {}
    having = metrics.support(kept).sum(0)
    counts = {one: int(having[place]) for place, one in enumerate(kept.classes)}
    found: dict[Key, Figure] = {}
    for key, values in point.items():
        low, high = _ends(drawn.get(key))
        count = len(kept) if key[1] is None else counts[key[1]]
        value = float(values[0])
        if np.isnan(value):
            low = high = np.nan
        elif np.isfinite(low):  # draws of few groups may all lie on one side of the figure
            low, high = min(low, value), max(high, value)
        found[key] = Figure(value=value, low=low, high=high, count=count)
    return found


def paired(
    ours: Sequence[Statistics],
    theirs: Sequence[Statistics],
    clusters: npt.NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[Key, Figure]:
    """Return the difference of every figure between two models on the same samples.

    Each draw takes the same groups for both, and where there are several seeds of a model, as
    many of them with repetition: so the interval holds what both samples and seeds leave open.

    Args:
        ours: One a seed of the one model, of the same samples in the same order.
        theirs: Of the other; the difference is ours - theirs.
        clusters: Number of each sample's group.
        resamples: Draws of the bootstrap.
        seed: Of the draws.

    Returns:
        By metric and class; the value is the difference of the means over seeds.

    Raises:
        InvalidInputError: The samples are not the same.
    """
    first = ours[0]
    if any(one.ids != first.ids for one in (*ours, *theirs)):
        raise InvalidInputError(
            "the two were scored on different samples",
            hint="evaluate both on one version, split and subset",
        )
    point = [[metrics.figures(one) for one in side] for side in (ours, theirs)]
    found: dict[Key, Figure] = {}
    several = _several(clusters)
    spread = [
        [_drawn(one, clusters, resamples, seed) if several else {} for one in side]
        for side in (ours, theirs)
    ]
    random = np.random.default_rng([seed, 1])
    chosen = [random.integers(0, len(side), (resamples, len(side))) for side in (ours, theirs)]
    for key in point[0][0]:
        if any(key not in one for side in point for one in side):
            continue
        means = [float(np.mean([one[key][0] for one in side])) for side in point]
        gaps = None
        if several:
            sides = [
                np.take_along_axis(np.stack([one[key] for one in side], axis=1), picks, 1).mean(1)
                for side, picks in zip(spread, chosen, strict=True)
            ]
            gaps = sides[0] - sides[1]
        low, high = _ends(gaps)
        found[key] = Figure(
            value=means[0] - means[1], low=low, high=high, count=len(first), p=_both_sides(gaps)
        )
    return found


def pooled(values: Sequence[float], widths: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of a figure over training seeds with its interval.

    The seeds were scored on the same samples, so what the samples leave open does not shrink with
    more seeds: its half width is the root of the mean square of theirs. What the seeds leave open
    is Student's t of their mean. Both add by squares.

    Args:
        values: One a seed.
        widths: Half the interval of each, by bootstrap.

    Returns:
        Mean, lower and upper end; of one seed the interval is of its samples alone.

    Examples:
        >>> mean, low, high = pooled([0.7, 0.8, 0.9], [0.0, 0.0, 0.0])
        >>> round(mean, 2), round(high - mean, 3)  # 4.303 * 0.1 / sqrt(3)
        (0.8, 0.248)
    """
    mean = float(np.mean(values))
    within = float(np.sqrt(np.mean(np.square(widths))))
    between = 0.0
    if len(values) >= _FEW:
        error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
        between = _student(len(values) - 1) * error
    half = float(np.hypot(within, between))
    return mean, mean - half, mean + half


def few_groups(groups: int) -> str | None:
    """Return what to read intervals with that few groups were drawn for; else None.

    Examples:
        >>> few_groups(4), few_groups(10)
        ('4 groups: intervals are too narrow', None)
    """
    return f"{groups} groups: intervals are too narrow" if 2 <= groups < FEWEST_GROUPS else None  # noqa: PLR2004 — of one group there is no interval


def _several(clusters: npt.NDArray[np.int64]) -> bool:
    return bool(len(clusters)) and int(clusters.max()) + 1 >= _FEW


def _drawn(kept: Statistics, clusters: npt.NDArray[np.int64], resamples: int, seed: int) -> Figures:
    parts = [
        metrics.figures(kept, weights)
        for weights in draws(clusters, resamples=resamples, seed=seed)
    ]
    return {
        key: np.concatenate([part[key] for part in parts]) for key in (parts[0] if parts else ())
    }


def _ends(drawn: Floats | None) -> tuple[float, float]:
    there = drawn[np.isfinite(drawn)] if drawn is not None else np.zeros(0)
    if not len(there):
        return np.nan, np.nan
    outside = (1 - LEVEL) / 2
    low, high = np.quantile(there, [outside, 1 - outside])
    return float(low), float(high)


def _both_sides(drawn: Floats | None) -> float:
    """Return the two-sided p of no difference, never 0: Davison and Hinkley (1997), eq. 4.11."""
    there = drawn[np.isfinite(drawn)] if drawn is not None else np.zeros(0)
    if not len(there):
        return np.nan
    tail = min(int((there <= 0).sum()), int((there >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(there) + 1))


def _student(freedom: int) -> float:
    """Return Student's t at 0.975: a table, beyond it the first terms of its expansion.

    References:
        Fisher and Cornish (1960), Technometrics 2, 209-225.
    """
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    first = (_NORMAL**3 + _NORMAL) / (4 * freedom)
    second = (5 * _NORMAL**5 + 16 * _NORMAL**3 + 3 * _NORMAL) / (96 * freedom**2)
    z = _NORMAL
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return z + first + second + third
