"""When samples were taken: gaps, empty months, the balance of the year."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.bias.evidence import Evidence
from registry.curate.bias.measure import Measure, corrected
from registry.curate.bias.representation import TOLERANCE
from registry.curate.bias.statistics import binomial_p, jensen_shannon, wilson
from registry.curate.bias.words import percent, times

__all__ = ["timing"]

_YEAR: Final = "the days of a year"
_MONTH_DAYS: Final = np.array([31, 28.2425, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_NAMES: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_LONG_DAYS: Final = 31
_DRAWS: Final = 499
_UNEVEN: Final = 0.05


def timing(evidence: Evidence) -> list[Measure]:
    """Measure gaps in time and how evenly the year is covered.

    Returns:
        ``gap`` (the longest, in days), ``empty-months`` (of the span), ``month`` (each month of
        the year against its days), ``season-balance`` (evenness of the twelve, 1 is even).
    """
    days, counts = evidence.days()
    if not len(days):
        return []
    dates = days.astype("datetime64[D]")
    month = dates.astype("datetime64[M]").astype(np.int64)
    of_year = np.bincount(month % 12, counts, 12).astype(np.int64)
    return [
        *corrected(_gap(days, counts)),
        _empty_months(month),
        *corrected(_months(of_year)),
        *corrected([_balance(of_year)]),
    ]


def _gap(days: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> Iterator[Measure]:
    if len(days) < 2:  # noqa: PLR2004 — a gap lies between two
        return
    gaps = np.diff(days)
    longest = int(gaps.argmax())
    size, span, gap = int(counts.sum()), int(days[-1] - days[0]), int(gaps[longest])
    # Of n points at random on a line, at least one gap of a share g has at most this probability.
    # Samples of one day come together, so days are what is scattered.
    p = min(1.0, (len(days) - 1) * (1 - gap / span) ** max(0, len(days) - 2)) if gap < span else 1.0
    first, last = (str(days[place].astype("datetime64[D]")) for place in (longest, longest + 1))
    yield Measure(
        measure="gap",
        dimension="time",
        stratum=f"{first}/{last}",
        value=float(gap),
        count=size,
        share=gap / span,
        p=p,
        matters=gap > _LONG_DAYS,
        importance=gap / span / 2,
        reference="days at random between the first and the last",
        unit="day",
        note=f"no sample for {gap:,} days between {first} and {last} ({percent(gap / span)} of "
        "the time covered)",
    )


def _empty_months(month: npt.NDArray[np.int64]) -> Measure:
    there = np.unique(month)
    span = int(there[-1] - there[0]) + 1
    missing = span - len(there)
    ends = [str(np.int64(end).astype("datetime64[M]")) for end in (there[0], there[-1])]
    return Measure(
        measure="empty-months",
        dimension="time",
        value=float(missing),
        count=span,
        share=missing / span,
        importance=missing / span / 4,
        reference="calendar months from the first to the last sample",
        unit="month",
        note=f"{missing:,} of {span:,} months from {ends[0]} to {ends[1]} have no sample",
    )


def _months(of_year: npt.NDArray[np.int64]) -> Iterator[Measure]:
    size = int(of_year.sum())
    shares = _MONTH_DAYS / _MONTH_DAYS.sum()
    low, high = wilson(of_year, size)
    p = binomial_p(of_year, size, shares)
    for place, name in enumerate(_NAMES):
        share, expected = of_year[place] / size, float(shares[place])
        ratio = share / expected
        yield Measure(
            measure="month",
            dimension="month",
            stratum=f"{place + 1:02d}",
            value=ratio,
            low=float(low[place]) / expected,
            high=float(high[place]) / expected,
            count=int(of_year[place]),
            expected=size * expected,
            share=share,
            reference_share=expected,
            p=float(p[place]),
            matters=not TOLERANCE[0] <= ratio <= TOLERANCE[1],
            importance=abs(share - expected) / 2,
            reference=_YEAR,
            unit="ratio",
            note=f"{name}: {of_year[place]:,} of {size:,} samples, {times(ratio)} its share of "
            "the year",
        )


def _balance(of_year: npt.NDArray[np.int64]) -> Measure:
    size = int(of_year.sum())
    shares = _MONTH_DAYS / _MONTH_DAYS.sum()
    found = of_year / size
    there = found > 0
    even = abs(float((found[there] * np.log(found[there])).sum() / np.log(12)))  # never -0
    apart = jensen_shannon(of_year.astype(np.float64), shares)
    drawn = np.random.default_rng(0).multinomial(size, shares, size=_DRAWS)
    chance = np.array([jensen_shannon(row.astype(np.float64), shares) for row in drawn])
    return Measure(
        measure="season-balance",
        dimension="month",
        value=even,
        count=size,
        p=float((1 + (chance >= apart).sum()) / (_DRAWS + 1)),
        matters=apart >= _UNEVEN,
        importance=(1 - even) / 2,
        reference=_YEAR,
        unit="evenness",
        note=f"the months of the year are covered with evenness {even:.2f} (1 is even, 0 is one "
        f"month); {int((~there).sum())} of 12 have no sample",
    )
