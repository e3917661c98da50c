"""Simulated samples in the layout of real ones: several assets, dates, heights, many labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.catalog import AssetSpec, Spec
from registry.catalog.card.spec import Task as Purpose
from registry.curate.ingest.simulator import TASKS, batches, simulate
from registry.curate.ingest.simulator.batches import AssetArray, SimulatedBatch
from registry.curate.ingest.simulator.cards import card_of
from registry.learn.training.recipe import Smoke
from registry.tables import store
from registry.tables.pixels import EncodedArray, encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SPLITS, samples_schema

__all__ = ["SUBSETS", "spec_of", "write"]

SUBSETS: Final = ("train", "train", "train", "validate", "train", "test")
"""Which subset samples go to, in turn."""

_SCALE: Final = 0.0001  # the simulator counts reflectance in ten thousandths
_TRUTHS: Final = frozenset({"mask", "biomass"})
_DECIBEL: Final = (-22.0, 14.0)  # of the darkest and the step to the brightest ground
_GROUNDS: Final = 7
_OFTEN: Final = 0.05  # of a sample's pixels make a class one of its labels

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How simulated samples become those of another layout."""

    arrays: Callable[[Arrays, int], Arrays]
    """From ``image`` and ``mask`` and the sample's number to the layout's assets."""

    assets: Mapping[str, AssetSpec]
    """Besides ``image`` and ``mask``, or in their place."""

    labels: Callable[[npt.NDArray[Any]], list[str]] | None = None
    """From a mask to the labels of its sample."""

    task: Purpose | None = None
    """What is learnt; the simulation's if None."""

    dropped: tuple[str, ...] = ()
    """Assets of the simulation that the layout does not have."""


def _plain(arrays: Arrays, number: int) -> Arrays:  # noqa: ARG001 — a seam
    return arrays


def _with_radar(arrays: Arrays, number: int) -> Arrays:
    """Return the image with radar that sees how rough the ground is; each fifth has none."""
    if number % 5 == 4:  # noqa: PLR2004 — a modality that is missing
        return arrays
    image = arrays["image"].astype(np.float32) * _SCALE
    rng = np.random.Generator(np.random.Philox(number))
    rough = np.clip(image[-2] * 2, 0, 1)  # a short-wave infrared band: dry and rough is bright
    speckle = rng.gamma(5, 1 / 5, (2, *rough.shape)).astype(np.float32)
    low, span = _DECIBEL
    radar = np.stack([low + span * rough, low - 6 + span * rough]) + 10 * np.log10(speckle)
    return {"image": arrays["image"], "s1": radar.astype(np.float32), "mask": arrays["mask"]}


def _two_dates(arrays: Arrays, number: int) -> Arrays:  # noqa: ARG001 — a seam
    """Return the image as the later date, and the same ground before it changed."""
    after, mask = arrays["image"], arrays["mask"][0] > 0
    before = after.copy()
    if mask.any() and not mask.all():
        level = after[:, ~mask].mean(axis=1)
        before[:, mask] = level[:, None].astype(after.dtype)
    return {"before": before, "after": after, "mask": arrays["mask"]}


def _heights(arrays: Arrays, number: int) -> Arrays:  # noqa: ARG001 — a seam
    """Return how high the trees are: the heavier the higher."""
    height = np.sqrt(np.maximum(arrays["mask"], 0)).astype(np.float32) * np.float32(1.6)
    return {"image": arrays["image"], "height": height}


def _picture(arrays: Arrays, number: int) -> Arrays:  # noqa: ARG001 — a seam
    rgb = arrays["image"][[3, 2, 1] if len(arrays["image"]) > 6 else [2, 1, 0]]  # noqa: PLR2004 — bands of the two sensors
    return {"image": np.clip(rgb.astype(np.float32) / 12, 0, 255).astype(np.uint8)}


def _present(mask: npt.NDArray[Any]) -> list[str]:
    counts = np.bincount(mask.ravel(), minlength=256)
    names = TASKS["segmentation"].classes
    return [name for value, name in enumerate(names) if counts[value] >= _OFTEN * mask.size]


def _dominant(mask: npt.NDArray[Any]) -> list[str]:
    counts = np.bincount(mask.ravel(), minlength=256)[:_GROUNDS]
    return [TASKS["segmentation"].classes[int(counts.argmax())]]


