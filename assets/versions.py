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
        made = registry.versions(ref.dataset)[-1]
    return dg.MaterializeResult(value=str(made.ref), **described(made))


@dg.asset(partitions_def=datasets, group_name="versions", kinds={"geoparquet", "stac"})
def items(lake: LakeResource, version: str) -> dg.MaterializeResult[str]:
    """The version's samples as STAC items, in one GeoParquet file."""
    resolved = lake.open().resolve(version)
    return dg.MaterializeResult(value=version, **items_described(resolved))


@dg.asset(partitions_def=datasets, group_name="versions", kinds={"html"})
def page(lake: LakeResource, version: str) -> dg.MaterializeResult[str]:
    """A page to look at: chips, map, classes, findings and history."""
    from registry.web.page import render

    registry = lake.open()
    resolved = registry.resolve(version)
    out = lake.folder("pages") / f"{resolved.ref}.html"
    render(resolved, out, history=registry.log(version))
    return dg.MaterializeResult(
        value=str(out),
        metadata={"page": dg.MetadataValue.url(out.as_uri()), "version": version},
        data_version=dg.DataVersion(resolved.content_id),
    )
