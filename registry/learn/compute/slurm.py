"""Slurm: a script of the lab's own by ``sbatch``; its state from whichever program knows it."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from registry.learn.compute.contract import Command, Job, NoExecutorError, State
from registry.learn.compute.following import followed
from registry.learn.compute.records import Records, over, settled
from registry.learn.compute.slurm_script import CANCELLED, EXIT, rendered
from registry.learn.compute.targets import Target

__all__ = ["Slurm"]

_PATIENCE_SECONDS: Final = 60.0
_CANCEL_SECONDS: Final = 30.0
_STEP_SECONDS: Final = 0.2
_UNKNOWN_JOB: Final = "Invalid job id"

_STATES: Final = {
    "PENDING": State.QUEUED, "CONFIGURING": State.QUEUED, "REQUEUED": State.QUEUED,
    "REQUEUE_FED": State.QUEUED, "REQUEUE_HOLD": State.QUEUED, "SPECIAL_EXIT": State.QUEUED,
    "RESV_DEL_HOLD": State.QUEUED, "RUNNING": State.RUNNING, "COMPLETING": State.RUNNING,
    "SUSPENDED": State.RUNNING, "STOPPED": State.RUNNING, "SIGNALING": State.RUNNING,
    "STAGE_OUT": State.RUNNING, "RESIZING": State.RUNNING, "COMPLETED": State.SUCCEEDED,
    "CANCELLED": State.CANCELLED, "REVOKED": State.CANCELLED,
}  # fmt: skip
"""Those of Slurm; every other is a way to fail."""

_IN_WORDS: Final = {
    "TIMEOUT": "it reached its time limit",
    "DEADLINE": "it reached its deadline",
    "NODE_FAIL": "its node went down",
    "OUT_OF_MEMORY": "it took more memory than it had asked for",
    "PREEMPTED": "a job of higher priority took its place",
    "BOOT_FAIL": "its node did not start",
}


class Slurm:
    """Runs commands on a Slurm cluster; see :class:`registry.learn.compute.contract.Executor`.

    The folder of the lake's jobs, the command's folder and the Python have to be seen by the nodes
    under the same paths, unless the target's container brings the Python.

    Args:
        target: What ``compute.yaml`` says of it.
        records: Where its jobs are noted.
    """

    def __init__(self, target: Target, records: Records) -> None:
        self._target, self._records = target, records

    @property
    def name(self) -> str:
        """As ``--on`` names it."""
        return self._target.name

    def script(self, command: Command) -> str:
        """Return the script that ``sbatch`` would be given."""
        return rendered(command, self._target, job_id=command.name, folder=None)

    def submit(self, command: Command) -> Job:
        """Hand a command to Slurm.

        Returns:
            The job.

        Raises:
            NoExecutorError: Slurm does not answer, or refuses it.
        """
        job = self._records.new(command, executor=self.name)
        try:
            script = rendered(command, self._target, job_id=job.id, folder=job.folder)
            job.script.write_text(script, "utf-8")
            said = _asked("sbatch", "--parsable", str(job.script))
        except BaseException:
            self._records.drop(job)
            raise
        job = replace(job, external=said.partition(";")[0].strip())
        self._records.save(job)
        return self.status(job)

    def status(self, job: Job) -> Job:
        """Return the job as it stands now.

        Raises:
            NoExecutorError: Slurm does not answer.
        """
        if job.state.is_over:
            return settled(job)
        job = job if job.external else self._found(job)
        if not job.external:
            return over(job, State.LOST, reason="it was never handed over")
        try:
            said = _asked("scontrol", "--oneliner", "show", "job", job.external)
        except NoExecutorError as error:
            if _UNKNOWN_JOB not in error.problem:
                raise
            return self._afterwards(job)
        fields = _fields(said)
        if fields.get("JobName") != job.id:  # in time Slurm counts from the beginning again
            return self._afterwards(job)
        return _standing(job, fields)

    def logs(self, job: Job, *, follow: bool = False) -> Iterator[str]:
        """Return an iterator over what it has said."""
        return followed(job, self.status, follow=follow)

    def cancel(self, job: Job) -> Job:
        """End a job.

        Returns:
            The job as it stands then.

        Raises:
            NoExecutorError: Slurm does not answer.
        """
        now = self.status(job)
        if now.state.is_over:
            return now
        (job.folder / CANCELLED).touch()  # it must not ask for another start
        _asked("scancel", now.external)
        until = time.monotonic() + _CANCEL_SECONDS
        while not (now := self.status(now)).state.is_over and time.monotonic() < until:
            time.sleep(_STEP_SECONDS)
        return now

    def _found(self, job: Job) -> Job:
        """Return a job with Slurm's number, where whoever handed it over was ended before it."""
        said = _asked("squeue", "--noheader", "--states=all", f"--name={job.id}", "--format=%A")
        numbers = said.split()
        if not numbers:
            return job
        known = replace(job, external=numbers[-1])
        self._records.save(known)
        return known

    def _afterwards(self, job: Job) -> Job:
        """Return a job that Slurm has forgotten: by its accounts, else by what it left."""
        state, _, status = self._accounts(job).partition("|")
        if state:
            return _standing(job, {"JobState": state.split()[0], "ExitCode": status})
        if (job.folder / CANCELLED).exists():
            return over(job, State.CANCELLED)
        try:
            left = (job.folder / EXIT).read_text("utf-8").strip()
        except OSError:
            return over(job, State.LOST, reason="Slurm knows it no longer; it left no status")
        return _standing(
            job, {"JobState": "COMPLETED" if left == "0" else "FAILED", "ExitCode": f"{left}:0"}
        )

    @staticmethod
    def _accounts(job: Job) -> str:
        try:
            said = _asked(
                "sacct", "--noheader", "--parsable2", "--allocations", "--format=State,ExitCode",
                f"--jobs={job.external}", f"--name={job.id}",  # numbers are given again
            )  # fmt: skip
        except NoExecutorError:  # a cluster without accounting
            return ""
        return said.splitlines()[-1].strip() if said.strip() else ""


