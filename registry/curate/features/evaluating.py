"""Rows in, values out: the one function that every engine calls.

It is pure: what a sample's values are depends on its row and the work alone, never on its
neighbours in the batch, the order, the machine or the engine.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.features.clear import with_clear
from registry.curate.features.definition import Feature, FeatureSet
from registry.curate.features.scene import Layer, MissingInputError, Scene, Shape
from registry.curate.features.work import CELL, FAILURES, AssetFacts, Work, values_type
from registry.errors import RegistryError, RejectedError
from registry.tables.pixels import decode

__all__ = ["FeatureFailedError", "evaluate"]

_MOST_WORDS: Final = 300  # of somebody's exception that are kept
_BAND_Y_X: Final = 3
_UNFITTING: Final = (pa.ArrowException, TypeError, ValueError, OverflowError)  # for a type

Found = TypeVar("Found")
Values = Mapping[str, object]
Failures = list[list[dict[str, str]]]


class FeatureFailedError(RejectedError):
    """A set's function raised on a sample, and the work was to stop at that."""

    code = "feature-failed"


def evaluate(batch: pa.RecordBatch, work: Work) -> pa.RecordBatch:
    """Return the values of some samples.

    Args:
        batch: Rows of :data:`registry.curate.features.work.INPUT` with the columns that the work
            names; any number of them, 0 too.
        work: What to compute.

    Returns:
        Rows of ``work.schema`` in the same order. A sample on which a set fails has null there,
        and why among its ``failures``. NaN becomes null.

    Raises:
        FeatureFailedError: A function raised, and ``work.on_error`` is ``stop``. That a sample
            lacks what a set needs is no such failure.
    """
    failures: Failures = [[] for _ in range(batch.num_rows)]
    sets = work.sets
    by_scene = [made for made in sets if made.by_scene is not None]
    columns = dict(
        zip(
            (made.name for made in by_scene),
            _of_scenes(batch, by_scene, work, failures),
            strict=True,
        )
    )
    for made in sets:
        if made.by_row is not None:
            columns[made.name] = _of_rows(batch, made, work, failures)
    arrays = [
        batch.column("id").cast(pa.string()),
        *(columns[made.name] for made in sets),
        pa.array(failures, FAILURES),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=work.schema)


