"""The formulas: intervals, tests, divergence, association; each with its source."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import UnavailableError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "LEVEL",
    "benjamini_hochberg",
    "binomial_p",
    "chi2_p",
    "cramers_v",
    "effective_size",
    "expected_counts",
    "hypergeometric_p",
    "independence_p",
    "jensen_shannon",
    "katz",
    "mutual_information",
    "welch",
    "wilson",
]

Floats = npt.NDArray[np.float64]

LEVEL: Final = 0.95
"""Level of every interval."""

_Z: Final = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_LEAST_EXPECTED: Final = 5.0  # below it the chi-square distribution is no approximation
_DRAWS: Final = 999
_MOST_SHUFFLED: Final = 10**9  # samples that NumPy can shuffle


def _special() -> "ModuleType":
    try:
        from scipy import special
    except ImportError as error:
        raise UnavailableError(
            "SciPy is not installed", hint="pip install 'eo-training-data-lab[features]'"
        ) from error
    found: ModuleType = special
    return found


def wilson(count: npt.ArrayLike, size: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the interval of a share.

    Args:
        count: How many had it, in [0, size].
        size: Of how many, 0 or more.

    Returns:
        Lower and upper ends in [0, 1] at :data:`LEVEL`; 0 and 1 where the size is 0.

    References:
        Wilson (1927), JASA 22, 209-212.

    Examples:
        >>> [round(float(end), 3) for end in wilson(9, 25)]
        [0.202, 0.555]
    """
    n = np.asarray(size, np.float64)
    safe = np.maximum(n, 1)
    share = np.asarray(count, np.float64) / safe
    middle = (share + _Z**2 / (2 * safe)) / (1 + _Z**2 / safe)
    half = _Z / (1 + _Z**2 / safe) * np.sqrt(share * (1 - share) / safe + _Z**2 / (4 * safe**2))
    low = np.where(share <= 0, 0.0, np.maximum(0, middle - half))
    high = np.where(share >= 1, 1.0, np.minimum(1, middle + half))
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def katz(
    count: npt.ArrayLike, size: float, other: npt.ArrayLike, other_size: float
) -> tuple[Floats, Floats]:
    """Return the interval of the ratio of two shares that were both counted.

    Args:
        count: How many of the one had it.
        size: How many there were of the one, 1 or more.
        other: How many of the other had it.
        other_size: How many there were of the other, 1 or more.

    Returns:
        Lower and upper ends at :data:`LEVEL`; half a sample stands for none, and the lower end
        is 0 where the one has none.

    References:
        Katz et al. (1978), Biometrics 34, 469-474; the half is Walter's (1975).
    """
    a, b = np.asarray(count, np.float64) + 0.5, np.asarray(other, np.float64) + 0.5
    n, m = size + 0.5, other_size + 0.5
    spread = np.sqrt(np.maximum(0, 1 / a - 1 / n + 1 / b - 1 / m))
    middle = np.log(a / n) - np.log(b / m)
    low = np.where(np.asarray(count) > 0, np.exp(middle - _Z * spread), 0.0)
    return low, np.exp(middle + _Z * spread)


def binomial_p(count: npt.ArrayLike, size: int, share: npt.ArrayLike) -> Floats:
    """Return how probable a count at least as far off is by chance: exact, from both sides.

    Args:
        count: How many of ``size`` samples lie in the stratum.
        size: How many samples there are, 0 or more.
        share: What the stratum's share should be, in [0, 1].

    Returns:
        Twice the smaller tail, at most 1: never too small, so a test at 5 % errs at most so often.

    References:
        Clopper and Pearson (1934), Biometrika 26, 404-413.
    """
    special = _special()
    k = np.asarray(count, np.float64)
    p = np.asarray(share, np.float64)
    lower = np.asarray(special.bdtr(k, size, p), np.float64)
    upper = np.where(k > 0, special.bdtrc(np.maximum(k - 1, 0), size, p), 1.0)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(lower, upper)))


