"""Columns that share the memory of arrays: equal to them, or refused."""

import numpy as np
import pytest

from registry.errors import InvalidInputError
from registry.learn.loading.columns import column, numbers


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f2", "f4", "f8"])
def test_a_column_of_numbers_is_the_array(dtype):
    array = np.arange(10).astype(dtype)[::-3]
    made = column(array)
    assert made.to_pylist() == array.tolist()
    assert numbers(made).dtype == array.dtype


@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False, True]),  # Arrow packs eight of them into a byte
        np.array([1, 2]).astype(">i8"),
        np.zeros(2, "c16"),
        np.array(["a"]),
        np.array(["2020-01-01"], "M8[s]"),
        np.zeros((2, 2)),
    ],
    ids=lambda array: str(array.dtype),
)
def test_what_arrow_lays_otherwise_is_refused(array):
    with pytest.raises(InvalidInputError, match="do not make a column of numbers"):
        column(array)
