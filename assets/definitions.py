"""The one place where Dagster learns what exists."""

import dagster as dg

from assets import bias, features, models, predictions, quality, samples, sources, splits, versions
from assets.resources import LakeResource
from assets.sensors import new_commits

__all__ = ["DERIVED", "LEARNED", "MAPPED", "TO_A_VERSION", "defs", "everything"]

TO_A_VERSION = dg.AssetSelection.groups("samples", "quality", "versions")
"""From a source to what is published of it."""

DERIVED = dg.AssetSelection.groups("features", "bias")
"""What Spark computes of a published version."""

LEARNED = dg.AssetSelection.assets("split", "trained_model", "evaluation", "floor")
"""What is learned from a published version."""

MAPPED = dg.AssetSelection.assets("split", "trained_model", "evaluation", "predictions")
"""From a published version to a model, its scores, and a map of a scene."""

_OWNERS = ["team:data"]


def everything() -> list[dg.AssetsDefinition]:
    """Return every asset, with the policy that holds for all of them applied."""
    found = dg.load_assets_from_modules([
        sources, samples, quality, versions, splits, features, bias, models, predictions,
    ])  # fmt: skip
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
        selection=TO_A_VERSION,
        description="From a source to a published version.",
    )
    derived = dg.define_asset_job(
        "derived",
        selection=DERIVED,
        description="Features and the bias passport of the newest version.",
    )
    learned = dg.define_asset_job(
        "learned",
        selection=LEARNED,
        description="A model of the newest version, its scores, and the dataset's floor.",
    )
    return dg.Definitions(
        assets=everything(),
        jobs=[dataset, derived, learned],
        sensors=[new_commits],
        resources={"lake": LakeResource(), "pipes": dg.PipesSubprocessClient()},
    )
