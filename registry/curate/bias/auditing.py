"""The audit: count the samples of a ref, measure what follows, keep it beside the version."""

import hashlib
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from registry.curate.bias.association import association, label_sources, split_shift
from registry.curate.bias.clustering import clustering, coverage
from registry.curate.bias.counting import Recipe
from registry.curate.bias.engine import Engine, work_on
from registry.curate.bias.evidence import Evidence
from registry.curate.bias.groups import intersections, scores, targets
from registry.curate.bias.keeping import keep as keep_beside
from registry.curate.bias.library import Library
from registry.curate.bias.measure import Measure, measures_table
from registry.curate.bias.population import AT_SEA, Population
from registry.curate.bias.predictions import written
from registry.curate.bias.report import BiasReport, Reference
from registry.curate.bias.representation import classes, outside, representation, shares
from registry.curate.bias.timing import timing
from registry.curate.bias.weighing import effective, rake, raked_dimensions
from registry.curate.layers.asked import layers_of
from registry.curate.layers.population import LAND, LAND_AND_ICE, WorldPopulation, population
from registry.curate.layers.strata import Lookup, references
from registry.errors import InvalidInputError, NotFoundError
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog.ref import Ref
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["RULES", "audit", "measured", "reference_population"]

RULES: Final = (
    "2: flagged at q <= 0.05 and ratio beyond 0.8-1.25, V >= 0.2, shares 0.2 apart; "
    "more than half outside the reference"
)
"""Which measures with which thresholds; changes whenever one of them does."""


def audit(
    registry: "Registry",
    ref: "Ref | str",
    *,
    against: str | Population = LAND,
    engine: Engine | None = None,
    predictions: str | None = None,
    layers: Mapping[str, str | Lookup] = MappingProxyType({}),
    keep: bool = True,
    progress: Progress = SILENT,
) -> BiasReport:
    """Measure the bias of a version, draft or branch.

    Args:
        registry: Where it is.
        ref: What, as in :meth:`registry.catalog.Registry.resolve`.
        against: The reference population: ``land``, ``land+antarctica``, a dataset's version, a
            CSV or Parquet file of strata (or ``lon`` and ``lat``) and ``weight``, or one at hand.
        engine: Who counts; threads on this machine by default.
        predictions: A model's: ``annotations`` (the proposed ones), a table of the version or a
            file with ``sample`` and ``prediction``.
        layers: Further strata by name, as :func:`registry.curate.layers.asked.layers_of` takes
            them: ``{"biome": "zones@v1#category"}``. The reference knows them too, unless it is
            one at hand.
        keep: Whether the figures of a published version that stands are kept beside it.
        progress: Told what is done.

    Returns:
        The report.

    Raises:
        InvalidInputError: There are no samples to speak of, or the reference is none.
        NotFoundError: There is no such version, table or file.
        UnavailableError: A package that a layer comes with is not installed.
    """
    version = registry.resolve(ref)
    if "samples" not in version.tables_published():
        raise InvalidInputError(
            f"{version.ref} has no samples",
            hint=f"bring some: eolab ingest FOLDER --into {version.dataset}",
        )
    counter = engine or Library()
    further = layers_of(registry, layers)
    progress.stage("reading the reference", total=None, unit="rows")
    reference = (
        against
        if isinstance(against, Population)
        else reference_population(registry, against, layers=further)
    )
    with ExitStack() as stack:
        predicted = guesses = None
        if predictions is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="eolab-bias-"))
            predicted = str(written(version, predictions, Path(folder)))
            guesses = pq.read_metadata(predicted).num_rows
        work = work_on(version, predictions=predicted, layers=further)
        recipe = counter.extent(work).recipe(raked_dimensions(reference))
        counts = counter.count(work, recipe, progress)
        report = measured(
            version, counts, recipe=recipe, population=reference, engine=counter.name,
            layers=further, predictions=guesses,
        )  # fmt: skip
        if keep and version.tag is not None and version.tombstone is None:
            weights = rake(Evidence(counts=counts), reference)
            keep_beside(registry, version, report, weights, work, engine=counter, progress=progress)
    return report


