"""Versions: what passed is published, cited, found by place and time, and looked at."""

import dagster as dg
from pydantic import Field

from assets.partitions import datasets
from assets.resources import LakeResource
from assets.views import described, items_described

__all__ = ["PublishConfig", "items", "page", "version"]


class PublishConfig(dg.Config):
    """What is said when a version is published."""

    message: str = "published from Dagster"
    """Why."""

    allow: dict[str, str] = Field(default_factory=dict)
    """Checks whose findings may pass, each with its reason."""


@dg.asset(partitions_def=datasets, group_name="versions", kinds={"deltalake", "git"})
def version(config: PublishConfig, lake: LakeResource, report: str) -> dg.MaterializeResult[str]:
    """The samples as an immutable, citable version; ``main`` moves to exactly what was judged."""
    from registry.catalog import Ref
    from registry.curate.publishing import NothingToPublishError, publish

    registry, ref = lake.open(), Ref.parse(report)
    said = {"message": config.message, "allow": config.allow}
    try:
        made = publish(registry, ref.dataset, branch=ref.at, **said)
    except NothingToPublishError:  # the newest version holds exactly these samples already
        made = lake.newest(ref.dataset)
    return dg.MaterializeResult(value=str(made.ref), **described(made))


@dg.asset(
    partitions_def=datasets, group_name="versions", kinds={"geoparquet", "stac"}, deps=[version]
)
def items(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult[str]:
    """The newest version's samples as STAC items, in one GeoParquet file."""
    newest = lake.newest(context.partition_key)
    return dg.MaterializeResult(value=str(newest.ref), **items_described(newest))


@dg.asset(partitions_def=datasets, group_name="versions", kinds={"html"}, deps=[version])
def page(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult[str]:
    """A page of the newest version to look at: chips, map, classes, findings and history."""
    from registry.web.page import render

    newest = lake.newest(context.partition_key)
    out = lake.folder("pages") / f"{newest.ref}.html"
    render(newest, out, history=lake.open().log(newest.ref))
    return dg.MaterializeResult(
        value=str(out),
        metadata={"page": dg.MetadataValue.url(out.as_uri()), "version": str(newest.ref)},
        data_version=dg.DataVersion(newest.content_id),
    )
