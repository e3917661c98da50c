"""Running a command elsewhere: the options for it, and handing it over as a job."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec

import typer

from registry.cli.completion import complete_places
from registry.cli.output import emit
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.learn.compute.contract import Command, Job, Resources
    from registry.learn.compute.targets import Target

__all__ = ["Place", "anywhere", "elsewhere", "typed"]

P = ParamSpec("P")

typed: ContextVar[tuple[str, ...] | None] = ContextVar("typed", default=None)
"""What follows ``eolab`` on the command line that is being run."""

On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="PLACE",
        help="Hand it over as a job: local, slurm, kubernetes, or a place of compute.yaml.",
        show_default=False,
        autocompletion=complete_places,
    ),
]
Gpus = Annotated[
    int | None,
    typer.Option("--gpus", min=0, help="Graphics processors on each node.", show_default=False),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where the network runs: cpu, cuda, cuda:1; by default on a GPU in a job that asked "
        "for some, else cpu.",
        show_default=False,
    ),
]
Nodes = Annotated[int | None, typer.Option("--nodes", min=1, help="Machines.", show_default=False)]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        help="Processes on each node; by default one for each graphics processor.",
        show_default=False,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time-limit", metavar="[H:]MM", help="Longest run: minutes, or hours:minutes.",
        show_default=False,
    ),
]  # fmt: skip
Print = Annotated[
    bool, typer.Option("--print", help="Print what would be handed over, and do nothing.")
]

_OPTIONS: Final[Mapping[str, tuple[Any, object]]] = {
    "on": (On, None),
    "gpus": (Gpus, None),
    "nodes": (Nodes, None),
    "processes": (Processes, None),
    "time": (Time, None),
    "print_only": (Print, False),
}
_WITH_VALUE: Final = frozenset({
    "--on", "--gpus", "--nodes", "--processes", "--time-limit", "--lake",
})  # fmt: skip
_ALONE: Final = frozenset({"--print"})
_SHARED: Final = frozenset({"nodes", "processes"})
_RECIPES: Final = frozenset({".yaml", ".yml"})
_LAKE_HERE: Final = ".eolab/lake"
_HANDED_ON: Final = ("EOLAB_LAKE", "EOLAB_USER", "EOLAB_AUTHOR", "EOLAB_CACHE")


class Place:
    """Where a command is to run, as its options say.

    Args:
        said: Options by name: on, gpus, nodes, processes, time, print_only; those that the command
            has not are left out.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.on: str | None = said.get("on")
        self.print_only = bool(said.get("print_only"))
        self._said = said

    @property
    def is_here(self) -> bool:
        """Whether it simply runs in this process."""
        numbers = ("gpus", "nodes", "processes", "time")
        return (
            self.on is None
            and not self.print_only
            and all(self._said.get(name) is None for name in numbers)
        )

    @property
    def shows_lake(self) -> bool:
        """Whether a job finds the lake of here, so that refs can be looked at before.

        Raises:
            NotFoundError: There is no such place.
        """
        return not self.print_only and "EOLAB_LAKE" not in self._target().environment

    @property
    def shows_files(self) -> bool:
        """Whether a job finds the files of here under their paths.

        Raises:
            NotFoundError: There is no such place.
        """
        return not self.print_only and self._target().kind != "kubernetes"

    def _target(self) -> "Target":
        from registry.learn.compute.targets import target

        return target(self.on or "local")

    @staticmethod
    def check() -> None:
        """Refuse to run here as a job that has fewer graphics processors than it was promised.

        Raises:
            NoDeviceError: There are fewer.
        """
        from registry.learn.devices import check_promised

        check_promised()

    def resources(self) -> "Resources":
        """Return what it needs."""
        from registry.learn.compute.contract import Resources

        said = self._said
        return Resources(
            gpus=said.get("gpus") or 0,
            nodes=said.get("nodes") or 1,
            processes=said.get("processes", 1),  # a command that knows none is one
            minutes=_minutes(said.get("time")),
        )


def anywhere(
    command: Callable[P, None],
    *,
    shares: bool = True,
    before: Callable[..., str] | None = None,
) -> Callable[P, None]:
    """Give a command the options for running elsewhere, ``--on`` and those that go with it.

    With one of them the same command without them is handed over as a job, and the job printed;
    with ``--print`` what would be handed over. Without them the command runs as it is.

    Args:
        command: A function as typer takes it: ``app.command("train")(anywhere(train))``.
        shares: Whether several processes share its work; otherwise it has no ``--nodes`` and
            ``--processes``, and is one process however many graphics processors it has.
        before: Called with the command's own arguments, and the place as ``place``, before it is
            handed over, to refuse what the job would refuse later; returns the name of what the
            job makes.

    Returns:
        The command with further options.
    """
    signature = inspect.signature(command, eval_str=True)
    further = [
        # Under names that no command's own parameters have.
        inspect.Parameter(
            f"place_{name}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
        )
        for name, (kind, default) in _OPTIONS.items()
        if shares or name not in _SHARED
    ]
    known = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values()
    ]
    options = [one for one in known if one.name == "as_json"]
    rest = [one for one in known if one.name != "as_json"]

    @wraps(command)
    def somewhere(*args: P.args, **kwargs: P.kwargs) -> None:
        place = Place({
            name: kwargs.pop(f"place_{name}") for name in _OPTIONS if f"place_{name}" in kwargs
        })
        if place.is_here:
            place.check()
            command(*args, **kwargs)
        else:
            made = None if before is None else before(*args, place=place, **kwargs)
            elsewhere(place, name=None if made is None else f"{command.__name__} {made}")

    all_of_them = [*rest, *further, *options]
    shown = signature.replace(parameters=all_of_them)
    vars(somewhere)["__signature__"] = shown  # where typer, as inspect, looks first
    somewhere.__annotations__ = {one.name: one.annotation for one in all_of_them}
    return somewhere


