"""An audit by the Spark job: its counts come back, and the figures are made of them here."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from registry.curate.bias.auditing import measured, reference_population
from registry.curate.bias.counting import Recipe
from registry.curate.bias.predictions import written
from registry.curate.bias.report import BiasReport
from registry.curate.jobs import Engine, JobFailedError, chosen, launch
from registry.curate.layers.asked import layers_of, pinned
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["MOST_SAMPLES", "audit_on_spark", "engine_for", "made_of"]

MOST_SAMPLES: Final = 20_000_000
"""Up to which ``auto`` counts in this process."""


def engine_for(version: "Version", asked: Engine) -> Literal["library", "spark"]:
    """Return who counts the samples of a version.

    Args:
        version: The version.
        asked: ``auto`` is Spark where ``SPARK_MASTER`` names a cluster, or where there are more
            than 20 million samples and Spark is installed.
    """
    return chosen(asked, large=lambda: version.count("samples") > MOST_SAMPLES)


def audit_on_spark(
    registry: "Registry",
    ref: str,
    *,
    against: str,
    predictions: str | None = None,
    layers: Mapping[str, str] = MappingProxyType({}),
    keep: bool = True,
    settings: dict[str, str] | None = None,
    progress: Progress = SILENT,
) -> BiasReport:
    """Measure as :func:`registry.curate.bias.audit` does, with Spark counting.

    Args:
        registry: Where the ref is.
        ref: What is measured.
        against: Name of the reference population.
        predictions: A model's, by name.
        layers: Further strata: name to ``dataset@version#part``.
        keep: Whether the job keeps the figures beside a published version.
        settings: Spark settings of the user's own.
        progress: Told what is done.

    Returns:
        The report.

    Raises:
        JobFailedError: The job left no counts.
    """
    version = registry.resolve(ref)
    further = pinned(registry, layers)
    with tempfile.TemporaryDirectory(prefix="eolab-bias-") as folder:
        asked: dict[str, Any] = {
            "lake": registry.lake.address,
            "ref": f"{version.dataset}@{version.tag or version.commit.id}",
            "against": _absolute(against),
            "predictions": _absolute(predictions) if predictions else None,
            "layers": further,
            "keep": keep,
            "out": folder,
        }
        # Before Spark starts, so that a file that holds none is refused in a moment.
        guesses = None
        if predictions:
            guesses = pq.read_metadata(written(version, predictions, Path(folder))).num_rows
        said = launch("bias", asked, progress=progress, settings=settings)
        return made_of(
            registry, version, Path(folder), said, against=against, layers=further,
            predictions=guesses,
        )  # fmt: skip


def made_of(
    registry: "Registry",
    version: "Version",
    folder: Path,
    said: Mapping[str, Any],
    *,
    against: str,
    layers: Mapping[str, str] = MappingProxyType({}),
    predictions: int | None = None,
) -> BiasReport:
    """Return the report of what a job has counted.

    Args:
        registry: Where the version is.
        version: What was counted.
        folder: Where the job left its counts, the ``out`` that it was asked for.
        said: Its answer.
        against: Name of the reference population.
        layers: Further strata that the job was asked for.
        predictions: How many predictions it was given; None if none were asked for.

    Returns:
        The report.

    Raises:
        JobFailedError: The job left no counts.
    """
    try:
        counts = pq.read_table(folder / "counts.parquet")
        recipe = _recipe(said["recipe"])
    except (OSError, KeyError, TypeError, pa.ArrowException) as error:
        raise JobFailedError(
            "the job 'bias' left no counts", hint="run it again; its log says more"
        ) from error
    further = layers_of(registry, layers)
    population = reference_population(registry, against, layers=further)
    return measured(
        version, counts, recipe=recipe, population=population, engine="spark", layers=further,
        predictions=predictions,
    )  # fmt: skip


def _absolute(named: str) -> str:
    """Return a file's name for a program that runs in another folder."""
    return str(Path(named).absolute()) if named.lower().endswith((".csv", ".parquet")) else named


def _recipe(said: dict[str, Any]) -> Recipe:
    return Recipe(
        cell_km=float(said["cell_km"]), joint=tuple(said["joint"]), low=said["low"],
        high=said["high"],
    )  # fmt: skip