_OPTICAL: Final = AssetSpec(role="data", unit="reflectance", scale=_SCALE)
_LAYOUTS: Final[Mapping[str, _Layout]] = MappingProxyType({
    "plain": _Layout(arrays=_plain, assets={}),
    "fusion": _Layout(
        arrays=_with_radar,
        assets={"s1": AssetSpec(title="Sentinel-1", role="data", bands=("VV", "VH"), unit="dB")},
    ),
    "change": _Layout(
        arrays=_two_dates, task=Purpose.CHANGE, dropped=("image",),
        assets={"before": _OPTICAL, "after": _OPTICAL},
    ),
    "height": _Layout(
        arrays=_heights, task=Purpose.THREE_D, dropped=("mask",),
        assets={"height": AssetSpec(role="labels", unit="m")},
    ),
    "multilabel": _Layout(
        arrays=lambda arrays, _: {"image": arrays["image"]}, assets={}, labels=_present,
        task=Purpose.CLASSIFICATION, dropped=("mask",),
    ),
    "multi-task": _Layout(arrays=_plain, assets={}, labels=_dominant),
    "rgb": _Layout(
        arrays=_picture, dropped=("mask",),
        assets={"image": AssetSpec(role="data", bands=("red", "green", "blue"))},
    ),
})  # fmt: skip


def spec_of(smoke: Smoke, *, seed: int = 0) -> Spec:
    """Return the card of a simulated dataset.

    Args:
        smoke: Task and layout.
        seed: What the simulation starts from.
    """
    task, layout = TASKS[smoke.task], _LAYOUTS[smoke.layout]
    chip = next(_chips(smoke, samples=1, seed=seed))
    spec = card_of(task, chip)
    seen = next(iter(chip.assets.values()))
    image = replace(spec.assets["image"], bands=seen.bands, scale=_SCALE)
    assets = {**spec.assets, "image": image, **layout.assets}
    for name, one in layout.assets.items():
        if one is _OPTICAL:
            assets[name] = replace(image, title=name)
    kept = {name: one for name, one in assets.items() if name not in layout.dropped}
    data_first = dict(sorted(kept.items(), key=lambda item: item[1].role == "labels"))
    return replace(spec, assets=data_first, task=layout.task or spec.task)


def write(root: Path, smoke: Smoke, *, seed: int = 0, subsets: Sequence[str] = SUBSETS) -> None:
    """Write a simulation's tables, with a split in which samples take turns.

    Args:
        root: Of the version to be.
        smoke: Task, layout, number and size.
        seed: What the simulation starts from.
        subsets: Which subset each sample goes to, in turn.
    """
    names: list[str] = []
    for batch in batches(
        smoke.task, samples=smoke.samples, seed=seed, sensor=smoke.sensor, size=smoke.size
    ):
        _append(root, batch, _LAYOUTS[smoke.layout], first=len(names))
        names += batch.samples["id"].to_pylist()
    split = [
        {"sample": name, "subset": subsets[number % len(subsets)]}
        for number, name in enumerate(names)
    ]
    store.append(root, SPLITS, pa.Table.from_pylist(split, SPLITS.arrow))


def _chips(smoke: Smoke, *, samples: int, seed: int) -> Any:  # noqa: ANN401 — chips, one by one
    return simulate(smoke.task, samples=samples, seed=seed, sensor=smoke.sensor, size=smoke.size)


def _append(root: Path, batch: SimulatedBatch, layout: _Layout, *, first: int) -> None:
    mine: dict[str, dict[str, AssetArray]] = {}
    for one in batch.assets:
        name = "mask" if one.asset in _TRUTHS else "image"
        mine.setdefault(one.sample, {})[name] = one
    rows, packed_rows, labels = [], [], []
    for number, (sample, given) in enumerate(mine.items()):
        arrays = {name: one.array for name, one in given.items()}
        for name, array in layout.arrays(arrays, first + number).items():
            packed = encode(array)
            packed_rows.append(_pixels(packed))
            like = given.get(name, given["image"])
            rows.append(_asset(sample, name, packed, like, made=name not in given))
        if layout.labels is not None:
            labels.append(layout.labels(arrays["mask"]))
    samples = batch.samples
    if layout.labels is not None:
        at = samples.column_names.index("label")
        samples = samples.set_column(
            at, samples.schema.field(at), pa.array(labels, pa.list_(pa.string()))
        )
    store.append(root, samples_schema(samples.schema.field("properties").type), samples)
    store.append(root, PIXELS, pa.Table.from_pylist(_once(packed_rows), PIXELS.arrow))
    store.append(root, ASSETS, pa.Table.from_pylist(rows, ASSETS.arrow))
    if batch.annotations.num_rows:
        store.append(root, ANNOTATIONS, batch.annotations)


def _pixels(packed: EncodedArray) -> dict[str, Any]:
    return {"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}


def _once(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({row["sha256"]: row for row in rows}.values())


def _asset(
    sample: str, name: str, packed: EncodedArray, like: AssetArray, *, made: bool
) -> dict[str, Any]:
    return {
        "sample": sample, "asset": name, "pixels": packed.sha256, "shape": list(packed.shape),
        "dtype": packed.dtype, "crs": like.grid.crs,
        "transform": list(like.grid.transform[:6]), "times": list(like.times),
        "nodata": None if made and name not in {"before", "after"} else like.nodata,
    }  # fmt: skip
