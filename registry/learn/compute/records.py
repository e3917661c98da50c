"""Records of jobs: a folder each, so that a job outlives whoever started it."""

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from registry.errors import ForbiddenError, InvalidInputError
from registry.learn.compute.contract import Command, Job, JobNotFoundError, State

__all__ = ["Records", "jobs_folder", "last_lines", "over", "put", "settled", "taken"]

_RECORD: Final = "job.json"
_TAIL_BYTES: Final = 65_536
_LAUNCHER: Final = re.compile(r"[WE]\d{4} [\d:.]+ \d+ .*torch/distributed/elastic/")
_FAILED: Final = re.compile(_LAUNCHER.pattern + r".* failed \(exitcode: ")
_LAST: Final = 12
_HERE: Final = ".eolab/jobs"


def jobs_folder() -> Path:
    """Return where records of jobs are kept.

    Returns:
        What ``EOLAB_JOBS`` says; else ``jobs`` beside a lake that is a folder, else ``.eolab/jobs``
        in the current folder; perhaps not there yet.
    """
    stated = os.environ.get("EOLAB_JOBS")
    if stated:
        return Path(stated).expanduser().absolute()
    lake = os.environ.get("EOLAB_LAKE") or ""
    parts = urlsplit(lake)
    if not lake or parts.scheme not in {"", "file"}:
        return Path(_HERE).absolute()
    folder = Path(unquote(parts.path)) if parts.scheme else Path(lake).expanduser()
    return folder.absolute().parent / "jobs"


class Records:
    """The jobs whose records lie in one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or jobs_folder()).absolute()

    def new(self, command: Command, *, executor: str) -> Job:
        """Begin the record of a job that is about to be handed over.

        Args:
            command: What is to run.
            executor: Who will run it.

        Returns:
            The job, in a folder that nobody else can read.

        Raises:
            ForbiddenError: The folder cannot be written.
        """
        made = f"{command.name}-{secrets.token_hex(3)}"
        job = Job(
            id=made,
            executor=executor,
            argv=command.argv,
            submitted=datetime.now(tz=UTC),
            folder=self._folder / made,
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            job.folder.mkdir(mode=0o700)
            job.log.touch(mode=0o600)
            self.save(job)
        except OSError as error:
            raise ForbiddenError(
                f"no record of a job can be written in {self._folder}: {error.strerror}",
                hint="name a folder of your own in EOLAB_JOBS",
            ) from error
        return job

    @staticmethod
    def save(job: Job) -> None:
        """Write what is known of a job; readers see the old record or the new one."""
        put(
            job.folder / _RECORD,
            {
                "id": job.id,
                "executor": job.executor,
                "argv": list(job.argv),
                "submitted": job.submitted.isoformat(),
                "external": job.external,
                "state": job.state.value,
                "attempt": job.attempt,
                "reason": job.reason,
            },
        )

    def drop(self, job: Job) -> None:
        """Forget a job that nobody took."""
        for file in job.folder.iterdir():
            file.unlink(missing_ok=True)
        job.folder.rmdir()

    def all(self) -> list[Job]:
        """Return every job, the newest first."""
        with suppress(FileNotFoundError, NotADirectoryError):
            found = [job for folder in self._folder.iterdir() if (job := _read(folder)) is not None]
            return sorted(found, key=lambda job: (job.submitted, job.id), reverse=True)
        return []

    def find(self, name: str) -> Job:
        """Return the job of a name.

        Args:
            name: Its id, or the beginning or end of it if no other job's is the same.

        Raises:
            JobNotFoundError: There is none.
            InvalidInputError: There are several.
        """
        known = self.all()
        exact = [job for job in known if job.id == name]
        found = exact or [
            job for job in known if name and (job.id.startswith(name) or job.id.endswith(name))
        ]
        if not found:
            raise JobNotFoundError(f"there is no job {name!r} here", hint="list them: eolab jobs")
        if len(found) > 1:
            names = ", ".join(job.id for job in found[:4])
            raise InvalidInputError(
                f"{name!r} may be any of {len(found)} jobs: {names}", hint="write more of its name"
            )
        return found[0]


def _read(folder: Path) -> Job | None:
    said = taken(folder / _RECORD)
    if said is None:
        return None
    try:
        return Job(
            id=str(said["id"]),
            executor=str(said["executor"]),
            argv=tuple(str(word) for word in said["argv"]),
            submitted=datetime.fromisoformat(said["submitted"]),
            folder=folder,
            external=str(said.get("external", "")),
            state=State(said["state"]),
            attempt=int(said.get("attempt", 1)),
            reason=str(said.get("reason", "")),
        )
    except (KeyError, TypeError, ValueError):
        return None  # a folder that somebody else has put here


def put(file: Path, document: Mapping[str, Any]) -> None:
    """Write a document so that any reader sees the old one or the new one.

    Args:
        file: Where; readable by its owner alone.
        document: What, as JSON can say it.

    Raises:
        OSError: The disk is full, or the folder gone.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def taken(file: Path) -> dict[str, Any] | None:
    """Return a document that `put` wrote; None if there is none."""
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def last_lines(log: Path) -> str:
    """Return the end of a log: its last lines, 12 at most."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    said = _without_launcher([line for line in text.splitlines() if line.strip()])
    return "\n".join(said[-_LAST:])


def _without_launcher(lines: list[str]) -> list[str]:
    """Return lines without what torchrun says after a process of its own has failed."""
    ends = [number for number, text in enumerate(lines) if _FAILED.match(text)]
    said = lines[: ends[-1]] if ends else lines
    return [text for text in said if not _LAUNCHER.match(text)] or lines


def over(job: Job, state: State, *, reason: str = "") -> Job:
    """Return a job that has ended, and write that down: over is over for ever."""
    lines = last_lines(job.log) if state in {State.FAILED, State.LOST} else ""
    ended = replace(job, state=state, reason=reason, last_lines=lines)
    Records.save(ended)
    return ended


def settled(job: Job) -> Job:
    """Return a job that is over, with its last lines where it failed."""
    if job.state in {State.FAILED, State.LOST}:
        return replace(job, last_lines=last_lines(job.log))
    return job