def hypergeometric_p(
    count: npt.ArrayLike, size: npt.ArrayLike, having: npt.ArrayLike, whole: npt.ArrayLike
) -> Floats:
    """Return how probable a count at least as far off is if a part is like the whole: exact.

    Args:
        count: How many of the part have something.
        size: How many there are in the part.
        having: How many of the whole have it.
        whole: How many there are in the whole.

    Returns:
        Twice the smaller tail, at most 1.

    References:
        Fisher (1935), J. R. Stat. Soc. 98, 39-82.

    Examples:
        >>> round(float(hypergeometric_p(3, 4, 4, 8)), 3)
        0.486
    """
    from scipy import stats

    k, n, m, total = (np.asarray(one, np.int64) for one in (count, size, having, whole))
    lower = stats.hypergeom.cdf(k, total, m, n)
    upper = stats.hypergeom.sf(k - 1, total, m, n)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(lower, upper)))


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """Return p-values corrected for how many there are.

    Flagging what is at most 0.05 keeps the expected share of false flags among all flags, and so
    the chance of any flag where there is no bias at all, at or below 5 %.

    References:
        Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57, 289-300.

    Examples:
        >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.9]).round(3).tolist()
        [0.04, 0.053, 0.053, 0.9]
    """
    values = np.asarray(p, np.float64)
    if not values.size:
        return values
    order = np.argsort(values)[::-1]
    steps = values[order] * values.size / np.arange(values.size, 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.minimum.accumulate(steps))
    return corrected


def jensen_shannon(one: Floats, other: Floats) -> float:
    """Return how far apart two distributions are.

    Args:
        one: Shares or counts, not all zero.
        other: Likewise, of the same strata.

    Returns:
        Bits in [0, 1]: 0 for equal, 1 for nothing in common.

    References:
        Lin (1991), IEEE Trans. Inf. Theory 37, 145-151.

    Examples:
        >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        1.0
    """
    p, q = one / one.sum(), other / other.sum()
    middle = (p + q) / 2
    return max(0.0, (_relative(p, middle) + _relative(q, middle)) / 2)


def _relative(p: Floats, q: Floats) -> float:
    there = p > 0
    return float((p[there] * np.log2(p[there] / q[there])).sum())


def effective_size(weights: Floats, counts: Floats) -> float:
    """Return how many equally weighted samples would tell as much.

    Args:
        weights: Weight of each group of samples, 0 or more.
        counts: How many samples each group has.

    References:
        Kish (1965), Survey Sampling, §11.7.

    Examples:
        >>> effective_size(np.array([1.0, 3.0]), np.array([50.0, 50.0]))
        80.0
    """
    squares = float((counts * weights**2).sum())
    return float((counts * weights).sum() ** 2 / squares) if squares else 0.0


def expected_counts(table: Floats) -> Floats:
    """Return the counts of a contingency table if its rows and columns were independent."""
    return np.asarray(np.outer(table.sum(1), table.sum(0)) / table.sum())


def _chi2(table: Floats) -> float:
    expected = expected_counts(table)
    there = expected > 0
    return float(((table - expected)[there] ** 2 / expected[there]).sum())


def cramers_v(table: Floats) -> float:
    """Return how strongly rows and columns hang together, corrected for small tables.

    Args:
        table: Counts, shape ``(rows, columns)``.

    Returns:
        [0, 1]; 0 where there is one row or column.

    References:
        Bergsma (2013), J. Korean Stat. Soc. 42, 323-328.

    Examples:
        >>> cramers_v(np.array([[50.0, 0.0], [0.0, 50.0]])) > 0.99
        True
        >>> cramers_v(np.array([[25.0, 25.0], [25.0, 25.0]]))
        0.0
    """
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    n = table.sum()
    rows, columns = table.shape
    if min(rows, columns) < 2 or n < 2:  # noqa: PLR2004 — one row has nothing to hang on
        return 0.0
    phi2 = max(0.0, _chi2(table) / n - (rows - 1) * (columns - 1) / (n - 1))
    least = min(
        rows - (rows - 1) ** 2 / (n - 1) - 1,
        columns - (columns - 1) ** 2 / (n - 1) - 1,
    )
    return float(min(1.0, np.sqrt(phi2 / least))) if least > 0 else 0.0


