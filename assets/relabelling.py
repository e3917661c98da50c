"""The demo's third part: hurried labels, mended by two people, learnt from before and after.

A volunteer relabels the simulated scenes in a hurry and gets a third of them wrong. Anna and Ben
look again at half of the scenes each, on a branch of their own; both branches are merged. A small
network learns from the hurried labels, and again from the merge, with three seeds each; both are
judged on the same samples of the merge.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assets.standing import standing
from assets.two_people import acting_as

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog import Registry, Version
    from registry.learn.scoring.comparing import Comparison

__all__ = ["Learned", "learn_from_both"]

_HURRIED: Final = "labelled in a hurry"
_MENDED: Final = "labels of both, looked at again"
_WRONG: Final = 0.35
_SEEDS: Final = (0, 1, 2)
_RECIPE: Final = {
    "architecture.args.width": 8,
    "data.batch_size": 16,
    "epochs": 14,
    "heads.0.smoothing": 0.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What came of labels before and after they were mended."""

    lines: tuple[str, ...]
    """What happened, for people."""

    comparison: "Comparison"
    """Of the models that learned from the merge with those of the hurried labels."""

    version: "Version"
    """The merge, which all of them were scored on."""

    models: tuple[str, str]
    """Names of those that learned from the hurried labels, and of those that did from the merge."""

    def said(self, registry: "Registry") -> tuple[str, ...]:
        """Return how well both did, each with its interval, and the difference with its own.

        Args:
            registry: Where they are.
        """
        row = next(
            one
            for one in self.comparison.rows.to_pylist()
            if one["metric"] == "accuracy" and one["class"] is None
        )
        before, after = (standing(registry, self.version, name) for name in self.models)
        return (
            *(f"learned from the hurried labels: {line}" for line in before[:1]),
            *(f"learned from the merge:          {line}" for line in after[:1]),
            (
                f"difference of the same samples: {row['difference']:+.3f}, 95 % interval "
                f"{row['low']:+.3f} to {row['high']:+.3f}"
            ),
            *dict.fromkeys((*before[1:], *after[1:])),  # notes, which are often of both
        )


def learn_from_both(registry: "Registry", dataset: str) -> Learned:
    """Have labels spoilt and mended, train on both states, and compare on the mended one.

    Args:
        registry: Where the dataset is.
        dataset: Its name; its first version has the simulator's own labels.

    Returns:
        What happened; on a lake where it was done before, the models are trained again only where
        they are missing.
    """
    from registry.learn.scoring.comparing import compare

    truth = registry.versions(dataset)[0]
    lines: list[str] = []
    hurried = _published(registry, dataset, _HURRIED, lambda: _relabelled(registry, truth, lines))
    mended = _published(
        registry, dataset, _MENDED, lambda: _looked_again(registry, truth, hurried, lines)
    )
    models = {f"{dataset}-hurried": hurried, f"{dataset}-mended": mended}
    for name, version in models.items():
        _trained(registry, name, version)
    before, after = models
    return Learned(
        lines=tuple(lines),
        comparison=compare(registry, after, before, on=str(mended.ref)),
        version=mended,
        models=(before, after),
    )


def _published(
    registry: "Registry", dataset: str, message: str, make: "Callable[[], None]"
) -> "Version":
    from registry.curate.publishing import publish

    done = [v for v in registry.versions(dataset) if v.commit.message.startswith(message)]
    if done:
        return done[-1]
    make()
    return publish(registry, dataset, message=message)


def _relabelled(registry: "Registry", truth: "Version", lines: list[str]) -> None:
    import numpy as np

    rows = truth.table("samples", ["id", "label"]).sort_by("id").to_pylist()
    classes = sorted({name for row in rows for name in row["label"]})
    chance = np.random.default_rng(0)
    wrong = chance.choice(len(rows), int(_WRONG * len(rows)), replace=False)
    labels = {
        rows[n]["id"]: [
            classes[(classes.index(rows[n]["label"][0]) + 1 + int(turn)) % len(classes)]
        ]
        for n, turn in zip(wrong, chance.integers(len(classes) - 1, size=len(wrong)), strict=True)
    }
    _set(registry, truth, "Volunteer", "hurried/labels", labels, "label everything today")
    lines.append(f"hurried/labels: {len(labels)} of {len(rows)} scenes labelled wrongly")


def _looked_again(
    registry: "Registry", truth: "Version", hurried: "Version", lines: list[str]
) -> None:
    right = {row["id"]: row["label"] for row in _labels(truth)}
    wrong = sorted(row["id"] for row in _labels(hurried) if row["label"] != right[row["id"]])
    for who, half in (("Anna", wrong[::2]), ("Ben", wrong[1::2])):
        branch = f"{who.lower()}/labels"
        labels = {sample: right[sample] for sample in half}
        _set(registry, hurried, who, branch, labels, "look again at half of the scenes")
        lines.append(f"{branch}: {len(half)} labels mended and merged")


def _labels(version: "Version") -> "Iterable[Mapping[str, Any]]":
    found: list[dict[str, Any]] = version.table("samples", ["id", "label"]).to_pylist()
    return found


def _set(
    registry: "Registry",
    first: "Version",
    who: str,
    branch: str,
    labels: Mapping[str, list[str]],
    why: str,
) -> None:
    from registry.curate.merging import merge
    from registry.tables import edit, store

    if branch in registry.branches(first.dataset):  # an earlier run was stopped
        registry.delete_branch(first.dataset, branch)
    with acting_as(who):
        draft = registry.branch(first.dataset, branch, at=first.label)
        with draft.edit(why) as root:
            edit.upsert(root, store.schema_of(root, "samples"), _rows(labels))
        merge(registry, first.dataset, branch)


def _rows(labels: Mapping[str, list[str]]) -> "pa.Table":
    import pyarrow as pa

    said = pa.array(list(labels.values()), pa.list_(pa.string()))
    return pa.table({"id": pa.array(list(labels)), "label": said})


def _trained(registry: "Registry", name: str, version: "Version") -> None:
    from registry.curate.splits import Plan, Shares, split
    from registry.learn.models import shelf
    from registry.learn.training import train

    if "splits/default" not in version.tables():
        shares = Shares.of({"train": 0.5, "validate": 0.1, "test": 0.4})
        split(registry, str(version.ref), plan=Plan(shares=shares))
    there = shelf.versions(registry, name) if name in shelf.names(registry) else []
    for seed in set(_SEEDS) - {one.card.seed for one in there}:
        train(
            registry, "eurosat", name=name, seed=seed,
            overrides={**_RECIPE, "data.ref": str(version.ref)},
        )  # fmt: skip
