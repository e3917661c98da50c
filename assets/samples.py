"""Samples: from a source into the lake, on the run's own branch."""

import dagster as dg

from assets.partitions import datasets
from assets.resources import LakeResource
from assets.views import described

__all__ = ["SamplesConfig", "samples"]


class SamplesConfig(dg.Config):
    """What the data do not say about themselves."""

    task: str = ""
    """Classification, detection, segmentation, …; empty: as the source shows."""

    licence: str = ""
    """Of the data, as SPDX writes it."""

    provider: str = ""
    """Who made the data."""

    time: str = ""
    """START/END of acquisition, such as ``2015/2017``."""

    crs: str = ""
    """CRS of rasters that carry none, such as ``EPSG:32633``."""

    skip_unreadable: bool = False
    """Leave out what cannot be read, and report it, instead of stopping."""


@dg.asset(
    partitions_def=datasets, group_name="samples", kinds={"deltalake", "git"}, code_version="1"
)
def samples(
    context: dg.AssetExecutionContext, config: SamplesConfig, lake: LakeResource, source: str
) -> dg.MaterializeResult[str]:
    """Labelled chips, one row each, on a branch of this run's own.

    The branch is ``run/<run id>``; ``main`` does not move before the version is published.
    """
    from registry.curate.ingest import SourceOptions, ingest

    registry = lake.open()
    said = {name: value or None for name, value in config.model_dump().items()}
    on_error = "skip" if said.pop("skip_unreadable") else "stop"
    branch = f"run/{context.run.run_id}"
    ingest(
        registry,
        source,
        into=context.partition_key,
        branch=branch,
        options=SourceOptions.of(**said),
        on_error=on_error,
    )
    draft = registry.resolve(f"{context.partition_key}@{branch}")
    return dg.MaterializeResult(value=str(draft.ref), **described(draft, table="samples"))
