"""Models in a lake: a repository each, whose tags are its versions."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from registry.catalog.branches import ensure_branch, first_commit
from registry.catalog.ref import Ref, is_tag, version_number
from registry.catalog.shelf import TOMBSTONES, Shelf
from registry.catalog.version import RELEASE, Tombstone, Version
from registry.curate.gate import staging, sweep
from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.lake.names import MODELS, check_key, check_repository, default_author
from registry.learn.models.card import Card

if TYPE_CHECKING:
    from torch import Tensor

    from registry.catalog import Registry
    from registry.lake import Commit, Repository

__all__ = [
    "CARD", "ITEM", "README", "RECIPE", "WEIGHTS", "Model", "check_name", "names", "repository_of",
    "resolve", "save", "versions", "withdraw",
]  # fmt: skip

WEIGHTS: Final = "model.safetensors"
"""Where a model's weights lie."""

CARD: Final = "card.json"
"""Where its card lies, for programs."""

README: Final = "README.md"
"""Where it lies for people."""

RECIPE: Final = "recipe.yaml"
"""How it was trained."""

ITEM: Final = "item.json"
"""What it is to STAC."""

_MAIN: Final = "main"
_OWN: Final = frozenset({WEIGHTS, CARD, README, ITEM})
_CHUNK: Final = 1 << 20
_NO_FILES: Mapping[str, Path] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once, when asked
class Model:
    """A model at one commit, read-only: weights with all that is said of them."""

    name: str
    """Its name among the models of the lake."""

    tag: str | None
    """``v3`` if this commit is a version; None for other commits."""

    version: Version = field(repr=False)
    """Where it stands in the history of its repository."""

    @property
    def ref(self) -> str:
        """What names it for ever, such as ``burnscar-unet@v1``."""
        return f"{self.name}@{self.version.label}"

    @cached_property
    def card(self) -> Card:
        """What it reads, gives, and was made of.

        Raises:
            CorruptError: The card cannot be read.
        """
        return Card.from_json(self.version.repository.read(CARD, at=self.version.commit.id))

    @property
    def tombstone(self) -> Tombstone | None:
        """Why it was withdrawn; None if it was not."""
        return self.version.tombstone

    @cached_property
    def files(self) -> Mapping[str, int]:
        """Names of its files with their sizes in bytes."""
        repository = self.version.repository
        return {one.path: one.size for one in repository.entries(self.version.commit.id)}

    def path(self, file: str) -> Path:
        """Return where one of its files lies on this machine; nobody may write to it.

        Args:
            file: Such as ``model.safetensors``.

        Raises:
            NotFoundError: It has no such file.
        """
        if file not in self.files:
            raise NotFoundError(
                f"model {self.ref} has no file '{file}'", hint=f"it has {', '.join(self.files)}"
            )
        return Path(self.version.root.path) / file


def check_name(name: str) -> str:
    """Return a model's name if every lake can hold it.

    Raises:
        InvalidInputError: It is not 3 to 56 lower-case letters, digits and hyphens.
    """
    try:
        check_repository(name)
        check_repository(MODELS + name)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{name!r} is no name for a model",
            hint="use 3 to 56 lower-case letters, digits and hyphens, not starting with a hyphen",
        ) from error
    return name


def repository_of(registry: "Registry", name: str) -> "Repository":
    """Return the repository that holds a model.

    Raises:
        NotFoundError: There is no such model.
    """
    try:
        return registry.lake.repository(MODELS + check_name(name))
    except NotFoundError as error:
        hint = "see which there are: eolab models list"
        if name in registry.names():
            hint = f"'{name}' is a dataset; {hint}"
        elif near := get_close_matches(name, names(registry), n=1):
            hint = f"did you mean '{near[0]}'? {hint}"
        raise NotFoundError(f"there is no model '{name}' in this lake", hint=hint) from error


def names(registry: "Registry") -> list[str]:
    """Return the names of the models of a lake, sorted."""
    repositories = registry.lake.repositories()
    return [name.removeprefix(MODELS) for name in repositories if name.startswith(MODELS)]


