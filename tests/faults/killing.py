"""Children that are killed at random points, and that nothing they started may outlive."""

import ctypes
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ORPHANS_LIVE = 20.0
"""Seconds after which what a killed process started must have ended; far more than it needs."""

ON_DISK = frozenset({
    "open", "mkdir", "rename", "replace", "link", "unlink", "rmdir", "fsync", "write", "pwrite",
    "ftruncate", "utime", "flock", "close",
})  # fmt: skip
"""Calls into the system after which another process may see something new."""

Say = Callable[[dict], None]


@dataclass(frozen=True, kw_only=True)
class Death:
    """When a child is killed."""

    seconds: float | None = None
    """So long after it began; None if it counts its calls."""

    calls: int = 0
    """At the n-th call of a function, Python's or C's."""

    on_disk: bool = False
    """Count only calls that change the disk."""

    @classmethod
    def by_chance(cls, chance: random.Random, *, seconds: float, calls: int, on_disk: int):
        """Return a death by the clock, by counting calls, or by counting steps on disk."""
        way = chance.randrange(3)
        if way == 0:
            return cls(seconds=chance.random() * seconds)
        if way == 1:
            return cls(calls=chance.randrange(calls))
        return cls(calls=chance.randrange(on_disk), on_disk=True)


def run_and_kill(work: Callable[[Say], None], death: Death) -> list[dict]:
    """Run ``work(say)``, which never ends by itself, in a child until it is killed.

    Returns:
        What it said; last, under ``failed``, what went wrong with itself or what it started.
    """
    read, said = os.pipe()
    keeper = os.fork()
    if not keeper:
        try:
            os.close(read)
            _keep(work, death, said)
        finally:
            os._exit(70)
    os.close(said)
    with os.fdopen(read, "rb") as pipe:
        heard = [json.loads(line) for line in pipe.read().splitlines()]
    _, status = os.waitpid(keeper, 0)
    return [*heard, {"failed": f"the keeper ended with {status}"}] if status else heard


def _keep(work: Callable[[Say], None], death: Death, pipe: int) -> None:
    """Start the child, see that it dies, and wait for all that it had started."""

    def say(what: dict) -> None:
        os.write(pipe, json.dumps(what).encode() + b"\n")

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if not child:
        try:
            if death.seconds is None:
                _count(death)
            work(say)
        except BaseException as error:  # noqa: BLE001 — the parent must hear of it, whatever it is
            say({"failed": repr(error)})
        finally:
            os._exit(70)
    if death.seconds is not None:
        time.sleep(death.seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        say({"failed": f"it ended by itself with status {status}"})
    for orphan in _orphans():
        say({"failed": f"it is outlived by {orphan}"})
    os._exit(0)


def _count(death: Death) -> None:
    """Kill this process at its n-th call."""
    left = death.calls

    def count(frame, event, argument):
        nonlocal left
        if death.on_disk and (event != "c_call" or argument.__name__ not in ON_DISK):
            return
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def _orphans() -> list[str]:
    """Wait for what a killed child had started; name and end what does not end by itself."""
    deadline = time.monotonic() + ORPHANS_LIVE
    with suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.002)
        left = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        names = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in left]
        for pid in left:
            os.kill(int(pid), signal.SIGKILL)
        return names
    return []


def in_a_child(work: Callable[[], object]) -> object:
    """Return what ``work()`` returns in a child of its own, as JSON carries it.

    Raises:
        RuntimeError: It failed; says how.
    """
    read, said = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            try:
                told = {"is": work()}
            except BaseException:  # noqa: BLE001 — the parent must hear of it, whatever it is
                import traceback

                told = {"failed": traceback.format_exc()}
            with os.fdopen(said, "wb") as pipe:
                pipe.write(json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(said)
    with os.fdopen(read, "rb") as pipe:
        heard = pipe.read()
    os.waitpid(child, 0)
    told = json.loads(heard or b'{"failed": "it died"}')
    if "failed" in told:
        raise RuntimeError(told["failed"])
    return told["is"]
