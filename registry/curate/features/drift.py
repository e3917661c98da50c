"""How a feature set moved between two versions, feature by feature.

References:
    Siddiqi (2006), "Credit Risk Scorecards", p. 79 (population stability index: under 0.1 stable,
    above 0.25 a shift).
    Hodges (1958), "The significance probability of the Smirnov two-sample test", Arkiv för
    Matematik 3, 469-486; the two-sample bound at level 0.001 is 1.949 √((n + m) / nm).
    Ramdas, García Trillos & Cuturi (2017), "On Wasserstein two-sample testing", Entropy 19(2), 47.
    Lin (1991), "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37(1).
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.version import Version
from registry.curate.features.getting import features
from registry.curate.features.matrix import numeric_columns
from registry.curate.features.records import record_at
from registry.errors import InvalidInputError

__all__ = ["DRIFT", "drift"]

DRIFT: Final = pa.schema([
    pa.field("feature", pa.string(), metadata={"meaning": "which; [n] is an element of a list"}),
    pa.field("kind", pa.string(), metadata={"meaning": "number or category"}),
    pa.field("before", pa.int64(), metadata={"meaning": "values there were"}),
    pa.field("after", pa.int64(), metadata={"meaning": "values there are"}),
    pa.field("missing_before", pa.float64(), metadata={"meaning": "share of null, [0, 1]"}),
    pa.field("missing_after", pa.float64(), metadata={"meaning": "share of null, [0, 1]"}),
    pa.field("psi", pa.float64(), metadata={"meaning": "population stability index, ≥ 0"}),
    pa.field("ks", pa.float64(), metadata={"meaning": "Kolmogorov-Smirnov distance, [0, 1]"}),
    pa.field("wasserstein", pa.float64(), metadata={"meaning": "in standard deviations of before"}),
    pa.field("shift", pa.float64(), metadata={"meaning": "standardised mean difference"}),
    pa.field("js", pa.float64(), metadata={"meaning": "Jensen-Shannon divergence, bits, [0, 1]"}),
    pa.field("flag", pa.string(), metadata={"meaning": "none, slight or strong"}),
])
"""A row a feature."""

_BINS: Final = 10
_SLIGHT, _STRONG = 0.1, 0.25
_MISSING_MOVED: Final = 0.1
_KS_BOUND: Final = 1.949  # at level 0.001
_NORMAL_999: Final = 3.09

Numbers = npt.NDArray[np.float64]


def drift(before: Version, after: Version, name: str) -> pa.Table:
    """Return how far each feature of a set moved between two versions.

    Args:
        before: The version that is compared with.
        after: The version that is looked at; of the same dataset or another.
        name: The set; computed on both, by the same recipe.

    Returns:
        Rows of :data:`DRIFT`, the greatest movement first. A feature is flagged where its
        stability index or its divergence is above 0.1 (slight) or 0.25 (strong) and chance alone
        would not do that to samples of this size, or where 10 % more or fewer values are missing.

    Raises:
        InvalidInputError: The two tables are of different recipes, so nothing can be said.
    """
    said = [record_at(one.derived, name) for one in (before, after)]
    if all(said) and len({one.recipe for one in said if one}) > 1:
        raise InvalidInputError(
            f"features '{name}' of {before.ref} and {after.ref} are of different recipes",
            hint=f"compute one again: eolab features compute {before.ref} --set {name} --again",
        )
    was, is_ = features(before, [name]), features(after, [name])
    rows = []
    for column in (one for one in was.column_names if one != "sample"):
        if column not in is_.column_names:
            continue
        label = column.removeprefix(f"{name}.")
        if _is_text(was.schema.field(column).type):
            rows.append(_of_categories(label, was.column(column), is_.column(column)))
            continue
        mine = dict(numeric_columns(label, was.column(column)))
        other = dict(numeric_columns(label, is_.column(column)))
        rows += [_of_numbers(part, mine[part], other[part]) for part in mine if part in other]
    rows.sort(key=lambda row: (-max(row["psi"] or 0.0, row["js"] or 0.0), row["feature"]))
    return pa.Table.from_pylist(rows, DRIFT)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_boolean(kind))


def _of_numbers(label: str, was: Numbers, is_: Numbers) -> dict[str, Any]:
    one, other = np.sort(was[np.isfinite(was)]), np.sort(is_[np.isfinite(is_)])
    row = _counted(label, "number", (len(was), len(is_)), (len(one), len(other)))
    if not len(one) or not len(other):
        return row
    psi, bins = stability(one, other)
    ks = smirnov(one, other)
    spread = float(one.std())
    row |= {
        "psi": psi,
        "ks": ks,
        "wasserstein": distance(one, other) / spread if spread else None,
        "shift": (float(other.mean()) - float(one.mean())) / spread if spread else None,
    }
    by_chance = psi <= _noise(bins, len(one), len(other)) and ks <= _ks_bound(len(one), len(other))
    row["flag"] = _worse(row["flag"], "none" if by_chance else _flag(psi))
    return row


def _of_categories(label: str, was: pa.ChunkedArray, is_: pa.ChunkedArray) -> dict[str, Any]:
    one, other = was.drop_null(), is_.drop_null()
    row = _counted(label, "category", (len(was), len(is_)), (len(one), len(other)))
    if not len(one) or not len(other):
        return row
    counts = [
        {str(item["values"]): item["counts"] for item in pc.value_counts(side).to_pylist()}
        for side in (one, other)
    ]
    names = sorted({*counts[0], *counts[1]})
    p, q = (np.array([side.get(name, 0) for name in names], np.float64) for side in counts)
    js, psi = divergence(p / p.sum(), q / q.sum()), _psi(p, q)
    row |= {"js": js, "psi": psi}
    by_chance = psi <= _noise(len(names), len(one), len(other))
    row["flag"] = _worse(row["flag"], "none" if by_chance else _flag(psi))
    return row


def _counted(
    label: str, kind: str, all_rows: tuple[int, int], there: tuple[int, int]
) -> dict[str, Any]:
    missing = [1 - n / total if total else 0.0 for n, total in zip(there, all_rows, strict=True)]
    moved = abs(missing[1] - missing[0])
    flag = "strong" if moved > _STRONG else "slight" if moved > _MISSING_MOVED else "none"
    return {
        "feature": label, "kind": kind, "before": there[0], "after": there[1],
        "missing_before": missing[0], "missing_after": missing[1], "psi": None, "ks": None,
        "wasserstein": None, "shift": None, "js": None, "flag": flag,
    }  # fmt: skip


def _flag(figure: float) -> str:
    return "strong" if figure > _STRONG else "slight" if figure > _SLIGHT else "none"


def _worse(one: str, other: str) -> str:
    order = ("none", "slight", "strong")
    return max(one, other, key=order.index)


# ------------------------------------------------------------------------------------- figures
def stability(was: Numbers, is_: Numbers) -> tuple[float, int]:
    """Return the population stability index over tenths of ``was``, and how many bins it has.

    Args:
        was: Finite values, sorted.
        is_: Likewise.
    """
    edges = np.unique(np.quantile(was, np.linspace(0, 1, _BINS + 1)[1:-1]))
    p = np.bincount(np.searchsorted(edges, was, side="right"), minlength=len(edges) + 1)
    q = np.bincount(np.searchsorted(edges, is_, side="right"), minlength=len(edges) + 1)
    return _psi(p.astype(np.float64), q.astype(np.float64)), len(edges) + 1


def _psi(p: Numbers, q: Numbers) -> float:
    # half a value in each bin, so that an empty one is finite
    one, other = (p + 0.5) / (p.sum() + 0.5 * len(p)), (q + 0.5) / (q.sum() + 0.5 * len(q))
    return float(np.sum((one - other) * np.log(one / other)))


def _noise(bins: int, n: int, m: int) -> float:
    """Return what the index stays below by chance in 999 of 1,000: chi-squared, scaled."""
    degrees = max(bins - 1, 1)
    # Wilson & Hilferty (1931): the cube root of chi-squared is nearly normal
    cube = 1 - 2 / (9 * degrees) + _NORMAL_999 * math.sqrt(2 / (9 * degrees))
    return degrees * cube**3 * (1 / n + 1 / m)


def smirnov(was: Numbers, is_: Numbers) -> float:
    """Return the greatest distance of two distributions' shares, both sorted."""
    at = np.concatenate([was, is_])
    one = np.searchsorted(was, at, side="right") / len(was)
    other = np.searchsorted(is_, at, side="right") / len(is_)
    return float(np.abs(one - other).max())


def _ks_bound(n: int, m: int) -> float:
    return _KS_BOUND * math.sqrt((n + m) / (n * m))


def distance(was: Numbers, is_: Numbers) -> float:
    """Return the first Wasserstein distance of two sorted samples, in their unit."""
    at = np.sort(np.concatenate([was, is_]))
    one = np.searchsorted(was, at[:-1], side="right") / len(was)
    other = np.searchsorted(is_, at[:-1], side="right") / len(is_)
    return float(np.sum(np.abs(one - other) * np.diff(at)))


def divergence(p: Sequence[float] | Numbers, q: Sequence[float] | Numbers) -> float:
    """Return the Jensen-Shannon divergence of two distributions, in bits.

    Examples:
        >>> divergence([1.0, 0.0], [0.0, 1.0])
        1.0
    """
    one, other = np.asarray(p, np.float64), np.asarray(q, np.float64)
    middle = (one + other) / 2

    def towards(side: Numbers) -> float:
        there = side > 0
        return float(np.sum(side[there] * np.log2(side[there] / middle[there])))

    return (towards(one) + towards(other)) / 2
