import numpy as np
import pyarrow as pa
import pytest

from registry.errors import InvalidInputError, RegistryError
from registry.query import functions, sql
from registry.tables.pixels import encode
from tests.unit.query.conftest import chip


def row(array, **changed):
    packed = encode(array)
    return {
        "codec": packed.codec, "dtype": array.dtype.name, "shape": list(array.shape),
        "nodata": None, "data": packed.data,
    } | changed  # fmt: skip


def column(*rows):
    return pa.chunked_array([pa.array(rows)])


def test_pixels_are_decoded_where_a_query_asks_for_them(shared):
    text = """
        select chip_value(chip, 2, 1, 3) as one, chip_values(chip) as all_of_it,
               chip_bytes(chip) as raw
        from "ships@v1".chips where sample = 's3'"""
    found = sql(shared, text).read_all().to_pylist()[0]

    assert found["one"] == chip(3)[1, 1, 3]
    assert found["all_of_it"] == chip(3).ravel().tolist()
    assert found["raw"] == chip(3).astype("<u2").tobytes()


def test_a_chip_is_found_by_sample_and_asset(shared):
    text = """
        select chip_value("ships@v1".chip(id, 's2'), 1, 0, 1) as v,
               chip_value("ships@v1".chip(id, 'none'), 1, 0, 1) as no
        from "ships@v1".samples order by id limit 2"""

    assert sql(shared, text).read_all().to_pylist() == [
        {"v": 1.0, "no": None},
        {"v": 101.0, "no": None},
    ]


def test_statistics_leave_out_nodata_and_what_is_no_number():
    array = np.array([[[0, 1], [3, np.nan]]], dtype=np.float32)
    found = functions.chip_stats(column(row(array, nodata=0.0))).to_pylist()

    assert found == [[{"band": 1, "min": 1.0, "max": 3.0, "mean": 2.0, "std": 1.0, "valid": 2}]]


def test_a_band_with_nothing_observed_has_no_statistics():
    found = functions.chip_stats(column(row(np.zeros((1, 2, 2), np.uint8), nodata=0.0)))

    assert found.to_pylist()[0][0] == {
        "band": 1, "min": None, "max": None, "mean": None, "std": None, "valid": 0,
    }  # fmt: skip


def test_a_place_outside_the_chip_has_no_value():
    chips = column(*[row(chip(1))] * 4, None)
    places = [pa.chunked_array([pa.array(axis, pa.int32())]) for axis in
              ([1, 3, 1, None, 1], [0, 0, 9, 0, 0], [0, 0, 0, 0, 0])]  # fmt: skip

    assert functions.chip_value(chips, *places).to_pylist() == [100.0, None, None, None, None]


def test_a_chip_that_inflates_to_more_than_it_says_is_refused():
    with pytest.raises(RegistryError):
        functions.chip_bytes(column(row(np.zeros((64, 64), np.uint8), shape=[2, 2])))


def test_one_step_decodes_no_more_than_is_wise():
    huge = row(chip(0), shape=[2**15, 2**15, 2**15], dtype="float64")
    with pytest.raises(InvalidInputError, match="more than 512 MiB"):
        functions.chip_bytes(column(huge))


@pytest.mark.parametrize("dtype", ["object", "nonsense", "S8", "datetime64[s]"])
def test_a_chip_holds_numbers_and_nothing_else(dtype):
    with pytest.raises(InvalidInputError, match="dtype"):
        functions.chip_bytes(column(row(chip(0), dtype=dtype)))
