"""Statistics that training normalises by: per band, asset and subset of a split, exact.

Whole numbers of at most 16 bits are counted one by one, so every statistic is exact and does not
depend on the order in which samples come. Other values keep exact sums (each sample's own sum in
double precision, added without rounding); their percentiles come from bins a 4096th of the value
wide, so they are off by at most 0.02 %.

References:
    Shewchuk (1997), "Adaptive precision floating-point arithmetic", Discrete & Computational
    Geometry 18, 305-363 (``math.fsum``).
    Hyndman & Fan (1996), "Sample quantiles in statistical packages", The American Statistician
    50(4), 361-365: definition 7, as NumPy's default.
    Rousseeuw & Croux (1993), "Alternatives to the median absolute deviation", JASA 88, 1273-1283.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.catalog.version import Version
from registry.curate.features.cells import EVERYTHING, Subsets
from registry.curate.features.definition import Feature, FeatureSet, Gathering, Needs
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.work import AssetFacts
from registry.errors import NotFoundError
from registry.tables.schemas import STATISTICS as SCHEMA

__all__ = ["STATISTICS", "Normalisation", "normalisation"]

_DROPPED_BITS: Final = 12  # of a float32's 24: bins of 2^-12 of the value
_EXACT_BYTES: Final = 2
_MOST_SUMS: Final = 64  # numbers that stand for one exact sum before they are folded
_QUANTILES: Final = {"p1": 0.01, "p2": 0.02, "median": 0.5, "p98": 0.98, "p99": 0.99}

Whole = npt.NDArray[np.int64]
Key = tuple[int, str, int, str, bool]

_PARTIAL: Final = pa.list_(
    pa.struct([
        pa.field("cell", pa.int32()),
        pa.field("asset", pa.string()),
        pa.field("number", pa.int32()),
        pa.field("band", pa.string()),
        pa.field("exact", pa.bool_()),
        pa.field("samples", pa.int64()),
        pa.field("missing", pa.int64()),
        pa.field("values", pa.list_(pa.int64())),
        pa.field("counts", pa.list_(pa.int64())),
        pa.field("sums", pa.list_(pa.float64())),
        pa.field("squares", pa.list_(pa.float64())),
        pa.field("least", pa.float64()),
        pa.field("most", pa.float64()),
    ])
)


# ----------------------------------------------------------------------------------- one sample
def by_scene(scene: Scene) -> Mapping[str, object]:
    """Return what each band of a sample comes to: counts of its values, and sums."""
    return {"bands": [_band(layer, number) for layer in scene.layers for number in _bands(layer)]}


def _bands(layer: Layer) -> range:
    return range(0 if np.issubdtype(layer.raw.dtype, np.complexfloating) else layer.raw.shape[1])


def _band(layer: Layer, number: int) -> dict[str, Any]:
    observed = layer.observed[:, number]
    stored = layer.raw[:, number][observed]
    exact = stored.dtype.kind in "uib" and stored.dtype.itemsize <= _EXACT_BYTES
    precise = stored.astype(np.float64) if not exact else np.empty(0)
    with np.errstate(over="ignore"):
        squares = float((precise * precise).sum())
    if not math.isfinite(squares):
        raise MissingInputError(
            f"asset '{layer.asset}' has values up to {np.abs(precise).max():.3g}, whose squares no "
            "number holds",
            hint="say in the card which value means nodata, or mend the pixels",
        )
    values, counts = _counted(stored) if exact else _binned(stored)
    return {
        "asset": layer.asset,
        "number": number,
        "band": layer.bands[number] if layer.bands else str(number + 1),
        "exact": exact,
        "samples": 1,
        "missing": int(observed.size - stored.size),
        "values": values,
        "counts": counts,
        "sums": [float(precise.sum())] if precise.size else [],
        "squares": [squares] if precise.size else [],
        "least": float(stored.min()) if stored.size else math.inf,
        "most": float(stored.max()) if stored.size else -math.inf,
    }


def _counted(stored: npt.NDArray[Any]) -> tuple[Whole, Whole]:
    least = int(np.iinfo(stored.dtype).min) if stored.dtype.kind == "i" else 0
    counts = np.bincount(stored.astype(np.int64) - least)
    there = np.flatnonzero(counts)
    return there + least, counts[there].astype(np.int64)


def _binned(stored: npt.NDArray[Any]) -> tuple[Whole, Whole]:
    """Return bins by number, in the order of their values, and how many values are in each."""
    bins, counts, _ = _bins_of(stored)
    return bins, counts


def _bins_of(stored: npt.NDArray[Any]) -> tuple[Whole, Whole, Whole]:
    bits = stored.astype(np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits) >> _DROPPED_BITS
    bins, where, counts = np.unique(ordered, return_inverse=True, return_counts=True)
    return bins, counts.astype(np.int64), where.reshape(-1)


def _middles(bins: Whole) -> npt.NDArray[np.float64]:
    """Return the value in the middle of each bin."""
    ordered = (bins << _DROPPED_BITS) + (1 << (_DROPPED_BITS - 1))
    bits = np.where(ordered < 0, (-ordered) | 0x80000000, ordered)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


# ------------------------------------------------------------------------------- many samples
def gather(cells: Sequence[int], values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the bands of a batch come to, by cell."""
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for cell, one in zip(cells, values, strict=True):
        for band in one["bands"]:
            key = (cell, band["asset"], band["number"], band["band"], band["exact"])
            found[key].append(band)
    return [{"cell": key[0], **_joined(found[key])} for key in sorted(found)]


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = np.concatenate([np.asarray(one["values"], np.int64) for one in parts])
    counts = np.concatenate([np.asarray(one["counts"], np.int64) for one in parts])
    distinct, where = np.unique(values, return_inverse=True)
    totals = np.zeros(len(distinct), np.int64)
    np.add.at(totals, where.reshape(-1), counts)
    return {
        **{name: parts[0][name] for name in ("asset", "number", "band")},
        "exact": all(one["exact"] for one in parts),
        **{name: sum(one[name] for one in parts) for name in ("samples", "missing")},
        "values": distinct,
        "counts": totals,
        **{name: _folded([x for one in parts for x in one[name]]) for name in ("sums", "squares")},
        "least": min(one["least"] for one in parts),
        "most": max(one["most"] for one in parts),
    }


