"""Weights that make the samples look like the reference: raking over a few dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.bias.evidence import Evidence
from registry.curate.bias.measure import Measure
from registry.curate.bias.population import Population
from registry.curate.bias.sorting import UNKNOWN, sorted_out
from registry.curate.bias.statistics import effective_size
from registry.curate.bias.words import kind
from registry.curate.layers.strata import Lookup
from registry.tables.schemas import TableSchema, features_schema

__all__ = ["CAP", "NAME", "Weights", "effective", "rake", "raked_dimensions", "weigh"]

NAME: Final = "bias-weights"
"""Of the table ``features/bias-weights``."""

CAP: Final = 5.0
"""Greatest weight, in mean weights: what is rarer is left under-represented rather than noisy
(the trimming of Potter 1990, Proc. ASA Survey Research Methods, 225-230)."""

_WANTED: Final = ("continent", "climate_group", "elevation", "season")
_ROUNDS: Final = 200
_CLOSE: Final = 1e-9
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each combination of strata counts."""

    dimensions: tuple[str, ...]
    """Which were raked over."""

    factors: Mapping[tuple[str, ...], float] = field(repr=False)
    """Weight of a sample of each combination; one in the mean over all samples that have one."""

    counts: Mapping[tuple[str, ...], int] = field(repr=False)
    """How many samples each combination has."""

    reference: str
    """Name and version of what they make the samples look like."""

    @property
    def schema(self) -> pa.Schema:
        """Of the files that engines write."""
        return self.table_schema().arrow

    def table_schema(self) -> TableSchema:
        """Return the schema of ``features/bias-weights``, which says how they were made."""
        weight = pa.field(
            "weight",
            pa.float64(),
            metadata={"meaning": "mean one; null where the place or stratum is unknown"},
        )
        said = (
            ("eolab.bias.cap", f"{CAP:g}"),
            ("eolab.bias.dimensions", ",".join(self.dimensions)),
            ("eolab.bias.reference", self.reference),
        )
        return features_schema(NAME, [weight], said)

    @property
    def effective(self) -> float:
        """How many equally weighted samples tell as much as the weighted ones."""
        keys = list(self.factors)
        return effective_size(
            np.array([self.factors[key] for key in keys]),
            np.array([self.counts[key] for key in keys], np.float64),
        )


def raked_dimensions(population: Population) -> tuple[str, ...]:
    """Return the dimensions of a reference that weights are made for."""
    known = [name for name in _WANTED if len(population.shares(name)) > 1]
    return tuple(
        known or [one for one in population.dimensions if len(population.shares(one)) > 1][:2]
    )


def rake(evidence: Evidence, population: Population) -> Weights | None:
    """Return weights under which each dimension's shares are those of the reference.

    Strata without a sample cannot be weighted up: the reference's shares are those among strata
    that have samples.

    Returns:
        The weights; None if there is nothing to weight.

    References:
        Deming and Stephan (1940), Ann. Math. Stat. 11, 427-444 (iterative proportional fitting).
    """
    dimensions, counted = evidence.joint()
    shares = [population.shares(name) for name in dimensions]
    cells = {
        key: count
        for key, count in sorted(counted.items())
        if all(stratum in share for stratum, share in zip(key, shares, strict=True))
    }
    if not cells:
        return None
    keys = list(cells)
    counts = np.array(list(cells.values()), np.float64)
    margins = [_margin(keys, place, share) for place, share in enumerate(shares)]
    factors = _fitted(counts, margins)
    return Weights(
        dimensions=dimensions,
        factors=dict(zip(keys, factors.tolist(), strict=True)),
        counts=cells,
        reference=population.words,
    )


def _margin(
    keys: list[tuple[str, ...]], place: int, shares: Mapping[str, float]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    names = sorted({key[place] for key in keys})
    wanted = np.array([shares[name] for name in names])
    row_of = {name: row for row, name in enumerate(names)}
    return np.array([row_of[key[place]] for key in keys]), wanted / wanted.sum()


def _fitted(
    counts: npt.NDArray[np.float64],
    margins: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]],
) -> npt.NDArray[np.float64]:
    size = counts.sum()
    factors = np.ones_like(counts)
    for _ in range(_ROUNDS):
        before = factors.copy()
        for rows, wanted in margins:
            now = np.bincount(rows, counts * factors, len(wanted))
            factors *= (wanted * size / now)[rows]
        # Cut within the rounds, so that the others make up for it.
        factors = np.minimum(factors, CAP)
        factors *= size / (counts * factors).sum()
        if np.abs(factors - before).max() < _CLOSE:
            break
    for _ in range(_ROUNDS):  # at last the cap holds, and the mean is one
        factors = np.minimum(factors, CAP)
        factors *= size / (counts * factors).sum()
        if factors.max() <= CAP * (1 + _CLOSE):
            break
    return np.asarray(np.minimum(factors, CAP))


def weigh(
    samples: pa.Table, weights: Weights, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> pa.Table:
    """Return the weight of each sample.

    Args:
        samples: Rows of ``samples``, as :func:`registry.curate.bias.counting.tally` takes them.
        weights: Of combinations of strata.
        layers: Further strata by name.

    Returns:
        ``sample`` and ``weight``; null where a stratum is unknown or not in the reference.
    """
    columns = sorted_out(samples, layers)
    unknown = pa.repeat(UNKNOWN, samples.num_rows)
    parts = [
        columns[name].combine_chunks().cast(pa.string()) if name in columns else unknown
        for name in weights.dimensions
    ]
    keys = pc.binary_join_element_wise(*parts, _SEPARATOR)
    names = pa.array([_SEPARATOR.join(key) for key in weights.factors], pa.string())
    factors = pa.array(list(weights.factors.values()), pa.float64())
    weight = factors.take(pc.index_in(keys, value_set=names))
    if isinstance(weight, pa.ChunkedArray):
        weight = weight.combine_chunks()
    return pa.table([samples["id"], weight], schema=weights.schema)


def effective(weights: Weights, evidence: Evidence) -> Measure:
    """Return how many samples are left in effect once they are weighted."""
    size = sum(weights.counts.values())
    value = weights.effective
    greatest = max(weights.factors.values())
    over = ", ".join(map(kind, weights.dimensions))
    return Measure(
        measure="effective-size",
        dimension=" & ".join(weights.dimensions),
        value=value,
        count=size,
        share=value / size,
        expected=float(evidence.samples),
        importance=1 - value / size,
        reference=weights.reference,
        unit="samples",
        note=(
            f"weighted to look like {weights.reference} in {over}, as far as there are "
            f"samples, {size:,} tell as much as {value:,.0f}; greatest weight "
            f"{greatest:.2g} (cut at {CAP:g})"
        ),
    )
