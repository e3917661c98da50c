"""Models: what is learned from a version, and how good it is."""

import dagster as dg
from pydantic import Field

from assets.figures import floor_described, model_described, scores_described
from assets.learning import POOL, WhereConfig, run_command
from assets.partitions import datasets
from assets.resources import LakeResource
from assets.splits import split
from assets.versions import version

__all__ = ["EvaluationConfig", "FloorConfig", "TrainConfig", "evaluation", "floor", "trained_model"]


class TrainConfig(WhereConfig):
    """What is trained, and where."""

    recipe: str
    """A recipe that ships, as `eolab recipes` lists them, or a YAML file."""

    settings: dict[str, str] = Field(default_factory=dict)
    """Values of the recipe by path, as `data.batch_size: "8"`."""

    pretrain: bool = False
    """Whether it learns without labels."""


class EvaluationConfig(WhereConfig):
    """What a model is scored on, and where."""

    split: str = "test"
    """Which samples: test, validate, train, test:<name>."""


class FloorConfig(WhereConfig):
    """What of a floor is measured, and where."""

    only: list[str] = Field(default_factory=list)
    """majority, probe, small, curve; all by default."""


@dg.asset(
    partitions_def=datasets, group_name="models", kinds={"pytorch"}, code_version="1",
    deps=[version, split], pool=POOL,
)  # fmt: skip
def trained_model(
    context: dg.AssetExecutionContext, config: TrainConfig, lake: LakeResource
) -> dg.MaterializeResult[str]:
    """A model that learned from the newest version: weights, card, curves, as a version itself."""
    ref = str(lake.newest(context.partition_key).ref)
    verb = "pretrain" if config.pretrain else "train"
    changed = [f"--set={path}={value}" for path, value in config.settings.items()]
    made = run_command(context, lake, config, [verb, config.recipe, "--data", ref, *changed])
    name = str(made[-1]["model"])
    return dg.MaterializeResult(value=name, **model_described(lake.open(), name, made))


@dg.asset(
    partitions_def=datasets, group_name="models", kinds={"pytorch"}, code_version="1", pool=POOL
)
def evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    lake: LakeResource,
    trained_model: str,
) -> dg.MaterializeResult[str]:
    """The model's scores on the newest version, each with its interval, kept beside the version."""
    newest = lake.newest(context.partition_key)
    page = lake.folder("pages") / f"{newest.ref}-{trained_model}.html"
    asked = ["evaluate", trained_model, "--data", str(newest.ref), "--split", config.split]
    said = run_command(context, lake, config, [*asked, "--html", str(page)])
    return dg.MaterializeResult(value=str(said["run"]), **scores_described(said, page))


@dg.asset(
    partitions_def=datasets, group_name="models", kinds={"scikitlearn"}, code_version="1",
    deps=[version, split], pool=POOL,
)  # fmt: skip
def floor(
    context: dg.AssetExecutionContext, config: FloorConfig, lake: LakeResource
) -> dg.MaterializeResult[str]:
    """What anybody reaches on the newest version: majority, linear probe, a small network."""
    ref = str(lake.newest(context.partition_key).ref)
    only = [f"--only={name}" for name in config.only]
    said = run_command(context, lake, config, ["floor", ref, *only])
    return dg.MaterializeResult(value=ref, **floor_described(said))
