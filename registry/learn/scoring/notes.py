"""What a reader of a score has to know besides: withdrawals, purges, leaks, samples seen before."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.splits import in_lab_words, is_test
from registry.curate.splits.leaking import LEAKS, leaks_of
from registry.errors import ConflictError, NotFoundError, RegistryError
from registry.tables import store

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version
    from registry.learn.models.card import Learned, Lineage
    from registry.learn.models.shelf import Model
    from registry.learn.scoring.protocol import Exam

__all__ = ["FEW", "Note", "of_model", "of_split", "seen_before"]

FEW: Final = "few"
"""Kind of the note that says that intervals rest on few groups."""


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
    dataset is found; of versions used for pretraining also groups, scenes and ground. Only the
    samples count that were learned from, or that chose the weights.

    Args:
        registry: Where the versions are.
        exam: What is scored on.
        lineage: Of the model; None where nobody knows.
    """
    if lineage is None:
        text = "nobody knows what the weights learned from, so they may know these samples"
        return (Note(severity="info", kind="unknown", message=text),)
    found: list[Note] = []
    for one in lineage.met():
        found += _trained(registry, exam, one)
    before: dict[str, list[Learned]] = {}
    for one in lineage.met_before():
        before.setdefault(one.ref, []).append(one)
    for ref, learned in before.items():
        found += _pretrained(registry, exam, ref, learned)
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


def _trained(registry: "Registry", exam: "Exam", learned: "Learned") -> Iterator[Note]:
    """Yield whether training samples are among the scored ones; by pixels of another version."""
    try:
        version = registry.resolve(learned.ref)
        ids = _learned_ids(registry, version, learned)
    except RegistryError as error:
        yield _unknown(learned.ref, error)
        return
    if version.content_id == exam.version.content_id:
        known = set(ids.to_pylist())
        again = [one for one in exam.ids if one in known]
    else:
        again = _same_pixels(exam, version, ids)
    if again:
        yield _seen(again, exam, f"the model was trained on ({learned.ref})")


def _learned_ids(registry: "Registry", version: "Version", learned: "Learned") -> pa.Array:
    """Return which samples were met; all where the split is no longer there to tell.

    Raises:
        NotFoundError: The slice that they were in is not there.
        ConflictError: The split is another one now.
    """
    from registry.query.slices import find_slice

    ids = version.table("samples", ["id"])["id"].combine_chunks()
    validated = ids.slice(0, 0)
    if learned.subsets != "all" and f"splits/{learned.split}" in version.tables():
        _refuse_another(version, learned)
        rows = version.table(f"splits/{learned.split}", ["sample", "subset"])
        if learned.subsets == "but-test":
            ids = ids.filter(pc.invert(pc.is_in(ids, value_set=_those(rows, is_test))))
        else:
            validated = _those(rows, lambda word: in_lab_words(word) == "validate")
            ids = _those(rows, lambda word: in_lab_words(word) == "train")
    if learned.slice is not None:
        inside = pa.array(find_slice(registry, learned.slice).ids, pa.string())
        ids = ids.filter(pc.is_in(ids, value_set=inside))
    return pa.concat_arrays([ids, validated])


def _refuse_another(version: "Version", learned: "Learned") -> None:
    """Refuse a split that was replaced since; a purge changes it, but moves no sample.

    Raises:
        ConflictError: It was.
    """
    if learned.split_id is None or version.purges:
        return
    if version.data_id_of(f"splits/{learned.split}") != learned.split_id:
        raise ConflictError(
            f"its split '{learned.split}' is another one than the weights learned by",
            hint="train again, so that the lineage names the split that there is",
        )


def _those(rows: pa.Table, meant: Callable[[str], bool]) -> pa.Array:
    """Return the samples of the subsets whose words are meant."""
    words = [word for word in rows["subset"].unique().to_pylist() if word and meant(word)]
    chosen = pc.is_in(rows["subset"], value_set=pa.array(words, pa.string()))
    return rows["sample"].filter(chosen).combine_chunks()


def _same_pixels(exam: "Exam", other: "Version", learned: pa.Array) -> list[str]:
    theirs = _digests(other, learned)
    known = pc.unique(theirs["pixels"])
    mine = _digests(exam.version, pa.array(exam.ids, pa.string()))
    hit = mine.filter(pc.is_in(mine["pixels"], value_set=known))
    return sorted(set(hit["sample"].to_pylist()))


def _digests(version: "Version", ids: pa.Array) -> pa.Table:
    """Return which sample has which array, of assets that are no labels."""
    labels = [name for name, one in version.spec.assets.items() if one.role == "labels"]
    rows = version.table("assets", ["sample", "asset", "pixels"])
    wanted = pc.is_in(rows["sample"], value_set=ids)
    wanted = pc.and_(
        wanted, pc.invert(pc.is_in(rows["asset"], value_set=pa.array(labels, pa.string())))
    )
    return rows.filter(pc.and_(wanted, pc.is_valid(rows["pixels"])))


def _pretrained(
    registry: "Registry", exam: "Exam", ref: str, learned: Sequence["Learned"]
) -> Iterator[Note]:
    try:
        version = registry.resolve(ref)
        ids = pa.concat_arrays([_learned_ids(registry, version, one) for one in learned])
    except RegistryError as error:
        yield _unknown(ref, error)
        return
    subset = exam.subset or "test"
    rows = pa.table({
        "sample": pa.array(exam.ids, pa.string()),
        "subset": pa.array([subset] * len(exam.ids), pa.string()),
        "fold": pa.nulls(len(exam.ids), pa.int32()),
    })
    found = leaks_of(
        exam.version, exam.split or "all", rows,
        pretrained=[version], seen={str(version.ref): ids},
    ).findings  # fmt: skip
    for row in found.filter(pc.is_null(found["sample"])).to_pylist():
        yield Note(severity=row["severity"], kind="seen", message=str(row["message"]))


def _seen(again: Sequence[str], exam: "Exam", where: str) -> Note:
    shown = ", ".join(again[:3]) + (", …" if len(again) > 3 else "")  # noqa: PLR2004 — three of them
    text = f"{len(again):,} of {len(exam.ids):,} scored samples are among those {where}: {shown}"
    return Note(severity="error", kind="seen", message=text)


def _unknown(ref: str, error: RegistryError) -> Note:
    text = f"whether scored samples are in {ref} cannot be checked: {error.problem}"
    return Note(severity="info", kind="unknown", message=text)