def _folded(numbers: list[float]) -> list[float]:
    """Return few numbers whose exact sum is that of many, so that memory does not grow with them.

    Examples:
        >>> _folded([1e16] + [1.0] * 99)
        [1.00000000000001e+16, -1.0]
    """
    if len(numbers) <= _MOST_SUMS:
        return numbers
    folded: list[float] = []
    try:
        while rest := math.fsum([*numbers, *(-one for one in folded)]):
            folded.append(rest)
    except OverflowError:  # beyond all numbers on the way; together they may be within
        return numbers
    return folded


def finish(
    partials: Iterator[Mapping[str, Any]], subsets: Subsets, assets: Sequence[AssetFacts]
) -> pa.Table:
    """Return the rows of the table, sorted by its key.

    Args:
        partials: What batches came to, in any order.
        subsets: Which splits and subsets each cell is in.
        assets: What the card says of them.
    """
    found: dict[tuple[str, int, str, str, str, bool], dict[str, Any]] = {}
    for one in partials:
        for split, subset in subsets[one["cell"]] if subsets else [EVERYTHING]:
            key = (one["asset"], one["number"], one["band"], split, subset, one["exact"])
            found[key] = _joined([found[key], one]) if key in found else dict(one)
    facts = {one.name: one for one in assets}
    rows = []
    for row in sorted({one[:-1] for one in found}):
        asset, number, band, split, subset = row
        both = [found[*row, exact] for exact in (True, False) if (*row, exact) in found]
        part = both[0] if len(both) == 1 else _joined([_as_binned(both[0]), both[1]])
        named = {"asset": asset, "band": band, "split": split, "subset": subset}
        rows.append(named | _row(part, facts[asset], number))
    return pa.Table.from_pylist(rows, SCHEMA.arrow)


