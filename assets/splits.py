"""Splits: who of a version trains, who validates, who tests."""

from typing import Literal

import dagster as dg

from assets.partitions import datasets
from assets.resources import LakeResource
from assets.versions import version

__all__ = ["SplitConfig", "split"]


class SplitConfig(dg.Config):
    """How samples are divided; `eolab split --help` says more."""

    name: str = "default"
    """The split's name."""

    method: Literal["random", "stratified", "group", "blocked", "temporal", "region"] = "random"
    """What is kept together."""

    by: str | None = None
    """The column for `group`, `region` and `stratified`."""

    shares: str = "train=0.8,validate=0.1,test=0.1"
    """How much each subset gets."""

    seed: int = 0
    """Another one draws others."""

    block_km: float = 10.0
    """Edge of a block, for `blocked`."""

    buffer_km: float = 0.0
    """Least distance between footprints of different subsets, for `blocked`."""


@dg.asset(
    partitions_def=datasets, group_name="splits", kinds={"deltalake"}, code_version="1",
    deps=[version],
)  # fmt: skip
def split(
    context: dg.AssetExecutionContext, config: SplitConfig, lake: LakeResource
) -> dg.MaterializeResult[str]:
    """Who trains, who validates and who tests, in a table beside the newest version.

    What leaks between them, such as overlapping ground, is reported with it.
    """
    from registry.curate.splits import Plan, Shares
    from registry.curate.splits import split as divide

    said = config.model_dump(exclude={"name", "shares"})
    plan = Plan(shares=Shares.parse(config.shares), **said)
    newest = lake.newest(context.partition_key)
    made = divide(lake.open(), newest.ref, name=config.name, plan=plan, replace=True)
    return dg.MaterializeResult(
        value=config.name,
        metadata={
            **{name: dg.MetadataValue.int(count) for name, count in made.counts.items()},
            "leaks": dg.MetadataValue.md(f"```\n{made.leaks.to_text()}\n```"),
        },
    )
