"""Features: what is computed of a version's samples, by Spark, beside the version."""

from typing import Literal

import dagster as dg
from pydantic import Field

from assets.jobs import run_job
from assets.partitions import datasets
from assets.resources import LakeResource
from assets.versions import version
from assets.views import features_described

__all__ = ["FeaturesConfig", "features"]


class FeaturesConfig(dg.Config):
    """What is computed."""

    sets: list[str] = Field(default_factory=lambda: ["all"])
    """Feature sets, as `eolab features list` names them; `all` is every one that can be had."""

    on_error: Literal["skip", "stop"] = "skip"
    """Whether a sample on which a feature fails is reported, or ends the run."""


@dg.asset(
    partitions_def=datasets,
    group_name="features",
    kinds={"spark", "deltalake"},
    code_version="1",
    deps=[version],
)
def features(
    context: dg.AssetExecutionContext,
    config: FeaturesConfig,
    lake: LakeResource,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult[str]:
    """Feature sets of the newest version, a row a sample, in tables beside the version.

    Rows whose inputs have not changed since an earlier version are taken over from there.
    """
    newest = lake.newest(context.partition_key)
    asked = {"lake": lake.open().lake.address, "ref": str(newest.ref), **config.model_dump()}
    done = run_job(context, pipes, "features", asked)
    made = lake.newest(context.partition_key)
    return dg.MaterializeResult(value=str(made.ref), **features_described(made, done))
