"""``python -m bench.learning DATASET``: burn scars by a U-Net and by a threshold, event by event.

Each fold of ``splits/events-<n>`` is held out in turn. The U-Net learns from the others; the
threshold on dNBR is the one that does best on them. What is kept of each held-out event goes into
one bootstrap over events.
"""

import sys

import numpy as np
import pyarrow.compute as pc

import registry
from registry.catalog import Version
from registry.learn.scoring import intervals, segmentation
from registry.learn.scoring.evaluating import evaluate
from registry.learn.scoring.statistics import Statistics, joined
from registry.learn.training import train

FOLDS = 5
THRESHOLDS = np.linspace(0.0, 0.6, 61)
SMALL = {
    "architecture": {"factory": "lab", "args": {"name": "unet", "width": 16, "depth": 4}},
    "data.assets": ("post_fire",),
    "data.crop": (112, 112),
    "data.batch_size": 4,
    "epochs": 80,
    "stop.patience": 80,
}


def subset(version: Version, fold: int, name: str) -> list[str]:
    rows = version.table(f"splits/events-{fold}").to_pylist()
    return sorted(row["sample"] for row in rows if row["subset"] == name)


def thresholded(version: Version, fold: int) -> Statistics | None:
    """Return what is kept of the held-out events that have a dNBR, by the best threshold."""
    there = set(version.table("assets").filter(asset_is("dnbr"))["sample"].to_pylist())
    known = [one for one in subset(version, fold, "train") if one in there]
    best = max(THRESHOLDS, key=lambda at: np.mean([_iou(version, one, at) for one in known]))
    held = [one for one in subset(version, fold, "test") if one in there]
    parts = [_kept(version, one, best) for one in held]
    return joined(parts) if parts else None


def asset_is(name: str) -> pc.Expression:
    return pc.field("asset") == name


def _pair(version: Version, sample: str) -> tuple[np.ndarray, np.ndarray]:
    dnbr, mask = version.chip(sample, "dnbr")[0], version.chip(sample, "mask")[0].astype(np.int64)
    return dnbr, np.where(np.isfinite(dnbr), mask, -1)


def _iou(version: Version, sample: str, at: float) -> float:
    dnbr, mask = _pair(version, sample)
    said, true = (dnbr > at) & (mask >= 0), mask == 1
    return float((said & true).sum() / max((said | true).sum(), 1))


def _kept(version: Version, sample: str, at: float) -> Statistics:
    dnbr, mask = _pair(version, sample)
    burnt = (dnbr > at).astype(np.float64)
    sure = np.stack([1 - burnt, burnt])[None]
    return segmentation.statistics((sample,), ("unburnt", "burnt"), mask[None], sure)


def say(name: str, kept: Statistics) -> None:
    found = intervals.measured(kept, np.arange(len(kept.ids)))
    for metric, of_class in (("miou", None), ("iou", "burnt")):
        one = found[metric, of_class]
        print(f"{name}: {metric} {of_class or ''} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
              f" over {len(kept.ids)} events")  # fmt: skip


def main() -> None:
    dataset = sys.argv[1]
    lab = registry.connect()
    version = lab.resolve(dataset)
    learned, cut = [], []
    for fold in range(FOLDS):
        splits = f"events-{fold}"
        changes = {**SMALL, "data.ref": str(version.ref), "data.splits": splits}
        model = train(lab, "burn-scars-unet", name="burn-scars-folds", seed=0, overrides=changes)
        found = evaluate(
            lab,
            model,
            on=str(version.ref),
            splits=splits,
            keep=False,
            batch_size=1,
            crop=(112, 112),
        )
        learned += list(found.kept.values())
        if (kept := thresholded(version, fold)) is not None:
            cut.append(kept)
        print(fold, model.ref, found.value("miou"), flush=True)
    say("U-Net", joined(learned))
    say("dNBR threshold", joined(cut))


if __name__ == "__main__":
    main()
