"""This machine: a process of its own that goes on when whoever started it is gone."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from registry.errors import InvalidInputError
from registry.learn.compute import processes
from registry.learn.compute.contract import Command, Job, NoExecutorError, State
from registry.learn.compute.following import followed
from registry.learn.compute.launching import environment_of, single
from registry.learn.compute.records import Records, over, put, settled, taken
from registry.learn.compute.scripts import exported, line
from registry.learn.compute.supervisor import CANCELLED, STANDS, TASK
from registry.learn.compute.targets import Target
from registry.learn.devices import check_here

__all__ = ["Local"]

_ALIVE: Final = "alive"
_PATIENCE_SECONDS: Final = 10.0
_MARGIN_SECONDS: Final = 20.0
_STEP_SECONDS: Final = 0.05
_SUPERVISOR: Final = "registry.learn.compute.supervisor"
_GONE: Final = "this machine was restarted, or the job's supervisor was killed"


class Local:
    """Runs commands on this machine; see :class:`registry.learn.compute.contract.Executor`.

    Args:
        target: What ``compute.yaml`` says of it.
        records: Where its jobs are noted.
        patience: Seconds that a cancelled job is given to end by itself.
    """

    def __init__(
        self, target: Target, records: Records, *, patience: float = _PATIENCE_SECONDS
    ) -> None:
        self._target, self._records, self._patience = target, records, patience

    @property
    def name(self) -> str:
        """As ``--on`` names it."""
        return self._target.name

    def script(self, command: Command) -> str:
        """Return a script that does what a job would do."""
        environment = {**command.environment, **self._target.environment}
        return "\n".join([
            "#!/bin/bash",
            *exported(environment),
            line("cd", "--", str(command.workdir)),
            line("exec", *self._words(command)),
            "",
        ])

    def submit(self, command: Command) -> Job:
        """Start a command, watched by a supervisor that belongs to nobody.

        Returns:
            The job.

        Raises:
            NoDeviceError: It has fewer graphics processors than are asked for.
            NoExecutorError: No process can be started.
        """
        words = self._words(command)
        check_here(command.resources.gpus)
        job = self._records.new(command, executor=self.name)
        put(
            job.folder / TASK,
            {
                "name": job.id,
                "argv": list(words),
                "workdir": str(command.workdir),
                "restarts": command.resources.restarts,
                "minutes": command.resources.minutes,
                "patience": self._patience,
            },
        )
        job.script.write_text(self.script(command), "utf-8")
        try:
            self._start(job, environment_of(command, job.id, self._target.environment))
        except OSError as error:
            self._records.drop(job)
            raise NoExecutorError(
                f"this machine starts no further process: {error.strerror}",
                hint="end some, or ask for more with ulimit -u",
            ) from error
        return self.status(job)

    def status(self, job: Job) -> Job:
        """Return the job as it stands now."""
        if job.state.is_over:
            return settled(job)
        alive = self._is_alive(job)  # before its note is read, which may be its last
        stands = taken(job.folder / STANDS) or {"state": "queued", "attempt": 1, "reason": ""}
        state = State(stands["state"])
        now = replace(job, state=state, attempt=int(stands["attempt"]), reason=stands["reason"])
        if state.is_over:
            return over(now, state, reason=now.reason)
        if alive:
            return now
        if processes.of_job(job.id):
            return replace(now, reason="its supervisor is gone; it goes on alone")
        if (job.folder / CANCELLED).exists():
            return over(now, State.CANCELLED)
        return over(now, State.LOST, reason=_GONE)

    def logs(self, job: Job, *, follow: bool = False) -> Iterator[str]:
        """Return an iterator over what it has said."""
        return followed(job, self.status, follow=follow)

    def cancel(self, job: Job) -> Job:
        """End a job.

        Returns:
            The job as it stands then.
        """
        now = self.status(job)
        if now.state.is_over:
            return now
        (job.folder / CANCELLED).touch()
        until = time.monotonic() + self._patience + _MARGIN_SECONDS
        while self._is_alive(job) and time.monotonic() < until:
            time.sleep(_STEP_SECONDS)
        if not self._is_alive(job):
            processes.end(job.id, patience=self._patience)
        return self.status(job)

    def _words(self, command: Command) -> tuple[str, ...]:
        if command.resources.nodes > 1:
            raise InvalidInputError(
                f"this machine is one node, not {command.resources.nodes}",
                hint="ask for --processes, or name a cluster: --on slurm",
            )
        return single(command, python=self._target.python or sys.executable)

    @staticmethod
    def _start(job: Job, environment: dict[str, str]) -> None:
        lock = os.open(job.folder / _ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Taken here and handed on, so that there is no moment in which nobody holds it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with job.log.open("ab") as log:
                subprocess.run(
                    [sys.executable, "-P", "-m", _SUPERVISOR, str(job.folder), str(lock)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock,),
                    env={**os.environ, **environment}, start_new_session=True, check=False,
                )  # fmt: skip
        finally:
            os.close(lock)

    @staticmethod
    def _is_alive(job: Job) -> bool:
        return _is_locked(job.folder / _ALIVE)


def _is_locked(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