def mutual_information(table: Floats) -> float:
    """Return how many bits one of rows and columns tells of the other.

    References:
        Shannon (1948), Bell Syst. Tech. J. 27, 379-423.

    Examples:
        >>> mutual_information(np.array([[50.0, 0.0], [0.0, 50.0]]))
        1.0
    """
    joint = table / table.sum()
    product = np.outer(joint.sum(1), joint.sum(0))
    there = joint > 0
    return max(0.0, float((joint[there] * np.log2(joint[there] / product[there])).sum()))


def chi2_p(statistic: float, freedom: int) -> float:
    """Return the upper tail of the chi-square distribution."""
    return float(_special().chdtrc(freedom, statistic))


def independence_p(table: Floats, *, seed: int = 0) -> float:
    """Return how probable an association at least so strong is by chance.

    Args:
        table: Counts of two rows (having a class and not), shape ``(2, columns)``.
        seed: Of the shuffles that small tables are held to.

    Returns:
        The chi-square tail where every expected count is 5 or more; else from 999 shuffles of
        samples among strata, with a gamma tail fitted to them where none comes near.

    References:
        Pearson (1900), Phil. Mag. 50, 157-175; Cochran (1954), Biometrics 10, 417-451 (the 5);
        Knijnenburg et al. (2009), Bioinformatics 25, i161-i168 (fitted tails).
    """
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    rows, columns = table.shape
    if min(rows, columns) < 2:  # noqa: PLR2004 — one row has nothing to hang on
        return 1.0
    seen = _chi2(table)
    if expected_counts(table).min() >= _LEAST_EXPECTED:
        return chi2_p(seen, (rows - 1) * (columns - 1))
    generator = np.random.default_rng(seed)
    totals = table.sum(0).astype(np.int64)
    if totals.sum() >= _MOST_SHUFFLED:
        return chi2_p(seen, columns - 1)
    drawn = generator.multivariate_hypergeometric(
        totals, int(table[0].sum()), size=_DRAWS, method="marginals"
    ).astype(np.float64)
    share = table[0].sum() / table.sum()
    expected = totals * share
    # Both rows' deviations are equal, so one row tells the statistic of both.
    spread = ((drawn - expected) ** 2 / (expected * (1 - share))).sum(1)
    beyond = int((spread >= seen - 1e-9).sum())
    if beyond >= 10 or not spread.var():  # noqa: PLR2004 — enough shuffles to count
        return (beyond + 1) / (_DRAWS + 1)
    return _fitted_tail(spread, seen)


def _fitted_tail(spread: Floats, seen: float) -> float:
    # Never below what one table in ten thousand times the shuffles would show: a fit is a guess.
    shape = spread.mean() ** 2 / spread.var()
    scale = spread.var() / spread.mean()
    tail = float(_special().gammaincc(shape, seen / scale))
    return min(1.0, max(tail, 1e-7))


def welch(
    one: tuple[int, float, float], other: tuple[int, float, float]
) -> tuple[float, float, float, float]:
    """Return the difference of two means.

    Args:
        one: How many, their mean, their variance.
        other: Likewise.

    Returns:
        Difference, ends of its interval, p; NaN but for the difference where either has fewer
        than two.

    References:
        Welch (1947), Biometrika 34, 28-35.
    """
    (n, mean, variance), (m, other_mean, other_variance) = one, other
    difference = mean - other_mean
    if min(n, m) < 2:  # noqa: PLR2004 — one value has no spread
        return difference, np.nan, np.nan, np.nan
    a, b = variance / n, other_variance / m
    if a + b <= 0:
        return difference, difference, difference, 1.0 if difference == 0 else 0.0
    special: Any = _special()
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    half = float(special.stdtrit(freedom, 0.5 + LEVEL / 2)) * np.sqrt(a + b)
    p = 2 * float(special.stdtr(freedom, -abs(difference) / np.sqrt(a + b)))
    return difference, difference - half, difference + half, p
