"""Jobs: work that a program of its own does, such as Spark; started, watched and ended from here.

A job is a module of ``spark_jobs``. It is told names only, on its standard input, which stays open
for as long as whoever started it lives: its end ends the job. It answers in lines of JSON on a pipe
of its own, because its standard output belongs to the JVM and goes into a log.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final, Literal

from registry.cache import cache_folder
from registry.errors import InvalidInputError, RegistryError, UnavailableError
from registry.progress import SILENT, Progress

__all__ = [
    "KEPT_LOGS", "Engine", "JobFailedError", "chosen", "launch", "logs_folder", "revived",
    "settings_of",
]  # fmt: skip

Engine = Literal["auto", "library", "spark"]
"""Who does what both can do: this process, or Spark; ``auto`` looks at how large it is."""

KEPT_LOGS: Final = 20
"""How many logs are kept of each job; older ones are dropped when the next begins."""

_PATIENCE_SECONDS: Final = 30.0
"""How long a job that was told to stop may take before it is ended."""


class JobFailedError(UnavailableError):
    """A job ended without an answer; its log says more."""

    code = "job-failed"


def chosen(asked: Engine, *, large: Callable[[], bool]) -> Literal["library", "spark"]:
    """Return which engine does work that both can do.

    Args:
        asked: ``auto`` is Spark where ``SPARK_MASTER`` names a cluster, or where the work is large
            and Spark is installed.
        large: Whether the work is; asked only where that decides.
    """
    if asked != "auto":
        return asked
    if os.environ.get("SPARK_MASTER"):
        return "spark"
    return "spark" if find_spec("pyspark") is not None and large() else "library"


def launch(
    job: str,
    arguments: Mapping[str, Any],
    *,
    progress: Progress = SILENT,
    settings: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """Run a job to its end and return what it says it did.

    However this ends, nothing of the job goes on: an error or Ctrl-C here stops it, and it ends
    itself when this process is gone.

    Args:
        job: A module of ``spark_jobs``, such as ``"features"``.
        arguments: What it is asked: names and numbers, as JSON can say them; never data or keys.
        progress: Told what the job does.
        settings: Spark settings of the user's own, which win over the lab's.

    Returns:
        The job's own answer.

    Raises:
        RegistryError: The job's own error, of its own class.
        JobFailedError: It ended without an answer, or cannot be started.
    """
    log = _new_log(job)
    asked = {"arguments": dict(arguments), "settings": dict(settings or {})}
    process, answers = _started(job, log)
    try:
        _ask(process, asked)
        for answer in _lines(answers):
            if "result" in answer:
                return _checked(answer["result"], job, log)
            if "error" in answer:
                error = revived(answer["error"], hint=_see(log))
                raise error
            _pass_on(answer, progress)
    finally:
        status = _ended(process)
        answers.close()
    raise JobFailedError(_last_words(job, status), hint=_see(log))


def logs_folder() -> Path:
    """Return where the logs of jobs are kept: ``logs`` below ``EOLAB_CACHE`` or the user's."""
    return cache_folder("logs")


def settings_of(words: Iterable[str]) -> dict[str, str]:
    """Return settings of Spark that were typed as ``key=value``.

    Raises:
        InvalidInputError: One is written in another way.

    Examples:
        >>> settings_of(["spark.executor.memory=8g"])
        {'spark.executor.memory': '8g'}
    """
    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key.strip().startswith("spark."):
            raise InvalidInputError(
                f"{word!r} is no setting of Spark", hint="write spark.executor.memory=8g"
            )
        found[key.strip()] = value.strip()
    return found


def _new_log(job: str) -> Path:
    folder = logs_folder()
    stamp = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%S.%f")
    log = folder / f"{job}-{stamp}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob(f"{job}-*.log"))[: -(KEPT_LOGS - 1)]:
            old.unlink(missing_ok=True)
        log.touch(mode=0o600)
    except OSError as error:
        raise JobFailedError(
            f"no log can be written in {folder}: {error.strerror}",
            hint="make room there, or name another folder in EOLAB_CACHE",
        ) from error
    return log


def _started(job: str, log: Path) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    ours, theirs = os.pipe()
    try:
        with log.open("ab") as said:
            # A session of its own: Ctrl-C is for this process, which then ends the job's group.
            process = subprocess.Popen(
                [*_program(job), "--channel", str(theirs)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                pass_fds=(theirs,),
                start_new_session=True,
            )
    except OSError as error:
        os.close(ours)
        raise JobFailedError(
            f"{job} cannot be started: {error.strerror}", hint=_see(log)
        ) from error
    finally:
        os.close(theirs)
    return process, os.fdopen(ours, "rb")


def _program(job: str) -> list[str]:
    # -P: no module of the current folder takes the place of one of the lab's.
    return [sys.executable, "-P", "-m", "spark_jobs", job]


def _ask(process: subprocess.Popen[bytes], asked: Mapping[str, Any]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it ended at once: what it said is read next
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()


def _lines(answers: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in answers:
        with suppress(ValueError):  # a line that was cut off as its writer died
            said = json.loads(line)
            if isinstance(said, dict):
                yield said


def _pass_on(answer: Mapping[str, Any], progress: Progress) -> None:
    if "stage" in answer:
        total = answer.get("total")
        progress.stage(str(answer["stage"]), total=total, unit=str(answer.get("unit", "")))
    elif "advance" in answer:
        progress.advance(int(answer["advance"]))


def _checked(result: object, job: str, log: Path) -> Mapping[str, Any]:
    if not isinstance(result, dict):
        raise JobFailedError(f"{job} answered with no document", hint=_see(log))
    return result


def revived(said: Mapping[str, Any], *, hint: str) -> RegistryError:
    """Return an error that another process told of: of its own class where that is known here.

    Args:
        said: As ``spark_jobs.channel.told`` tells it.
        hint: What to do about an error that is none of the registry's.
    """
    module = str(said.get("module"))
    if module.startswith("registry."):
        with suppress(ImportError):
            import_module(module)  # so that its errors are known here
    # A class without a code of its own would answer to that of the one above it.
    known = {kind.code: kind for kind in _kinds(RegistryError) if "code" in vars(kind)}
    for code in said.get("codes", ()):
        if kind := known.get(code):
            error = kind.__new__(kind)
            RegistryError.__init__(error, str(said.get("problem")), hint=str(said.get("hint")))
            return error
    return JobFailedError(str(said.get("problem")), hint=hint)


def _kinds(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds(one)


def _ended(process: subprocess.Popen[bytes]) -> int:
    # Ends a job that still runs, with all that it started.
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()  # its end tells the job to stop
    until = time.monotonic() + _PATIENCE_SECONDS
    try:
        while not _is_over(process) and time.monotonic() < until:
            time.sleep(0.02)
    finally:  # also when somebody presses Ctrl-C twice
        # Its id stays its own until it is waited for, so no other group can be meant.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    return status


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    asked = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, asked) is not None


def _last_words(job: str, status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"the job '{job}' was ended by {signal.Signals(-status).name}"
    return f"the job '{job}' ended without an answer, with status {status}"


def _see(log: Path) -> str:
    return f"read its log: {log}"
