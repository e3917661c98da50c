"""Samples become a small table of counts, batch by batch: all that a measure ever looks at.

Counts are integers, so any engine may make them in any order and any number of parts: the sums are
the same. A quantity (``target``) is counted in steps of its range for that reason.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.bias.sorting import UNKNOWN, sorted_out
from registry.curate.layers.strata import Lookup
from registry.geo import centres_of, equal_area_cell

__all__ = [
    "CELLS",
    "COUNTS",
    "DAYS",
    "FACTS",
    "JOINT",
    "KEYS",
    "OBJECTS",
    "PAIRS",
    "SCORES",
    "SIDE",
    "STEPS",
    "STRATA",
    "TARGETS",
    "Recipe",
    "combine",
    "in_chunks",
    "tally",
]

FACTS: Final = "facts"
STRATA: Final = "strata"
PAIRS: Final = "pairs"
CELLS: Final = "cells"
DAYS: Final = "days"
TARGETS: Final = "targets"
SCORES: Final = "scores"
JOINT: Final = "joint"
OBJECTS: Final = "objects"

COUNTS: Final = pa.schema([
    pa.field("kind", pa.string(), metadata={"meaning": "facts, strata, pairs, cells, …"}),
    pa.field("dimension", pa.string(), metadata={"meaning": "what samples are sorted by"}),
    pa.field("stratum", pa.string(), metadata={"meaning": "its value"}),
    pa.field("dimension2", pa.string(), metadata={"meaning": "of pairs, the other dimension"}),
    pa.field("stratum2", pa.string(), metadata={"meaning": "of pairs, its value"}),
    pa.field("class", pa.string(), metadata={"meaning": "null counts all samples"}),
    pa.field("number", pa.int64(), metadata={"meaning": "cell, or day since 1970-01-01"}),
    pa.field("count", pa.int64(), metadata={"meaning": "samples; of objects, annotations"}),
    pa.field("total", pa.int64(), metadata={"meaning": "sum of steps, or of right predictions"}),
    pa.field("squares", pa.int64(), metadata={"meaning": "sum of squared steps"}),
])
"""The table of counts; a row's first seven columns name it."""

KEYS: Final = tuple(COUNTS.names[:7])
_SUMS: Final = tuple(COUNTS.names[7:])

SIDE: Final = pa.schema([
    pa.field("classes", pa.list_(pa.string())),
    pa.field("annotators", pa.list_(pa.string())),
    pa.field("methods", pa.list_(pa.string())),
    pa.field("prediction", pa.string()),
])
"""What an engine joins to a row of ``samples``, beside a column ``split NAME`` for each split; a
column may be missing where nothing is to be joined."""

STEPS: Final = 65_535
"""In how many steps of its range a target is counted: small enough that the sum of the squares of
two thousand million samples fits 64 bits."""

CHUNK: Final = 262_144  # rows that are tallied at once

_PAIRED: Final = frozenset({
    "annotator", "biome", "climate_group", "cloud", "collection", "continent", "elevation", "hour",
    "label method", "orbit", "provider", "resolution", "season", "sensor", "year",
})  # fmt: skip
"""Dimensions that are paired with each other, and with layers: those that do not say each other.
The subsets of a split are paired with every other."""

