"""Features as numbers in a matrix, as scikit-learn and its kind take them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError, UnavailableError

__all__ = ["Matrix", "matrix", "numeric_columns", "write_npz"]

_MOST_CATEGORIES: Final = 256
_MOST_ELEMENTS: Final = 65_536
_FIXED: Final = "sample"
_TAKE_OTHERS: Final = "name the columns to take, without it: --column SET.FEATURE"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A row a sample, a column a number."""

    values: Numbers = field(repr=False)
    """Shape ``(sample, column)``; NaN where nothing is known."""

    names: tuple[str, ...]
    """Of the columns: ``spectral.ndvi_mean``, ``embeddings.vector[3]``, ``climate.zone=Cfb``."""

    samples: tuple[str, ...] = field(repr=False)
    """Ids of the rows."""


def matrix(table: pa.Table) -> Matrix:
    """Return features as a matrix of numbers.

    A truth value is 0 or 1, a date or time is seconds since 1970, a list is a column an element
    (NaN beyond the end of a shorter one), and a text is a column a value that occurs: 1 where the
    sample has it, else 0; all 0 where it has none. A list of texts is such columns too, and is
    left out where more than 256 occur: they are names, not measures. Null is NaN.

    Args:
        table: As :func:`registry.curate.features.getting.features` returns it, without columns
            that are no features.

    Raises:
        InvalidInputError: A text has more than 256 values, or a column is of no such kind.
    """
    columns = [
        pair
        for name in table.column_names
        if name != _FIXED
        for pair in numeric_columns(name, table.column(name))
    ]
    values = (
        np.column_stack([column for _, column in columns])
        if columns
        else np.empty((table.num_rows, 0))
    )
    return Matrix(
        values=np.ascontiguousarray(values, np.float64),
        names=tuple(name for name, _ in columns),
        samples=tuple(table.column(_FIXED).to_pylist()),
    )


def write_npz(rows: pa.Table, sets: Sequence[str], out: Path) -> None:
    """Write features as NumPy's archive, to be read without pickle.

    It holds ``X`` (float64, a row a sample), ``names`` of its columns, ``sample``, and each column
    that is no feature under its own name: numbers as float64, others as text (several joined by
    ``|``).

    Args:
        rows: As :func:`registry.curate.features.getting.features` returns them.
        sets: The sets that the columns are of.
        out: The file; replaced as a whole.

    Raises:
        UnavailableError: It cannot be written.
    """
    own = [name for name in rows.column_names if name.partition(".")[0] in {*sets}]
    found = matrix(rows.select([_FIXED, *(name for name in own if name != _FIXED)]))
    beside = {
        name: _plain_array(rows.column(name))
        for name in rows.column_names
        if name not in {_FIXED, *own}
    }
    half = out.with_name(f".{out.name}.{os.getpid()}.half")
    try:
        with half.open("wb") as file:
            np.savez_compressed(
                file, X=found.values, names=np.array(found.names, np.str_),
                sample=np.array(found.samples, np.str_), allow_pickle=False, **beside,
            )  # fmt: skip
        half.replace(out)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise UnavailableError(
            f"{out} cannot be written: {error.strerror}", hint="choose another place"
        ) from error


def _plain_array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if _is_number(column.type):
        return _floats(column)
    values = column.to_pylist()
    return np.array([
        "|".join(map(str, v)) if isinstance(v, list) else str(v or "") for v in values
    ])


def numeric_columns(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, Numbers]]:
    """Yield a column as one or more columns of numbers, each with its name.

    Raises:
        InvalidInputError: It cannot be.
    """
    kind = column.type
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        yield from _words(name, column)
    elif pa.types.is_list(kind):
        yield from _elements(name, column)
    elif pa.types.is_string(kind):
        yield from _categories(name, column)
    elif pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        yield name, _floats(micros) / 1e6
    elif pa.types.is_date(kind):
        millis = column.cast(pa.date64()).cast(pa.int64())
        yield name, _floats(millis) / 1e3
    elif _is_number(kind):
        yield name, _floats(column)
    else:
        raise InvalidInputError(
            f"column '{name}' holds {kind}, which is no number", hint=_TAKE_OTHERS
        )


def _is_number(kind: Any) -> bool:  # noqa: ANN401 — any Arrow type
    types = pa.types
    return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind))


def _floats(column: pa.ChunkedArray) -> Numbers:
    number = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    plain = number.cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(plain, float("nan")), np.float64)


def _elements(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, Numbers]]:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
    width = int(lengths.max(initial=0))
    if width > _MOST_ELEMENTS:
        raise InvalidInputError(
            f"lists of '{name}' have up to {width:,} elements", hint=_TAKE_OTHERS
        )
    flat = _floats(pc.list_flatten(column))
    whole = np.full((len(lengths), width), np.nan)
    whole[np.arange(width) < lengths[:, None]] = flat
    for number in range(width):
        yield f"{name}[{number}]", whole[:, number]


def _words(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, Numbers]]:
    """Yield a column a text that occurs in lists; none where too many do."""
    rows = [{*(row or ())} - {None} for row in column.to_pylist()]
    values = sorted(set[str]().union(*rows))
    if len(values) <= _MOST_CATEGORIES:
        for value in values:
            yield f"{name}={value}", np.array([value in row for row in rows], np.float64)


def _categories(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, Numbers]]:
    values = sorted(pc.unique(column.drop_null()).to_pylist())
    if len(values) > _MOST_CATEGORIES:
        raise InvalidInputError(f"'{name}' has {len(values):,} different texts", hint=_TAKE_OTHERS)
    for value in values:
        same = pc.fill_null(pc.equal(column, value), fill_value=False)
        yield f"{name}={value}", _floats(same)
