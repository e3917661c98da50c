"""A recipe: everything that a training run depends on, in one document."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import yaml

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.models.architecture import Architecture, HeadTask
from registry.learn.training.parts import (
    AUGMENTATIONS,
    Data,
    HeadRecipe,
    Init,
    Optimiser,
    Schedule,
    Score,
    Semi,
    Smoke,
    Stop,
    within,
)
from registry.learn.training.reading import close_to, document_of, read, with_overrides

__all__ = [
    "AUGMENTATIONS", "Data", "HeadRecipe", "Init", "Optimiser", "Recipe", "Schedule", "Score",
    "Semi", "Smoke", "Stop", "head_of_file", "named", "shipped", "shipped_path",
]  # fmt: skip

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ALONE: Final = frozenset({
    HeadTask.DETECTION, HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE,
})  # fmt: skip
_FOLDER: Final = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training run depends on but its seed."""

    name: str
    """What it is called, and the model that it makes unless told otherwise."""

    heads: tuple[HeadRecipe, ...]
    """What the network learns to answer, at least one."""

    architecture: Architecture
    """How the network is built."""

    title: str = ""
    """For people, in one line."""

    task: str = ""
    """What is learnt, in a word; the heads' if empty."""

    paper: str = ""
    """Where the method comes from."""

    command: str = ""
    """How to run it on its real data."""

    cost: str = ""
    """What that takes, on which machine."""

    score: Score | None = None
    """What it should reach; None where no figure is known."""

    baseline: str | None = None
    """The plain recipe that it has to beat."""

    data: Data = field(default_factory=Data)
    """What is learnt from."""

    optimiser: Optimiser = field(default_factory=Optimiser)
    """How weights move."""

    schedule: Schedule = field(default_factory=Schedule)
    """How the learning rate runs."""

    init: Init = field(default_factory=Init)
    """Weights to begin with."""

    semi: Semi | None = None
    """Learning from samples without labels besides."""

    stop: Stop = field(default_factory=Stop)
    """When to end early, and which weights to keep."""

    epochs: int = 20
    """Passes over the training samples."""

    steps: int | None = None
    """Most steps, whichever of both ends first."""

    accumulate: int = 1
    """Batches whose gradients make one step."""

    clip: float | None = 1.0
    """Largest norm of all gradients; None lets them be."""

    precision: Literal["32", "bf16", "16"] = "32"
    """Of the forward pass; weights stay in 32 bits."""

    compile: bool = False
    """Whether torch compiles the network; seldom pays on a CPU."""

    deterministic: bool = True
    """Whether only operations are used that give the same bits each time."""

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several processes share the work."""

    checkpoint_steps: int | None = None
    """Steps between checkpoints; one an epoch if None."""

    seeds: tuple[int, ...] = (0,)
    """Seeds that its runs start from."""

    licence: str | None = None
    """Of the weights that it makes."""

    smoke: Smoke = field(default_factory=Smoke)
    """What ``--smoke`` learns from."""

    def __post_init__(self) -> None:
        if not self.heads:
            raise InvalidInputError(
                f"recipe '{self.name}' has no head", hint="add one: heads: [{task: segmentation}]"
            )
        names = [head.called for head in self.heads]
        if len(set(names)) != len(names):
            raise InvalidInputError(
                f"recipe '{self.name}' has two heads of one name", hint="give each a name"
            )
        alone = [head for head in self.heads if head.task in _ALONE]
        if alone and len(self.heads) > 1:
            raise InvalidInputError(
                f"recipe '{self.name}' has other heads beside '{alone[0].called}', and "
                f"{alone[0].task} is learnt alone",
                hint="make a recipe of each",
            )
        if self.data.subset == "all" and not self.pretrains:
            raise InvalidInputError(
                f"recipe '{self.name}' learns from labels, so from the split's train alone",
                hint="leave data.subset out; it is for pretraining",
            )
        within("epochs", self.epochs, 1, None)
        within("accumulate", self.accumulate, 1, None)
        for name in ("steps", "checkpoint_steps"):
            if (value := getattr(self, name)) is not None:
                within(name, value, 1, None)

    @property
    def pretrains(self) -> bool:
        """Whether it learns without labels."""
        return self.heads[0].task in {HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE}

    @property
    def id(self) -> str:
        """SHA-256 of all that it says, in hex."""
        return hashlib.sha256(json.dumps(self.to_document(), sort_keys=True).encode()).hexdigest()

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types, every default written out."""
        return dict(document_of(self))

    def to_yaml(self) -> str:
        """Return it as YAML, every default written out."""
        return str(yaml.safe_dump(self.to_document(), sort_keys=False, allow_unicode=True))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that a document describes.

        Raises:
            InvalidInputError: A key is not known, or a value not possible.

        Examples:
            >>> said = {"name": "x", "heads": [{"task": "segmentation"}]}
            >>> said["architecture"] = {"factory": "lab", "args": {"name": "unet"}}
            >>> Recipe.from_document(said).data.batch_size
            32
        """
        return read(cls, document)

    def replaced(self, overrides: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with some values set by their paths.

        Args:
            overrides: By path, such as ``{"data.batch_size": 8}``.

        Raises:
            InvalidInputError: A path leads nowhere, or a value is not possible.
        """
        return self.from_document(with_overrides(self.to_document(), overrides))


def shipped_path(name: str) -> Path | None:
    """Return where a recipe that ships lies; None if there is none of that name."""
    path = _FOLDER / f"{name}.yaml"
    return path if path.parent == _FOLDER and path.is_file() else None


@cache
def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that ship, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def head_of_file(path: Path) -> str:
    """Return what a recipe's first comment says, without its marks."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def named(name: str, overrides: Mapping[str, Any] = _NOTHING) -> Recipe:
    """Return a recipe that ships, or that a YAML file holds.

    Args:
        name: Such as ``burn-scars-unet``, or the path of a file.
        overrides: Values by path that win over the file's.

    Raises:
        NotFoundError: There is no such recipe or file.
        InvalidInputError: The file is no recipe.
    """
    path = shipped_path(name)
    if path is None:
        path = Path(name)
        of_file = path.suffix in {".yaml", ".yml"}
        if of_file and not path.is_file():
            raise NotFoundError(
                f"there is no file '{name}'", hint="name one that is there; a path starts here"
            )
        if not of_file:
            near = close_to(name, shipped())
            helps = f"did you mean {near}?" if near else "list them: eolab recipes."
            raise NotFoundError(
                f"there is no recipe '{name}'", hint=f"{helps} A file's name ends in .yaml"
            )
    try:
        said = yaml.load(path.read_text("utf-8"), Loader=_LOADER)  # noqa: S506 — a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path} is no YAML: {error}", hint="see one that is: eolab recipes show eurosat"
        ) from error
    if not isinstance(said, Mapping):
        raise InvalidInputError(
            f"{path} holds no mapping", hint="see one that does: eolab recipes show eurosat"
        )
    return Recipe.from_document(with_overrides(said, overrides))
