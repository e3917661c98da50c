"""Bias: what a version shows too much and too little of, counted by Spark."""

from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from assets.jobs import run_job
from assets.partitions import datasets
from assets.resources import LakeResource
from assets.versions import version
from assets.views import bias_described

__all__ = ["BiasConfig", "bias_report"]


class BiasConfig(dg.Config):
    """What a version is compared with."""

    against: str = "land"
    """`land`, a version of a dataset, or a CSV or Parquet file with weights."""

    layers: dict[str, str] = {}  # noqa: RUF012 — a default as pydantic takes it
    """Further strata by name, as `biome: zones@v1#category`."""


@dg.asset(
    partitions_def=datasets,
    group_name="bias",
    kinds={"spark", "html"},
    code_version="1",
    deps=[version],
)
def bias_report(
    context: dg.AssetExecutionContext,
    config: BiasConfig,
    lake: LakeResource,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult[str]:
    """The newest version's bias passport: who is missing, shortcuts, clusters and gaps."""
    from registry.curate.bias.launching import made_of
    from registry.curate.layers.asked import pinned
    from registry.web.passport import render

    registry, newest = lake.open(), lake.newest(context.partition_key)
    layers = pinned(registry, config.layers)  # as they stand now, also once the job is done
    with TemporaryDirectory(prefix="eolab-bias-") as out:
        asked = {"lake": registry.lake.address, "ref": str(newest.ref), "out": out}
        said = run_job(
            context, pipes, "bias", asked | {"against": config.against, "layers": layers}
        )
        newest = lake.newest(context.partition_key)  # with the report beside it
        report = made_of(registry, newest, Path(out), said, against=config.against, layers=layers)
    page = lake.folder("pages") / f"{newest.ref}-bias.html"
    render(report, newest, page)
    return dg.MaterializeResult(value=str(page), **bias_described(newest, report, page))
