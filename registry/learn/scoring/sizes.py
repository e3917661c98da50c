"""Batches of samples whose chips differ in size: those of one size come together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from registry.learn.loading.columns import words
from registry.learn.loading.fitting import RaggedBatchError
from registry.learn.loading.places import asset_rows

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version
    from registry.learn.loading.stream import Stream
    from registry.learn.scoring.protocol import Exam

__all__ = ["Sizes", "by_size", "streams_of"]

Sizes = tuple[tuple[int, ...] | None, ...]
"""Height and width of each asset in turn; None where there is none."""


def streams_of(
    registry: "Registry",
    exam: "Exam",
    *,
    assets: Sequence[str],
    labels: Sequence[str],
    batch_size: int,
) -> "Iterator[Stream]":
    """Return what gives the samples of an exam, each once: one stream, or one a size.

    Args:
        registry: Where the version is.
        exam: What is scored on.
        assets: Which assets; a stream of samples that all lack one comes without it.
        labels: What is given beside them.
        batch_size: Most samples at once.

    Returns:
        Each stream is made when it is asked for, so that one holds memory at a time.

    Raises:
        RaggedBatchError: Chips differ in more than their size.
    """
    from registry.learn.loading.stream import stream

    said: dict[str, Any] = {
        "registry": registry, "split": exam.subset, "splits": exam.split, "shuffle": False,
        "batch_size": batch_size, "crop": exam.crop, "labels": labels, "need": exam.need,
    }  # fmt: skip
    try:
        return iter([stream(exam.version, assets=list(assets), **said)])
    except RaggedBatchError:
        groups = by_size(exam.version, exam.ids, assets)
        if exam.crop is not None or len(groups) == 1:
            raise
    return (
        stream(exam.version, assets=_there(assets, sizes), ids=ids, **said)
        for sizes, ids in groups.items()
        if any(sizes)
    )


def by_size(
    version: "Version", ids: Sequence[str], assets: Sequence[str]
) -> dict[Sizes, tuple[str, ...]]:
    """Return samples by the sizes of their chips.

    Args:
        version: Whose samples.
        ids: Which samples.
        assets: Which assets count, in this order.

    Returns:
        Samples in the order of ``ids``. One that lacks an asset is with the first others that it
        fits to, and by itself where there are none.
    """
    rows = asset_rows(version, words(ids)).select(["sample", "asset", "shape"])
    found: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for row in rows.filter(pc.is_in(rows["asset"], value_set=words(assets))).to_pylist():
        if row["shape"]:
            found[row["sample"]][row["asset"]] = tuple(row["shape"][-2:])
    sizes = {one: tuple(found[one].get(name) for name in assets) for one in ids}
    whole = dict.fromkeys(one for one in sizes.values() if None not in one)
    groups: dict[Sizes, list[str]] = defaultdict(list)
    for name, own in sizes.items():
        like = own if own in whole else next((one for one in whole if _fits(own, one)), own)
        groups[like].append(name)
    return {one: tuple(names) for one, names in groups.items()}


def _there(assets: Sequence[str], sizes: Sizes) -> list[str]:
    return [name for name, size in zip(assets, sizes, strict=True) if size is not None]


def _fits(own: Sizes, other: Sizes) -> bool:
    return all(one is None or one == two for one, two in zip(own, other, strict=True))
