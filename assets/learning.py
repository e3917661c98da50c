"""Commands of the lab as assets run them: at the place that run config names, heard by Pipes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from assets.resources import LakeResource

if TYPE_CHECKING:
    from registry.learn.compute.contract import Executor, Job, Resources

__all__ = ["GPU", "POOL", "WhereConfig", "resources", "run_command"]

POOL: Final = "learning"
"""The concurrency pool of whatever trains, scores or predicts."""

_SHARED: Final = frozenset({"train", "pretrain"})
"""Commands whose work several processes share."""

GPU: Final = "gpu"
"""The tag that says how many graphics processors an asset's work takes on each node."""


class WhereConfig(dg.Config):
    """Where an asset's work runs. ``on`` alone moves it from here to a cluster."""

    on: str = "local"
    """`local`, `slurm`, `kubernetes`, or a place of `compute.yaml`."""

    gpus: int | None = None
    """Graphics processors on each node; by default what the tag `gpu` of the run says, or none."""

    nodes: int = 1
    """Machines."""

    processes: int | None = None
    """Processes on each node; by default one for each graphics processor."""

    minutes: int | None = None
    """Longest run."""

    options: list[str] = Field(default_factory=list)
    """Further words of the command, as `--smoke`."""


def run_command(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    config: WhereConfig,
    words: Sequence[str],
) -> Any:  # noqa: ANN401 — what the command says, as JSON has it
    """Run a command of the lab to its end, its log in the run's log.

    A run of Dagster that is stopped cancels the job.

    Args:
        context: The asset's.
        lake: Where the registry lives.
        config: Where it runs.
        words: What follows ``eolab``; names, not data.

    Returns:
        What the command says with ``--json``.

    Raises:
        Failure: The job failed, was cancelled or lost.
    """
    from registry.learn.compute.choosing import executor
    from registry.learn.compute.contract import Command
    from registry.learn.compute.records import jobs_folder

    context.op_execution_context.log.info("eolab %s", " ".join([*words, *config.options]))
    runs_it = executor(config.on)
    with dg.open_pipes_session(
        context=context.op_execution_context,
        context_injector=dg.PipesEnvContextInjector(),
        message_reader=dg.PipesFileMessageReader(str(_messages(context, jobs_folder()))),
    ) as session:
        environment = session.get_bootstrap_env_vars()
        command = Command(
            argv=("python", "-P", "-m", "assets.piped", *words, *config.options),
            name=f"{words[0]} {Path(words[1]).stem}",
            environment={**environment, "EOLAB_LAKE": lake.open().lake.address},
            resources=resources(
                {**context.op_execution_context.op.tags, **context.run.tags},
                config,
                shares=words[0] in _SHARED,
            ),
        )
        job = _watched(context, runs_it, runs_it.submit(command))
    answers = [message["answer"] for message in session.get_custom_messages()]
    if not answers:
        raise dg.Failure(
            description=f"job {job.id} has succeeded, and its answer did not arrive",
            metadata={"log": str(job.log), "see": "whether its place sees the folder of jobs"},
        )
    return answers[-1]


def _watched(context: dg.AssetExecutionContext, runs_it: "Executor", job: "Job") -> "Job":
    """Return a job that has succeeded; whoever stops watching ends it.

    Raises:
        Failure: It has not.
    """
    context.op_execution_context.log.info("job %s on %s, log %s", job.id, job.executor, job.log)
    watched = False
    try:
        for text in runs_it.logs(job, follow=True):
            if text.strip():
                context.op_execution_context.log.info(text.rstrip())
        ended = runs_it.status(job)
        watched = True
    finally:
        if not watched:  # the run of Dagster was stopped, or lost sight of the job
            runs_it.cancel(job)
    if ended.state != "succeeded":
        raise dg.Failure(
            description=f"job {ended.id} is {ended.state}: {ended.reason}\n{ended.last_lines}",
            metadata={"job": ended.id, "on": ended.executor, "log": str(ended.log)},
        )
    return ended


def resources(tags: Mapping[str, str], config: WhereConfig, *, shares: bool = True) -> "Resources":
    """Return what an asset's work takes.

    Args:
        tags: The asset's, and the run's, which win.
        config: What run config says, which wins over both.
        shares: Whether several processes share the work.

    Raises:
        InvalidInputError: The tag is no number.
    """
    from registry.errors import InvalidInputError
    from registry.learn.compute.contract import Resources

    said = tags.get(GPU, "0")
    if not (said.isascii() and said.isdecimal()):
        raise InvalidInputError(
            f"the tag {GPU}={said!r} is no number of graphics processors",
            hint=f"tag the asset or the run with a whole number, such as {GPU}=1",
        )
    tagged = int(said)
    return Resources(
        gpus=tagged if config.gpus is None else config.gpus,
        nodes=config.nodes,
        processes=config.processes or (None if shares else 1),
        minutes=config.minutes,
    )


def _messages(context: dg.AssetExecutionContext, folder: Path) -> Path:
    """Return the file that the work writes to and Dagster reads from, where both can see it."""
    made = folder / "messages"
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    return made / f"{context.run.run_id}-{context.asset_key.to_python_identifier()}"