def elsewhere(
    place: Place, arguments: Sequence[str] | None = None, *, name: str | None = None
) -> None:
    """Hand this very command over to another place, or print what would be handed over.

    Args:
        place: Where, and with what.
        arguments: What follows ``eolab``; None: what was typed.
        name: What the job is called by; None: what its words tell.
    """
    from registry.learn.compute.choosing import executor

    command = command_of(place, arguments, name=name)
    runs_it = executor(place.on)
    if place.print_only:
        script = runs_it.script(command)
        emit({"on": runs_it.name, "script": script}, script)
        return
    job = runs_it.submit(command)
    emit(_facts(job), lambda: _told(job))


def command_of(
    place: Place, arguments: Sequence[str] | None = None, *, name: str | None = None
) -> "Command":
    """Return the command that a place is to run: what was typed, without where."""
    from registry.learn.compute.contract import Command

    if arguments is None:
        arguments = said if (said := typed.get()) is not None else sys.argv[1:]
    words = without_place(arguments)
    return Command(
        argv=("eolab", *words),
        name=name or _name(words),
        environment=_environment(),
        resources=place.resources(),
    )


def without_place(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return arguments without those that say where to run.

    Examples:
        >>> without_place(["--lake", "x", "train", "a b", "--on=slurm", "--gpus", "4", "--print"])
        ('train', 'a b')
        >>> without_place(["predict", "--", "--on"])
        ('predict', '--', '--on')
    """
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            kept += [word, *words]
        elif word in _WITH_VALUE:
            next(words, None)
        elif word not in _ALONE and word.partition("=")[0] not in _WITH_VALUE:
            kept.append(word)
    return tuple(kept)


def _name(words: Sequence[str]) -> str:
    """Return what a job is called by: the command, and what it makes or works on.

    Examples:
        >>> _name(["train", "burn-scars-unet", "--seed", "2"])
        'train burn-scars-unet'
        >>> _name(["train", "burn-scars-unet", "--name=scars-b"])
        'train scars-b'
    """
    given = _said_name(words)
    if given and words[0][:1] != "-":
        return f"{words[0]} {given}"
    plain = [
        Path(word).stem if "/" in word or Path(word).suffix in _RECIPES else word
        for word in words
        if word[:1] != "-"
    ]
    return " ".join(plain[:2]) or "eolab"


def _said_name(words: Sequence[str]) -> str:
    """Return the value of ``--name``; the last, as the command takes it."""
    options = list(words[: words.index("--")] if "--" in words else words)
    found = ""
    for word, following in zip(options, [*options[1:], ""], strict=True):
        if word == "--name":
            found = following
        elif word.startswith("--name="):
            found = word.partition("=")[2]
    return found


def _environment() -> dict[str, str]:
    """Return what a job must be told of this place: names and addresses, no keys."""
    known = {"EOLAB_LAKE": _LAKE_HERE if Path(_LAKE_HERE).is_dir() else "", **os.environ}
    return {name: _absolute(name, known[name]) for name in _HANDED_ON if known.get(name)}


def _absolute(name: str, value: str) -> str:
    if name in {"EOLAB_LAKE", "EOLAB_CACHE"} and ":" not in value.partition("/")[0]:
        return str(Path(value).expanduser().absolute())
    return value


def _minutes(said: str | None) -> int | None:
    if said is None:
        return None
    hours, sign, minutes = said.rpartition(":")
    if not minutes.isdecimal() or (sign and not hours.isdecimal()):
        raise InvalidInputError(
            f"--time-limit {said!r} is no time", hint="give minutes, or hours:minutes, as 4:00"
        )
    return 60 * int(hours or 0) + int(minutes)


def _facts(job: "Job") -> dict[str, object]:
    return {
        "job": job.id, "on": job.executor, "state": job.state, "external": job.external,
        "log": job.log, "command": job.argv,
    }  # fmt: skip


def _told(job: "Job") -> str:
    known = f" as {job.external}" if job.external else ""
    return (
        f"job {job.id} is {job.state} on {job.executor}{known}\n"
        f"  eolab logs {job.id} --follow\n  eolab cancel {job.id}"
    )
