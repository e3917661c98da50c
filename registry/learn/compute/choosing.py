"""Who runs a job: by the name of a place, or by the job's own record."""

from dataclasses import replace
from pathlib import Path

from registry.errors import RegistryError
from registry.learn.compute.contract import Executor, Job
from registry.learn.compute.records import Records
from registry.learn.compute.targets import Target, target

__all__ = ["executor", "executor_of", "jobs"]


def executor(
    name: str | None = None, *, config: Path | None = None, records: Records | None = None
) -> Executor:
    """Return who runs commands at a place.

    Args:
        name: ``local``, ``slurm``, ``kubernetes``, or a section of ``compute.yaml``; None: local.
        config: A ``compute.yaml``; None: the one that holds here.
        records: Where its jobs are noted; None: where all are.

    Returns:
        The executor; nothing is asked of the place yet.

    Raises:
        NotFoundError: There is no such place.

    Examples:
        >>> executor("local").name
        'local'
    """
    return _made(target(name or "local", config), records or Records())


def executor_of(job: Job, *, config: Path | None = None) -> Executor:
    """Return who runs a job, by what its record says.

    Args:
        job: The job.
        config: A ``compute.yaml``; None: the one that holds here.
    """
    return executor(job.executor, config=config, records=Records(job.folder.parent))


def jobs(records: Records | None = None, *, config: Path | None = None) -> list[Job]:
    """Return every job as it stands now, the newest first.

    A place that does not answer leaves its jobs as they stood last, with the reason said.

    Args:
        records: Where they are noted; None: where all are.
        config: A ``compute.yaml``; None: the one that holds here.
    """
    return [_now(job, config) for job in (records or Records()).all()]


def _now(job: Job, config: Path | None) -> Job:
    try:
        return executor_of(job, config=config).status(job)
    except RegistryError as error:
        return replace(job, reason=error.problem)


def _made(place: Target, records: Records) -> Executor:
    if place.kind == "slurm":
        from registry.learn.compute.slurm import Slurm

        return Slurm(place, records)
    if place.kind == "kubernetes":
        from registry.learn.compute.kubernetes import Kubernetes

        return Kubernetes(place, records)
    from registry.learn.compute.local import Local

    return Local(place, records)
