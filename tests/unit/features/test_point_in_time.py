import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.features.point_in_time import as_of
from registry.errors import InvalidInputError

MOMENTS = st.one_of(st.none(), st.integers(0, 8))
PLACES = st.one_of(st.none(), st.sampled_from("ab"))
ROWS = st.lists(st.tuples(PLACES, MOMENTS), max_size=12)


def table(rows, **more):
    return pa.table({
        "place": pa.array([place for place, _ in rows], pa.string()),
        "time": pa.array([time for _, time in rows], pa.timestamp("us", "UTC")),
        **more,
    })


def by_hand(points, facts):
    """The newest fact of the place that is not younger; of several of one time the last row."""
    for place, time in points:
        known = [
            (when, row)
            for row, (where, when) in enumerate(facts)
            if None not in {place, time, when} and where == place and when <= time
        ]
        yield max(known)[1] if known else None


@given(ROWS, ROWS)
def test_no_fact_that_is_younger_than_the_point_is_ever_used(points, facts):
    known = table(facts, row=pa.array(range(len(facts)), pa.int64()))
    found = as_of(table(points), known, by=["place"])
    assert found["row"].to_pylist() == list(by_hand(points, facts))
    assert found.select(["place", "time"]) == table(points)
    for time, said in zip(
        found["time"].to_pylist(), found["time_of_fact"].to_pylist(), strict=True
    ):
        assert said is None or said <= time


def test_columns_that_both_sides_have_are_refused():
    one = pa.table({"time": [1], "a": [1]})
    with pytest.raises(InvalidInputError, match="both have a column a"):
        as_of(one, one)


def test_a_side_without_a_time_is_refused():
    with pytest.raises(InvalidInputError, match="facts have no column time"):
        as_of(pa.table({"time": [1]}), pa.table({"when": [1]}))
