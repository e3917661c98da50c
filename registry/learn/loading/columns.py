"""Columns between Arrow and NumPy by their buffers, and compared with words.

Arrow's own doors, ``pa.array``, ``to_numpy`` and functions that are given Python's numbers or text,
load pandas where it is installed, to see whether they were given something of its own. That is a
third of the processor time until a new process has its first batch.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError

__all__ = ["column", "numbers", "same", "words"]

_WIDEST: Final = 8  # bytes of a number


def column(values: npt.NDArray[Any]) -> pa.Array:
    """Return numbers as a column that shares their memory.

    Args:
        values: Whole or real numbers of at most 64 bits, shape ``(row,)``.

    Raises:
        InvalidInputError: They are no numbers that Arrow lays as NumPy does, such as booleans, or
            not in one row.

    Examples:
        >>> column(np.array([3, 1])).to_pylist()
        [3, 1]
    """
    plain = np.ascontiguousarray(values)
    if (
        plain.dtype.kind not in "iuf"
        or plain.dtype.itemsize > _WIDEST
        or not plain.dtype.isnative
        or plain.ndim != 1
    ):
        raise InvalidInputError(
            f"values of type {plain.dtype} and shape {plain.shape} do not make a column of numbers",
            hint="give a row of whole or real numbers of at most 64 bits; for booleans, as uint8",
        )
    kind = pa.from_numpy_dtype(plain.dtype)
    return pa.Array.from_buffers(kind, len(plain), [None, pa.py_buffer(plain)])


def words(texts: Sequence[str]) -> pa.StringArray:
    """Return words as a column.

    Args:
        texts: Such as names of classes; below 2 GB together.

    Examples:
        >>> words(["ship", "iceberg"]).to_pylist()
        ['ship', 'iceberg']
    """
    packed = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, packed)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(packed))]
    return pa.Array.from_buffers(pa.string(), len(packed), buffers)


def same(texts: pa.Array | pa.ChunkedArray, word: str) -> pa.Array | pa.ChunkedArray:
    """Return where a column of words has one of them; null where it has none at all.

    Examples:
        >>> same(words(["ship", "iceberg"]), "ship").to_pylist()
        [True, False]
    """
    return pc.equal(texts, words([word])[0])


def numbers(values: pa.Array | pa.ChunkedArray, without: float | None = None) -> npt.NDArray[Any]:
    """Return a column of numbers as an array, which may not be written to.

    Args:
        values: Whole or real numbers, without nulls unless something stands for them.
        without: What stands for null.

    Examples:
        >>> numbers(pc.list_value_length(pa.array([[1, 2], None])), 0).tolist()
        [2, 0]
    """
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if without is not None:
        whole = pc.fill_null(whole, column(np.array([without]))[0].cast(whole.type))
    return np.from_dlpack(whole)
