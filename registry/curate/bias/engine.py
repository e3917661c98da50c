"""What an engine of counting is given and what it promises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa

from registry.curate.bias.cells import WHOLE, cell_edge
from registry.curate.bias.counting import Recipe
from registry.curate.layers.strata import Lookup
from registry.lake.records import Location
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.curate.bias.weighing import Weights

__all__ = ["COLUMNS", "Engine", "Extent", "Work", "work_on"]

COLUMNS: Final = (
    "id", "bbox", "datetime", "start_datetime", "end_datetime", "label", "target", "source",
    "properties",
)  # fmt: skip
"""Columns of ``samples`` that sorting and counting look at, as far as they are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Which rows are counted."""

    root: Location
    """Where the version's tables lie."""

    derived: Location | None = None
    """Where what was derived from it lies."""

    derived_tables: tuple[str, ...] = ()
    """Those of ``splits`` that lie there."""

    columns: tuple[str, ...]
    """Of ``samples``."""

    samples: int
    """How many rows it has."""

    annotated: bool = False
    """Whether annotations say something of samples."""

    splits: tuple[str, ...] = ()
    """Tables ``splits/…`` whose subsets are a dimension each."""

    predictions: str | None = field(default=None)
    """Parquet file with one row a sample: ``sample``, ``prediction``; None if there is none."""

    layers: Mapping[str, Lookup] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Further strata by name."""

    def home(self, table: str) -> Location:
        """Return where a table lies."""
        return self.derived if self.derived and table in self.derived_tables else self.root


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How far samples reach, in degrees and in their target; None where none has any."""

    west: float | None = None
    """Least longitude of a box."""

    south: float | None = None
    """Least latitude."""

    east: float | None = None
    """Greatest longitude."""

    north: float | None = None
    """Greatest latitude."""

    low: float | None = None
    """Least finite target."""

    high: float | None = None
    """Greatest finite target."""

    def recipe(self, joint: Sequence[str]) -> Recipe:
        """Return how samples of this extent are counted.

        Args:
            joint: Dimensions that are counted together.
        """
        edge: float = WHOLE[-1]
        if None not in {self.west, self.south, self.east, self.north}:
            edge = cell_edge(
                west=max(-180.0, self.west or 0.0),
                south=max(-90.0, self.south or 0.0),
                east=min(180.0, self.east or 0.0),
                north=min(90.0, self.north or 0.0),
            )
        return Recipe(cell_km=edge, joint=tuple(joint), low=self.low, high=self.high)


class Engine(Protocol):
    """Counts samples; every engine gives equal tables."""

    @property
    def name(self) -> str:
        """``library`` or ``spark``."""
        ...

    def extent(self, work: Work) -> Extent:
        """Return how far the samples reach."""
        ...

    def count(self, work: Work, recipe: Recipe, progress: Progress = SILENT) -> pa.Table:
        """Return the counts of all samples.

        Args:
            work: Which.
            recipe: How.
            progress: Told how many are done.

        Returns:
            Rows of :data:`registry.curate.bias.counting.COUNTS`, each key once, in order.
        """
        ...

    def weigh(self, work: Work, weights: "Weights", out: Path, progress: Progress = SILENT) -> None:
        """Write the weight of each sample as Parquet files.

        Args:
            work: Which samples.
            weights: Of each combination of strata.
            out: An empty folder; gets files with ``sample`` and ``weight``.
            progress: Told how many are done.
        """
        ...


def work_on(
    version: "Version",
    *,
    predictions: str | None = None,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
) -> Work:
    """Return what is to be counted of a version."""
    from registry.tables import store

    there = store.schema_of(version.root, "samples").arrow.names
    tables = version.tables()
    splits: Sequence[str] = [name for name in tables if name.startswith("splits/")]
    own = version.tables_published()
    return Work(
        root=version.root,
        derived=version.derived,
        derived_tables=tuple(name for name in splits if name not in own),
        columns=tuple(name for name in COLUMNS if name in there),
        samples=version.count("samples"),
        annotated="annotations" in own and version.count("annotations") > 0,
        splits=tuple(splits),
        predictions=predictions,
        layers=layers,
    )