def resolve(registry: "Registry", ref: str) -> Model:
    """Return what a ref names now; what is returned never changes.

    Args:
        registry: Of the lake.
        ref: ``burnscar-unet@v1``; the name alone is the newest version that was not withdrawn.

    Raises:
        InvalidInputError: It can name no model.
        NotFoundError: There is no such model or version.
    """  # noqa: DOC501 — a function makes the error
    name, at_sign, at = ref.partition("@")
    asked = Ref(dataset=MODELS + check_name(name), at=at or None)
    if at_sign and not at:
        raise InvalidInputError(f"{ref!r} ends with '@'", hint=f"say which: {name}@v1")
    shelf = Shelf.of(repository_of(registry, name))
    try:
        return _model(name, shelf.version(asked))
    except NotFoundError as error:
        raise _missing(shelf, name, at) from error


def versions(registry: "Registry", name: str) -> list[Model]:
    """Return the versions of a model, oldest first, withdrawn ones too.

    Raises:
        NotFoundError: There is no such model.
    """
    shelf = Shelf.of(repository_of(registry, name))
    asked = MODELS + name
    return [_model(name, shelf.version(Ref(dataset=asked, at=tag))) for tag in shelf.tags]


def _model(name: str, version: Version) -> Model:
    return Model(name=name, tag=version.tag, version=version)


def _missing(shelf: Shelf, name: str, at: str) -> NotFoundError:
    if not shelf.tags:
        return NotFoundError(f"model '{name}' has no version yet", hint="train it, or add weights")
    newest = list(shelf.tags)[-1]
    if not at:
        return NotFoundError(
            f"every version of model '{name}' was withdrawn",
            hint=f"name one to use it all the same: {name}@{newest}",
        )
    return NotFoundError(
        f"model '{name}' has no version '{at}'; its latest is {newest}",
        hint=f"pin {name}@{newest}, or list them: eolab models log {name}",
    )


def save(
    registry: "Registry",
    card: Card,
    weights: "Mapping[str, Tensor] | Path",
    *,
    files: Mapping[str, Path] = _NO_FILES,
    message: str,
) -> Model:
    """Make a model, or the next version of one; it is there whole or not at all.

    Args:
        registry: Of the lake.
        card: What is said of it; its name is the model's. The weights' hash is filled in.
        weights: Tensors by name, or a file: safetensors as it is, a PyTorch checkpoint converted.
        files: Further files by the names they get, such as ``curves.png``; a ``recipe.yaml`` among
            them takes the place of the one written from the card.
        message: What this version is about.

    Returns:
        The new version; the newest one where it is the same to the byte.

    Raises:
        ConflictError: Others saved it again and again meanwhile.
        InvalidInputError: A name cannot be one, or a file takes the place of the lab's own.
        RejectedError: The weights' file is not what it should be.
    """
    check_name(card.name)
    for name in files:
        if check_key(name) in _OWN:
            raise InvalidInputError(
                f"'{name}' is written by the lab itself", hint="call the file something else"
            )
    with tempfile.TemporaryDirectory(prefix="eolab-model-") as folder:
        written = _laid(registry, Path(folder), card, weights, files)
        return _saved(registry, card.name, written, message)


def _laid(
    registry: "Registry",
    folder: Path,
    card: Card,
    weights: "Mapping[str, Tensor] | Path",
    files: Mapping[str, Path],
) -> dict[str, Path]:
    # The files of a version by their names in it, those of the lab's own in a folder.
    from registry.learn.models.mlm import Learned, item_text
    from registry.learn.models.readme import readme, recipe_text
    from registry.learn.models.weights import as_safetensors, write

    if isinstance(weights, Path):
        source = as_safetensors(weights)
    else:
        source = folder / WEIGHTS
        write(weights, source)
    card = replace(card, weights_sha256=_sha256(source))
    laid = {WEIGHTS: source, **files}
    if RECIPE not in files and card.recipe:
        laid[RECIPE] = _put(folder / RECIPE, recipe_text(card).encode())
    laid[CARD] = _put(folder / CARD, card.to_json())
    laid[README] = _put(folder / README, readme(card, sorted(laid)).encode())
    laid[ITEM] = _put(folder / ITEM, item_text(card, laid, Learned.by(registry, card)).encode())
    return laid


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_ATTEMPTS: Final = 8


