"""What is said of a model: what it reads, what it gives, what made it."""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

from registry.errors import CorruptError, InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Architecture, Head, HeadTask

__all__ = ["Card", "Lineage"]


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
    """Name of the split; None where all samples were used, as in pretraining."""

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
            lineage = {one.name: getattr(self.lineage, one.name) for one in fields(self.lineage)}
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
                pretrained = tuple(said["lineage"].pop("pretrained_on", ()))
                said["lineage"] = Lineage(**said["lineage"], pretrained_on=pretrained)
            return _checked(cls(**said))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise CorruptError(
                f"the model's card cannot be read: {error}", hint="pull the model again"
            ) from error


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
        _each(card.lineage, parent_sha256=_TEXT)
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
