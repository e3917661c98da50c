"""Places that commands can run at, as ``compute.yaml`` names and describes them."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.compute.contract import checked_text

__all__ = ["KINDS", "Kind", "Mount", "Target", "settings_file", "target", "targets"]

Kind = Literal["local", "slurm", "kubernetes"]
"""What can run a command."""

KINDS: Final[tuple[Kind, ...]] = ("local", "slurm", "kubernetes")
"""Names that need no ``compute.yaml``."""

_HERE: Final = ".eolab/compute.yaml"
_MOST_BYTES: Final = 1_000_000
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.,:=/@+*%\[\]()|&!-]+")
_OPTION: Final = re.compile(r"[a-z][a-z0-9-]*")
_TIME: Final = re.compile(r"(\d+-)?\d+(:\d+){0,2}")

_COMMON: Final = frozenset({"kind", "environment", "python"})
_KEYS: Final[Mapping[Kind, frozenset[str]]] = {
    "local": _COMMON,
    "slurm": _COMMON | {
        "account", "partition", "time", "gres", "constraint", "qos", "memory_gb", "cpus",
        "options", "setup", "container", "warn_seconds",
    },
    "kubernetes": _COMMON | {
        "image", "namespace", "context", "mounts", "secrets", "node_selector", "tolerations",
        "service_account", "pull_secrets", "workdir", "memory_gb", "cpus", "keep_hours",
    },
}  # fmt: skip
_SAID_BY_THE_LAB: Final = frozenset({
    "job-name", "output", "error", "chdir", "nodes", "ntasks", "ntasks-per-node", "requeue",
    "no-requeue", "signal", "open-mode", "wrap", "parsable", "array", "input",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder that a container sees."""

    path: str
    """Where, in the container."""

    claim: str = ""
    """The persistent volume claim that it is."""

    host: str = ""
    """Or the node's own folder that it is."""

    read_only: bool = False
    """Whether it cannot be written."""

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or bool(self.claim) == bool(self.host):
            raise InvalidInputError(
                f"the mount {self.path!r} cannot be made",
                hint="give an absolute path, and either claim or host",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place that commands can run at."""

    name: str
    """As ``--on`` names it."""

    kind: Kind
    """Who runs them there."""

    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Variables that hold there, such as ``EOLAB_LAKE`` where it has another address."""

    python: str = ""
    """The Python that has the lab; empty: this one, in a container the image's ``python``."""

    cpus: int | None = None
    """Cores on each node where a command asks for none."""

    memory_gb: int | None = None
    """Memory on each node where a command asks for none."""

    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Long options of ``sbatch``, account and partition among them; ``""``: one without value."""

    gres: str = ""
    """What graphics processors are called: ``gpu:a100`` becomes ``--gres=gpu:a100:4``."""

    setup: tuple[str, ...] = ()
    """Lines of shell before the command, as ``module load cuda``; run as they are."""

    container: tuple[str, ...] = ()
    """Words before the command, as ``apptainer exec --nv lab.sif``."""

    warn_seconds: int = 120
    """How long before the time limit a job is told to keep what it has and is queued again."""

    image: str = ""
    """The container's image."""

    namespace: str = "default"
    """Where in the cluster."""

    context: str = ""
    """Which cluster of the user's kubeconfig; empty: its current one."""

    mounts: tuple[Mount, ...] = ()
    """Folders that the container sees."""

    secrets: tuple[str, ...] = ()
    """Secrets whose keys become environment variables."""

    node_selector: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Labels that its nodes have."""

    tolerations: tuple[Mapping[str, Any], ...] = ()
    """Taints that it tolerates, as Kubernetes writes them."""

    service_account: str = ""
    """As whom it runs."""

    pull_secrets: tuple[str, ...] = ()
    """Secrets with which the image is pulled."""

    workdir: str = ""
    """Where it runs in the container; empty: where the image says."""

    keep_hours: int = 24
    """How long the cluster keeps a job that is over."""


def settings_file() -> Path | None:
    """Return the ``compute.yaml`` that holds here; None if there is none.

    Returns:
        What ``EOLAB_COMPUTE`` names; else ``.eolab/compute.yaml`` in the current folder, else
        ``eolab/compute.yaml`` in the user's settings.

    Raises:
        NotFoundError: ``EOLAB_COMPUTE`` names no file.
    """
    stated = os.environ.get("EOLAB_COMPUTE")
    if stated:
        file = Path(stated).expanduser()
        if not file.is_file():
            raise NotFoundError(
                f"EOLAB_COMPUTE names {stated!r}, which is no file", hint="check the path"
            )
        return file
    home = os.environ.get("XDG_CONFIG_HOME")
    mine = (Path(home) if home else Path.home() / ".config") / "eolab" / "compute.yaml"
    return next((file for file in (Path(_HERE), mine) if file.is_file()), None)


def targets(file: Path | None = None) -> dict[str, Target]:
    """Return every place by its name: those of a file, and one of each kind.

    Args:
        file: A ``compute.yaml``; None: the one that holds here, if there is one.

    Returns:
        Places; ``local``, ``slurm`` and ``kubernetes`` are always among them.

    Raises:
        InvalidInputError: The file says what cannot be.
    """
    file = file or settings_file()
    said = _loaded(file) if file is not None else {}
    found: dict[str, Target] = {kind: Target(name=kind, kind=kind) for kind in KINDS}
    for name, section in said.items():
        found[name] = _target(name, section, str(file))
    return found


def target(name: str, file: Path | None = None) -> Target:
    """Return the place of a name.

    Args:
        name: As ``--on`` takes it.
        file: A ``compute.yaml``; None: the one that holds here.

    Raises:
        NotFoundError: There is none of that name.
    """
    known = targets(file)
    if name not in known:
        raise NotFoundError(
            f"there is no place {name!r} to run at; there are {', '.join(known)}",
            hint="name one of them, or describe it in .eolab/compute.yaml",
        )
    return known[name]


def _loaded(file: Path) -> dict[str, Any]:
    import yaml

    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InvalidInputError(f"{file} is far too large", hint="write some sections only")
        said = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(
            f"{file} cannot be read: {' '.join(str(error).split())}", hint="mend its YAML"
        ) from error
    if said is None:
        return {}
    if not isinstance(said, dict) or not all(isinstance(name, str) for name in said):
        raise InvalidInputError(
            f"{file} is no list of places", hint="write a section for each: name, then its settings"
        )
    return said


def _target(name: str, section: object, file: str) -> Target:
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} in {file} is no name of a place", hint="use lower-case letters, digits, -"
        )
    if not isinstance(section, dict):
        raise InvalidInputError(
            f"the section {name} of {file} says nothing", hint="give at least kind: slurm"
        )
    kind = section.get("kind", name)
    if kind not in KINDS:
        raise InvalidInputError(
            f"{name} in {file} is of kind {kind!r}", hint=f"write kind: {' | '.join(KINDS)}"
        )
    unknown = [key for key in section if key not in _KEYS[kind]]
    if unknown:
        raise InvalidInputError(
            f"{name} in {file} says {unknown[0]!r}, which {kind} does not know",
            hint=f"it knows {', '.join(sorted(_KEYS[kind]))}",
        )
    given = {key: value for key, value in section.items() if key != "kind"}
    try:
        return Target(name=name, kind=kind, **_read(kind, given))
    except InvalidInputError as error:
        raise InvalidInputError(f"{name} in {file}: {error.problem}", hint=error.hint) from error


def _read(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = {
        key: _READERS[key](key, value) for key, value in given.items() if key in _READERS
    }
    if kind == "slurm":
        options = {key: _plain(key, given[key]) for key in _AS_OPTIONS if key in given}
        read["options"] = {**options, **read.get("options", {})}
    return read


_AS_OPTIONS: Final = ("account", "partition", "time", "constraint", "qos")


def _refused(key: str, value: object, hint: str) -> InvalidInputError:
    return InvalidInputError(f"{key}: {str(value)[:80]!r} cannot be used", hint=hint)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise _refused(key, value, "give text")
    if any(ord(letter) < ord(" ") for letter in str(value)):
        raise _refused(key, value, "give one line of text")
    return checked_text(str(value))


def _plain(key: str, value: object) -> str:
    if key == "time" and isinstance(value, int):
        # YAML 1.1 reads 04:00:00 as a number in base 60.
        value = f"{value // 3600:02}:{value // 60 % 60:02}:{value % 60:02}"
    text = _text(key, value)
    if not _PLAIN.fullmatch(text):
        raise _refused(key, value, "use letters, digits and punctuation, no blanks or quotes")
    if key == "time" and not _TIME.fullmatch(text):
        raise _refused(key, value, "write hours:minutes:seconds, as 04:00:00")
    return text


def _whole(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _refused(key, value, "give a whole number from 1")
    return value


def _lines(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.splitlines()
    if not isinstance(value, list):
        raise _refused(key, value, "give a list of lines")
    return tuple(_text(key, line) for line in value)


def _words(key: str, value: object) -> tuple[str, ...]:
    import shlex

    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise _refused(key, value, f"mend its quotes: {error}") from error
    return _lines(key, value)


def _variables(key: str, value: object) -> dict[str, str]:
    pairs = _pairs(key, value)
    for name in pairs:
        if not _VARIABLE.fullmatch(name):
            raise _refused(key, name, "names of variables are letters, digits and _")
    return pairs


def _pairs(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _refused(key, value, "give names with values")
    return {_text(key, name): _text(key, one) for name, one in value.items()}


def _options(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _refused(key, value, "give names with values")
    read = {}
    for name, one in value.items():
        text = str(name)
        if not _OPTION.fullmatch(text) or text in _SAID_BY_THE_LAB:
            raise _refused(key, name, "give long options of sbatch that the lab does not set")
        read[text] = "" if one is True else _plain(text, one)
    return read


def _mounts(key: str, value: object) -> tuple[Mount, ...]:
    if not isinstance(value, list):
        raise _refused(key, value, "give a list of mounts")
    made = []
    for one in value:
        if not isinstance(one, dict) or set(one) - {"path", "claim", "host", "read_only"}:
            raise _refused(key, one, "a mount has path, claim or host, and read_only")
        said = {name: _text(name, text) for name, text in one.items() if name != "read_only"}
        made.append(Mount(path=said.pop("path", ""), **said, read_only=bool(one.get("read_only"))))
    return tuple(made)


def _tolerations(key: str, value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _refused(key, value, "give a list of tolerations")
    return tuple(cast("list[dict[str, Any]]", value))


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "environment": _variables, "python": _text, "cpus": _whole, "memory_gb": _whole,
    "options": _options, "gres": _plain, "setup": _lines, "container": _words,
    "warn_seconds": _whole, "image": _text, "namespace": _plain, "context": _text,
    "mounts": _mounts, "secrets": _lines, "node_selector": _pairs, "tolerations": _tolerations,
    "service_account": _plain, "pull_secrets": _lines, "workdir": _text, "keep_hours": _whole,
}  # fmt: skip