def _saved(registry: "Registry", name: str, files: Mapping[str, Path], message: str) -> Model:
    line = (message.strip().splitlines() or [f"save {name}"])[0]

    def first(repository: "Repository") -> None:
        with repository.transaction(_MAIN, message=message) as transaction:
            transaction.put_files(files)
        repository.protect(_MAIN)
        repository.create_tag("v1", at=_MAIN, message=line)

    if MODELS + name not in registry.lake.repositories():
        try:
            registry.lake.create(MODELS + name, prepare=first)
            return resolve(registry, f"{name}@v1")
        except ConflictError:  # somebody made it meanwhile: this is its next version
            pass
    repository = registry.lake.repository(MODELS + name)
    for attempt in range(_ATTEMPTS):
        _finish(repository)
        try:
            tag = _next(repository, files, message, line)
        except ConflictError:  # somebody saved a version meanwhile: build upon it
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        return resolve(registry, f"{name}@{tag}")
    raise ConflictError(f"model '{name}' was saved by others", hint="save it again")


def _next(repository: "Repository", files: Mapping[str, Path], message: str, line: str) -> str:
    # Commits files as all that the next version holds, moves main there, and tags it.
    main = repository.resolve(_MAIN)
    with staging(repository, at=main) as branch:
        gone = {one.path for one in repository.entries(main)} - files.keys()
        metadata = {RELEASE: _printable(line)}
        with repository.transaction(branch, message=message, metadata=metadata) as transaction:
            transaction.put_files(files)
            for path in gone:
                transaction.remove(path)
        commit = repository.resolve(branch)
        if commit != main:
            repository.advance(_MAIN, to=commit, expected=main, operation="save")
    return _tagged(repository, repository.commit(commit))


def _printable(line: str) -> str:
    return "".join(one if one.isprintable() else " " for one in line) or "save"


def _tagged(repository: "Repository", commit: "Commit") -> str:
    # Tags a commit of main as the next version, unless it has a tag.
    while True:
        tags = {tag: at for tag, at in repository.tags().items() if is_tag(tag)}
        for tag, at in tags.items():
            if at == commit.id:
                return tag
        newest = max((version_number(tag) or 0 for tag in tags), default=0)
        said = commit.metadata.get(RELEASE, commit.message)
        try:
            repository.create_tag(f"v{newest + 1}", at=commit.id, message=said)
        except ConflictError:
            continue  # somebody took the number; each turn of this loop sees one more tag
        return f"v{newest + 1}"


def _finish(repository: "Repository") -> None:
    """Tag what somebody who was killed had moved main to; sweep what they left."""
    tagged = set(repository.tags().values())
    waiting = []
    for commit in repository.log(_MAIN):
        if commit.id in tagged:
            break
        if RELEASE in commit.metadata:
            waiting.append(commit)
    for commit in reversed(waiting):
        _tagged(repository, commit)
    sweep(repository)


def withdraw(registry: "Registry", ref: str, reason: str) -> Model:
    """Leave a tombstone on a version: it stays usable, and says that it should not be used.

    Args:
        registry: Of the lake.
        ref: The version: ``burnscar-unet@v1``.
        reason: Why, for whoever pinned it.

    Returns:
        The version, with its tombstone.

    Raises:
        InvalidInputError: The ref is no version, or there is no reason.
        NotFoundError: There is no such model or version.
    """
    name, _, at = ref.partition("@")
    if not is_tag(at):
        raise InvalidInputError(f"'{ref}' is no version of a model", hint=f"name one: {name}@v1")
    if not reason.strip():
        raise InvalidInputError(
            f"no reason to withdraw '{ref}' was given", hint="say why, for those who use it"
        )
    repository = resolve(registry, ref).version.repository
    ensure_branch(repository, TOMBSTONES, at=first_commit(repository))
    stone = Tombstone(
        reason=reason.strip(),
        by=default_author(),
        at=datetime.now(tz=UTC).isoformat(timespec="seconds"),
    )
    with repository.transaction(TOMBSTONES, message=f"withdraw {ref}") as transaction:
        transaction.put(f"{at}.json", stone.to_json())
    return resolve(registry, ref)