_DENSE: Final = 1 << 20  # cells of a table that is counted by place rather than by sorting


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How samples are counted; plain, so that it travels to executors."""

    cell_km: float
    """Edge of the equal-area cells in kilometres."""

    joint: tuple[str, ...] = ()
    """Dimensions whose combinations are counted together, for weights."""

    low: float | None = None
    """Least target; None if there is none."""

    high: float | None = None
    """Greatest target."""


@dataclass(frozen=True, slots=True)
class _Coded:
    """A column as numbers of its values."""

    values: pa.Array
    codes: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return np.array([value != UNKNOWN for value in self.values.to_pylist()], bool)


def tally(
    samples: pa.Table, recipe: Recipe, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> pa.Table:
    """Count some samples.

    Args:
        samples: Rows of ``samples`` with any of :data:`SIDE`'s columns.
        recipe: How.
        layers: Further strata by name.

    Returns:
        Rows of :data:`COUNTS`, each key once, in no order.
    """
    if not samples.num_rows:
        return COUNTS.empty_table()
    columns = {name: _coded(column) for name, column in sorted_out(samples, layers).items()}
    parents, classes = _classes(samples)
    parts = [
        *_facts(samples, parents),
        *_strata(columns, parents, classes),
        *_pairs(columns, _PAIRED | layers.keys()),
        *_cells(samples, recipe, parents, classes),
        *_days(samples),
        *_joint(columns, recipe),
        *_targets(samples, columns, recipe),
        *_scores(samples, columns, parents, classes),
    ]
    return pa.concat_tables(parts)


def combine(parts: Iterable[pa.Table]) -> pa.Table:
    """Add up tables of counts.

    Returns:
        Rows of :data:`COUNTS`, each key once, in the order of their keys.
    """
    whole = pa.concat_tables([COUNTS.empty_table(), *parts])
    grouped = whole.group_by(list(KEYS)).aggregate([(name, "sum") for name in _SUMS])
    named = grouped.rename_columns([*KEYS, *_SUMS]).select(COUNTS.names).cast(COUNTS)
    return named.sort_by([(name, "ascending") for name in KEYS]).combine_chunks()


def in_chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather small batches into tables that are worth tallying.

    Yields:
        Tables of at least :data:`CHUNK` rows, but for the last.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK:
            yield pa.Table.from_batches(held).combine_chunks()
            held, rows = [], 0
    if rows:
        yield pa.Table.from_batches(held).combine_chunks()


def _coded(column: pa.ChunkedArray) -> _Coded:
    packed = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    encoded = packed.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return _Coded(encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False))


def _classes(samples: pa.Table) -> tuple[npt.NDArray[np.int64], _Coded]:
    """Return (row, class) once for each class of each sample, whether labelled or annotated."""
    lists = _column(samples, "label", pa.list_(pa.string()))
    if "classes" in samples.column_names:
        empty = pc.equal(pc.fill_null(pc.list_value_length(lists), 0), 0)
        lists = pc.if_else(empty, _column(samples, "classes", lists.type), lists)
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(lists)
    known = pc.is_valid(flat).to_numpy(zero_copy_only=False)
    parents, coded = parents[known], _coded(flat.drop_null())
    # Sorted already but within a row, so a stable sort is fast; a class said twice counts once.
    keys = np.sort(parents * max(1, coded.size) + coded.codes, kind="stable")
    once = keys[np.diff(keys, prepend=-1) != 0]
    parents, codes = np.divmod(once, max(1, coded.size))
    return parents, _Coded(coded.values, codes)


def _column(samples: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    if name not in samples.column_names:
        return pa.nulls(samples.num_rows, kind)
    column = samples[name].cast(kind)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _facts(samples: pa.Table, parents: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    placed = np.isfinite(_centres(samples)[0]).sum()
    dated = samples.num_rows - _instants(samples).null_count
    found = {
        "samples": samples.num_rows,
        "unplaced": samples.num_rows - int(placed),
        "undated": samples.num_rows - dated,
        "unlabelled": samples.num_rows - int((np.diff(parents, prepend=-1) != 0).sum()),
    }
    yield _rows(FACTS, {"stratum": pa.array(list(found))}, np.array(list(found.values())))


def _strata(
    columns: Mapping[str, _Coded], parents: npt.NDArray[np.int64], classes: _Coded
) -> Iterator[pa.Table]:
    everything = _Coded(pa.array(["all"]), np.zeros(_length(columns), np.int64))
    for name, column in {**columns, "all": everything}.items():
        found, counts = _counted(column.codes, column.size)
        yield _rows(STRATA, {"dimension": name, "stratum": column.values.take(found)}, counts)
        keys, counts = _counted(
            column.codes[parents] * max(1, classes.size) + classes.codes,
            column.size * classes.size,
        )
        if len(keys):
            strata, labels = np.divmod(keys, classes.size)
            said = {
                "dimension": name,
                "stratum": column.values.take(strata),
                "class": classes.values.take(labels),
            }
            yield _rows(STRATA, said, counts)


def _length(columns: Mapping[str, _Coded]) -> int:
    return len(next(iter(columns.values())).codes) if columns else 0


def _pairs(columns: Mapping[str, _Coded], paired: AbstractSet[str]) -> Iterator[pa.Table]:
    known = {name: column.known for name, column in columns.items()}
    names = sorted(name for name, column in known.items() if column.any())
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            splits = name.startswith("split ") + other.startswith("split ")
            if splits != 1 and not {name, other} <= paired:
                continue
            one, two = columns[name], columns[other]
            keys, counts = _counted(one.codes * two.size + two.codes, one.size * two.size)
            first, second = np.divmod(keys, two.size)
            told = known[name][first] & known[other][second]
            first, second, counts = first[told], second[told], counts[told]
            said = {
                "dimension": name,
                "stratum": one.values.take(first),
                "dimension2": other,
                "stratum2": two.values.take(second),
            }
            yield _rows(PAIRS, said, counts)


def _cells(
    samples: pa.Table, recipe: Recipe, parents: npt.NDArray[np.int64], classes: _Coded
) -> Iterator[pa.Table]:
    lon, lat = _centres(samples)
    placed = np.flatnonzero(np.isfinite(lon))
    if not len(placed):
        return
    cells = np.full(samples.num_rows, -1, np.int64)
    cells[placed] = equal_area_cell(lon[placed], lat[placed], block_km=recipe.cell_km)
    numbers, counts = np.unique(cells[placed], return_counts=True)
    yield _rows(CELLS, {"number": pa.array(numbers)}, counts)
    there = cells[parents] >= 0
    if not there.any():
        return
    where = np.searchsorted(numbers, cells[parents[there]])
    keys, counts = _counted(
        where * classes.size + classes.codes[there], len(numbers) * classes.size
    )
    places, labels = np.divmod(keys, classes.size)
    said = {"number": pa.array(numbers[places]), "class": classes.values.take(labels)}
    yield _rows(CELLS, said, counts)


def _centres(
    samples: pa.Table,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the middles of the boxes in degrees; NaN where there is none on the globe."""
    if "bbox" not in samples.column_names:
        unknown = np.full(samples.num_rows, np.nan)
        return unknown, unknown
    box = samples["bbox"]
    edges = [
        pc.struct_field(box, name).to_numpy().astype(np.float64)
        for name in ("xmin", "ymin", "xmax", "ymax")
    ]
    lon, lat = centres_of(np.stack(edges, axis=-1))
    on_the_globe = np.isfinite(lon) & (np.abs(lat) <= 90)  # noqa: PLR2004 — degrees
    return np.where(on_the_globe, lon, np.nan), np.where(on_the_globe, lat, np.nan)