def _standing(job: Job, fields: dict[str, str]) -> Job:
    word = fields.get("JobState", "")
    state = _STATES.get(word, State.FAILED)
    attempt = int(fields.get("Restarts", job.attempt - 1)) + 1
    if not state.is_over:
        why = fields.get("Reason", "None")
        return replace(job, state=state, attempt=attempt, reason="" if why == "None" else why)
    reason = ""
    if state == State.FAILED:
        reason = _IN_WORDS.get(word) or _ending(fields.get("ExitCode", ""))
    return over(replace(job, attempt=attempt), state, reason=reason)


def _ending(said: str) -> str:
    status, _, number = said.partition(":")
    if number not in {"", "0"}:
        return f"it was ended by signal {number}"
    return f"it ended with status {status or 'unknown'}"


def _fields(said: str) -> dict[str, str]:
    """Return what ``scontrol`` says of a job; its name stands first and has no blanks."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"(?:^|\s)([A-Za-z/:]+)=(\S*)", said):
        found.setdefault(name, value)
    return found


def _asked(*words: str) -> str:
    """Return what a program of Slurm's answers.

    Raises:
        NoExecutorError: It is not installed, does not answer in time, or refuses.
    """
    # What a job around this process was given must not become this one's.
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SLURM_") or name == "SLURM_CONF"
    }
    try:
        ran = subprocess.run(
            list(words), env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_PATIENCE_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise NoExecutorError(
            f"{words[0]} is not installed on this machine",
            hint="run it where Slurm is, such as a login node; or name another place: --on local",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NoExecutorError(
            f"Slurm has not answered {words[0]} for {_PATIENCE_SECONDS:.0f} s",
            hint="try again; see whether its controller is up: scontrol ping",
        ) from error
    if ran.returncode:
        said = " ".join((ran.stderr or ran.stdout).split())[-500:]
        raise NoExecutorError(
            f"{words[0]} says: {said or f'status {ran.returncode}'}",
            hint="see account, partition, qos and time in compute.yaml, and scontrol ping",
        )
    return ran.stdout
