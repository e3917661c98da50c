"""What is said of a model: what it reads, what it gives, what made it."""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from registry.errors import CorruptError, InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Architecture, Head, HeadTask

__all__ = ["Card", "Learned", "Lineage"]


def _plain(value: object) -> object:
    # What JSON has no type for: read-only mappings, NumPy's and torch's numbers, paths.
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    listed = getattr(value, "tolist", None)
    if listed is not None:
        return listed()
    return sorted(value) if isinstance(value, AbstractSet) else str(value)


_NOTHING: Mapping[str, Any] = MappingProxyType({})


Subsets = Literal["all", "but-test", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Which samples of a version weights have met."""

    ref: str
    """Of the version."""

    subsets: Subsets = "all"
    """Of the split: ``train`` is what taught and what chose the weights, so ``validate`` too;
    ``but-test`` is all but its tests; ``all`` looks at no split."""

    split: str | None = None
    """Name of that split."""

    split_id: str | None = None
    """Content id of its table."""

    slice: str | None = None
    """Id of the slice that all of them but those of ``validate`` were in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a model was made of."""

    dataset: str
    """Ref of the version that it learned from, such as ``ships@v2``."""

    content_id: str
    """Content id of that version."""

    commit: str
    """Its commit on the lake where the model was trained."""

    split: str | None = None
    """Name of the split that was learned and validated by; None in pretraining."""

    split_id: str | None = None
    """Content id of the split's table."""

    slice: str | None = None
    """Id of the slice, where only some samples were used."""

    parent: str | None = None
    """Ref of the model whose weights it began with, such as ``mae-hls@v1``; or a file's name."""

    parent_sha256: str | None = None
    """Of the file of those weights, in hex."""

    pretrained_on: tuple[str, ...] = ()
    """Refs of the versions that its parents learned from, nearest first."""

    learned: tuple[Learned, ...] = ()
    """Which samples of its versions it has met; see :meth:`met`."""

    learned_before: tuple[Learned, ...] = ()
    """Which samples its parents have met; see :meth:`met_before`."""

    def met(self) -> tuple[Learned, ...]:
        """Return which samples the model has met, version by version.

        Returns:
            Of a version of which nobody says: what taught and validated by the split, or all.
        """
        subsets: Subsets = "all" if self.split is None else "train"
        said = {one.ref for one in self.learned}
        rest = [ref for ref in dict.fromkeys(self.dataset.split(",")) if ref not in said]
        unsaid = (
            Learned(ref=ref, subsets=subsets, split=self.split, split_id=self.split_id)
            for ref in rest
        )
        return (*self.learned, *unsaid)

    def met_before(self) -> tuple[Learned, ...]:
        """Return which samples its parents have met; all of a version of which nobody says."""
        said = {one.ref for one in self.learned_before}
        rest = [ref for ref in dict.fromkeys(self.pretrained_on) if ref not in said]
        return (*self.learned_before, *(Learned(ref=ref) for ref in rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What travels with a model's weights."""

    name: str
    """The model's name in the lake."""

    architecture: Architecture
    """How its network is built."""

    heads: tuple[Head, ...]
    """What it gives, at least one."""

    contract: Contract
    """What it reads."""

    size: tuple[int, int] | None = None
    """Height and width of the chips that it learned from, in pixels."""

    lineage: Lineage | None = None
    """What it was made of; None for weights that came as a file."""

    recipe: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """The recipe as it ran, every default written out."""

    metrics: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    """Of its validation, by name; empty where it says smoke."""

    seed: int | None = None
    """Of the training run."""

    code_version: str | None = None
    """Of the lab that trained it."""

    weights_sha256: str | None = None
    """Of ``model.safetensors``, in hex."""

    licence: str | None = None
    """Of the weights; None where nobody said."""

    smoke: bool = False
    """Trained on simulated samples or from random weights in place of the real ones, to see that
    everything runs; it holds no score."""

    domain: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Where it is valid: how embeddings of its training samples lie (``mean``, ``precision``,
    ``threshold``); empty where nobody measured."""

    def __post_init__(self) -> None:
        if self.smoke and self.metrics:
            raise InvalidInputError(
                f"model '{self.name}' is smoke, and its card holds scores of it",
                hint="leave the metrics of a smoke run out",
            )

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types; metrics that are no finite number are left out."""
        lineage = None
        if self.lineage is not None:
            lineage = asdict(self.lineage)
        return {
            "name": self.name,
            "architecture": self.architecture.to_document(),
            "heads": [
                {one.name: getattr(head, one.name) for one in fields(head)} for head in self.heads
            ],
            "contract": self.contract.to_document(),
            "size": self.size,
            "lineage": lineage,
            "recipe": dict(self.recipe),
            "metrics": {name: value for name, value in self.metrics.items() if isfinite(value)},
            "seed": self.seed,
            "code_version": self.code_version,
            "weights_sha256": self.weights_sha256,
            "licence": self.licence,
            "smoke": self.smoke,
            "domain": dict(self.domain),
        }

    def to_json(self) -> bytes:
        """Return it as JSON."""
        document = self.to_document()
        return (json.dumps(document, indent=2, sort_keys=True, default=_plain) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Card":
        """Return the card that :meth:`to_json` wrote.

        Raises:
            CorruptError: It is not one.
        """
        try:
            said = json.loads(data)
            said["architecture"] = Architecture(**said["architecture"])
            said["heads"] = tuple(
                Head(**{**one, "task": HeadTask(one["task"]), "classes": tuple(one["classes"])})
                for one in said["heads"]
            )
            said["contract"] = Contract.from_document(said["contract"])
            if said.get("size") is not None:
                said["size"] = tuple(said["size"])
            if said.get("lineage") is not None:
                said["lineage"] = _lineage(said["lineage"])
            return _checked(cls(**said))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise CorruptError(
                f"the model's card cannot be read: {error}", hint="pull the model again"
            ) from error


def _lineage(said: Mapping[str, Any]) -> Lineage:
    learned = {
        name: tuple(Learned(**one) for one in said.get(name, ()))
        for name in ("learned", "learned_before")
    }
    return Lineage(**{**said, **learned, "pretrained_on": tuple(said.get("pretrained_on", ()))})


def _checked(card: Card) -> Card:
    # Cards come with models of other people: what is read of one later is what it should be.
    _each(card, name=str, recipe=Mapping, metrics=Mapping, domain=Mapping, smoke=bool)
    _each(card, code_version=_TEXT, weights_sha256=_TEXT, licence=_TEXT, seed=int | None)
    _each(card.architecture, factory=str, args=Mapping)
    for head in card.heads:
        _each(head, name=str, asset=_TEXT, unit=_TEXT, weight=_NUMBER, mean=_NUMBER, std=_NUMBER)
    for one in card.contract.inputs:
        _each(one, asset=str, gsd=_NUMBER | None, level=_TEXT, nodata=_NUMBER | None)
        _each(one, frames=int | None)
        for band in one.bands:
            _each(band, name=str, common=_TEXT, unit=_TEXT, scale=_NUMBER, offset=_NUMBER)
            _each(band, mean=_NUMBER | None, std=_NUMBER | None)
    if card.lineage is not None:
        _each(card.lineage, dataset=str, content_id=str, commit=str, split=_TEXT, parent=_TEXT)
        _each(card.lineage, parent_sha256=_TEXT, split_id=_TEXT, slice=_TEXT)
        for part in (*card.lineage.learned, *card.lineage.learned_before):
            _each(part, ref=str, split=_TEXT, split_id=_TEXT, slice=_TEXT)
            if part.subsets not in get_args(Subsets):
                raise ValueError(f"no subsets are called {part.subsets!r}")
    texts = [*(one for head in card.heads for one in head.classes), *card.metrics]
    texts += card.lineage.pretrained_on if card.lineage is not None else ()
    numbers = [*card.metrics.values(), *(card.size or ())]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("a name is no text")
    if not all(isinstance(one, _NUMBER) for one in numbers):
        raise TypeError("a metric or a side of chips is no number")
    return card


_TEXT = str | None
_NUMBER = int | float


def _each(noun: object, **kinds: Any) -> None:  # noqa: ANN401 — what isinstance takes
    for name, kind in kinds.items():
        value = getattr(noun, name)
        if not isinstance(value, kind):
            raise TypeError(f"'{name}' is {type(value).__name__}")