# ------------------------------------------------------------------------------ sample by sample
def _of_scenes(
    batch: pa.RecordBatch, sets: Sequence[FeatureSet], work: Work, failures: Failures
) -> list[pa.Array]:
    if not sets:
        return []
    found: list[list[Values | None]] = [[] for _ in sets]
    facts = {one.name: one for one in work.assets}
    for number in range(batch.num_rows):
        row = {name: batch.column(name)[number] for name in batch.schema.names}
        held = _held(row, facts) if work.arrays else _Held()
        for made, values in zip(sets, found, strict=True):
            scene_of = partial(_scene_values, made, row, held)
            values.append(_tried(made, row["id"].as_py(), scene_of, work, failures[number]))
    return [
        _gathered(made, _cells(batch), values)
        if made.gathering is not None
        else _column(made, values, batch, work, failures)
        for made, values in zip(sets, found, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A sample's arrays, or why there are none."""

    layers: tuple[Layer, ...] = ()
    problem: RegistryError | None = None
    elsewhere: tuple[str, ...] = ()


def _held(row: Mapping[str, pa.Scalar], facts: Mapping[str, AssetFacts]) -> _Held:
    arrays = row["arrays"].as_py() if "arrays" in row else None  # a version without assets
    said = sorted(arrays or [], key=itemgetter("asset"))
    wanted = [one for one in said if one["asset"] in facts]
    try:
        layers = tuple(_layer(one, facts[one["asset"]]) for one in wanted if one["data"])
    except RegistryError as error:
        return _Held(problem=error)
    elsewhere = tuple(one["asset"] for one in wanted if not one["data"])
    return _Held(layers=with_clear(layers), elsewhere=elsewhere)


def _layer(said: Mapping[str, Any], facts: AssetFacts) -> Layer:
    shape = said["shape"]
    array = decode(said["data"], codec=said["codec"], dtype=said["dtype"], shape=shape)
    bands = array.shape[-3] if array.ndim >= _BAND_Y_X else 1
    whole = array.reshape(-1, bands, *array.shape[-2:])
    return Layer(
        asset=facts.name,
        raw=whole,
        role=facts.role,
        bands=facts.bands if len(facts.bands) == bands else (),
        common=facts.common if len(facts.common) == bands else (),
        unit=facts.unit,
        scale=_each(facts.scale, bands),
        offset=_each(facts.offset, bands),
        nodata=said["nodata"],
        times=tuple(said["times"] or ()),
        gsd=facts.gsd,
        crs=said["crs"],
        transform=tuple(said["transform"]) if said["transform"] else None,
        values=facts.values,
    )


def _each(numbers: Sequence[float], bands: int) -> tuple[float, ...]:
    return tuple(numbers) if len(numbers) == bands else tuple(numbers[:1]) * bands


def _scene_values(made: FeatureSet, row: Mapping[str, pa.Scalar], held: _Held) -> Values:
    needs = made.needs
    if needs.arrays and held.problem is not None:
        raise held.problem
    layers = tuple(one for one in held.layers if one.role in needs.roles) if needs.arrays else ()
    if needs.arrays and not layers:
        raise _no_arrays(needs.roles, held.elsewhere)
    scene = Scene(
        sample=row["id"].as_py(),
        layers=layers,
        shapes=_shapes(row) if needs.annotations else (),
        row={name: row[name].as_py() for name in needs.columns if name in row},
    )
    if needs.bands:
        scene.layer(*needs.bands, role=needs.roles[0])
    values = made.by_scene(scene) if made.by_scene is not None else {}
    strange = sorted(set(values) - {one.name for one in made.features})
    if strange and made.gathering is None:
        raise TypeError(f"it gives {strange[0]!r}, which is none of its features")
    return values


def _no_arrays(roles: Sequence[str], elsewhere: Sequence[str]) -> MissingInputError:
    if elsewhere:
        return MissingInputError(
            f"the pixels of {', '.join(elsewhere)} are kept by reference",
            hint="add the sample with its pixels: eolab add without --reference",
        )
    return MissingInputError(
        f"it has no array of role {' or '.join(repr(role) for role in roles)}",
        hint="name the roles of the assets in the card",
    )


def _shapes(row: Mapping[str, pa.Scalar]) -> tuple[Shape, ...]:
    said = row["annotations"].as_py() or [] if "annotations" in row else []
    return tuple(
        Shape(**{name: one[name] for name in ("id", "category", "geometry", "frame", "score")})
        for one in sorted(said, key=itemgetter("id"))
    )


def _cells(batch: pa.RecordBatch) -> list[int]:
    if CELL not in batch.schema.names:
        return [0] * batch.num_rows
    return [int(cell or 0) for cell in batch.column(CELL).to_pylist()]


def _gathered(made: FeatureSet, cells: list[int], values: Sequence[Values | None]) -> pa.Array:
    """Return a batch's partial values, on its first row."""
    there = [(cell, one) for cell, one in zip(cells, values, strict=True) if one is not None]
    if made.gathering is None or not values:
        return pa.nulls(len(values), values_type(made))
    rows = made.gathering.gather([cell for cell, _ in there], [one for _, one in there])
    return pa.array([rows, *[None] * (len(values) - 1)], made.gathering.partial)


def _column(
    made: FeatureSet,
    values: Sequence[Values | None],
    batch: pa.RecordBatch,
    work: Work,
    failures: Failures,
) -> pa.Array:
    """Return a set's values as a column; what is no value of its type is a failure of its row."""
    with suppress(*_UNFITTING):
        return _packed(values, made)
    ids = batch.column("id").to_pylist()
    checked = [
        _tried(made, ids[i], partial(_fitting, one, made), work, failures[i])
        for i, one in enumerate(values)
    ]
    return _packed(checked, made)


def _fitting(values: Values | None, made: FeatureSet) -> Values | None:
    _packed([values], made)
    return values


def _packed(values: Sequence[Values | None], made: FeatureSet) -> pa.Array:
    columns = [
        _typed([None if one is None else one.get(feature.name) for one in values], feature.type)
        for feature in made.features
    ]
    absent = pa.array([one is None for one in values], pa.bool_())
    return pa.StructArray.from_arrays(columns, fields=list(values_type(made)), mask=absent)


def _typed(values: list[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_floating(kind):
        with suppress(*_UNFITTING):  # numbers, as nearly always
            return _without_nan(pa.array(values, kind))
    return pa.array([_plain(value) for value in values], kind)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, float | np.floating) and math.isnan(value):
        return None
    return value


def _without_nan(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


# --------------------------------------------------------------------------------- batch by batch
def _of_rows(batch: pa.RecordBatch, made: FeatureSet, work: Work, failures: Failures) -> pa.Array:
    kind = values_type(made)
    if not batch.num_rows:
        return pa.array([], kind)
    rows = _asked(batch, made)
    parts = list(_in_parts(rows, made, work, failures, at=0))
    column = pa.concat_arrays(parts)
    _explain_empty(rows, column, made, failures)
    return column


def _asked(batch: pa.RecordBatch, made: FeatureSet) -> pa.Table:
    wanted = [n for n in made.needs.columns if n in batch.schema.names and n != "id"]
    if made.needs.annotations and "annotations" in batch.schema.names:
        wanted.append("annotations")
    return pa.Table.from_batches([batch.select(["id", *wanted])])


def _in_parts(
    rows: pa.Table, made: FeatureSet, work: Work, failures: Failures, *, at: int
) -> Iterator[pa.Array]:
    """Yield values; where the function raises, of ever smaller parts until one row is to blame."""
    kind = values_type(made)
    here = failures[at] if rows.num_rows == 1 else None
    whole = partial(_row_values, rows, made)
    if here is not None:
        values = _tried(made, rows.column("id")[0].as_py(), whole, work, here)
        yield pa.nulls(1, kind) if values is None else values
        return
    scratch: list[dict[str, str]] = []
    values = _tried(made, "", whole, replace(work, on_error="skip"), scratch)
    if values is not None:
        yield values
        return
    half = rows.num_rows // 2
    yield from _in_parts(rows.slice(0, half), made, work, failures, at=at)
    yield from _in_parts(rows.slice(half), made, work, failures, at=at + half)


def _row_values(rows: pa.Table, made: FeatureSet) -> pa.Array:
    found = made.by_row(rows) if made.by_row is not None else rows
    if found.num_rows != rows.num_rows:
        raise ValueError(f"it gives {found.num_rows} rows for {rows.num_rows}")
    names = [one.name for one in made.features]
    if strange := sorted(set(found.column_names) - {*names, "id", "sample"}):
        raise TypeError(f"it gives {strange[0]!r}, which is none of its features")
    columns = [_values_of(found, one) for one in made.features]
    return pa.StructArray.from_arrays(columns, fields=list(values_type(made)))


def _values_of(found: pa.Table, feature: Feature) -> pa.Array:
    if feature.name not in found.column_names:
        return pa.nulls(found.num_rows, feature.type)
    column = found.column(feature.name).cast(feature.type).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_floating(feature.type):
        return _without_nan(column)
    return column


def _explain_empty(
    rows: pa.Table, column: pa.StructArray, made: FeatureSet, failures: Failures
) -> None:
    """Say of rows without any value which of the columns that the set needs are null."""
    empty = np.ones(len(column), dtype=np.bool_)
    for field in column.flatten():
        empty &= field.is_null().to_numpy(zero_copy_only=False)
    for number in np.flatnonzero(empty):
        lacking = [
            name
            for name in made.needs.columns
            if name in rows.column_names and not rows.column(name)[int(number)].is_valid
        ]
        if lacking and not any(one["set"] == made.name for one in failures[number]):
            failures[number].append({
                "set": made.name,
                "problem": f"its {' and '.join(lacking)} is unknown",
                "hint": "add what is known of the sample, or leave it out",
            })


# -------------------------------------------------------------------------------------- failures
def _tried(
    made: FeatureSet,
    sample: str,
    call: Callable[[], Found],
    work: Work,
    why: list[dict[str, str]],
) -> Found | None:
    """Return what a set's function gives, or None after its reason was written down."""  # noqa: DOC501 — a function makes the error
    try:
        return call()
    except MissingInputError as error:
        problem, hint = error.problem, error.hint
    except RegistryError as error:
        problem, hint = error.problem, error.hint
        if work.on_error == "stop":
            raise _stopped(made, sample, problem) from error
    except Exception as error:  # a user's function may raise whatever it likes
        problem = f"{type(error).__name__}: {error}"
        hint = f"mend the sample, or the function of set '{made.name}'"
        if work.on_error == "stop":
            raise _stopped(made, sample, _in_a_line(problem)) from error
    why.append({"set": made.name, "problem": _in_a_line(problem), "hint": hint})
    return None


def _in_a_line(words: str) -> str:
    """Return what somebody's function said, which may quote data, as it can be shown anywhere."""
    line = " ".join(words.split())[:_MOST_WORDS]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)


def _stopped(made: FeatureSet, sample: str, words: str) -> FeatureFailedError:
    return FeatureFailedError(
        f"set '{made.name}' fails on sample '{sample}': {words}",
        hint="leave such samples out and have them reported: --on-error skip",
    )
