"""The job's end of what is said between a job and whoever started it.

Three may start one: the lab (:func:`registry.curate.jobs.launch`), which gives it a pipe; Dagster,
which speaks Pipes; and a person, who gives its arguments as JSON.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, Protocol

from registry.errors import InvalidInputError, RegistryError, UnavailableError
from registry.progress import Progress

__all__ = ["Job", "serve", "told"]

_GRACE_SECONDS: Final = 20.0
"""How long a job that is to stop may tidy up before it is killed with all that it started."""

_STOPPED: Final = 130
_LEFT_ALONE: Final = threading.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job is asked, and whom it tells how far it is."""

    arguments: Mapping[str, Any]
    """What it is asked."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Spark settings of the user's own."""

    progress: Progress
    """Told what is done; safe to tell from several threads."""


class _Teller(Progress, Protocol):
    def result(self, said: Mapping[str, Any]) -> None: ...

    def error(self, error: Exception) -> None: ...


def serve(work: Callable[[Job], Mapping[str, Any]]) -> None:
    """Do a job for whoever started this process, and exit.

    Args:
        work: Does it and returns what was done, as JSON can say it. SIGTERM, Ctrl-C and the end of
            whoever started the process raise KeyboardInterrupt in it.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(_served(work))
    finally:
        if _LEFT_ALONE.is_set():
            _end_group()


def _served(work: Callable[[Job], Mapping[str, Any]]) -> int:
    teller: _Teller = _Spoken()
    try:
        teller, asked = _opened()
        job = Job(
            arguments=asked.get("arguments", {}),
            settings=asked.get("settings", {}),
            progress=teller,
        )
        _tell_log(work, job)
        teller.result(work(job))
    except RegistryError as error:
        traceback.print_exc()  # for the log
        teller.error(error)
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return _STOPPED
    except Exception as error:
        teller.error(error)
        raise
    return 0


def _tell_log(work: Callable[[Job], Mapping[str, Any]], job: Job) -> None:
    # Names alone: a lake's address or a definition is none of the log's business.
    names = ", ".join(sorted(map(str, job.arguments)))
    module = work.__module__
    sys.stderr.write(f"{module} of {job.arguments.get('ref')!r}, asked with {names}\n")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; tidying up takes a moment
    raise KeyboardInterrupt


def _opened() -> tuple[_Teller, Mapping[str, Any]]:
    if sys.argv[1:2] == ["--channel"]:
        asked = sys.stdin.buffer.readline()
        threading.Thread(target=_end_with_starter, daemon=True).start()
        return _Lines(int(sys.argv[2])), json.loads(asked)
    if "DAGSTER_PIPES_CONTEXT" in os.environ:
        pipes = _Pipes()
        return pipes, pipes.asked
    return _Spoken(), _typed(sys.argv[1:])


def _typed(words: list[str]) -> Mapping[str, Any]:
    try:
        arguments = json.loads(words[0]) if words else None
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise InvalidInputError(
            "a job needs its arguments as one JSON object",
            hint="let eolab start it, or say what it is to do as '{\"ref\": …}'",
        )
    return {"arguments": arguments}


def _end_with_starter() -> None:
    """Stop when standard input ends: whoever started this process is gone, or has had enough."""
    while os.read(0, 1024):
        pass
    _LEFT_ALONE.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    _end_group()


def _end_group() -> None:
    """End this process with all that it started, if it leads a group of its own."""
    sys.stderr.flush()
    sys.stdout.flush()
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)


def told(error: Exception) -> dict[str, Any]:
    """Return an error as JSON can say it, for another process to raise.

    Args:
        error: A registry error, which crosses whole; of any other only its words.
    """
    if not isinstance(error, RegistryError):
        problem = f"{type(error).__name__}: {error}".strip().splitlines()[0][:500]
        return {"codes": [], "module": "", "problem": problem, "hint": ""}
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, RegistryError)]
    return {
        "codes": [kind.code for kind in kinds],
        "module": type(error).__module__,
        "problem": error.problem,
        "hint": error.hint,
    }


def _begun(what: str, total: int | None, unit: str) -> str:
    return f"{what}, {total:,} {unit}" if total else what


class _Lines:
    """Speaks in lines of JSON to :func:`registry.curate.jobs.launch`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()
        os.set_inheritable(descriptor, False)  # noqa: FBT003 — its only way

    def stage(self, what: str, *, total: int | None, unit: str) -> None:
        self._say({"stage": what, "total": total, "unit": unit})

    def advance(self, count: int = 1) -> None:
        self._say({"advance": count})

    def result(self, said: Mapping[str, Any]) -> None:
        self._say({"result": dict(said)})

    def error(self, error: Exception) -> None:
        self._say({"error": told(error)})

    def _say(self, said: Mapping[str, Any]) -> None:
        rest = json.dumps(said).encode() + b"\n"
        with self._turn:
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except BrokenPipeError:  # nobody listens any more; standard input says so too
                return


class _Spoken:
    """Speaks to a person: stages and errors on standard error, the answer on standard output."""

    def stage(self, what: str, *, total: int | None, unit: str) -> None:
        sys.stderr.write(f"{_begun(what, total, unit)} …\n")

    def advance(self, count: int = 1) -> None:
        pass

    def result(self, said: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(said, indent=1) + "\n")

    def error(self, error: Exception) -> None:
        sys.stderr.write(f"error: {error}\n")


class _Pipes:
    """Speaks to Dagster: progress as lines of the run's log, the answer as metadata."""

    def __init__(self) -> None:
        try:
            from dagster_pipes import open_dagster_pipes
        except ImportError as error:
            raise UnavailableError(
                "this environment has no dagster-pipes",
                hint="pip install 'eo-training-data-lab[dagster]'",
            ) from error
        self._context = open_dagster_pipes()
        self._total: int | None = None
        self._done, self._told = 0, 0.0
        self._what, self._unit = "", ""
        self._turn = threading.Lock()

    @property
    def asked(self) -> Mapping[str, Any]:
        extras = self._context.extras
        return {
            "arguments": extras.get("arguments", {}),
            "settings": extras.get("settings", {}),
        }

    def stage(self, what: str, *, total: int | None, unit: str) -> None:
        with self._turn:
            self._what, self._unit, self._total = what, unit, total
            self._done, self._told = 0, 0.0
            self._context.log.info("%s", _begun(what, total, unit))

    def advance(self, count: int = 1) -> None:
        with self._turn:
            self._done += count
            if not self._total or self._done / self._total < self._told + 0.1:
                return
            self._told = self._done / self._total
            done = f"{self._done:,} of {self._total:,} {self._unit}"
            self._context.log.info("%s: %s", self._what, done)

    def result(self, said: Mapping[str, Any]) -> None:
        shown = {
            key: {"raw_value": value, "type": "json"} if isinstance(value, dict | list) else value
            for key, value in json.loads(json.dumps(said)).items()
            if value is not None
        }
        self._context.report_asset_materialization(metadata=shown)
        self._context.close()

    def error(self, error: Exception) -> None:
        self._context.log.error("%s", error)
        self._context.close()
