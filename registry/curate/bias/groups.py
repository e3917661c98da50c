"""Two strata together; targets and scores of groups beside everybody else's."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.bias.association import is_label_source, is_split
from registry.curate.bias.counting import STEPS, Recipe
from registry.curate.bias.evidence import ALL, Contingency, Evidence
from registry.curate.bias.measure import Measure, corrected
from registry.curate.bias.population import Population
from registry.curate.bias.representation import TOLERANCE, compared
from registry.curate.bias.sorting import UNKNOWN
from registry.curate.bias.statistics import (
    chi2_p,
    cramers_v,
    expected_counts,
    hypergeometric_p,
    welch,
    wilson,
)
from registry.curate.bias.words import amount, kind, percent, plain, times

__all__ = ["intersections", "scores", "targets"]

Floats = npt.NDArray[np.float64]

_KEPT: Final = 100
_SAME: Final = 0.95  # Cramér's V beyond which one dimension says the other
_LEAST: Final = 5.0
_LEAST_MEAN: Final = 10  # samples whose mean and spread can be told from chance
_PART_OF_A_DEVIATION: Final = 0.2  # Cohen's small effect
_POINTS: Final = 0.05  # of score that matter


def intersections(evidence: Evidence, population: Population) -> tuple[list[Measure], int]:
    """Find combinations of two strata that are rarer or more frequent than they should be.

    What they should be is the reference's own share where it knows both dimensions, else that of
    two dimensions of the dataset that do not hang together.

    Returns:
        The 100 most important ``intersection`` that are flagged; how many were looked at.
    """
    found: list[Measure] = []
    for one, other, table in evidence.pairs():
        if any(is_split(name) or is_label_source(name) for name in (one, other)):
            continue
        if min(table.counts.shape) < 2 or cramers_v(table.counts) >= _SAME:  # noqa: PLR2004 — one stratum
            continue
        known = set(population.dimensions)
        if {one, other} <= known:
            found += _beside_reference((one, other), table, population)
        else:
            found += _beside_independence((one, other), table)
    flagged = [figure for figure in corrected(found) if figure.flagged]
    flagged.sort(key=lambda figure: (-figure.importance, figure.id))
    return flagged[:_KEPT], len(found)


def _beside_reference(
    names: tuple[str, str], table: Contingency, population: Population
) -> Iterator[Measure]:
    shares = population.joint(names)
    counted = {
        (row, column): int(table.counts[i, j])
        for i, row in enumerate(table.rows)
        for j, column in enumerate(table.columns)
    }
    inside = {key: counted.get((key[0], key[1]), 0) for key in shares}
    size = sum(inside.values())
    if size:
        expected = np.array(list(shares.values()))
        keys = [(key[0], key[1]) for key in shares]
        yield from _intersections(
            names, keys, np.array(list(inside.values())), size, expected, population
        )


def _beside_independence(names: tuple[str, str], table: Contingency) -> Iterator[Measure]:
    size = int(table.counts.sum())
    shares = expected_counts(table.counts) / size
    keys = [(row, column) for row in table.rows for column in table.columns]
    yield from _intersections(names, keys, table.counts.ravel(), size, shares.ravel(), None)


def _intersections(
    names: tuple[str, str],
    keys: list[tuple[str, str]],
    counts: npt.NDArray[np.generic],
    size: int,
    shares: Floats,
    population: Population | None,
) -> Iterator[Measure]:
    found = counts.astype(np.float64)
    sampled = population.counted(names) if population else None
    low, high, p = compared(counts.astype(np.int64), size, shares, sampled)
    reference = population.words if population else "independence within the dataset"
    beside = f"of {population.name}" if population else "expected of the two"
    for place, (first, second) in enumerate(keys):
        count, expected = int(found[place]), float(shares[place])
        ratio = count / size / expected
        yield Measure(
            measure="intersection",
            dimension=" & ".join(names),
            stratum=f"{first} & {second}",
            value=ratio,
            low=float(low[place]),
            high=float(high[place]),
            count=count,
            expected=size * expected,
            share=count / size,
            reference_share=expected,
            p=float(p[place]),
            matters=not TOLERANCE[0] <= ratio <= TOLERANCE[1],
            importance=abs(count / size - expected) * 0.7,
            reference=reference,
            unit="ratio",
            note=(
                f"{kind(names[0])} {plain(first)} & {kind(names[1])} {plain(second)}: {count:,} of "
                f"{size:,} samples, {times(ratio)} the {percent(expected)} {beside}"
            ),
        )


def targets(evidence: Evidence, recipe: Recipe, unit: str) -> list[Measure]:
    """Compare the mean target of each stratum with everybody else's.

    Args:
        evidence: What was counted.
        recipe: Has the range of the target.
        unit: Of the target, as the card says.

    Returns:
        ``target`` for each stratum; nothing where no sample has one.
    """
    found = evidence.targets()
    whole = found.get(ALL, {}).get(ALL)
    if whole is None or recipe.low is None or recipe.high is None or whole[0] < 2:  # noqa: PLR2004 — one has no spread
        return []
    step = (recipe.high - recipe.low) / STEPS
    spread = float(np.sqrt(_moments(whole, recipe.low, step)[2]))
    figures: list[Measure] = []
    for dimension, strata in found.items():
        for stratum, sums in sorted(strata.items()):
            rest = (whole[0] - sums[0], whole[1] - sums[1], whole[2] - sums[2])
            if dimension == ALL or stratum == UNKNOWN or min(sums[0], rest[0]) < 2:  # noqa: PLR2004 — one has no spread
                continue
            one, other = (_moments(part, recipe.low, step) for part in (sums, rest))
            difference, low, high, p = welch(one, other)
            enough = min(one[0], other[0]) >= _LEAST_MEAN
            figures.append(
                Measure(
                    measure="target",
                    dimension=dimension,
                    stratum=stratum,
                    value=difference,
                    low=low,
                    high=high,
                    count=one[0],
                    share=one[0] / whole[0],
                    p=p if enough else float("nan"),
                    matters=abs(difference) >= _PART_OF_A_DEVIATION * spread,
                    importance=min(1.0, abs(difference) / (spread or 1)) * one[0] / whole[0],
                    reference="all other samples",
                    unit=unit,
                    note=(
                        f"{kind(dimension)} {plain(stratum)}: mean target {amount(one[1])}, "
                        f"{amount(other[1])} elsewhere ({one[0]:,} samples)"
                    ),
                )
            )
    return corrected(figures)


def _moments(sums: tuple[int, int, int], low: float, step: float) -> tuple[int, float, float]:
    """Return count, mean and variance of targets from the sums of their steps."""
    count, total, squares = sums
    # Whole numbers as long as possible: the difference of two large floats would be noise.
    spread = (squares * count - total * total) / (count * max(1, count - 1))
    return count, low + step * total / count, step * step * spread


def scores(evidence: Evidence) -> list[Measure]:
    """Compare how often predictions are right in each stratum with everybody else.

    Returns:
        ``score`` overall, for each class, and for each stratum; flagged where a stratum is worse.
    """
    found = evidence.scores()
    overall = found.get((ALL, None), {}).get(ALL)
    if overall is None:
        return []
    figures = [_overall(overall, None)]
    for (dimension, one), strata in found.items():
        if dimension == ALL and one is not None and one in evidence.classes:
            figures.append(_overall(strata[ALL], one))
    tested: list[Measure] = []
    for (dimension, one), strata in found.items():
        if one is None and dimension != ALL:
            tested += [
                _score(dimension, stratum, counts, overall)
                for stratum, counts in sorted(strata.items())
                if stratum != UNKNOWN and counts[0] < overall[0]
            ]
    return [*figures, *corrected(tested)]


def _overall(counts: tuple[int, int], of_class: str | None) -> Measure:
    size, right = counts
    low, high = wilson(right, size)
    what = "predictions" if of_class is None else f"samples of {plain(of_class)}"
    return Measure(
        measure="score", dimension=ALL, of_class=of_class, value=right / size, low=float(low),
        high=float(high), count=size, importance=0.3 if of_class is None else 0.0,
        reference="labels of the version", unit="share",
        note=f"{percent(right / size)} of {size:,} {what} are predicted right",
    )  # fmt: skip


def _score(
    dimension: str, stratum: str, counts: tuple[int, int], overall: tuple[int, int]
) -> Measure:
    size, right = counts
    others, others_right = overall[0] - size, overall[1] - right
    share, other = right / size, others_right / others
    low, high = wilson(right, size)
    return Measure(
        measure="score",
        dimension=dimension,
        stratum=stratum,
        value=share,
        low=float(low),
        high=float(high),
        count=size,
        share=size / overall[0],
        reference_share=other,
        p=_difference_p(right, size, others_right, others),
        matters=share <= other - _POINTS,
        importance=max(0.0, other - share),
        reference="predictions elsewhere",
        unit="share",
        note=(
            f"{kind(dimension)} {plain(stratum)}: {percent(share)} of {size:,} predictions are "
            f"right, {percent(other)} elsewhere"
        ),
    )


def _difference_p(right: int, size: int, other: int, other_size: int) -> float:
    table = np.array([[right, size - right], [other, other_size - other]], np.float64)
    if not table.sum(0).all():
        return 1.0
    expected = expected_counts(table)
    if expected.min() < _LEAST:
        return float(hypergeometric_p(right, size, right + other, size + other_size))
    return chi2_p(float(((table - expected) ** 2 / expected).sum()), 1)