def _instants(samples: pa.Table) -> pa.Array:
    kind = pa.timestamp("us", "UTC")
    names = ("datetime", "start_datetime", "end_datetime")
    return pc.coalesce(*(_column(samples, name, kind) for name in names))


def _days(samples: pa.Table) -> Iterator[pa.Table]:
    days = _instants(samples).drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    numbers, counts = np.unique(days // 86_400_000_000, return_counts=True)
    yield _rows(DAYS, {"number": pa.array(numbers, pa.int64())}, counts)


def _joint(columns: Mapping[str, _Coded], recipe: Recipe) -> Iterator[pa.Table]:
    chosen = [columns[name] for name in recipe.joint if name in columns]
    if len(chosen) != len(recipe.joint) or not chosen:
        return
    key = np.zeros(len(chosen[0].codes), np.int64)
    for column in chosen:
        key = key * column.size + column.codes
    keys, counts = np.unique(key, return_counts=True)
    parts: list[pa.Array] = []
    for column in reversed(chosen):
        keys, codes = np.divmod(keys, column.size)
        parts.insert(0, column.values.take(codes))
    texts = pc.binary_join_element_wise(*parts, "\x1f")  # no stratum holds a control character
    yield _rows(JOINT, {"dimension": "\x1f".join(recipe.joint), "stratum": texts}, counts)


def _targets(
    samples: pa.Table, columns: Mapping[str, _Coded], recipe: Recipe
) -> Iterator[pa.Table]:
    if recipe.low is None or recipe.high is None:
        return
    values = _column(samples, "target", pa.float64()).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(np.isfinite(values))
    width = recipe.high - recipe.low
    steps = np.rint((values[rows] - recipe.low) / (width or 1.0) * STEPS).astype(np.int64)
    everything = _Coded(pa.array(["all"]), np.zeros(samples.num_rows, np.int64))
    for name, column in ({**columns, "all": everything}).items():
        codes = column.codes[rows]
        found, counts = _counted(codes, column.size)
        # Floats hold these sums exactly: at most 2**18 rows of 2**32.
        total = np.bincount(codes, steps, column.size)[found]
        squares = np.bincount(codes, steps * steps, column.size)[found]
        said = {"dimension": name, "stratum": column.values.take(found)}
        yield _rows(TARGETS, said, counts, total, squares)


def _scores(
    samples: pa.Table,
    columns: Mapping[str, _Coded],
    parents: npt.NDArray[np.int64],
    classes: _Coded,
) -> Iterator[pa.Table]:
    if "prediction" not in samples.column_names or not len(parents):
        return
    guesses = _column(samples, "prediction", pa.string())
    predicted = pc.is_valid(guesses).to_numpy(zero_copy_only=False)
    named = classes.values.take(pa.array(classes.codes))
    hits = pc.fill_null(pc.equal(named, guesses.take(pa.array(parents))), False)  # noqa: FBT003 — a value, no switch
    hit = hits.to_numpy(zero_copy_only=False)
    judged = np.zeros(samples.num_rows, bool)
    judged[parents] = True
    judged &= predicted
    right = np.zeros(samples.num_rows, bool)
    right[parents[hit]] = True
    rows, pairs = np.flatnonzero(judged), np.flatnonzero(predicted[parents])
    everything = _Coded(pa.array(["all"]), np.zeros(samples.num_rows, np.int64))
    for name, column in ({**columns, "all": everything}).items():
        codes = column.codes[rows]
        found, counts = _counted(codes, column.size)
        total = np.bincount(codes, right[rows], column.size)[found]
        yield _rows(
            SCORES, {"dimension": name, "stratum": column.values.take(found)}, counts, total
        )
        keys = column.codes[parents[pairs]] * classes.size + classes.codes[pairs]
        both, where = np.unique(keys, return_inverse=True)
        strata, labels = np.divmod(both, classes.size)
        said = {
            "dimension": name,
            "stratum": column.values.take(strata),
            "class": classes.values.take(labels),
        }
        total = np.bincount(where, hit[pairs], len(both))
        yield _rows(SCORES, said, np.bincount(where, minlength=len(both)), total)


def _counted(
    codes: npt.NDArray[np.int64], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which codes in [0, size) occur, and how often."""
    if size > _DENSE:
        found, counts = np.unique(codes, return_counts=True)
        return found, counts
    counts = np.bincount(codes, minlength=size)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _rows(
    kind: str,
    said: Mapping[str, str | pa.Array],
    counts: npt.NDArray[np.int64],
    total: npt.NDArray[np.generic] | None = None,
    squares: npt.NDArray[np.generic] | None = None,
) -> pa.Table:
    size = len(counts)
    zero = np.zeros(size, np.int64)
    columns: dict[str, pa.Array] = {"kind": pa.repeat(kind, size)}
    for field in list(COUNTS)[1:7]:
        value = said.get(field.name)
        if value is None:
            columns[field.name] = pa.nulls(size, field.type)
        else:
            columns[field.name] = pa.repeat(value, size) if isinstance(value, str) else value
    sums = (counts, zero if total is None else total, zero if squares is None else squares)
    for name, column in zip(_SUMS, sums, strict=True):
        columns[name] = pa.array(np.asarray(column).astype(np.int64))
    return pa.table(columns).cast(COUNTS)
