"""A small process beside a job on this machine: starts it, starts it again, notes how it ended.

``python -m registry.learn.compute.supervisor FOLDER LOCK`` is given the job's record and an open,
locked file: as long as that is locked, the supervisor lives, whatever its process is numbered.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from registry.learn.compute.processes import end
from registry.learn.compute.records import put, taken

__all__ = ["ASKED", "CANCELLED", "STANDS", "TASK", "main"]

TASK: Final = "task.json"
"""What to run: words, folder, name, how often again, patience."""

STANDS: Final = "stands.json"
"""How it stands: state, attempt, status, reason."""

CANCELLED: Final = "cancelled"
"""A file that asks for the end."""

ASKED: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP})
"""Signals by which something else ends a process; others are its own failure."""

_STEP_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 5.0
_LAST_SECONDS: Final = 24 * 3600.0


def main(arguments: list[str]) -> None:
    """Run a job to its end, as a process that nobody waits for.

    Args:
        arguments: The job's folder, and the number of the locked file.
    """
    folder, lock = Path(arguments[0]), int(arguments[1])
    if os.fork():
        os._exit(0)
    os.setsid()
    os.set_inheritable(lock, False)  # noqa: FBT003 — Python's own signature
    task = taken(folder / TASK)
    if task is not None:
        _Watch(folder, task).run()


class _Watch:
    def __init__(self, folder: Path, task: dict[str, Any]) -> None:
        self._folder, self._task = folder, task
        self._name = str(task["name"])
        self._mine = frozenset({os.getpid()})
        self._unwritten: dict[str, Any] | None = None
        self._again = 0.0

    def run(self) -> None:
        attempt = 1
        minutes = self._task.get("minutes")
        until = time.monotonic() + 60 * minutes if minutes else None
        while True:
            status = self._once(attempt, until)
            end(self._name, patience=0, but=self._mine)  # what it left behind
            if self._is_cancelled():
                return self._note("cancelled", attempt, status, "")
            if until is not None and time.monotonic() >= until:
                said = f"it ran for longer than its {minutes} minutes"
                return self._note("failed", attempt, status, said)
            if status >= 0 or -status not in ASKED or attempt > int(self._task["restarts"]):
                break
            self._say(f"{_ending(status)}; started again")
            attempt += 1
        return self._note("failed" if status else "succeeded", attempt, status, _ending(status))

    def _once(self, attempt: int, until: float | None) -> int:
        try:
            child = subprocess.Popen(
                self._task["argv"], cwd=self._task["workdir"], stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._say(f"cannot start {self._task['argv'][0]}: {error.strerror}: {error.filename}")
            return 127
        self._note("running", attempt, None, "")
        while not _is_over(child):
            if self._is_cancelled() or (until is not None and time.monotonic() >= until):
                end(self._name, patience=float(self._task["patience"]), but=self._mine)
            self._write()
            time.sleep(_STEP_SECONDS)
        with suppress(ProcessLookupError):  # its number stays its own until it is waited for
            os.killpg(child.pid, signal.SIGKILL)
        return child.wait()

    def _is_cancelled(self) -> bool:
        return (self._folder / CANCELLED).exists()

    def _note(self, state: str, attempt: int, status: int | None, reason: str) -> None:
        self._unwritten = {
            "state": state, "attempt": attempt, "status": status, "reason": reason
        }  # fmt: skip
        self._again = 0.0
        written = self._write()
        if state != "running":  # the last word: nobody else knows it
            until = time.monotonic() + _LAST_SECONDS
            while not written and self._folder.is_dir() and time.monotonic() < until:
                time.sleep(_STEP_SECONDS)
                written = self._write()

    def _write(self) -> bool:
        """Return whether the last note is written; else it is tried again, the job watched on."""
        if self._unwritten is None:
            return True
        if time.monotonic() < self._again:
            return False
        try:
            put(self._folder / STANDS, self._unwritten)
        except OSError as error:
            if not self._again:
                self._say(f"cannot note how the job stands, trying again: {error.strerror}")
            self._again = time.monotonic() + _AGAIN_SECONDS
            return False
        self._unwritten = None
        return True

    @staticmethod
    def _say(text: str) -> None:
        with suppress(OSError):  # the log lies on the same disk
            sys.stderr.write(f"eolab: {text}\n")
            sys.stderr.flush()


def _is_over(child: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ending(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-status).name}"
    return f"it ended with status {status}" if status else ""


if __name__ == "__main__":
    main(sys.argv[1:])
