"""``python -m bench.learning burn-scars|ships DATASET``: sets of few samples, fold by fold.

Each fold of ``splits/<name>-<n>`` is held out in turn and a network learns from the others. What is
kept of each held-out sample goes into one bootstrap over groups. Burn scars are also cut by a
threshold on dNBR, the one that does best on the other folds.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

import registry
from registry.catalog import Version
from registry.learn.scoring import intervals, segmentation
from registry.learn.scoring.evaluating import evaluate
from registry.learn.scoring.intervals import Figure
from registry.learn.scoring.statistics import Key, Statistics, joined
from registry.learn.training import train

EVENTS = "events"
THRESHOLDS = np.linspace(0.0, 0.6, 61)
SIDE = 96  # pixels; squares of that side fit into every event
BURN_SCARS = {
    "architecture": {"factory": "lab", "args": {"name": "unet", "width": 16, "depth": 4}},
    "data.assets": ("post_fire",),
    "data.crop": (SIDE, SIDE),
    "data.batch_size": 4,
    "epochs": 80,
    "stop.patience": 80,
}


def subset(version: Version, fold: int, name: str) -> list[str]:
    rows = version.table(f"splits/{EVENTS}-{fold}").to_pylist()
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
    y, x = ((side - SIDE) // 2 for side in dnbr.shape)
    dnbr, mask = (one[y : y + SIDE, x : x + SIDE] for one in (dnbr, mask))
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


def say(name: str, found: Mapping[Key, Figure], *wanted: Key) -> None:
    for metric, of_class in wanted:
        one = found[metric, of_class]
        print(
            f"{name}: {metric} {of_class or ''} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
            f" over {one.count} samples"
        )


def each_its_own(kept: Statistics) -> npt.NDArray[np.int64]:
    """Return the group of each sample: events and chips are one sample each."""
    return np.arange(len(kept))


def folds_of(version: Version, splits: str) -> list[str]:
    return sorted(
        name.removeprefix("splits/")
        for name in version.tables()
        if name.startswith(f"splits/{splits}-")
    )


def learned(
    lab: registry.Registry,
    version: Version,
    recipe: str,
    splits: str,
    changes: Mapping[str, Any],
    crop: tuple[int, int] | None = None,
) -> Statistics:
    """Return what is kept of every sample, each by the network that never saw its fold."""
    kept: list[Statistics] = []
    for fold in folds_of(version, splits):
        own = {**changes, "data.ref": str(version.ref), "data.splits": fold}
        model = train(lab, recipe, name=f"{recipe}-folds", seed=0, overrides=own)
        found = evaluate(lab, model, on=str(version.ref), splits=fold, keep=False, crop=crop)
        kept += list(found.kept.values())
        print(fold, model.ref, flush=True)
    return joined(kept)


def burn_scars(lab: registry.Registry, version: Version) -> None:
    by_network = learned(lab, version, "burn-scars-unet", EVENTS, BURN_SCARS, (SIDE, SIDE))
    folds = range(len(folds_of(version, EVENTS)))
    cut = joined([kept for fold in folds if (kept := thresholded(version, fold)) is not None])
    same = by_network.take(np.array([by_network.ids.index(one) for one in cut.ids]))
    wanted = (("miou", None), ("iou", "burnt"))
    say("U-Net, all events", intervals.measured(by_network, each_its_own(by_network)), *wanted)
    say("U-Net, where there is a dNBR", intervals.measured(same, each_its_own(same)), *wanted)
    say("dNBR threshold", intervals.measured(cut, each_its_own(cut)), *wanted)
    say("difference", intervals.paired([same], [cut], each_its_own(cut)), *wanted)


def ships(lab: registry.Registry, version: Version) -> None:
    kept = learned(lab, version, "ships-fcos", "cross", {"data.crop": (SIDE, SIDE)})
    say("FCOS", intervals.measured(kept, each_its_own(kept)), ("ap50", None), ("ap50_95", None))


def main() -> None:
    what, dataset = sys.argv[1:]
    lab = registry.connect()
    {"burn-scars": burn_scars, "ships": ships}[what](lab, lab.resolve(dataset))


if __name__ == "__main__":
    main()
