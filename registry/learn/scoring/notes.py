"""What a reader of a score has to know besides: withdrawals, purges, leaks, samples seen before."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.splits import in_lab_words
from registry.curate.splits.leaking import LEAKS, leaks_of
from registry.errors import NotFoundError, RegistryError
from registry.tables import store

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version
    from registry.learn.models.card import Lineage
    from registry.learn.models.shelf import Model
    from registry.learn.scoring.protocol import Exam

__all__ = ["FEW", "Note", "of_model", "of_split", "seen_before"]

FEW: Final = "few"
"""Kind of the note that says that intervals rest on few groups."""

_LEARNED: Final = ("train", "validate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that a score or a model is to be read with."""

    severity: Literal["error", "warning", "info"]
    """``error`` where the figure should not be relied on."""

    kind: str
    """``withdrawn``, ``purged``, ``leak``, ``seen``, ``few`` or ``unknown``."""

    message: str
    """In words."""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.severity}: {self.message}"


def of_split(version: "Version", split: str | None, subset: str | None) -> tuple[Note, ...]:
    """Return what is known now of a version and what its split lets through.

    Args:
        version: The version, as it is resolved now.
        split: Name of the split's table; None for no split.
        subset: Which subset was scored on; None for all of them.
    """
    return (*_of_version(version), *_leaks(version, split, subset))


def of_model(registry: "Registry", model: "Model") -> tuple[Note, ...]:
    """Return what is known now of a model and of the version and split that it learned from.

    Args:
        registry: Where they are.
        model: The model.
    """
    found: list[Note] = []
    if (stone := model.tombstone) is not None:
        text = f"{model.ref} was withdrawn: {stone.reason}"
        found.append(Note(severity="error", kind="withdrawn", message=text))
    lineage = model.card.lineage
    if lineage is not None:
        for ref in lineage.dataset.split(","):
            found += _learned_from(registry, ref, lineage.split)
    return tuple(found)


def _learned_from(registry: "Registry", ref: str, split: str | None) -> Iterator[Note]:
    try:
        version = registry.resolve(ref)
    except NotFoundError:
        return
    for one in of_split(version, split, None):
        yield Note(severity=one.severity, kind=one.kind, message=f"learned from: {one.message}")


def seen_before(registry: "Registry", exam: "Exam", lineage: "Lineage | None") -> tuple[Note, ...]:
    """Return which scored samples a model has met before, in training or in pretraining.

    Pixels are compared by their hashes, so a sample that was renamed or copied into another
    dataset is found; of versions used for pretraining also groups, scenes and ground.

    Args:
        registry: Where the versions are.
        exam: What is scored on.
        lineage: Of the model; None where nobody knows.
    """
    if lineage is None:
        text = "nobody knows what the weights learned from, so they may know these samples"
        return (Note(severity="info", kind="unknown", message=text),)
    found: list[Note] = []
    for ref in dict.fromkeys(lineage.dataset.split(",")):
        found += _trained(registry, exam, ref, lineage)
    for ref in dict.fromkeys(lineage.pretrained_on):
        found += _pretrained(registry, exam, ref)
    return tuple(found)


def _of_version(version: "Version") -> Iterator[Note]:
    if version.tombstone is not None:
        text = f"{version.ref} was withdrawn: {version.tombstone.reason}"
        yield Note(severity="error", kind="withdrawn", message=text)
    for purge in version.purges:
        text = f"rows of {version.ref} were purged on {purge.at[:10]}: {purge.reason}"
        yield Note(severity="warning", kind="purged", message=text)


def _leaks(version: "Version", split: str | None, subset: str | None) -> Iterator[Note]:
    home = version.derived or version.root
    if split is None or not store.exists(home, LEAKS.name):
        return
    rows = store.read(home, LEAKS.name, columns=["id", "severity", "sample", "message", "evidence"])
    for row in rows.filter(pc.is_null(rows["sample"])).to_pylist():
        said = json.loads(row["evidence"] or "{}")
        mine = said.get("split") == split
        if mine and (subset is None or str(said.get("subsets", "")).startswith(f"{subset} and ")):
            text = f"split {split} leaks: {row['message']}"
            yield Note(severity=row["severity"], kind="leak", message=text)


def _trained(registry: "Registry", exam: "Exam", ref: str, lineage: "Lineage") -> Iterator[Note]:
    """Yield whether training samples are among the scored ones; by pixels of another version."""
    try:
        version = registry.resolve(ref)
        learned = _learned_ids(version, lineage.split)
    except RegistryError as error:
        yield _unknown(ref, error)
        return
    if version.content_id == exam.version.content_id:
        known = set(learned)
        again = [one for one in exam.ids if one in known]
    else:
        again = _same_pixels(exam, version, learned)
    if again:
        yield _seen(again, exam, f"the model was trained on ({ref})")


def _learned_ids(version: "Version", split: str | None) -> list[str]:
    if split is None or f"splits/{split}" not in version.tables():
        return list(version.table("samples", ["id"])["id"].to_pylist())
    rows = version.table(f"splits/{split}", ["sample", "subset"])
    said = [one for one in rows["subset"].unique().to_pylist() if one]
    learned = [one for one in said if in_lab_words(one) in _LEARNED]
    chosen = pc.is_in(rows["subset"], value_set=pa.array(learned, pa.string()))
    return list(rows["sample"].filter(chosen).to_pylist())


def _same_pixels(exam: "Exam", other: "Version", learned: Sequence[str]) -> list[str]:
    theirs = _digests(other, learned)
    known = pc.unique(theirs["pixels"])
    mine = _digests(exam.version, exam.ids)
    hit = mine.filter(pc.is_in(mine["pixels"], value_set=known))
    return sorted(set(hit["sample"].to_pylist()))


def _digests(version: "Version", ids: Sequence[str]) -> pa.Table:
    """Return which sample has which array, of assets that are no labels."""
    labels = [name for name, one in version.spec.assets.items() if one.role == "labels"]
    rows = version.table("assets", ["sample", "asset", "pixels"])
    wanted = pc.is_in(rows["sample"], value_set=pa.array(ids, pa.string()))
    wanted = pc.and_(
        wanted, pc.invert(pc.is_in(rows["asset"], value_set=pa.array(labels, pa.string())))
    )
    return rows.filter(pc.and_(wanted, pc.is_valid(rows["pixels"])))


def _pretrained(registry: "Registry", exam: "Exam", ref: str) -> Iterator[Note]:
    try:
        version = registry.resolve(ref)
    except RegistryError as error:
        yield _unknown(ref, error)
        return
    subset = exam.subset or "test"
    rows = pa.table({
        "sample": pa.array(exam.ids, pa.string()),
        "subset": pa.array([subset] * len(exam.ids), pa.string()),
        "fold": pa.nulls(len(exam.ids), pa.int32()),
    })
    found = leaks_of(exam.version, exam.split or "all", rows, pretrained=[version]).findings
    for row in found.filter(pc.is_null(found["sample"])).to_pylist():
        yield Note(severity=row["severity"], kind="seen", message=str(row["message"]))


def _seen(again: Sequence[str], exam: "Exam", where: str) -> Note:
    shown = ", ".join(again[:3]) + (", …" if len(again) > 3 else "")  # noqa: PLR2004 — three of them
    text = f"{len(again):,} of {len(exam.ids):,} scored samples are among those {where}: {shown}"
    return Note(severity="error", kind="seen", message=text)


def _unknown(ref: str, error: RegistryError) -> Note:
    text = f"whether scored samples are in {ref} cannot be checked: {error.problem}"
    return Note(severity="info", kind="unknown", message=text)