def reference_population(
    registry: "Registry | None",
    name: str,
    *,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
) -> Population:
    """Return a reference population by its name.

    Args:
        registry: Where a version is looked up.
        name: ``land``, ``land+antarctica``, a file, or a dataset's version.
        layers: Further strata that it is sorted by.

    Raises:
        InvalidInputError: It is none of those.
        NotFoundError: There is no such file or version.
        UnavailableError: A package that a layer comes with is not installed.
    """
    try:
        found: WorldPopulation = population(name, registry=registry, layers=layers)
    except NotFoundError as error:
        known = f"take {LAND}, {LAND_AND_ICE}, a .csv or .parquet file, or a dataset's version"
        raise NotFoundError(error.problem, hint=f"as a reference {known}") from error
    said = found.reference
    short = said.version if found.size is not None else said.digest[:12]
    return Population(
        name=said.name,
        version=short,
        about=f"{said.title}: {said.version}; {said.licence}",
        size=found.size,
        table=found.table,
        unsaid=AT_SEA if name in {LAND, LAND_AND_ICE} else frozenset(),
    )


def measured(
    version: "Version",
    counts: "pa.Table",
    *,
    recipe: Recipe,
    population: Population,
    engine: str,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
    predictions: int | None = None,
) -> BiasReport:
    """Return what follows from counts.

    Args:
        version: What was counted.
        counts: The columns of :data:`registry.curate.bias.counting.COUNTS`.
        recipe: How it was counted.
        population: What it is compared with.
        engine: Who counted.
        layers: Further strata that samples were sorted by.
        predictions: How many predictions were given; None if none were asked for.
    """
    evidence = Evidence(counts=counts)
    figures, remarks = _figures(evidence, recipe, population, version.spec.target_unit)
    facts = evidence.facts
    return BiasReport(
        ref=str(version.ref),
        commit=version.commit.id,
        content_id=version.content_id,
        against=population.words,
        engine=engine,
        rules=hashlib.sha256(RULES.encode()).hexdigest(),
        samples=facts["samples"],
        unplaced=facts["unplaced"],
        undated=facts["undated"],
        unlabelled=facts["unlabelled"],
        outside=outside(evidence, population),
        predictions=predictions,
        withdrawn=version.tombstone.reason if version.tombstone else None,
        recipe=recipe,
        measures=measures_table(figures),
        counts=counts,
        population=population.shares_table(),
        references=_references(population, layers),
        remarks=tuple(remarks),
    )


def _figures(
    evidence: Evidence, recipe: Recipe, population: Population, unit: str | None
) -> tuple[list[Measure], list[str]]:
    if not evidence.samples:
        return [], ["there are no samples: nothing can be said of them"]
    together, tested = intersections(evidence, population)
    figures = [
        *representation(evidence, population),
        *shares(evidence, population),
        *classes(evidence),
        *association(evidence),
        *label_sources(evidence),
        *split_shift(evidence),
        *together,
        *clustering(evidence, cell_km=recipe.cell_km),
        *coverage(evidence, cell_km=recipe.cell_km),
        *timing(evidence),
        *targets(evidence, recipe, unit or "unit of the target"),
        *scores(evidence),
    ]
    weights = rake(evidence, population)
    if weights is not None:
        figures.append(effective(weights, evidence))
    remarks = []
    if tested:
        listed = f"{len(together):,} {'is' if len(together) == 1 else 'are'} listed"
        remarks.append(f"of {tested:,} combinations of two strata, {listed}")
    if evidence.every_class > len(evidence.classes):
        remarks.append(
            f"of {evidence.every_class:,} classes, the {len(evidence.classes)} most frequent are "
            "measured"
        )
    remarks.append(
        "tests take samples for independent; samples that lie together make chance look rarer "
        "than it is"
    )
    return figures, remarks


def _references(population: Population, layers: Mapping[str, Lookup]) -> tuple[Reference, ...]:
    found = {one.name: one for one in references(layers=layers).values()}
    used = [
        Reference(
            name=one.name, version=one.version, about=f"{one.title}; {one.source}; {one.licence}"
        )
        for _, one in sorted(found.items())
    ]
    own = Reference(name=population.name, version=population.version, about=population.about)
    return (own, *used)
