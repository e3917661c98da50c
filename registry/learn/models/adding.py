"""Weights that come from elsewhere become a model's version: from a file, or from a hub."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.cache import cache_folder
from registry.errors import InvalidInputError, NotFoundError, UnavailableError
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Architecture
from registry.learn.models.card import Card
from registry.learn.models.opening import WEIGHTS_ALONE
from registry.learn.models.shelf import Model, check_name, save
from registry.learn.models.weights import as_safetensors, digest, read

if TYPE_CHECKING:
    from registry.catalog import Registry

__all__ = ["HubFile", "add"]

_HUB: Final = "hf://"
_PATIENCE_SECONDS: Final = 10.0
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository on the Hugging Face hub.

    Examples:
        >>> HubFile.parse("hf://owner/model/weights/net.pt@1a2b3c4")
        HubFile(repository='owner/model', path='weights/net.pt', revision='1a2b3c4')
    """

    repository: str
    """Owner and name."""

    path: str
    """Of the file in it."""

    revision: str | None = None
    """Branch, tag or commit; None is what is newest there."""

    @classmethod
    def parse(cls, address: str) -> "HubFile":
        """Return what ``hf://owner/name/file@revision`` names.

        Raises:
            InvalidInputError: It is not written so.
        """
        place, _, revision = address.removeprefix(_HUB).partition("@")
        parts = place.split("/")
        whole = len(parts) > 2 and all(_PART.fullmatch(part) for part in parts)  # noqa: PLR2004 — owner, name, file
        if not address.startswith(_HUB) or not whole or not re.fullmatch(r"[\w./-]*", revision):
            raise InvalidInputError(
                f"{address!r} names no file on a hub", hint="write it as hf://owner/name/file@v1"
            )
        return cls(
            repository="/".join(parts[:2]), path="/".join(parts[2:]), revision=revision or None
        )

    def fetch(self) -> tuple[Path, str]:
        """Bring the file into the cache.

        Returns:
            Where it lies, and the address with the commit that it is from.

        Raises:
            InvalidInputError: The hub takes the name for none.
            NotFoundError: The hub has no such file, or shows it to some people alone.
            UnavailableError: The hub does not answer, or its client is not installed.
        """
        try:
            from huggingface_hub import errors, hf_hub_download
            from huggingface_hub.constants import ENDPOINT
        except ImportError as error:
            raise UnavailableError(
                "the hub needs the package 'huggingface_hub'",
                hint="pip install huggingface_hub, or fetch the file elsewhere and give its path",
            ) from error
        # Its client asks six times in half a minute, and tells of each; here the hub is asked once.
        answers = _answers(ENDPOINT)
        try:
            found = hf_hub_download(
                self.repository,
                self.path,
                revision=self.revision,
                cache_dir=cache_folder("hub"),
                local_files_only=not answers,
            )
        except errors.HFValidationError as error:
            raise InvalidInputError(
                f"the hub takes '{self.repository}' for no name: {error}", hint="look at it"
            ) from error
        except errors.LocalEntryNotFoundError as error:
            raise self._offline(error) from error
        except (errors.EntryNotFoundError, errors.RepositoryNotFoundError) as error:
            raise NotFoundError(
                f"the hub shows no '{self.path}' in '{self.repository}'",
                hint="check the address; where its owner asks for consent, log in to the hub first",
            ) from error
        except (errors.HfHubHTTPError, OSError) as error:
            raise self._offline(error) from error
        parts = Path(found).parts
        at = next((part for part in reversed(parts) if _COMMIT.fullmatch(part)), self.revision)
        return Path(found), f"{_HUB}{self.repository}/{self.path}{f'@{at}' if at else ''}"

    def _offline(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"the hub gives no '{self.path}' of '{self.repository}': {_reason(error)}",
            hint="fetch it on a machine that is online and add the file: eolab models add FILE",
        )


def _reason(error: Exception) -> str:
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):  # whose words tell of its client's options
        return "it does not answer, and no copy is kept here"
    return (str(error).strip().splitlines() or ["no answer"])[0]


def _answers(address: str) -> bool:
    """Return whether anybody answers at an address, whatever it is."""
    import requests

    try:
        requests.head(address, timeout=_PATIENCE_SECONDS)
    except requests.RequestException:
        return False
    return True


def add(
    registry: "Registry",
    source: str | Path,
    name: str,
    *,
    sha256: str | None = None,
    card: Card | None = None,
    licence: str | None = None,
    message: str | None = None,
) -> Model:
    """Make a model's version of weights that somebody else trained.

    Args:
        registry: Of the lake.
        source: A file, or ``hf://owner/name/file@revision``.
        name: What the model is to be called.
        sha256: What the file's hash must be, in hex. Without it the hash that was found is
            written down, so that it can be compared later.
        card: What the weights are of: architecture, heads, contract. Without it they are weights
            alone, for a training to begin with.
        licence: Of the weights.
        message: What this version is about; by default where it came from.

    Returns:
        The version.

    Raises:
        ChangedWeightsError: The file has another hash.
        InvalidInputError: The weights are not of the card's network.
        NotFoundError: There is no such file.
        UnavailableError: The hub does not answer.
        WeightsRefusedError: The file would run code, or is not what it says.
    """
    check_name(name)
    path, said = _fetched(source)
    found = digest(path)
    weights = as_safetensors(path, sha256=sha256)
    if card is None:
        card = Card(
            name=name,
            architecture=Architecture(factory=WEIGHTS_ALONE),
            heads=(),
            contract=Contract(inputs=()),
        )
    else:
        _fit(card, weights)
    card = replace(
        card,
        name=name,
        licence=licence or card.licence,
        lineage=None,
        metrics={},
        recipe={"source": said, "source_sha256": found},
    )
    return save(registry, card, weights, message=message or f"add weights from {said}")


def _fetched(source: str | Path) -> tuple[Path, str]:
    if isinstance(source, str) and source.startswith(_HUB):
        return HubFile.parse(source).fetch()
    path = Path(source).expanduser()
    return path, path.name


def _fit(card: Card, weights: Path) -> None:
    # Said now, not when somebody wants to predict with it.
    from registry.learn.models.factory import build
    from registry.learn.models.opening import trusted

    built = build(
        card.architecture,
        contract=card.contract,
        heads=card.heads,
        size=card.size,
        trust=trusted(card.architecture),
    )
    wanted = {name: tuple(one.shape) for name, one in built.state_dict().items()}
    given = {name: tuple(one.shape) for name, one in read(weights).items()}
    if wrong := sorted(wanted.items() ^ given.items()):
        raise InvalidInputError(
            f"the weights are not of that network: {len({name for name, _ in wrong}):,} tensors "
            f"differ, the first is '{wrong[0][0]}'",
            hint="add them without a card, and begin a training with them",
        )
