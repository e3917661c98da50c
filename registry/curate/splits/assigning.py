"""Which subset each sample goes to: pure functions of numbers and a seed.

Samples that must stay together form a unit: a group, a block on the ground, a country. Subsets are
numbered in the order of their shares.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.splits.shares import Shares

__all__ = ["NOWHERE", "by_stratum", "by_time", "by_unit", "folds_of"]

Codes = npt.NDArray[np.int64]

NOWHERE: Final = -1
"""Of a sample that is in no subset."""

_PLACED_ONE_BY_ONE: Final = 4096  # units; the many small ones after them need no care


def by_stratum(strata: Codes, shares: Shares, *, seed: int) -> Codes:
    """Return subsets in which every stratum has its share, as nearly as whole samples allow.

    What rounding leaves over in one stratum is made up for in the next, so that the totals are
    exact to within a sample for each subset.

    Args:
        strata: The stratum of each sample.
        shares: Of the subsets.
        seed: Another one draws others.

    Examples:
        >>> np.bincount(by_stratum(np.zeros(10, np.int64), Shares.of(), seed=0)).tolist()
        [8, 1, 1]
    """
    rng = np.random.default_rng(seed)
    found = np.full(len(strata), NOWHERE, np.int64)
    owed = np.zeros(len(shares.wanted))
    order = np.argsort(strata, kind="stable")
    starts = np.flatnonzero(np.diff(strata[order], prepend=-2))
    members = np.split(order, starts[1:]) if len(order) else []
    for own in sorted(members, key=len, reverse=True):
        exact = np.asarray(shares.wanted) * len(own) + owed
        counts = _rounded(exact, len(own))
        owed = exact - counts
        found[rng.permutation(own)] = np.repeat(np.arange(len(counts)), counts)
    return found


def by_unit(units: Codes, shares: Shares, *, seed: int, weights: Codes | None = None) -> Codes:
    """Return subsets that keep units whole, with shares as near to the wanted as they allow.

    Large units are placed first, each where most is lacking.

    Args:
        units: The unit of each sample, from 0.
        shares: Of the subsets.
        seed: Another one places others.
        weights: How much each sample counts; 1 if None.
    """
    sizes = np.bincount(units, weights=weights).astype(np.float64)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    lacking = np.asarray(shares.wanted) * sizes.sum()
    chosen = np.zeros(len(sizes), np.int64)
    for unit in order[:_PLACED_ONE_BY_ONE]:
        subset = int(np.argmax(_urgency(lacking, shares, sizes[unit])))
        chosen[unit] = subset
        lacking[subset] -= sizes[unit]
    rest = rng.permutation(order[_PLACED_ONE_BY_ONE:])
    if len(rest):
        edges = np.cumsum(np.maximum(lacking, 0))
        middles = np.cumsum(sizes[rest]) - sizes[rest] / 2
        places = np.searchsorted(edges, middles * edges[-1] / sizes[rest].sum())
        chosen[rest] = np.minimum(places, len(edges) - 1)
    return _none_empty(chosen, sizes, len(shares.wanted))[units]


def by_time(moments: Codes, shares: Shares) -> Codes:
    """Return subsets in the order of time, the first one earliest; equal times stay together.

    Each cut is where a moment begins, as near to what the shares want as leaves every subset one.

    Args:
        moments: When each sample was taken, as a number; at least as many as there are subsets.
        shares: Of the subsets.

    Examples:
        >>> by_time(np.array([7, 7, 7, 7, 7, 7, 8, 9]), Shares.of()).tolist()
        [0, 0, 0, 0, 0, 0, 1, 2]
    """
    distinct, counts = np.unique(moments, return_counts=True)
    before = np.cumsum(counts) - counts
    firsts: list[int] = []
    for cut in np.cumsum(shares.counts(len(moments)))[:-1]:
        least = firsts[-1] + 1 if firsts else 1
        most = len(distinct) - (len(shares.subsets) - 1 - len(firsts))
        firsts.append(least + int(np.argmin(np.abs(before[least : most + 1] - cut))))
    return np.searchsorted(distinct[firsts], moments, side="right").astype(np.int64)


def folds_of(units: Codes, count: int, *, seed: int, strata: Codes | None = None) -> Codes:
    """Return the fold of each sample, from 0; folds are about equal in size.

    Args:
        units: What must stay together.
        count: Of folds.
        seed: Another one draws others.
        strata: Where given, each fold gets its share of every one; for units of one sample.
    """
    names = tuple(f"test:{number}" for number in range(count))
    even = Shares(subsets=names, wanted=(1 / count,) * count)
    if strata is not None:
        return by_stratum(strata, even, seed=seed)
    return by_unit(units, even, seed=seed)


def _none_empty(chosen: Codes, sizes: npt.NDArray[np.float64], subsets: int) -> Codes:
    """Return subsets of units where one that got none has the smallest of whoever has most."""
    for subset in range(subsets):
        counts = np.bincount(chosen, minlength=subsets)
        if counts[subset] or counts.max() < 2:  # noqa: PLR2004 — one unit cannot be shared
            continue
        own = np.flatnonzero(chosen == int(counts.argmax()))
        chosen[own[np.argmin(sizes[own])]] = subset
    return chosen


def _urgency(
    lacking: npt.NDArray[np.float64], shares: Shares, size: float
) -> npt.NDArray[np.float64]:
    """Return how much each subset wants a unit: those that it does not overfill before others."""
    fits = lacking >= size / 2
    wants: npt.NDArray[np.float64] = np.where(
        fits, lacking / np.asarray(shares.wanted), lacking - lacking.max() - 1
    )
    return wants


def _rounded(exact: npt.NDArray[np.float64], total: int) -> Codes:
    counts = np.floor(np.maximum(exact, 0) + 1e-9).astype(np.int64)
    while counts.sum() > total:
        counts[np.argmax(counts - exact)] -= 1
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts
