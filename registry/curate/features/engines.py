"""Which engine computes: threads of this process, or Spark."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Literal

from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.features.computing import compute
from registry.curate.features.outcome import Computed
from registry.curate.features.planning import computable
from registry.curate.features.work import Call, OnError
from registry.curate.jobs import Engine, chosen, launch
from registry.progress import SILENT, Progress
from registry.tables import store

__all__ = ["MOST_BYTES", "MOST_ROWS", "compute_by", "engine_for"]

MOST_BYTES: Final = 8 * 2**30
"""Stored bytes of pixels up to which ``auto`` takes the library."""

MOST_ROWS: Final = 5_000_000
"""Samples up to which ``auto`` takes the library."""


def engine_for(version: Version, asked: Engine) -> Literal["library", "spark"]:
    """Return which engine computes on a version.

    Args:
        version: The version.
        asked: ``auto`` is Spark where ``SPARK_MASTER`` names a cluster or the version has more
            than 8 GiB of stored pixels or 5 million samples, and Spark is installed.
    """
    return chosen(asked, large=partial(_is_large, version))


def _is_large(version: Version) -> bool:
    return version.count("samples") > MOST_ROWS or _stored_bytes(version) > MOST_BYTES


def _stored_bytes(version: Version) -> int:
    if not store.exists(version.root, "pixels"):
        return 0
    return sum(path.stat().st_size for path in store.files(version.root, "pixels"))


def compute_by(
    engine: Engine,
    registry: Registry,
    ref: str,
    calls: Sequence[Call],
    *,
    on_error: OnError = "skip",
    again: bool = False,
    settings: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Computed:
    """Compute feature sets by an engine that is named; see :func:`compute`.

    Args:
        engine: Which.
        registry: Where the version is.
        ref: The version.
        calls: The sets.
        on_error: Whether a sample on which a function raises ends the work or is reported.
        again: Compute tables that are there once more and compare them bit by bit.
        settings: Spark settings of the user's own, where Spark computes.
        progress: Told what happens.

    Returns:
        What became of each set; its ``engine`` says which computed.
    """
    version = computable(registry, ref)
    if engine_for(version, engine) == "library":
        return compute(registry, ref, calls, on_error=on_error, again=again, progress=progress)
    asked = {
        "lake": registry.lake.address,
        "ref": f"{version.dataset}@{version.tag}",
        "sets": [call.to_document() for call in calls],
        "on_error": on_error,
        "again": again,
    }
    return Computed.from_document(launch("features", asked, progress=progress, settings=settings))
