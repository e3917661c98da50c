"""Every place that commands can run at, ready to be used, and what interrupts a job there."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from registry.learn.compute.choosing import executor
from registry.learn.compute.contract import Executor, Job
from registry.learn.compute.processes import of_job
from registry.learn.compute.records import Records
from tests.learn.compute.cluster import Cluster, running_cluster
from tests.learn.compute.slurm import Cluster as Slurm

__all__ = ["Place", "a_cluster", "a_slurm", "this_machine"]

PATIENCE = 240.0  # of a busy machine; what goes well takes seconds


@dataclass
class Place:
    """An executor and what a test has to do to it from outside."""

    executor: Executor
    records: Records
    hurry: Callable[[Job], None] = lambda _: None
    """Let a job that was queued again begin now."""

    def until(self, job: Job, is_so: Callable[[Job], bool]) -> Job:
        """Return the job once something is so of it."""
        end = time.monotonic() + PATIENCE
        while not is_so(now := self.executor.status(job)):
            assert time.monotonic() < end, f"{now}\n{now.log.read_text('utf-8')}"
            self.hurry(now)
            time.sleep(0.1)
        return now

    def over(self, job: Job) -> Job:
        """Return the job once it is over."""
        return self.until(job, lambda now: now.state.is_over)

    @staticmethod
    def kill(job: Job) -> None:
        """End what a job runs by SIGKILL, as a node does that has no memory left."""
        killed = 0
        for pid in of_job(job.id):
            with suppress(FileNotFoundError, ProcessLookupError):  # one's end may be another's
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"learn.compute.supervisor" not in words and b"slurm_script" not in words:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        assert killed


def this_machine(folder: Path) -> Place:
    records = Records(folder / "jobs")
    return Place(executor("local", config=_none(folder), records=records), records)


def a_slurm(folder: Path, slurm: Slurm) -> Place:
    records = Records(folder / "jobs")
    pending: dict[str, float] = {}

    def hurry(job: Job) -> None:
        # Slurm waits two minutes before it starts a job again, and gives no new leave to run it
        # within the second in which the old one was taken back.
        if job.reason == "BeginTime":
            first = pending.setdefault(job.id, time.monotonic())
            if time.monotonic() - first > 2:
                slurm.ask("scontrol", "update", f"jobid={job.external}", "starttime=now")
                pending.pop(job.id)

    return Place(executor("slurm", config=_none(folder), records=records), records, hurry)


@contextmanager
def a_cluster(folder: Path) -> Iterator[tuple[Place, Cluster, Path]]:
    config = folder / "compute.yaml"
    config.write_text(
        json.dumps({
            "kubernetes": {
                "image": "lab:1",
                "mounts": [{"path": str(folder), "host": str(folder)}],
            }
        }),
        "utf-8",
    )
    records = Records(folder / "jobs")
    with running_cluster(folder / "cluster") as (cluster, kubeconfig):
        place = Place(executor("kubernetes", config=config, records=records), records)
        yield place, cluster, kubeconfig


def _none(folder: Path) -> Path:
    file = folder / "compute.yaml"
    file.write_text("", "utf-8")
    return file
