"""The processes of a job, found by what they carry rather than by numbers that are used again."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry.learn.compute.contract import JOB_VARIABLE

__all__ = ["end", "of_job"]

_STEP_SECONDS: Final = 0.05
_PROC: Final = Path("/proc")


def of_job(name: str, *, but: frozenset[int] = frozenset()) -> list[int]:
    """Return the processes of this machine that belong to a job.

    Launchers of several processes put each into a session of its own, so a process group does not
    hold them all; what they inherit does.

    Args:
        name: The job's.
        but: Processes to leave out.

    Returns:
        Their ids; only those that this user may look into.
    """
    mark = f"{JOB_VARIABLE}={name}".encode()
    known = (entry for entry in _PROC.iterdir() if entry.name.isdigit())
    return [
        int(entry.name) for entry in known if int(entry.name) not in but and _carries(entry, mark)
    ]


def _carries(entry: Path, mark: bytes) -> bool:
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or somebody else's
        return False


def end(name: str, *, patience: float, but: frozenset[int] = frozenset()) -> None:
    """End every process of a job: by SIGTERM, and those that are still there by SIGKILL.

    Args:
        name: The job's.
        patience: Seconds between the two.
        but: Processes to leave alone.
    """
    _signal(name, signal.SIGTERM, but)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if not of_job(name, but=but):
            return
        time.sleep(_STEP_SECONDS)
    while of_job(name, but=but):  # a process may have been born between look and signal
        _signal(name, signal.SIGKILL, but)
        time.sleep(_STEP_SECONDS)


def _signal(name: str, number: signal.Signals, but: frozenset[int]) -> None:
    mark = f"{JOB_VARIABLE}={name}".encode()
    for pid in of_job(name, but=but):
        with suppress(ProcessLookupError, PermissionError):
            handle = os.pidfd_open(pid)
            try:
                # The handle means one process for ever; look again at whose it is.
                if _carries(_PROC / str(pid), mark):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
