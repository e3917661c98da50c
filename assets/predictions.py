"""Predictions: a model's maps of scenes, or of what an archive holds of a place and a time."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.figures import map_described
from assets.learning import POOL, WhereConfig, run_command
from assets.partitions import datasets
from assets.resources import LakeResource

__all__ = ["PredictConfig", "predictions"]


class PredictConfig(WhereConfig):
    """What is predicted, and where."""

    scenes: list[str] = Field(default_factory=list)
    """GeoTIFFs; empty where the options name an archive: `--from`, `--aoi`, `--time`."""


@dg.asset(
    partitions_def=datasets, group_name="predictions", kinds={"geotiff"}, code_version="1",
    pool=POOL,
)  # fmt: skip
def predictions(
    context: dg.AssetExecutionContext,
    config: PredictConfig,
    lake: LakeResource,
    trained_model: str,
) -> dg.MaterializeResult[str]:
    """The model's map of scenes, as a cloud-optimised GeoTIFF with its classes."""
    out = lake.folder("predictions") / f"{context.partition_key}-{context.run.run_id[:8]}.tif"
    scenes = [str(Path(scene).absolute()) for scene in config.scenes]
    said = run_command(context, lake, config, ["predict", trained_model, *scenes, "-o", str(out)])
    return dg.MaterializeResult(value=str(out), **map_described(said, out))
