"""One figure of a report, and how many of them become a table."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from registry.curate.bias.statistics import benjamini_hochberg
from registry.tables.schemas import MEASURES

__all__ = ["ALPHA", "Measure", "corrected", "measures_table"]

ALPHA: Final = 0.05
"""Highest corrected p-value that is flagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure; the columns of ``reports/bias`` say what its attributes mean."""

    measure: str
    """What was measured."""

    dimension: str | None = None
    """What samples are sorted by."""

    stratum: str | None = None
    """One value of the dimension."""

    of_class: str | None = None
    """Class concerned."""

    value: float = math.nan
    """The figure; NaN where it cannot be had."""

    low: float = math.nan
    """Lower end of its interval."""

    high: float = math.nan
    """Upper end of its interval."""

    count: int | None = None
    """How many samples it rests on."""

    expected: float = math.nan
    """How many there would be without bias."""

    share: float = math.nan
    """Share of the samples."""

    reference_share: float = math.nan
    """Share of the reference."""

    p: float = math.nan
    """How probable chance alone makes it; NaN where nothing is tested."""

    q: float = math.nan
    """The same, corrected for how many were tested."""

    matters: bool = False
    """Whether it is large enough to be flagged once it is beyond chance."""

    flagged: bool = False
    """Whether it is."""

    importance: float = 0.0
    """How far up in the report it stands, in [0, 1]: about the share of samples concerned."""

    reference: str
    """What it was compared with, and which version."""

    unit: str
    """Unit of value, low and high."""

    note: str
    """The same in words."""

    @property
    def id(self) -> str:
        """What names it: the measure, and a digest of what it is about."""
        about = json.dumps([self.dimension, self.stratum, self.of_class], ensure_ascii=True)
        return f"{self.measure}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def corrected(family: Iterable[Measure]) -> list[Measure]:
    """Return figures that were tested together with q and flag."""
    found = list(family)
    tested = [place for place, one in enumerate(found) if not math.isnan(one.p)]
    q = benjamini_hochberg([found[place].p for place in tested])
    for place, value in zip(tested, q.tolist(), strict=True):
        one = found[place]
        found[place] = replace(one, q=value, flagged=one.matters and value <= ALPHA)
    return found


def measures_table(measures: Sequence[Measure]) -> pa.Table:
    """Return figures as ``reports/bias``, most important first."""
    order = sorted(measures, key=lambda one: (not one.flagged, -one.importance, one.id))
    columns: dict[str, pa.Array] = {}
    for field in MEASURES.arrow:
        name = "of_class" if field.name == "class" else field.name
        values = [getattr(one, name) for one in order]
        if pa.types.is_floating(field.type):
            numbers = np.array(values, np.float64)
            columns[field.name] = pa.array(numbers, mask=~np.isfinite(numbers))
        else:
            columns[field.name] = pa.array(values, field.type)
    return pa.table(columns, schema=MEASURES.arrow)
