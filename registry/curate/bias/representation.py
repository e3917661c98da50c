"""Who is over- and under-represented: shares of samples beside shares of a reference."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.bias.evidence import ALL, OTHERS, Evidence
from registry.curate.bias.measure import Measure, corrected
from registry.curate.bias.population import Population
from registry.curate.bias.statistics import (
    LEVEL,
    binomial_p,
    hypergeometric_p,
    jensen_shannon,
    katz,
    wilson,
)
from registry.curate.bias.words import kind, percent, plain, times
from registry.curate.layers.population import LAND, LAND_AND_ICE

__all__ = ["TOLERANCE", "classes", "compared", "outside", "representation", "shares"]

Floats = npt.NDArray[np.float64]

TOLERANCE: Final = (0.8, 1.25)
"""Ratios within it are never flagged, however sure they are: the four-fifths rule and its inverse
(EEOC, Uniform Guidelines, 29 CFR §1607.4 D, 1978)."""

LANDS: Final = frozenset({LAND, LAND_AND_ICE})
"""Populations outside of which lies the sea."""

_FAR: Final = 0.05  # bits of divergence that matter
_DRAWS: Final = 499
_MISSING: Final = 0.001  # share of the reference that it matters to miss


def outside(evidence: Evidence, population: Population) -> int:
    """Return how many samples lie where the reference has nothing, in its best-known dimension."""
    beyond = [
        sum(
            count
            for name, count in evidence.strata(one).items()
            if name not in population.shares(one)
        )
        for one in evidence.dimensions
        if population.shares(one)
    ]
    return max(beyond, default=0)


def representation(evidence: Evidence, population: Population) -> list[Measure]:
    """Compare each stratum's share of the samples with its share of the reference.

    Returns:
        ``representation`` for each stratum of the reference, ``empty`` for those without a
        sample, ``divergence`` for each dimension. All strata of all dimensions are corrected
        together.
    """
    ratios: list[Measure] = []
    divergences: list[Measure] = []
    for dimension in evidence.dimensions:
        shares = population.shares(dimension)
        found = evidence.strata(dimension)
        counts = np.array([found.get(name, 0) for name in shares], np.int64)
        if len(shares) > 1 and counts.sum() and OTHERS not in found:
            whole = _of_whom(evidence, dimension, int(counts.sum()), population)
            ratios += _ratios(dimension, shares, counts, population, whole)
            divergences.append(_divergence(dimension, shares, counts, population))
    ratios = corrected(ratios)
    return [*ratios, *_empty(ratios, population), *corrected(divergences)]


def _of_whom(
    evidence: Evidence, dimension: str, size: int, population: Population
) -> tuple[str, str]:
    """Return of which samples shares are, in words, and where the others are."""
    unknown = evidence.unknown(dimension)
    strange = sum(evidence.strata(dimension).values()) - size
    if not unknown and not strange:
        return f"{size:,} samples", ""
    inside = "on land" if population.name in LANDS else f"that {population.name} knows of"
    others = ((strange, "outside"), (unknown, "unknown"))
    said = [f"{count:,} of {evidence.samples:,} are {what}" for count, what in others if count]
    return f"the {size:,} samples {inside}", "; " + ", ".join(said)


def _ratios(
    dimension: str,
    shares: dict[str, float],
    counts: npt.NDArray[np.int64],
    population: Population,
    whom: tuple[str, str],
) -> Iterator[Measure]:
    size = int(counts.sum())
    expected_shares = np.array(list(shares.values()))
    low, high, p = compared(counts, size, expected_shares, population.counted([dimension]))
    for place, (stratum, reference_share) in enumerate(shares.items()):
        count = int(counts[place])
        share = count / size
        ratio = share / reference_share
        yield Measure(
            measure="representation",
            dimension=dimension,
            stratum=stratum,
            value=ratio,
            low=float(low[place]),
            high=float(high[place]),
            count=count,
            expected=size * reference_share,
            share=share,
            reference_share=reference_share,
            p=float(p[place]),
            matters=not TOLERANCE[0] <= ratio <= TOLERANCE[1],
            importance=abs(share - reference_share),
            reference=population.words,
            unit="ratio",
            note=(
                f"{kind(dimension)} {plain(stratum)}: {count:,} of {whom[0]} "
                f"({percent(share)}), but {percent(reference_share)} of {population.name}: "
                f"{times(ratio)} its share{whom[1]}"
            ),
        )


def compared(
    counts: npt.NDArray[np.int64], size: int, shares: Floats, sampled: int | None
) -> tuple[Floats, Floats, Floats]:
    """Return how sure ratios of shares are.

    Args:
        counts: How many samples each stratum has, shape ``(strata,)``.
        size: How many there are in all, 1 or more.
        shares: Shares of the reference, in (0, 1].
        sampled: How many samples the reference was counted from, which makes it less certain;
            None if it is known as a whole.

    Returns:
        Lower and upper ends of the ratios, and p-values; shape of ``counts``.
    """
    if sampled is None:
        low, high = wilson(counts, size)
        return low / shares, high / shares, binomial_p(counts, size, shares)
    others = np.rint(shares * sampled).astype(np.int64)
    low, high = katz(counts, size, others, sampled)
    return low, high, hypergeometric_p(counts, size, counts + others, size + sampled)


def _empty(ratios: list[Measure], population: Population) -> Iterator[Measure]:
    for one in ratios:
        if one.count or one.reference_share < _MISSING:
            continue
        size = round(one.expected / one.reference_share)
        chance = math.exp(size * math.log1p(-min(one.reference_share, 1 - 1e-12)))
        yield Measure(
            measure="empty",
            dimension=one.dimension,
            stratum=one.stratum,
            value=one.reference_share,
            count=0,
            expected=one.expected,
            share=0.0,
            reference_share=one.reference_share,
            p=chance,
            q=one.q,
            flagged=one.flagged,
            importance=one.importance,
            reference=population.words,
            unit="share",
            note=(
                f"{kind(one.dimension or '')} {plain(one.stratum or '')}: no sample, though it is "
                f"{percent(one.reference_share)} of {population.name}; chance alone leaves it "
                f"empty with probability {chance:.2g}"
            ),
        )


def _divergence(
    dimension: str, shares: dict[str, float], counts: npt.NDArray[np.int64], population: Population
) -> Measure:
    expected = np.array(list(shares.values()))
    size = int(counts.sum())
    value = jensen_shannon(counts.astype(np.float64), expected)
    generator = np.random.default_rng(0)
    by_chance = _divergences(generator, size, expected, expected)
    if (sampled := population.counted([dimension])) is not None:  # both were
        others = generator.multinomial(sampled, expected, size=_DRAWS) / sampled
        ours = generator.multinomial(size, expected, size=_DRAWS) / size
        pairs = zip(ours, others, strict=True)
        by_chance = np.array([jensen_shannon(one, other) for one, other in pairs])
    again = _divergences(generator, size, counts / size, expected)
    low, high = np.quantile(again, [0.025, 0.975])
    usual = float(by_chance.mean())
    p = float((1 + (by_chance >= value).sum()) / (_DRAWS + 1))
    return Measure(
        measure="divergence",
        dimension=dimension,
        value=value,
        low=float(low) if p <= 1 - LEVEL else 0.0,  # no draw is alike to the last sample
        high=float(high),
        count=size,
        p=p,
        matters=value >= _FAR,
        importance=value,
        reference=population.words,
        unit="bit",
        note=(
            f"{kind(dimension)}: divergence {value:.2g} from {population.name} (0 is alike, 1 has "
            f"nothing in common; chance alone gives {usual:.2g})"
        ),
    )


def _divergences(
    generator: np.random.Generator, size: int, shares: Floats, expected: Floats
) -> Floats:
    drawn = generator.multinomial(size, shares / shares.sum(), size=_DRAWS)
    return np.array([jensen_shannon(row.astype(np.float64), expected) for row in drawn])


def shares(evidence: Evidence, population: Population) -> Iterator[Measure]:
    """Yield plain shares of strata that the reference says nothing of, and what is not known."""
    whole = evidence.samples
    for dimension in evidence.dimensions:
        unknown = evidence.unknown(dimension)
        if unknown:
            yield Measure(
                measure="unknown", dimension=dimension, value=unknown / whole, count=unknown,
                share=unknown / whole, reference="all samples", unit="share",
                note=f"{kind(dimension)}: unknown for {unknown:,} of {whole:,} samples",
            )  # fmt: skip
        known = population.shares(dimension)
        found = evidence.strata(dimension)
        stray = {name: count for name, count in found.items() if name not in known}
        size = sum(found.values())
        what = "share" if not known else "outside"
        most = bool(known) and 2 * sum(stray.values()) > whole
        for stratum, count in stray.items():
            low, high = wilson(count, size)
            yield Measure(
                measure=what,
                dimension=dimension,
                stratum=stratum,
                value=count / size,
                low=float(low),
                high=float(high),
                count=count,
                share=count / size,
                matters=most,
                flagged=most,  # nothing is tested: most of what was collected is not compared
                importance=count / size if most else 0.0,
                reference="samples of which it is known" if not known else population.words,
                unit="share",
                note=(
                    f"{kind(dimension)} {plain(stratum)}: {count:,} of {size:,} samples"
                    + ("" if not known else f", where {population.name} has nothing")
                ),
            )


def classes(evidence: Evidence) -> Iterator[Measure]:
    """Yield each class's share of the samples, and how far the classes are from even."""
    found, whole = evidence.classes, evidence.samples
    for name, count in found.items():
        low, high = wilson(count, whole)
        yield Measure(
            measure="class", dimension=ALL, of_class=name, value=count / whole, low=float(low),
            high=float(high), count=count, share=count / whole, reference="all samples",
            unit="share", note=f"{plain(name)}: {count:,} of {whole:,} samples",
        )  # fmt: skip
    if len(found) > 1:
        most, least = next(iter(found.items())), list(found.items())[-1]
        yield Measure(
            measure="class-imbalance", dimension=ALL, value=most[1] / least[1], count=whole,
            reference="all samples", unit="ratio",
            note=f"{plain(most[0])} has {most[1]:,} samples, {plain(least[0])} {least[1]:,}",
        )  # fmt: skip
