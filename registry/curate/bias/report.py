"""What an audit found: one row a measure, and the small tables that maps and plots are drawn of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.bias.cells import cell_bounds
from registry.curate.bias.counting import CELLS, DAYS, STRATA, Recipe

__all__ = ["BiasReport", "Reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Something figures were compared with, or that said which stratum a place lies in."""

    name: str
    """Such as ``land`` or ``koppen-geiger``."""

    version: str
    """Version or content id."""

    about: str = ""
    """What it is, in a sentence, with its licence where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasReport:
    """The measures of bias of one ref; the same tree, reference and rules give the same report."""

    ref: str
    """What was measured, as a ref: ``ships@v2``."""

    commit: str
    """The commit it stands at."""

    content_id: str
    """Content id of the tree, in hex."""

    against: str
    """Name and version of the reference population: ``land (1.0)``."""

    engine: str
    """``library`` or ``spark``: who counted. The figures do not depend on it."""

    rules: str
    """SHA-256 in hex over the thresholds and the version of the measures."""

    samples: int
    """How many samples there are."""

    unplaced: int
    """How many of them have no place; they are in no spatial measure."""

    undated: int
    """How many have no time; they are in no measure of time."""

    unlabelled: int
    """How many have no class."""

    outside: int
    """How many lie where the reference population has nothing, such as at sea."""

    withdrawn: str | None
    """Why the version was withdrawn; None if it stands."""

    recipe: Recipe
    """How samples were counted."""

    measures: pa.Table = field(repr=False, compare=False)
    """One row a measure, most important first, with the columns of ``reports/bias``."""

    counts: pa.Table = field(repr=False, compare=False)
    """What every measure follows from: the columns of
    :data:`registry.curate.bias.counting.COUNTS`."""

    population: pa.Table = field(repr=False, compare=False)
    """Shares of the reference: ``dimension``, ``stratum``, ``share`` in [0, 1], summing to one a
    dimension."""

    references: tuple[Reference, ...] = ()
    """What was compared with, and which layers sorted the samples."""

    predictions: int | None = None
    """How many predictions were given, of samples that are here or not; None if none were asked
    for."""

    remarks: tuple[str, ...] = ()
    """What a reader has to know besides, in sentences."""

    @property
    def cell_km(self) -> float:
        """Edge of the equal-area cells in kilometres."""
        return self.recipe.cell_km

    @property
    def table(self) -> pa.Table:
        """The measures."""
        return self.measures

    @property
    def flagged(self) -> int:
        """How many measures are beyond chance and large enough to matter."""
        return int(pc.sum(self.measures["flagged"]).as_py() or 0)

    def of(self, measure: str, dimension: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of a measure, most important first.

        Args:
            measure: Such as ``representation``, ``shortcut`` or ``empty``.
            dimension: Only of this dimension; of all if None.
        """
        chosen = pc.field("measure") == measure
        if dimension is not None:
            chosen &= pc.field("dimension") == dimension
        rows: list[dict[str, Any]] = self.measures.filter(chosen).to_pylist()
        return rows

    def dimensions(self) -> list[str]:
        """Return what samples are sorted by, such as ``continent`` and ``season``."""
        found = self.counts.filter(pc.field("kind") == STRATA)["dimension"]
        return sorted(set(found.to_pylist()))

    def strata(self, dimension: str) -> pa.Table:
        """Return a dimension's strata for a plot.

        Args:
            dimension: One of :meth:`dimensions`.

        Returns:
            ``stratum``, ``class`` (null for all samples), ``count``; largest first.
        """
        chosen = (pc.field("kind") == STRATA) & (pc.field("dimension") == dimension)
        rows = self.counts.filter(chosen).select(["stratum", "class", "count"])
        return rows.sort_by([("count", "descending"), ("stratum", "ascending")])

    def cells(self) -> pa.Table:
        """Return the coverage map: one row an occupied cell and class.

        Returns:
            ``cell``, ``class`` (null for all samples), ``count``, and the cell's ``west``,
            ``south``, ``east``, ``north`` in degrees.
        """
        rows = self.counts.filter(pc.field("kind") == CELLS).select(["number", "class", "count"])
        rows = rows.rename_columns(["cell", "class", "count"])
        edges = cell_bounds(rows["cell"].to_numpy(), block_km=self.cell_km)
        for place, name in enumerate(("west", "south", "east", "north")):
            rows = rows.append_column(name, pa.array(edges[:, place]))
        return rows

    def days(self) -> pa.Table:
        """Return how many samples each day has.

        Returns:
            ``day`` (date), ``count``; in order.
        """
        rows = self.counts.filter(pc.field("kind") == DAYS).sort_by("number")
        return pa.table({
            "day": rows["number"].cast(pa.int32()).cast(pa.date32()),
            "count": rows["count"],
        })

    def facts(self) -> Mapping[str, object]:
        """Return everything but tables, for ``--json``."""
        return {
            "ref": self.ref,
            "commit": self.commit,
            "content_id": self.content_id,
            "against": self.against,
            "engine": self.engine,
            "rules": self.rules,
            "samples": self.samples,
            "unplaced": self.unplaced,
            "undated": self.undated,
            "unlabelled": self.unlabelled,
            "outside": self.outside,
            "predictions": self.predictions,
            "withdrawn": self.withdrawn,
            "cell_km": self.cell_km,
            "flagged": self.flagged,
            "references": self.references,
            "remarks": self.remarks,
        }

    def to_text(self) -> str:
        """Return it for people: short, most important first."""
        from registry.curate.bias.words import report_text

        return report_text(self)
