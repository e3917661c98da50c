"""The one place where Dagster learns what exists."""

import dagster as dg

from assets import quality, samples, sources, versions
from assets.resources import LakeResource
from assets.sensors import new_commits

__all__ = ["defs", "everything"]

_OWNERS = ["team:data"]


def everything() -> list[dg.AssetsDefinition]:
    """Return every asset, with the policy that holds for all of them applied."""
    found = dg.load_assets_from_modules([sources, samples, quality, versions])
    return [
        asset.map_asset_specs(lambda spec: spec.replace_attributes(owners=_OWNERS))
        for asset in found
        if isinstance(asset, dg.AssetsDefinition)
    ]


@dg.definitions
def defs() -> dg.Definitions:
    """Return every asset, check, sensor, job and resource of this code location."""
    dataset = dg.define_asset_job(
        "dataset",
        selection=dg.AssetSelection.all(),
        description="From a source to a published version.",
    )
    return dg.Definitions(
        assets=everything(),
        jobs=[dataset],
        sensors=[new_commits],
        resources={"lake": LakeResource()},
    )
