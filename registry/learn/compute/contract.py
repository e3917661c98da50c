"""What runs where: a command, what it needs, the job it became, and whoever runs it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from registry.errors import InvalidInputError, NotFoundError, UnavailableError

__all__ = [
    "JOB_VARIABLE", "Command", "Executor", "Job", "JobNotFoundError", "NoExecutorError",
    "Resources", "State", "checked_text", "slug",
]  # fmt: skip

JOB_VARIABLE: Final = "EOLAB_JOB"
"""The environment variable that tells every process of a job which one it belongs to."""

_LONGEST_NAME: Final = 40
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST: Final = 100_000


class JobNotFoundError(NotFoundError):
    """There is no job of that name here."""

    code = "job-not-found"


class NoExecutorError(UnavailableError):
    """What runs jobs there does not answer, or refused one."""

    code = "executor-unavailable"


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """It waits for its turn, the first time or again."""

    RUNNING = "running"
    """It runs."""

    SUCCEEDED = "succeeded"
    """It ended, with status 0."""

    FAILED = "failed"
    """It ended otherwise, and nobody asked for that."""

    CANCELLED = "cancelled"
    """Somebody ended it."""

    LOST = "lost"
    """It is gone without a word: its machine went down, or whoever watched it was killed."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self not in {State.QUEUED, State.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a command needs.

    Examples:
        >>> Resources(gpus=4, nodes=2).workers
        8
        >>> Resources(minutes=0)
        Traceback (most recent call last):
        ...
        registry.errors.InvalidInputError: a job cannot take 0 minutes
          hint: give a whole number from 1 to 100000
    """

    cpus: int | None = None
    """Processor cores on each node; None: what the place gives by default."""

    gpus: int = 0
    """Graphics processors on each node."""

    memory_gb: int | None = None
    """Main memory on each node, in 10^9 bytes; None: what the place gives by default."""

    minutes: int | None = None
    """Longest run, in minutes; None: what the place allows by default."""

    nodes: int = 1
    """Machines."""

    processes: int | None = None
    """Processes on each node; None: one for each graphics processor, and one without any."""

    restarts: int = 3
    """How often it may be started again after something else than itself ended it."""

    def __post_init__(self) -> None:
        self._within("cpus", self.cpus, 1)
        self._within("gpus", self.gpus, 0)
        self._within("GB of memory", self.memory_gb, 1)
        self._within("minutes", self.minutes, 1)
        self._within("nodes", self.nodes, 1)
        self._within("processes", self.processes, 1)
        self._within("restarts", self.restarts, 0)

    @staticmethod
    def _within(what: str, value: int | None, least: int) -> None:
        if value is not None and not least <= value <= _MOST:
            raise InvalidInputError(
                f"a job cannot take {value} {what}",
                hint=f"give a whole number from {least} to {_MOST}",
            )

    @property
    def processes_per_node(self) -> int:
        """Processes on each node."""
        return self.processes or max(1, self.gpus)

    @property
    def workers(self) -> int:
        """Processes on all nodes together."""
        return self.nodes * self.processes_per_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is to run.

    Examples:
        >>> Command(argv=("eolab", "train", "burn scars"), name="train burn scars").name
        'train-burn-scars'
    """

    argv: tuple[str, ...]
    """Program and arguments; in first place ``eolab`` is the lab, and ``python`` the Python that
    has it, wherever it runs."""

    name: str
    """For people; becomes lower-case words with hyphens."""

    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Variables that it needs beside those of the place; they are written down, so no keys."""

    resources: Resources = field(default_factory=Resources)
    """What it needs."""

    workdir: Path = field(default_factory=Path.cwd)
    """Where it runs, as its nodes see it."""

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise InvalidInputError("there is no command to run", hint="name a program")
        for word in (*self.argv, *self.environment.values(), str(self.workdir)):
            checked_text(word)
        for name in self.environment:
            if not _VARIABLE.fullmatch(name):
                raise InvalidInputError(
                    f"{name!r} is no name of an environment variable",
                    hint="use letters, digits and _",
                )
        object.__setattr__(self, "name", slug(self.name))
        object.__setattr__(self, "workdir", self.workdir.absolute())


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command that was handed over, as its record says it."""

    id: str
    """Its name, unique where its record is: ``train-ships-3f9a2c``."""

    executor: str
    """Who runs it, as ``--on`` names it."""

    argv: tuple[str, ...]
    """What was asked to run."""

    submitted: datetime
    """When it was handed over; UTC."""

    folder: Path
    """Where its record, script and log are."""

    external: str = ""
    """What the executor itself calls it, such as Slurm's number."""

    state: State = State.QUEUED
    """Where it stood when that was asked last."""

    attempt: int = 1
    """Which start this is; above 1 after it was interrupted."""

    reason: str = ""
    """Why it stands there, where that can be said."""

    last_lines: str = ""
    """The end of its log, where it failed."""

    @property
    def log(self) -> Path:
        """Everything that it says."""
        return self.folder / "log"

    @property
    def script(self) -> Path:
        """What was handed over."""
        return self.folder / "script"


class Executor(Protocol):
    """A place where commands run.

    The promise, whatever the place:

    - `submit` returns once the job is the place's: it goes on when this process ends, however
      that ends, and is found again by its record alone.
    - Exactly the words of the command reach the program, none of them read by a shell.
    - Every process of a job finds its name in ``EOLAB_JOB``; with several processes, those of
      torchrun beside it.
    - A job that something else than itself ends (pre-emption, a node that fails, SIGKILL) is
      started again with the same words and the same name, so that what resumes, resumes; as
      often as its resources say. A job that fails is not.
    - `status` tells the truth of now; over is over for ever. A failed job's last lines are told.
    - `cancel` asks with SIGTERM and then ends every process; cancelling what is over is nothing.
    """

    @property
    def name(self) -> str:
        """As ``--on`` names it."""

    def script(self, command: Command) -> str:
        """Return what would be handed over, to read or to hand over by oneself."""

    def submit(self, command: Command) -> Job:
        """Hand a command over.

        Raises:
            NoExecutorError: The place does not answer, or refuses it.
        """

    def status(self, job: Job) -> Job:
        """Return the job as it stands now.

        Raises:
            NoExecutorError: The place does not answer.
        """

    def logs(self, job: Job, *, follow: bool = False) -> Iterator[str]:
        """Yield what it has said; with `follow` what it says from now on too, until it is over."""

    def cancel(self, job: Job) -> Job:
        """End a job; returns when it is over, or when the place has been told for long enough."""


def slug(name: str) -> str:
    """Return a name as lower-case words with hyphens, safe wherever a job has a name.

    Args:
        name: Any text.

    Returns:
        1 to 40 letters, digits and hyphens that begin with a letter.

    Examples:
        >>> slug("Train  $(rm -rf ~)/Ünïcode"), slug("4 GPUs"), slug("…")
        ('train-rm-rf-n-code', 'job-4-gpus', 'job')
    """
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not words[:1].isalpha():
        words = f"job-{words}".rstrip("-")
    return words[:_LONGEST_NAME].strip("-")


def checked_text(text: str) -> str:
    """Return text that can be an argument of a program.

    Raises:
        InvalidInputError: It holds a zero byte, or is no Unicode.
    """
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidInputError(
            f"{text[:80]!r} can be no argument of a program",
            hint="use text without zero bytes",
        )
    return text
