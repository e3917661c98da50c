"""What a model could learn instead of the class: strata that come with it."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.bias.evidence import Contingency, Evidence
from registry.curate.bias.measure import Measure, corrected
from registry.curate.bias.statistics import (
    cramers_v,
    expected_counts,
    hypergeometric_p,
    independence_p,
    mutual_information,
    wilson,
)
from registry.curate.bias.words import kind, percent, plain

__all__ = ["association", "is_label_source", "is_split", "label_sources", "split_shift"]

Floats = npt.NDArray[np.float64]

_STRONG: Final = 0.2  # Cramér's V
_SHIFTED: Final = 0.1  # Cramér's V between subsets, which should be alike
_APART: Final = 0.2  # shares of a stratum within and without a class
_SOURCES: Final = frozenset({"annotator", "collection", "label method", "licence", "provider"})
_LEAST: Final = 5.0


def is_split(dimension: str) -> bool:
    """Return whether a dimension is a split's subsets."""
    return dimension.startswith("split ")


def is_label_source(dimension: str) -> bool:
    """Return whether a dimension is where labels come from."""
    return dimension in _SOURCES


def association(evidence: Evidence) -> list[Measure]:
    """Measure how strongly classes hang on strata.

    Returns:
        ``association`` (or ``label-source``) for each dimension and class: Cramér's V of having
        the class; without a class for samples of one class each: V of all classes. ``shortcut``
        for strata that are much more frequent in a class than outside it.
    """
    whole: list[Measure] = []
    shortcuts: list[Measure] = []
    for dimension in evidence.dimensions:
        if is_split(dimension):
            continue
        table = evidence.by_class(dimension)
        if len(table.rows) > 1 and table.columns:
            whole += _associations(dimension, table, evidence)
            shortcuts += _shortcuts(dimension, table)
    return [*corrected(whole), *(one for one in corrected(shortcuts) if one.flagged)]


def label_sources(evidence: Evidence) -> list[Measure]:
    """Measure whether annotators and methods draw different classes, by annotations.

    Returns:
        ``label-source`` for each kind of source of which there are two or more.
    """
    found = []
    for dimension, table in evidence.objects().items():
        if min(table.counts.shape) < 2:  # noqa: PLR2004 — one source has nobody to differ from
            continue
        strength, p = cramers_v(table.counts), _all_classes_p(table.counts)
        found.append(
            Measure(
                measure="label-source",
                dimension=f"{dimension} of annotations",
                value=strength,
                count=int(table.counts.sum()),
                p=p,
                matters=strength >= _STRONG,
                importance=strength,
                reference="independence within the dataset",
                unit="V",
                note=(
                    f"classes of annotations differ by {kind(dimension)}: Cramér's V "
                    f"{strength:.2f} over {len(table.rows)} of them"
                ),
            )
        )
    return corrected(found)


def split_shift(evidence: Evidence) -> list[Measure]:
    """Measure whether the subsets of a split differ in classes and strata.

    Returns:
        ``split-shift`` for each split with each class and each dimension.
    """
    found: list[Measure] = []
    for dimension in filter(is_split, evidence.dimensions):
        table = evidence.by_class(dimension)
        for place, name in enumerate(table.columns):
            having = table.counts[:, place]
            found += _shift(dimension, "class", np.stack([having, table.totals - having]), name)
    for one, other, pair in evidence.pairs():
        if is_split(one) != is_split(other):
            split, dimension = (one, other) if is_split(one) else (other, one)
            found += _shift(split, dimension, pair.counts, None)
    return corrected(found)


def _shift(split: str, what: str, counts: Floats, of_class: str | None) -> Iterator[Measure]:
    if min(counts.shape) < 2 or not counts.sum():  # noqa: PLR2004 — one has nothing to differ from
        return
    strength = cramers_v(counts)
    named = kind(what) if of_class is None else f"the share of {plain(of_class)}"
    yield Measure(
        measure="split-shift",
        dimension=f"{split} & {what}",
        of_class=of_class,
        value=strength,
        count=int(counts.sum()),
        p=_all_classes_p(counts),
        matters=strength >= _SHIFTED,
        importance=strength / 2,
        reference="equal subsets",
        unit="V",
        note=f"{named} differs between subsets of {split}: Cramér's V {strength:.2f}",
    )