def _as_binned(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts of whole numbers as other values are kept: some samples have such, some not."""
    values, counts = np.asarray(part["values"], np.int64), np.asarray(part["counts"], np.int64)
    pairs = list(zip(values.tolist(), counts.tolist(), strict=True))
    bins, _, where = _bins_of(values)
    totals = np.zeros(len(bins), np.int64)
    np.add.at(totals, where, counts)
    sums = {
        "sums": [float(sum(value * n for value, n in pairs))],
        "squares": [float(sum(value * value * n for value, n in pairs))],
    }
    return {**part, **sums, "exact": False, "values": bins, "counts": totals}


def _row(part: Mapping[str, Any], facts: AssetFacts, number: int) -> dict[str, Any]:
    scale = _of_band(facts.scale, number, 1.0)
    offset = _of_band(facts.offset, number, 0.0)
    raw = _statistics(part)
    there = {name: value for name, value in raw.items() if value is not None}
    physical = {
        name: value * abs(scale) if name in {"std", "mad"} else value * scale + offset
        for name, value in there.items()
    }
    if scale < 0:  # what was least is most
        for low, high in (("min", "max"), ("p1", "p99"), ("p2", "p98")):
            if low in physical:
                physical[low], physical[high] = physical[high], physical[low]
    return {
        "samples": part["samples"],
        "count": int(np.sum(part["counts"])),
        "missing": part["missing"],
        **physical,
        **{f"raw_{name}": value for name, value in there.items()},
        "unit": facts.unit, "scale": scale, "offset": offset,
    }  # fmt: skip


def _of_band(numbers: Sequence[float], number: int, neutral: float) -> float:
    if not numbers:
        return neutral
    return float(numbers[number] if number < len(numbers) else numbers[0])


def _statistics(part: Mapping[str, Any]) -> dict[str, float | None]:
    counts = np.asarray(part["counts"], np.int64)
    count = int(counts.sum())
    if not count:
        return {}
    whole = np.asarray(part["values"], np.int64)
    middles = whole.astype(np.float64) if part["exact"] else _middles(whole)
    values = np.clip(middles, part["least"], part["most"])
    mean, variance = _exact(whole, counts) if part["exact"] else _summed(part, count)
    cumulative = np.cumsum(counts)
    found = {name: _quantile(values, cumulative, at) for name, at in _QUANTILES.items()}
    return {
        "mean": mean, "std": math.sqrt(variance), "min": part["least"], "max": part["most"],
        **found, "mad": _mad(values, counts, found["median"]),
    }  # fmt: skip


def _exact(values: Whole, counts: Whole) -> tuple[float, float]:
    pairs = list(zip(values.tolist(), counts.tolist(), strict=True))  # whole numbers of any size
    count = sum(n for _, n in pairs)
    total = sum(value * n for value, n in pairs)
    squares = sum(value * value * n for value, n in pairs)
    return float(Fraction(total, count)), float(Fraction(count * squares - total**2, count**2))


def _summed(part: Mapping[str, Any], count: int) -> tuple[float, float]:
    total = sum(map(Fraction, part["sums"]), Fraction())
    squares = sum(map(Fraction, part["squares"]), Fraction())
    variance = squares / count - (total / count) ** 2
    return float(total / count), max(float(variance), 0.0)


def _quantile(values: npt.NDArray[np.float64], cumulative: Whole, at: float) -> float:
    place = (int(cumulative[-1]) - 1) * at
    below = int(place)
    low = float(values[np.searchsorted(cumulative, below, side="right")])
    high = float(
        values[np.searchsorted(cumulative, min(below + 1, cumulative[-1] - 1), side="right")]
    )
    return low + (high - low) * (place - below)


def _mad(values: npt.NDArray[np.float64], counts: Whole, median: float) -> float:
    away = np.abs(values - median)
    order = np.argsort(away, kind="stable")
    return _quantile(away[order], np.cumsum(counts[order]), 0.5)


STATISTICS: Final = FeatureSet(
    name="statistics",
    version=1,
    title="Statistics of each band in each subset of each split, to normalise by",
    features=tuple(
        Feature(
            name=one.name,
            meaning=(one.metadata or {})[b"meaning"].decode(),
            formula=f"{one.name} over all observed pixels of a band in a subset",
            source="Hyndman & Fan (1996), type 7; Rousseeuw & Croux (1993); exact sums",
            unit=(one.metadata or {}).get(b"unit", b"1").decode(),
            type=one.type,
        )
        for one in SCHEMA.arrow
        if one.name not in SCHEMA.key
    ),
    needs=Needs(arrays=True),
    by_scene=by_scene,
    key=SCHEMA.key,
    gathering=Gathering(partial=_PARTIAL, gather=gather, finish=finish),
)
"""The set ``statistics``."""


# ------------------------------------------------------------------------------------ training
@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """What an asset's bands are normalised by, in their order."""

    bands: tuple[str, ...]
    """Names of the bands, or their numbers from 1."""

    mean: tuple[float, ...]
    """Mean of the stored values, or of the physical ones if those were asked for."""

    std: tuple[float, ...]
    """Their standard deviation."""

    median: tuple[float, ...]
    """Their median: robust against outliers."""

    mad: tuple[float, ...]
    """Their median absolute deviation; times 1.4826 it estimates the standard deviation."""

    low: tuple[float, ...]
    """Their 2nd percentile."""

    high: tuple[float, ...]
    """Their 98th percentile."""

    content_id: str
    """Of the table: which statistics these are, for a model's card."""


def normalisation(
    version: Version,
    asset: str,
    *,
    split: str = "default",
    subset: str = "train",
    physical: bool = False,
) -> Normalisation:
    """Return what training normalises an asset by: of its training samples alone.

    Args:
        version: A version whose set ``statistics`` was computed.
        asset: The asset's name.
        split: The split's name; ``*`` with subset ``*`` for all samples.
        subset: Of which subset.
        physical: Physical values in place of stored ones.

    Raises:
        NotFoundError: The statistics were not computed, or not for this asset and subset.
    """
    if SCHEMA.name not in version.tables():
        raise NotFoundError(
            f"{version.ref} has no statistics",
            hint=f"compute them: eolab features compute {version.ref} --set statistics",
        )
    rows = version.table(SCHEMA.name).to_pylist()
    wanted = [
        one for one in rows if (one["asset"], one["split"], one["subset"]) == (asset, split, subset)
    ]
    if not wanted or any(one["raw_mean"] is None for one in wanted):
        there = sorted({f"{one['asset']} in {one['split']}/{one['subset']}" for one in rows})
        raise NotFoundError(
            f"{version.ref} has no statistics of '{asset}' in {split}/{subset}",
            hint=f"it has {', '.join(there) or 'none'}",
        )
    prefix = "" if physical else "raw_"
    of = {
        name: tuple(one[prefix + column] for one in wanted)
        for name, column in {
            "mean": "mean", "std": "std", "median": "median", "mad": "mad", "low": "p2",
            "high": "p98",
        }.items()
    }  # fmt: skip
    bands = tuple(one["band"] for one in wanted)
    return Normalisation(bands=bands, content_id=version.data_id_of(SCHEMA.name), **of)
