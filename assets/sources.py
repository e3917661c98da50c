"""Sources: where a dataset's samples come from."""

import shutil

import dagster as dg

from assets.partitions import datasets
from assets.resources import LakeResource

__all__ = ["SourceConfig", "source"]


class SourceConfig(dg.Config):
    """Which folder, or what is simulated."""

    path: str = ""
    """A folder, archive or STAC file; empty means simulated scenes."""

    task: str = "segmentation"
    """What is simulated: a task of the simulator, such as burn-scars or detection."""

    samples: int = 96
    """How many samples are simulated."""

    seed: int = 1
    """Simulated scenes of one seed are the same, byte for byte."""


@dg.asset(partitions_def=datasets, group_name="samples", kinds={"folder"}, code_version="1")
def source(
    context: dg.AssetExecutionContext, config: SourceConfig, lake: LakeResource
) -> dg.MaterializeResult[str]:
    """The folder, archive or file that a dataset's samples come from.

    Name your own in the run's configuration; without one, scenes with known truth are simulated.
    """
    from registry.curate.ingest.simulator import write_folder

    path = config.path
    if not path:
        made = lake.folder("simulated") / context.partition_key
        shutil.rmtree(made, ignore_errors=True)
        written = write_folder(config.task, made, samples=config.samples, seed=config.seed)
        path = str(written.path)
    return dg.MaterializeResult(value=path, metadata={"path": dg.MetadataValue.path(path)})