def _associations(dimension: str, table: Contingency, evidence: Evidence) -> Iterator[Measure]:
    labelled = evidence.samples - evidence.facts["unlabelled"]
    single = sum(evidence.classes.values()) == labelled and len(evidence.classes) > 1
    name = "label-source" if is_label_source(dimension) else "association"
    if single:
        yield _association(name, dimension, table.counts.T, None, table)
    for place, one in enumerate(table.columns):
        having = table.counts[:, place]
        both = np.stack([having, table.totals - having])
        if min(both.sum(1)) >= _LEAST:
            yield _association(name, dimension, both, one, table)


def _association(
    measure: str, dimension: str, counts: Floats, of_class: str | None, table: Contingency
) -> Measure:
    strength, bits = cramers_v(counts), mutual_information(counts)
    what = "classes hang" if of_class is None else f"{plain(of_class)} hangs"
    return Measure(
        measure=measure,
        dimension=dimension,
        of_class=of_class,
        value=strength,
        count=int(counts.sum()),
        p=_all_classes_p(counts) if of_class is None else independence_p(counts),
        matters=strength >= _STRONG,
        importance=strength / 2,
        reference="independence within the dataset",
        unit="V",
        note=(
            f"{what} on {kind(dimension)}: Cramér's V {strength:.2f} over {len(table.rows)} "
            f"strata; knowing it tells {bits:.2g} bits"
        ),
    )


def _all_classes_p(counts: Floats) -> float:
    """Return the p-value of a table of any size; of sparse ones, of the row that differs most."""
    rows = counts[counts.sum(1) > 0]
    if rows.shape[0] < 2:  # noqa: PLR2004 — one row has nothing to hang on
        return 1.0
    if rows.shape[0] == 2 or expected_counts(rows).min() < _LEAST:  # noqa: PLR2004 — two rows
        # One row against the rest, the one that differs most: as many tests as rows (Bonferroni).
        least = min(independence_p(np.stack([row, rows.sum(0) - row])) for row in rows)
        return min(1.0, least * (1 if rows.shape[0] == 2 else rows.shape[0]))  # noqa: PLR2004 — two rows
    from registry.curate.bias.statistics import chi2_p

    expected = expected_counts(rows)
    there = expected > 0
    statistic = float((((rows - expected) ** 2)[there] / expected[there]).sum())
    return chi2_p(statistic, (rows.shape[0] - 1) * ((rows.sum(0) > 0).sum() - 1))


def _shortcuts(dimension: str, table: Contingency) -> Iterator[Measure]:
    whole = table.totals.sum()
    source = is_label_source(dimension)
    for column, one in enumerate(table.columns):
        having = table.counts[:, column]
        size, rest = having.sum(), whole - having.sum()
        if min(size, rest) < _LEAST:
            continue
        within, without = having / size, (table.totals - having) / rest
        p = _two_by_two(having, table.totals, size, whole)
        low, high = wilson(having, size)
        for row, stratum in enumerate(table.rows):
            share, other = float(within[row]), float(without[row])
            back = having[row] / table.totals[row]
            yield Measure(
                measure="shortcut",
                dimension=dimension,
                stratum=stratum,
                of_class=one,
                value=share - other,
                low=float(low[row]) - other,
                high=float(high[row]) - other,
                count=int(having[row]),
                expected=float(size * table.totals[row] / whole),
                share=share,
                reference_share=other,
                p=float(p[row]),
                matters=share - other >= _APART,
                importance=(share - other) * (0.5 if source else 0.9),
                reference="samples without the class",
                unit="share",
                note=(
                    f"{plain(stratum)} ⇒ {plain(one)}: {percent(share)} of {plain(one)} samples "
                    f"are in {kind(dimension)} {plain(stratum)}, {percent(other)} of others; "
                    f"{percent(float(back))} of those are {plain(one)}"
                ),
            )


def _two_by_two(having: Floats, totals: Floats, size: float, whole: float) -> Floats:
    """Return the p-value of each stratum being as frequent in a class as outside it."""
    from scipy import special

    expected = size * totals / whole
    least = np.minimum.reduce([
        expected,
        size - expected,
        totals - expected,
        whole - size - totals + expected,
    ])
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = expected * (1 - size / whole) * (1 - totals / whole) * whole / (whole - 1)
        # Yates's correction (1934): without it the tails of small tables come out too thin.
        off = np.maximum(0.0, np.abs(having - expected) - 0.5)
        p = np.where(spread > 0, special.chdtrc(1, off**2 / spread), 1.0)
    few = least < _LEAST
    p[few] = hypergeometric_p(having[few], size, totals[few], whole)
    return np.asarray(p)
