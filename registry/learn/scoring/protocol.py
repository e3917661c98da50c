"""What a score is bound to: hashes of all that it depends on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from registry.learn.models.architecture import Head
from registry.learn.scoring import metrics
from registry.learn.scoring.calibration import BINS
from registry.learn.scoring.intervals import LEVEL

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.learn.loading.contract import Contract
    from registry.learn.models.card import Card

__all__ = [
    "Exam", "Subject", "code_version", "digest", "ignored_of", "inputs_of", "method_of", "way_of",
]  # fmt: skip

_DIGITS: Final = 16
_OF_A_RUN: Final = frozenset({"seed", "seeds", "devices", "smoke", "title", "cost", "command"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What models are scored on, and how."""

    version: "Version" = field(repr=False)
    """The version."""

    ids: tuple[str, ...] = field(repr=False)
    """The samples, in the order of the version's."""

    split: str | None
    """Name of the split's table; None for all samples."""

    subset: str | None
    """Which samples of it; None for all."""

    need: tuple[str, ...] | None = None
    """Assets of which each sample has at least one, where any are needed."""

    left_out: tuple[str, ...] = ()
    """Which samples of the subset have none of them, in words."""

    crop: tuple[int, int] | None = None
    """Height and width that samples are cut to around their centre; None leaves them whole.
    Samples are never resized."""

    ignored: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """By head, a class of its mask that says nothing, by its number."""

    resamples: int
    """Draws of the bootstrap."""

    seed: int = 0
    """Of those draws."""

    def split_id(self) -> str | None:
        """Return the content id of the split's rows."""
        return None if self.split is None else self.version.data_id_of(f"splits/{self.split}")

    def ignores(self, head: str, classes: Sequence[str]) -> int | None:
        """Return the class of a head that says nothing; None if all of them do."""
        number = self.ignored.get(head, -1)
        return number if 0 <= number < len(classes) else None

    def _samples(self) -> dict[str, str]:
        """Return what stands for the samples, unless they are all of the subset."""
        return {"samples": digest({"ids": self.ids})} if self.left_out else {}

    def document(self, head: Head, classes: Sequence[str]) -> dict[str, Any]:
        """Return all that makes scores of one head comparable, as JSON's own types.

        Args:
            head: The answer that is scored.
            classes: All classes that count.
        """
        measured = {one.name: one.revision for one in metrics.metrics_of(head.task)}
        return {
            **self._samples(),
            "content_id": self.version.content_id,
            "split": self.split,
            "split_id": self.split_id(),
            "subset": self.subset,
            "task": str(head.task),
            "truth": head.asset,
            "classes": sorted(classes),
            "ignored": self.ignores(head.name, classes),
            "unit": head.unit,
            "resize": None,
            "crop": None if self.crop is None else list(self.crop),
            "metrics": measured,
            "bins": BINS,
            "interval": {
                "level": LEVEL, "resamples": self.resamples, "seed": self.seed, "by": "group"
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is scored: a model, or a floor."""

    ref: str
    """Such as ``burnscar-unet@v1``, or ``floor:majority``."""

    weights: str | None = None
    """SHA-256 of its weights, in hex."""

    method: str
    """Hash of how it was made; what differs in seed alone shares it."""

    seed: int | None = None
    """Of its training."""

    inputs: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Bands that it reads, and how they are scaled."""

    said: tuple[str, ...] = ()
    """What was converted or assumed to give it its inputs, in words."""

    settings: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """What the bits of its answers depend on: batch size, device, precision, threads."""

    notes: tuple[Mapping[str, Any], ...] = ()
    """What its scores are to be read with, such as samples that it has met before."""

    smoke: bool = False
    """Whether it only shows that everything runs."""

    def run_of(self, exam: Exam, protocols: Sequence[str]) -> str:
        """Return the name of its evaluation: the same for the same of everything."""
        return digest({
            "protocols": list(protocols),
            "model": self.ref,
            "weights": self.weights,
            "method": self.method,
            "inputs": dict(self.inputs),
            "settings": dict(self.settings),
            "code": code_version(),
            "trained_with": self.seed,
            "seed": exam.seed,
        })


def digest(document: Mapping[str, Any]) -> str:
    """Return a short name of a document that says the same: 16 hex digits of its SHA-256.

    Examples:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def code_version() -> str:
    """Return the version of the lab that runs."""
    return installed("eo-training-data-lab")


def inputs_of(contract: "Contract") -> dict[str, Any]:
    """Return the bands that a model reads, in their order, and how they are scaled."""
    return {
        one.asset: {
            "frames": one.frames,
            "bands": [
                {"name": band.name, "unit": band.unit, "mean": band.mean, "std": band.std}
                for band in one.bands
            ],
        }
        for one in contract.inputs
    }


def ignored_of(recipe: Mapping[str, Any]) -> dict[str, int]:
    """Return the values of masks that say nothing, by head, as a recipe names them.

    Examples:
        >>> ignored_of({"heads": [{"task": "segmentation", "ignore": 0}]})
        {'segmentation': 0}
    """
    heads = [one for one in recipe.get("heads") or () if isinstance(one, Mapping)]
    return {
        str(one.get("name") or one.get("task")): int(one["ignore"])
        for one in heads
        if one.get("ignore") is not None
    }


def method_of(card: "Card") -> str:
    """Return the hash of how a model was made, which its seed is no part of."""
    lineage = card.lineage
    learned: list[object] | None = None
    if lineage is not None:
        learned = [lineage.content_id, lineage.split_id, lineage.parent, [*lineage.pretrained_on]]
        if dict(card.recipe.get("init") or {}).get("weights"):
            learned.append(lineage.parent_sha256)  # a file's name says less than a model's ref
    return digest({
        "name": card.name,
        "architecture": card.architecture.to_document(),
        "recipe": {key: one for key, one in card.recipe.items() if key not in _OF_A_RUN},
        "bands": [[one.asset, [band.name for band in one.bands]] for one in card.contract.inputs],
        "learned": learned,
        "weights": card.weights_sha256 if lineage is None else None,
    })  # fmt: skip


def way_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind of device and the precision that a model answered on.

    Answers differ in their last bits between either, so scores of two ways are never one entry;
    two devices of one kind are one way.

    Args:
        settings: Of an evaluation; what they leave out is the usual.

    Examples:
        >>> way_of({"device": "cuda:1", "precision": "bf16"}), way_of({})
        (('cuda', 'bf16'), ('cpu', '32'))
    """
    kind = str(settings.get("device", "cpu")).partition(":")[0]
    return kind, str(settings.get("precision", "32"))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)
    return str(value)
