"""Jobs: what runs on this machine, on Slurm or on Kubernetes."""

from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.completion import complete_jobs
from registry.cli.options import Json
from registry.cli.output import emit, json_wanted, listener, printable, table_text

if TYPE_CHECKING:
    from registry.learn.compute.contract import Job

__all__ = ["register"]

_DID_NOT_SUCCEED = 1
_OVER_BEFORE = {
    "succeeded": "had succeeded already",
    "failed": "had failed already",
    "cancelled": "was cancelled already",
    "lost": "was lost already",
}

JobName = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="Its name, or the beginning or end of it.",
        show_default=False,
        autocompletion=complete_jobs,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("jobs")(jobs)
    app.command("logs")(logs)
    app.command("cancel")(cancel)


def jobs(as_json: Json = False) -> None:
    """List jobs that were handed over with --on, the newest first, as they stand now."""
    from registry.learn.compute.choosing import jobs as known

    found = known()
    emit([_facts(job) for job in found], lambda: _table(found))


def logs(
    name: JobName,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is over.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show what a job says; with --follow until it is over, and how it ended.

    With --follow the exit status is 1 if the job did not succeed.
    """
    from registry.learn.compute.choosing import executor_of
    from registry.learn.compute.contract import State
    from registry.learn.compute.records import Records

    job = Records().find(name)
    runs_it = executor_of(job)
    said = runs_it.logs(job, follow=follow)
    if json_wanted.get():
        text = "".join(said)
        now = runs_it.status(job)
        emit({**_facts(now), "said": text}, text)
    else:
        with listener() as stdout:
            for text in said:
                stdout.write(text.encode())
                stdout.flush()
        now = runs_it.status(job)
        if follow:
            emit(None, _ending(now, with_log=False))
    return _DID_NOT_SUCCEED if follow and now.state != State.SUCCEEDED else 0


def cancel(name: JobName, as_json: Json = False) -> None:
    """End a job: it is asked first, then ended with all its processes."""
    from registry.learn.compute.choosing import executor_of
    from registry.learn.compute.records import Records

    job = Records().find(name)
    runs_it = executor_of(job)
    before = runs_it.status(job)
    if before.state.is_over:
        emit(_facts(before), lambda: _ending(before, how=_OVER_BEFORE[before.state]))
        return
    now = runs_it.cancel(before)
    emit(_facts(now), lambda: _ending(now))


def _facts(job: "Job") -> dict[str, object]:
    return {
        "job": job.id,
        "on": job.executor,
        "state": job.state,
        "reason": job.reason or None,
        "attempt": job.attempt,
        "submitted": job.submitted,
        "external": job.external or None,
        "command": job.argv,
        "log": job.log,
        "last_lines": job.last_lines or None,
    }


def _table(found: "list[Job]") -> str:
    if not found:
        return "no jobs yet: eolab train RECIPE --on local"
    rows = [
        (
            job.id, job.executor, job.external, job.state,
            f"{job.submitted:%Y-%m-%d %H:%M}", job.reason,
        )
        for job in found
    ]  # fmt: skip
    return table_text(("job", "on", "known there as", "state", "since (UTC)", "why"), rows)


def _ending(job: "Job", *, with_log: bool = True, how: str | None = None) -> str:
    why = f": {job.reason}" if job.reason else ""
    said = f"job {job.id} {how or f'is {job.state}'}{why}"
    if with_log and job.last_lines:
        indented = "\n".join(f"  {line}" for line in job.last_lines.splitlines())
        said += f"\n{printable(indented)}"
    return said
